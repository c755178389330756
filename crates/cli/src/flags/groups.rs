//! Flags that several commands share.

use std::path::PathBuf;

use clap::ArgAction;
use id_token::Audience;
use spiffe_workload_api::{Endpoint, SpiffeId};
use url::Url;

use super::values::{Secret, boolean, nonempty, nonempty_secret, secret, service_url};

/// Where the identity token comes from.
#[derive(clap::Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityFlags {
    /// Use this identity token: a file, `-` for stdin, or the token itself (which other users of
    /// this machine can see).
    #[arg(long, value_name = "FILE|-|TOKEN", value_parser = nonempty_secret)]
    #[arg(conflicts_with_all = ["oidc_provider", "spiffe_id", "spiffe_hint", "spiffe_socket"])]
    pub(crate) identity_token: Option<Secret>,
    /// Use only this identity source, such as github-actions or spiffe.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    pub(crate) oidc_provider: Option<String>,
    /// Request identity tokens for this audience, instead of the one that the certificate authority
    /// states for the issuer, or else sigstore.
    #[arg(long, value_name = "AUDIENCE", value_parser = audience)]
    pub(crate) oidc_audience: Option<Audience>,
    /// Do not search for an identity: use only --identity-token or an interactive login.
    #[arg(long)]
    #[arg(conflicts_with_all = ["oidc_provider", "spiffe_id", "spiffe_hint", "spiffe_socket"])]
    pub(crate) oidc_disable_ambient_providers: bool,
    /// Use SPIFFE, and the identity with this SPIFFE ID.
    #[arg(long, value_name = "ID")]
    pub(crate) spiffe_id: Option<SpiffeId>,
    /// Use SPIFFE, and the identity with this hint.
    #[arg(long, value_name = "HINT", value_parser = nonempty)]
    pub(crate) spiffe_hint: Option<String>,
    /// Use SPIFFE, and the Workload API at this URI or path.
    #[arg(long, value_name = "unix:///PATH|tcp://ADDRESS:PORT")]
    #[arg(value_parser = Endpoint::parse_or_path)]
    pub(crate) spiffe_socket: Option<Endpoint>,
    /// Hide the identity token in the log of a GitHub job: writes `::add-mask::` and the token to
    /// stdout, or to stderr when stdout has JSON or a bundle.
    #[arg(long)]
    pub(crate) github_mask: bool,
}

fn audience(text: &str) -> Result<Audience, id_token::Error> {
    Audience::new(text)
}

impl IdentityFlags {
    /// The flag that names an identity, if one does.
    pub(crate) fn named(&self) -> Option<&'static str> {
        match self {
            Self { identity_token: Some(_), .. } => Some("--identity-token"),
            Self { oidc_provider: Some(_), .. } => Some("--oidc-provider"),
            flags => flags.spiffe(),
        }
    }

    /// The flag that names a SPIFFE identity, if one does.
    pub(crate) fn spiffe(&self) -> Option<&'static str> {
        match self {
            Self { spiffe_id: Some(_), .. } => Some("--spiffe-id"),
            Self { spiffe_hint: Some(_), .. } => Some("--spiffe-hint"),
            Self { spiffe_socket: Some(_), .. } => Some("--spiffe-socket"),
            _ => None,
        }
    }
}

/// The services that take part in signing.
#[derive(clap::Args)]
#[command(next_help_heading = "Services")]
pub(crate) struct ServiceFlags {
    /// The signing config to use [default: the public Sigstore's].
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_config: Option<PathBuf>,
    /// Use this certificate authority (Fulcio) instead of the signing config's.
    #[arg(long, value_name = "URL", value_parser = service_url)]
    pub(crate) fulcio_url: Option<Url>,
    /// Use this transparency log (Rekor) instead of the signing config's.
    #[arg(long, value_name = "URL", value_parser = service_url)]
    pub(crate) rekor_url: Option<Url>,
    /// Use this timestamp authority instead of the signing config's.
    #[arg(long, value_name = "URL", value_parser = service_url)]
    pub(crate) timestamp_server_url: Option<Url>,
    /// `false` makes no log entry; verifiers must then allow that.
    #[arg(long, hide = true, action = clap::ArgAction::Set, num_args = 0..=1)]
    #[arg(require_equals = true, default_value = "true", default_missing_value = "true")]
    #[arg(value_parser = boolean)]
    pub(crate) tlog_upload: bool,
}

/// The trusted root.
#[derive(clap::Args)]
#[command(next_help_heading = "Trust")]
pub(crate) struct TrustFlags {
    /// The trusted root to verify with [default: the public Sigstore's].
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Use the trusted root that `ambisign initialize` cached, without refreshing it.
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Access to the registry.
#[derive(clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryFlags {
    /// Use plain http to the registry. Not needed for a registry on a loopback address.
    #[arg(long)]
    pub(crate) allow_http_registry: bool,
    /// Do not check the TLS certificate of the registry.
    #[arg(long)]
    pub(crate) allow_insecure_registry: bool,
    /// Follow the registry to internal addresses and unusual ports (storage, token service).
    #[arg(long)]
    pub(crate) insecure_registry_redirects: bool,
    /// Trust the certificate authorities in this PEM file instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_cacert: Option<PathBuf>,
    /// The user name for the registry of the first image; HOST=NAME for another registry.
    #[arg(long, value_name = "NAME", requires = "registry_password")]
    pub(crate) registry_username: Option<String>,
    /// The password. Prefer the variable AMBISIGN_REGISTRY_PASSWORD.
    #[arg(long, value_name = "PASSWORD", value_parser = secret, requires = "registry_username")]
    pub(crate) registry_password: Option<Secret>,
    /// The bearer token for the registry. Prefer the variable AMBISIGN_REGISTRY_TOKEN.
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    #[arg(conflicts_with_all = ["registry_username", "registry_password"])]
    pub(crate) registry_token: Option<Secret>,
}

/// Flags of the commands that attach something to an image.
#[derive(clap::Args)]
pub(crate) struct AttachingFlags {
    /// `false` gives signatures no tags of their own in registries without the referrers API; a slow
    /// writer can then erase them from the list.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true", value_parser = boolean)]
    #[arg(value_name = "BOOL", hide_possible_values = true, help_heading = "Registry")]
    pub(crate) signature_tags: bool,
}
