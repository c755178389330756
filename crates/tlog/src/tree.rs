//! A Merkle tree in memory, for logs small enough to keep their leaves.

use crate::error::Error;
use crate::hash::{Hash, empty_root, node_hash};
use crate::merkle::{ConsistencyProof, InclusionProof};

/// A tree that knows the hash of each of its leaves, and of each full subtree.
///
/// Roots and proofs are computed when asked for, from as many hashes as the square of the
/// logarithm of the number of leaves.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    leaves: Vec<Hash>,
    /// The hashes of the full subtrees of 2, 4, 8 ... leaves, each in order.
    full: Vec<Vec<Hash>>,
}

impl Tree {
    /// Appends the entry whose leaf hash is `leaf` and returns its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        self.leaves.push(leaf);
        let (mut node, mut count, mut height) = (leaf, self.leaves.len(), 0);
        // Each subtree that the leaf makes full.
        while count % 2 == 0 {
            let Some(left) = self.level(height).get(count - 2) else { break };
            node = node_hash(left, &node);
            match self.full.get_mut(height) {
                Some(level) => level.push(node),
                None => self.full.push(vec![node]),
            }
            (count, height) = (count / 2, height + 1);
        }
        self.size() - 1
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The leaf hashes, in order.
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        self.hash(Range { start: 0, length: self.leaves.len() })
    }

    /// The root when the tree had `size` entries; `None` when it never had.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        self.first(size).ok().map(|range| self.hash(range))
    }

    /// Proves that the entry at `index` is in the tree of the first `size` entries.
    ///
    /// # Errors
    /// The index is outside that tree, or the tree never had that size.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<InclusionProof, Error> {
        let mut range = self.first(size)?;
        if index >= size {
            return Err(Error::OutOfRange { index, size });
        }
        let mut hashes = Vec::new();
        let position = index as usize;
        while range.length > 1 {
            let (left, right) = range.split();
            let is_left = position < right.start;
            hashes.push(self.hash(if is_left { right } else { left }));
            range = if is_left { left } else { right };
        }
        hashes.reverse();
        Ok(InclusionProof { index, size, hashes })
    }

    /// Proves that the tree of the first `new_size` entries begins with the one of `old_size`.
    ///
    /// # Errors
    /// The sizes allow no proof, or the tree never had them.
    pub fn consistency_proof(
        &self,
        old_size: u64,
        new_size: u64,
    ) -> Result<ConsistencyProof, Error> {
        let mut range = self.first(new_size)?;
        if old_size == 0 || old_size > new_size {
            return Err(Error::Sizes { old: old_size, new: new_size });
        }
        let mut hashes = Vec::new();
        let old = old_size as usize;
        // Whether the rest of the old tree is its whole tree, whose root the verifier has.
        let mut known = true;
        while old != range.start + range.length {
            let (left, right) = range.split();
            if old <= right.start {
                hashes.push(self.hash(right));
                range = left;
            } else {
                hashes.push(self.hash(left));
                range = right;
                known = false;
            }
        }
        if !known {
            hashes.push(self.hash(range));
        }
        hashes.reverse();
        Ok(ConsistencyProof { old_size, new_size, hashes })
    }

    fn first(&self, size: u64) -> Result<Range, Error> {
        match usize::try_from(size) {
            Ok(length) if length <= self.leaves.len() => Ok(Range { start: 0, length }),
            _ => Err(Error::OutOfRange { index: size, size: self.size() }),
        }
    }

    /// The hashes of the full subtrees of two to the power of `height` leaves.
    fn level(&self, height: usize) -> &[Hash] {
        match height.checked_sub(1) {
            Some(above) => self.full.get(above).map_or(&[], Vec::as_slice),
            None => &self.leaves,
        }
    }

    /// The hash of the subtree over `range`, which is one that splitting leads to: only its last
    /// parts are not full.
    fn hash(&self, range: Range) -> Hash {
        let Range { start, length } = range;
        if length.is_power_of_two()
            && let Some(node) = self.level(length.ilog2() as usize).get(start / length)
        {
            return *node;
        }
        if length < 2 {
            return empty_root();
        }
        let (left, right) = range.split();
        node_hash(&self.hash(left), &self.hash(right))
    }
}

/// Leaves that follow one another.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    length: usize,
}

impl Range {
    /// The two subtrees of one over at least two leaves.
    fn split(self) -> (Self, Self) {
        let Self { start, length } = self;
        let left = split_point(length);
        (Self { start, length: left }, Self { start: start + left, length: length - left })
    }
}

/// The hash of a subtree over `leaves`.
pub(crate) fn subtree(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

/// The largest power of two strictly less than `length`, which is at least 2.
pub(crate) fn split_point(length: usize) -> usize {
    1 << (length - 1).ilog2()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::leaf_hash;

    pub(crate) fn hash(hex: &str) -> Hash {
        Hash::from_slice(&base16ct::lower::decode_vec(hex).unwrap()).unwrap()
    }

    /// The eight entries that certificate transparency's own tests have used since 2013.
    pub(crate) fn classic_tree() -> Tree {
        let entries: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let mut tree = Tree::default();
        for entry in entries {
            tree.push(leaf_hash(entry));
        }
        tree
    }

    #[test]
    fn the_roots_of_the_classic_tree_are_the_published_ones() {
        let published = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let tree = classic_tree();
        for (size, root) in (1..).zip(published) {
            assert_eq!(tree.root_at(size), Some(hash(root)), "size {size}");
        }
        assert_eq!((tree.root_at(0), tree.root_at(9)), (Some(empty_root()), None));
    }

    #[test]
    fn the_proofs_of_the_classic_tree_are_the_published_ones() {
        let tree = classic_tree();
        let inclusion = tree.inclusion_proof(2, 3).unwrap();
        assert_eq!(
            inclusion.hashes,
            [hash("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")]
        );
        let consistency = tree.consistency_proof(3, 7).unwrap();
        let prefixes: Vec<String> =
            consistency.hashes.iter().map(|hash| hash.to_string()[..8].to_owned()).collect();
        assert_eq!(prefixes, ["0298d122", "07506a85", "fac54203", "837dbb15"]);
    }

    proptest! {
        #[test]
        fn every_proof_of_a_tree_verifies_and_none_for_another_leaf(size in 1_u64..200, pick: u64) {
            let mut tree = Tree::default();
            for entry in 0..size {
                tree.push(leaf_hash(&entry.to_be_bytes()));
            }
            let index = pick % size;
            let proof = tree.inclusion_proof(index, size).unwrap();
            prop_assert!(proof.verify(&leaf_hash(&index.to_be_bytes()), &tree.root()).is_ok());
            prop_assert!(proof.verify(&leaf_hash(b"another"), &tree.root()).is_err());

            let old_size = index + 1;
            let old = tree.root_at(old_size).unwrap();
            let proof = tree.consistency_proof(old_size, size).unwrap();
            prop_assert!(proof.verify(&old, &tree.root()).is_ok());
            prop_assert!(proof.verify(&leaf_hash(b"another"), &tree.root()).is_err());
        }
    }
}
