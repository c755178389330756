//! A Workload API that makes its callers slow, large, silent or wrong.

#![expect(clippy::disallowed_methods, reason = "the time that is measured is the real one")]

use std::time::{Duration, Instant};

use id_token::Audience;
use serde_json::json;
use spiffe_workload_api::{
    Endpoint, Error, JwtBundle, JwtSvid, WorkloadApi, X509Bundle, X509Source,
};

use crate::agent::{Agent, Call, Quick};
use crate::replay::{A_FIRST, BUILDER, at, id, jwt, recording};
use crate::wire;

const MIB: usize = 1 << 20;

/// The result of a fetch while `answer` is what the agent does.
async fn jwt_svid(answer: impl FnOnce(Call)) -> Result<JwtSvid, Error> {
    let mut agent = Agent::start();
    let api = WorkloadApi::connect(&agent.endpoint()).await.unwrap();
    let api = api.with_deadline(Duration::from_millis(500));
    let audiences = [Audience::sigstore()];
    let (svid, ()) = tokio::join!(api.fetch_jwt_svid(&audiences, None), async {
        answer(agent.call().await);
    });
    svid
}

/// The reason why the X.509-SVIDs of `message` are refused, and how long that took.
async fn x509_svids(message: &[u8]) -> (String, Duration) {
    let mut agent = Agent::start();
    let api = WorkloadApi::connect(&agent.endpoint()).await.unwrap();
    let start = Instant::now();
    let (svids, _call) = tokio::join!(api.fetch_x509_state(), async {
        let call = agent.call().await;
        call.send(message);
        call
    });
    (svids.unwrap_err().to_string(), start.elapsed())
}

fn token() -> String {
    jwt(&json!({ "sub": BUILDER, "aud": ["sigstore"], "iat": 0, "exp": 300 }))
}

#[tokio::test]
async fn a_message_that_is_too_large_or_only_claims_to_be_is_refused() {
    for (claimed, sent) in [(u32::MAX, 10), (4 * 1024 * 1024 + 1, 5 * MIB)] {
        let error = jwt_svid(|call| {
            let mut bytes = vec![0];
            bytes.extend(claimed.to_be_bytes());
            bytes.resize(sent, 0);
            call.send_raw(bytes);
            call.end(0);
        });
        let error = error.await.unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
    }
}

#[tokio::test]
async fn a_message_that_never_ends_meets_the_deadline() {
    let mut held = None;
    let error = jwt_svid(|call| {
        call.send_raw(&[0, 0, 16, 0, 0, 0x0a][..]);
        held = Some(call);
    });
    assert!(matches!(error.await, Err(Error::TimedOut { .. })));
}

#[tokio::test]
async fn what_is_not_a_message_is_refused() {
    // A compressed frame, a torn one, junk, a field of the wrong kind, no message at all.
    for bytes in [
        &[1, 0, 0, 0, 1, 7][..],
        &[0, 0, 0],
        &[0, 0, 0, 0, 2, 0xff, 0xff],
        &[0, 0, 0, 0, 2, 0x08, 0x01],
        &[9, 9, 9, 9, 9],
        &[],
    ] {
        let error = jwt_svid(|call| {
            call.send_raw(bytes.to_vec());
            call.end(0);
        });
        let error = error.await.unwrap_err();
        assert!(!matches!(error, Error::NoIdentity { .. }), "{bytes:?}: {error:?}");
        assert!(error.to_string().len() < 400, "{error}");
    }
}

#[tokio::test]
async fn a_status_that_does_not_exist_and_a_long_text_are_shown_in_a_line() {
    let text = format!("%1B[2J{}", "x".repeat(8000));
    for status in [99, 3, 14, 7] {
        let error = jwt_svid(|call| call.refuse(status, &text)).await.unwrap_err().to_string();
        assert!(error.len() < 400 && !error.contains('\u{1b}'), "{status}: {error}");
    }
    let stolen = token();
    let error = jwt_svid(|call| call.refuse(3, &stolen)).await.unwrap_err().to_string();
    assert!(!error.contains(&stolen) && error.contains("[token]"), "{error}");
}

