//! How a person logs in, where one does.

use std::path::PathBuf;

use url::Url;

/// The login of a person.
#[derive(clap::Args)]
#[command(next_help_heading = "Login")]
pub(crate) struct LoginFlags {
    /// Log in as a person: in a browser of this machine (normal) or of any other (device). With
    /// `token` nobody ever logs in. When absent, a person at a terminal logs in where there is no
    /// other identity.
    #[arg(long, value_name = "normal|device|token", value_parser = auth_flow)]
    pub(crate) fulcio_auth_flow: Option<AuthFlow>,
    /// Log in at this issuer instead of the signing config's.
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_issuer: Option<String>,
    /// Log in as a user of this OAuth client.
    #[arg(long, value_name = "ID", default_value = "sigstore")]
    pub(crate) oidc_client_id: String,
    /// The secret of the OAuth client, if it has one.
    #[arg(long, value_name = "FILE")]
    pub(crate) oidc_client_secret_file: Option<PathBuf>,
    /// Where the browser comes back to; port 0 is any [default: http://localhost:0/auth/callback]
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_redirect_url: Option<Url>,
}

/// cosign's names of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthFlow {
    Device,
    Normal,
    Token,
}

fn auth_flow(text: &str) -> Result<AuthFlow, String> {
    match text {
        "device" => Ok(AuthFlow::Device),
        "normal" => Ok(AuthFlow::Normal),
        "token" => Ok(AuthFlow::Token),
        _ => Err("expected normal, device or token".to_owned()),
    }
}
