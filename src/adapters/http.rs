//! HTTP clients: how all of them are built, and how a failure is told without its URL.
//!
//! TLS is rustls on ring, with the provider passed in rather than installed for the process, and
//! both the system's roots and bundled ones, so that a bare image works and a company's own
//! authority does too. No redirects, no cookies, no environment proxies, no compression of requests.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};

/// What a client is built with.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Limit for name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Limit from the first step to the last byte of the answer.
    pub timeout: Duration,
    /// PEM certificates to trust beside the system's and the bundled ones.
    pub ca_file: Option<PathBuf>,
    /// An HTTP or SOCKS5 proxy; its URL may hold a password.
    pub proxy: Option<super::secret::Secret>,
    /// Idle connections kept to one host.
    pub idle_per_host: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            ca_file: None,
            proxy: None,
            idle_per_host: 64,
        }
    }
}

/// A client that can't be built: what is wrong and the remedy, no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientError(pub String);

/// Builds a client.
///
/// # Errors
/// The CA file can't be read or holds no certificate, or the proxy's URL is malformed.
pub fn client(settings: &ClientSettings) -> Result<reqwest::Client, ClientError> {
    client_with(settings, |builder| builder)
}

/// Builds a client with something of the caller's own added last, such as a resolver.
///
/// # Errors
/// As [`client`].
pub fn client_with(
    settings: &ClientSettings,
    add: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(settings)?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .pool_max_idle_per_host(settings.idle_per_host)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .user_agent(concat!("triggerbell/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = &settings.proxy {
        // The error is dropped: it holds the URL.
        let proxy = proxy
            .expose(|url| reqwest::Proxy::all(url))
            .map_err(|_| ClientError("the proxy's URL is malformed".to_owned()))?;
        builder = builder.proxy(proxy);
    }
    add(builder).build().map_err(|error| ClientError(describe(&error.without_url())))
}

fn tls(settings: &ClientSettings) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &settings.ca_file {
        let fail = |problem: String| ClientError(format!("{}: {problem}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fail(format!("can't be read as PEM certificates: {error}")))?;
        if certificates.is_empty() {
            return Err(fail("holds no certificate".to_owned()));
        }
        let (_, ignored) = roots.add_parsable_certificates(certificates);
        if ignored > 0 {
            return Err(fail(format!("{ignored} of its certificates can't be understood")));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// A transport failure in words, with the whole chain of causes and without the URL, which may be
/// the credential.
pub fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "could not connect"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else if error.is_builder() {
        "the request could not be built"
    } else {
        "the connection failed"
    };
    let mut text = what.to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
