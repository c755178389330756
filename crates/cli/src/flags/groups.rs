//! Flags that several commands share.

use std::path::PathBuf;

use spiffe_workload_api::{Endpoint, SpiffeId};
use url::Url;

use super::values::{Secret, secret};

/// Where the identity token comes from.
#[derive(clap::Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityFlags {
    /// Use this identity token: a file, `-` for stdin, or the token itself (visible to other users
    /// of this machine).
    #[arg(long, value_name = "FILE|-|TOKEN", value_parser = secret)]
    pub(crate) identity_token: Option<Secret>,
    /// Use only this source of identity, such as github-actions or spiffe.
    #[arg(long, value_name = "NAME")]
    pub(crate) oidc_provider: Option<String>,
    /// Look for no identity other than --identity-token.
    #[arg(long)]
    pub(crate) oidc_disable_ambient_providers: bool,
    /// Use SPIFFE, and of several identities the one of this name.
    #[arg(long, value_name = "ID")]
    pub(crate) spiffe_id: Option<SpiffeId>,
    /// Use SPIFFE, and of several identities the one with this hint.
    #[arg(long, value_name = "HINT")]
    pub(crate) spiffe_hint: Option<String>,
    /// Use SPIFFE, and the Workload API at this URI or path.
    #[arg(long, value_name = "unix:///PATH|tcp://ADDRESS:PORT")]
    #[arg(value_parser = Endpoint::parse_or_path)]
    pub(crate) spiffe_socket: Option<Endpoint>,
    /// Have the runner of a GitHub job hide the identity token in the log: writes `::add-mask::`
    /// and the token to stdout, or to stderr beside JSON.
    #[arg(long)]
    pub(crate) github_mask: bool,
}

impl IdentityFlags {
    /// The flag that names an identity, if one does.
    pub(crate) fn named(&self) -> Option<&'static str> {
        match self {
            Self { identity_token: Some(_), .. } => Some("--identity-token"),
            Self { oidc_provider: Some(_), .. } => Some("--oidc-provider"),
            Self { spiffe_id: Some(_), .. } => Some("--spiffe-id"),
            Self { spiffe_hint: Some(_), .. } => Some("--spiffe-hint"),
            Self { spiffe_socket: Some(_), .. } => Some("--spiffe-socket"),
            _ => None,
        }
    }
}

/// Which services sign.
#[derive(clap::Args)]
#[command(next_help_heading = "Services")]
pub(crate) struct ServiceFlags {
    /// The services to sign with; the public Sigstore's when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_config: Option<PathBuf>,
    /// Use this certificate authority instead of the signing config's.
    #[arg(long, value_name = "URL")]
    pub(crate) fulcio_url: Option<Url>,
    /// Use this log instead of the signing config's.
    #[arg(long, value_name = "URL")]
    pub(crate) rekor_url: Option<Url>,
    /// Use this timestamp authority instead of the signing config's.
    #[arg(long, value_name = "URL")]
    pub(crate) timestamp_server_url: Option<Url>,
    /// `false` makes no log entry; verifiers must then allow its absence.
    #[arg(long, hide = true, action = clap::ArgAction::Set, num_args = 0..=1)]
    #[arg(require_equals = true, default_value = "true", default_missing_value = "true")]
    #[arg(value_parser = super::values::boolean)]
    pub(crate) tlog_upload: bool,
}

/// Whom to believe.
#[derive(clap::Args)]
#[command(next_help_heading = "Trust")]
pub(crate) struct TrustFlags {
    /// The trusted root to verify with; the public Sigstore's when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Do not refresh what `ambisign initialize` fetched: the cache serves as it is.
    #[arg(long)]
    pub(crate) offline: bool,
}

/// How to talk to the registry.
#[derive(clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryFlags {
    /// Speak plain http to the registry. Loopback registries need no flag.
    #[arg(long)]
    pub(crate) allow_http_registry: bool,
    /// Do not check the registry's TLS certificate.
    #[arg(long)]
    pub(crate) allow_insecure_registry: bool,
    /// Trust the certificate authorities in this PEM file instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_cacert: Option<PathBuf>,
    /// Log in as this user; needs --registry-password.
    #[arg(long, value_name = "NAME")]
    pub(crate) registry_username: Option<String>,
    /// The password. Better given as AMBISIGN_REGISTRY_PASSWORD.
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    pub(crate) registry_password: Option<Secret>,
    /// Send this bearer token. Better given as AMBISIGN_REGISTRY_TOKEN.
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    pub(crate) registry_token: Option<Secret>,
}
