//! Refreshing against a repository that rotates, lies, breaks down and grows old; the cache; the
//! embedded roots; and cosign as a peer.

#![expect(clippy::disallowed_methods, reason = "a skipped test fails in CI")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are not in #[test] functions")]

mod setup;

use std::time::Duration;

use sandbox::{Service as _, TufKey, TufKeys, TufRepository};
use serde_json::{Value, json};
use setup::{DAY, ROOT, Setup, URL, block_on, now};
use trust_update::{Checksum, Error, Mirror, Updates, Warning, initialize, read_root};
use url::Url;

/// The error and its causes.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[track_caller]
fn assert_untrusted(result: Result<trust_update::Trust, Error>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    assert!(text(&error).contains(words), "{}", text(&error));
}

// What is asked, and when.

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

// Nobody there.

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
    assert_eq!(error.to_string(), "http://tuf.test/repository does not serve timestamp.json");
}

// Roots.

#[test]
fn the_root_is_followed_through_every_change_of_its_keys() {
    let setup = Setup::new();
    setup.edit(|repository| {
        for _ in 0..2 {
            repository.rotate(TufKeys::generate(3, 2).unwrap(), now()).unwrap();
        }
        repository.publish(now()).unwrap();
    });
    let trust = setup.current(now()).unwrap();
    assert_eq!(trust.metadata()[0].version, 3);
    // And from the cache, from the first root on.
    assert_eq!(setup.offline(now()).unwrap().metadata()[0].version, 3);
}

#[test]
fn a_new_root_must_be_signed_by_the_threshold_of_the_old_keys_and_of_the_new() {
    for whose in ["old", "new"] {
        let setup = Setup::new();
        setup.edit(|repository| {
            let (old, new) = (repository.keys().clone(), TufKeys::generate(2, 2).unwrap());
            repository.rotate(new.clone(), now()).unwrap();
            let mut signers = [old.root, new.root].concat();
            signers.remove(if whose == "old" { 0 } else { 2 });
            let root = repository.root(now()).unwrap();
            repository.put_root(&root, &signers).unwrap();
        });
        assert_untrusted(setup.current(now()), "threshold not met for role root: 1/2");
    }
}

#[test]
fn a_root_cannot_be_skipped() {
    let setup = Setup::new();
    setup.edit(|repository| {
        repository.rotate(TufKeys::generate(1, 1).unwrap(), now()).unwrap();
        repository.rotate(TufKeys::generate(1, 1).unwrap(), now()).unwrap();
        let third = repository.file("3.root.json").unwrap().clone();
        repository.put("2.root.json", third);
    });
    assert_untrusted(setup.current(now()), "trusted 1, got 3");
}

#[test]
fn one_key_under_two_ids_is_one_key() {
    let setup = Setup::new();
    setup.edit(|repository| {
        let one = TufKey::generate().unwrap();
        let twice = vec![one.clone(), one.with_id("another")];
        let keys = TufKeys { root: twice, threshold: 2, online: TufKey::generate().unwrap() };
        repository.rotate(keys, now()).unwrap();
        repository.publish(now()).unwrap();
    });
    assert_untrusted(setup.current(now()), "one key under two ids");

    let one = TufKey::generate().unwrap();
    let keys = TufKeys {
        root: vec![one.clone(), one.with_id("another")],
        threshold: 2,
        online: TufKey::generate().unwrap(),
    };
    let repository = TufRepository::new(keys, now()).unwrap();
    let root = repository.file("1.root.json").unwrap();
    let error = Mirror::new(Url::parse(URL).unwrap(), root).unwrap_err();
    assert!(error.to_string().contains("one key under two ids"), "{error}");
}

#[test]
fn two_signatures_of_one_key_are_not_two() {
    let setup = Setup::new();
    setup.edit(|repository| {
        let signed = repository.root(now()).unwrap();
        let mut next = signed.clone();
        next["version"] = 2.into();
        let one = repository.keys().root[0].clone();
        repository.put_root(&next, &[one.clone(), one]).unwrap();
    });
    let error = setup.current(now()).unwrap_err();
    assert!(text(&error).contains("duplicate signature key id"), "{}", text(&error));
}

