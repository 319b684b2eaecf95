//! The address of a registry's API, checked once, so that what is signed is what is sent.
//!
//! Deliberately absent: the defaults, which differ by source.

use std::{fmt, str::FromStr};

use reqwest::Url;

/// An API's address: scheme, host, port and path, no credentials, query or fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    host: String,
}

/// What is wrong with an endpoint, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(&'static str);

impl Endpoint {
    /// The authority as the `Host` header carries it and as it is signed: with its port where one
    /// is written that is not the scheme's own.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path, at least `/`.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Whether signatures would travel in the open: `http` to anything but this machine.
    pub fn is_plain(&self) -> bool {
        let name = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let address = name.parse::<std::net::IpAddr>();
        let loopback = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.url.scheme() == "http" && !loopback
    }

    /// The address to send to.
    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let whole = "an endpoint is a whole address, like https://ccr.api.qcloud.com/v2/index.php";
        let url = Url::parse(text.trim()).map_err(|_| EndpointError(whole))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(EndpointError(whole));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError(
                "an endpoint holds no user or password; requests are signed with secret_id and \
                 secret_key",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError(
                "an endpoint holds no query or fragment; end it at the path",
            ));
        }
        let name = url.host_str().ok_or(EndpointError(whole))?;
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self { url, host })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.url)
    }
}
