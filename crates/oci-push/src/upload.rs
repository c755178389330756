//! Putting blobs into a repository.

use std::time::Duration;

use bytes::Bytes;
use host::retry::transfer_time;
use host::{Body, CallPolicy};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use url::Url;

use crate::answer::Answer;
use crate::bodies::{Bodies, Upload};
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::locks::jittered;
use crate::repository::Repository;

impl Client {
    /// Opens an upload and cancels it.
    pub(crate) async fn prove_push(&self, repository: &Repository) -> Result<(), Error> {
        let session = self.open_upload(repository).await?;
        self.cancel_upload(repository, session).await;
        Ok(())
    }

    pub(crate) async fn cancel_upload(&self, repository: &Repository, session: Url) {
        let policy = CallPolicy::new()
            .with_attempt(Duration::from_secs(10))
            .with_total(Duration::from_secs(10))
            .with_attempts(1);
        let call = Call::to(Method::DELETE, repository, Access::Push, session).policy(policy);
        // Registries that cannot cancel a session let it expire.
        if let Err(error) = self.call(&call).await {
            tracing::debug!(%error, "the upload was not cancelled");
        }
    }

    /// Opens an upload with the content. Registries that take it need no other request.
    pub(crate) async fn post_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<Posted, Error> {
        let path = format!("blobs/uploads/?digest={digest}");
        let call = Call::new(Method::POST, repository, Access::Push, path)
            .header(CONTENT_TYPE, "application/octet-stream")
            .policy(CallPolicy::new().with_attempt(LONGEST_UPLOAD).with_idempotent(true))
            .body(bytes);
        let answer = self.call(&call).await?;
        let takes_content = answer.status == StatusCode::CREATED;
        let final_refusal =
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status);
        if final_refusal || answer.is_transient() {
            return Err(not_opened(answer, repository));
        }
        self.habits.with_registry(repository, |habit| habit.takes_content = Some(takes_content));
        match (answer.status, answer.header(&LOCATION)) {
            (StatusCode::CREATED, _) => Ok(Posted::Stored),
            (StatusCode::ACCEPTED, Some(location)) => {
                self.follow(repository, &answer, location).map(Posted::Opened)
            }
            _ => self.open_upload(repository).await.map(Posted::Opened),
        }
    }

    /// Stores `content` under `digest`, in two requests when all goes well, or in one where an upload
    /// was opened before or the registry takes the content at once.
    pub(crate) async fn put_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        content: impl Into<Body>,
    ) -> Result<(), Error> {
        let content = &content.into();
        let now = self.host.clock.now();
        if let Some(opened) = self.habits.with(repository, |habit| habit.take_upload(now)) {
            match self.finish_upload(repository, opened, digest, |call| whole(call, content)).await
            {
                Ok(()) => return Ok(()),
                // It may have ended in the meantime: another one shows what is wrong.
                Err(Interrupted::For(_, error) | Interrupted::ForGood(error)) => {
                    tracing::debug!(%error, "the upload that was open is not usable");
                }
            }
        }
        let takes_content =
            self.habits.with_registry(repository, |habit| habit.takes_content == Some(true));
        let mut opened = None;
        if takes_content
            && let Some(bytes) = content.whole()
            && bytes.len() <= LARGEST_POSTED
        {
            match self.post_blob(repository, digest, bytes.clone()).await? {
                Posted::Stored => return Ok(()),
                Posted::Opened(session) => opened = Some(session),
            }
        }
        let mut attempt = 1;
        loop {
            let session = match opened.take() {
                Some(session) => session,
                None => self.open_upload(repository).await?,
            };
            let (failure, pause) = match self
                .finish_upload(repository, session, digest, |call| whole(call, content))
                .await
            {
                Ok(()) => return Ok(()),
                Err(Interrupted::For(pause, error)) => (error, pause),
                Err(Interrupted::ForGood(error)) => return Err(error),
            };
            if attempt >= MOST_ATTEMPTS {
                return Err(failure);
            }
            tracing::debug!(error = %failure, attempt, "the upload starts again");
            self.host.clock.sleep(pause).await;
            // It may have arrived although there was no answer.
            if self.has_blob(repository, digest).await? {
                return Ok(());
            }
            attempt += 1;
        }
    }

    /// Whether `repository` has the blob `digest`.
    pub(crate) async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let path = format!("blobs/{digest}");
        let call = Call::new(Method::HEAD, repository, Access::Push, path);
        let answer = self.call(&call).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            // Not every registry answers HEAD here; uploading again does no harm.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            _ => Err(answer.into_error(repository, Access::Push, || format!("the blob {digest}"))),
        }
    }

    /// Starts an upload; the answer names where it goes on.
    pub(crate) async fn open_upload(&self, repository: &Repository) -> Result<Url, Error> {
        let call = Call::new(Method::POST, repository, Access::Push, "blobs/uploads/")
            // A session too many expires.
            .policy(CallPolicy::new().with_idempotent(true));
        let answer = self.call(&call).await?;
        if !answer.status.is_success() {
            return Err(not_opened(answer, repository));
        }
        let location = answer.header(&LOCATION).ok_or_else(|| Error::Invalid {
            what: format!("the answer to {}", answer.request()),
            reason: "expected a Location to upload to, found none".to_owned(),
        })?;
        self.follow(repository, &answer, location)
    }

    /// Sends the content, which `with_content` puts into the request, and ends the upload.
    pub(crate) async fn finish_upload<'a>(
        &self,
        repository: &'a Repository,
        mut session: Url,
        digest: &Digest,
        with_content: impl FnOnce(Call<'a>) -> Call<'a>,
    ) -> Result<(), Interrupted> {
        // The query of the session's URL stays as it is: it may be signed.
        let query = match session.query() {
            Some(query) if !query.is_empty() => format!("{query}&digest={digest}"),
            _ => format!("digest={digest}"),
        };
        session.set_query(Some(&query));
        let call = Call::to(Method::PUT, repository, Access::Push, session)
            .header(CONTENT_TYPE, "application/octet-stream")
            // A session that took part of the bytes cannot take all of them once more.
            .policy(sent_once(0));
        let answer = match self.call(&with_content(call)).await {
            Ok(answer) => answer,
            Err(error @ Error::Transport { .. }) => {
                return Err(Interrupted::For(jittered(FIRST_PAUSE), error));
            }
            Err(error) => return Err(Interrupted::ForGood(error)),
        };
        if answer.status.is_success() {
            return Ok(());
        }
        let lost = answer.has_code("BLOB_UPLOAD_UNKNOWN")
            || answer.status == StatusCode::RANGE_NOT_SATISFIABLE;
        let again = answer.is_transient() || lost;
        let pause = answer
            .retry_after()
            .map_or_else(|| jittered(FIRST_PAUSE), |asked| asked.min(LONGEST_PAUSE));
        let error = answer
            .into_error(repository, Access::Push, || format!("the upload of the blob {digest}"));
        Err(if again { Interrupted::For(pause, error) } else { Interrupted::ForGood(error) })
    }
}

