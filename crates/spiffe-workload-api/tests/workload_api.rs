//! The client against a socket that answers with the bytes recorded from SPIRE, and against
//! sockets where something else listens.

#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::{Clock as _, FakeEnv};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use id_token::{Audience, IdToken, Outcome, TokenSource as _};
use serde_json::{Value, json};
use spiffe_workload_api::{
    Endpoint, Error, JwtBundle, Selection, SpiffeId, SpiffeSource, Unreachable, Update,
    WorkloadApi, verify_jwt_svid, verify_x509_svid, watch_jwt_bundles, watch_x509,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

#[path = "workload_api/replay.rs"]
mod replay;

use replay::{
    A_FIRST, Advancing, BUILDER, Seen, answer, at, fetch, find, id, jwt, machine, recorded_token,
    recording, recordings, replaying, replaying_values,
};

#[tokio::test]
async fn the_recorded_jwt_svid_is_returned_to_the_recorded_request() {
    let (server, api) = replaying(&["JWT-SVID for sigstore"]).await;
    let svid = api.fetch_jwt_svid(&Audience::sigstore(), None).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), BUILDER);
    assert_eq!(svid.hint, "");
    let recorded = recording("claims of the JWT-SVID");
    assert_eq!(Value::Object(svid.token.claims().as_object().clone()), recorded["claims"]);
    assert_eq!(svid.token.algorithm(), "ES256");
    let seen = server.seen();
    assert_eq!(seen, [Seen::of(&recording("JWT-SVID for sigstore"))]);
}

#[tokio::test]
async fn an_identity_is_asked_for_by_its_spiffe_id() {
    let (server, api) = replaying(&["one of several by SPIFFE ID"]).await;
    let svid = api.fetch_jwt_svid(&Audience::sigstore(), Some(&id(A_FIRST))).await.unwrap();
    assert_eq!((svid.spiffe_id.as_str(), svid.hint.as_str()), (A_FIRST, "internal"));
    assert_eq!(server.seen(), [Seen::of(&recording("one of several by SPIFFE ID"))]);
}

#[tokio::test]
async fn several_identities_are_named_and_none_is_taken() {
    let (_server, api) = replaying(&["two registrations, the second with a hint"]).await;
    let error = api.fetch_jwt_svid(&Audience::sigstore(), None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "this process has several SPIFFE identities: {A_FIRST} (hint \"internal\"), {BUILDER}"
        )
    );
    let all = api.fetch_jwt_svids(&Audience::sigstore()).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn the_recorded_x509_svids_are_returned_and_their_keys_stay_out_of_debug() {
    let (server, api) = replaying(&["X.509-SVIDs"]).await;
    let svid = api.fetch_x509_svid(None).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), BUILDER);
    assert_eq!((svid.chain.len(), svid.bundle.len()), (1, 1));
    assert_eq!(svid.private_key.first(), Some(&0x30));
    assert!(!format!("{svid:?}").contains("key"), "{svid:?}");
    assert_eq!(server.seen(), [Seen::of(&recording("X.509-SVIDs"))]);

    let (_server, api) = replaying(&["X.509-SVIDs of several registrations"]).await;
    let error = api.fetch_x509_svid(None).await.unwrap_err();
    assert!(matches!(error, Error::Several { offered } if offered.len() == 2));
    let chosen = api.fetch_x509_svid(Some(&id(BUILDER))).await.unwrap();
    assert_eq!(chosen.spiffe_id.as_str(), BUILDER);
    let error = api.fetch_x509_svid(Some(&id("spiffe://example.org/x"))).await.unwrap_err();
    assert!(error.to_string().contains(A_FIRST), "{error}");
}

