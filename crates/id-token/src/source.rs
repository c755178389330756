//! Where tokens come from.

use std::time::Duration;

use host::BoxFuture;

use crate::token::{Audience, IdToken};

/// A place where a token may be found: a CI job, a cloud machine, a file.
///
/// It answers in three states, because "absent" sends the search to the next source while
/// "broken" must be reported: signing as the machine when the job's own identity is broken would
/// be signing as the wrong one.
pub trait TokenSource: Send + Sync {
    /// The name that `--oidc-provider` takes.
    fn name(&self) -> &str;

    /// Looks for a token for `audience` that lives for at least `min_ttl` from now on.
    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome>;
}

/// What a [`TokenSource`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// This is not such a place.
    Absent(Absence),
    /// A token.
    Found(Found),
    /// This is such a place, but it gives no token.
    Broken(Broken),
}

/// What was looked for and not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Absence {
    /// For example `ACTIONS_ID_TOKEN_REQUEST_URL is not set`.
    pub evidence: String,
}

impl Absence {
    /// Nothing is here; `evidence` says what was looked at.
    pub fn new(evidence: impl Into<String>) -> Self {
        Self { evidence: evidence.into() }
    }
}

/// A token, and why the source believes that it belongs to this process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The token.
    pub token: IdToken,
    /// For example `ACTIONS_ID_TOKEN_REQUEST_URL is set`.
    pub evidence: String,
    /// Why the token may be another's, so that it serves only where its source was asked for by
    /// name.
    pub doubt: Option<Distrust>,
}

/// Why a token is not used before a person names its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Distrust {
    /// What speaks against the token.
    pub reason: String,
    /// What a person can do about it.
    pub hint: String,
}

impl Found {
    /// `token`, detected because of `evidence`.
    pub fn new(token: IdToken, evidence: impl Into<String>) -> Self {
        Self { token, evidence: evidence.into(), doubt: None }
    }

    /// The token serves only where its source was asked for by name.
    #[must_use]
    pub fn doubted(self, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { doubt: Some(Distrust { reason: reason.into(), hint: hint.into() }), ..self }
    }
}

/// An identity that should be here and could not be obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Why the source believes to be in such a place.
    pub evidence: String,
    /// What went wrong: expected and found. Never holds a secret.
    pub reason: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// Whether the search must end here. A CI job without its permission is certain. A guess from
    /// a machine's firmware, and a source that can never give a token for the audience asked for,
    /// are not: they are reported, and the search goes on.
    pub certain: bool,
    /// Whether the source may give a token for another audience.
    pub depends_on_audience: bool,
}

impl Broken {
    /// A source that is certainly here and gives no token, without a hint.
    pub fn new(evidence: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            evidence: evidence.into(),
            reason: reason.into(),
            hint: None,
            certain: true,
            depends_on_audience: false,
        }
    }

    /// With what a person can do about it; an empty text is no hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()).filter(|hint| !hint.is_empty()), ..self }
    }

    /// A token for another audience may be had here.
    #[must_use]
    pub fn depending_on_audience(self) -> Self {
        Self { depends_on_audience: true, ..self }
    }

    /// Whether the search must end here, see [`Broken::certain`].
    #[must_use]
    pub fn with_certain(self, certain: bool) -> Self {
        Self { certain, ..self }
    }
}