fn not_opened(answer: Answer, repository: &Repository) -> Error {
    answer.into_error(repository, Access::Push, || {
        format!("the upload endpoint of the repository {repository}")
    })
}

/// Puts all of the content into the request.
fn whole<'a>(call: Call<'a>, content: &Body) -> Call<'a> {
    let call = call.policy(sent_once(content.size()));
    match content.whole() {
        Some(bytes) => call.body(bytes.clone()),
        None => call.bodies(Bodies::Upload(Upload::new(content.parts(), content.size()))),
    }
}

fn sent_once(size: u64) -> CallPolicy {
    let limit = LONGEST_UPLOAD + transfer_time(size);
    CallPolicy::new().with_attempt(limit).with_total(limit).with_idempotent(false)
}

/// What a registry made of a request that opens an upload and holds the content.
pub(crate) enum Posted {
    Stored,
    /// It ignored the content.
    Opened(Url),
}

pub(crate) enum Interrupted {
    /// Starting again after a pause may help.
    For(Duration, Error),
    ForGood(Error),
}

impl Interrupted {
    /// By a failure before anything was sent.
    pub(crate) fn by(error: Error) -> Self {
        match error {
            Error::Transport { .. } => Self::For(jittered(FIRST_PAUSE), error),
            error => Self::ForGood(error),
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A registry that does not take the content at once gets it twice.
const LARGEST_POSTED: usize = 1 << 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_UPLOAD: Duration = Duration::from_secs(60);
const MOST_ATTEMPTS: u32 = 3;
