//! Sources: the registries whose trigger log is read.

pub mod signature;
