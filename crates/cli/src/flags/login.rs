//! Interactive login.

use std::path::PathBuf;

use clap::ValueEnum;
use url::Url;

use super::values::{Secret, nonempty, nonempty_secret, service_url};

/// Interactive login.
#[derive(clap::Args)]
#[command(next_help_heading = "Login")]
pub(crate) struct LoginFlags {
    /// Log in interactively: with a browser on this machine (normal) or on another (device).
    /// `token` never logs in. Without this flag, ambisign asks only at a terminal and only if no
    /// other identity is found.
    #[arg(long, value_name = "normal|device|token", hide_possible_values = true)]
    pub(crate) fulcio_auth_flow: Option<AuthFlow>,
    /// Log in at this OIDC issuer instead of the signing config's.
    #[arg(long, value_name = "URL", value_parser = issuer)]
    pub(crate) oidc_issuer: Option<String>,
    /// The OAuth client ID.
    #[arg(long, value_name = "ID", value_parser = nonempty, default_value = "sigstore")]
    pub(crate) oidc_client_id: String,
    /// A file with the secret of the OAuth client.
    #[arg(long, value_name = "FILE", value_parser = nonempty_secret)]
    pub(crate) oidc_client_secret_file: Option<Secret>,
    /// The login redirect of the browser; port 0 is any free port
    /// [default: http://localhost:0/auth/callback]
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_redirect_url: Option<Url>,
}

/// cosign's names of the login flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthFlow {
    Device,
    Normal,
    Token,
}

/// Kept as it was typed: issuers are compared as strings.
fn issuer(text: &str) -> Result<String, String> {
    service_url(text).map(|_| text.to_owned())
}

impl LoginFlags {
    /// The file of `--oidc-client-secret-file`.
    pub(crate) fn client_secret_file(&self) -> Option<PathBuf> {
        self.oidc_client_secret_file.as_ref().map(|path| PathBuf::from(path.reveal()))
    }
}
