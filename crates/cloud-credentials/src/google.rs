//! Google Cloud: Application Default Credentials, workload identity federation, and the metadata
//! service.

mod adc;
mod aws;
mod external;

use host::{BoxFuture, Host};
use oidc_ambient::fetch::Failure;
use oidc_ambient::google::{self, Access};
use secrecy::SecretString;

use crate::error::Error;

pub(crate) use self::adc::{Located, VARIABLE};

/// An access token of the credentials of this place: those that `GOOGLE_APPLICATION_CREDENTIALS`
/// names, those that `gcloud` has written, or the machine's.
///
/// # Errors
/// There are none, or they could not be used.
pub async fn access_token(host: &Host) -> Result<SecretString, Error> {
    find(host).await.map_err(Error::unusable("Google Cloud"))
}

/// [`access_token`] as what another service account is impersonated with.
#[derive(Clone, Debug)]
pub struct ApplicationDefault(Host);

impl ApplicationDefault {
    /// Of `host`.
    pub fn new(host: Host) -> Self {
        Self(host)
    }
}

impl Access for ApplicationDefault {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, Failure>> {
        Box::pin(find(&self.0))
    }
}

async fn find(host: &Host) -> Result<SecretString, Failure> {
    match Located::find(host).await {
        Ok(file) => file.read(host).await?.access_token(host).await,
        Err(_) => google::access_token(host).await,
    }
}
