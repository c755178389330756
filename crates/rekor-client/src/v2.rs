//! Rekor v2 (rekor-tiles): `hashedrekord` 0.0.2, by a strict decoder.

use bundle::LogEntry;
use bundle::log_body::{LogBody, LogKind, LoggedVerifier};
use keys::Digest;
use serde_json::json;

use crate::answer::{LogUrl, base64};
use crate::entry::{Entry, Verifier, encoding_digest};
use crate::error::Error;

/// The request; one field too many and the log refuses it.
pub(crate) fn request(entry: &Entry<'_>) -> Result<Vec<u8>, Error> {
    let statement = Statement::of(entry)?;
    let verifier = match statement.verifier {
        Verifier::Certificate(certificate) => json!({
            "x509Certificate": { "rawBytes": base64(certificate.der()) },
            "keyDetails": statement.key_details,
        }),
        Verifier::PublicKey(key) => json!({
            "publicKey": { "rawBytes": base64(key.spki()) },
            "keyDetails": statement.key_details,
        }),
    };
    let request = json!({
        "hashedRekordRequestV002": {
            "digest": base64(statement.digest.as_bytes()),
            "signature": { "content": base64(statement.signature), "verifier": verifier },
        },
    });
    Ok(request.to_string().into_bytes())
}

/// Checks that `logged` is about the very signature that was submitted, and comes with the proof
/// without which it is nothing.
pub(crate) fn check(site: &LogUrl, entry: &Entry<'_>, logged: &LogEntry) -> Result<(), Error> {
    let expected = Statement::of(entry)?;
    let LogBody::HashedRekord002(body) = site.body(logged, LogKind::HashedRekord002)? else {
        return Err(site.malformed("the entry's body is of another kind"));
    };
    let algorithm = expected.digest.algorithm().sigstore_name();
    if body.algorithm != algorithm {
        let found = host::escape_remote(&body.algorithm);
        return Err(site.mismatch("the hash algorithm", algorithm, found));
    }
    if body.digest != expected.digest.as_bytes() {
        let found = host::escape_remote(&base64(&body.digest));
        return Err(site.mismatch("the digest", base64(expected.digest.as_bytes()), found));
    }
    if body.signature != expected.signature {
        let found = host::escape_remote(&base64(&body.signature));
        return Err(site.mismatch("the signature", base64(expected.signature), found));
    }
    let is_ours = match (expected.verifier, &body.verifier) {
        (Verifier::Certificate(ours), LoggedVerifier::Certificate(der)) => ours.der() == der,
        (Verifier::PublicKey(ours), LoggedVerifier::PublicKey(spki)) => ours.spki() == spki,
        _ => false,
    };
    if !is_ours {
        let expected = expected.verifier.fingerprint();
        return Err(site.mismatch("the certificate or key", expected, "another"));
    }
    if body.key_details != expected.key_details {
        let found = host::escape_remote(&body.key_details);
        return Err(site.mismatch("the key details", expected.key_details, found));
    }
    match &logged.inclusion_proof {
        None => Err(site.malformed("the entry comes without a proof")),
        Some(proof) if proof.log_index != logged.log_index => {
            Err(site.mismatch("the proof's index", logged.log_index, proof.log_index))
        }
        Some(_) => Ok(()),
    }
}

/// What a `hashedrekord` states, whatever is logged with it.
struct Statement<'a> {
    digest: Digest,
    signature: &'a [u8],
    verifier: Verifier<'a>,
    key_details: &'static str,
}

impl<'a> Statement<'a> {
    fn of(entry: &Entry<'a>) -> Result<Self, Error> {
        match *entry {
            Entry::Hashed { digest, signature, scheme, verifier } => Ok(Self {
                digest: digest.clone(),
                signature,
                verifier,
                key_details: scheme.key_details(),
            }),
            // The log knows no envelopes since its version 2.3: what is logged is the signature
            // over the encoding that was signed.
            Entry::Envelope { envelope, scheme, verifier } => {
                let (Some(hash), Some(signature)) = (scheme.hash(), envelope.signatures.first())
                else {
                    let reason = "an envelope without a signature over a digest".into();
                    return Err(Error::Unloggable { reason });
                };
                Ok(Self {
                    digest: encoding_digest(envelope, hash),
                    signature: &signature.sig,
                    verifier,
                    key_details: scheme.key_details(),
                })
            }
        }
    }
}
