//! Logging in to a cloud's registry with the cloud's identity.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use cloud_credentials::secrecy::ExposeSecret as _;
use cloud_credentials::{Keychain, registry_login};
use futures_util::lock::Mutex;
use host::{BoxFuture, Host};
use oci_push::{Ambient, AmbientCredentials, Credentials};

/// The credentials that this machine or job has by itself for the registry of its cloud or platform:
/// for [`oci_push::Options::with_ambient_credentials`].
pub fn ambient_credentials(host: &Host, keychain: Keychain) -> Arc<dyn AmbientCredentials> {
    Arc::new(Place { host: host.clone(), keychain, known: Mutex::default() })
}

struct Place {
    host: Host,
    keychain: Keychain,
    /// By registry, until when they are used.
    known: Mutex<HashMap<String, (Ambient, SystemTime)>>,
}

impl Place {
    async fn look(&self, registry: &str) -> Result<Option<Ambient>, String> {
        // One request serves all repositories of a registry.
        let mut known = self.known.lock().await;
        let now = self.host.clock.now();
        if let Some((ambient, _)) = known.get(registry).filter(|(_, until)| now < *until) {
            return Ok(Some(ambient.clone()));
        }
        let login = registry_login(&self.host, registry, self.keychain).await;
        let Some(login) = login.map_err(|error| host::with_causes(&error))? else {
            return Ok(None);
        };
        let credentials = match login.username {
            Some(username) => Credentials::basic(username, login.secret.expose_secret()),
            None => Credentials::IdentityToken(login.secret),
        };
        let ambient = Ambient { credentials, origin: login.origin, lifetime: login.lifetime };
        if let Some(until) = now.checked_add(ambient.lifetime) {
            known.insert(registry.to_owned(), (ambient.clone(), until));
        }
        Ok(Some(ambient))
    }
}

impl AmbientCredentials for Place {
    fn find<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Result<Option<Ambient>, String>> {
        Box::pin(self.look(registry))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("keychain", &self.keychain).finish_non_exhaustive()
    }
}
