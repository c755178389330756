//! A finished SHA-512 as a hasher, which is the form that Ed25519ph takes it in.

use sha2::digest::consts::U64;
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update};

use crate::digest::Digest;

/// Ignores its input and returns the digest it was made from.
#[derive(Clone, Default)]
pub(crate) struct Prehashed(Output<Self>);

impl Prehashed {
    /// A hasher for `digest`, a SHA-512. Of a longer one only the part that fits is used.
    pub(crate) fn new(digest: &Digest) -> Self {
        let mut this = Self::default();
        for (to, from) in this.0.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        this
    }
}

impl OutputSizeUser for Prehashed {
    type OutputSize = U64;
}

impl HashMarker for Prehashed {}

impl Update for Prehashed {
    fn update(&mut self, _data: &[u8]) {}
}

impl FixedOutput for Prehashed {
    fn finalize_into(self, out: &mut Output<Self>) {
        *out = self.0;
    }
}
