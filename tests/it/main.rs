//! All integration tests in one binary, through the front door.

mod config;
mod cursor;
mod house;
mod receivers;
mod rules;
mod simulate;
mod source;
mod store;
mod templates;
