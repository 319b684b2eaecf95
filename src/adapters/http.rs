//! HTTP clients: how all of them are built, and how a failure is told without its URL.
//!
//! TLS is rustls on ring, with the provider passed in rather than installed for the process, and
//! both the system's roots and bundled ones, so that a bare image works and a company's own
//! authority does too. HTTP/2 where the other side offers it over TLS, else HTTP/1.1. Names are
//! resolved anew for each connection; idle ones live a minute, and those whose other side has
//! vanished are found out. No redirects, no cookies, no environment proxies, no compression of
//! requests.

use std::{error::Error, io, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, RootCertStore, pki_types::CertificateDer,
    pki_types::pem::PemObject,
};

use super::trust::Trust;

/// How long a connection is silent before it is asked whether anybody is still there, and how long
/// an answer to that may take.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_WITHIN: Duration = Duration::from_secs(10);

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
    /// What is reached without the proxy: hosts, domains with all below them, addresses, networks
    /// (`10.0.0.0/8`).
    pub no_proxy: Vec<String>,
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
            no_proxy: Vec::new(),
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
        .tcp_keepalive(PROBE_AFTER)
        .http2_keep_alive_interval(PROBE_AFTER)
        .http2_keep_alive_timeout(PROBE_WITHIN)
        .user_agent(concat!("triggerbell/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = &settings.proxy {
        // The error is dropped: it holds the URL.
        let proxy = proxy
            .expose(|url| reqwest::Proxy::all(url))
            .map_err(|_| ClientError("the proxy's URL is malformed".to_owned()))?;
        let direct = reqwest::NoProxy::from_string(&settings.no_proxy.join(","));
        builder = builder.proxy(proxy.no_proxy(direct));
    }
    add(builder).build().map_err(|error| ClientError(describe(&error.without_url())))
}

fn tls(settings: &ClientSettings) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut own = Vec::new();
    if let Some(path) = &settings.ca_file {
        let fail = |problem: String| ClientError(format!("{}: {problem}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fail(format!("can't be read as PEM certificates: {error}")))?;
        if certificates.is_empty() {
            return Err(fail("holds no certificate".to_owned()));
        }
        own.clone_from(&certificates);
        let (_, ignored) = roots.add_parsable_certificates(certificates);
        if ignored > 0 {
            return Err(fail(format!("{ignored} of its certificates can't be understood")));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = Trust::new(roots, own, provider.clone()).map_err(ClientError)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Whether a text can stand in `no_proxy`.
pub fn is_no_proxy(text: &str) -> bool {
    let address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    let network = || {
        let (start, length) = text.split_once('/')?;
        let most = if start.contains(':') { 128 } else { 32 };
        Some(address(start) && length.parse::<u8>().is_ok_and(|length| length <= most))
    };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let domain = || !text.trim_matches('.').is_empty() && text.bytes().all(letter);
    address(text) || network().unwrap_or(false) || domain()
}

/// A transport failure in words, with the whole chain of causes, the remedy where one is known, and
/// without the URL, which may be the credential.
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
    match certificate(error).and_then(remedy).or_else(|| remedy_of_tunnel(&text)) {
        Some(remedy) => format!("{text} — {remedy}"),
        None => text,
    }
}

/// What was wrong with a certificate, somewhere in the causes of an error.
fn certificate<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        // What an IO error wraps is none of its causes.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = match wrapped {
            Some(wrapped) => wrapped.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref(),
        };
        if let Some(rustls::Error::InvalidCertificate(problem)) = found {
            return Some(problem);
        }
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn remedy(problem: &CertificateError) -> Option<&'static str> {
    Some(match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired: it is to be renewed, or this machine's clock is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet: this machine's clock may be wrong"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name: use the name that it is for"
        }
        CertificateError::BadSignature => {
            "another authority of the same name has signed the certificate: name that one's file \
             as `ca_file`"
        }
        CertificateError::UnknownIssuer => {
            "nobody known has signed the certificate: name its authority's file as `ca_file`"
        }
        problem if super::trust::is_an_authority(problem) => {
            "the certificate signed itself, as an authority's: name exactly that one as `ca_file`"
        }
        _ => return None,
    })
}

/// What to do where a proxy was reached and led no further. Its errors have no type of their own.
fn remedy_of_tunnel(text: &str) -> Option<&'static str> {
    let socks = text.split_once("SOCKS error: ").map(|(_, socks)| socks);
    let wants_user = ["user/pass", "authentication", "credentials"];
    if text.contains("proxy authorization required")
        || socks.is_some_and(|socks| wants_user.iter().any(|word| socks.contains(word)))
    {
        Some("the proxy wants a user and a password: write them into the URL of `proxy`")
    } else if text.contains("tunnel error: unsuccessful") || socks.is_some() {
        Some("the proxy does not let this through: ask its owner, or use `no_proxy`")
    } else {
        None
    }
}
