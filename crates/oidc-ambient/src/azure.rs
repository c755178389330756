//! The service of Azure's machines that gives access tokens (managed identities).

use std::path::Path;

use host::{Host, Redirects};
use http::header::{HeaderName, HeaderValue};
use id_token::{Audience, IdToken};
use secrecy::SecretString;
use url::Url;

use crate::fetch::{self, Call, Failure};
use crate::files;

/// An access token of this machine's managed identity for `resource`, such as
/// `https://management.azure.com/`.
///
/// # Errors
/// This is not a machine of Azure's, or it has no identity.
pub async fn access_token(host: &Host, resource: &str) -> Result<SecretString, Failure> {
    let service = Service::find(host).await.map_err(Failure::new)?;
    service.call(host, resource)?.secret(host, "access_token").await
}

/// Whether this is a machine of Azure's. The network is not asked.
///
/// # Errors
/// What was looked for, where it is none.
pub async fn machine(host: &Host) -> Result<(), String> {
    Service::find(host).await.map(|_| ())
}

/// Where the service is.
pub(crate) enum Service {
    /// Of App Service, functions and container apps, which is told by variables.
    Endpoint { url: String, secret: String },
    /// Of a virtual machine, whose firmware is Azure's.
    Machine,
    /// One whose protocol is not implemented: its name, and the variable that tells it.
    Unsupported(&'static str, &'static str),
}

impl Service {
    /// The service of this machine, or what was looked for.
    pub(crate) async fn find(host: &Host) -> Result<Self, String> {
        let env = host.env.as_ref();
        if env.var(ENDPOINT).is_some() && env.var(THUMBPRINT).is_some() {
            return Ok(Self::Unsupported("Service Fabric", THUMBPRINT));
        }
        if env.var(ENDPOINT).is_some() && env.var(ARC).is_some() {
            return Ok(Self::Unsupported("Azure Arc", ARC));
        }
        if let (Some(url), Some(secret)) = (env.var(ENDPOINT), env.var(HEADER)) {
            return Ok(Self::Endpoint { url, secret });
        }
        let tag = files::read(host, Path::new(ASSET_TAG), 256).await.unwrap_or_default();
        if tag.starts_with(AZURE_TAG) {
            return Ok(Self::Machine);
        }
        Err(format!("{ENDPOINT} is not set and {ASSET_TAG} is not Azure's"))
    }

    pub(crate) fn evidence(&self) -> String {
        match self {
            Self::Endpoint { .. } => format!("{ENDPOINT} and {HEADER} are set"),
            Self::Machine => format!("{ASSET_TAG} is Azure's"),
            Self::Unsupported(_, variable) => format!("{ENDPOINT} and {variable} are set"),
        }
    }

    /// A token that is one for `audience`, an application registered in Entra.
    pub(crate) async fn id_token(
        &self,
        host: &Host,
        audience: &Audience,
    ) -> Result<IdToken, Failure> {
        self.call(host, audience.as_str())?.token(host, "/access_token").await
    }

    fn call(&self, host: &Host, resource: &str) -> Result<Call, Failure> {
        let (mut url, name, value, version) = match self {
            Self::Endpoint { url, secret } => {
                let url = fetch::endpoint(ENDPOINT, url)?;
                (url, "x-identity-header", fetch::secret(HEADER, secret)?, "2019-08-01")
            }
            Self::Machine => {
                let url = Url::parse(METADATA).map_err(|_| Failure::new("no metadata service"))?;
                (url, "metadata", HeaderValue::from_static("true"), "2018-02-01")
            }
            Self::Unsupported(name, _) => {
                return Err(Failure::new(format!(
                    "the managed identity of {name} is not supported"
                ))
                .with_hint("put a token of another identity into SIGSTORE_ID_TOKEN"));
            }
        };
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
        if let Some(client) = host.env.var("AZURE_CLIENT_ID") {
            url.query_pairs_mut().append_pair("client_id", &client);
        }
        Ok(Call::get(url)
            .header(HeaderName::from_static(name), value)
            .policy(fetch::local_policy().with_reconnect(false).with_redirects(Redirects::Never)))
    }
}

const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
const THUMBPRINT: &str = "IDENTITY_SERVER_THUMBPRINT";
const ARC: &str = "IMDS_ENDPOINT";
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const ASSET_TAG: &str = "/sys/class/dmi/id/chassis_asset_tag";
/// The same on every virtual machine of Azure's.
const AZURE_TAG: &[u8] = b"7783-7084-3265-9085-8269-3286-77";
