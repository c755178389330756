//! What the fuzz targets found and collected, fed to them again: without libFuzzer, which needs a
//! C++ compiler and a nightly feature.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[expect(unreachable_pub, reason = "in its own crate it is the crate")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

fn directory(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind)
}

/// The files of a directory, by name; none where there is no such directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(directory: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files(directory).iter().map(name).collect()
}

#[test]
fn the_corpus_of_every_target_holds_what_must_hold() {
    for (name, target) in targets::ALL {
        let corpus = files(&directory("corpus").join(name));
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for file in corpus {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn what_was_found_does_not_come_back() {
    let findings = names(&directory("findings"));
    assert!(!findings.is_empty());
    for name in findings {
        let known = targets::ALL.iter().find(|(target, _)| *target == name);
        let (_, target) = known.unwrap_or_else(|| panic!("{name} is no target"));
        let found = files(&directory("findings").join(&name));
        assert!(!found.is_empty(), "{name} has no findings");
        for file in found {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_target_is_a_program_and_has_a_corpus() {
    let targets: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&directory("corpus")), targets);
    let programs: Vec<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&directory("fuzz_targets")), programs);
}
