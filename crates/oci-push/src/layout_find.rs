//! Finding the signatures of an image in a layout.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::attached::Attachment;
use crate::blobs::Store;
use crate::client::Client;
use crate::digest::Digest;
use crate::error::Error;
use crate::found::{Found, FoundSignature, LegacyKind, LegacySignature, Unreachable};
use crate::layout::Layout;
use crate::locks::guard;
use crate::manifest::{
    BUNDLE_MEDIA_TYPE_PREFIX, DSSE_MEDIA_TYPE, Descriptor, SIMPLE_SIGNING_MEDIA_TYPE, essence,
};

impl Client {
    pub(crate) async fn find_in_layout(
        &self,
        layout: &Layout,
        image: &Digest,
    ) -> Result<Found, Error> {
        let store = Store::Layout(layout.clone());
        let mut found = Found::default();
        found.looked.own_tags = true;
        let (mut signatures, mut bytes_left) = (0, TOTAL_CAP);
        for attachment in self.attachments(&store, image).await? {
            let shared = Arc::new(attachment.annotations.clone());
            for (layer, annotations) in &attachment.layers {
                let Some(kind) = kind_of(layer) else { continue };
                signatures += 1;
                if signatures > MOST_SIGNATURES || layer.size > bytes_left {
                    let what = "more signatures".to_owned();
                    let reason =
                        format!("not read: the limits are {MOST_SIGNATURES} and {TOTAL_CAP} bytes");
                    let error = Error::Invalid { what: what.clone(), reason };
                    found.unreachable.push(Unreachable { what, error });
                    return Ok(found);
                }
                bytes_left -= layer.size;
                match self.small_blob(&store, layer).await {
                    Err(error) => found.failed(layer.digest.to_string(), error),
                    Ok(bytes) => match kind {
                        None => found.bundles.push(FoundSignature {
                            manifest: attachment.manifest.digest.clone(),
                            digest: layer.digest.clone(),
                            media_type: layer.media_type.clone(),
                            annotations: Arc::clone(&shared),
                            bytes,
                        }),
                        Some(kind) => found.legacy.push(earlier(
                            kind,
                            &attachment,
                            (layer, annotations.clone()),
                            bytes,
                        )),
                    },
                }
            }
        }
        Ok(found)
    }

    /// A blob of which the size is known to be sensible.
    async fn small_blob(&self, store: &Store, layer: &Descriptor) -> Result<Bytes, Error> {
        let blob = self.open_blob(store, &layer.digest, layer.size).await?;
        let (mut parts, mut bytes) = (blob.parts, BytesMut::new());
        while let Some(part) = parts.next().await {
            let part = part.map_err(|source| {
                let registry = layer.digest.to_string();
                guard(&blob.failure).take().unwrap_or(Error::Transport { registry, source })
            })?;
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }
}

fn earlier(
    kind: LegacyKind,
    attachment: &Attachment,
    (layer, annotations): (&Descriptor, std::collections::BTreeMap<String, String>),
    bytes: Bytes,
) -> LegacySignature {
    LegacySignature {
        kind,
        manifest: attachment.manifest.digest.clone(),
        digest: layer.digest.clone(),
        media_type: layer.media_type.clone(),
        annotations,
        bytes,
    }
}

/// `Some(None)` for a bundle.
fn kind_of(layer: &Descriptor) -> Option<Option<LegacyKind>> {
    match essence(&layer.media_type) {
        SIMPLE_SIGNING_MEDIA_TYPE => Some(Some(LegacyKind::Signature)),
        DSSE_MEDIA_TYPE => Some(Some(LegacyKind::Attestation)),
        bundle if bundle.starts_with(BUNDLE_MEDIA_TYPE_PREFIX) => Some(None),
        _ => None,
    }
}

const MOST_SIGNATURES: usize = 2000;
const TOTAL_CAP: u64 = 128 << 20;
