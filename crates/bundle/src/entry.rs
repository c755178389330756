//! The log entry.

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
    /// Seconds since 1970. Not to be used without a verified [`signed_entry_timestamp`].
    ///
    /// [`signed_entry_timestamp`]: Self::signed_entry_timestamp
    pub integrated_time: Option<u64>,
    /// Rekor v1's promise to integrate the entry (SET).
    pub signed_entry_timestamp: Option<Vec<u8>>,
    /// The proof that the entry is in the log.
    pub inclusion_proof: Option<LogProof>,
    /// The bytes of the leaf in the log.
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
