//! A finished SHA-512 in the shape of a hasher, which is how Ed25519ph wants to be given one.

use sha2::digest::consts::U64;
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update};

use crate::digest::Digest;

/// Whatever it is fed, it answers with the digest it was made of.
#[derive(Clone, Default)]
pub(crate) struct Prehashed(Output<Self>);

impl Prehashed {
    /// Stands for `digest`, a SHA-512; of any other length only the part that fits.
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
