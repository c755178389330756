//! The Workload API as a source of identity tokens.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::FakeEnv;
use id_token::{Audience, Outcome, TokenSource as _};
use serde_json::{Value, json};
use spiffe_workload_api::{Endpoint, Error, Selection, SpiffeSource};

use crate::replay::{
    A_FIRST, Advancing, BUILDER, answer, find, id, jwt, machine, replaying, replaying_values,
};

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
    let svid = api.select_jwt_svid(&[Audience::sigstore()], &internal).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), A_FIRST);
    let neither = internal.with_spiffe_id(id(BUILDER));
    let error = api.select_jwt_svid(&[Audience::sigstore()], &neither).await.unwrap_err();
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
