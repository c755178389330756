//! Azure: access tokens of a workload identity or a managed identity.

use std::path::Path;

use host::Host;
use id_token::{IdToken, TOKEN_CAP};
use oidc_ambient::fetch::{self, Call, Failure};
use oidc_ambient::{azure, files};
use secrecy::SecretString;

use crate::error::Error;

/// An access token of this place for `resource`, such as `https://management.azure.com/`: of the
/// workload identity of a pod (`AZURE_FEDERATED_TOKEN_FILE`), else of the machine's managed identity.
///
/// # Errors
/// This is no place of Azure's, or it has no identity.
pub async fn access_token(host: &Host, resource: &str) -> Result<SecretString, Error> {
    let var = |name| host.env.var(name);
    let token = match (host.env.path(TOKEN_FILE), var(CLIENT), var(TENANT)) {
        (Some(path), Some(client), Some(tenant)) => {
            federated(host, &path, &client, &tenant, resource).await
        }
        _ => match azure::machine(host).await {
            Ok(()) => azure::access_token(host, resource).await,
            Err(machine) => {
                let evidence =
                    format!("{TOKEN_FILE}, {CLIENT} and {TENANT} are not all set, and {machine}");
                return Err(Error::Absent { cloud: CLOUD, evidence });
            }
        },
    };
    token.map_err(Error::unusable(CLOUD))
}

/// The token of a pod, exchanged at Entra (RFC 7523 section 2.2).
async fn federated(
    host: &Host,
    path: &Path,
    client: &str,
    tenant: &str,
    resource: &str,
) -> Result<SecretString, Failure> {
    let bytes = files::read(host, path, TOKEN_CAP).await?;
    let token = IdToken::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let path = files::shown(path);
        Failure::new(format!("{path} does not hold an identity token: {error}"))
    })?;
    let authority = host.env.var(AUTHORITY).unwrap_or_else(|| PUBLIC_AUTHORITY.to_owned());
    let mut url = fetch::endpoint(AUTHORITY, &authority)?;
    url.path_segments_mut()
        .map_err(|()| Failure::new(format!("{AUTHORITY} has no path")))?
        .pop_if_empty()
        .extend([tenant, "oauth2", "v2.0", "token"]);
    let scope = format!("{resource}/.default");
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", &scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", token.reveal()),
    ];
    Call::post_form(url, &fields).secret(host, "access_token").await
}

const CLOUD: &str = "Azure";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const CLIENT: &str = "AZURE_CLIENT_ID";
const TENANT: &str = "AZURE_TENANT_ID";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com/";
