//! Sources that live as long as the program.

use std::sync::Arc;
use std::time::Duration;

use id_token::{Audience, IdToken};
use serde_json::json;
use spiffe_workload_api::{Error, Health, JwtSource, Selection, Unreachable, X509Source};

use crate::agent::{Agent, Call, Quick};
use crate::replay::{A_FIRST, BUILDER, at, id, jwt, recorded_token, recording};
use crate::wire;

const INVALID_ARGUMENT: u32 = 3;
const PERMISSION_DENIED: u32 = 7;
const UNAVAILABLE: u32 = 14;

/// When the recorded certificates are valid: 2026-11-22 at 15:00.
const RECORDED: u64 = 1_795_359_600;

const WITHIN: Duration = Duration::from_secs(10);

fn one() -> Vec<u8> {
    wire::message(&recording("X.509-SVIDs"))
}

fn two() -> Vec<u8> {
    wire::message(&recording("X.509-SVIDs of several registrations"))
}

/// A source whose stream is open.
async fn x509(agent: &mut Agent, clock: &Arc<Quick>) -> (X509Source, Call) {
    let starting = X509Source::start(agent.endpoint(), Arc::clone(clock) as _, WITHIN);
    let (source, call) = tokio::join!(starting, async {
        let call = agent.call().await;
        call.send(&one());
        call
    });
    (source.unwrap(), call)
}

async fn changed(source: &mut X509Source) {
    tokio::time::timeout(WITHIN, source.changed()).await.expect("a change").unwrap();
}

fn only() -> Selection {
    Selection::default()
}

#[tokio::test]
async fn an_svid_that_is_renewed_during_use_is_handed_out_from_then_on() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (mut source, call) = x509(&mut agent, &clock).await;
    let held = source.svid(&only()).unwrap();
    assert_eq!(held.spiffe_id.as_str(), BUILDER);
    assert!(matches!(source.health(), Health::Current));
    let quiet = tokio::time::timeout(Duration::from_millis(30), source.changed()).await;
    assert!(quiet.is_err(), "nothing changed");

    let clone = source.clone();
    call.send(&two());
    changed(&mut source).await;
    let renewed = clone.svid(&only().with_spiffe_id(id(BUILDER))).unwrap();
    assert_eq!(renewed.leaf.der(), renewed.chain[0]);
    assert_eq!(held.spiffe_id, renewed.spiffe_id, "what is in use stays whole");
    assert!(matches!(source.svid(&only()), Err(Error::Several { offered }) if offered.len() == 2));
    let by_hint = source.svid(&only().with_hint("internal")).unwrap();
    assert_eq!(by_hint.spiffe_id.as_str(), A_FIRST);
    let missing = source.svid(&only().with_hint("release")).unwrap_err().to_string();
    assert!(missing.contains("none has the hint \"release\"; it issues"), "{missing}");
    assert_eq!(source.state().unwrap().svids.len(), 2);
}

#[tokio::test]
async fn a_peer_is_verified_with_the_bundles_of_the_source() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (source, _call) = x509(&mut agent, &clock).await;
    let chain = source.svid(&only()).unwrap().chain;
    assert_eq!(source.verify(&chain).unwrap().as_str(), BUILDER);
    assert!(matches!(source.verify(&[]), Err(Error::Untrusted { .. })));
}

#[tokio::test]
async fn while_the_stream_is_broken_the_last_svid_is_used_and_the_health_says_so() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (mut source, call) = x509(&mut agent, &clock).await;
    call.cut();
    changed(&mut source).await;
    assert!(matches!(source.health(), Health::Behind { .. }), "{:?}", source.health());
    source.svid(&only()).unwrap();
    agent.call().await.end(UNAVAILABLE);
    let call = agent.call().await;
    call.send(&two());
    changed(&mut source).await;
    assert!(matches!(source.health(), Health::Current));

    // A message that breaks the rules does not replace the state before it.
    call.send(&[]);
    changed(&mut source).await;
    let Health::Behind { error } = source.health() else { panic!("{:?}", source.health()) };
    assert!(matches!(error, Error::InvalidAnswer { .. }), "{error:?}");
    assert_eq!(source.state().unwrap().svids.len(), 2);
}

