//! All integration tests in one binary, through the front door.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alarms;
mod api;
mod commands;
mod config;
mod cookbook;
mod cursor;
mod delivery;
mod docs;
mod house;
mod intake;
mod quiet;
mod receivers;
mod rules;
mod service;
mod simulate;
mod source;
mod store;
mod support;
mod templates;
mod webhook_examples;
