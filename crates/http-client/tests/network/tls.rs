//! Which certificates are trusted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ambisign_http_client::{HttpClient, Roots, ServerTls, Settings, danger};
use bytes::Bytes;
use host::{CallPolicy, Transport as _, TransportError};
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::server::{Server, answer, chain, client_with, get, raw, send};

/// A certificate authority made for one test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Two authorities of one name would be one with a bad signature.
        let name = format!("{:?}", &key.public_key_raw()[..8]);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate of `name`, and its key.
    fn certify(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// What a server called `name` needs to prove that it is.
    pub(crate) fn acceptor(&self, name: &str, protocols: &[&str]) -> TlsAcceptor {
        self.acceptor_for(name, protocols, false)
    }

    /// The same; it may demand that clients show a certificate of this authority.
    fn acceptor_for(&self, name: &str, protocols: &[&str], of_clients: bool) -> TlsAcceptor {
        let (certificate, key) = self.certify(name);
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match of_clients {
            true => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
            false => config.with_no_client_auth(),
        };
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn write_to(&self, path: &Path) {
        std::fs::write(path, &self.pem).unwrap();
    }
}

/// Says which version of HTTP it was spoken to in.
pub(crate) async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(tls) = acceptor.accept(stream).await else { return };
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request: Request<Incoming>| async move {
        let version = format!("{:?}", request.version());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(version))))
    });
    let io = TokioIo::new(tls);
    if http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(io, service).await;
    } else {
        let server = hyper::server::conn::http1::Builder::new();
        let _ = server.serve_connection(io, service).await;
    }
}

async fn tls_server(acceptor: TlsAcceptor) -> SocketAddr {
    raw(move |_, stream| serve_tls(acceptor.clone(), stream)).await
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}/x", address.port())
}

fn trusting(path: &Path) -> HttpClient {
    client_with(&[("SSL_CERT_FILE", path.to_str().unwrap())])
}

#[tokio::test]
async fn ssl_cert_file_and_dir_name_the_authority() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let authority = Authority::new();
    authority.write_to(&path);
    let address = tls_server(authority.acceptor("localhost", &["http/1.1"])).await;
    let done = trusting(&path).send(get(&url(address)), &CallPolicy::new()).await.unwrap();
    assert_eq!(done.body(), "HTTP/1.1");
    std::fs::write(directory.path().join("README"), "not a certificate").unwrap();
    let by_directory = client_with(&[("SSL_CERT_DIR", directory.path().to_str().unwrap())]);
    by_directory.send(get(&url(address)), &CallPolicy::new()).await.unwrap();
    let settings = Settings::new().with_ca_file(&path).unwrap();
    HttpClient::new(&settings).send(get(&url(address)), &CallPolicy::new()).await.unwrap();
    let settings =
        Settings::new().with_roots(Roots::Only(vec![])).with_extra_ca_file(&path).unwrap();
    HttpClient::new(&settings).send(get(&url(address)), &CallPolicy::new()).await.unwrap();
}

#[tokio::test]
async fn a_request_may_bring_its_own_trust_and_then_nothing_else_counts() {
    let (cluster, other) = (Authority::new(), Authority::new());
    let address = tls_server(cluster.acceptor("localhost", &[])).await;
    let client = HttpClient::new(&Settings::new().with_roots(Roots::Only(vec![])));
    let trusting = |authority: &Authority| CallPolicy::new().with_trust_only(authority.pem.clone());
    client.send(get(&url(address)), &trusting(&cluster)).await.unwrap();
    let error = client.send(get(&url(address)), &trusting(&other)).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let authority = Authority::new();
    authority.write_to(&path);
    let address = tls_server(authority.acceptor("localhost", &["h2", "http/1.1"])).await;
    let done = trusting(&path).send(get(&url(address)), &CallPolicy::new()).await.unwrap();
    assert_eq!((done.version(), &done.body()[..]), (Version::HTTP_2, &b"HTTP/2.0"[..]));
}