#[tokio::test]
async fn of_two_answers_to_one_question_the_first_counts() {
    let svid = |id: &str| {
        let token = jwt(&json!({ "sub": id, "aud": ["sigstore"], "iat": 0, "exp": 300 }));
        wire::of_svids(&[vec![(1, id.as_bytes().to_vec()), (2, token.into_bytes())]])
    };
    let answer = jwt_svid(|call| {
        call.send(&svid(BUILDER));
        call.send(&svid(A_FIRST));
        call.end(0);
    });
    match answer.await {
        Ok(svid) => assert_eq!(svid.spiffe_id.as_str(), BUILDER),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_thousand_identities_with_long_hints_make_a_short_error() {
    let svid = |number: u32| {
        let id = format!("{A_FIRST}/{}{number}", "a".repeat(1000));
        let token = jwt(&json!({ "sub": id, "aud": ["sigstore"], "exp": 300 }));
        vec![(1, id.into_bytes()), (2, token.into_bytes()), (3, vec![b'h'; 400])]
    };
    let svids: Vec<_> = (0..1000).map(svid).collect();
    let start = Instant::now();
    let error = jwt_svid(|call| {
        call.send(&wire::of_svids(&svids));
        call.end(0);
    });
    let error = error.await.unwrap_err();
    assert!(matches!(&error, Error::Several { offered } if offered.len() == 1000), "{error:?}");
    let text = error.to_string();
    assert!(text.len() < 30_000 && text.ends_with("and 980 more"), "{}", text.len());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn more_identities_than_a_process_has_are_refused() {
    let one = vec![(1, BUILDER.as_bytes().to_vec()), (2, token().into_bytes())];
    let error = jwt_svid(|call| {
        call.send(&wire::of_svids(&vec![one; 1025]));
        call.end(0);
    });
    assert!(error.await.unwrap_err().to_string().contains("1025 SVIDs, the limit is 1024"));
}

#[tokio::test]
async fn millions_of_empty_certificates_are_refused_at_the_first_too_many() {
    let recorded = wire::svids(&wire::message(&recording("X.509-SVIDs"))).remove(0);
    let empty: Vec<u8> = [0x30, 0x00].repeat(3 * MIB / 2);
    for (field, expected) in [(2, "1 to 16 DER certificates"), (4, "1 to 1024 DER certificates")] {
        let svid = wire::with(recorded.clone(), field, empty.clone());
        let (error, took) = x509_svids(&wire::of_svids(&[svid])).await;
        assert!(error.contains(expected), "{error}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let start = Instant::now();
    assert!(X509Bundle::from_der(&empty).is_err());
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_full_of_svids_is_checked_in_bounded_time() {
    let recorded = wire::svids(&wire::message(&recording("X.509-SVIDs"))).remove(0);
    let mut svids = vec![recorded.clone(); 128];
    // All but the last are good.
    svids[127] = wire::with(recorded, wire::KEY, vec![0x30, 0x00]);
    let (error, took) = x509_svids(&wire::of_svids(&svids)).await;
    assert!(error.contains("the private key of"), "{error}");
    assert!(took < Duration::from_secs(20), "{took:?} for 128 keys in a debug build");
}

#[tokio::test]
async fn federated_bundles_with_wrong_names_are_refused() {
    let recorded = wire::message(&recording("X.509-SVIDs"));
    for name in ["example.com", "spiffe://example.com/a", "spiffe://", "https://example.com", ""] {
        let entry = wire::encode(&[(1, name.as_bytes().to_vec()), (2, Vec::new())]);
        let message = [recorded.clone(), wire::encode(&[(3, entry)])].concat();
        let (error, _) = x509_svids(&message).await;
        assert!(error.contains("cannot be used"), "{name}: {error}");
    }
}

#[test]
fn key_sets_of_millions_of_values_are_refused_or_read_in_bounded_time() {
    let deep = format!("{{\"keys\":{}", "[".repeat(4 * MIB - 20));
    let wide = format!("{{\"keys\":[{}0]}}", "0,".repeat(2 * MIB - 20));
    let keys = format!("{{\"keys\":[{}{{}}]}}", "{},".repeat(MIB));
    let twice = "{\"keys\":[],\"keys\":7}".to_owned();
    for document in [deep, wide, keys, twice, String::new(), "7".to_owned()] {
        let start = Instant::now();
        assert!(JwtBundle::from_jwks(document.as_bytes()).is_err());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

/// What an agent sends faster than it is used does not pile up: the last state counts.
#[tokio::test]
async fn a_flood_of_states_leaves_the_last_one() {
    let mut agent = Agent::start();
    let one = wire::message(&recording("X.509-SVIDs"));
    let two = wire::message(&recording("X.509-SVIDs of several registrations"));
    let starting =
        X509Source::start(agent.endpoint(), Quick::at(at(0)) as _, Duration::from_secs(10));
    let (source, call) = tokio::join!(starting, async {
        let call = agent.call().await;
        call.send(&one);
        call
    });
    let mut source = source.unwrap();
    for _ in 0..500 {
        call.send(&one);
    }
    call.send(&two);
    let last = async {
        while source.state().unwrap().svids.len() != 2 {
            source.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), last).await.unwrap();
    assert!(source.state().unwrap().svids.iter().any(|svid| svid.spiffe_id == id(A_FIRST)));
}

#[tokio::test]
async fn a_socket_that_closes_every_connection_is_named_and_not_asked_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("closing.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let counted = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&counted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            drop(stream);
        }
    });
    let endpoint = Endpoint::unix(socket).unwrap();
    let error = X509Source::start(endpoint, Quick::at(at(0)) as _, Duration::from_millis(200));
    let error = error.await.unwrap_err();
    assert!(matches!(error, Error::NotGrpc { .. } | Error::Unreachable { .. }), "{error:?}");
    // Pauses of 10, 20, 30 ... ms: some attempts, each of one or two connections.
    let attempts = counted.load(std::sync::atomic::Ordering::SeqCst);
    assert!(attempts < 40, "{attempts}");
}
