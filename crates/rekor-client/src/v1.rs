//! Rekor v1: `hashedrekord` 0.0.1 and `dsse` 0.0.1.

use std::collections::BTreeMap;

use bundle::log_body::{LogBody, LogKind, LoggedHash, LoggedSignature};
use bundle::{LogEntry, LogProof};
use bytes::Bytes;
use futures_util::stream::iter;
use host::Body;
use http::Response;
use http::header::LOCATION;
use keys::{Digest, HashAlgorithm};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{LogUrl, base64, entry_id, from_base64, from_hex};
use crate::entry::{Entry, Verifier};
use crate::error::Error;

/// The proposed entry. An envelope may be large: it is written while it is sent.
pub(crate) fn request(entry: &Entry<'_>) -> Body {
    let Entry::Envelope { envelope, verifier, .. } = *entry else {
        return Bytes::from(proposed(entry).to_string()).into();
    };
    let text = envelope.json_text().quoted(
        r#"{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":""#,
        &format!(r#"","verifiers":["{}"]}}}}}}"#, pem(verifier)),
    );
    match text.len() {
        ..=SMALL => Bytes::from(text.to_bytes()).into(),
        size => Body::new(size as u64, move || Box::pin(iter(text.parts().map(Ok)))),
    }
}

/// What is sent as a whole, in bytes.
const SMALL: usize = 256 << 10;

fn pem(verifier: Verifier<'_>) -> String {
    base64(verifier.to_pem().as_bytes())
}

fn proposed(entry: &Entry<'_>) -> Value {
    match *entry {
        Entry::Hashed { digest, signature, verifier, .. } => json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {
                    "hash": { "algorithm": digest.algorithm().name(), "value": digest.to_hex() },
                },
                "signature": {
                    "content": base64(signature),
                    "publicKey": { "content": pem(verifier) },
                },
            },
        }),
        Entry::Envelope { envelope, verifier, .. } => json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "proposedContent": {
                    "envelope": envelope.to_json(),
                    "verifiers": [pem(verifier)],
                },
            },
        }),
    }
}

/// The id of the entry that a 409 speaks of: from its `Location`, else from its text. Only the id
/// is taken, so that an answer cannot send us elsewhere.
pub(crate) fn existing(response: &Response<Bytes>) -> Option<String> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    if let Some(id) = location.and_then(|path| entry_id(path.rsplit('/').next()?)) {
        return Some(id.to_owned());
    }
    let text = std::str::from_utf8(response.body()).ok()?;
    text.split(|c: char| !c.is_ascii_hexdigit()).find_map(entry_id).map(str::to_owned)
}

/// The request for the entries `ids`, or for the one that is `entry`.
pub(crate) fn retrieval(ids: &[String], entry: Option<&Entry<'_>>) -> Vec<u8> {
    let proposed = entry.map(proposed);
    match proposed {
        Some(proposed) => json!({ "entries": [proposed] }),
        None => json!({ "entryUUIDs": ids }),
    }
    .to_string()
    .into_bytes()
}

/// The ids in the answer of the search index.
pub(crate) fn ids(site: &LogUrl, bytes: &[u8]) -> Result<Vec<String>, Error> {
    let ids: Vec<String> =
        serde_json::from_slice(bytes).map_err(|error| site.malformed(error.to_string()))?;
    Ok(ids.iter().filter_map(|id| entry_id(id)).map(str::to_owned).collect())
}

/// Reads the entries of an answer with any number of them.
pub(crate) fn read_all(site: &LogUrl, bytes: &[u8]) -> Result<Vec<LogEntry>, Error> {
    let answers: Vec<Answer> =
        serde_json::from_slice(bytes).map_err(|error| site.malformed(error.to_string()))?;
    answers.into_iter().map(|answer| take_one(site, answer, None)).collect()
}

/// Reads the one entry of an answer. The id it goes by must be the one asked for, and in any case
/// belong to its body.
pub(crate) fn read(site: &LogUrl, bytes: &[u8], asked: Option<&str>) -> Result<LogEntry, Error> {
    let answer: Answer =
        serde_json::from_slice(bytes).map_err(|error| site.malformed(error.to_string()))?;
    take_one(site, answer, asked)
}

type Answer = BTreeMap<String, AnsweredEntry>;

