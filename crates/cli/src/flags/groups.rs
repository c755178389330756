//! Flags that several commands share.

use std::path::PathBuf;

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
}

/// Whose signature is wanted.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    /// The signer: the certificate's URI, e-mail address or name, exactly.
    #[arg(long, value_name = "NAME", alias = "cert-identity")]
    pub(crate) certificate_identity: Option<String>,
    /// The signer, as a regular expression that must match the whole name.
    #[arg(long, value_name = "REGEXP", alias = "cert-identity-regexp")]
    pub(crate) certificate_identity_regexp: Option<String>,
    /// Who vouched for the signer: the OIDC issuer, exactly.
    #[arg(long, value_name = "URL", alias = "cert-oidc-issuer")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The OIDC issuer, as a regular expression that must match the whole of it.
    #[arg(long, value_name = "REGEXP", alias = "cert-oidc-issuer-regexp")]
    pub(crate) certificate_oidc_issuer_regexp: Option<String>,
    /// The workflow's trigger, such as push.
    #[arg(long, value_name = "EVENT")]
    pub(crate) certificate_github_workflow_trigger: Option<String>,
    /// The workflow's commit.
    #[arg(long, value_name = "SHA")]
    pub(crate) certificate_github_workflow_sha: Option<String>,
    /// The workflow's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) certificate_github_workflow_name: Option<String>,
    /// The workflow's repository, as OWNER/NAME.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) certificate_github_workflow_repository: Option<String>,
    /// The workflow's git ref, such as refs/heads/main.
    #[arg(long, value_name = "REF")]
    pub(crate) certificate_github_workflow_ref: Option<String>,
    /// Demand a verified timestamp of a timestamp authority.
    #[arg(long)]
    pub(crate) use_signed_timestamps: bool,
    /// Do not demand an entry in a transparency log.
    #[arg(long)]
    pub(crate) insecure_ignore_tlog: bool,
    /// Do not demand that the certificate was published.
    #[arg(long)]
    pub(crate) insecure_ignore_sct: bool,
    /// cosign's older name of --insecure-ignore-tlog.
    #[arg(long, hide = true)]
    pub(crate) private_infrastructure: bool,
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
