//! Where tokens come from.

use std::time::Duration;

use host::BoxFuture;

use crate::{Audience, IdToken};

/// One place where a token may be found.
///
/// It answers in three states, because "not here" sends us to the next place while "here but
/// broken" must be told to a person: signing as the machine when the job's own identity is broken
/// would be signing as the wrong one.
pub trait TokenSource: Send + Sync {
    /// The name that `--oidc-provider` takes.
    fn name(&self) -> &'static str;

    /// Looks for a token for `audience` that lives for at least `min_ttl` from now on.
    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome>;
}

/// What a [`TokenSource`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// We are not in such a place.
    NotHere(Absence),
    /// Here is the token.
    Here(Found),
    /// We are in such a place and it does not work.
    Broken(Broken),
}

/// What was looked for and not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// For example `ACTIONS_ID_TOKEN_REQUEST_URL is not set`.
    pub evidence: String,
}

/// A token, and why we believe that it is ours.
#[derive(Clone, Debug)]
pub struct Found {
    /// The token.
    pub token: IdToken,
    /// For example `ACTIONS_ID_TOKEN_REQUEST_URL is set`.
    pub evidence: String,
}

/// An identity that should be here and could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Why we believe to be in such a place.
    pub evidence: String,
    /// What went wrong: expected and found. Never holds a secret.
    pub reason: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// Whether the evidence is beyond doubt, so that the search must end here. A CI job without
    /// its permission is certain; a guess from a machine's firmware is not.
    pub certain: bool,
}
