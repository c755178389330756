//! The embedded roots.

use trust_update::{Error, Mirror, Updates};
use url::Url;

use crate::setup::{Setup, URL, block_on, now};

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
