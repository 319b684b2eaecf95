//! A YAML document with places, and the problems found in it.
//!
//! Text becomes a tree in which every scalar keeps its text, its style and its span
//! ([`Document`]); the tree is read by hand through [`Value`] and [`MapReader`], which put what is
//! wrong into a [`Report`] and go on; problems are shown as text, JSON or SARIF. A serde
//! deserializer stops at the first mistake and types scalars before it is asked, so it is not used:
//! `check` has to find every problem of every file in one run, and `tag: 1.10` means those
//! characters.
//!
//! The floor below `domain` in what it knows: nothing of ours. Deliberately absent: which keys
//! there are (`config` and the adapters' settings), files and the environment.

mod code;
mod duration;
mod parse;
mod problem;
mod reader;
mod render;
mod secrecy;
mod source;
mod suggest;
mod syntax;
mod tree;
mod within;

pub use code::{Code, Severity};
pub use duration::{DurationError, parse_duration, show_duration};
pub use parse::{Document, MAX_BYTES, MAX_DEPTH, MAX_NODES};
pub use problem::{Known, Label, MAX_PROBLEMS, Place, Problem, Problems, Report};
pub use reader::{MapReader, Value};
pub use render::{json, sarif, text};
pub use source::{File, Position, Span};
pub use suggest::nearest;
pub use tree::{Entry, Key, Kind, Map, Node, Scalar, Style};
