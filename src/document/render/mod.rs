//! How problems are shown: as text for people, as JSON and SARIF for programs.
//!
//! All three walk the same problems and say the same. Deliberately absent: where the output goes,
//! and whether it is a terminal.

mod json;
mod sarif;
mod text;

pub use json::json;
pub use sarif::sarif;
pub use text::text;