#[test]
fn a_root_on_the_way_may_have_expired_and_the_last_may_not() {
    let setup = Setup::new();
    let long_ago = now() - TufRepository::LONG - DAY;
    setup.edit(|repository| {
        repository.rotate(TufKeys::generate(1, 1).unwrap(), long_ago).unwrap();
        repository.rotate(TufKeys::generate(1, 1).unwrap(), now()).unwrap();
        repository.publish(now()).unwrap();
    });
    setup.current(now()).unwrap();

    let setup = Setup::new();
    setup.edit(|repository| {
        repository.rotate(TufKeys::generate(1, 1).unwrap(), long_ago).unwrap();
        repository.publish(now()).unwrap();
    });
    let error = setup.current(now()).unwrap_err();
    assert!(matches!(&error, Error::Expired { role, .. } if role == "root"), "{error}");
    assert!(!setup.requests().contains(&"timestamp.json".to_owned()));
}

#[test]
fn metadata_expires_at_the_instant_it_names() {
    let setup = Setup::new();
    let end = now() + TufRepository::SHORT;
    setup.refresh(end - Duration::from_secs(1)).unwrap();
    let error = setup.refresh(end).unwrap_err();
    assert!(matches!(&error, Error::Expired { role, at, .. } if role == "timestamp" && *at == end));
}

#[test]
fn the_walk_along_the_roots_ends() {
    let setup = Setup::new();
    setup.edit(|repository| {
        for _ in 0..40 {
            let keys = repository.keys().clone();
            repository.rotate(keys.clone(), now()).unwrap();
            // Without one id standing twice among the signatures.
            let root = repository.root(now()).unwrap();
            repository.put_root(&root, &keys.root).unwrap();
        }
        repository.publish(now()).unwrap();
    });
    assert_untrusted(setup.current(now()), "exceeded 32 root rotations");
    // What was verified is kept, and the next time begins there.
    assert_eq!(setup.current(now()).unwrap().metadata()[0].version, 41);
}

#[test]
fn members_and_keys_that_are_not_known_do_no_harm() {
    let setup = Setup::new();
    setup.edit(|repository| {
        let keys = repository.keys().root.clone();
        let mut root = repository.root(now()).unwrap();
        root["version"] = 2.into();
        root["x-own"] = json!({ "text": "a \"quoted\" \\ line\nand é" });
        let future = json!({ "keytype": "lattice", "scheme": "lattice-1", "keyval": { "public": "?" }, "x-owner": "@a" });
        root["keys"]["future"] = future;
        root["roles"]["root"]["keyids"].as_array_mut().unwrap().push("future".into());
        repository.put_root(&root, &keys).unwrap();
        let mut timestamp = repository.signed("timestamp.json").unwrap();
        timestamp["x-note"] = "nobody reads this".into();
        repository.put_role(&timestamp).unwrap();
    });
    assert_eq!(setup.current(now()).unwrap().metadata()[0].version, 2);
}

// The roles below.

/// The repository after a second publication, with `change` made to the signed part of `path`.
fn changed(path: &str, change: impl FnOnce(&mut Value)) -> Setup {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    setup.edit(|repository| {
        repository.publish(now()).unwrap();
        let mut signed = repository.signed(path).unwrap();
        change(&mut signed);
        repository.put_role(&signed).unwrap();
    });
    setup
}

#[test]
fn an_older_timestamp_than_the_one_known_is_refused() {
    let setup = Setup::new();
    let old = setup.edit(|repository| {
        let old = repository.file("timestamp.json").unwrap().clone();
        repository.publish(now()).unwrap();
        old
    });
    setup.current(now()).unwrap();
    setup.edit(|repository| repository.put("timestamp.json", old));
    assert_untrusted(setup.refresh(now()), "rollback detected for timestamp");
    // Even where the newer one has expired since.
    assert_untrusted(setup.refresh(now() + 30 * DAY), "rollback detected for timestamp");
}

