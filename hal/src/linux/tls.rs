//! Whom to believe to be the router: by certificate authority, or by fingerprint.
//!
//! RouterOS makes certificates without subject-alt-name and with CA:TRUE, which no web verifier
//! accepts; pinning the SHA-256 fingerprint works for those, and proves more. There is no way to
//! accept any certificate for a router, nor for whoever is sent alerts: [`Trust`] has none. Only
//! transfers that fill a line may go to anybody ([`Tls::with_anybody`]).

use super::sys;
use crate::board::{BadTrust, LinkTarget, TlsFault, Trust};
use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    out
}

/// TLS for one target, kept over connections so that sessions resume.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
    /// A certificate that was not the pinned one.
    stranger: Arc<Mutex<Option<TlsFault>>>,
}

impl Tls {
    /// `None` for plain HTTP.
    pub(super) fn new(target: &LinkTarget) -> Result<Option<Self>, BadTrust> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let stranger = Arc::new(Mutex::new(None));
        let verifier: Arc<dyn ServerCertVerifier> = match &target.trust {
            Trust::Plain => return Ok(None),
            Trust::Fingerprint(pinned) => Arc::new(Pin {
                pinned: Some(*pinned),
                algorithms: provider.signature_verification_algorithms,
                stranger: Arc::clone(&stranger),
            }),
            Trust::Authorities(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
                verifier(roots, &provider)?
            }
            Trust::Public => verifier(public_roots()?, &provider)?,
        };
        Self::with(&target.server_name, provider, verifier, stranger).map(Some)
    }

    /// With any certificate; the handshake must still be signed with its key. For bytes that are no secret and mean
    /// nothing, and for nothing else.
    pub(super) fn with_anybody(host: &str) -> Result<Self, BadTrust> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let stranger = Arc::default();
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Arc::new(Pin { pinned: None, algorithms, stranger: Arc::clone(&stranger) });
        Self::with(host, provider, verifier, stranger)
    }

    fn with(
        host: &str,
        provider: Arc<CryptoProvider>,
        verifier: Arc<dyn ServerCertVerifier>,
        stranger: Arc<Mutex<Option<TlsFault>>>,
    ) -> Result<Self, BadTrust> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| BadTrust::Name)?;
        let config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
            .with_safe_default_protocol_versions()
            .map_err(|_| BadTrust::Provider)?
            .dangerous() // only in that the verifier is ours: for a router it is stricter than the usual one
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), name, stranger })
    }

    /// What a failure of the handshake means.
    pub(super) fn fault(&self, error: &Error) -> TlsFault {
        if let Some(stranger) = self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return stranger;
        }
        match error {
            Error::InvalidCertificate(why) => match why {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => TlsFault::Expired,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsFault::WrongName
                }
                _ => TlsFault::UnknownIssuer,
            },
            Error::FailedToGetCurrentTime => TlsFault::ClockNotSet,
            Error::InvalidMessage(_) => TlsFault::NotTls,
            _ => TlsFault::Handshake,
        }
    }
}

fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, BadTrust> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| BadTrust::NoCertificate)
}

/// Mozilla's list, as it was when the program was built: what the system trusts has no part in it.
#[cfg(feature = "roots")]
fn public_roots() -> Result<RootCertStore, BadTrust> {
    Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

#[cfg(not(feature = "roots"))]
fn public_roots() -> Result<RootCertStore, BadTrust> {
    Err(BadTrust::NoRoots)
}

/// Certificate time from the wall clock, once it can be right: boards without a battery boot in
/// 1970, and a certificate must not be judged by that.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = sys::wall_clock();
        now.is_plausible().then(|| UnixTime::since_unix_epoch(core::time::Duration::from_nanos(now.0)))
    }
}

/// Accepts one certificate, by its fingerprint, whatever it says of names and dates; the
/// handshake must still be signed with its key.
#[derive(Debug)]
struct Pin {
    /// `None` for any certificate.
    pinned: Option<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
    stranger: Arc<Mutex<Option<TlsFault>>>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(pinned) = self.pinned else { return Ok(ServerCertVerified::assertion()) };
        let seen = fingerprint(certificate);
        if seen == pinned {
            return Ok(ServerCertVerified::assertion());
        }
        *self.stranger.lock().unwrap_or_else(PoisonError::into_inner) = Some(TlsFault::Fingerprint(pinned, seen));
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
