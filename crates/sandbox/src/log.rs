//! An append-only log in memory: what both versions of Rekor keep.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tlog::{Checkpoint, Hash, Tree, leaf_hash, sign_note};

use crate::Error;
use crate::key::ServiceKey;

/// The entries, their tree, and where each is.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) tree: Tree,
    entries: Vec<Entry>,
    by_leaf: HashMap<Hash, u64>,
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The canonical body: what the leaf hash is over.
    pub(crate) body: Vec<u8>,
    /// When it was taken, in seconds since 1970. Only Rekor v1 tells.
    pub(crate) time: u64,
}

impl Log {
    /// Appends `body` and returns its index; an entry that is already there is an error that
    /// carries its index.
    pub(crate) fn append(&mut self, body: Vec<u8>, time: u64) -> Result<u64, u64> {
        let leaf = leaf_hash(&body);
        if let Some(index) = self.by_leaf.get(&leaf) {
            return Err(*index);
        }
        let index = self.tree.push(leaf);
        self.entries.push(Entry { body, time });
        self.by_leaf.insert(leaf, index);
        Ok(index)
    }

    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last `most` entries with their indices, the newest first.
    pub(crate) fn latest(&self, most: usize) -> Vec<(usize, Entry)> {
        self.entries.iter().cloned().enumerate().rev().take(most).collect()
    }

    pub(crate) fn find(&self, leaf: &Hash) -> Option<u64> {
        self.by_leaf.get(leaf).copied()
    }

    /// The signed checkpoint of the whole log.
    pub(crate) fn checkpoint(
        &self,
        origin: &str,
        name: &str,
        key: &ServiceKey,
    ) -> Result<String, Error> {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: self.tree.size(),
            root: self.tree.root(),
            extensions: Vec::new(),
        };
        sign_note(&checkpoint.to_text(), name, key).map_err(Error::make("a checkpoint"))
    }
}

/// A log that a panicking request left behind is as good as before: appending is all or nothing.
pub(crate) fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_entry_is_taken_once() {
        let mut log = Log::default();
        assert_eq!(log.append(b"a".to_vec(), 1), Ok(0));
        assert_eq!(log.append(b"b".to_vec(), 1), Ok(1));
        assert_eq!(log.append(b"a".to_vec(), 2), Err(0));
        assert_eq!((log.tree.size(), log.find(&leaf_hash(b"b"))), (2, Some(1)));
    }
}
