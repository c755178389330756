use crate::hash::Hash;

/// Why a proof, a note or a tile is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The entry cannot be in a tree of that size.
    #[error("index {index} is not inside a tree of {size} entries")]
    OutOfRange {
        /// The entry's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// A proof with too few or too many hashes.
    #[error("expected a proof of {expected} hashes, found {found}")]
    ProofLength {
        /// How many index and size require.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The proof leads to another tree.
    #[error("expected the root hash {expected}, the proof leads to {found}")]
    RootMismatch {
        /// The root of the tree, from a checkpoint.
        expected: Hash,
        /// The root that the proof leads to.
        found: Hash,
    },
    /// A consistency proof between sizes that allow none.
    #[error("no consistency proof leads from {old} to {new} entries")]
    Sizes {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
    },
    /// The text is not a signed note (C2SP signed-note).
    #[error("not a signed note: {reason}")]
    Note {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The text is not a checkpoint (C2SP tlog-checkpoint).
    #[error("not a checkpoint: {reason}")]
    Checkpoint {
        /// Which line is wrong.
        reason: &'static str,
    },
    /// The note carries no signature of that key.
    #[error("no signature by {name} with key id {id}")]
    NoSignature {
        /// The key's name.
        name: String,
        /// The key's id, in hex.
        id: String,
    },
    /// A signature of the note names that key and does not verify with it.
    #[error("the signature by {name} with key id {id} does not verify")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's id, in hex.
        id: String,
    },
    /// The key cannot sign notes: because of its name, its algorithm or its encoding.
    #[error("not a note key: {reason}")]
    Key {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A tile or an entry bundle is missing or does not have the length that its path states.
    #[error("the tile {path}: {reason}")]
    Tile {
        /// Its path below the log's prefix.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
