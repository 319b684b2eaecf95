//! Which servers' certificates are trusted: what the library says, and one kind more.
//!
//! A certificate that signed itself is often made as one of an authority (`openssl req -x509` does
//! that), and the library refuses those as a server's own, whatever is trusted. Where exactly that
//! certificate stands in `ca_file` somebody said that they mean this server, so it is trusted as
//! well, for the names and the time that it says. Deliberately absent: trust in anything that is not
//! byte for byte in the file.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// The check of a server's certificate.
#[derive(Debug)]
pub(super) struct Trust {
    library: Arc<WebPkiServerVerifier>,
    /// Those that `ca_file` holds.
    own: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// A check against roots, of which `own` came from `ca_file`.
    ///
    /// # Errors
    /// The library's words.
    pub(super) fn new(
        roots: RootCertStore,
        own: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let library = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { library, own })
    }
}

/// Whether an authority's certificate was shown as a server's own. The library says so only of one
/// whose time it found good; the tests hold it to that.
pub(super) fn is_an_authority(problem: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(error)) = problem else { return false };
    // The library keeps the error's type to itself.
    error.to_string() == "CaUsedAsEndEntity"
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.library.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match &judged {
            Err(Error::InvalidCertificate(problem))
                if is_an_authority(problem) && self.own.iter().any(|own| own == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}