#[tokio::test]
async fn an_agent_that_is_restarted_during_use_is_found_again() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (mut source, call) = x509(&mut agent, &clock).await;
    agent.kill();
    drop(call);
    changed(&mut source).await;
    assert!(matches!(source.health(), Health::Behind { .. }), "{:?}", source.health());
    source.svid(&only()).unwrap();
    agent.listen();
    let call = agent.call().await;
    call.send(&two());
    changed(&mut source).await;
    assert_eq!(source.state().unwrap().svids.len(), 2);
}

#[tokio::test]
async fn an_identity_that_is_revoked_is_not_handed_out_and_may_come_back() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (mut source, call) = x509(&mut agent, &clock).await;
    call.end(PERMISSION_DENIED);
    changed(&mut source).await;
    assert!(matches!(source.health(), Health::Revoked { .. }));
    assert!(matches!(source.svid(&only()), Err(Error::NoIdentity { asked: None, .. })));
    assert!(matches!(source.verify(&[]), Err(Error::NoIdentity { .. })));
    // That the agent cannot be reached now does not bring the old state back.
    agent.call().await.end(UNAVAILABLE);
    let call = agent.call().await;
    assert!(matches!(source.svid(&only()), Err(Error::NoIdentity { .. })));
    call.send(&one());
    changed(&mut source).await;
    source.svid(&only()).unwrap();
}

#[tokio::test]
async fn an_expired_svid_is_not_handed_out() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (source, _call) = x509(&mut agent, &clock).await;
    let end = source.svid(&only()).unwrap().leaf.not_after();
    clock.set(end + Duration::from_secs(7));
    let error = source.svid(&only()).unwrap_err().to_string();
    let expected = format!(
        "the X.509-SVID cannot be trusted: that of {BUILDER} expired 7 s ago and no newer one has \
         come"
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn stop_ends_the_waits_of_all_clones_and_closes_the_stream() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (source, call) = x509(&mut agent, &clock).await;
    let mut waiting = source.clone();
    let waiter = tokio::spawn(async move {
        let error = waiting.changed().await.unwrap_err();
        (error, waiting.changed().await.is_err())
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    source.stop();
    let (error, again) = tokio::time::timeout(WITHIN, waiter).await.unwrap().unwrap();
    assert!(error.to_string().ends_with("this source was stopped"), "{error}");
    assert!(again, "a later wait ends at once");
    tokio::time::timeout(WITHIN, call.is_dropped()).await.expect("the stream is closed");
    assert!(source.svid(&only()).is_err() && matches!(source.health(), Health::Stopped));
}

#[tokio::test]
async fn the_stream_is_closed_with_the_last_clone() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(RECORDED)));
    let (source, call) = x509(&mut agent, &clock).await;
    let clone = source.clone();
    drop(source);
    let open = tokio::time::timeout(Duration::from_millis(50), call.is_dropped()).await;
    assert!(open.is_err() && clone.svid(&only()).is_ok());
    drop(clone);
    tokio::time::timeout(WITHIN, call.is_dropped()).await.expect("the stream is closed");
}

