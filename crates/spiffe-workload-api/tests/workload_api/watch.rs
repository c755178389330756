//! Streams that are opened again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use host::{BoxFuture, Clock};
use serde_json::json;
use spiffe_workload_api::{
    Endpoint, Error, Update, Watch, X509State, watch_jwt_bundles, watch_x509,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use crate::agent::{Agent, Quick};
use crate::replay::{Advancing, at, recording, replaying, replaying_values};
use crate::wire;

const PERMISSION_DENIED: u32 = 7;

fn one() -> Vec<u8> {
    wire::message(&recording("X.509-SVIDs"))
}

fn two() -> Vec<u8> {
    wire::message(&recording("X.509-SVIDs of several registrations"))
}

/// How many SVIDs the next update has.
async fn count(watch: &mut Watch<X509State>) -> usize {
    match watch.next().await.unwrap() {
        Update::State(state) => state.svids.len(),
        other => panic!("{other:?}"),
    }
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
    // The stream ended by itself once, which costs nothing; two refusals cost up to 2 and 3 seconds.
    assert!(clock.now() > at(2) && clock.now() <= at(5), "{:?}", clock.now());
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

#[tokio::test]
async fn a_stream_that_is_cut_in_the_middle_of_a_message_is_opened_again() {
    let mut agent = Agent::start();
    let mut watch = watch_x509(agent.endpoint(), Quick::at(at(0)));
    let script = async {
        let call = agent.call().await;
        assert_eq!(call.method, "FetchX509SVID");
        call.send(&one());
        tokio::time::sleep(Duration::from_millis(30)).await;
        // Half of a message, and then nothing more.
        call.cut();
        let call = agent.call().await;
        call.send(&two());
        call
    };
    let (_open, ()) = tokio::join!(script, async {
        assert_eq!(count(&mut watch).await, 1);
        assert_eq!(count(&mut watch).await, 2);
    });
}

#[tokio::test]
async fn an_agent_that_was_restarted_is_found_again() {
    let mut agent = Agent::start();
    let mut watch = watch_x509(agent.endpoint(), Quick::at(at(0)));
    let script = async {
        agent.call().await.send(&one());
        agent.kill();
        tokio::time::sleep(Duration::from_millis(50)).await;
        agent.listen();
        let call = agent.call().await;
        call.send(&two());
        call
    };
    let (_open, ()) = tokio::join!(script, async { while count(&mut watch).await != 2 {} });
}

/// A clock whose waits end when the test says so, one at a time.
#[derive(Default)]
struct ManualClock(Arc<Notify>);

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        at(0)
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        let over = Arc::clone(&self.0);
        Box::pin(async move { over.notified().await })
    }
}

