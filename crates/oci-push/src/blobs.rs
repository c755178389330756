//! Blobs on their way between repositories, never held in memory.

use std::time::Duration;

use host::CallPolicy;
use http::header::LOCATION;
use http::{Method, StatusCode};
use url::Url;

use crate::bodies::{Blob, Bodies, Upload};
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::layout::Layout;
use crate::locks::guard;
use crate::manifest::Descriptor;
use crate::repository::Repository;
use crate::upload::Interrupted;

/// Where images and what is attached to them are.
#[derive(Clone, Debug)]
pub enum Store {
    /// A repository of a registry.
    Repository(Repository),
    /// A directory that is an OCI layout.
    Layout(Layout),
}

/// How a blob got to where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// It was there.
    Present,
    /// The registry took it from another repository of its own.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

impl Client {
    /// Opens the blob `digest` of `size` bytes in `store`.
    pub(crate) async fn open_blob(
        &self,
        store: &Store,
        digest: &Digest,
        size: u64,
    ) -> Result<Blob, Error> {
        let repository = match store {
            Store::Repository(repository) => repository,
            Store::Layout(layout) => return layout.open_blob(digest, size).await,
        };
        let what = || format!("the blob {digest} in {repository}");
        let cap = usize::try_from(size).unwrap_or(usize::MAX).max(REFUSAL_CAP);
        let policy = CallPolicy::new().with_attempt(PART).with_body_cap(cap);
        let call = Call::new(Method::GET, repository, Access::Pull, format!("blobs/{digest}"));
        let answer = self.call(&call.policy(policy).bodies(Bodies::Download)).await?;
        match answer.parts {
            Some(parts) => Ok(Blob::checked(parts.into_parts(), digest, size, what())),
            // The image is there, and it is not whole.
            None if answer.status == StatusCode::NOT_FOUND => Err(Error::Invalid {
                what: what(),
                reason: format!("a manifest names it, and {} was answered 404", answer.request()),
            }),
            None => Err(answer.into_error(repository, Access::Pull, what)),
        }
    }

    /// Brings a blob of `from` to `to`, unless it is there.
    pub(crate) async fn bring_blob(
        &self,
        from: &Store,
        to: &Store,
        blob: &Descriptor,
    ) -> Result<Arrival, Error> {
        let repository = match to {
            Store::Repository(repository) => repository,
            Store::Layout(layout) if layout.has_blob(&blob.digest, blob.size).await? => {
                return Ok(Arrival::Present);
            }
            Store::Layout(layout) => {
                let opened = || self.open_blob(from, &blob.digest, blob.size);
                return match layout.put_blob(&blob.digest, opened().await?).await {
                    // A connection that broke is tried once more.
                    Err(Error::Transport { .. }) => {
                        layout.put_blob(&blob.digest, opened().await?).await
                    }
                    answer => answer,
                }
                .map(|()| Arrival::Sent);
            }
        };
        if self.has_blob(repository, &blob.digest).await? {
            return Ok(Arrival::Present);
        }
        let mut session = None;
        if let Store::Repository(source) = from
            && source.registry() == repository.registry()
            && source != repository
        {
            match self.mount(repository, &blob.digest, source).await? {
                Mount::Done => return Ok(Arrival::Mounted),
                Mount::Session(url) => session = Some(url),
                Mount::Refused => {}
            }
        }
        let mut attempt = 1;
        loop {
            let failure = match self.send_blob(from, repository, blob, session.take()).await {
                Ok(()) => return Ok(Arrival::Sent),
                Err(Interrupted::ForGood(error)) => return Err(error),
                Err(Interrupted::For(pause, error)) => {
                    self.host.clock.sleep(pause).await;
                    error
                }
            };
            if attempt >= MOST_ATTEMPTS {
                return Err(failure);
            }
            attempt += 1;
            tracing::debug!(error = %failure, attempt, "the blob is sent again");
            if self.has_blob(repository, &blob.digest).await? {
                return Ok(Arrival::Sent);
            }
        }
    }

    async fn send_blob(
        &self,
        from: &Store,
        to: &Repository,
        blob: &Descriptor,
        session: Option<Url>,
    ) -> Result<(), Interrupted> {
        let Descriptor { digest, size, .. } = blob;
        let opened = self.open_blob(from, digest, *size).await.map_err(Interrupted::by)?;
        let session = match session {
            Some(session) => session,
            None => self.open_upload(to).await.map_err(Interrupted::by)?,
        };
        let failure = opened.failure;
        let upload = Bodies::Upload(Upload::new(opened.parts, *size));
        let sent = self.finish_upload(to, session, digest, |call| call.bodies(upload)).await;
        sent.map_err(|error| match guard(&failure).take() {
            // What is wrong with the blob itself, and not with the upload that it ended.
            Some(cause) => Interrupted::by(cause),
            None => error,
        })
    }

    /// Asks the registry to take a blob from another of its repositories.
    pub(crate) async fn mount(
        &self,
        to: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mount, Error> {
        let path = format!("blobs/uploads/?mount={digest}&from={}", from.path());
        let policy = CallPolicy::new().with_idempotent(true);
        let call = Call::new(Method::POST, to, Access::Push, path).policy(policy);
        let answer = self.call(&call).await?;
        match (answer.status, answer.header(&LOCATION)) {
            (StatusCode::CREATED, _) => Ok(Mount::Done),
            (StatusCode::ACCEPTED, Some(location)) => {
                self.follow(to, &answer, location).map(Mount::Session)
            }
            // Not permitted, or not known: the blob is sent.
            _ => Ok(Mount::Refused),
        }
    }
}

/// How a registry answered a request to take a blob from another repository.
pub(crate) enum Mount {
    Done,
    /// An upload, in place of the mount.
    Session(Url),
    Refused,
}

/// The longest wait for a part of a blob.
const PART: Duration = Duration::from_secs(60);
const MOST_ATTEMPTS: u32 = 3;
const REFUSAL_CAP: usize = 64 << 10;
