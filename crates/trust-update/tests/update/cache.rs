//! The cache, and how it begins.

use std::time::Duration;

use sandbox::TufRepository;
use trust_update::{Checksum, Error, Mirror, Updates, Warning, read_root};
use url::Url;

use crate::setup::{DAY, ROOT, Setup, URL, block_on, now};

#[test]
fn offline_reads_the_cache_and_sends_no_request() {
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
    let trust = block_on(setup.updates().initialize(setup.http(), &now())).unwrap();
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
    let error = block_on(setup.updates().initialize(setup.http(), &now()));
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