#[tokio::test]
async fn each_recorded_refusal_is_told_apart() {
    let recordings = recordings();
    let refusals = recordings.iter().filter(|case| case["message"].is_string());
    let mut count = 0;
    for refusal in refusals {
        let name = refusal["case"].as_str().unwrap();
        let message = refusal["message"].as_str().unwrap();
        let (_server, api) = replaying(&[name]).await;
        let error = if refusal["method"] == "/SpiffeWorkloadAPI/FetchX509SVID" {
            api.fetch_x509_svid(None).await.unwrap_err()
        } else {
            api.fetch_jwt_svid(&Audience::sigstore(), None).await.unwrap_err()
        };
        let shown = host::escape_remote(message);
        match (refusal["status"].as_str().unwrap(), &error) {
            ("PERMISSION_DENIED", Error::NoIdentity { message, .. })
            | ("UNAVAILABLE", Error::Unavailable { message, .. }) => assert_eq!(*message, shown),
            (status, Error::Refused { code, message, .. }) => {
                assert_eq!((*code, message.as_str()), (status, shown.as_str()));
            }
            other => panic!("{name}: {other:?}"),
        }
        count += 1;
    }
    assert!(count >= 15, "{count}");
}

#[tokio::test]
async fn an_answer_about_someone_or_something_else_is_refused() {
    let (_server, api) = replaying(&["JWT-SVID for sigstore"]).await;
    let other = Audience::new("other").unwrap();
    let error = api.fetch_jwt_svid(&other, None).await.unwrap_err();
    assert!(error.to_string().contains("for other, found one for \"sigstore\""), "{error}");
    let error = api.fetch_jwt_svid(&Audience::sigstore(), Some(&id(A_FIRST))).await.unwrap_err();
    assert!(matches!(error, Error::NoIdentity { asked: Some(_), .. }), "{error}");
}

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
async fn a_port_where_nobody_listens_is_refused() {
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
    let error = api.fetch_jwt_svid(&Audience::sigstore(), None).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no answer from {endpoint} within 50ms"));
}

#[tokio::test]
async fn the_source_is_absent_without_the_variable() {
    let source = SpiffeSource::from_env(machine([]));
    let Outcome::Absent(absence) = find(&source).await else { panic!("{source:?}") };
    assert_eq!(absence.evidence, "SPIFFE_ENDPOINT_SOCKET is not set");
}

#[tokio::test]
async fn the_source_finds_the_token_behind_the_variable() {
    let (server, _) = replaying(&["JWT-SVID for sigstore"]).await;
    let uri = format!("unix://{}", server.socket.display());
    let source = SpiffeSource::from_env(machine([("SPIFFE_ENDPOINT_SOCKET", uri.as_str())]));
    let Outcome::Found(found) = find(&source).await else { panic!("{source:?}") };
    assert_eq!(found.token.claims().subject(), Some(BUILDER));
}

