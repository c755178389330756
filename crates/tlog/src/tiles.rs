//! Tiles (C2SP tlog-tiles): a log as static files.

use std::collections::HashMap;

use crate::error::Error;
use crate::hash::{Hash, empty_root, node_hash};
use crate::merkle::{ConsistencyProof, InclusionProof};
use crate::tree::{split_point, subtree};

/// How many hashes a full tile holds.
const TILE_WIDTH: u64 = 256;

/// The path of the hash tile `index` of `level`, below the log's prefix. `width` is 256 for a full
/// tile and less for the partial one at the right edge.
pub fn tile_path(level: u8, index: u64, width: u16) -> String {
    format!("tile/{level}/{}{}", number(index), partial(width))
}

/// The path of the entry bundle `index`, below the log's prefix.
pub fn entry_bundle_path(index: u64, width: u16) -> String {
    format!("tile/entries/{}{}", number(index), partial(width))
}

/// Groups of three digits, every group but the last marked by an `x`.
fn number(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn partial(width: u16) -> String {
    if u64::from(width) == TILE_WIDTH { String::new() } else { format!(".p/{width}") }
}

/// Computes roots and proofs of a log of a known size from its tiles.
///
/// `fetch` is given a path below the log's prefix and returns the file, or `None` when there is
/// none. A partial tile may be gone once the full one exists, so that one is tried then. Nothing
/// read this way is trusted: compare the root with a verified checkpoint.
pub struct TileReader<F> {
    size: u64,
    fetch: F,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl<F> std::fmt::Debug for TileReader<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TileReader").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<F: FnMut(&str) -> Option<Vec<u8>>> TileReader<F> {
    /// A reader of the log's first `size` entries.
    pub fn new(size: u64, fetch: F) -> Self {
        Self { size, fetch, tiles: HashMap::new() }
    }

    /// The root over all entries.
    ///
    /// # Errors
    /// A tile is missing or has the wrong length.
    pub fn root(&mut self) -> Result<Hash, Error> {
        self.range(0, self.size)
    }

    /// The leaf hash of the entry at `index`.
    ///
    /// # Errors
    /// The index is outside the tree, or a tile is missing or has the wrong length.
    pub fn leaf(&mut self, index: u64) -> Result<Hash, Error> {
        self.expect_inside(index)?;
        self.node(0, index)
    }

    /// Proves that the entry at `index` is in the tree.
    ///
    /// # Errors
    /// As [`TileReader::leaf`].
    pub fn inclusion_proof(&mut self, index: u64) -> Result<InclusionProof, Error> {
        self.expect_inside(index)?;
        let mut hashes = Vec::new();
        let (mut start, mut end) = (0, self.size);
        while end - start > 1 {
            let middle = start + largest_power_below(end - start);
            if index < middle {
                hashes.push(self.range(middle, end)?);
                end = middle;
            } else {
                hashes.push(self.range(start, middle)?);
                start = middle;
            }
        }
        hashes.reverse();
        Ok(InclusionProof { index, size: self.size, hashes })
    }

    /// Proves that the tree begins with the one of the first `old_size` entries.
    ///
    /// # Errors
    /// The old tree is empty or larger, or a tile is missing or has the wrong length.
    pub fn consistency_proof(&mut self, old_size: u64) -> Result<ConsistencyProof, Error> {
        let new_size = self.size;
        if old_size == 0 || old_size > new_size {
            return Err(Error::Sizes { old: old_size, new: new_size });
        }
        let mut hashes = Vec::new();
        let (mut start, mut end) = (0, new_size);
        let mut known = true;
        while old_size != end {
            let middle = start + largest_power_below(end - start);
            if old_size <= middle {
                hashes.push(self.range(middle, end)?);
                end = middle;
            } else {
                hashes.push(self.range(start, middle)?);
                start = middle;
                known = false;
            }
        }
        if !known {
            hashes.push(self.range(start, end)?);
        }
        hashes.reverse();
        Ok(ConsistencyProof { old_size, new_size, hashes })
    }

    fn expect_inside(&self, index: u64) -> Result<(), Error> {
        let size = self.size;
        if index < size { Ok(()) } else { Err(Error::OutOfRange { index, size }) }
    }

    /// The hash over the entries `start..end`, which is a node of the RFC 6962 tree: `start` is a
    /// multiple of the next power of two.
    fn range(&mut self, start: u64, end: u64) -> Result<Hash, Error> {
        let length = end - start;
        if length == 0 {
            return Ok(empty_root());
        }
        if length.is_power_of_two() {
            let height = length.trailing_zeros() as u8;
            return self.node(height, start >> height);
        }
        let middle = start + largest_power_below(length);
        let left = self.range(start, middle)?;
        let right = self.range(middle, end)?;
        Ok(node_hash(&left, &right))
    }

    /// The node `index` of `height`, whose subtree is full.
    fn node(&mut self, height: u8, index: u64) -> Result<Hash, Error> {
        let (level, inside) = (height / 8, height % 8);
        let first = index << inside;
        let tile = self.tile(level, first / TILE_WIDTH)?;
        let start = (first % TILE_WIDTH) as usize;
        let hashes = tile.get(start..start + (1 << inside)).ok_or_else(|| Error::Tile {
            path: tile_path(level, first / TILE_WIDTH, TILE_WIDTH as u16),
            reason: "it ends before the hashes that the tree's size promises".to_owned(),
        })?;
        Ok(subtree(hashes))
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], Error> {
        if !self.tiles.contains_key(&(level, index)) {
            let tile = self.load(level, index)?;
            self.tiles.insert((level, index), tile);
        }
        Ok(&self.tiles[&(level, index)])
    }

    fn load(&mut self, level: u8, index: u64) -> Result<Vec<Hash>, Error> {
        let at_level = self.size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let left = at_level.saturating_sub(index.saturating_mul(TILE_WIDTH));
        let width = left.min(TILE_WIDTH) as u16;
        let mut path = tile_path(level, index, width);
        let mut bytes = (self.fetch)(&path);
        if bytes.is_none() && u64::from(width) < TILE_WIDTH {
            path = tile_path(level, index, TILE_WIDTH as u16);
            bytes = (self.fetch)(&path);
        }
        let Some(bytes) = bytes else {
            return Err(Error::Tile { path, reason: "it is missing".to_owned() });
        };
        let expected = 32 * usize::from(width);
        let Some(used) = bytes.get(..expected).filter(|_| bytes.len() <= 32 * 256) else {
            let found = bytes.len();
            let reason = format!("expected {expected} bytes, found {found}");
            return Err(Error::Tile { path, reason });
        };
        Ok(used.chunks_exact(32).filter_map(Hash::from_slice).collect())
    }
}

/// The entries of one bundle: up to 256 of them, each behind its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryBundle {
    /// The entries, in order.
    pub entries: Vec<Vec<u8>>,
}