#[test]
fn a_timestamp_of_an_older_snapshot_is_refused() {
    let setup = changed("timestamp.json", |_| {});
    setup.refresh(now()).unwrap();
    setup.edit(|repository| {
        let mut timestamp = repository.signed("timestamp.json").unwrap();
        timestamp["version"] = 3.into();
        timestamp["meta"]["snapshot.json"]["version"] = 1.into();
        repository.put_role(&timestamp).unwrap();
    });
    assert_untrusted(setup.refresh(now()), "rollback detected for snapshot");
}

#[test]
fn the_snapshot_is_the_one_of_the_timestamp() {
    let setup = changed("timestamp.json", |_| {});
    setup.edit(|repository| {
        let first = repository.file("1.snapshot.json").unwrap().clone();
        repository.put("2.snapshot.json", first);
    });
    assert_untrusted(setup.refresh(now()), "snapshot version 1 does not match timestamp pin 2");
}

#[test]
fn the_hashes_that_a_timestamp_may_have_must_match() {
    let setup = changed("timestamp.json", |timestamp| {
        timestamp["meta"]["snapshot.json"]["hashes"] = json!({ "sha256": "0".repeat(64) });
    });
    assert_untrusted(setup.refresh(now()), "snapshot.json: sha256 mismatch");
}

#[test]
fn a_snapshot_from_which_a_role_has_gone_is_refused() {
    let setup = Setup::new();
    setup.edit(|repository| {
        let mut snapshot = repository.signed("1.snapshot.json").unwrap();
        snapshot["meta"]["npm.json"] = json!({ "version": 1 });
        repository.put_role(&snapshot).unwrap();
    });
    setup.current(now()).unwrap();
    setup.edit(|repository| repository.publish(now()).unwrap());
    assert_untrusted(setup.refresh(now()), "snapshot removes npm.json");
}

#[test]
fn targets_older_than_those_known_are_refused() {
    let setup = changed("2.snapshot.json", |_| {});
    setup.refresh(now()).unwrap();
    setup.edit(|repository| {
        repository.publish(now()).unwrap();
        let mut snapshot = repository.signed("3.snapshot.json").unwrap();
        snapshot["meta"]["targets.json"]["version"] = 1.into();
        repository.put_role(&snapshot).unwrap();
    });
    assert_untrusted(setup.refresh(now()), "rollback detected for targets.json");
}

#[test]
fn what_is_signed_by_others_is_refused() {
    for path in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let setup = Setup::new();
        setup.edit(|repository| {
            let signed = repository.signed(path).unwrap();
            let bytes = sandbox::sign_tuf(&signed, &[TufKey::generate().unwrap()]).unwrap();
            repository.put(path, bytes);
        });
        assert_untrusted(setup.current(now()), "threshold not met");
    }
}

#[test]
fn a_role_cannot_stand_for_another() {
    let setup = Setup::new();
    setup.edit(|repository| {
        let mut signed = repository.signed("1.snapshot.json").unwrap();
        signed["version"] = 9.into();
        let signers = [repository.keys().online.clone()];
        repository.put("timestamp.json", sandbox::sign_tuf(&signed, &signers).unwrap());
    });
    assert_untrusted(setup.current(now()), "expected _type");
}

// Targets.

/// The path of the trusted root.
fn target_path(repository: &TufRepository) -> String {
    repository.paths().find(|path| path.ends_with(".trusted_root.json")).unwrap().to_owned()
}

#[test]
fn a_target_has_the_length_and_the_hash_that_were_signed() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, &str); 3] = [
        (|bytes| *bytes.last_mut().unwrap() ^= 1, "sha256 mismatch"),
        (|bytes| bytes.truncate(100), "length 100 != pinned 6787"),
        (|bytes| bytes.push(b' '), "larger than the limit of 6787 bytes"),
    ];
    for (change, words) in changes {
        let setup = Setup::new();
        setup.edit(|repository| {
            let path = target_path(repository);
            let mut bytes = repository.file(&path).unwrap().to_vec();
            change(&mut bytes);
            repository.put(&path, bytes);
        });
        assert_untrusted(setup.current(now()), words);
        assert!(!setup.updates().is_cached());
    }
}

