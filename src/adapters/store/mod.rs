//! The store: everything that has to last, behind `ports::Store`.
//!
//! One adapter so far, [`SqliteStore`]. Its SQL is kept plain, since a second adapter of the same
//! trait will speak it to PostgreSQL. Deliberately absent: any decision about what is new, what is
//! sent or when; the store puts down and hands out.

mod sqlite;

pub use sqlite::{Archive, SqliteSettings, SqliteStore};
