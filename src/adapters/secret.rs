//! Secrets: given in the configuration, or in a file that is read again when they are refused.
//!
//! Deliberately absent: any way to print one. `Debug` of everything here shows a placeholder.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use secrecy::{ExposeSecret, SecretString};

/// The largest secret file that is read.
const FILE_LIMIT_BYTES: u64 = 64 * 1024;

/// A secret and where it comes from. Clones share what was read last.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    path: Option<PathBuf>,
    value: RwLock<SecretString>,
}

/// A secret file that can't be used. Holds the path, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct SecretFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and the remedy.
    pub problem: String,
}

impl Secret {
    /// A secret given in place.
    pub fn inline(value: impl Into<String>) -> Self {
        let value = RwLock::new(SecretString::from(value.into()));
        Self(Arc::new(Inner { path: None, value }))
    }

    /// A secret in a file, read now. White space around it is not part of it.
    ///
    /// # Errors
    /// The file can't be read, is empty, too large, or not UTF-8.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, SecretFileError> {
        let path = path.into();
        let value = RwLock::new(read(&path)?);
        Ok(Self(Arc::new(Inner { path: Some(path), value })))
    }

    /// The secret, to be used and dropped at once.
    pub fn expose<R>(&self, use_it: impl FnOnce(&str) -> R) -> R {
        let value = self.0.value.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        use_it(value.expose_secret())
    }

    /// Reads the file again, where there is one. True when the secret changed.
    ///
    /// # Errors
    /// As [`Secret::file`]; the last value is kept.
    pub fn reread(&self) -> Result<bool, SecretFileError> {
        let Some(path) = &self.0.path else { return Ok(false) };
        let fresh = read(path)?;
        let mut value = self.0.value.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = value.expose_secret() != fresh.expose_secret();
        *value = fresh;
        Ok(changed)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.path {
            Some(path) => write!(f, "Secret(from {})", path.display()),
            None => f.write_str("Secret(…)"),
        }
    }
}

fn read(path: &Path) -> Result<SecretString, SecretFileError> {
    let fail = |problem: String| SecretFileError { path: path.to_owned(), problem };
    let meta = std::fs::metadata(path).map_err(|error| fail(format!("can't be read: {error}")))?;
    if meta.len() > FILE_LIMIT_BYTES {
        return Err(fail(format!("is {} bytes, too large for a secret", meta.len())));
    }
    let text = super::regular::open(path)
        .and_then(std::io::read_to_string)
        .map_err(|error| fail(format!("can't be read: {error}")))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(fail("is empty; write the secret into it".to_owned()));
    }
    Ok(SecretString::from(text.to_owned()))
}
