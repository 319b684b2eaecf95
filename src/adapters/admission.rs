//! The secret that others have to show us. One in a file is read again where what is shown does not
//! fit it, now and then. Deliberately absent: where it is shown.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use subtle::ConstantTimeEq as _;

use super::secret::Secret;
use crate::ports::Admission;

/// How often a secret's file is read again at most, since anybody can make it fit nothing.
const REREAD_EVERY: Duration = Duration::from_secs(5);

/// A secret to be shown.
pub struct Shown {
    secret: Secret,
    reread_at: Mutex<Option<Instant>>,
}

impl Shown {
    /// One that is shown as it is.
    pub const fn new(secret: Secret) -> Self {
        Self { secret, reread_at: Mutex::new(None) }
    }

    fn fits(&self, shown: &[u8]) -> bool {
        self.secret.expose(|secret| secret.as_bytes().ct_eq(shown).into())
    }

    /// Whether the secret's file may be read again now.
    fn may_reread(&self) -> bool {
        let mut last = self.reread_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|at| at.elapsed() >= REREAD_EVERY);
        if may {
            *last = Some(Instant::now());
        }
        may
    }
}

impl Admission for Shown {
    fn admits(&self, shown: &[u8]) -> bool {
        if self.fits(shown) {
            return true;
        }
        let changed = self.may_reread() && self.secret.reread().unwrap_or(false);
        changed && self.fits(shown)
    }
}
