//! Where metadata and targets come from: a mirror, or the cache.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use host::Transport;
use sigstore_tuf::Repository;
use sigstore_tuf::transport::FetchFuture;
use url::Url;

use crate::cache::{Cache, is_plain};
use crate::fetch::{Fetch, get};
use crate::root_metadata::check_keys_in;

/// A mirror, asked over the network or read from a directory.
pub(crate) struct MirrorRepository {
    base: Url,
    http: Arc<dyn Transport>,
}

impl MirrorRepository {
    pub(crate) fn new(base: &Url, http: Arc<dyn Transport>) -> Self {
        let mut base = base.clone();
        // Only below a slash do names append.
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        Self { base, http }
    }

    /// The file `name` in `directory`, which ends with a slash or is empty.
    async fn fetch(
        &self,
        directory: &str,
        name: &str,
        cap: u64,
    ) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        let path = format!("{directory}{name}");
        let answer = match is_plain(name) {
            true => self.answer(&path, usize::try_from(cap).unwrap_or(usize::MAX)).await,
            false => Err(Fetch::Name { name: host::escape_remote(&path) }),
        };
        let bytes = answer
            .map_err(|error| sigstore_tuf::Error::transport_with_source(path.clone(), error))?;
        if let Some(bytes) = bytes.as_deref().filter(|_| path.ends_with(".root.json")) {
            check_keys_in(bytes)?;
        }
        Ok(bytes)
    }

    async fn answer(&self, path: &str, cap: usize) -> Result<Option<Vec<u8>>, Fetch> {
        let url = self.base.join(path).map_err(|_| Fetch::Name { name: path.to_owned() })?;
        if url.scheme() == "file" {
            return self.file(&url, cap);
        }
        get(&url, cap, &*self.http).await
    }

    fn file(&self, url: &Url, cap: usize) -> Result<Option<Vec<u8>>, Fetch> {
        let path = url.to_file_path().map_err(|()| Fetch::Name { name: url.to_string() })?;
        match read_file(&path, cap) {
            Ok(bytes) => Ok(Some(bytes)),
            // Without its directory the mirror cannot be reached; with it, a file is missing.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && self.base.to_file_path().is_ok_and(|base| base.is_dir()) =>
            {
                Ok(None)
            }
            Err(error) => Err(Fetch::File(error)),
        }
    }
}

/// The directory of a mirror was named by the user: the owner of its files does not matter.
fn read_file(path: &Path, cap: usize) -> std::io::Result<Vec<u8>> {
    host::read_file(path, cap).map_err(|error| match error {
        error @ host::FileError::NotFound { .. } => std::io::Error::new(ErrorKind::NotFound, error),
        error => std::io::Error::other(error),
    })
}

impl Repository for MirrorRepository {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.fetch("", name, max_length))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.fetch("targets/", path, max_length))
    }
}

/// The cache, read like a mirror. A file with a version in its name is cached without it.
pub(crate) struct CacheRepository(pub(crate) Arc<Cache>);

impl Repository for CacheRepository {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let unversioned = match name.split_once('.') {
            // The roots in the cache were read before this is called: there is no newer one.
            Some((version, "root.json")) if is_version(version) => None,
            Some((version, rest)) if is_version(version) => Some(rest),
            _ => Some(name),
        };
        let bytes = unversioned.and_then(|name| self.0.read(name));
        let bytes = bytes.filter(|bytes| u64::try_from(bytes.len()).is_ok_and(|n| n <= max_length));
        Box::pin(std::future::ready(Ok(bytes)))
    }

    /// Cached targets are found by their hashes before this is called.
    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
