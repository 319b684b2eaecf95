//! Where a running service is to be found: `api.listen` and `api.token`, and nothing else.
//!
//! The service runs on what it read before. What has become of the rest of the files since is its own
//! to say, and must not keep anybody from asking it.
//! Deliberately absent: every other key, and the rule files.

use std::{net::SocketAddr, path::Path};

use super::{Request, environment, locate, read_text, service, unreadable};
use crate::{
    adapters::secret::Secret,
    document::{Document, Kind, Node, Problems, Report, Value},
};

/// What is read of `api`.
const KEYS: [&str; 3] = ["listen", "token", "token_file"];

/// Where a running service is.
#[derive(Debug, Clone)]
pub struct Whereabouts {
    /// `api.listen`.
    pub listen: SocketAddr,
    /// `api.token`, or what its file holds.
    pub token: Option<Secret>,
}

/// Reads where the service is, whatever else is wrong with the configuration.
///
/// # Errors
/// There is no configuration, or `api.listen` or `api.token` can't be read from it: what is wrong
/// with these, or what keeps them from being seen.
pub fn whereabouts(request: &Request<'_>) -> Result<Whereabouts, Problems> {
    let (elsewhere, here) = (Report::default(), Report::default());
    let read = locate(request.config, request.env).and_then(|path| match read_text(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(Box::new(unreadable(&path, &error, None))),
    });
    let (path, file) = match read {
        Ok(found) => found,
        Err(problem) => {
            here.add(*problem);
            return Err(here.into_problems());
        }
    };
    let mut document = Document::parse(file, &elsewhere);
    environment::expand_within(&mut document, "api", &KEYS, request.env, &here);
    document.hide_secrets();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut api = document.root.as_ref().and_then(|root| {
        Value::root(root, "the configuration", &document.file, &here).map()?.get("api")?.map()
    });
    let (listen, token) = service::listening(api.as_mut(), folder);
    if here.errors() > 0 {
        here.name_paths(&document);
        return Err(here.into_problems());
    }
    if !seen(document.root.as_ref()) && elsewhere.errors() > 0 {
        elsewhere.name_paths(&document);
        return Err(elsewhere.into_problems());
    }
    Ok(Whereabouts { listen, token })
}

/// Whether all that was written of `api` can be seen; what is not there, may stand where reading
/// broke off.
fn seen(root: Option<&Node>) -> bool {
    let Some(Node { kind: Kind::Map(root), .. }) = root else { return false };
    let api = root.entries.iter().find(|entry| &*entry.key.text == "api");
    match api.map(|api| &api.value.kind) {
        None => root.complete,
        Some(Kind::Map(api)) => {
            let values = api.entries.iter().filter(|entry| KEYS.contains(&&*entry.key.text));
            api.complete
                && values.into_iter().all(|entry| !matches!(entry.value.kind, Kind::Unreadable))
        }
        Some(_) => false,
    }
}
