#![doc = include_str!("../README.md")]
//!
//! It is not a client and fetches nothing: tiles come from a closure.

mod checkpoint;
mod error;
mod hash;
mod merkle;
mod note;
mod tiles;
mod tree;

pub use crate::checkpoint::Checkpoint;
pub use crate::error::Error;
pub use crate::hash::{Hash, empty_root, leaf_hash, node_hash};
pub use crate::merkle::{ConsistencyProof, InclusionProof};
pub use crate::note::{Note, NoteKey, NoteSignature, sign_note};
pub use crate::tiles::{EntryBundle, TileReader, entry_bundle_path, tile_path};
pub use crate::tree::Tree;
pub use keys;