#[tokio::test]
async fn the_first_state_is_waited_for_and_the_last_reason_is_told() {
    let nowhere = spiffe_workload_api::Endpoint::unix("/nonexistent/agent.sock").unwrap();
    let soon = Duration::from_millis(60);
    let clock = Quick::at(at(RECORDED));
    let error = X509Source::start(nowhere, clock.clone(), soon).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { why: Unreachable::Missing, .. }), "{error:?}");

    let agent = Agent::start();
    let error = X509Source::start(agent.endpoint(), clock.clone(), soon).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { after, .. } if after == soon), "{error:?}");

    // A registration that comes after a while, and refusals that no wait changes.
    let mut agent = Agent::start();
    let starting = X509Source::start(agent.endpoint(), clock.clone(), WITHIN);
    let (source, _call) = tokio::join!(starting, async {
        agent.call().await.end(PERMISSION_DENIED);
        let call = agent.call().await;
        call.send(&one());
        call
    });
    source.unwrap().svid(&only()).unwrap();
    for (status, message) in [(INVALID_ARGUMENT, None), (0, Some(&[][..]))] {
        let starting = X509Source::start(agent.endpoint(), clock.clone(), WITHIN * 10);
        let starting = tokio::time::timeout(WITHIN, starting);
        let (source, ()) = tokio::join!(starting, async {
            let call = agent.call().await;
            message.inspect(|message| call.send(message));
            call.end(status);
        });
        let error = source.expect("at once").unwrap_err();
        assert!(
            matches!(error, Error::Refused { .. } | Error::InvalidAnswer { .. }),
            "{status}: {error:?}"
        );
    }
}

/// A token that was issued at `issued` and lives for 300 s.
fn token(audience: &str, issued: u64) -> String {
    let (aud, exp) = ([audience], issued + 300);
    jwt(&json!({ "iss": "i", "sub": BUILDER, "aud": aud, "iat": issued, "exp": exp }))
}

async fn jwt_source(agent: &mut Agent, clock: &Arc<Quick>) -> (JwtSource, Call) {
    let starting = JwtSource::start(agent.endpoint(), Arc::clone(clock) as _, WITHIN);
    let (source, call) = tokio::join!(starting, async {
        let call = agent.call().await;
        assert_eq!(call.method, "FetchJWTBundles");
        call.send(&wire::message(&recording("JWT bundles")));
        call
    });
    (source.unwrap(), call)
}

/// The token that the source gives while the agent answers with `issued`, or is not asked.
async fn issued_at(source: &JwtSource, agent: &mut Agent, issued: Option<u64>) -> u64 {
    let audiences = [Audience::sigstore()];
    let only = only();
    let (svid, ()) = tokio::join!(source.svid(&audiences, &only), async {
        if let Some(issued) = issued {
            let call = agent.call().await;
            assert_eq!(call.method, "FetchJWTSVID");
            call.token(BUILDER, &token("sigstore", issued));
        }
    });
    assert!(!agent.is_asked(), "once at most");
    svid.unwrap().token.claims().get("iat").unwrap().as_u64().unwrap()
}

#[tokio::test]
async fn a_token_is_kept_until_half_of_its_life_is_over() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (source, _bundles) = jwt_source(&mut agent, &clock).await;
    assert_eq!(issued_at(&source, &mut agent, Some(1000)).await, 1000);
    clock.set(at(1149));
    assert_eq!(issued_at(&source, &mut agent, None).await, 1000);
    clock.set(at(1150));
    assert_eq!(issued_at(&source.clone(), &mut agent, Some(1150)).await, 1150);
    assert_eq!(issued_at(&source, &mut agent, None).await, 1150);
}

#[tokio::test]
async fn a_token_that_many_want_at_once_is_fetched_once() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (source, _bundles) = jwt_source(&mut agent, &clock).await;
    let wanted: Vec<_> = (0..5)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.svid(&[Audience::sigstore()], &only()).await })
        })
        .collect();
    let call = agent.call().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    call.token(BUILDER, &token("sigstore", 1000));
    for svid in wanted {
        svid.await.unwrap().unwrap();
    }
    assert!(!agent.is_asked());
}

