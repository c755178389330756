//! The token itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::claims::Claims;
use crate::error::{Error, TOKEN_CAP};
use crate::shape;

/// A compact JWS (RFC 7519) whose claims have been read but not verified.
#[derive(Clone)]
pub struct IdToken {
    secret: SecretString,
    algorithm: String,
    claims: Claims,
}

impl IdToken {
    /// Reads `text`, the compact form, ignoring a byte order mark and white space around it.
    ///
    /// Any algorithm is accepted: the certificate authority decides.
    ///
    /// # Errors
    /// The text is empty, larger than [`TOKEN_CAP`], wrapped in something (quotation marks, a JSON
    /// object), not three base64url parts, or its header or payload is not a JSON object. The text
    /// itself is never part of the error.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > TOKEN_CAP {
            return Err(Error::TooLarge { found: text.len() });
        }
        if let Some(wrapping) = shape::wrapping(text) {
            return Err(Error::Wrapped { wrapping });
        }
        let parts: Vec<&str> = text.splitn(MOST_PARTS, '.').collect();
        let (&[header, payload, signature], None) = (parts.as_slice(), shape::known(text)) else {
            let kind = shape::kind(text);
            return Err(Error::NotAToken { parts: parts.len(), kind, length: text.len() });
        };
        let header = object(header, "header")?;
        let claims = Claims::new(object(payload, "payload")?);
        decode(signature, "signature")?;
        let algorithm = header.get("alg").and_then(|alg| alg.as_str()).unwrap_or("none").to_owned();
        Ok(Self { secret: SecretString::from(text), algorithm, claims })
    }

    /// What the token says of itself; unverified.
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

/// The service that a token is for. Sigstore's is [`Audience::SIGSTORE`].
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

/// Some issuers pad, which RFC 7515 forbids. It is read here, because Fulcio decides.
fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(part)
        .or_else(|_| URL_SAFE.decode(part))
        .map_err(|_| Error::Base64 { part: name })
}

/// An encrypted token has five parts; more are not told apart.
const MOST_PARTS: usize = 6;

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
        assert_eq!(error, Error::NotAToken { parts: 2, kind: "text", length: 10 });
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn each_way_not_to_be_a_token_has_its_own_error() {
        assert_eq!(IdToken::parse(" \n").unwrap_err(), Error::Empty);
        assert_eq!(IdToken::parse("!.e30.").unwrap_err(), Error::Base64 { part: "header" });
        assert_eq!(IdToken::parse("e30.W10.").unwrap_err(), Error::Json { part: "payload" });
        let long = "a".repeat(TOKEN_CAP + 1);
        assert_eq!(IdToken::parse(&long).unwrap_err(), Error::TooLarge { found: TOKEN_CAP + 1 });
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let text = encode("{}", "{}");
        for given in [format!("\u{feff}{text}\r\n"), format!("\u{feff} {text}")] {
            assert_eq!(IdToken::parse(&given).unwrap().reveal(), text);
        }
    }

    #[test]
    fn a_token_in_a_wrapping_is_told_to_come_out_of_it() {
        let token = encode(r#"{"alg":"RS256"}"#, "{}");
        for (given, told) in [
            (format!("\"{token}\""), "in quotation marks"),
            (format!("'{token}'"), "in quotation marks"),
            (format!("Bearer {token}"), "after `Bearer`"),
            (format!("authorization: bearer {token}"), "after `Bearer`"),
            (format!("SIGSTORE_ID_TOKEN={token}"), "after `NAME=`"),
            (format!(r#"{{"count":1,"value":"{token}"}}"#), "field `value`"),
            (format!(r#"{{ "x" : "{token}" }}"#), "in a JSON object"),
            (format!("[\"{token}\"]"), "in a JSON list"),
        ] {
            let error = IdToken::parse(&given).unwrap_err();
            assert!(matches!(error, Error::Wrapped { .. }), "{given}: {error}");
            let text = error.to_string();
            assert!(text.contains(told) && !text.contains(&token), "{given}: {text}");
        }
    }

    #[test]
    fn another_secret_is_named_by_its_kind_and_length_and_not_shown() {
        for (given, kind) in [
            ("ghp_0123456789abcdef", "a GitHub token"),
            ("github_pat_11ABC_x", "a GitHub token"),
            ("glpat-xyzzyxyzzy", "a GitLab token"),
            ("ya29.a0AfB_by.c3Vt", "a Google access token"),
            ("AKIAIOSFODNN7EXAMPLE", "an AWS access key ID"),
            ("-----BEGIN PRIVATE KEY-----\nMC4=", "PEM text"),
            ("eyJhbGciOiJSU0EifQ.a.b.c.d", "an encrypted token (JWE)"),
            ("/var/run/token", "a path"),
            ("hunter2", "text"),
        ] {
            let error = IdToken::parse(given).unwrap_err();
            let Error::NotAToken { kind: found, length, .. } = error else { panic!("{given}") };
            assert_eq!((found, length), (kind, given.len()), "{given}");
            let shown = error.to_string();
            assert!(shown.contains(&format!("{kind} of {length} bytes")), "{shown}");
            assert!(!shown.contains(&given[4..]), "{shown}");
        }
    }

    #[test]
    fn a_text_of_dots_costs_no_memory_for_its_parts() {
        let error = IdToken::parse(&".".repeat(TOKEN_CAP)).unwrap_err();
        assert!(matches!(error, Error::NotAToken { parts: 6, .. }), "{error}");
    }
}