#[tokio::test]
async fn a_registration_that_is_on_its_way_is_waited_for() {
    let unregistered = "workload without a registration (other uid)";
    let answers = [unregistered, unregistered, unregistered, "JWT-SVID for sigstore"];
    let (server, _) = replaying(&answers).await;
    let source = SpiffeSource::at(machine([]), server.endpoint());
    assert!(matches!(find(&source).await, Outcome::Found(_)));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_registration_that_never_comes_is_broken_beyond_doubt() {
    let (server, _) = replaying(&["workload without a registration (other uid)"]).await;
    let status = "Name:\tambisign\nUid:\t1\t1000\t1\t1\nGid:\t2\t2000\t2\t2\n";
    let maps = "55d0-55d1 r--p 00000000 08:01 1234   /usr/bin/ambisign\n";
    let env =
        FakeEnv::new().with_file("/proc/self/status", status).with_file("/proc/self/maps", maps);
    let source = SpiffeSource::at(machine([]).with_env(Arc::new(env)), server.endpoint());
    let Outcome::Broken(broken) = find(&source).await else { panic!("{source:?}") };
    assert!(broken.certain);
    let reason = "no identity to this process: no identity issued (asked 7 times within 10 s)";
    assert!(broken.reason.ends_with(reason), "{broken:?}");
    let hint = broken.hint.unwrap();
    assert!(hint.contains("spire-server entry create"), "{hint}");
    assert!(hint.contains("-selector unix:uid:1000"), "{hint}");
    assert!(hint.contains("unix:path:/usr/bin/ambisign"), "{hint}");
    assert_eq!(server.seen().len(), 7, "asked again for ten seconds, and then no more");
}

/// An agent that was not configured is not waited for; but it may be starting.
#[tokio::test]
async fn an_agent_that_was_only_guessed_is_asked_once_more() {
    let unregistered = "workload without a registration (other uid)";
    let (server, _) = replaying(&[unregistered]).await;
    let source = SpiffeSource::guessed_at(machine([]), server.endpoint());
    let Outcome::Broken(broken) = find(&source).await else { panic!("{source:?}") };
    assert!(!broken.certain);
    assert!(broken.reason.ends_with("(asked 2 times within 0.5 s)"), "{broken:?}");
    assert_eq!(server.seen().len(), 2);
    let (server, _) = replaying(&[unregistered, "JWT-SVID for sigstore"]).await;
    let source = SpiffeSource::guessed_at(machine([]), server.endpoint());
    assert!(matches!(find(&source).await, Outcome::Found(_)));
    let nowhere = Endpoint::unix("/nonexistent/agent.sock").unwrap();
    let outcome = find(&SpiffeSource::guessed_at(machine([]), nowhere)).await;
    assert!(matches!(outcome, Outcome::Absent(_)), "{outcome:?}");
}

/// A user who puts a socket there would choose the identity of this process.
#[tokio::test]
async fn a_guessed_socket_that_others_could_have_put_there_is_not_used() {
    let (server, _) = replaying(&["JWT-SVID for sigstore"]).await;
    let directory = server.socket.parent().unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    let source = SpiffeSource::guessed_at(machine([]), server.endpoint());
    let Outcome::Broken(broken) = find(&source).await else { panic!("{source:?}") };
    assert!(!broken.certain, "the search goes on");
    assert!(broken.reason.contains("other users may write to the directory"), "{broken:?}");
    assert!(broken.hint.unwrap().contains("set SPIFFE_ENDPOINT_SOCKET"));
    assert!(server.seen().is_empty(), "it was not even asked");
    // Who names it wants it.
    let source = SpiffeSource::at(machine([]), server.endpoint());
    assert!(matches!(find(&source).await, Outcome::Found(_)));
}

#[tokio::test]
async fn a_variable_that_points_nowhere_or_is_malformed_is_broken_beyond_doubt() {
    for (value, reason) in [
        ("unix:///nonexistent/agent.sock", "the socket does not exist"),
        ("/nonexistent/agent.sock", "the socket does not exist"),
        ("run/agent.sock", "it has no scheme, write unix:///path or tcp://ADDRESS:PORT"),
        ("unix://run/agent.sock", "write unix:///run/agent.sock with three slashes"),
    ] {
        let source = SpiffeSource::from_env(machine([("SPIFFE_ENDPOINT_SOCKET", value)]));
        let Outcome::Broken(broken) = find(&source).await else { panic!("{value}") };
        assert!(broken.certain && broken.reason.contains(reason), "{broken:?}");
        assert!(broken.hint.is_some());
    }
}

#[tokio::test]
async fn a_bare_path_is_taken_from_the_variable_and_remarked_upon() {
    let (server, _) = replaying(&["JWT-SVID for sigstore"]).await;
    let path = server.socket.to_str().unwrap();
    let source = SpiffeSource::from_env(machine([("SPIFFE_ENDPOINT_SOCKET", path)]));
    let Outcome::Found(found) = find(&source).await else { panic!("{source:?}") };
    assert!(found.evidence.contains("bare path"), "{}", found.evidence);
}

#[tokio::test]
async fn one_of_several_is_chosen_by_its_hint_or_its_name() {
    let several = "two registrations, the second with a hint";
    let (server, api) = replaying(&[several]).await;
    let internal = Selection::default().with_hint("internal");
    let svid = api.select_jwt_svid(&Audience::sigstore(), &internal).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), A_FIRST);
    let neither = internal.with_spiffe_id(id(BUILDER));
    let error = api.select_jwt_svid(&Audience::sigstore(), &neither).await.unwrap_err();
    assert!(matches!(&error, Error::NoIdentity { asked: Some(_), .. }), "{error:?}");
    assert!(error.to_string().contains("none has the hint \"internal\""), "{error}");

    let source = SpiffeSource::at(machine([]), server.endpoint());
    let Outcome::Broken(broken) = find(&source).await else { panic!("several") };
    assert!(broken.reason.contains(A_FIRST) && broken.reason.contains(BUILDER), "{broken:?}");
    assert!(broken.hint.unwrap().contains("--spiffe-id"));
    let hinted = source.clone().with_hint("internal");
    let Outcome::Found(found) = find(&hinted).await else { panic!("by hint") };
    assert_eq!(found.token.claims().subject(), Some(A_FIRST));
    let named = source.with_spiffe_id(id(BUILDER));
    let Outcome::Found(found) = find(&named).await else { panic!("by name") };
    assert_eq!(found.token.claims().subject(), Some(BUILDER));
}

