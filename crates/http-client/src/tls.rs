//! TLS, set up on first use.

use std::sync::{Arc, OnceLock};

use http::Uri;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::danger::AnyCertificate;
use crate::failure::ConnectFailure;
use crate::settings::{Roots, Settings};
use crate::{proxy, roots};

/// The TLS configurations, made on the first `https` request.
pub(crate) struct Tls {
    roots: Roots,
    extra_roots: Vec<CertificateDer<'static>>,
    unverified: Vec<String>,
    checking: OnceLock<Result<Configs, String>>,
    trusting: OnceLock<Result<Configs, String>>,
}

/// One configuration for each set of protocols to offer.
struct Configs {
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            roots: settings.roots.clone(),
            extra_roots: settings.extra_roots.clone(),
            unverified: settings.unverified.clone(),
            checking: OnceLock::new(),
            trusting: OnceLock::new(),
        }
    }

    /// Makes a TLS connection to the host of `uri` over `io`, offering only HTTP/1.1 if so asked.
    pub(crate) async fn connect<T>(
        &self,
        uri: &Uri,
        io: T,
        http1: bool,
    ) -> Result<TlsStream<T>, ConnectFailure>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config(uri, http1).map_err(ConnectFailure::Unusable)?;
        let host = proxy::bare_host(uri.host().unwrap_or_default());
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            ConnectFailure::Unusable(format!("`{host}` cannot be checked by TLS: not a host name"))
        })?;
        TlsConnector::from(config).connect(name, io).await.map_err(ConnectFailure::tls)
    }

    fn config(&self, uri: &Uri, http1: bool) -> Result<Arc<ClientConfig>, String> {
        let configs = if self.is_unverified(uri) {
            self.trusting.get_or_init(|| {
                let provider = provider();
                Configs::new(&provider, Arc::new(AnyCertificate(Arc::clone(&provider))))
            })
        } else {
            self.checking.get_or_init(|| {
                let provider = provider();
                Configs::new(&provider, self.verifier(Arc::clone(&provider))?)
            })
        };
        let configs = configs.as_ref().map_err(String::clone)?;
        Ok(Arc::clone(if http1 { &configs.http1 } else { &configs.any }))
    }

    fn is_unverified(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let with_port = format!("{host}:{}", uri.port_u16().unwrap_or(443));
        self.unverified.iter().any(|named| *named == host || *named == with_port)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let mut anchors = RootCertStore::empty();
        match &self.roots {
            Roots::Platform => {
                let extra = self.extra_roots.iter().cloned();
                let verifier =
                    rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)
                        .map_err(|error| format!("no usable CA certificates: {error}"))?;
                return Ok(Arc::new(verifier));
            }
            Roots::Files { files, directories } => {
                for file in files {
                    let found =
                        roots::read_pem_file(file).map_err(|error| host::with_causes(&error))?;
                    anchors.add_parsable_certificates(found);
                }
                for directory in directories {
                    anchors.add_parsable_certificates(roots::read_pem_directory(directory));
                }
            }
            Roots::Only(certificates) => {
                let found = certificates.iter().map(|der| CertificateDer::from(der.clone()));
                anchors.add_parsable_certificates(found);
            }
        }
        anchors.add_parsable_certificates(self.extra_roots.iter().cloned());
        if anchors.is_empty() {
            return Err("no usable CA certificates: none found where they were to be".to_owned());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), provider)
            .build()
            .map_err(|error| format!("no usable CA certificates: {error}"))?;
        Ok(verifier)
    }
}

impl Configs {
    fn new(
        provider: &Arc<CryptoProvider>,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let mut http1 = config.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut any = config;
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1) })
    }
}

/// Named here and nowhere installed, so that another user of rustls in the process is not disturbed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
