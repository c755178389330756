//! The roles below the root, and the targets.

use sandbox::{TufKey, TufRepository};
use serde_json::{Value, json};
use trust_update::Error;

use crate::assert_untrusted;
use crate::setup::{DAY, Setup, now};

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
