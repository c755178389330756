//! Shorthands for what a source answers.

use id_token::{Absence, Broken, Found, IdToken, Outcome};

pub(crate) fn not_here(evidence: impl Into<String>) -> Outcome {
    Outcome::NotHere(Absence { evidence: evidence.into() })
}

pub(crate) fn here(token: IdToken, evidence: impl Into<String>) -> Outcome {
    Outcome::Here(Found { token, evidence: evidence.into() })
}

/// Here beyond doubt, and broken.
pub(crate) fn broken(
    evidence: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> Outcome {
    Outcome::Broken(Broken {
        evidence: evidence.into(),
        reason: reason.into(),
        hint: Some(hint.into()).filter(|hint: &String| !hint.is_empty()),
        certain: true,
    })
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
