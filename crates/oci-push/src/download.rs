//! Fetching blobs, as many bytes as one search may.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::CallPolicy;
use host::retry::transfer_time;
use http::Method;

use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::document::Layer;
use crate::error::{Access, Error};
use crate::locks::{Locks, guard};
use crate::repository::Repository;

/// What one search may fetch, and what it has fetched.
#[derive(Debug)]
pub(crate) struct Downloads {
    bytes_left: AtomicU64,
    signatures_left: AtomicU64,
    most_bytes: u64,
    /// Something was not fetched because of the limits.
    exceeded: AtomicBool,
    blobs: Mutex<HashMap<Digest, Bytes>>,
    fetching: Locks,
}

impl Downloads {
    pub(crate) fn new(most_bytes: u64, most_signatures: u64) -> Self {
        Self {
            bytes_left: AtomicU64::new(most_bytes),
            signatures_left: AtomicU64::new(most_signatures),
            most_bytes,
            exceeded: AtomicBool::new(false),
            blobs: Mutex::default(),
            fetching: Locks::default(),
        }
    }

    /// Counts `size` bytes of `what`; an error if they are too many.
    pub(crate) fn count(&self, size: u64, what: impl FnOnce() -> String) -> Result<(), Error> {
        if take(&self.bytes_left, size) {
            return Ok(());
        }
        self.exceeded.store(true, Ordering::Relaxed);
        let most = self.most_bytes;
        Err(Error::Invalid {
            what: what(),
            reason: format!("all signatures of one image together are larger than {most} bytes"),
        })
    }

    /// Counts one signature; `false` if there were too many.
    pub(crate) fn count_signature(&self) -> bool {
        let counted = take(&self.signatures_left, 1);
        self.exceeded.fetch_or(!counted, Ordering::Relaxed);
        counted
    }

    /// How many bytes all together may have.
    pub(crate) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Whether something was not fetched because there was too much.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }
}

fn take(left: &AtomicU64, size: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size)).is_ok()
}

impl Client {
    /// The content of a layer, of exactly the size and digest that its descriptor states. What
    /// several layers name is fetched and counted once.
    pub(crate) async fn layer(
        &self,
        repository: &Repository,
        layer: &Layer,
        cap: u64,
        downloads: &Downloads,
    ) -> Result<Bytes, Error> {
        let what = || format!("the blob {} in {repository}", host::escape_remote(&layer.digest));
        let invalid = |reason: String| Error::Invalid { what: what(), reason };
        let digest =
            layer.digest().map_err(|_| invalid("it is not listed by a digest".to_owned()))?;
        if layer.size > cap {
            return Err(invalid(format!("it has {} bytes, more than {cap}", layer.size)));
        }
        let _alone = downloads.fetching.hold(digest.to_string()).await;
        let known = guard(&downloads.blobs).get(&digest).cloned();
        let bytes = match known {
            Some(known) => known,
            None => {
                downloads.count(layer.size, what)?;
                let fetched = self.fetch(repository, &digest, layer.size).await?;
                // A failure is not kept: it may be due to the size that this layer states.
                guard(&downloads.blobs).insert(digest, fetched.clone());
                fetched
            }
        };
        if bytes.len() as u64 != layer.size {
            let found = bytes.len();
            return Err(invalid(format!("expected {} bytes, found {found}", layer.size)));
        }
        Ok(bytes)
    }

    async fn fetch(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Bytes, Error> {
        let what = || format!("the blob {digest} in {repository}");
        let invalid = |reason: String| Error::Invalid { what: what(), reason };
        let policy = CallPolicy::new()
            .with_attempt(Duration::from_secs(60) + transfer_time(size))
            .with_total(Duration::from_secs(120) + transfer_time(size))
            // A refusal has a body too, larger than a small blob.
            .with_body_cap(usize::try_from(size).unwrap_or(usize::MAX).max(REFUSAL_CAP));
        let call = Call::new(Method::GET, repository, Access::Pull, format!("blobs/{digest}"));
        let answer = self.call(&call.policy(policy)).await?;
        if !answer.status.is_success() {
            return Err(answer.into_error(repository, Access::Pull, what));
        }
        if answer.body.len() as u64 != size {
            let found = answer.body.len();
            return Err(invalid(format!("expected {size} bytes, found {found}")));
        }
        if !digest.matches(&answer.body) {
            let found = Digest::sha256(&answer.body);
            return Err(invalid(format!("its content has the digest {found}")));
        }
        Ok(answer.body)
    }
}

const REFUSAL_CAP: usize = 64 << 10;
