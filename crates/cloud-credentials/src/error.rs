//! Why there is no access.

use oidc_ambient::fetch::Failure;

/// Why there are no credentials for a cloud, by what a caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine has no credentials for the cloud: use others.
    #[error("no credentials for {cloud}: {evidence}")]
    Absent {
        /// The cloud.
        cloud: &'static str,
        /// What was looked for.
        evidence: String,
    },
    /// There are credentials, and they could not be used.
    #[error("cannot use the credentials for {cloud}: {reason}")]
    Unusable {
        /// The cloud.
        cloud: &'static str,
        /// What went wrong. Never holds a secret.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Error {
    pub(crate) fn unusable(cloud: &'static str) -> impl FnOnce(Failure) -> Self {
        move |failure| Self::Unusable { cloud, reason: failure.reason, hint: failure.hint }
    }
}
