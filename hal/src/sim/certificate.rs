//! Certificates as RouterOS makes them, for the server.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SerialNumber,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io;
use std::sync::Arc;

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA with 2,048 bits, as RouterOS makes it unless told otherwise.
    Rsa2048,
    /// ECDSA on P-256.
    P256,
}

impl Key {
    /// An RSA key takes seconds to make and `ring` makes none, so all the double's certificates
    /// share one that everybody can read: it protects nothing but tests and the demo.
    fn pair(self) -> io::Result<KeyPair> {
        let published = PrivatePkcs8KeyDer::from(include_bytes!("rsa-2048.der").as_slice());
        match self {
            Self::Rsa2048 => KeyPair::from_pkcs8_der_and_sign_algo(&published, &PKCS_RSA_SHA256),
            Self::P256 => KeyPair::generate(),
        }
        .map_err(io::Error::other)
    }
}

/// What certificate the router has, and which TLS it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSetup {
    /// Names and addresses the certificate is for. RouterOS's default has none.
    pub names: Vec<String>,
    /// Signed by an authority of its own, and no authority itself; otherwise self-signed with
    /// CA:TRUE, as RouterOS's default.
    pub signed: bool,
    /// Its key.
    pub key: Key,
    /// Its dates are past.
    pub expired: bool,
    /// Speaks TLS 1.3 as well; RouterOS was seen with 1.2 only.
    pub tls13: bool,
}

impl Default for TlsSetup {
    /// Self-signed, CA:TRUE, no names, RSA, TLS 1.2.
    fn default() -> Self {
        Self { names: Vec::new(), signed: false, key: Key::Rsa2048, expired: false, tls13: false }
    }
}

/// A certificate with everything around it.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) fingerprint: [u8; 32],
    /// What a client has to trust: the certificate itself, or its authority.
    pub(crate) pem: String,
}

impl Identity {
    pub(crate) fn new(setup: &TlsSetup) -> io::Result<Self> {
        let key = setup.key.pair()?;
        let mut params = CertificateParams::new(setup.names.clone()).map_err(io::Error::other)?;
        // Two certificates of one key are two certificates.
        let serial = ring::rand::generate::<[u8; 16]>(&ring::rand::SystemRandom::new());
        let serial = serial.map_err(|_| io::Error::other("no random numbers"))?.expose();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name.push(DnType::CommonName, "router");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if setup.expired { 2021 } else { 2120 }, 1, 1);
        let (certificate, pem) = if setup.signed {
            let authority_key = KeyPair::generate().map_err(io::Error::other)?;
            let mut authority = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
            authority.distinguished_name.push(DnType::CommonName, "lan-ca");
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            // Strict clients want both.
            authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.use_authority_key_identifier_extension = true;
            let pem = authority.self_signed(&authority_key).map_err(io::Error::other)?.pem();
            let issuer = Issuer::new(authority, authority_key);
            (params.signed_by(&key, &issuer).map_err(io::Error::other)?, pem)
        } else {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).map_err(io::Error::other)?;
            let pem = certificate.pem();
            (certificate, pem)
        };
        let der = CertificateDer::from(certificate.der().to_vec());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &der).as_ref());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Self { config: server_config(setup, der, key)?, fingerprint, pem })
    }
}

fn server_config(
    setup: &TlsSetup,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> io::Result<Arc<ServerConfig>> {
    let versions: &[&rustls::SupportedProtocolVersion] =
        if setup.tls13 { rustls::ALL_VERSIONS } else { &[&rustls::version::TLS12] };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}