#[tokio::test]
async fn an_unknown_authority_and_a_wrong_name_are_tls_errors_and_final() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let trusted = Authority::new();
    trusted.write_to(&path);
    let untrusted = Authority::new();
    for (acceptor, reason) in [
        (untrusted.acceptor("localhost", &[]), "UnknownIssuer"),
        (trusted.acceptor("other.example", &[]), "not valid for name"),
    ] {
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = connections.clone();
        let address = raw(move |number, stream| {
            seen.store(number, Ordering::Relaxed);
            serve_tls(acceptor.clone(), stream)
        })
        .await;
        let error = trusting(&path).send(get(&url(address)), &CallPolicy::new()).await.unwrap_err();
        assert!(matches!(error, TransportError::Tls { .. }), "{error}");
        assert!(chain(&error).contains(reason), "{}", chain(&error));
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_danger_named_host_is_believed_and_no_other() {
    let authority = Authority::new();
    let address = tls_server(authority.acceptor("localhost", &[])).await;
    let named = format!("LOCALHOST:{}", address.port());
    for host in [named.as_str(), "localhost"] {
        let settings = Settings::new().with_roots(Roots::Only(vec![]));
        let settings = danger::skip_certificate_checks(settings, host);
        HttpClient::new(&settings).send(get(&url(address)), &CallPolicy::new()).await.unwrap();
    }
    let path = tempfile::NamedTempFile::new().unwrap();
    Authority::new().write_to(path.path());
    let settings = Settings::new().with_ca_file(path.path()).unwrap();
    let settings = danger::skip_certificate_checks(settings, "localhost:1");
    let error =
        HttpClient::new(&settings).send(get(&url(address)), &CallPolicy::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_store_of_authorities_matters_only_for_https() {
    let client = client_with(&[("SSL_CERT_FILE", "/nonexistent/ca.pem")]);
    let server = Server::start(|_, _| answer(200, "plain")).await;
    assert_eq!(
        client.send(get(&server.url("/")), &CallPolicy::new()).await.unwrap().body(),
        "plain"
    );
    let authority = Authority::new();
    let address = tls_server(authority.acceptor("localhost", &[])).await;
    let error = client.send(get(&url(address)), &CallPolicy::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("/nonexistent/ca.pem does not exist"), "{error}");
}

#[tokio::test]
async fn a_handshake_that_is_cut_short_is_tried_again() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let authority = Authority::new();
    authority.write_to(path.path());
    let acceptor = authority.acceptor("localhost", &[]);
    let address = raw(move |number, stream| {
        let acceptor = acceptor.clone();
        async move {
            if number > 1 {
                serve_tls(acceptor, stream).await;
            }
        }
    })
    .await;
    let request = Request::post(url(address)).body(Bytes::new()).unwrap();
    let policy = CallPolicy::new().with_idempotent(false);
    send(&trusting(path.path()), request, policy).await.unwrap();
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_a_tls_error() {
    let path = tempfile::NamedTempFile::new().unwrap();
    Authority::new().write_to(path.path());
    let server = Server::start(|_, _| answer(200, "")).await;
    let error = trusting(path.path())
        .send(get(&url(server.address)), &CallPolicy::new())
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{}", chain(&error));
}

#[tokio::test]
async fn a_server_that_wants_http_1_1_after_all_gets_it() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let authority = Authority::new();
    authority.write_to(path.path());
    let acceptor = authority.acceptor("localhost", &["h2", "http/1.1"]);
    let address = raw(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let tls = acceptor.accept(stream).await.unwrap();
            if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                let service = service_fn(|_: Request<Incoming>| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
                });
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(tls), service).await;
                return;
            }
            let mut connection = h2::server::handshake(tls).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
            }
        }
    })
    .await;
    let request = Request::post(url(address)).body(Bytes::from_static(b"once")).unwrap();
    let policy = CallPolicy::new().with_idempotent(false);
    let done = send(&trusting(path.path()), request, policy).await.unwrap();
    assert_eq!((done.version(), &done.body()[..]), (Version::HTTP_11, &b"fine"[..]));
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_server_it_is_for_and_to_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let authority = Authority::new();
    authority.write_to(&path("ca.pem"));
    let (certificate, key) = authority.certify("client");
    std::fs::write(path("client.pem"), certificate.pem()).unwrap();
    std::fs::write(path("client.key"), key.serialize_pem()).unwrap();
    let tls =
        ServerTls::new().with_client_certificate(&path("client.pem"), &path("client.key")).unwrap();
    let demanding = tls_server(authority.acceptor_for("localhost", &["h2"], true)).await;
    let settings = Settings::new().with_ca_file(&path("ca.pem")).unwrap();
    for (host, is_shown) in [
        ("localhost".to_owned(), true),
        (format!("localhost:{}", demanding.port()), true),
        ("localhost:1".to_owned(), false),
        ("elsewhere".to_owned(), false),
    ] {
        let client = HttpClient::new(&settings.clone().with_server(&host, tls.clone()));
        let answer = client.send(get(&url(demanding)), &CallPolicy::new()).await;
        assert_eq!(answer.is_ok(), is_shown, "{host}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let authority = Authority::new();
    let (certificate, _) = authority.certify("client");
    std::fs::write(path("client.pem"), certificate.pem()).unwrap();
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (key, expected) in [(other.as_str(), "KeyMismatch"), ("hunter2", "expected a private key")]
    {
        std::fs::write(path("client.key"), key).unwrap();
        let error = ServerTls::new()
            .with_client_certificate(&path("client.pem"), &path("client.key"))
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("client.key"), "{text}");
        assert!(text.contains(expected) || format!("{error:?}").contains(expected), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn another_name_may_be_expected_in_the_certificate_of_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let authority = Authority::new();
    authority.write_to(&path);
    let address = tls_server(authority.acceptor("registry.internal", &[])).await;
    let settings = Settings::new().with_ca_file(&path).unwrap();
    let send = async |settings: &Settings| {
        HttpClient::new(settings).send(get(&url(address)), &CallPolicy::new()).await
    };
    let error = send(&settings).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error}");
    let named = ServerTls::new().with_name("registry.internal").unwrap();
    send(&settings.with_server("localhost", named)).await.unwrap();
    assert!(ServerTls::new().with_name("not a name").is_err());
}
