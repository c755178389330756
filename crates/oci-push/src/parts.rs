//! The manifests that an index is made of.

use std::collections::HashSet;

use bytes::Bytes;

use crate::client::Client;
use crate::digest::Digest;
use crate::error::{Access, Error, not_json};
use crate::index::Index;
use crate::manifest::{DOCKER_LIST_MEDIA_TYPE, INDEX_MEDIA_TYPE, essence, is_manifest};
use crate::reference::Reference;
use crate::resolved::Resolved;

impl Client {
    pub(crate) async fn parts(&self, image: &Resolved) -> Result<Vec<Resolved>, Error> {
        let mut parts: Vec<Resolved> = Vec::new();
        if !is_index(image) {
            return Ok(parts);
        }
        let mut known = HashSet::from([image.digest().clone()]);
        let mut indexes = vec![self.manifest(&image.reference(), Access::Pull).await?];
        while let Some((index, bytes)) = indexes.pop() {
            for digest in listed(&index, bytes)? {
                if !known.insert(digest.clone()) {
                    continue;
                }
                if parts.len() == MOST_PARTS {
                    let reason = format!("it lists more than {MOST_PARTS} manifests");
                    return Err(Error::Invalid { what: index.to_string(), reason });
                }
                let reference = Reference::by_digest(image.repository().clone(), digest);
                let (part, bytes) = self.manifest(&reference, Access::Pull).await?;
                if is_index(&part) {
                    indexes.push((part.clone(), bytes));
                }
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

/// The digests of the manifests that `index` lists, one more than the limit at most.
fn listed(index: &Resolved, bytes: Bytes) -> Result<Vec<Digest>, Error> {
    let document = Index::parse(bytes).map_err(|error| Error::Invalid {
        what: index.to_string(),
        reason: not_json("an image index", &error),
    })?;
    let mut digests = Vec::new();
    let mut wrong = None;
    document.for_each(|entry| {
        let Some(entry) = entry.filter(|entry| is_manifest(essence(&entry.media_type))) else {
            return;
        };
        match entry.digest.parse() {
            Ok(digest) if digests.len() <= MOST_PARTS => digests.push(digest),
            Ok(_) => {}
            Err(error) => wrong = Some(error),
        }
    });
    wrong.map_or(Ok(digests), Err)
}

fn is_index(image: &Resolved) -> bool {
    [INDEX_MEDIA_TYPE, DOCKER_LIST_MEDIA_TYPE].contains(&image.descriptor().media_type.as_str())
}

const MOST_PARTS: usize = 1000;
