use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bundle::LogEntry;
use bytes::Bytes;
use host::retry::transfer_time;
use host::{Body, CallPolicy, Transport, TransportError};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use url::Url;

use crate::answer::{self, LogUrl};
use crate::entry::Entry;
use crate::error::Error;
use crate::version::ApiVersion;
use crate::{v1, v2};

/// One log.
#[derive(Clone)]
pub struct Rekor {
    url: Url,
    version: ApiVersion,
    http: Arc<dyn Transport>,
}

impl Rekor {
    /// Talks to the log whose base URL is `url`, through `http`. Sends nothing yet.
    pub fn new(url: Url, version: ApiVersion, http: Arc<dyn Transport>) -> Self {
        Self { url, version, http }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Which interface it speaks.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// Logs `entry` and returns it as the log has it, checked to be what was submitted.
    ///
    /// A log of version 2 answers when the entry is in a published checkpoint, which takes seconds.
    /// An entry that a log of version 1 has already is fetched and returned as if it were new.
    ///
    /// # Errors
    /// The entry is of a kind that no such log takes; the log cannot be reached, refuses, or
    /// answers something else; a log of version 2 has it already ([`Error::Duplicate`]).
    pub async fn submit(&self, entry: &Entry<'_>) -> Result<LogEntry, Error> {
        entry.check(self.version)?;
        tracing::debug!(url = %self.site(), version = ?self.version, "submitting a log entry");
        match self.version {
            ApiVersion::V1 => self.submit_v1(entry).await,
            ApiVersion::V2 => self.submit_v2(entry).await,
        }
    }

    /// Looks up an entry of a log of version 1 by its id: 64 hexadecimal digits (the leaf's hash)
    /// or 80 (with the tree's id before it). `None` when the log has no such entry.
    ///
    /// # Errors
    /// The id is no such id or the log is of version 2, which has no look-ups; the log cannot be
    /// reached or answers an error.
    pub async fn entry(&self, id: &str) -> Result<Option<LogEntry>, Error> {
        let site = self.site();
        if self.version != ApiVersion::V1 {
            let reason = "a log of version 2 has no look-ups".into();
            return Err(Error::Unloggable { reason });
        }
        let Some(id) = answer::entry_id(id) else {
            let reason = "expected an entry id of 64 or 80 hexadecimal digits".into();
            return Err(Error::Unloggable { reason });
        };
        let path = ["api", "v1", "log", "entries", id];
        let response = self.send(Method::GET, &path, Bytes::new().into()).await?;
        match response.status() {
            StatusCode::OK => v1::read(&site, response.body(), Some(id)).map(Some),
            StatusCode::NOT_FOUND if response.body().is_empty() => Ok(None),
            _ => Err(site.refused(&response)),
        }
    }

    /// Looks for the entry that is `entry` in a log of version 1: with the same digest, signature
    /// and certificate or key. `None` when the log has none.
    ///
    /// The log is asked for the very entry first, then for what it has of the digest.
    ///
    /// # Errors
    /// The log is of version 2, which has no look-ups; the log cannot be reached or answers an error.
    pub async fn find(&self, entry: &Entry<'_>) -> Result<Option<LogEntry>, Error> {
        let site = self.site();
        if self.version != ApiVersion::V1 {
            let reason = "a log of version 2 has no look-ups".into();
            return Err(Error::Unloggable { reason });
        }
        let is_it = |logged: &LogEntry| v1::check(&site, entry, logged).is_ok();
        let found = self.retrieve(v1::retrieval(&[], Some(entry))).await?;
        if let Some(found) = found.into_iter().find(is_it) {
            return Ok(Some(found));
        }
        // The same certificate in another form, with its chain behind it, makes another entry.
        let Entry::Hashed { digest, .. } = entry else { return Ok(None) };
        let query = serde_json::json!({ "hash": digest.to_string() }).to_string();
        let path = ["api", "v1", "index", "retrieve"];
        let response = self.send(Method::POST, &path, Bytes::from(query).into()).await?;
        let ids = match response.status() {
            StatusCode::OK => v1::ids(&site, response.body())?,
            // The index is an extra that a log need not have.
            StatusCode::NOT_IMPLEMENTED | StatusCode::NOT_FOUND => Vec::new(),
            _ => return Err(site.refused(&response)),
        };
        for ids in ids.get(..ids.len().min(MOST_IDS)).unwrap_or_default().chunks(AT_ONCE) {
            let found = self.retrieve(v1::retrieval(ids, None)).await?;
            if let Some(found) = found.into_iter().find(is_it) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn retrieve(&self, query: Vec<u8>) -> Result<Vec<LogEntry>, Error> {
        let site = self.site();
        let path = ["api", "v1", "log", "entries", "retrieve"];
        let response = self.send(Method::POST, &path, Bytes::from(query).into()).await?;
        match response.status() {
            StatusCode::OK => v1::read_all(&site, response.body()),
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(site.refused(&response)),
        }
    }

    async fn submit_v1(&self, entry: &Entry<'_>) -> Result<LogEntry, Error> {
        let site = self.site();
        let path = ["api", "v1", "log", "entries"];
        let response = self.send(Method::POST, &path, v1::request(entry)).await?;
        let logged = match response.status() {
            StatusCode::CREATED => v1::read(&site, response.body(), None)?,
            StatusCode::CONFLICT => {
                let id = v1::existing(&response).ok_or_else(|| site.refused(&response))?;
                tracing::debug!(url = %site, id, "the log has this entry already");
                self.entry(&id).await?.ok_or_else(|| {
                    site.malformed(format!("it has the entry {id} already and cannot find it"))
                })?
            }
            _ => return Err(site.refused(&response)),
        };
        v1::check(&site, entry, &logged)?;
        Ok(logged)
    }

    async fn submit_v2(&self, entry: &Entry<'_>) -> Result<LogEntry, Error> {
        let site = self.site();
        let path = ["api", "v2", "log", "entries"];
        let response =
            self.send(Method::POST, &path, Bytes::from(v2::request(entry)?).into()).await?;
        match response.status() {
            StatusCode::CREATED => {
                let logged = LogEntry::from_json(response.body())
                    .map_err(|error| site.malformed(error.to_string()))?;
                v2::check(&site, entry, &logged)?;
                Ok(logged)
            }
            StatusCode::CONFLICT => {
                let index = response.headers().get("x-log-index");
                let index = index.and_then(|value| value.to_str().ok()?.parse().ok());
                Err(Error::Duplicate { url: site.to_string(), index })
            }
            _ => Err(site.refused(&response)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Body,
    ) -> Result<Response<Bytes>, Error> {
        let upload = transfer_time(body.size());
        let policy = CallPolicy::new()
            // A log of version 2 answers at its next checkpoint, ten seconds by default, and gives
            // up by itself after twenty.
            .with_attempt(Duration::from_secs(60) + upload)
            .with_total(Duration::from_secs(120) + upload)
            .with_body_cap(ANSWER_CAP)
            // An entry is never logged twice: its copy is answered with 409.
            .with_idempotent(true);
        let url = self.at(path)?;
        let mut request = Request::builder().method(method).uri(url.as_str());
        request = request.header(ACCEPT, "application/json");
        if body.size() > 0 {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(body).map_err(|error| self.unusable(error.to_string()))?;
        self.http.send_body(request, &policy).await.map_err(Error::Transport)
    }

    /// The URL of `path` below the log's own.
    pub(crate) fn at(&self, path: &[&str]) -> Result<Url, Error> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| self.unusable("it is not a base URL".into()))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    pub(crate) fn http(&self) -> &dyn Transport {
        &*self.http
    }

    fn unusable(&self, reason: String) -> Error {
        Error::Transport(TransportError::Unusable { url: self.site().to_string(), reason })
    }

    pub(crate) fn site(&self) -> LogUrl {
        LogUrl::new(&self.url)
    }
}

impl fmt::Debug for Rekor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rekor")
            .field("url", &self.site().to_string())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The largest answer read. A log of version 2 holds at most 64 KiB in an entry.
const ANSWER_CAP: usize = 4 << 20;

/// How many entries of one digest are looked at: whoever signs a file adds one.
const MOST_IDS: usize = 100;

/// How many entries a log of version 1 returns at once.
const AT_ONCE: usize = 10;
