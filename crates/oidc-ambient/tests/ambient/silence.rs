//! A machine with no identity, and a job without permission: what is asked, and how long it takes.

use std::time::{Duration, Instant};

use host::CallPolicy;
use id_token::Audience;
use oidc_ambient::{Error, Sources, State, survey};

use crate::world::{World, block_on};

fn nobody() -> World {
    World::new(&[("PATH", "/bin"), ("HOME", "/home/me"), ("LANG", "C"), ("USER", "me")])
}

#[test]
fn a_machine_with_no_identity_is_asked_at_most_the_metadata_probe() {
    let world = nobody();
    let Err(Error::Nothing { absent, broken }) = world.detect() else { panic!() };
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(absent.len(), Sources::standard(&world.host()).names().len() + 1, "two are files");
    let requests = world.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].uri(), "http://169.254.169.254/");
    let policy = requests[0].extensions().get::<CallPolicy>().unwrap();
    assert!(policy.total <= Duration::from_millis(200), "{policy:?}");
    assert_eq!((policy.attempts, policy.proxy), (1, false));
}

#[test]
fn on_such_a_machine_it_is_over_within_300_milliseconds() {
    // The fake answers at once, so this is all but the probe's deadline, which is added. The
    // quickest of a few runs counts: others use the processor too.
    let own = (0..5).map(|_| {
        let world = nobody();
        let started = Instant::now();
        assert!(world.detect().is_err());
        let own = started.elapsed();
        let probe = world.requests()[0].extensions().get::<CallPolicy>().unwrap().total;
        own + probe
    });
    let quickest = own.min().unwrap();
    assert!(quickest < Duration::from_millis(300), "{quickest:?}");
}

#[test]
fn a_survey_of_such_a_machine_asks_no_more() {
    let world = nobody();
    let sources = Sources::standard(&world.host());
    let survey = block_on(survey(&sources, &Audience::sigstore(), Duration::from_secs(30)));
    assert!(survey.reports.iter().all(|report| report.state == State::Absent));
    assert!(survey.reports.iter().all(|report| !report.evidence.is_empty()));
    assert_eq!(world.requests().len(), 1);
}

#[test]
fn nothing_is_asked_where_the_check_is_switched_off() {
    let world = nobody().with("NO_GCE_CHECK", "true");
    assert!(matches!(world.detect(), Err(Error::Nothing { .. })));
    assert_eq!(world.requests().len(), 0);
}

#[test]
fn a_job_without_permission_is_one_error_at_once_and_without_a_request() {
    let google = World::default().file("/sys/class/dmi/id/product_name", "Google");
    let world = World::new(&[("GITHUB_ACTIONS", "true"), ("CI", "true")]).and(&google);
    let started = Instant::now();
    let Err(Error::Broken { provider, broken }) = world.detect() else { panic!() };
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(provider, "github-actions");
    assert!(broken.reason.contains("`id-token: write`"), "{}", broken.reason);
    assert!(broken.hint.unwrap().contains("permissions: {id-token: write}"));
    assert_eq!(world.requests().len(), 0);
}
