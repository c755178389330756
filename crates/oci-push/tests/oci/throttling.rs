//! Registries that limit requests.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use host::{BoxFuture, Clock};
use http::Response;
use oci_push::{Error, Options, Registry};

use crate::fake::{Auth, Fake};
use crate::helpers::{block_on, bundle, reference, refusal, subject};

/// A clock whose sleeps end at once and are noted.
#[derive(Clone, Default)]
struct Sleeps(Arc<Mutex<Vec<Duration>>>);

impl Clock for Sleeps {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.total()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

impl Sleeps {
    fn total(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }
}

fn client(fake: &Fake, patience: u64) -> (Registry, Sleeps, Arc<Mutex<Vec<String>>>) {
    let (sleeps, told) = (Sleeps::default(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&told);
    let options = Options::new()
        .with_patience(Duration::from_secs(patience))
        .with_listener(move |event| log.lock().unwrap().push(event.to_string()));
    let host = fake.host().with_clock(Arc::new(sleeps.clone()));
    (Registry::new(host, options).unwrap(), sleeps, told)
}

/// Answers `status` with `Retry-After: asked` to the first `times` requests for `path`.
fn throttle(fake: &Fake, status: u16, asked: &'static str, path: &'static str, times: u32) {
    let mut left = times;
    fake.intercept(move |_, request| {
        if left == 0 || !request.uri().path().contains(path) {
            return None;
        }
        left -= 1;
        let mut answer: Response<_> = refusal(status, "TOOMANYREQUESTS", "slow down");
        answer.headers_mut().insert("retry-after", asked.parse().unwrap());
        Some(Ok(answer))
    });
}

#[test]
fn a_registry_that_is_down_is_waited_for_as_long_as_the_caller_says_and_once() {
    for (retry_for, times, found) in [(300, 20, true), (300, u32::MAX, false), (0, u32::MAX, false)]
    {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        let mut left = times;
        fake.intercept(move |_, request| {
            let fails = left > 0 && request.uri().path().contains("/manifests/v1");
            left = left.saturating_sub(u32::from(fails));
            fails.then(|| Ok(refusal(502, "UNAVAILABLE", "down")))
        });
        let sleeps = Sleeps::default();
        let options = Options::new()
            .with_patience(Duration::from_secs(600))
            .with_retry_for(Duration::from_secs(retry_for));
        let host = fake.host().with_clock(Arc::new(sleeps.clone()));
        let registry = Registry::new(host, options).unwrap();
        let resolve = || block_on(registry.resolve(&reference("localhost:5000/app:v1")));
        assert_eq!(resolve().map(|it| it.digest().clone()).ok(), found.then_some(image));
        let waited = sleeps.total().as_secs();
        assert!(waited <= retry_for + 8, "{waited} s");
        if !found {
            resolve().unwrap_err();
            assert!(sleeps.total().as_secs() <= waited + 3, "it is given up at once now");
        }
    }
}

#[test]
fn an_image_that_is_throttled_five_times_is_found_after_the_waits_asked_for() {
    for (status, path) in [(429, "/manifests/sha256:"), (503, "/referrers/"), (429, "/blobs/")] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        fake.referrer("app", &image, &bundle("a"));
        throttle(&fake, status, "2", path, 5);
        let (registry, sleeps, told) = client(&fake, 60);
        let found = block_on(registry.find(&subject(&image))).unwrap();
        assert_eq!(found.bundles.len(), 1, "{status} {path}");
        assert!((10.0..11.1).contains(&sleeps.total().as_secs_f64()), "{:?}", sleeps.total());
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 5);
        // Two seconds and up to a tenth of that, rounded up.
        let said = [2, 3].map(|s| format!("waiting {s} s for localhost, which answered {status}"));
        assert!(said.contains(&told[0]), "{told:?}");
    }
}

#[test]
fn a_push_that_is_throttled_is_made_after_the_wait() {
    for path in ["/blobs/uploads/", "/manifests/"] {
        for fake in [Fake::new(), Fake::without_referrers()] {
            let image = fake.image("app", "v1");
            throttle(&fake, 429, "1", path, 2);
            let (registry, _, _) = client(&fake, 60);
            let none = std::collections::BTreeMap::new();
            block_on(registry.attach(&subject(&image), bundle("a").as_bytes(), &none)).unwrap();
            assert_eq!(block_on(registry.find(&subject(&image))).unwrap().bundles.len(), 1);
        }
    }
}

#[test]
fn the_waits_of_one_request_end_with_the_patience() {
    let fake = Fake::new();
    fake.image("app", "v1");
    throttle(&fake, 429, "2", "/manifests/", u32::MAX);
    let (registry, sleeps, _) = client(&fake, 20);
    let error = block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(_), .. }), "{error}");
    assert!(sleeps.total() <= Duration::from_secs(20), "{:?}", sleeps.total());
    assert!(sleeps.total() >= Duration::from_secs(15), "{:?}", sleeps.total());
    // A request that waited without an answer does not wait again.
    let before = sleeps.total();
    block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
    assert_eq!(sleeps.total(), before);
}

#[test]
fn an_absurd_wait_is_capped_and_tried_once() {
    for asked in ["31536000", "99999999999999999999999"] {
        let fake = Fake::new();
        fake.image("app", "v1");
        throttle(&fake, 429, asked, "/manifests/", u32::MAX);
        let (registry, sleeps, _) = client(&fake, 600);
        block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
        assert_eq!(sleeps.0.lock().unwrap().len(), 1, "{asked}");
        assert!(sleeps.total() <= Duration::from_secs(33), "{:?}", sleeps.total());
    }
}

#[test]
fn a_wait_of_nothing_is_not_an_endless_loop() {
    for asked in ["0", "soon", "-1"] {
        let fake = Fake::new();
        fake.image("app", "v1");
        throttle(&fake, 503, asked, "/manifests/", u32::MAX);
        let (registry, _, told) = client(&fake, 600);
        block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
        assert_eq!(fake.log().len(), 3, "{asked}");
        assert!(told.lock().unwrap().is_empty());
    }
}

#[test]
fn a_token_service_that_is_throttled_is_waited_for() {
    let fake = Fake::new();
    fake.image("app", "v1");
    fake.with(|state| {
        state.auth = Auth::Bearer {
            realm: "http://localhost:5001/token",
            pair: None,
            identity: None,
            anonymous_pull: true,
        };
    });
    throttle(&fake, 429, "2", "/token", 3);
    let (registry, sleeps, _) = client(&fake, 60);
    block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap();
    assert!(sleeps.total() >= Duration::from_secs(6));
}
