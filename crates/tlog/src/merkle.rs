//! Proofs (RFC 6962 section 2.1).

use crate::error::Error;
use crate::hash::{Hash, node_hash};

/// Evidence that an entry is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's index in the tree, from 0.
    pub index: u64,
    /// The tree's size.
    pub size: u64,
    /// The siblings on the way from the leaf to the root.
    pub hashes: Vec<Hash>,
}

impl InclusionProof {
    /// The root that the proof leads to from `leaf`.
    ///
    /// # Errors
    /// The index is outside the tree, or the number of hashes is not what index and size demand.
    pub fn root(&self, leaf: &Hash) -> Result<Hash, Error> {
        let Self { index, size, hashes } = self;
        if index >= size {
            return Err(Error::OutOfRange { index: *index, size: *size });
        }
        let (inner, border) = decompose(*index, *size);
        expect_length(inner + border, hashes.len())?;
        let (inner, border) = hashes.split_at(inner);
        let node = fold_inner(*leaf, inner, *index);
        Ok(fold_left(node, border))
    }

    /// Checks that the proof leads from `leaf` to `root`.
    ///
    /// # Errors
    /// As [`InclusionProof::root`], or it leads to another root.
    pub fn verify(&self, leaf: &Hash, root: &Hash) -> Result<(), Error> {
        expect_root(root, &self.root(leaf)?)
    }
}

/// Evidence that a larger tree begins with a smaller one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the smaller tree.
    pub old_size: u64,
    /// The size of the larger tree.
    pub new_size: u64,
    /// The hashes, in the order of RFC 6962 section 2.1.2.
    pub hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// Checks that a tree of `new_size` with root `new` begins with the one of `old_size` with
    /// root `old`.
    ///
    /// # Errors
    /// The sizes allow no proof (the old tree is empty or larger), the number of hashes is wrong,
    /// or one of the roots is not reached.
    pub fn verify(&self, old: &Hash, new: &Hash) -> Result<(), Error> {
        let Self { old_size, new_size, hashes } = self;
        if *old_size == 0 || old_size > new_size {
            return Err(Error::Sizes { old: *old_size, new: *new_size });
        }
        if old_size == new_size {
            expect_length(0, hashes.len())?;
            return expect_root(old, new);
        }
        let (inner, border) = decompose(old_size - 1, *new_size);
        let shift = old_size.trailing_zeros() as usize;
        let inner = inner.saturating_sub(shift);
        let start = usize::from(!old_size.is_power_of_two());
        expect_length(start + inner + border, hashes.len())?;
        let seed = if start == 1 { hashes[0] } else { *old };
        let (inner, border) = hashes[start..].split_at(inner);
        let path = (old_size - 1) >> shift;

        let left_siblings = inner.iter().enumerate().filter(|(level, _)| bit(path, *level));
        let old_node = left_siblings.fold(seed, |node, (_, hash)| node_hash(hash, &node));
        expect_root(old, &fold_left(old_node, border))?;
        expect_root(new, &fold_left(fold_inner(seed, inner, path), border))
    }
}

/// How many hashes of a path are below the point where it joins the tree's right edge, and how
/// many above.
fn decompose(index: u64, size: u64) -> (usize, usize) {
    let inner = (u64::BITS - (index ^ (size - 1)).leading_zeros()) as usize;
    let border = if inner >= 64 { 0 } else { (index >> inner).count_ones() as usize };
    (inner, border)
}

fn bit(index: u64, level: usize) -> bool {
    level < 64 && index >> level & 1 == 1
}

fn fold_inner(seed: Hash, hashes: &[Hash], index: u64) -> Hash {
    hashes.iter().enumerate().fold(seed, |node, (level, hash)| {
        if bit(index, level) { node_hash(hash, &node) } else { node_hash(&node, hash) }
    })
}

fn fold_left(seed: Hash, hashes: &[Hash]) -> Hash {
    hashes.iter().fold(seed, |node, hash| node_hash(hash, &node))
}

fn expect_length(expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::ProofLength { expected, found }) }
}

fn expect_root(expected: &Hash, found: &Hash) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::RootMismatch { expected: *expected, found: *found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{empty_root, leaf_hash};
    use crate::tree::tests::{classic_tree, hash};

    #[test]
    fn the_empty_tree_has_the_hash_of_nothing() {
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty_root(), hash(expected));
    }

    #[test]
    fn a_published_inclusion_proof_verifies_and_its_neighbours_do_not() {
        let tree = classic_tree();
        let proof = InclusionProof {
            index: 5,
            size: 8,
            hashes: vec![
                hash("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
                hash("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
                hash("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            ],
        };
        let leaf = leaf_hash(&[0x40, 0x41, 0x42, 0x43]);
        proof.verify(&leaf, &tree.root()).unwrap();
        for index in [0, 4, 6, 7] {
            let other = InclusionProof { index, ..proof.clone() };
            assert!(matches!(other.verify(&leaf, &tree.root()), Err(Error::RootMismatch { .. })));
        }
        let outside = InclusionProof { index: 8, ..proof.clone() };
        assert_eq!(outside.root(&leaf), Err(Error::OutOfRange { index: 8, size: 8 }));
        let short = InclusionProof { hashes: proof.hashes[..2].to_vec(), ..proof };
        assert_eq!(short.root(&leaf), Err(Error::ProofLength { expected: 3, found: 2 }));
    }

    #[test]
    fn a_published_consistency_proof_verifies_in_one_direction_only() {
        let tree = classic_tree();
        let proof = ConsistencyProof {
            old_size: 6,
            new_size: 8,
            hashes: vec![
                hash("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"),
                hash("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
                hash("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            ],
        };
        let old = tree.root_at(6).unwrap();
        proof.verify(&old, &tree.root()).unwrap();
        assert!(proof.verify(&tree.root(), &old).is_err());
    }

    #[test]
    fn an_empty_or_larger_old_tree_has_no_consistency_proof() {
        for (old_size, new_size) in [(0, 3), (4, 3)] {
            let proof = ConsistencyProof { old_size, new_size, hashes: Vec::new() };
            let error = Error::Sizes { old: old_size, new: new_size };
            assert_eq!(proof.verify(&empty_root(), &empty_root()), Err(error));
        }
    }

    #[test]
    fn sizes_at_the_end_of_the_number_range_are_refused_and_do_not_overflow() {
        let leaf = leaf_hash(b"");
        for index in [0, 1, u64::MAX - 1] {
            let proof = InclusionProof { index, size: u64::MAX, hashes: Vec::new() };
            assert!(matches!(proof.root(&leaf), Err(Error::ProofLength { .. })));
        }
        let proof = ConsistencyProof { old_size: 1 << 63, new_size: u64::MAX, hashes: Vec::new() };
        assert!(proof.verify(&leaf, &leaf).is_err());
    }
}