#[test]
fn every_answer_has_a_limit() {
    for (path, words) in [
        ("/2.root.json", "512000"),
        ("/timestamp.json", "16384"),
        ("/1.snapshot.json", "2000000"),
        ("/1.targets.json", "5000000"),
    ] {
        let setup = Setup::new();
        setup.answer(path, 200, &" ".repeat(6_000_000));
        assert_untrusted(setup.current(now()), &format!("larger than the limit of {words} bytes"));
    }
}

#[test]
fn a_repository_without_a_trusted_root_is_none_of_sigstore() {
    let setup = Setup::empty();
    setup.edit(|repository| repository.publish(now()).unwrap());
    let error = setup.current(now()).unwrap_err();
    assert!(
        matches!(&error, Error::Missing { file, .. } if file == "trusted_root.json"),
        "{error}"
    );

    let setup = Setup::empty();
    setup.edit(|repository| {
        repository.set_target("trusted_root.json", "{}");
        repository.publish(now()).unwrap();
    });
    assert_untrusted(setup.current(now()), "trusted_root.json");
}

#[test]
fn names_that_lead_elsewhere_are_not_asked_for() {
    for hash in ["../../../etc", "..%2f..", "a/b", "%2e%2e", "", "a\\b", "http://other.test/x"] {
        let setup = Setup::new();
        setup.edit(|repository| {
            let mut targets = repository.signed("1.targets.json").unwrap();
            targets["targets"]["trusted_root.json"]["hashes"] = json!({ "sha256": hash });
            targets["targets"]["../escape.json"] =
                json!({ "length": 1, "hashes": { "sha256": "00" } });
            repository.put_role(&targets).unwrap();
            let mut snapshot = repository.signed("1.snapshot.json").unwrap();
            snapshot["meta"]["../../evil.json"] = json!({ "version": 1 });
            repository.put_role(&snapshot).unwrap();
        });
        assert_untrusted(setup.current(now()), "not a name to ask for");
        let asked = setup.requests();
        assert!(asked.iter().all(|path| !path.starts_with("targets")), "{asked:?}");
    }
}

#[test]
fn delegations_are_neither_fetched_nor_believed() {
    let setup = Setup::new();
    setup.edit(|repository| {
        let key = TufKey::generate().unwrap();
        let mut targets = repository.signed("1.targets.json").unwrap();
        targets["targets"].as_object_mut().unwrap().remove("signing_config.v0.2.json");
        targets["delegations"] = json!({
            "keys": { key.id(): key.description() },
            "roles": [{ "name": "../npm", "keyids": [key.id()], "threshold": 1, "paths": ["*"], "terminating": true }],
        });
        repository.put_role(&targets).unwrap();
        let mut snapshot = repository.signed("1.snapshot.json").unwrap();
        snapshot["meta"]["../npm.json"] = json!({ "version": 1 });
        repository.put_role(&snapshot).unwrap();
    });
    let trust = setup.current(now()).unwrap();
    assert!(trust.signing_config().unwrap().is_none());
    assert!(!setup.requests().iter().any(|path| path.contains("npm")));
}

// The cache.

#[test]
fn offline_reads_the_cache_and_asks_nobody() {
    let setup = Setup::new();
    let error = setup.offline(now()).unwrap_err();
    assert!(matches!(error, Error::NotCached { .. }), "{error}");
    setup.current(now()).unwrap();
    setup.requests();
    let trust = setup.offline(now()).unwrap();
    assert_eq!(trust.trusted_root_json(), ROOT.as_bytes());
    assert!(trust.warnings().is_empty() && trust.signing_config().unwrap().is_some());
    assert_eq!(setup.requests(), [""; 0]);
}

#[test]
fn offline_an_expired_cache_serves_with_a_warning() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    let trust = setup.offline(now() + 8 * DAY).unwrap();
    let [Warning::Expired { role, at }] = trust.warnings() else {
        panic!("{:?}", trust.warnings())
    };
    assert_eq!((role.as_str(), *at), ("timestamp", now() + 7 * DAY));
    let trust = setup.offline(now() + TufRepository::LONG + DAY).unwrap();
    assert_eq!(trust.warnings().len(), 2, "{:?}", trust.warnings());
}