fn take_one(site: &LogUrl, answer: Answer, asked: Option<&str>) -> Result<LogEntry, Error> {
    let found = answer.len();
    let (Some((id, answered)), 1) = (answer.into_iter().next(), found) else {
        return Err(site.malformed(format!("expected one entry, found {found}")));
    };
    let entry = answered.into_entry(site)?;
    let leaf = base16ct::lower::encode_string(&keys::sha256(
        &[&[0], entry.canonicalized_body.as_slice()].concat(),
    ));
    for id in [Some(id.as_str()), asked].into_iter().flatten() {
        let id = id.to_ascii_lowercase();
        if !id.ends_with(&leaf) {
            return Err(site.mismatch("the id", host::escape_remote(&id), leaf));
        }
    }
    Ok(entry)
}

/// Checks that `logged` is about the very signature that was submitted.
pub(crate) fn check(site: &LogUrl, entry: &Entry<'_>, logged: &LogEntry) -> Result<(), Error> {
    match *entry {
        Entry::Hashed { digest, signature, verifier, .. } => {
            let LogBody::HashedRekord001(body) = site.body(logged, LogKind::HashedRekord001)?
            else {
                return Err(site.malformed("the entry's body is of another kind"));
            };
            expect_digest(site, "the digest", digest, &body.hash)?;
            expect_signature(site, signature, verifier, &body.signature)
        }
        Entry::Envelope { envelope, verifier, .. } => {
            let LogBody::Dsse001(body) = site.body(logged, LogKind::Dsse001)? else {
                return Err(site.malformed("the entry's body is of another kind"));
            };
            let digest = Digest::of_pieces(HashAlgorithm::Sha256, envelope.payload.iter());
            expect_digest(site, "the payload's digest", &digest, &body.payload_hash)?;
            let ours = envelope.signatures.first().map(|s| s.sig.as_slice()).unwrap_or_default();
            let [logged] = body.signatures.as_slice() else {
                let found = body.signatures.len();
                return Err(site.malformed(format!("expected one signature, found {found}")));
            };
            expect_signature(site, ours, verifier, logged)
        }
    }
}

fn expect_digest(
    site: &LogUrl,
    what: &'static str,
    ours: &Digest,
    logged: &LoggedHash,
) -> Result<(), Error> {
    let found = format!("{}:{}", logged.algorithm, logged.value.to_ascii_lowercase());
    if found == ours.to_string() {
        return Ok(());
    }
    Err(site.mismatch(what, ours, host::escape_remote(&found)))
}

fn expect_signature(
    site: &LogUrl,
    ours: &[u8],
    verifier: Verifier<'_>,
    logged: &LoggedSignature,
) -> Result<(), Error> {
    if logged.signature != ours {
        let found = host::escape_remote(&base64(&logged.signature));
        return Err(site.mismatch("the signature", base64(ours), found));
    }
    if !verifier.is(&logged.verifier) {
        return Err(site.mismatch("the certificate or key", verifier.fingerprint(), "another"));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredEntry {
    body: String,
    integrated_time: u64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Option<Verification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    inclusion_proof: Option<AnsweredProof>,
    signed_entry_timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredProof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

impl AnsweredEntry {
    fn into_entry(self, site: &LogUrl) -> Result<LogEntry, Error> {
        let field = |name: &str, bytes: Option<Vec<u8>>| {
            bytes.ok_or_else(|| site.malformed(format!("{name} cannot be decoded")))
        };
        let canonicalized_body = field("body", from_base64(&self.body))?;
        let BodyKind { kind, api_version } = serde_json::from_slice(&canonicalized_body)
            .map_err(|error| site.malformed(format!("the entry's body: {error}")))?;
        let Some(verification) = self.verification else {
            return Err(site.malformed("the entry comes without a proof"));
        };
        let set = verification.signed_entry_timestamp.map(|set| from_base64(&set));
        let proof = verification.inclusion_proof.map(|proof| {
            let hashes = proof.hashes.iter().map(|hash| field("hashes", from_hex(hash)));
            Ok(LogProof {
                // This one counts inside the shard; the entry's own counts over all shards.
                log_index: proof.log_index,
                root_hash: field("rootHash", from_hex(&proof.root_hash))?,
                tree_size: proof.tree_size,
                hashes: hashes.collect::<Result<_, Error>>()?,
                checkpoint: proof.checkpoint,
            })
        });
        Ok(LogEntry {
            log_index: self.log_index,
            log_id: field("logID", from_hex(&self.log_id))?,
            kind,
            version: api_version,
            integrated_time: Some(self.integrated_time).filter(|time| *time != 0),
            signed_entry_timestamp: match set {
                None => None,
                Some(set) => Some(field("signedEntryTimestamp", set)?),
            },
            inclusion_proof: proof.transpose()?,
            canonicalized_body,
        })
    }
}

/// What a canonical body says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BodyKind {
    api_version: String,
    kind: String,
}
