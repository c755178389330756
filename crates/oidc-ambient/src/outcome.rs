//! Shorthands for what a source answers.

use id_token::{Absence, Broken, Found, IdToken, Outcome};

use crate::fetch::Failure;

pub(crate) fn absent(evidence: impl Into<String>) -> Outcome {
    Outcome::Absent(Absence::new(evidence))
}

pub(crate) fn found(token: IdToken, evidence: impl Into<String>) -> Outcome {
    Outcome::Found(Found::new(token, evidence))
}

/// Certainly here, and broken: the search ends.
pub(crate) fn broken(
    evidence: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> Outcome {
    Outcome::Broken(Broken::new(evidence, reason).with_hint(hint))
}

/// Perhaps here, or of no use for this audience: reported, and the search goes on.
pub(crate) fn soft(
    evidence: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> Outcome {
    Outcome::Broken(Broken::new(evidence, reason).with_hint(hint).with_certain(false))
}

/// No token for this audience, of which another may be had. `certain` as of [`Broken::certain`].
pub(crate) fn other_audience(
    evidence: impl Into<String>,
    reason: impl Into<String>,
    hint: impl Into<String>,
    certain: bool,
) -> Outcome {
    let broken = Broken::new(evidence, reason).with_hint(hint).with_certain(certain);
    Outcome::Broken(broken.depending_on_audience())
}

/// What a service of the job answered. The failure's own hint comes before `hint`.
pub(crate) fn answered(
    answer: Result<IdToken, Failure>,
    evidence: impl Into<String>,
    hint: impl FnOnce(&Failure) -> &'static str,
) -> Outcome {
    match answer {
        Ok(token) => found(token, evidence),
        Err(failure) => {
            let hint = failure.hint.clone().unwrap_or_else(|| hint(&failure).to_owned());
            broken(evidence, failure.reason, hint)
        }
    }
}

/// The token that the variable or file `name` holds.
pub(crate) fn parsed(name: &str, text: &str) -> Result<IdToken, String> {
    // What is not text comes here with a mark in place of each wrong byte.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(format!("{name} does not hold an identity token: it is not valid UTF-8"));
    }
    IdToken::parse(text).map_err(|error| format!("{name} does not hold an identity token: {error}"))
}