#[test]
fn an_expired_cache_is_refreshed_even_when_it_is_young() {
    let setup = Setup::new();
    setup.edit(|repository| {
        repository.publish(now() - TufRepository::SHORT + Duration::from_secs(60)).unwrap();
    });
    setup.current(now()).unwrap();
    setup.edit(|repository| repository.publish(now()).unwrap());
    setup.requests();
    setup.current(now() + Duration::from_secs(60)).unwrap();
    assert!(setup.requests().contains(&"timestamp.json".to_owned()));
}

#[test]
fn whatever_is_done_to_the_cache_it_is_fetched_anew_and_offline_refused() {
    let garbage: [&[u8]; 5] =
        [b"", b"{}", b"\xff\xfe", b"[[[[[[", b"{\"signed\":{\"version\":18446744073709551616}}"];
    for file in [
        "root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
        "targets/trusted_root.json",
        "refreshed",
    ] {
        for content in garbage {
            let setup = Setup::new();
            setup.current(now()).unwrap();
            let path = setup.cache_file(file);
            std::fs::write(&path, content).unwrap();
            match setup.offline(now()) {
                // The root that counts is in the history, and when it was refreshed is a hint.
                Ok(_) => assert!(["root.json", "refreshed"].contains(&file), "{file}"),
                Err(error) => {
                    assert!(matches!(error, Error::Damaged { .. }), "{file}: {error:?}");
                }
            }
            assert_eq!(
                setup.current(now()).unwrap().trusted_root_json(),
                ROOT.as_bytes(),
                "{file}"
            );
            assert!(setup.offline(now()).unwrap().warnings().is_empty(), "{file}");
        }
    }
}

#[test]
fn a_file_of_the_cache_that_is_a_directory_or_endless_is_no_panic() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    let path = setup.cache_file("snapshot.json");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let trust = setup.current(now()).unwrap();
    assert!(matches!(trust.warnings(), [Warning::NotKept { .. }]), "{:?}", trust.warnings());

    #[cfg(unix)]
    {
        let path = setup.cache_file("timestamp.json");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        setup.refresh(now()).unwrap();
    }
}

#[test]
fn a_planted_root_in_the_cache_is_not_believed() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    // Another repository's files, complete and consistent, in the place of ours.
    let other = Setup::new();
    let changed = ROOT.replace("https://rekor.sigstore.dev", "https://rekor.evil");
    other.edit(|repository| {
        repository.set_target("trusted_root.json", changed.clone());
        repository.publish(now()).unwrap();
        let root = repository.root(now()).unwrap();
        let keys = repository.keys().root.clone();
        let mut next = root;
        next["version"] = 2.into();
        repository.put_root(&next, &keys).unwrap();
    });
    other.current(now()).unwrap();
    for file in [
        "root.json",
        "root_history/1.root.json",
        "root_history/2.root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
        "targets/trusted_root.json",
    ] {
        std::fs::copy(other.cache_file(file), setup.cache_file(file)).unwrap();
    }
    let error = setup.offline(now()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert_eq!(setup.current(now()).unwrap().trusted_root_json(), ROOT.as_bytes());
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let mut setup = Setup::new();
    let file = setup.cache_file("").join("file");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "").unwrap();
    setup.move_cache_to(&file);
    let trust = setup.current(now()).unwrap();
    assert!(matches!(trust.warnings(), [Warning::NotKept { .. }]), "{:?}", trust.warnings());
}

#[test]
fn processes_that_refresh_at_once_do_not_disturb_each_other() {
    let setup = Setup::new();
    std::thread::scope(|scope| {
        for number in 0_u32..8 {
            let setup = &setup;
            scope.spawn(move || {
                for round in 0_u32..5 {
                    let at = now() + DAY * (number + round) / 8;
                    assert_eq!(setup.refresh(at).unwrap().trusted_root_json(), ROOT.as_bytes());
                    setup.offline(at).unwrap();
                }
            });
        }
    });
}

// Beginning.

