//! Who may call us.

/// The secret that whoever calls us has to show.
pub trait Admission: Send + Sync + 'static {
    /// Whether what was shown is the secret; takes the same time whatever is wrong with it.
    fn admits(&self, shown: &[u8]) -> bool;
}
