//! Application Default Credentials: the JSON files that Google's programs read.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::{FileError, Host};
use id_token::{Audience, IdToken};
use oidc_ambient::fetch::{self, Call, Failure};
use oidc_ambient::files;
use oidc_ambient::google::{SCOPE, action, generate_access_token, generate_id_token};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::google::external::External;

/// A file of credentials. Its kinds are those that Google documents; the fields, those we need.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Credentials {
    ServiceAccount(ServiceAccount),
    ImpersonatedServiceAccount {
        service_account_impersonation_url: String,
        source_credentials: Box<Self>,
        #[serde(default)]
        delegates: Vec<String>,
    },
    ExternalAccount(Box<External>),
    AuthorizedUser(User),
    #[serde(other)]
    Other,
}

/// The key of a service account.
#[derive(Deserialize)]
pub(crate) struct ServiceAccount {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    #[serde(default = "default_token_uri")]
    token_uri: String,
}

/// A person, as `gcloud auth application-default login` leaves them.
#[derive(Deserialize)]
pub(crate) struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

/// A file of credentials and how it was found.
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    /// A variable names it, rather than habit.
    pub(crate) named: bool,
}

impl Located {
    /// The file that a variable names, or the one that `gcloud` writes.
    pub(crate) async fn find(host: &Host) -> Result<Self, String> {
        let env = host.env.as_ref();
        if let Some(path) = env.path(VARIABLE) {
            return Ok(Self { path, named: true });
        }
        let base = match (env.path("CLOUDSDK_CONFIG"), env.path("APPDATA"), env.path("HOME")) {
            (Some(path), ..) => path,
            (None, Some(path), _) if cfg!(windows) => path.join("gcloud"),
            (None, _, Some(path)) => path.join(".config/gcloud"),
            _ => return Err(format!("{VARIABLE} is not set")),
        };
        let path = base.join(FILE);
        match files::read(host, &path, CAP).await {
            Err(FileError::NotFound { .. }) => {
                Err(format!("{VARIABLE} is not set and {} does not exist", path.display()))
            }
            _ => Ok(Self { path, named: false }),
        }
    }

    pub(crate) fn evidence(&self) -> String {
        if self.named {
            format!("{VARIABLE} names {}", files::shown(&self.path))
        } else {
            format!("{} exists", self.path.display())
        }
    }

    pub(crate) async fn read(&self, host: &Host) -> Result<Credentials, Failure> {
        let bytes = files::read(host, &self.path, CAP).await?;
        // Editors of some systems write a byte order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        // What the parser says may quote the file.
        serde_json::from_slice(bytes).map_err(|error| {
            let what = if error.is_data() { "a field is missing or wrong" } else { "not JSON" };
            Failure::new(format!("the file does not hold Google credentials: {what}"))
                .with_hint(format!("let {VARIABLE} name a JSON file of credentials, or unset it"))
        })
    }
}

