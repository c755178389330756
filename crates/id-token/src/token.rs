//! The token itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::claims::Claims;
use crate::error::{Error, TOKEN_CAP};

/// A compact JWS (RFC 7519) whose claims have been read but not verified.
#[derive(Clone)]
pub struct IdToken {
    secret: SecretString,
    algorithm: String,
    claims: Claims,
}

impl IdToken {
    /// Reads `text`, the compact form, ignoring white space around it.
    ///
    /// Any algorithm is taken: it is the certificate authority that decides.
    ///
    /// # Errors
    /// The text is empty, larger than [`TOKEN_CAP`], not three base64url parts, or its header or
    /// payload is not a JSON object. The text itself is never part of the error.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > TOKEN_CAP {
            return Err(Error::TooLarge { found: text.len() });
        }
        let parts: Vec<&str> = text.split('.').collect();
        let &[header, payload, signature] = parts.as_slice() else {
            return Err(Error::Parts { found: parts.len() });
        };
        let header = object(header, "header")?;
        let claims = Claims::new(object(payload, "payload")?);
        decode(signature, "signature")?;
        let algorithm = header.get("alg").and_then(|alg| alg.as_str()).unwrap_or("none").to_owned();
        Ok(Self { secret: SecretString::from(text), algorithm, claims })
    }

    /// What the token says of itself. Nobody has verified it.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The header's `alg`, or `none`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The secret. It belongs into an `Authorization` header and nowhere else.
    pub fn reveal(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdToken")
            .field("issuer", &self.claims.issuer())
            .field("subject", &self.claims.subject())
            .finish_non_exhaustive()
    }
}

/// Whom a token is for. Sigstore's is [`Audience::SIGSTORE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(String);

impl Audience {
    /// What every public Fulcio expects.
    pub const SIGSTORE: &str = "sigstore";

    /// # Errors
    /// The audience is empty: SPIRE's agent hangs on that one, and no service accepts it.
    pub fn new(audience: impl Into<String>) -> Result<Self, Error> {
        let audience = audience.into();
        if audience.is_empty() { Err(Error::EmptyAudience) } else { Ok(Self(audience)) }
    }

    /// The audience `sigstore`.
    pub fn sigstore() -> Self {
        Self(Self::SIGSTORE.to_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn object(
    part: &str,
    name: &'static str,
) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
    serde_json::from_slice(&decode(part, name)?).map_err(|_| Error::Json { part: name })
}

/// Some issuers pad, which RFC 7515 forbids and go-jose tolerates nowhere; reading it here lets
/// the error come from the place that decides.
fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(part)
        .or_else(|_| URL_SAFE.decode(part))
        .map_err(|_| Error::Base64 { part: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(header: &str, payload: &str) -> String {
        let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{payload}.c2lnbmF0dXJl")
    }

    #[test]
    fn a_token_of_any_algorithm_is_read() {
        let text = encode(r#"{"alg":"ES256"}"#, r#"{"iss":"https://i","sub":"s","aud":["a","b"]}"#);
        let token = IdToken::parse(&format!(" {text}\n")).unwrap();
        assert_eq!(token.algorithm(), "ES256");
        assert_eq!(token.claims().issuer(), Some("https://i"));
        assert_eq!(token.claims().audiences(), ["a", "b"]);
        assert_eq!(token.reveal(), text);
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_secret() {
        let text = encode(r#"{"alg":"none"}"#, r#"{"sub":"s"}"#);
        let token = IdToken::parse(&text).unwrap();
        assert!(!format!("{token:?}").contains("c2lnbmF0dXJl"));
        let error = IdToken::parse("eyJ.secret").unwrap_err();
        assert_eq!(error, Error::Parts { found: 2 });
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn what_is_no_token_is_told_apart() {
        assert_eq!(IdToken::parse(" \n").unwrap_err(), Error::Empty);
        assert_eq!(IdToken::parse("a.b").unwrap_err(), Error::Parts { found: 2 });
        assert_eq!(IdToken::parse("!.e30.").unwrap_err(), Error::Base64 { part: "header" });
        assert_eq!(IdToken::parse("e30.W10.").unwrap_err(), Error::Json { part: "payload" });
        let long = "a".repeat(TOKEN_CAP + 1);
        assert_eq!(IdToken::parse(&long).unwrap_err(), Error::TooLarge { found: TOKEN_CAP + 1 });
    }
}
