//! The world behind the ports: registries, receivers, the database, templates and the clock.
//!
//! Each adapter is a leaf: it knows ports and domain, never another adapter's inside. No adapter
//! starts a task that outlives its owner. Shared by them: [`admission`],
//! [`http`], [`regular`] and [`secret`].

pub mod admission;
pub mod clock;
pub mod http;
pub mod receivers;
pub mod regular;
pub mod secret;
pub mod source;
pub mod store;
pub mod templates;
mod trust;
