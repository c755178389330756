//! What must hold of every input: one function for each reader of outside bytes. It panics where
//! something does not hold.
//!
//! The programs in `fuzz_targets` feed these with what libFuzzer thinks of; `tests/fuzz` feeds them
//! with the corpus, on stable Rust and without libFuzzer.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "a panic is what a fuzzer looks for")]

mod certificates;
mod documents;
mod registry;
mod tokens;
mod verdicts;

pub use self::certificates::{certificate, sct, timestamp};
pub use self::documents::{bundle, checkpoint, signing_config, trusted_root};
pub use self::registry::{oci_index, oci_manifest, reference};
pub use self::tokens::id_token;
pub use self::verdicts::verdict;

/// An error is a line for people: nothing in it moves a cursor, and it is short whatever it is about.
fn told(error: &dyn std::error::Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 4096, "{} bytes: {text}", text.len());
        next = error.source();
    }
}

/// What was read, or nothing after a look at the words of the refusal.
fn read<T, E: std::error::Error>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| told(error)).ok()
}

/// What is fed to one of the readers.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program and of its corpus.
pub const ALL: [(&str, Target); 12] = [
    ("bundle", bundle),
    ("certificate", certificate),
    ("checkpoint", checkpoint),
    ("id_token", id_token),
    ("oci_index", oci_index),
    ("oci_manifest", oci_manifest),
    ("reference", reference),
    ("sct", sct),
    ("signing_config", signing_config),
    ("timestamp", timestamp),
    ("trusted_root", trusted_root),
    ("verdict", verdict),
];
