//! The sources of this crate, to be picked one by one.
//!
//! [`Sources::standard`](crate::Sources::standard) is a table of all of them.

/// Makes `$source`, a struct with a `host` and a method `look`, a
/// [`TokenSource`](id_token::TokenSource) called `$name`.
macro_rules! token_source {
    ($source:ident, $name:expr) => {
        impl $source {
            /// The source, which looks at `host`.
            pub fn new(host: host::Host) -> Self {
                Self { host }
            }
        }

        impl id_token::TokenSource for $source {
            fn name(&self) -> &str {
                $name
            }

            fn find<'a>(
                &'a self,
                audience: &'a id_token::Audience,
                min_ttl: std::time::Duration,
            ) -> host::BoxFuture<'a, id_token::Outcome> {
                Box::pin(self.look(audience, min_ttl))
            }
        }
    };
}

mod azure;
mod azure_pipelines;
mod buildkite;
mod chainguard;
mod circleci;
mod codefresh;
mod env_token;
mod fly;
mod github;
mod gitlab;
mod google;
mod kubernetes;
mod platform;
mod token_file;

pub use self::azure::{AzureFederatedFile, AzureManagedIdentity};
pub use self::azure_pipelines::AzurePipelines;
pub use self::buildkite::Buildkite;
pub use self::chainguard::Chainguard;
pub use self::circleci::CircleCi;
pub use self::codefresh::Codefresh;
pub use self::env_token::EnvToken;
pub use self::fly::Fly;
pub use self::github::GitHubActions;
pub use self::gitlab::GitLab;
pub use self::google::{GoogleImpersonation, GoogleMetadata};
pub use self::kubernetes::Kubernetes;
pub use self::platform::PlatformVariable;
pub use self::token_file::{CosignTokenFile, NamedTokenFile};
