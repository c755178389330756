//! What is copied, and what was.

use serde::Serialize;

use crate::attached::AttachmentKind;
use crate::blobs::Arrival;
use crate::digest::Digest;

/// What is copied, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Selection {
    /// The image itself; without it, it must be at the destination.
    pub image: bool,
    /// Attachments of these kinds.
    pub kinds: Vec<AttachmentKind>,
    /// Sends what seems to be there as well.
    pub again: bool,
}

impl Selection {
    /// The image with its signatures, attestations and bills of materials.
    pub fn new() -> Self {
        let kinds = [AttachmentKind::Signature, AttachmentKind::Attestation, AttachmentKind::Sbom];
        Self { image: true, kinds: kinds.to_vec(), again: false }
    }

    /// Everything that refers to the image as well, and what refers to that.
    #[must_use]
    pub fn with_all_referrers(mut self) -> Self {
        self.kinds.push(AttachmentKind::Other);
        self
    }

    /// Only attachments of `kinds`, to an image that is at the destination already.
    #[must_use]
    pub fn only(self, kinds: Vec<AttachmentKind>) -> Self {
        Self { image: false, kinds, ..self }
    }

    /// Says whether what seems to be there is sent again.
    #[must_use]
    pub fn again(self, again: bool) -> Self {
        Self { again, ..self }
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::new()
    }
}

/// What was copied.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Copied {
    /// Manifests that were stored.
    pub manifests: u64,
    /// Manifests that were there.
    pub manifests_present: u64,
    /// Blobs that were sent.
    pub blobs: u64,
    /// Blobs that the registry took from another of its repositories.
    pub blobs_mounted: u64,
    /// Blobs that were there.
    pub blobs_present: u64,
    /// The bytes of the blobs that were sent.
    pub bytes: u64,
    /// What is attached to the image or a part of it.
    pub attachments: Vec<CopiedAttachment>,
}

/// An attachment that is at the destination.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CopiedAttachment {
    /// What it seems to be.
    pub kind: AttachmentKind,
    /// The digest of the manifest that it is attached to.
    pub subject: Digest,
    /// The digest of its own manifest, at the destination.
    pub manifest: Digest,
    /// The predicate type that it claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// The earlier tag that it is under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// It was there before.
    pub present: bool,
}

impl Copied {
    pub(crate) fn count(&mut self, arrival: Arrival, size: u64) {
        match arrival {
            Arrival::Present => self.blobs_present += 1,
            Arrival::Mounted => self.blobs_mounted += 1,
            Arrival::Sent => {
                self.blobs += 1;
                self.bytes += size;
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.manifests += other.manifests;
        self.manifests_present += other.manifests_present;
        self.blobs += other.blobs;
        self.blobs_mounted += other.blobs_mounted;
        self.blobs_present += other.blobs_present;
        self.bytes += other.bytes;
        self.attachments.extend(other.attachments);
    }
}
