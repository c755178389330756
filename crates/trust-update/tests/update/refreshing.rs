//! What is asked, and when; a mirror that is down.

use std::time::Duration;

use trust_update::{Error, Warning};

use crate::setup::{DAY, ROOT, Setup, now};
use crate::{assert_untrusted, text};

#[test]
fn the_first_time_everything_is_fetched_and_then_nothing_for_a_day() {
    let setup = Setup::new();
    let trust = setup.current(now()).unwrap();
    assert_eq!(trust.trusted_root_json(), ROOT.as_bytes());
    assert_eq!(trust.trusted_root().tlogs().len(), 2);
    assert!(trust.signing_config().unwrap().is_some());
    assert!(trust.signing_config_with_rekor_v2().unwrap().is_none(), "it is not offered");
    assert_eq!(
        setup.requests(),
        [
            "2.root.json",
            "timestamp.json",
            "1.snapshot.json",
            "1.targets.json",
            "targets/",
            "targets/"
        ]
    );
    let versions: Vec<_> = trust.metadata().iter().map(|it| (it.name, it.version)).collect();
    let expected =
        [("root.json", 1), ("timestamp.json", 1), ("snapshot.json", 1), ("targets.json", 1)];
    assert_eq!(versions, expected);
    assert!(trust.metadata().iter().all(|it| it.length > 0 && it.expires > now()));

    let again = setup.current(now() + DAY - Duration::from_secs(1)).unwrap();
    assert_eq!((setup.requests().len(), again.refreshed()), (0, Some(now())));
}

#[test]
fn after_a_day_the_mirror_is_asked_for_news_only() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    setup.requests();
    let trust = setup.current(now() + DAY).unwrap();
    assert_eq!(setup.requests(), ["2.root.json", "timestamp.json"]);
    assert_eq!(trust.refreshed(), Some(now() + DAY));
}

#[test]
fn a_new_trusted_root_arrives_with_the_next_refresh() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    let changed = ROOT.replace("https://rekor.sigstore.dev", "https://rekor.example");
    setup.edit(|repository| {
        repository.set_target("trusted_root.json", changed.clone());
        repository.publish(now()).unwrap();
    });
    assert_eq!(setup.current(now()).unwrap().trusted_root_json(), ROOT.as_bytes());
    assert_eq!(setup.refresh(now()).unwrap().trusted_root_json(), changed.as_bytes());
    assert_eq!(setup.offline(now()).unwrap().trusted_root_json(), changed.as_bytes());
}

#[test]
fn a_clock_that_was_ahead_does_not_keep_the_cache_from_being_refreshed() {
    let setup = Setup::new();
    setup.current(now() + 2 * DAY).unwrap();
    setup.requests();
    setup.current(now()).unwrap();
    assert_eq!(setup.requests(), ["2.root.json", "timestamp.json"]);
}

// A mirror that is down.

#[test]
fn an_unreachable_mirror_is_a_warning_while_the_cache_is_good_and_an_error_after() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    setup.cut();
    let trust = setup.current(now() + 2 * DAY).unwrap();
    let [warning @ Warning::Stale { refreshed, source: Error::Unreachable { .. } }] =
        trust.warnings()
    else {
        panic!("{:?}", trust.warnings())
    };
    assert_eq!(*refreshed, Some(now()));
    assert_eq!(
        warning.to_string(),
        "cannot refresh the trusted root, using the one of 2026-09-21T14:13:20Z"
    );
    // The timestamp is good for seven days.
    let error = setup.current(now() + 7 * DAY).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

/// A captive portal answers 403 or a page of its own; a broken mirror serves files that do not fit.
#[test]
fn a_refresh_that_fails_in_any_way_is_a_warning_while_the_cache_is_good() {
    for (path, status, body) in [
        ("/timestamp.json", 403, "log in first"),
        ("/timestamp.json", 200, "<html>log in first</html>"),
        ("/timestamp.json", 302, ""),
        ("/2.root.json", 200, "<html>log in first</html>"),
        ("/2.snapshot.json", 200, "{}"),
    ] {
        let setup = Setup::new();
        setup.current(now()).unwrap();
        setup.edit(|repository| repository.publish(now() + DAY).unwrap());
        setup.answer(path, status, body);
        for later in [2, 3] {
            let trust = setup.current(now() + later * DAY).unwrap();
            assert!(
                matches!(trust.warnings(), [Warning::Stale { .. }]),
                "{path} {status}: {:?}",
                trust.warnings()
            );
            assert_eq!(trust.trusted_root_json(), ROOT.as_bytes());
        }
        // Asked for by itself, a refresh that fails is an error, and so is an expired cache.
        setup.refresh(now() + 2 * DAY).unwrap_err();
        setup.current(now() + 8 * DAY).unwrap_err();
    }
}

#[test]
fn without_a_cache_an_unreachable_mirror_is_an_error_that_says_why() {
    let setup = Setup::new();
    setup.cut();
    let error = setup.current(now()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(text(&error).contains("connection refused"), "{}", text(&error));
}

#[test]
fn that_there_is_no_newer_root_is_404_or_403_and_nothing_else() {
    let setup = Setup::new();
    for (status, fine) in [(404, true), (403, true), (500, false), (502, false), (429, false)] {
        setup.answer("/2.root.json", status, "");
        let result = setup.refresh(now());
        assert_eq!(result.is_ok(), fine, "{status}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
            assert!(text(&error).contains(&status.to_string()), "{}", text(&error));
        }
    }
}

#[test]
fn a_page_for_people_is_not_metadata() {
    let setup = Setup::new();
    setup.answer("/timestamp.json", 200, "<html>Please log in</html>");
    assert_untrusted(setup.current(now()), "JSON");
    setup.answer("/timestamp.json", 404, "");
    let error = setup.current(now()).unwrap_err();
    assert_eq!(error.to_string(), "https://tuf.test/repository does not serve timestamp.json");
}
