//! What stands between this side and a Workload API.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use id_token::{Audience, Outcome};
use spiffe_workload_api::{Endpoint, Error, SpiffeSource, Unreachable, WorkloadApi};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::replay::{BUILDER, fetch, find, machine, replaying};

#[tokio::test]
async fn what_stands_in_the_way_of_a_connection_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let why = async |name: &str| {
        let endpoint = Endpoint::unix(directory.path().join(name)).unwrap();
        match WorkloadApi::connect(&endpoint).await {
            Err(Error::Unreachable { why, .. }) => why,
            other => panic!("{name}: {other:?}"),
        }
    };
    assert_eq!(why("missing.sock").await, Unreachable::Missing);
    std::fs::write(directory.path().join("file"), "").unwrap();
    assert_eq!(why("file").await, Unreachable::NotASocket);
    assert_eq!(why("file/below").await, Unreachable::Missing);
    drop(UnixListener::bind(directory.path().join("dead.sock")).unwrap());
    assert_eq!(why("dead.sock").await, Unreachable::Refused);
    let _listener = UnixListener::bind(directory.path().join("closed.sock")).unwrap();
    let none = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(directory.path().join("closed.sock"), none).unwrap();
    // Root may open everything, and a test may run as root.
    let root = tokio::net::UnixStream::connect(directory.path().join("closed.sock")).await.is_ok();
    match root {
        true => eprintln!("skipped: root is never denied to open a socket"),
        false => assert_eq!(why("closed.sock").await, Unreachable::PermissionDenied),
    }
}

#[tokio::test]
async fn a_port_without_a_listener_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    drop(listener);
    let error = WorkloadApi::connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { why: Unreachable::Refused, .. }), "{error:?}");
}

#[tokio::test]
async fn the_api_is_reached_over_tcp_as_well() {
    let (server, _) = replaying(&["JWT-SVID for sigstore"]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = server.socket.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let uri = format!("tcp://{address}");
    let source = SpiffeSource::from_env(machine([("SPIFFE_ENDPOINT_SOCKET", uri.as_str())]));
    let Outcome::Found(found) = find(&source).await else { panic!("{source:?}") };
    assert_eq!(found.token.claims().subject(), Some(BUILDER));
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_named_as_that() {
    for (greeting, expected) in [
        ("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", "frame with invalid size"),
        ("", "broken pipe"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("other.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(greeting.as_bytes()).await;
            }
        });
        let error = fetch(&socket).await.unwrap_err();
        let Error::NotGrpc { reason, .. } = &error else { panic!("{greeting:?}: {error:?}") };
        assert!(reason.contains(expected), "{greeting:?}: {reason}");
    }
}

#[tokio::test]
async fn an_http_server_is_named_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("http.sock");
    let not_found = |_: Request<Incoming>| async {
        let response = Response::builder().status(404).header("content-type", "text/plain");
        Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(b"no"))).unwrap())
    };
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(stream), service_fn(not_found)).await;
        }
    });
    let error = fetch(&socket).await.unwrap_err();
    let Error::NotGrpc { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("404 Not Found") && reason.contains("text/plain"), "{reason}");
}

#[tokio::test]
async fn a_silent_server_meets_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("silent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let _silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let endpoint = Endpoint::unix(&socket).unwrap();
    let api = WorkloadApi::connect(&endpoint).await.unwrap();
    let api = api.with_deadline(Duration::from_millis(50));
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no answer from {endpoint} within 50ms"));
}
