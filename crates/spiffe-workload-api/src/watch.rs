//! Streams that are kept open: each message is the whole state and replaces the one before
//! (SPIFFE Workload API section 4.4).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Clock};
use id_token::TrustDomain;
use tonic::{Status, Streaming};

use crate::api::{CALL_DEADLINE, WorkloadApi};
use crate::bundle::{JwtBundle, X509Bundle};
use crate::connect::failure;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::svid::{X509State, jwt_bundles, x509_bundles, x509_state};

/// By how much each pause before another attempt is longer than the last, before a part of it is
/// taken off at random.
const STEP: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Follows the X.509-SVIDs of this process at `endpoint`. Sends nothing before the first
/// [`Watch::next`].
pub fn watch_x509(endpoint: Endpoint, clock: Arc<dyn Clock>) -> Watch<X509State> {
    let open = |api: WorkloadApi| -> Opening<_> { Box::pin(async move { api.open_x509().await }) };
    Watch::new(endpoint, clock, Feed::new(open, x509_state))
}

/// Follows the X.509 bundles of all trust domains that `endpoint` knows.
pub fn watch_x509_bundles(
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
) -> Watch<BTreeMap<TrustDomain, X509Bundle>> {
    let open =
        |api: WorkloadApi| -> Opening<_> { Box::pin(async move { api.open_x509_bundles().await }) };
    Watch::new(endpoint, clock, Feed::new(open, x509_bundles))
}

/// Follows the JWT bundles of all trust domains that `endpoint` knows.
pub fn watch_jwt_bundles(
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
) -> Watch<BTreeMap<TrustDomain, JwtBundle>> {
    let open =
        |api: WorkloadApi| -> Opening<_> { Box::pin(async move { api.open_jwt_bundles().await }) };
    Watch::new(endpoint, clock, Feed::new(open, jwt_bundles))
}

/// A change that a watch reports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Update<T> {
    /// The state. What is not in it any more has been revoked.
    State(T),
    /// This process has no identity (any more): earlier states must not be used. The watch goes on,
    /// because a registration may come.
    Revoked {
        /// The server's words.
        message: String,
    },
}

/// A stream that is opened again whenever it ends. Where it fails, there is a pause before the next
/// attempt: one second more each time, up to thirty, of which up to half is taken off at random, so
/// that the workloads of a machine do not ask its agent all at once.
///
/// Needs a tokio runtime with its timer and I/O drivers.
pub struct Watch<T> {
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
    feed: Box<dyn Messages<T>>,
    failures: u32,
    /// The rest of the pause before the next attempt.
    pause: Option<BoxFuture<'static, ()>>,
    /// Whether [`Update::Revoked`] has been reported since the last state.
    revoked: bool,
}

impl<T> Watch<T> {
    fn new(endpoint: Endpoint, clock: Arc<dyn Clock>, feed: impl Messages<T> + 'static) -> Self {
        let feed = Box::new(feed);
        Self { endpoint, clock, feed, failures: 0, pause: None, revoked: false }
    }

    /// Waits for the next change, for as long as it takes: an agent that is not there is waited
    /// for, too.
    ///
    /// The future may be dropped, by `select!` for example: the next call goes on where it was, in
    /// the middle of a pause or of opening the stream, and no message is lost.
    ///
    /// # Errors
    /// [`Error::InvalidAnswer`] for a message that breaks the rules: it is dropped, and the next
    /// call goes on. [`Error::Refused`] when asking again will not help; the next call asks again
    /// all the same, after a pause.
    pub async fn next(&mut self) -> Result<Update<T>, Error> {
        loop {
            match self.attempt().await {
                Ok(Some(state)) => return Ok(Update::State(state)),
                Ok(None) => {}
                Err(Error::NoIdentity { message, .. }) => {
                    if !std::mem::replace(&mut self.revoked, true) {
                        return Ok(Update::Revoked { message });
                    }
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error @ Error::InvalidAnswer { .. }) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, failures = self.failures, "the watch goes on");
                }
            }
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits for the rest of the pause and then for the next message. `None` is the end of a
    /// stream.
    pub(crate) async fn attempt(&mut self) -> Result<Option<T>, Error> {
        if let Some(pause) = &mut self.pause {
            pause.await;
            self.pause = None;
        }
        let answer = self.feed.next(&self.endpoint).await;
        match &answer {
            Ok(Some(_)) => (self.failures, self.revoked) = (0, false),
            // A stream ends when an agent restarts, and the new agent is asked at once. One that
            // ends again and again, and a flood of messages that break the rules, must not keep us
            // busy.
            Ok(None) | Err(Error::InvalidAnswer { .. }) => self.fail(self.failures > 0),
            Err(_) => self.fail(true),
        }
        answer
    }

