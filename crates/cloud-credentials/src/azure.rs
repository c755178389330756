//! Azure: access tokens of a managed identity.

use host::Host;
use secrecy::SecretString;

use crate::error::Error;

/// An access token of this machine's managed identity for `resource`, such as
/// `https://management.azure.com/`.
///
/// # Errors
/// This is not a machine of Azure's, or it has no identity.
pub async fn access_token(host: &Host, resource: &str) -> Result<SecretString, Error> {
    oidc_ambient::azure::access_token(host, resource).await.map_err(Error::unusable(CLOUD))
}

const CLOUD: &str = "Azure";
