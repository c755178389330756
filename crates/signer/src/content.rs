//! Content that must not be signed as a file, because the signature could be used for something
//! else.
//!
//! A signature over a file is over its bytes. Where the bytes are what another kind of signature is
//! over, whoever gets a workload to sign a file of their choice has a signature of that other kind:
//! a DSSE pre-authentication encoding makes an attestation or an image signature, a simple-signing
//! document an image signature in cosign's earlier format.

use std::fmt;
use std::sync::Arc;

use keys::{Digest, Hasher, KeyAlgorithm};

use crate::simple_signing::Scanner;

/// The file is what another kind of signature is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the content is {format}: its signature could be used as one of another kind")]
#[non_exhaustive]
pub struct ForeignFormat {
    /// What the content is.
    pub format: &'static str,
}

/// The digest of a file that may be signed.
///
/// [`FileHasher`] makes it, which has seen the content. A digest alone says nothing about the
/// content: see [`danger::any_content`](crate::danger::any_content).
#[derive(Clone, Eq, PartialEq)]
pub struct FileDigest {
    pub(crate) digest: Digest,
    /// The content, for keys that do not sign its digest.
    pub(crate) message: Option<Arc<Vec<u8>>>,
    /// The content where it is short: a signature is verified several times faster from it than from
    /// its digest.
    pub(crate) short: Option<Arc<Vec<u8>>>,
}

impl FileDigest {
    /// The SHA-256 digest of `content`, for a key on P-256.
    ///
    /// # Errors
    /// The content is what another kind of signature is over.
    pub fn of(content: &[u8]) -> Result<Self, ForeignFormat> {
        let mut hasher = FileHasher::new();
        hasher.update(content);
        hasher.finish()
    }

    /// The digest itself.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether a key of the kind `algorithm` can sign the file: it needs another digest, or the
    /// whole content, which was too large to keep.
    pub fn fits(&self, algorithm: KeyAlgorithm) -> bool {
        self.digest.algorithm() == algorithm.file_hash()
            && (self.message.is_some() || !algorithm.needs_message())
    }
}

/// Shows the digest only.
impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileDigest").field(&self.digest).finish()
    }
}

/// Hashes a file that is to be signed, piece by piece and in constant memory, and looks whether it
/// may be signed.
pub struct FileHasher {
    hasher: Hasher,
    /// How many bytes of [`PAE_PREFIX`] the content begins with; `None` when it begins otherwise.
    pae: Option<usize>,
    simple_signing: Scanner,
    /// The content so far, where it is kept.
    message: Option<Vec<u8>>,
    /// The content so far, while it is short.
    short: Option<Vec<u8>>,
}

impl FileHasher {
    /// For a key on P-256, as keyless signing uses. Nothing is hashed yet.
    #[expect(clippy::new_without_default, reason = "a hasher has no default content")]
    pub fn new() -> Self {
        Self::for_key(KeyAlgorithm::EcdsaP256)
    }

    /// For a key of the kind `algorithm`, by its hash. Where such a key signs whole files only, the
    /// content is kept, up to 128 MiB.
    pub fn for_key(algorithm: KeyAlgorithm) -> Self {
        let hasher = Hasher::new(algorithm.file_hash());
        let message = algorithm.needs_message().then(Vec::new);
        let short = Some(Vec::new());
        Self { hasher, pae: Some(0), simple_signing: Scanner::default(), message, short }
    }

    /// Adds the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if let Some(seen) = self.pae.filter(|seen| *seen < PAE_PREFIX.len()) {
            let rest = PAE_PREFIX.get(seen..).unwrap_or_default();
            let compared = rest.len().min(bytes.len());
            self.pae = (rest.get(..compared) == bytes.get(..compared)).then_some(seen + compared);
        }
        self.simple_signing.update(bytes);
        keep(&mut self.message, bytes, MESSAGE_CAP);
        keep(&mut self.short, bytes, SHORT);
    }

    /// The digest of everything added.
    ///
    /// # Errors
    /// The content is what another kind of signature is over.
    pub fn finish(self) -> Result<FileDigest, ForeignFormat> {
        let refused = |format| Err(ForeignFormat { format });
        if self.pae == Some(PAE_PREFIX.len()) {
            return refused("a DSSE pre-authentication encoding");
        }
        if self.simple_signing.found() {
            return refused("a simple-signing document");
        }
        Ok(self.finish_unchecked())
    }

    pub(crate) fn finish_unchecked(self) -> FileDigest {
        let [message, short] = [self.message, self.short].map(|content| content.map(Arc::new));
        FileDigest { digest: self.hasher.finish(), message, short }
    }
}

/// Adds `bytes` to `content`, or forgets it where it becomes longer than `cap`.
fn keep(content: &mut Option<Vec<u8>>, bytes: &[u8], cap: usize) {
    let fits = |content: &Vec<u8>| content.len().saturating_add(bytes.len()) <= cap;
    *content = content.take().filter(fits);
    content.iter_mut().for_each(|content| content.extend_from_slice(bytes));
}

impl fmt::Debug for FileHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileHasher").finish_non_exhaustive()
    }
}

/// How every DSSE pre-authentication encoding begins.
const PAE_PREFIX: &[u8] = b"DSSEv1 ";

/// The largest file that is kept in memory, in bytes.
const MESSAGE_CAP: usize = 128 << 20;

/// The largest file that is kept for speed, in bytes.
const SHORT: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SIMPLE_SIGNING: &[u8] = br#"{"critical":{"identity":{"docker-reference":"r/app"},
        "image":{"docker-manifest-digest":"sha256:00"},"type":"cosign container image signature"},
        "optional":null}"#;

    fn in_pieces(content: &[u8], size: usize) -> Result<FileDigest, ForeignFormat> {
        let mut hasher = FileHasher::new();
        content.chunks(size).for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn a_file_that_is_what_another_kind_of_signature_is_over_is_refused() {
        let pae = b"DSSEv1 28 application/vnd.in-toto+json 2 {}";
        for content in [pae.as_slice(), SIMPLE_SIGNING] {
            for size in [1, 3, 7, 1000] {
                let refused = in_pieces(content, size);
                assert!(matches!(refused, Err(ForeignFormat { .. })), "{size}");
            }
        }
    }

    #[test]
    fn the_content_is_kept_for_the_keys_that_need_it_while_it_is_small() {
        let digest = |algorithm, pieces: usize| {
            let mut hasher = FileHasher::for_key(algorithm);
            (0..pieces).for_each(|_| hasher.update(&[0; 1 << 20]));
            hasher.finish().unwrap()
        };
        let rsa = KeyAlgorithm::Rsa { bits: 2048 };
        assert_eq!(digest(rsa, 2).message.unwrap().len(), 2 << 20);
        assert!(digest(rsa, 128).fits(rsa));
        assert!(!digest(rsa, 129).fits(rsa));
        for algorithm in [KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
            assert!(digest(algorithm, 1).message.is_none());
            assert!(digest(algorithm, 1).fits(algorithm));
            assert!(!digest(algorithm, 1).fits(rsa));
        }
    }

    #[test]
    fn other_files_are_hashed_whatever_their_pieces() {
        for content in [
            b"".as_slice(),
            b"DSSEv1",
            b"DSSEv2 ",
            b"xDSSEv1 ",
            b"{\"critical\":3,\"high\":5}",
            b"{\"predicate\":{\"critical\":{\"image\":{\"docker-manifest-digest\":1}}}}",
        ] {
            for size in [1, 2, 1000] {
                let digest = in_pieces(content, size).unwrap();
                assert_eq!(digest.digest(), &Digest::sha256(content));
            }
        }
    }
}
