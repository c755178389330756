use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use const_oid::db::rfc5912::ID_SHA_256;
use der::asn1::{Int, OctetString};
use der::{Any, Encode as _};
use host::{CallPolicy, Transport};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use keys::Digest;
use spki::AlgorithmIdentifier;
use url::Url;
use x509_tsp::{MessageImprint, TimeStampReq, TspVersion};

use crate::timestamp::{SIZE_CAP, hex};
use crate::{Error, Timestamp};

/// One timestamp authority, asked over HTTP (RFC 3161 3.4).
#[derive(Clone)]
pub struct Tsa {
    url: Url,
    http: Arc<dyn Transport>,
}

impl Tsa {
    /// Asks the authority whose complete endpoint is `url`, through `http`. Sends nothing yet.
    pub fn new(url: Url, http: Arc<dyn Transport>) -> Self {
        Self { url, http }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for a timestamp over the SHA-256 of `signature`: the raw bytes, not their base64.
    ///
    /// The answer is checked to be one to this very request (message, nonce, status). It is *not*
    /// checked against a trusted authority: that is [`Timestamp::verify`].
    ///
    /// # Errors
    /// The authority cannot be reached, answers an error, refuses, or stamped something else.
    pub async fn stamp(&self, signature: &[u8]) -> Result<Timestamp, Error> {
        let digest = Digest::sha256(signature);
        let nonce = nonce()?;
        tracing::debug!(url = %self.shown(), "asking for a timestamp");
        let request = self.request(query(&digest, &nonce)?)?;
        let policy = CallPolicy::new()
            .with_attempt(Duration::from_secs(30))
            .with_total(Duration::from_secs(60))
            .with_body_cap(SIZE_CAP)
            // A second timestamp over the same bytes is harmless.
            .with_idempotent(true);
        let response = self.http.send(request, &policy).await.map_err(Error::Transport)?;
        // Sigstore's own authority can be told to answer 201.
        if !matches!(response.status(), StatusCode::OK | StatusCode::CREATED) {
            return Err(Error::Http {
                url: self.shown(),
                status: response.status().as_u16(),
                message: message(response.body()),
            });
        }
        let timestamp = Timestamp::from_der(response.body())?;
        if *timestamp.imprint() != digest {
            return Err(Error::Mismatch {
                what: "message",
                expected: digest.to_string(),
                found: timestamp.imprint().to_string(),
            });
        }
        if timestamp.nonce() != Some(nonce.as_slice()) {
            return Err(Error::Mismatch {
                what: "request, its nonce differs",
                expected: hex(&nonce),
                found: timestamp.nonce().map_or_else(|| "none".into(), hex),
            });
        }
        Ok(timestamp)
    }

    fn request(&self, query: Vec<u8>) -> Result<Request<Bytes>, Error> {
        Request::post(self.url.as_str())
            .header(CONTENT_TYPE, "application/timestamp-query")
            .header(ACCEPT, "application/timestamp-reply")
            .body(Bytes::from(query))
            .map_err(|error| {
                Error::Transport(host::TransportError::Unusable {
                    url: self.shown(),
                    reason: error.to_string(),
                })
            })
    }

    /// The URL without what may be secret in it.
    fn shown(&self) -> String {
        host::public_url(self.url.as_str())
    }
}

impl std::fmt::Debug for Tsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tsa").field("url", &self.shown()).finish_non_exhaustive()
    }
}

/// Eight bytes that are a positive INTEGER as they stand: the highest bit clear, the next one set.
fn nonce() -> Result<[u8; 8], Error> {
    let mut nonce = keys::random::<8>().map_err(Error::Nonce)?;
    nonce[0] = nonce[0] & 0x7f | 0x40;
    Ok(nonce)
}

/// A TimeStampReq for `digest`, a SHA-256, that wants the certificate in the answer: other
/// verifiers may not have it.
fn query(digest: &Digest, nonce: &[u8]) -> Result<Vec<u8>, Error> {
    let encode = || {
        TimeStampReq {
            version: TspVersion::V1,
            message_imprint: MessageImprint {
                hash_algorithm: AlgorithmIdentifier {
                    oid: ID_SHA_256,
                    parameters: Some(Any::null()),
                },
                hashed_message: OctetString::new(digest.as_bytes())?,
            },
            req_policy: None,
            nonce: Some(Int::new(nonce)?),
            cert_req: true,
            extensions: None,
        }
        .to_der()
    };
    encode().map_err(Error::der("request"))
}

/// The text of an error answer: the `message` of its JSON object, else the whole.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    match json.as_ref().and_then(|json| json.get("message")?.as_str()) {
        Some(message) => host::escape_remote(message),
        None if body.is_empty() => "no explanation".into(),
        None => host::escape_remote(&String::from_utf8_lossy(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nonce_is_a_positive_integer_of_eight_bytes() {
        for _ in 0..64 {
            let nonce = nonce().unwrap();
            assert_eq!(Int::new(&nonce).unwrap().as_bytes(), nonce);
            assert!(nonce[0] < 0x80);
        }
    }

    #[test]
    fn a_query_is_the_one_that_openssl_writes() {
        let digest = Digest::sha256(b"");
        let query = query(&digest, &[0x40, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        let (head, rest) = query.split_at(24);
        assert_eq!(hex(head), "304302010130313 00d060960864801650304020105000420".replace(' ', ""));
        let (imprint, tail) = rest.split_at(32);
        assert_eq!(imprint, digest.as_bytes());
        assert_eq!(hex(tail), "020840010203040506070101ff");
    }

    #[test]
    fn the_text_of_an_error_is_taken_from_json_where_there_is_json() {
        assert_eq!(message(br#"{"code":400,"message":"Weak\u0007"}"#), "Weak\\u{7}");
        assert_eq!(message(b"<html>"), "<html>");
        assert_eq!(message(b""), "no explanation");
    }
}
