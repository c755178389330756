//! What proves that the one who asks for the token is the one who sent the person to log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::Error;

/// The secrets of one login. The challenge may be seen; the verifier never leaves but for the
/// token endpoint (RFC 7636 4).
pub(crate) struct Attempt {
    verifier: SecretString,
    /// `S256` of the verifier.
    pub(crate) challenge: String,
    /// Ties the browser's return to us (RFC 6749 10.12).
    pub(crate) state: String,
    /// Ties the identity token to this login (OpenID Connect Core 15.5.2).
    pub(crate) nonce: String,
}

impl Attempt {
    pub(crate) fn new() -> Result<Self, Error> {
        let verifier = random::<48>()?;
        let challenge = URL_SAFE_NO_PAD.encode(keys::sha256(verifier.as_bytes()));
        Ok(Self {
            verifier: verifier.into(),
            challenge,
            state: random::<16>()?,
            nonce: random::<16>()?,
        })
    }

    pub(crate) fn verifier(&self) -> &str {
        self.verifier.expose_secret()
    }
}

fn random<const N: usize>() -> Result<String, Error> {
    let bytes = keys::random::<N>()
        .map_err(|error| Error::setup("no login without random numbers")(error.into()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_has_secrets_of_its_own_in_the_alphabet_of_the_standard() {
        let (one, two) = (Attempt::new().unwrap(), Attempt::new().unwrap());
        assert_ne!(one.verifier(), two.verifier());
        assert_ne!(one.state, two.state);
        assert_ne!(one.nonce, two.nonce);
        // RFC 7636 4.1: 43 to 128 unreserved characters.
        assert_eq!(one.verifier().len(), 64);
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!(one.verifier().chars().all(unreserved));
        assert_eq!(one.challenge.len(), 43);
    }
}
