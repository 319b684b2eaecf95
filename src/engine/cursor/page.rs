//! A page, cut into seconds.
//!
//! Deliberately absent: what is known. This only reads the answer.

use sha2::{Digest, Sha256};

use crate::{
    domain::entry::{FieldHasher, Identity, Row, WallTime},
    ports::Page,
};

/// A row with its identity, which is worked out once.
#[derive(Debug, Clone)]
pub(super) struct SeenRow {
    pub(super) identity: Identity,
    pub(super) row: Row,
}

/// The rows of one second that stand together in a page.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) wall: WallTime,
    /// Where it begins among the page's rows.
    pub(super) start: usize,
    /// In the answer's order, at least one.
    pub(super) rows: Vec<SeenRow>,
}

/// Cuts rows into seconds. Out of order, they are put in order first: the second answer says so.
pub(super) fn blocks(rows: Vec<Row>) -> (Vec<Block>, bool) {
    let ordered = rows.is_sorted_by(|a, b| a.wall_time >= b.wall_time);
    let mut rows = rows;
    if !ordered {
        rows.sort_by_key(|row| std::cmp::Reverse(row.wall_time));
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (start, row) in rows.into_iter().enumerate() {
        let seen = SeenRow { identity: row.identity(), row };
        match blocks.last_mut() {
            Some(block) if block.wall == seen.row.wall_time => block.rows.push(seen),
            _ => blocks.push(Block { wall: seen.row.wall_time, start, rows: vec![seen] }),
        }
    }
    (blocks, ordered)
}

/// A digest of a page as a multiset: another order within a second is no change.
pub(super) fn digest(page: &Page) -> Identity {
    let mut parts: Vec<[u8; 16]> = page.rows.iter().map(|row| row.identity().0).collect();
    parts.extend(page.rejected.iter().map(|rejected| {
        let mut hasher = FieldHasher::new("rejected");
        hasher.text(&rejected.raw);
        hasher.finish()
    }));
    parts.sort_unstable();
    let mut hasher = FieldHasher::new("head");
    hasher.number(Some(i64::from(page.len)));
    parts.iter().for_each(|part| hasher.bytes(part));
    Identity(hasher.finish())
}

/// A digest of rows in their order.
pub(super) fn sequence_digest(rows: &[Identity]) -> Identity {
    let mut hasher = Sha256::new();
    rows.iter().for_each(|row| hasher.update(row.0));
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize()[..16]);
    Identity(out)
}
