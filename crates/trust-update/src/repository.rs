//! Where metadata and targets come from: a mirror, or the cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, FileError, Redirects, Transport, TransportError};
use http::{Request, StatusCode};
use sigstore_tuf::Repository;
use sigstore_tuf::transport::FetchFuture;
use url::Url;

use crate::cache::{Cache, is_plain};
use crate::mirror::no_key_twice_in;

/// A mirror, asked over the network or read from a directory.
pub(crate) struct Served {
    base: Url,
    http: Arc<dyn Transport>,
}

impl Served {
    pub(crate) fn new(base: &Url, http: Arc<dyn Transport>) -> Self {
        let mut base = base.clone();
        // Only below a slash do names append.
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        Self { base, http }
    }

    /// The file `name` in the directory `place`, which ends with a slash or is empty.
    async fn fetch(
        &self,
        place: &str,
        name: &str,
        cap: u64,
    ) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        let path = format!("{place}{name}");
        let answer = match is_plain(name) {
            true => self.answer(&path, usize::try_from(cap).unwrap_or(usize::MAX)).await,
            false => Err(Fetch::Name { name: host::escape_remote(&path) }),
        };
        let bytes = answer
            .map_err(|error| sigstore_tuf::Error::transport_with_source(path.clone(), error))?;
        if let Some(bytes) = bytes.as_deref().filter(|_| path.ends_with(".root.json")) {
            no_key_twice_in(bytes)?;
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
        match host::read_file(&path, cap) {
            Ok(bytes) => Ok(Some(bytes)),
            // A mirror whose directory is not there cannot be reached: that is no missing file.
            Err(FileError::NotFound { .. })
                if self.base.to_file_path().is_ok_and(|base| base.is_dir()) =>
            {
                Ok(None)
            }
            Err(error) => Err(Fetch::File(error)),
        }
    }
}

impl Repository for Served {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.fetch("", name, max_length))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.fetch("targets/", path, max_length))
    }
}

/// Gets the file at `url`; nothing if there is none.
pub(crate) async fn get(
    url: &Url,
    cap: usize,
    http: &dyn Transport,
) -> Result<Option<Vec<u8>>, Fetch> {
    let policy = CallPolicy::new()
        .with_attempt(Duration::from_secs(10))
        .with_total(Duration::from_secs(20))
        .with_body_cap(cap)
        .with_idempotent(true)
        // Signatures say what is right, not where it came from.
        .with_redirects(Redirects::DropCredentials);
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.as_str().parse().map_err(|_| Fetch::Name { name: url.to_string() })?;
    let answer = http.send(request, &policy).await.map_err(Fetch::Transport)?;
    match answer.status() {
        StatusCode::OK if answer.body().len() > cap => {
            Err(Fetch::TooLarge { url: url.to_string(), cap })
        }
        StatusCode::OK => Ok(Some(answer.into_body().into())),
        // Object stores answer 403 for what is not there.
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
        status => Err(Fetch::Status { url: url.to_string(), status }),
    }
}

/// The cache in the place of a mirror. A name with a version is the file without.
pub(crate) struct Cached(pub(crate) Arc<Cache>);

impl Repository for Cached {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let unversioned = match name.split_once('.') {
            // Roots were walked when the cache was opened; this one is the next, which is not known.
            Some((version, "root.json")) if is_version(version) => None,
            Some((version, rest)) if is_version(version) => Some(rest),
            _ => Some(name),
        };
        let bytes = unversioned.and_then(|name| self.0.read(name));
        let bytes = bytes.filter(|bytes| u64::try_from(bytes.len()).is_ok_and(|n| n <= max_length));
        Box::pin(std::future::ready(Ok(bytes)))
    }

    /// Targets are found by their hashes before this is asked.
    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fetch {
    #[error(transparent)]
    File(FileError),
    #[error("not a name to ask for: {name}")]
    Name { name: String },
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} is larger than the limit of {cap} bytes")]
    TooLarge { url: String, cap: usize },
    #[error(transparent)]
    Transport(TransportError),
}

impl Fetch {
    /// Whether the way is in order's absence: nobody there, or nobody able to answer. A wrong
    /// answer is another matter.
    pub(crate) fn is_of_the_way(&self) -> bool {
        match self {
            Self::File(error) => !matches!(error, FileError::TooLarge { .. }),
            Self::Transport(error) => !matches!(error, TransportError::TooLarge { .. }),
            // Whatever else answers here is not the repository.
            Self::Status { .. } => true,
            Self::Name { .. } | Self::TooLarge { .. } => false,
        }
    }
}