    fn fail(&mut self, pause: bool) {
        self.failures = self.failures.saturating_add(1);
        let full = STEP.saturating_mul(self.failures).min(LONGEST_PAUSE);
        let part = full.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.pause = pause.then(|| self.clock.sleep(part));
    }
}

/// Whether another attempt will not change the answer.
pub(crate) fn is_final(error: &Error) -> bool {
    const FINAL: [&str; 3] = ["CANCELLED", "INVALID_ARGUMENT", "UNIMPLEMENTED"];
    matches!(error, Error::Refused { code, .. } if FINAL.contains(code))
}

impl<T> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The messages of a stream, read.
trait Messages<T>: Send {
    /// The next state, or `None` when the stream has ended.
    fn next<'a>(&'a mut self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Option<T>, Error>>;
}

/// What opening a stream resolves to.
type Opening<M> = BoxFuture<'static, Result<Streaming<M>, Status>>;

/// An open stream with its connection. hyper takes a connection for idle, and no longer asks whether
/// the server is there, where the stream is all that is left of it.
struct Open<M> {
    stream: Streaming<M>,
    _connection: WorkloadApi,
}

struct Feed<M, T> {
    start: fn(WorkloadApi) -> Opening<M>,
    read: fn(&Endpoint, M) -> Result<T, Error>,
    /// Kept, so that a caller who drops the future of [`Watch::next`] does not start it anew.
    opening: Option<BoxFuture<'static, Result<Opened<M>, Error>>>,
    open: Option<Open<M>>,
}

/// A stream that was opened, with its first message unless it ended before.
type Opened<M> = (Open<M>, Option<M>);

impl<M: Send + 'static, T> Feed<M, T> {
    fn new(
        start: fn(WorkloadApi) -> Opening<M>,
        read: fn(&Endpoint, M) -> Result<T, Error>,
    ) -> Self {
        Self { start, read, opening: None, open: None }
    }

    async fn message(&mut self, endpoint: &Endpoint) -> Result<Option<M>, Error> {
        if let Some(open) = &mut self.open {
            // Nothing comes for as long as nothing changes.
            let message = open.stream.message().await;
            return message.map_err(|status| failure(endpoint, None, CALL_DEADLINE, &status));
        }
        let begin = || -> BoxFuture<'static, _> { Box::pin(opened(endpoint.clone(), self.start)) };
        let opened = self.opening.get_or_insert_with(begin).await;
        self.opening = None;
        let (open, message) = opened?;
        self.open = Some(open);
        Ok(message)
    }
}

async fn opened<M: Send + 'static>(
    endpoint: Endpoint,
    start: fn(WorkloadApi) -> Opening<M>,
) -> Result<Opened<M>, Error> {
    let api = WorkloadApi::connect(&endpoint).await?;
    let first = async {
        let mut stream = start(api.clone()).await?;
        let message = stream.message().await?;
        Ok((Open { stream, _connection: api }, message))
    };
    match tokio::time::timeout(CALL_DEADLINE, first).await {
        Ok(opened) => opened.map_err(|status| failure(&endpoint, None, CALL_DEADLINE, &status)),
        Err(_) => Err(Error::TimedOut { endpoint, after: CALL_DEADLINE }),
    }
}

impl<M: Send + 'static, T> Messages<T> for Feed<M, T> {
    fn next<'a>(&'a mut self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Option<T>, Error>> {
        Box::pin(async move {
            match self.message(endpoint).await {
                Ok(Some(message)) => (self.read)(endpoint, message).map(Some),
                Ok(None) => {
                    self.open = None;
                    Ok(None)
                }
                Err(error) => {
                    self.open = None;
                    Err(error)
                }
            }
        })
    }
}