impl Credentials {
    /// As the file calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::ServiceAccount(_) => "service_account",
            Self::ImpersonatedServiceAccount { .. } => "impersonated_service_account",
            Self::ExternalAccount(_) => "external_account",
            Self::AuthorizedUser(_) => "authorized_user",
            Self::Other => "of a kind that is not known here",
        }
    }

    /// Whether there is a service account behind it: nothing else has identity tokens of the needed
    /// form.
    pub(crate) fn is_service_account(&self) -> bool {
        !matches!(self, Self::AuthorizedUser(_) | Self::Other)
    }

    /// An identity token of the service account behind the file.
    pub(crate) async fn id_token(
        &self,
        host: &Host,
        audience: &Audience,
    ) -> Result<IdToken, Failure> {
        match self {
            Self::ServiceAccount(account) => account.id_token(host, audience).await,
            Self::ImpersonatedServiceAccount {
                service_account_impersonation_url: url,
                source_credentials,
                delegates,
            } => {
                let url = action(url, "generateIdToken")?;
                let access = source_credentials.base_token(host).await?;
                generate_id_token(host, url, &access, audience, delegates).await
            }
            Self::ExternalAccount(external) => {
                let Some(url) = external.impersonation_url() else {
                    return Err(Failure::new(
                        "the file names no service account, and a federated principal has no \
                         identity token of Google's",
                    )
                    .with_hint(
                        "create the file with `gcloud iam workload-identity-pools \
                         create-cred-config --service-account=...`, or sign with the token that \
                         is federated here",
                    ));
                };
                let url = action(url, "generateIdToken")?;
                let access = external.access_token(host).await?;
                generate_id_token(host, url, &access, audience, &[]).await
            }
            Self::AuthorizedUser(_) | Self::Other => Err(Failure::new(format!(
                "expected the credentials of a service account, found {}",
                self.kind()
            ))
            .with_hint(
                "log in with `gcloud auth application-default login \
                 --impersonate-service-account=...`, or name the account to impersonate in \
                 GOOGLE_SERVICE_ACCOUNT_NAME",
            )),
        }
    }

    /// An access token to impersonate with.
    pub(crate) async fn access_token(&self, host: &Host) -> Result<SecretString, Failure> {
        match self {
            Self::ImpersonatedServiceAccount {
                service_account_impersonation_url: url,
                source_credentials,
                delegates,
            } => {
                let access = source_credentials.base_token(host).await?;
                generate_access_token(host, url, &access, delegates).await
            }
            Self::ExternalAccount(external) => {
                let access = external.access_token(host).await?;
                match external.impersonation_url() {
                    Some(url) => generate_access_token(host, url, &access, &[]).await,
                    None => Ok(access),
                }
            }
            _ => self.base_token(host).await,
        }
    }

    /// The same, of credentials that stand for themselves.
    async fn base_token(&self, host: &Host) -> Result<SecretString, Failure> {
        match self {
            Self::ServiceAccount(account) => account.access_token(host).await,
            Self::ExternalAccount(external) => external.access_token(host).await,
            Self::AuthorizedUser(user) => user.access_token(host).await,
            Self::ImpersonatedServiceAccount { .. } | Self::Other => {
                Err(Failure::new(format!("credentials {} cannot impersonate here", self.kind()))
                    .with_hint("name the intermediate accounts in `delegates`"))
            }
        }
    }
}

impl ServiceAccount {
    async fn id_token(&self, host: &Host, audience: &Audience) -> Result<IdToken, Failure> {
        let call = self.call(host.clock.now(), "target_audience", audience.as_str())?;
        call.token(host, "/id_token").await.map_err(rejected)
    }

    async fn access_token(&self, host: &Host) -> Result<SecretString, Failure> {
        let call = self.call(host.clock.now(), "scope", SCOPE)?;
        call.secret(host, "access_token").await.map_err(rejected)
    }

    fn call(&self, now: SystemTime, claim: &str, value: &str) -> Result<Call, Failure> {
        let assertion = self.assertion(now, claim, value)?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.as_str()),
        ];
        Ok(Call::post_form(fetch::endpoint("`token_uri`", &self.token_uri)?, &fields))
    }

    /// A token that the account signs for itself (RFC 7523).
    fn assertion(&self, now: SystemTime, claim: &str, value: &str) -> Result<String, Failure> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.private_key_id });
        let claims = json!({
            "iss": self.client_email,
            "sub": self.client_email,
            "aud": self.token_uri,
            "iat": now,
            "exp": now.saturating_add(LIFE.as_secs()),
            claim: value,
        });
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature =
            keys::sign_rs256(&self.private_key, signed.as_bytes()).map_err(|error| {
                Failure::new(error.to_string()).with_hint("create a new key for the account")
            })?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl User {
    async fn access_token(&self, host: &Host) -> Result<SecretString, Failure> {
        let base = host.env.var(TOKEN_HOST).unwrap_or_else(default_token_uri);
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
            ("refresh_token", &self.refresh_token),
        ];
        let call = Call::post_form(fetch::endpoint(TOKEN_HOST, &base)?, &fields);
        call.secret(host, "access_token").await.map_err(|failure| {
            failure.with_hint("log in again: `gcloud auth application-default login`")
        })
    }
}

fn rejected(failure: Failure) -> Failure {
    failure.with_hint(
        "check that the key still exists (`gcloud iam service-accounts keys list`), that the \
         account is enabled, and that this machine's clock is right",
    )
}

fn default_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

pub(crate) const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const FILE: &str = "application_default_credentials.json";
/// As Google's own command line lets it be overridden.
const TOKEN_HOST: &str = "CLOUDSDK_AUTH_TOKEN_HOST";
const CAP: usize = 64 << 10;
const LIFE: Duration = Duration::from_secs(3600);
