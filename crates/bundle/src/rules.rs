//! The rules for the structure of a bundle.

use std::collections::HashSet;

use crate::bundle::{Bundle, Content, MessageDigest, VerificationMaterial, Version};
use crate::constants::{MAX_LOG_ENTRIES, MAX_TIMESTAMPS};
use crate::entry::{LogEntry, LogProof};
use crate::envelope::Envelope;
use crate::error::{Error, quote};

impl Bundle {
    /// Builds a v0.3 bundle. A chain is cut to its leaf, as that version requires.
    ///
    /// # Errors
    ///
    /// When the parts break a rule of v0.3, the same as in [`Bundle::from_json`].
    pub fn new(
        material: VerificationMaterial,
        content: Content,
        entries: Vec<LogEntry>,
        timestamps: Vec<Vec<u8>>,
    ) -> Result<Self, Error> {
        let material = match material {
            VerificationMaterial::Chain(chain) => {
                VerificationMaterial::Certificate(chain.into_iter().next().unwrap_or_default())
            }
            other => other,
        };
        let bundle = Self { version: Version::V0_3, material, content, entries, timestamps };
        check(&bundle)?;
        Ok(bundle)
    }
}

pub(crate) fn check(bundle: &Bundle) -> Result<(), Error> {
    check_material(bundle)?;
    match &bundle.content {
        Content::Message { digest, signature } => {
            if signature.is_empty() {
                return Err(Error::rule("messageSignature.signature", "empty"));
            }
            match digest {
                Some(digest) => check_digest(digest)?,
                None => return Err(Error::rule("messageSignature.messageDigest", "missing")),
            }
        }
        Content::Envelope(envelope) => check_envelope(envelope, "dsseEnvelope.")?,
    }
    check_entries(bundle)?;
    check_timestamps(bundle)
}

fn check_material(bundle: &Bundle) -> Result<(), Error> {
    let path = "verificationMaterial";
    match &bundle.material {
        VerificationMaterial::Certificate(der) if der.is_empty() => {
            Err(Error::rule(&format!("{path}.certificate.rawBytes"), "empty"))
        }
        VerificationMaterial::Certificate(_) if bundle.version != Version::V0_3 => {
            Err(Error::rule(
                &format!("{path}.certificate"),
                "a bundle before v0.3 holds a chain, as x509CertificateChain",
            ))
        }
        VerificationMaterial::Chain(_) if bundle.version == Version::V0_3 => Err(Error::rule(
            &format!("{path}.x509CertificateChain"),
            "a v0.3 bundle holds the leaf alone, as certificate",
        )),
        VerificationMaterial::Chain(chain) => {
            let path = format!("{path}.x509CertificateChain.certificates");
            if chain.is_empty() {
                return Err(Error::rule(&path, "empty"));
            }
            check_count("certificates", chain.len(), MAX_CHAIN)?;
            match chain.iter().position(Vec::is_empty) {
                Some(i) => Err(Error::rule(&format!("{path}[{i}].rawBytes"), "empty")),
                None => Ok(()),
            }
        }
        VerificationMaterial::Certificate(_) | VerificationMaterial::PublicKey { .. } => Ok(()),
    }
}

fn check_digest(digest: &MessageDigest) -> Result<(), Error> {
    let path = "messageSignature.messageDigest";
    let expected = match digest.algorithm.as_str() {
        "SHA2_256" | "SHA3_256" => 32,
        "SHA2_384" | "SHA3_384" => 48,
        "SHA2_512" => 64,
        other => {
            return Err(Error::rule(
                &format!("{path}.algorithm"),
                format!("unknown value {}", quote(other)),
            ));
        }
    };
    if digest.digest.len() != expected {
        return Err(Error::rule(
            &format!("{path}.digest"),
            format!("{} has {expected} bytes, found {}", digest.algorithm, digest.digest.len()),
        ));
    }
    Ok(())
}

pub(crate) fn check_envelope(envelope: &Envelope, at: &str) -> Result<(), Error> {
    if envelope.payload.is_empty() {
        return Err(Error::rule(&format!("{at}payload"), "empty"));
    }
    if envelope.payload_type.is_empty() {
        return Err(Error::rule(&format!("{at}payloadType"), "empty"));
    }
    // With several, which of them counts would be the reader's choice.
    let [signature] = envelope.signatures.as_slice() else {
        return Err(Error::rule(
            &format!("{at}signatures"),
            format!("expected exactly one, found {}", envelope.signatures.len()),
        ));
    };
    if signature.sig.is_empty() {
        return Err(Error::rule(&format!("{at}signatures[0].sig"), "empty"));
    }
    Ok(())
}

fn check_entries(bundle: &Bundle) -> Result<(), Error> {
    check_count("log entries", bundle.entries.len(), MAX_LOG_ENTRIES)?;
    let mut seen = HashSet::new();
    for (i, entry) in bundle.entries.iter().enumerate() {
        let at = format!("verificationMaterial.tlogEntries[{i}].");
        check_entry(entry, Some(bundle.version), &at)?;
        if !seen.insert((&entry.log_id, entry.log_index)) {
            return Err(Error::rule(
                &format!("{at}logIndex"),
                format!("entry {} of this log is there twice", entry.log_index),
            ));
        }
    }
    Ok(())
}

