//! Private keys as people name them.

use std::path::Path;

use host::{Env, FileError};
use keys::{KeyAlgorithm, KeyPair};
use zeroize::Zeroizing;

/// Why a named private key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateKeyError {
    /// The file cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The content is not a private key that can be used, or the password is wrong.
    #[error(transparent)]
    Key(keys::Error),
    /// The content is not text.
    #[error("it is not PEM text")]
    NotText,
    /// The key is to be encrypted, and is.
    #[error("cosign or ambisign encrypted it already")]
    Encrypted,
    /// The key is encrypted, and there is no password.
    #[error("it is encrypted, and no password is given")]
    NoPassword,
    /// The key is of another kind than the one that was asked for.
    #[error("--signing-algorithm is {asked}, the key is {found}")]
    Algorithm {
        /// What is asked for.
        asked: KeyAlgorithm,
        /// The kind of the key.
        found: KeyAlgorithm,
    },
    /// A key that is elsewhere was named: in a key management system, in Kubernetes, in a token.
    #[error("{0}")]
    Elsewhere(&'static str),
    /// A password is needed for a new key, and there is none.
    #[error("no password is given for the new private key")]
    NoNewPassword,
    /// The variable is not set.
    #[error("{}", unset(variable))]
    Unset {
        /// Its name.
        variable: String,
    },
}

/// A private key that was read, and may still be encrypted. Wiped when it is dropped.
pub struct PrivateKey(Zeroizing<String>);

impl PrivateKey {
    /// Reads the private key that `name` names: a PEM file, or `env://VARIABLE`.
    ///
    /// # Errors
    /// [`PrivateKeyError`]; no error quotes the content.
    pub async fn read(name: &str, env: &dyn Env) -> Result<Self, PrivateKeyError> {
        if let Some(reason) = elsewhere(name) {
            return Err(PrivateKeyError::Elsewhere(reason));
        }
        if let Some(variable) = name.strip_prefix("env://") {
            let unset = || PrivateKeyError::Unset { variable: variable.to_owned() };
            return Ok(Self(Zeroizing::new(env.var(variable).ok_or_else(unset)?)));
        }
        let bytes = env.read(Path::new(name), CAP).await.map_err(PrivateKeyError::File)?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| PrivateKeyError::NotText)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Refuses `name` as the place of a new key, with the reason: new keys are written to files.
    ///
    /// # Errors
    /// [`PrivateKeyError::Elsewhere`], always.
    pub fn refuse_elsewhere(name: &str) -> Result<String, PrivateKeyError> {
        Err(PrivateKeyError::Elsewhere(elsewhere(name).unwrap_or(FILES)))
    }

    /// The private key that `name` names, which is not encrypted: to be encrypted.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`open`](Self::open); [`PrivateKeyError::Encrypted`].
    pub async fn import(name: &str, env: &dyn Env) -> Result<KeyPair, PrivateKeyError> {
        match Self::read(name, env).await? {
            key if key.is_encrypted() => Err(PrivateKeyError::Encrypted),
            key => key.open(None).await,
        }
    }

    /// Whether [`open`](Self::open) needs a password.
    pub fn is_encrypted(&self) -> bool {
        KeyPair::is_encrypted_pem(&self.0)
    }

    /// The password that a variable gives for private keys.
    pub fn password_in(env: &dyn Env) -> Option<Zeroizing<Vec<u8>>> {
        let given = ["AMBISIGN_PASSWORD", "COSIGN_PASSWORD"].iter().find_map(|it| env.var_os(it));
        given.map(|password| Zeroizing::new(password.into_encoded_bytes()))
    }

    /// The key, decrypted with `password` where it is encrypted, which takes some tenths of a
    /// second and is done beside the runtime.
    ///
    /// # Errors
    /// [`PrivateKeyError::Key`] and [`PrivateKeyError::NoPassword`].
    pub async fn open(
        self,
        password: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<KeyPair, PrivateKeyError> {
        if !self.is_encrypted() {
            return KeyPair::from_pem(&self.0).map_err(PrivateKeyError::Key);
        }
        let password = password.ok_or(PrivateKeyError::NoPassword)?;
        let decrypt = move || KeyPair::from_encrypted_pem(&self.0, &password);
        let opened = host::off_thread(decrypt).await;
        opened.unwrap_or(Err(keys::Error::NoRandomness)).map_err(PrivateKeyError::Key)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

/// What is said of a variable that is not set.
pub(crate) fn unset(variable: &str) -> String {
    match variable {
        "" => "env:// names no variable, expected env://VARIABLE".to_owned(),
        variable => format!("{} is not set", host::escape_remote(variable)),
    }
}

/// Why `name` is not a file, if it names a key that never leaves its place.
fn elsewhere(name: &str) -> Option<&'static str> {
    let kind = ELSEWHERE
        .iter()
        .find(|(prefixes, _)| prefixes.split(' ').any(|prefix| name.starts_with(prefix)));
    kind.map(|(_, reason)| *reason)
        .or_else(|| (name.contains("://") && !name.starts_with("env://")).then_some(UNKNOWN))
}

/// Prefixes of names, and why these keys are not signed with.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "awskms:// gcpkms:// azurekms:// hashivault://",
        "keys in a key management system are not supported: whoever can use one has an identity \
         there, which signs without a key",
    ),
    (
        "k8s://",
        "keys in Kubernetes secrets are neither made nor read to sign: mount the secret, and name the file",
    ),
    (
        "gitlab:// github://",
        "keys in CI variables are neither made nor fetched: name the variable as env://VARIABLE",
    ),
    ("pkcs11:", "keys in hardware tokens are not supported"),
];

const FILES: &str = "a new key is written to files: name them with --output-key-prefix";
const UNKNOWN: &str = "keys are read from a file or from env://VARIABLE";

/// The longest key file, in bytes.
const CAP: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Runtime::new().unwrap().block_on(future)
    }

    fn open(name: &str, env: &dyn Env, password: Option<&str>) -> Result<KeyPair, String> {
        block_on(async {
            let password = password.map(|it| Zeroizing::new(it.as_bytes().to_vec()));
            let key = PrivateKey::read(name, env).await.map_err(|error| error.to_string())?;
            key.open(password).await.map_err(|error| error.to_string())
        })
    }

    #[test]
    fn each_way_a_key_can_be_wrong_is_told_apart() {
        const COSIGN: &str = include_str!("../../../tests/fixtures/peers/cosign-encrypted.key");
        const PUBLIC: &str = include_str!("../../../tests/fixtures/peers/cosign-encrypted.pub");
        let cut = &COSIGN[..300];
        let env = [("KEY", COSIGN), ("CUT", cut), ("PUBLIC", PUBLIC)];
        open("env://KEY", &env, Some("hunter2")).unwrap();
        for (name, password, expected) in [
            ("env://KEY", Some("hunter3"), "the password does not decrypt the private key"),
            ("env://KEY", None, "it is encrypted, and no password is given"),
            ("env://CUT", Some("hunter2"), "cut off"),
            ("env://PUBLIC", None, "it is a public key"),
            ("env://NOTHING", None, "NOTHING is not set"),
            ("env://", None, "env:// names no variable"),
            ("awskms:///alias/x", None, "key management system"),
            ("k8s://ns/name", None, "Kubernetes"),
            ("gitlab://1", None, "env://VARIABLE"),
            ("pkcs11:token=x", None, "hardware tokens"),
            ("https://example.com/key", None, "from a file"),
        ] {
            let error = open(name, &env, password).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