#[tokio::test]
async fn a_token_without_an_issuer_is_taken_and_remarked_upon() {
    let token = jwt(&json!({ "sub": BUILDER, "aud": ["sigstore"], "exp": 300, "iat": 0 }));
    let (server, _) = replaying_values(vec![answer(&token)]).await;
    let source = SpiffeSource::at(machine([]), server.endpoint());
    let Outcome::Found(found) = find(&source).await else { panic!("{source:?}") };
    assert!(found.evidence.contains("`jwt_issuer` on the SPIRE server"), "{}", found.evidence);
}

#[tokio::test]
async fn a_token_that_is_about_to_be_renewed_is_waited_for() {
    let claims = |issued: u64| {
        let exp = issued + 300;
        jwt(&json!({ "iss": "i", "sub": BUILDER, "aud": ["sigstore"], "exp": exp, "iat": issued }))
    };
    let answers = || vec![answer(&claims(1000)), answer(&claims(1151))];
    let found_at = async |now: u64, min_ttl: u64, answers: Vec<Value>| {
        let (server, _) = replaying_values(answers).await;
        let clock = Arc::new(Advancing(Mutex::new(Duration::from_secs(now))));
        let source = SpiffeSource::at(machine([]).with_clock(clock), server.endpoint());
        let min_ttl = Duration::from_secs(min_ttl);
        match source.find(&Audience::sigstore(), min_ttl).await {
            Outcome::Found(found) => {
                (found.token.claims().get("iat").unwrap().as_u64().unwrap(), found.evidence)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found_at(1145, 160, answers()).await.0, 1151, "half of its life ends at 1150");
    assert_eq!(found_at(1145, 150, answers()).await.0, 1000, "155 s are enough");
    let (issued, evidence) = found_at(1100, 280, answers()).await;
    assert_eq!(issued, 1000, "too long to wait");
    assert!(evidence.contains("lives for 200 s only"), "{evidence}");
    let (issued, evidence) = found_at(1149, 900, answers()).await;
    assert_eq!(issued, 1000, "no token ever lives for so long");
    assert!(evidence.contains("lives for 151 s only"), "{evidence}");
}

#[tokio::test]
async fn the_recorded_jwt_svid_verifies_with_the_recorded_bundle_and_no_other_way() {
    let (_server, api) = replaying(&["JWT bundles"]).await;
    let bundles = api.fetch_jwt_bundles().await.unwrap();
    let text = recorded_token();
    let token = IdToken::parse(&text).unwrap();
    let sigstore = Audience::sigstore();
    let now = at(1_795_359_000);
    let verify = |token: &IdToken, now| verify_jwt_svid(token, &sigstore, &bundles, now);
    assert_eq!(verify(&token, now).unwrap().as_str(), BUILDER);
    let reason = |result: Result<SpiffeId, Error>| match result {
        Err(Error::Untrusted { kind: "JWT-SVID", reason }) => reason,
        other => panic!("{other:?}"),
    };
    verify(&token, at(1_795_359_293 + 59)).unwrap();
    assert!(reason(verify(&token, at(1_795_359_293 + 60))).contains("expired 60 s ago"));
    let other = Audience::new("other").unwrap();
    let result = verify_jwt_svid(&token, &other, &bundles, now);
    assert!(reason(result).contains("expected the audience other, found \"sigstore\""));
    let none = std::collections::BTreeMap::new();
    let result = verify_jwt_svid(&token, &sigstore, &none, now);
    assert!(reason(result).contains("the bundle of example.org is not known"));
    let revoked = bundles.keys().map(|domain| (domain.clone(), JwtBundle::default())).collect();
    let result = verify_jwt_svid(&token, &sigstore, &revoked, now);
    assert!(reason(result).contains("no key"));

    let parts: Vec<&str> = text.split('.').collect();
    let header = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let id = "lDajfOuUICToKPwePMZp9I3Qdiz7tjVf";
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"] = json!(A_FIRST);
    for (part, text, expected) in [
        (2, "AAAA".repeat(21) + "AA", "its signature does not verify"),
        (1, URL_SAFE_NO_PAD.encode(claims.to_string()), "its signature does not verify"),
        (0, header(&json!({ "alg": "EdDSA", "kid": id })), "expected one of RS256"),
        (0, header(&json!({ "alg": "ES384", "kid": id })), "its signature does not verify"),
        (0, header(&json!({ "alg": "ES256" })), "`kid` is missing"),
        (0, header(&json!({ "alg": "ES256", "kid": id, "crit": ["x"] })), "found \"crit\""),
        (0, header(&json!({ "alg": "ES256", "kid": id, "typ": "wit+jwt" })), "wit+jwt"),
        (0, header(&json!({ "alg": "ES256", "kid": id, "typ": "JOSE" })), "does not verify"),
    ] {
        let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        changed[part] = text;
        let token = IdToken::parse(&changed.join(".")).unwrap();
        let reason = reason(verify(&token, now));
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    let unsigned = format!("{}.{}.", header(&json!({ "alg": "none", "kid": id })), parts[1]);
    let unsigned = IdToken::parse(&unsigned).unwrap();
    assert!(reason(verify(&unsigned, now)).contains("expected one of RS256"));
}

#[tokio::test]
async fn the_recorded_x509_svids_verify_with_the_recorded_bundle() {
    let (_server, api) = replaying(&["X.509 bundles"]).await;
    let bundles = api.fetch_x509_bundles().await.unwrap();
    let (_server, api) = replaying(&["X.509-SVIDs of several registrations"]).await;
    let state = api.fetch_x509_state().await.unwrap();
    assert!(state.federated.is_empty() && state.revocation_lists.is_empty());
    // 2026-11-22 at 15:00.
    let now = at(1_795_359_600);
    for svid in &state.svids {
        assert_eq!(verify_x509_svid(&svid.chain, &bundles, now).unwrap(), svid.spiffe_id);
    }
    let chain = &state.svids[0].chain;
    let reason = |result: Result<SpiffeId, Error>| match result {
        Err(Error::Untrusted { kind: "X.509-SVID", reason }) => reason,
        other => panic!("{other:?}"),
    };
    let late = reason(verify_x509_svid(chain, &bundles, at(1_795_459_600)));
    assert!(late.contains("valid"), "{late}");
    assert!(reason(verify_x509_svid(&[], &bundles, now)).contains("no certificate"));
    let none = std::collections::BTreeMap::new();
    assert!(
        reason(verify_x509_svid(chain, &none, now))
            .contains("the bundle of example.org is not known")
    );
    // An authority is not a workload.
    let authority = state.svids[0].bundle.clone();
    let itself = reason(verify_x509_svid(&authority, &bundles, now));
    assert!(itself.contains("names a trust domain"), "{itself}");
    let mut broken = chain.clone();
    let last = broken[0].len() - 1;
    broken[0][last] ^= 1;
    assert!(!reason(verify_x509_svid(&broken, &bundles, now)).is_empty());
}

#[tokio::test]
async fn the_api_judges_tokens_too() {
    let (server, api) =
        replaying(&["validate a good JWT-SVID", "validate a broken signature"]).await;
    let token = IdToken::parse(&recorded_token()).unwrap();
    let (spiffe_id, claims) = api.validate_jwt_svid(&Audience::sigstore(), &token).await.unwrap();
    assert_eq!(spiffe_id.as_str(), BUILDER);
    let recorded = recording("claims of the JWT-SVID");
    assert_eq!(Value::Object(claims.as_object().clone()), recorded["claims"]);
    assert_eq!(server.seen(), [Seen::of(&recording("validate a good JWT-SVID"))]);
    let error = api.validate_jwt_svid(&Audience::sigstore(), &token).await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("cryptographic primitive"), "{error}");
}

#[tokio::test]
async fn a_watch_opens_its_stream_again_and_tells_when_the_identity_is_gone() {
    let gone = "X.509 of a workload without a registration";
    let several = "X.509-SVIDs of several registrations";
    let (server, _) = replaying(&["X.509-SVIDs", gone, gone, several]).await;
    let clock = Arc::new(Advancing(Mutex::default()));
    let mut watch = watch_x509(server.endpoint(), clock.clone());
    let Update::State(state) = watch.next().await.unwrap() else { panic!("a state first") };
    assert_eq!(state.svids.len(), 1);
    let Update::Revoked { message } = watch.next().await.unwrap() else { panic!("gone") };
    assert_eq!(message, "no identity issued");
    let Update::State(state) = watch.next().await.unwrap() else { panic!("back") };
    assert_eq!(state.svids.len(), 2);
    assert_eq!(server.seen().len(), 4, "told of its absence once");
    // The stream ended by itself once, which costs nothing; two refusals cost 2 and 3 seconds.
    assert_eq!(clock.now(), at(5));
}

#[tokio::test]
async fn a_watch_ends_where_asking_again_will_not_help_and_drops_what_breaks_the_rules() {
    let (server, _) = replaying(&["X.509-SVIDs without the header"]).await;
    let mut watch = watch_x509(server.endpoint(), Arc::new(SystemTime::UNIX_EPOCH));
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: "INVALID_ARGUMENT", .. }), "{error:?}");

    // No SVID in the message: it is dropped, and the next one counts.
    let mut empty = recording("X.509-SVIDs");
    empty["responses_b64"].as_array_mut().unwrap().insert(0, json!(""));
    let (server, _) = replaying_values(vec![empty]).await;
    let mut watch = watch_x509(server.endpoint(), Arc::new(SystemTime::UNIX_EPOCH));
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, Error::InvalidAnswer { .. }), "{error:?}");
    assert!(matches!(watch.next().await.unwrap(), Update::State(_)));
    assert_eq!(server.seen().len(), 1, "it is the same stream");

    let (server, _) = replaying(&["JWT bundles"]).await;
    let mut watch = watch_jwt_bundles(server.endpoint(), Arc::new(SystemTime::UNIX_EPOCH));
    let Update::State(bundles) = watch.next().await.unwrap() else { panic!("a state") };
    assert_eq!(bundles.values().next().unwrap().keys().len(), 1);
}
