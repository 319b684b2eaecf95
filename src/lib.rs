//! triggerbell watches a container registry's trigger log and tells people in chat what each
//! image push did to their services.
//!
//! The modules, in reading order. Arrows point only downward (`tests/it/house.rs` keeps them):
//!
//! ```text
//! main → cli → app → { config, engine, adapters, api, simulate, telemetry }
//! config → document, adapters (their Config types only), domain      engine | adapters | api → ports, domain
//! ports → domain        domain → nothing of ours: no clock, IO, environment, randomness or async
//! ```

pub mod domain;
pub mod ports;

pub mod engine;

pub mod document;

pub mod adapters;

pub mod api;

pub mod config;

pub mod simulate;

pub mod telemetry;

pub mod app;

pub mod cli;
