//! TLS with one server that wants more than others.

use std::path::Path;
use std::sync::Arc;

use host::read_file;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

use crate::error::Error;
use crate::provider::provider;
use crate::roots;

/// TLS with one server: a client certificate, and the name that its own certificate must have.
#[derive(Clone, Debug, Default)]
pub struct ServerTls {
    pub(crate) identity: Option<Arc<CertifiedKey>>,
    pub(crate) name: Option<ServerName<'static>>,
}

impl ServerTls {
    /// As TLS with any other server.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows the certificate chain of one PEM file, with the private key of another (or of the
    /// same), when the server asks for it.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should; the key is not the certificate's.
    pub fn with_client_certificate(self, certificate: &Path, key: &Path) -> Result<Self, Error> {
        let chain = roots::read_chain(certificate)?;
        let unusable = |reason: String| Error::ClientKey { path: key.to_owned(), reason };
        let pem = read_file(key, KEY_CAP).map_err(|error| unusable(host::with_causes(&error)))?;
        let pem = zeroize::Zeroizing::new(pem);
        // The parser's own words may repeat a part of the file.
        let der = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| unusable("expected a private key in PEM".to_owned()))?;
        let identity = CertifiedKey::from_der(chain, der, &provider())
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { identity: Some(Arc::new(identity)), ..self })
    }

    /// Expects `name` in the server's certificate, instead of the host of the URL.
    ///
    /// # Errors
    /// It is neither a host name nor an IP address.
    pub fn with_name(self, name: &str) -> Result<Self, Error> {
        let found = || Error::ServerName { found: host::escape(name) };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| found())?;
        Ok(Self { name: Some(name), ..self })
    }
}

/// A private key, in bytes.
const KEY_CAP: usize = 64 << 10;
