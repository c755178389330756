//! The chain of roots.

use std::time::Duration;

use sandbox::{TufKey, TufKeys, TufRepository};
use serde_json::json;
use trust_update::{Error, Mirror};
use url::Url;

use crate::setup::{DAY, Setup, URL, now};
use crate::{assert_untrusted, text};

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
        timestamp["x-note"] = "no client reads this".into();
        repository.put_role(&timestamp).unwrap();
    });
    assert_eq!(setup.current(now()).unwrap().metadata()[0].version, 2);
}