impl EntryBundle {
    /// Reads the bytes of an entry bundle: `u16` length, entry, and so on.
    ///
    /// # Errors
    /// The bytes end inside an entry, or there are more than 256.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::Tile {
            path: "tile/entries".to_owned(),
            reason: reason.to_owned(),
        };
        let mut entries = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            if entries.len() == TILE_WIDTH as usize {
                return Err(malformed("more than 256 entries"));
            }
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, rest) =
                rest.split_at_checked(length).ok_or_else(|| malformed("an entry is cut off"))?;
            entries.push(entry.to_vec());
            bytes = rest;
        }
        match bytes {
            [] => Ok(Self { entries }),
            _ => Err(malformed("an entry's length is cut off")),
        }
    }
}

fn largest_power_below(length: u64) -> u64 {
    split_point(length as usize) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tree, leaf_hash};

    /// Every tile of `tree`, as a static server would hand them out.
    fn serve(tree: &Tree) -> impl FnMut(&str) -> Option<Vec<u8>> {
        let mut files = HashMap::new();
        let mut level_hashes = tree.leaves().to_vec();
        for level in 0.. {
            for (index, tile) in (0..).zip(level_hashes.chunks(256)) {
                let bytes = tile.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>();
                files.insert(tile_path(level, index, tile.len() as u16), bytes);
            }
            level_hashes = level_hashes.chunks_exact(256).map(subtree).collect();
            if level_hashes.is_empty() {
                break;
            }
        }
        move |path| files.get(path).cloned()
    }

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        for entry in 0..size {
            tree.push(leaf_hash(&entry.to_be_bytes()));
        }
        tree
    }

    #[test]
    fn paths_are_grouped_in_threes() {
        assert_eq!(tile_path(0, 5, 256), "tile/0/005");
        assert_eq!(tile_path(1, 1_234_067, 256), "tile/1/x001/x234/067");
        assert_eq!(tile_path(2, 0, 17), "tile/2/000.p/17");
        assert_eq!(entry_bundle_path(1, 51), "tile/entries/001.p/51");
    }

    #[test]
    fn proofs_from_tiles_are_those_of_the_tree() {
        for size in [1, 2, 7, 255, 256, 257, 307, 513, 70_000] {
            let tree = tree(size);
            let mut reader = TileReader::new(size, serve(&tree));
            assert_eq!(reader.root().unwrap(), tree.root(), "size {size}");
            for index in [0, size / 2, size - 1] {
                assert_eq!(
                    reader.inclusion_proof(index).unwrap(),
                    tree.inclusion_proof(index, size).unwrap(),
                    "{index} of {size}"
                );
                assert_eq!(
                    reader.consistency_proof(index + 1).unwrap(),
                    tree.consistency_proof(index + 1, size).unwrap(),
                    "{} to {size}",
                    index + 1
                );
            }
        }
    }

    #[test]
    fn a_partial_tile_that_is_gone_is_read_from_the_full_one() {
        let full = tree(256);
        let mut reader = TileReader::new(100, serve(&full));
        assert_eq!(reader.root().unwrap(), full.root_at(100).unwrap());
    }

    #[test]
    fn a_missing_and_a_short_tile_are_named() {
        let missing = TileReader::new(3, |_: &str| None).root().unwrap_err();
        assert!(missing.to_string().contains("tile/0/000"), "{missing}");
        let short = TileReader::new(3, |_: &str| Some(vec![0; 64])).root().unwrap_err();
        assert_eq!(short.to_string(), "the tile tile/0/000.p/3: expected 96 bytes, found 64");
    }

    #[test]
    fn an_entry_bundle_that_is_cut_off_is_refused() {
        let bundle = EntryBundle::parse(&[0, 1, 7, 0, 0]).unwrap();
        assert_eq!(bundle.entries, [vec![7], vec![]]);
        assert!(EntryBundle::parse(&[0, 2, 7]).is_err());
        assert!(EntryBundle::parse(&[0]).is_err());
    }

    #[test]
    fn an_entry_bundle_holds_256_entries_and_is_not_read_further() {
        assert_eq!(EntryBundle::parse(&[0; 2 * 256]).unwrap().entries.len(), 256);
        // Cut off at the end, which is not reached.
        let error = EntryBundle::parse(&[0; 2 * 1_000_000 + 1]).unwrap_err().to_string();
        assert!(error.contains("more than 256 entries"), "{error}");
    }
}
