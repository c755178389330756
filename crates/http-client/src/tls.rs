//! TLS, set up on first use.

use std::sync::{Arc, OnceLock};

use http::Uri;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::danger::AnyCertificate;
use crate::failure::ConnectFailure;
use crate::provider::provider;
use crate::server_tls::ServerTls;
use crate::settings::{Roots, Settings};
use crate::{proxy, roots};

/// The TLS configurations, made on the first `https` request.
pub(crate) struct Tls {
    roots: Roots,
    extra_roots: Vec<CertificateDer<'static>>,
    unverified: Vec<String>,
    servers: Vec<Special>,
    checking: OnceLock<Result<Configs, String>>,
    trusting: OnceLock<Result<Configs, String>>,
}

/// A server with a configuration of its own.
struct Special {
    host: String,
    tls: ServerTls,
    configs: OnceLock<Result<Configs, String>>,
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
            servers: settings
                .servers
                .iter()
                .map(|(host, tls)| Special {
                    host: host.clone(),
                    tls: tls.clone(),
                    configs: OnceLock::new(),
                })
                .collect(),
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
        let special = self.servers.iter().find(|special| is_named(uri, &special.host));
        let config = self.config(uri, special, http1).map_err(ConnectFailure::Unusable)?;
        let host = proxy::bare_host(uri.host().unwrap_or_default());
        let name = match special.and_then(|special| special.tls.name.clone()) {
            Some(name) => name,
            None => ServerName::try_from(host.to_owned()).map_err(|_| {
                let reason = format!("`{host}` cannot be checked by TLS: not a host name");
                ConnectFailure::Unusable(reason)
            })?,
        };
        TlsConnector::from(config).connect(name, io).await.map_err(ConnectFailure::tls)
    }

    fn config(
        &self,
        uri: &Uri,
        special: Option<&Special>,
        http1: bool,
    ) -> Result<Arc<ClientConfig>, String> {
        let provider = provider();
        let any = self.unverified.iter().any(|named| is_named(uri, named));
        let (configs, identity) = match special {
            Some(special) => (&special.configs, special.tls.identity.as_ref()),
            None if any => (&self.trusting, None),
            None => (&self.checking, None),
        };
        let configs = configs.get_or_init(|| {
            let verifier: Arc<dyn ServerCertVerifier> = match any {
                true => Arc::new(AnyCertificate(Arc::clone(&provider))),
                false => self.verifier(Arc::clone(&provider))?,
            };
            Configs::new(&provider, verifier, identity)
        });
        let configs = configs.as_ref().map_err(String::clone)?;
        Ok(Arc::clone(if http1 { &configs.http1 } else { &configs.any }))
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
        identity: Option<&Arc<CertifiedKey>>,
    ) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match identity {
            Some(identity) => config
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity)))),
            None => config.with_no_client_auth(),
        };
        let mut http1 = config.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut any = config;
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1) })
    }
}

/// Whether the server of `uri` is `named`, by its host or by its host and port.
fn is_named(uri: &Uri, named: &str) -> bool {
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    named == host || named == format!("{host}:{}", uri.port_u16().unwrap_or(443))
}