#[tokio::test]
async fn a_pause_goes_on_where_select_dropped_the_future() {
    let mut agent = Agent::start();
    let clock = Arc::new(ManualClock::default());
    let mut watch = watch_x509(agent.endpoint(), clock.clone());
    let (_, update) =
        tokio::join!(async { agent.call().await.end(PERMISSION_DENIED) }, watch.next());
    assert!(matches!(update, Ok(Update::Revoked { .. })), "{update:?}");
    for _ in 0..20 {
        tokio::select! {
            update = watch.next() => panic!("{update:?}"),
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
        assert!(!agent.is_asked(), "the pause is not over");
    }
    clock.0.notify_one();
    let script = async {
        let call = agent.call().await;
        call.send(&one());
        call
    };
    let (_open, svids) = tokio::join!(script, count(&mut watch));
    assert_eq!(svids, 1);
}

#[tokio::test]
async fn opening_a_stream_goes_on_where_select_dropped_the_future() {
    let mut agent = Agent::start();
    let mut watch = watch_x509(agent.endpoint(), Quick::at(at(0)));
    let mut held = None;
    for _ in 0..30 {
        tokio::select! {
            update = watch.next() => panic!("{update:?}"),
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
        if agent.is_asked() {
            assert!(held.replace(agent.call().await).is_none(), "asked twice");
        }
    }
    held.as_ref().unwrap().send(&one());
    assert_eq!(count(&mut watch).await, 1);
    assert!(!agent.is_asked());
}

/// A clock that remembers its waits and does not wait.
struct Pauses(Mutex<Vec<Duration>>);

impl Clock for Pauses {
    fn now(&self) -> SystemTime {
        at(0)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn after_refusals_the_pauses_grow_to_thirty_seconds_and_differ() {
    let (server, _) = replaying(&["X.509-SVIDs without the header"]).await;
    let clock = Arc::new(Pauses(Mutex::default()));
    let mut watch = watch_x509(server.endpoint(), clock.clone());
    for _ in 0..41 {
        let error = watch.next().await.unwrap_err();
        assert!(matches!(error, Error::Refused { code: "INVALID_ARGUMENT", .. }), "{error:?}");
    }
    let pauses = clock.0.lock().unwrap().clone();
    assert_eq!((server.seen().len(), pauses.len()), (41, 41));
    for (number, pause) in (1..).zip(&pauses) {
        let full = Duration::from_secs(number.min(30));
        assert!(*pause <= full && *pause >= full / 2, "{number}: {pause:?}");
    }
    assert!(pauses[30..].windows(2).any(|two| two[0] != two[1]), "not all workloads at once");
}

#[tokio::test]
async fn a_flood_of_messages_that_break_the_rules_is_slowed_down() {
    let mut flood = recording("X.509-SVIDs");
    flood["responses_b64"] = json!(vec![""; 20]);
    let (server, _) = replaying_values(vec![flood]).await;
    let clock = Arc::new(Pauses(Mutex::default()));
    let mut watch = watch_x509(server.endpoint(), clock.clone());
    for _ in 0..20 {
        assert!(matches!(watch.next().await, Err(Error::InvalidAnswer { .. })));
    }
    assert_eq!(server.seen().len(), 1, "it is the same stream");
    assert!(clock.0.lock().unwrap().len() >= 18);
}

/// Hands connections on to `agent` until it is frozen: then it neither reads nor closes them.
async fn freezing(socket: &Path, agent: Endpoint, frozen: Arc<AtomicBool>, second: Arc<Notify>) {
    let Endpoint::Unix(agent) = agent else { panic!("a socket") };
    let listener = UnixListener::bind(socket).unwrap();
    let mut connections = 0;
    while let Ok((near, _)) = listener.accept().await {
        connections += 1;
        if connections == 2 {
            second.notify_one();
        }
        let far = UnixStream::connect(&agent).await.unwrap();
        let frozen = if connections == 1 { Arc::clone(&frozen) } else { Arc::default() };
        tokio::spawn(async move {
            let (near, far) = (Arc::new(near), Arc::new(far));
            let up = tokio::spawn(carry(Arc::clone(&near), Arc::clone(&far), Arc::clone(&frozen)));
            carry(far, near, frozen).await;
            let _ = up.await;
        });
    }
}

async fn carry(from: Arc<UnixStream>, to: Arc<UnixStream>, frozen: Arc<AtomicBool>) {
    let mut bytes = [0; 4096];
    while from.readable().await.is_ok() {
        if frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let Ok(length) = from.try_read(&mut bytes) else { continue };
        let mut rest = &bytes[..length];
        while !rest.is_empty() && to.writable().await.is_ok() {
            if let Ok(written) = to.try_write(rest) {
                rest = &rest[written..];
            }
        }
        if length == 0 {
            return;
        }
    }
}

/// Without keepalive, a watch would wait for a frozen agent without end.
#[tokio::test]
async fn an_agent_that_is_frozen_is_noticed_within_six_minutes() {
    let mut agent = Agent::start();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("freezing.sock");
    let (frozen, second) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (endpoint, state) = (agent.endpoint(), (Arc::clone(&frozen), Arc::clone(&second)));
    let path = socket.clone();
    tokio::spawn(async move { freezing(&path, endpoint, state.0, state.1).await });
    tokio::task::yield_now().await;
    let mut watch = watch_x509(Endpoint::unix(socket).unwrap(), Quick::at(at(0)));
    let (call, ()) = tokio::join!(agent.call(), async {
        tokio::select! {
            update = watch.next() => panic!("{update:?}"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    });
    call.send(&one());
    assert_eq!(count(&mut watch).await, 1);
    frozen.store(true, Ordering::SeqCst);

    // From here on, waits end as soon as nothing else happens.
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    tokio::select! {
        update = watch.next() => panic!("{update:?}"),
        () = second.notified() => {}
        () = tokio::time::sleep(Duration::from_secs(3600)) => {}
    }
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(300), "Go's servers allow one ping in five minutes");
    assert!(waited <= Duration::from_secs(400), "{waited:?}");
}