/// The rules for one entry; those that depend on the bundle's version only when there is one.
pub(crate) fn check_entry(
    entry: &LogEntry,
    version: Option<Version>,
    at: &str,
) -> Result<(), Error> {
    if entry.log_id.is_empty() {
        return Err(Error::rule(&format!("{at}logId.keyId"), "missing"));
    }
    if entry.kind.is_empty() || entry.version.is_empty() {
        return Err(Error::rule(&format!("{at}kindVersion"), "missing"));
    }
    if entry.canonicalized_body.is_empty() {
        return Err(Error::rule(&format!("{at}canonicalizedBody"), "missing"));
    }
    for (name, value) in
        [("logIndex", entry.log_index), ("integratedTime", entry.integrated_time.unwrap_or(0))]
    {
        if i64::try_from(value).is_err() {
            return Err(Error::rule(&format!("{at}{name}"), "larger than 2^63-1"));
        }
    }
    if version == Some(Version::V0_1) && entry.signed_entry_timestamp.is_none() {
        return Err(Error::rule(
            &format!("{at}inclusionPromise"),
            "missing, a v0.1 bundle needs one in every entry",
        ));
    }
    match (&entry.inclusion_proof, version) {
        (Some(proof), _) => check_proof(proof, &format!("{at}inclusionProof.")),
        (None, Some(Version::V0_2 | Version::V0_3)) => Err(Error::rule(
            &format!("{at}inclusionProof"),
            "missing, a bundle of v0.2 or later needs one in every entry",
        )),
        (None, Some(Version::V0_1) | None) => Ok(()),
    }
}

fn check_proof(proof: &LogProof, at: &str) -> Result<(), Error> {
    if proof.checkpoint.is_empty() {
        return Err(Error::rule(&format!("{at}checkpoint"), "missing"));
    }
    if proof.tree_size == 0 || i64::try_from(proof.tree_size).is_err() {
        return Err(Error::rule(
            &format!("{at}treeSize"),
            format!("expected 1 to 2^63-1, found {}", proof.tree_size),
        ));
    }
    if proof.log_index >= proof.tree_size {
        return Err(Error::rule(
            &format!("{at}logIndex"),
            format!("{} is not in a tree of {} leaves", proof.log_index, proof.tree_size),
        ));
    }
    if proof.root_hash.len() != HASH_LEN {
        return Err(Error::rule(
            &format!("{at}rootHash"),
            format!("expected {HASH_LEN} bytes, found {}", proof.root_hash.len()),
        ));
    }
    if let Some((i, hash)) =
        proof.hashes.iter().enumerate().find(|(_, hash)| hash.len() != HASH_LEN)
    {
        return Err(Error::rule(
            &format!("{at}hashes[{i}]"),
            format!("expected {HASH_LEN} bytes, found {}", hash.len()),
        ));
    }
    let expected = proof_length(proof.log_index, proof.tree_size);
    if proof.hashes.len() != expected {
        return Err(Error::rule(
            &format!("{at}hashes"),
            format!(
                "leaf {} of {} needs {expected} hashes, found {}",
                proof.log_index,
                proof.tree_size,
                proof.hashes.len()
            ),
        ));
    }
    Ok(())
}

/// How many siblings leaf `index` has on its way to the root of a tree of `size` leaves:
/// those inside the subtree it shares with the last leaf, and the full subtrees to the left.
fn proof_length(index: u64, size: u64) -> usize {
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner + border) as usize
}

fn check_timestamps(bundle: &Bundle) -> Result<(), Error> {
    check_count("timestamps", bundle.timestamps.len(), MAX_TIMESTAMPS)?;
    let mut seen = HashSet::new();
    for (i, timestamp) in bundle.timestamps.iter().enumerate() {
        let path = format!(
            "verificationMaterial.timestampVerificationData.rfc3161Timestamps[{i}].signedTimestamp"
        );
        if timestamp.is_empty() {
            return Err(Error::rule(&path, "empty"));
        }
        if !seen.insert(timestamp) {
            return Err(Error::rule(&path, "this timestamp is there twice"));
        }
    }
    Ok(())
}

pub(crate) fn check_count(what: &'static str, found: usize, limit: usize) -> Result<(), Error> {
    if found > limit { Err(Error::Limit { what, limit, found }) } else { Ok(()) }
}

const MAX_CHAIN: usize = 16;
const HASH_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::proof_length;

    #[test]
    fn proof_lengths_agree_with_trees_built_by_hand() {
        assert_eq!(proof_length(0, 1), 0);
        assert_eq!(proof_length(5, 8), 3);
        assert_eq!(proof_length(2, 3), 1);
        assert_eq!(proof_length(4, 5), 1);
        assert_eq!(proof_length(23_083_061, 23_083_062), 10);
    }

    #[test]
    fn the_largest_trees_do_not_overflow() {
        let max = i64::MAX as u64;
        assert_eq!(proof_length(0, max), 63);
        assert_eq!(proof_length(max - 1, max), (max - 1).count_ones() as usize);
        assert_eq!(proof_length(0, u64::MAX), 64);
    }
}
