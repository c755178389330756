#![doc = include_str!("../README.md")]
//!
//! What it deliberately is not: a client. It fetches nothing; tiles come from a closure.

mod checkpoint;
mod merkle;
mod note;
mod tiles;
mod tree;

pub use crate::checkpoint::Checkpoint;
pub use crate::merkle::{ConsistencyProof, Hash, InclusionProof, empty_root, leaf_hash, node_hash};
pub use crate::note::{Note, NoteKey, NoteSignature, sign_note};
pub use crate::tiles::{EntryBundle, TileReader, entry_bundle_path, tile_path};
pub use crate::tree::Tree;

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
        /// What index and size demand.
        expected: usize,
        /// What is there.
        found: usize,
    },
    /// The proof leads to another tree.
    #[error("expected the root hash {expected}, the proof leads to {found}")]
    RootMismatch {
        /// The root of the tree that was promised.
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
    /// The text is no signed note (C2SP signed-note).
    #[error("not a signed note: {reason}")]
    Note {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The text is no checkpoint (C2SP tlog-checkpoint).
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
    /// The note carries a signature that claims to be of that key and is not.
    #[error("the signature by {name} with key id {id} does not verify")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's id, in hex.
        id: String,
    },
    /// The key cannot be one of a note: its name, its algorithm or its encoding.
    #[error("not a note key: {reason}")]
    Key {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A tile or an entry bundle is missing or has another length than its path says.
    #[error("the tile {path}: {reason}")]
    Tile {
        /// Its path below the log's prefix.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