#[tokio::test]
async fn without_an_agent_a_kept_token_is_used_to_its_end_and_no_longer() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (source, _bundles) = jwt_source(&mut agent, &clock).await;
    issued_at(&source, &mut agent, Some(1000)).await;
    agent.kill();
    clock.set(at(1299));
    assert_eq!(issued_at(&source, &mut agent, None).await, 1000);
    clock.set(at(1300));
    let error = source.svid(&[Audience::sigstore()], &only()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    // After a restart the source finds the agent again, over a new connection.
    agent.listen();
    let answering = async {
        loop {
            let call = agent.call().await;
            match call.method.as_str() {
                "FetchJWTSVID" => return call.token(BUILDER, &token("sigstore", 1300)),
                _ => call.send(&wire::message(&recording("JWT bundles"))),
            }
        }
    };
    let (audiences, only) = ([Audience::sigstore()], only());
    let (svid, ()) = tokio::join!(source.svid(&audiences, &only), answering);
    svid.unwrap();
}

#[tokio::test]
async fn a_kept_token_of_an_identity_that_was_lost_is_not_handed_out() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (mut source, bundles) = jwt_source(&mut agent, &clock).await;
    issued_at(&source, &mut agent, Some(1000)).await;
    bundles.end(PERMISSION_DENIED);
    source.changed().await.unwrap();
    let error = source.svid(&[Audience::sigstore()], &only()).await.unwrap_err();
    assert!(matches!(error, Error::NoIdentity { .. }), "{error:?}");
    let call = agent.call().await;
    call.send(&wire::message(&recording("JWT bundles")));
    source.changed().await.unwrap();
    assert_eq!(issued_at(&source, &mut agent, Some(1001)).await, 1001, "the old one is forgotten");
}

#[tokio::test]
async fn a_refusal_is_reported_even_where_a_token_is_kept() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (source, _bundles) = jwt_source(&mut agent, &clock).await;
    issued_at(&source, &mut agent, Some(1000)).await;
    clock.set(at(1200));
    let (audiences, only) = ([Audience::sigstore()], only());
    let (svid, ()) = tokio::join!(source.svid(&audiences, &only), async {
        agent.call().await.end(PERMISSION_DENIED);
    });
    assert!(matches!(svid, Err(Error::NoIdentity { .. })), "{svid:?}");
}

#[tokio::test]
async fn stop_ends_a_fetch_that_waits() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (source, bundles) = jwt_source(&mut agent, &clock).await;
    let waiting = source.clone();
    let waiter = tokio::spawn(async move { waiting.svid(&[Audience::sigstore()], &only()).await });
    let call = agent.call().await;
    source.stop();
    let error = tokio::time::timeout(WITHIN, waiter).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().ends_with("this source was stopped"), "{error}");
    tokio::time::timeout(WITHIN, call.is_dropped()).await.expect("the call is given up");
    tokio::time::timeout(WITHIN, bundles.is_dropped()).await.expect("the stream is closed");
}

#[tokio::test]
async fn at_most_64_tokens_are_kept() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1000)));
    let (source, _bundles) = jwt_source(&mut agent, &clock).await;
    let names: Vec<String> = (0..65).map(|number| format!("a{number}")).collect();
    for name in names.iter().chain([&names[0]]) {
        let (audiences, only) = ([Audience::new(name.as_str()).unwrap()], only());
        let (svid, ()) = tokio::join!(source.svid(&audiences, &only), async {
            agent.call().await.token(BUILDER, &token(name, 1000));
        });
        svid.unwrap();
    }
    source.svid(&[Audience::new("a64").unwrap()], &only()).await.unwrap();
    assert!(!agent.is_asked());
}

#[tokio::test]
async fn a_token_of_a_peer_is_verified_with_the_bundles_of_the_source() {
    let (mut agent, clock) = (Agent::start(), Quick::at(at(1_795_359_000)));
    let (source, _bundles) = jwt_source(&mut agent, &clock).await;
    let token = IdToken::parse(&recorded_token()).unwrap();
    assert_eq!(source.verify(&token, &Audience::sigstore()).unwrap().as_str(), BUILDER);
    let other = Audience::new("other").unwrap();
    assert!(matches!(source.verify(&token, &other), Err(Error::Untrusted { .. })));
    assert_eq!(source.bundles().unwrap().len(), 1);
}
