//! Public keys as people name them.

use std::path::Path;

use host::Host;
use keys::PublicKey;

use crate::public_key_error::PublicKeyError;
use crate::remote_key;

/// The public key that `name` names: a PEM file, `env://VARIABLE`, `https://URL`, or
/// `k8s://NAMESPACE/SECRET` in a pod of that cluster. Of a key that comes over the network
/// ([`is_remote_key`](crate::is_remote_key)) the caller should say so: it is trusted as much as the
/// server.
///
/// # Errors
/// [`PublicKeyError`].
pub async fn public_key(name: &str, host: &Host) -> Result<PublicKey, PublicKeyError> {
    let pem = match name.split_once("://") {
        Some(("env", variable)) => {
            let unset = || PublicKeyError::Unset { variable: variable.to_owned() };
            host.env.var(variable).ok_or_else(unset)?
        }
        Some(("https" | "http", _)) => remote_key::from_web(name, host).await?,
        Some(("k8s", secret)) => remote_key::from_cluster(secret, host).await?,
        Some((scheme, _)) => return Err(PublicKeyError::Scheme { scheme: scheme.to_owned() }),
        None => {
            let bytes = host.env.read(Path::new(name), CAP).await.map_err(PublicKeyError::File)?;
            String::from_utf8(bytes).map_err(|_| PublicKeyError::NotText)?
        }
    };
    if pem.contains("PRIVATE KEY") {
        return Err(PublicKeyError::Private);
    }
    PublicKey::from_pem(&pem).map_err(PublicKeyError::Malformed)
}

const CAP: usize = 64 << 10;
