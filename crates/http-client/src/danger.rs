//! Talking to servers without knowing who they are.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::settings::Settings;

/// Accepts any certificate from `host`: expired, self-signed, for another name. Whoever sits on the
/// way to it can then read and change everything, credentials included.
///
/// `host` is a name, or a name and a port (`registry.example:5000`). All other hosts are verified as
/// always.
#[must_use]
pub fn skip_certificate_checks(mut settings: Settings, host: &str) -> Settings {
    settings.unverified.push(host.to_ascii_lowercase());
    settings
}

/// Sends requests over plain http to any host, whatever their policy says. Whoever sits on the way
/// can then read and change everything, tokens included.
#[must_use]
pub fn allow_plain_http(settings: Settings) -> Settings {
    Settings { plain_http: true, ..settings }
}

/// Believes every certificate. The handshake's own signature is still checked.
#[derive(Debug)]
pub(crate) struct AnyCertificate(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
