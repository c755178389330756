//! Shorthands for what a source answers.

use id_token::{Absence, Broken, Found, IdToken, Outcome};

pub(crate) fn not_here(evidence: impl Into<String>) -> Outcome {
    Outcome::Absent(Absence::new(evidence.into()))
}

pub(crate) fn here(token: IdToken, evidence: impl Into<String>) -> Outcome {
    Outcome::Found(Found::new(token, evidence))
}

/// Here beyond doubt, and broken.
pub(crate) fn broken(
    evidence: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> Outcome {
    failed(evidence.into(), reason.into(), hint.into(), true)
}

/// Perhaps ours, and broken: the search goes on.
pub(crate) fn doubtful(
    evidence: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> Outcome {
    failed(evidence.into(), reason.into(), hint.into(), false)
}

fn failed(evidence: String, reason: String, hint: String, certain: bool) -> Outcome {
    Outcome::Broken(Broken::new(evidence, reason).with_hint(hint).with_certain(certain))
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