#[test]
fn initializing_forgets_what_was_cached_and_chooses_the_mirror() {
    let setup = Setup::new();
    setup.edit(|repository| repository.publish_as(7, now()).unwrap());
    setup.current(now()).unwrap();
    // A repository that was made anew, with lower versions: that is what initializing is for.
    setup.edit(|repository| repository.publish_as(3, now()).unwrap());
    assert!(setup.refresh(now()).is_err());
    let trust =
        block_on(initialize(setup.mirror(), setup.directories(), setup.http(), &now())).unwrap();
    assert_eq!(trust.metadata()[1].version, 3);
    let none: [(&str, &str); 0] = [];
    let chosen = block_on(setup.directories().mirror(&none)).unwrap().mirror;
    assert_eq!((chosen.url(), chosen.root()), (setup.mirror().url(), setup.mirror().root()));
    let updates = Updates::new(chosen, setup.directories().clone());
    assert!(updates.is_cached());
    block_on(updates.offline(&now())).unwrap();
}

#[test]
fn initializing_that_fails_changes_nothing() {
    let setup = Setup::new();
    setup.current(now()).unwrap();
    setup.cut();
    let error = block_on(initialize(setup.mirror(), setup.directories(), setup.http(), &now()));
    assert!(matches!(error.unwrap_err(), Error::Unreachable { .. }));
    setup.offline(now()).unwrap();
    let none: [(&str, &str); 0] = [];
    let chosen = block_on(setup.directories().mirror(&none)).unwrap().mirror;
    assert_eq!(chosen.url(), Mirror::public_good().url());
    let left: Vec<_> = std::fs::read_dir(setup.directories().cache()).unwrap().collect();
    assert_eq!(left.len(), 2, "the cache and its lock: {left:?}");
}

#[test]
fn a_root_from_the_network_needs_its_checksum() {
    let setup = Setup::new();
    let url = format!("{URL}/1.root.json");
    let root = setup.mirror().root().to_vec();
    let file = "/configured/root.json";
    let env = host::FakeEnv::new().with_file(file, root.clone());
    let read = |location: &str, checksum: Option<&str>| {
        let checksum = checksum.map(|text| text.parse::<Checksum>().unwrap());
        block_on(read_root(location, checksum.as_ref(), &env, &**setup.http()))
    };
    let right = keys::Digest::sha256(&root).to_hex();
    assert_eq!(read(&url, Some(&right)).unwrap(), root);
    let error = read(&url, None).unwrap_err().to_string();
    assert!(error.contains("needs a checksum"), "{error}");
    let error = read(&url, Some(&"0".repeat(64))).unwrap_err().to_string();
    assert!(error.contains(&format!("found {right}")), "{error}");

    assert_eq!(read(file, None).unwrap(), root);
    let long = keys::Digest::of(keys::HashAlgorithm::Sha512, &root).to_hex();
    assert_eq!(read(file, Some(&format!("sha512:{long}"))).unwrap(), root);
    assert!(read("/nowhere/root.json", None).unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn a_mirror_may_be_a_directory() {
    let setup = Setup::new();
    let scratch = tempfile::tempdir().unwrap();
    setup.edit(|repository| {
        for path in repository.paths() {
            let file = scratch.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, repository.file(path).unwrap()).unwrap();
        }
    });
    let url = Url::from_directory_path(scratch.path()).unwrap();
    let mirror = Mirror::new(url, setup.mirror().root()).unwrap();
    let updates = Updates::new(mirror, setup.directories().clone());
    let trust = block_on(updates.current(setup.http(), &now())).unwrap();
    assert_eq!(trust.trusted_root_json(), ROOT.as_bytes());
    assert_eq!(setup.requests(), [""; 0]);
    drop(scratch);
    let later = now() + 2 * DAY;
    let trust = block_on(updates.current(setup.http(), &later)).unwrap();
    assert!(matches!(trust.warnings(), [Warning::Stale { .. }]), "{:?}", trust.warnings());
}

// Real roots.

#[test]
fn the_embedded_files_are_those_that_provenance_names() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/");
    let provenance = std::fs::read_to_string(format!("{data}PROVENANCE.md")).unwrap();
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in files.filter(|path| path.extension().is_some_and(|it| it == "json")) {
        let digest = keys::Digest::sha256(&std::fs::read(&path).unwrap()).to_hex();
        let name = path.file_name().unwrap().to_str().unwrap();
        let row = provenance.lines().find(|line| line.contains(name)).unwrap();
        assert!(row.contains(&digest), "{name} is {digest}");
        count += 1;
    }
    assert_eq!(count, 3);
}

