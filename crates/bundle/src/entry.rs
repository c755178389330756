use crate::error::Error;
use crate::proto_json::Message;

/// One entry of a transparency log, with what proves it: a promise, a proof, or both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogEntry {
    /// Rekor v1: the index over all shards. Rekor v2: the index in the log.
    pub log_index: u64,
    /// Which log: SHA-256 of its key (v1) or its full note key id (v2).
    pub log_id: Vec<u8>,
    /// The kind of entry, as `hashedrekord`.
    pub kind: String,
    /// The version of that kind, as `0.0.2`.
    pub version: String,
    /// Seconds since 1970. Means nothing without a verified [`signed_entry_timestamp`].
    ///
    /// [`signed_entry_timestamp`]: Self::signed_entry_timestamp
    pub integrated_time: Option<u64>,
    /// Rekor v1's promise to integrate the entry (SET).
    pub signed_entry_timestamp: Option<Vec<u8>>,
    /// The proof that the entry is in the log.
    pub inclusion_proof: Option<LogProof>,
    /// The very bytes that are a leaf of the log.
    pub canonicalized_body: Vec<u8>,
}

/// The proof that an entry is in a log of a size, and the log's signature over that size.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogProof {
    /// The index in the tree the proof is for: in Rekor v1 that of the shard.
    pub log_index: u64,
    /// The root of the tree, 32 bytes.
    pub root_hash: Vec<u8>,
    /// The number of leaves of the tree.
    pub tree_size: u64,
    /// The siblings from the leaf up, 32 bytes each.
    pub hashes: Vec<Vec<u8>>,
    /// The signed note over size and root.
    pub checkpoint: String,
}

impl LogEntry {
    /// Reads one `TransparencyLogEntry` on its own, as Rekor v2 answers it.
    ///
    /// Fields that this crate does not know are ignored here: an answer of a newer log is not
    /// wrong for having more in it. A bundle is read strictly.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let entry = Self::read(Message::parse(bytes, ANSWER_CAP)?, false)?;
        crate::rules::check_entry(&entry, None, "")?;
        Ok(entry)
    }

    pub(crate) fn read(mut message: Message, strict: bool) -> Result<Self, Error> {
        let log_index = message.int64("logIndex")?;
        let mut log_id = Vec::new();
        if let Some(mut id) = message.message("logId")? {
            log_id = id.bytes("keyId")?.unwrap_or_default();
            end(id, strict)?;
        }
        let (mut kind, mut version) = (String::new(), String::new());
        if let Some(mut kind_version) = message.message("kindVersion")? {
            kind = kind_version.string("kind")?.unwrap_or_default();
            version = kind_version.string("version")?.unwrap_or_default();
            end(kind_version, strict)?;
        }
        let integrated_time = Some(message.int64("integratedTime")?).filter(|time| *time != 0);
        let mut signed_entry_timestamp = None;
        if let Some(mut promise) = message.message("inclusionPromise")? {
            signed_entry_timestamp =
                promise.bytes("signedEntryTimestamp")?.filter(|set| !set.is_empty());
            end(promise, strict)?;
        }
        let inclusion_proof = match message.message("inclusionProof")? {
            None => None,
            Some(proof) => Some(LogProof::read(proof, strict)?),
        };
        let canonicalized_body = message.bytes("canonicalizedBody")?.unwrap_or_default();
        end(message, strict)?;
        Ok(Self {
            log_index,
            log_id,
            kind,
            version,
            integrated_time,
            signed_entry_timestamp,
            inclusion_proof,
            canonicalized_body,
        })
    }
}

impl LogProof {
    fn read(mut message: Message, strict: bool) -> Result<Self, Error> {
        let log_index = message.int64("logIndex")?;
        let root_hash = message.bytes("rootHash")?.unwrap_or_default();
        let tree_size = message.int64("treeSize")?;
        let hashes = message.bytes_list("hashes")?;
        let mut text = String::new();
        if let Some(mut checkpoint) = message.message("checkpoint")? {
            text = checkpoint.string("envelope")?.unwrap_or_default();
            end(checkpoint, strict)?;
        }
        end(message, strict)?;
        Ok(Self { log_index, root_hash, tree_size, hashes, checkpoint: text })
    }
}

fn end(message: Message, strict: bool) -> Result<(), Error> {
    if strict { message.finish() } else { Ok(()) }
}

/// An entry holds at most 64 KiB of body in Rekor v2; v1 knows no limit of its own.
const ANSWER_CAP: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_answer_may_say_null_zero_and_things_unknown() {
        let entry = LogEntry::from_json(
            br#"{"logIndex":"0","logId":{"keyId":"AQ=="},
                "kindVersion":{"kind":"hashedrekord","version":"0.0.2"},
                "integratedTime":"0","inclusionPromise":null,"news":{"x":1},
                "inclusionProof":{"rootHash":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                "treeSize":"1","hashes":[],"checkpoint":{"envelope":"c"}},
                "canonicalizedBody":"e30="}"#,
        )
        .unwrap();
        assert_eq!(entry.log_index, 0);
        assert_eq!(entry.integrated_time, None);
        assert_eq!(entry.signed_entry_timestamp, None);
        assert_eq!(entry.inclusion_proof.unwrap().log_index, 0);
    }

    #[test]
    fn an_entry_without_log_kind_or_body_is_refused() {
        for (json, path) in [
            (r#"{"kindVersion":{"kind":"k","version":"1"},"canonicalizedBody":"e30="}"#, "logId"),
            (r#"{"logId":{"keyId":"AQ=="},"canonicalizedBody":"e30="}"#, "kindVersion"),
            (
                r#"{"logId":{"keyId":"AQ=="},"kindVersion":{"kind":"k","version":"1"}}"#,
                "canonicalizedBody",
            ),
        ] {
            let error = LogEntry::from_json(json.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(path), "{error}");
        }
    }
}
