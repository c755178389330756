//! A machine with no identity, and a job without permission: what is asked, and how long it takes.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use host::{BoxFuture, CallPolicy, Clock};
use id_token::{Absence, Audience, Outcome, TokenSource};
use oidc_ambient::{Error, Sources, Stage, State, detect, survey};

use crate::fake::{FakeHost, block_on, every_source};

fn empty_host() -> FakeHost {
    FakeHost::new(&[("PATH", "/bin"), ("HOME", "/home/me"), ("LANG", "C"), ("USER", "me")])
}

#[test]
fn a_machine_with_no_identity_is_asked_at_most_the_metadata_probe() {
    let fake = empty_host();
    let Err(Error::Nothing { absent, broken }) = fake.detect() else { panic!() };
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(absent.len(), every_source(&fake.host()).names().len() + 1, "two are files");
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].uri(), "http://169.254.169.254/");
    let policy = requests[0].extensions().get::<CallPolicy>().unwrap();
    assert!(policy.total <= Duration::from_millis(150), "{policy:?}");
    assert_eq!((policy.attempts, policy.proxy), (1, false));
}

/// A clock that stands still, and every sleep that it was asked for.
#[derive(Default)]
struct Sleeps(Mutex<Vec<Duration>>);

impl Clock for Sleeps {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

/// What is waited for: the deadlines of all requests, and every sleep between them. What the
/// search costs beside that is for `cargo xtask bench` to measure.
fn waits(fake: &FakeHost) -> Duration {
    let clock = Arc::new(Sleeps::default());
    let mut host = fake.host();
    host.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let sources = every_source(&host);
    let audience = Audience::sigstore();
    assert!(block_on(detect(&sources, &audience, Duration::from_secs(30))).is_err());
    let requests = fake.requests();
    let deadlines = requests
        .iter()
        .map(|request| request.extensions().get::<CallPolicy>().map_or(FOREVER, |it| it.total));
    deadlines.sum::<Duration>() + clock.0.lock().unwrap().iter().sum()
}

/// No request may be without a deadline.
const FOREVER: Duration = Duration::from_secs(86_400);

#[test]
fn on_such_a_machine_nothing_is_waited_for_longer_than_150_milliseconds() {
    let waited = waits(&empty_host());
    assert!(waited > Duration::ZERO && waited <= Duration::from_millis(150), "{waited:?}");
}

#[test]
fn a_machine_that_says_it_is_googles_is_worth_some_patience() {
    let google = empty_host().file("/sys/class/dmi/id/product_name", "Google Compute Engine");
    let waited = waits(&google);
    assert!(waited > Duration::from_secs(1), "{waited:?}");
    assert!(waited < Duration::from_secs(60), "and not worth more: {waited:?}");
}

#[test]
fn a_survey_of_such_a_machine_asks_no_more() {
    let fake = empty_host();
    let sources = every_source(&fake.host());
    let survey = block_on(survey(&sources, &Audience::sigstore(), Duration::from_secs(30)));
    assert!(survey.reports.iter().all(|report| report.state == State::Absent));
    assert!(survey.reports.iter().all(|report| !report.evidence.is_empty()));
    assert_eq!(fake.requests().len(), 1);
}

/// A source that answers when all of `wanted` sources were asked.
struct AnswersTogether {
    name: String,
    asked: Arc<Mutex<usize>>,
    wanted: usize,
}

impl TokenSource for AnswersTogether {
    fn name(&self) -> &str {
        &self.name
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        *self.asked.lock().unwrap() += 1;
        Box::pin(std::future::poll_fn(|context| {
            if *self.asked.lock().unwrap() < self.wanted {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Outcome::Absent(Absence::new(self.name.clone())))
        }))
    }
}

/// A survey takes as long as its slowest source.
#[test]
fn a_survey_asks_all_sources_side_by_side_and_reports_them_in_order() {
    let asked = Arc::new(Mutex::new(0));
    let mut sources = Sources::empty(Arc::new(Silent));
    for number in 0..20 {
        let (name, asked) = (format!("source-{number}"), Arc::clone(&asked));
        sources.add(Stage::Job, Arc::new(AnswersTogether { name, asked, wanted: 20 }));
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let told_to = Arc::clone(&told);
    let watched = sources.watched(Arc::new(move |name: &str| {
        told_to.lock().unwrap().push(name.to_owned());
    }));
    let audience = Audience::sigstore();
    let survey = poll_on(survey(&watched, &audience, Duration::from_secs(30)));
    let names: Vec<_> = survey.reports.iter().map(|report| report.provider.clone()).collect();
    assert_eq!(names, watched.names());
    assert_eq!(told.lock().unwrap()[0], "source-0", "the first one that is waited for");
}

/// A clock by which no deadline ever comes.
struct Silent;

impl Clock for Silent {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Polls `future` a few times.
fn poll_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("the sources are asked one after the other");
}

#[test]
fn a_metadata_service_that_refuses_is_asked_again_only_in_a_pod() {
    for (variables, again) in [
        (vec![("GCE_METADATA_HOST", "127.0.0.1:1")], false),
        (vec![("GCE_METADATA_HOST", "127.0.0.1:1"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")], true),
    ] {
        let fake = FakeHost::new(&variables);
        assert!(fake.detect().is_err());
        let requests = fake.requests();
        let policy = requests[0].extensions().get::<CallPolicy>().unwrap();
        assert_eq!(policy.reconnect, again, "{variables:?}");
    }
}

#[test]
fn nothing_is_asked_where_the_check_is_switched_off() {
    let fake = empty_host().with("NO_GCE_CHECK", "true");
    assert!(matches!(fake.detect(), Err(Error::Nothing { .. })));
    assert_eq!(fake.requests().len(), 0);
}

#[test]
fn a_job_without_permission_is_one_error_at_once_and_without_a_request() {
    let google = FakeHost::default().file("/sys/class/dmi/id/product_name", "Google");
    let fake = FakeHost::new(&[("GITHUB_ACTIONS", "true"), ("CI", "true")]).and(&google);
    let Err(Error::Broken { provider, broken }) = fake.detect() else { panic!() };
    assert_eq!(provider, "github-actions");
    assert!(broken.reason.contains("`id-token: write`"), "{}", broken.reason);
    assert!(broken.hint.unwrap().contains("permissions: {id-token: write}"));
    assert_eq!(fake.requests().len(), 0);
}