/// Roots of versions before 5 have a form that no TUF client of today reads.
#[test]
fn the_real_history_of_roots_leads_from_the_fifth_to_the_embedded_one() {
    let history = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/tuf/root_history");
    let read = |version: u32| std::fs::read(format!("{history}/{version}.root.json")).unwrap();
    for first in 5..=15 {
        let setup = Setup::serving_roots(
            (first + 1..=15)
                .map(|version| (version, read(version)))
                .chain([(16, Mirror::public_good().root().to_vec())]),
        );
        let mirror = Mirror::new(Url::parse(URL).unwrap(), &read(first)).unwrap();
        let updates = Updates::new(mirror, setup.directories().clone());
        // The walk ends at root 16, which verifies; that nothing is below it ends the update.
        let error = block_on(updates.refresh(setup.http(), &now())).unwrap_err();
        assert!(
            matches!(&error, Error::Missing { file, .. } if file == "timestamp.json"),
            "{error:?}"
        );
        let mut expected: Vec<_> =
            (first + 1..=17).map(|version| format!("{version}.root.json")).collect();
        expected.push("timestamp.json".to_owned());
        assert_eq!(setup.requests(), expected, "from {first}");
    }
    for unsupported in 1..=4 {
        assert!(Mirror::new(Url::parse(URL).unwrap(), &read(unsupported)).is_err());
    }
}

// Peers.

/// The program cosign, where the peers were unpacked.
#[test]
fn cosign_reads_the_repository_of_the_sandbox() {
    let cosign = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/usr/bin/cosign");
    if !std::path::Path::new(cosign).is_file() {
        eprintln!("skipped: no cosign in target/peers (cargo xtask peers gets it)");
        assert!(std::env::var_os("CI").is_none(), "CI has its peers");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let scratch = tempfile::tempdir().unwrap();
        let config = sandbox::Config::new(scratch.path().join("sandbox"));
        let running = sandbox::Sandbox::start(config).await.unwrap();
        let output = tokio::process::Command::new(cosign)
            .args(["initialize", "--mirror", running.tuf_url(), "--root"])
            .arg(running.tuf_root())
            .env("HOME", scratch.path())
            .env("TUF_ROOT", scratch.path().join("cosign"))
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        let directory = running.tuf_url().replace("http://", "").replace(':', "-");
        let targets = scratch.path().join("cosign").join(directory).join("targets");
        let cached = std::fs::read(targets.join("trusted_root.json")).unwrap();
        assert_eq!(cached, std::fs::read(running.trusted_root()).unwrap());
        running.stop().await;
    });
}

#[test]
fn each_fault_of_the_sandbox_is_told_by_its_name() {
    for (fault, words) in [
        (sandbox::Fault::TufExpired, "the timestamp metadata of http://localhost:5559/ expired at"),
        (
            sandbox::Fault::TufTampered,
            "cannot trust what http://localhost:5559/ serves: integrity check failed: trusted_root.json: sha256 mismatch",
        ),
        (
            sandbox::Fault::TufUnavailable,
            "cannot reach http://localhost:5559/: http://localhost:5559/2.root.json answered 503 Service Unavailable",
        ),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let mut config = sandbox::Config::new(scratch.path());
        config.faults.insert(fault);
        let sandbox = sandbox::Sandbox::in_process(&config).unwrap();
        let root = sandbox.tuf().first_root();
        let mirror = Mirror::new(Url::parse(sandbox.tuf_url()).unwrap(), &root).unwrap();
        let directories = trust_update::Directories::new(scratch.path(), scratch.path());
        let tuf = std::sync::Arc::clone(sandbox.tuf());
        let http: std::sync::Arc<dyn host::Transport> = std::sync::Arc::new(
            move |request: http::Request<bytes::Bytes>| Ok(tuf.handle(request)),
        );
        let updates = Updates::new(mirror, directories);
        let error = block_on(updates.current(&http, &*config.clock)).unwrap_err();
        assert!(text(&error).starts_with(words), "{}", text(&error));
    }
}
