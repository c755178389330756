//! Flags that several commands share.

use std::path::PathBuf;

use http_client::ServerTls;
use id_token::Audience;
use secrecy::SecretString;
use spiffe_workload_api::{Endpoint, SpiffeId};
use url::Url;

use super::values::{AuthFlow, nonempty, service_url};

// Where the identity token comes from.
#[derive(clap::Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityFlags {
    /// A file with the identity token, `-` for stdin, or the token itself (other users can see it).
    #[arg(long, value_name = "FILE|-|TOKEN", value_parser = nonempty::<SecretString>)]
    #[arg(conflicts_with_all = ["oidc_provider", "SpiffeFlags"])]
    pub(crate) identity_token: Option<SecretString>,
    /// Use only this identity source, such as github-actions or spiffe.
    #[arg(long, value_name = "NAME", value_parser = nonempty::<String>)]
    pub(crate) oidc_provider: Option<String>,
    /// The audience of identity tokens [default: the certificate authority's, else sigstore].
    #[arg(long, value_name = "AUDIENCE", value_parser = |text: &str| Audience::new(text))]
    pub(crate) oidc_audience: Option<Audience>,
    /// Do not search for an identity: use only --identity-token or an interactive login.
    #[arg(long, conflicts_with_all = ["oidc_provider", "SpiffeFlags"])]
    pub(crate) oidc_disable_ambient_providers: bool,
    #[command(flatten)]
    pub(crate) spiffe: Option<SpiffeFlags>,
    /// Hide the identity token in the log of a GitHub job: prints `::add-mask::` and the token.
    #[arg(long)]
    pub(crate) github_mask: bool,
}

impl IdentityFlags {
    /// The flags that name an identity, if some do.
    pub(crate) fn named(&self) -> Option<&'static str> {
        match self {
            Self { identity_token: Some(_), .. } => Some("--identity-token"),
            Self { oidc_provider: Some(_), .. } => Some("--oidc-provider"),
            Self { spiffe, .. } => {
                spiffe.as_ref().map(|_| "--spiffe-id, --spiffe-hint or --spiffe-socket")
            }
        }
    }
}

// The SPIFFE identity.
#[derive(clap::Args, Clone)]
pub(crate) struct SpiffeFlags {
    /// Use SPIFFE, and the identity with this SPIFFE ID.
    #[arg(long, value_name = "ID")]
    pub(crate) spiffe_id: Option<SpiffeId>,
    /// Use SPIFFE, and the identity with this hint.
    #[arg(long, value_name = "HINT", value_parser = nonempty::<String>)]
    pub(crate) spiffe_hint: Option<String>,
    /// Use SPIFFE, and the Workload API at this URI (unix:///PATH, tcp://ADDRESS:PORT) or path.
    #[arg(long, value_name = "URI", value_parser = Endpoint::parse_or_path)]
    pub(crate) spiffe_socket: Option<Endpoint>,
}

// Interactive login.
#[derive(clap::Args)]
#[command(next_help_heading = "Login")]
pub(crate) struct LoginFlags {
    /// Log in with a browser here (normal) or elsewhere (device), or never (token) [default: at a
    /// terminal, if no other identity is found].
    #[arg(long, value_name = "normal|device|token", hide_possible_values = true)]
    pub(crate) fulcio_auth_flow: Option<AuthFlow>,
    /// Log in at this OIDC issuer instead of the signing config's.
    #[arg(long, value_name = "URL", value_parser = issuer)]
    pub(crate) oidc_issuer: Option<String>,
    /// The OAuth client ID.
    #[arg(long, value_name = "ID", default_value = "sigstore", value_parser = nonempty::<String>)]
    pub(crate) oidc_client_id: String,
    /// A file with the secret of the OAuth client.
    #[arg(long, value_name = "FILE", value_parser = nonempty::<SecretString>)]
    pub(crate) oidc_client_secret_file: Option<SecretString>,
    /// The login redirect of the browser [default: http://localhost:0/auth/callback; port 0 is any].
    #[arg(long, value_name = "URL", value_parser = redirect)]
    pub(crate) oidc_redirect_url: Option<Url>,
}

/// Kept as it was typed: issuers are compared as strings.
fn issuer(text: &str) -> Result<String, &'static str> {
    service_url(text).map(|_| text.to_owned())
}

fn redirect(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let login = oidc_interactive::Login::new("").with_redirect(&url);
    login.map(|_| url).map_err(|error| host::with_causes(&error))
}

// The services that take part in signing.
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
    #[arg(long, hide = true, default_value_t = true)]
    pub(crate) tlog_upload: bool,
}

// The trusted root.
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

// Access to the registry.
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
    /// Show this client certificate (PEM) to the registries of the images.
    #[arg(long, value_name = "FILE", requires = "registry_client_key")]
    pub(crate) registry_client_cert: Option<PathBuf>,
    /// The private key (PEM) of --registry-client-cert.
    #[arg(long, value_name = "FILE", requires = "registry_client_cert")]
    pub(crate) registry_client_key: Option<PathBuf>,
    /// Expect this name in the TLS certificate of the registry, instead of its host.
    #[arg(long, value_name = "NAME", value_parser = |name: &str| ServerTls::new().with_name(name))]
    pub(crate) registry_server_name: Option<ServerTls>,
    /// Use GITHUB_TOKEN for ghcr.io outside of a GitHub job too. A cloud's identity serves its own
    /// registry without this flag.
    #[arg(long)]
    pub(crate) k8s_keychain: bool,
    /// The user name for the registry of the first image; HOST=NAME for another registry.
    #[arg(long, value_name = "NAME", requires = "registry_password")]
    pub(crate) registry_username: Option<String>,
    /// The password. Prefer the variable AMBISIGN_REGISTRY_PASSWORD.
    #[arg(long, value_name = "PASSWORD", requires = "registry_username")]
    pub(crate) registry_password: Option<SecretString>,
    /// The bearer token for the registry. Prefer the variable AMBISIGN_REGISTRY_TOKEN.
    #[arg(long, value_name = "TOKEN")]
    #[arg(conflicts_with_all = ["registry_username", "registry_password"])]
    pub(crate) registry_token: Option<SecretString>,
}
