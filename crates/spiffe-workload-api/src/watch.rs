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

/// By how much each pause before another attempt is longer than the last.
const STEP: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Follows the X.509-SVIDs of this process at `endpoint`. Sends nothing before the first
/// [`Watch::next`].
pub fn watch_x509(endpoint: Endpoint, clock: Arc<dyn Clock>) -> Watch<X509State> {
    let open = |api: WorkloadApi| -> Opening<_> { Box::pin(async move { api.open_x509().await }) };
    Watch::new(endpoint, clock, Feed { open, read: x509_state, stream: None })
}

/// Follows the X.509 bundles of all trust domains that `endpoint` knows.
pub fn watch_x509_bundles(
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
) -> Watch<BTreeMap<TrustDomain, X509Bundle>> {
    let open =
        |api: WorkloadApi| -> Opening<_> { Box::pin(async move { api.open_x509_bundles().await }) };
    Watch::new(endpoint, clock, Feed { open, read: x509_bundles, stream: None })
}

/// Follows the JWT bundles of all trust domains that `endpoint` knows.
pub fn watch_jwt_bundles(
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
) -> Watch<BTreeMap<TrustDomain, JwtBundle>> {
    let open =
        |api: WorkloadApi| -> Opening<_> { Box::pin(async move { api.open_jwt_bundles().await }) };
    Watch::new(endpoint, clock, Feed { open, read: jwt_bundles, stream: None })
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

/// A stream that is opened again whenever it ends, after a pause of one second more each time, up
/// to thirty, where it fails.
///
/// Needs a tokio runtime with its timer and I/O drivers.
pub struct Watch<T> {
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
    feed: Box<dyn Messages<T>>,
    failures: u32,
    /// The pause that is due before the next attempt.
    pause: Option<Duration>,
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
    /// # Errors
    /// [`Error::InvalidAnswer`] for a message that breaks the rules: it is dropped, and the next
    /// call goes on. [`Error::Refused`] when asking again will not help.
    pub async fn next(&mut self) -> Result<Update<T>, Error> {
        loop {
            if let Some(pause) = self.pause.take() {
                self.clock.sleep(pause).await;
            }
            match self.feed.next(&self.endpoint).await {
                Ok(Some(state)) => {
                    self.failures = 0;
                    self.revoked = false;
                    return Ok(Update::State(state));
                }
                // Streams end when an agent restarts. One that ends at once, again and again,
                // must not keep us busy.
                Ok(None) => self.fail(self.failures > 0),
                Err(error @ Error::InvalidAnswer { .. }) => return Err(error),
                Err(error @ Error::Refused { code, .. }) if FINAL.contains(&code) => {
                    return Err(error);
                }
                Err(Error::NoIdentity { message, .. }) => {
                    self.fail(true);
                    if !std::mem::replace(&mut self.revoked, true) {
                        return Ok(Update::Revoked { message });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, failures = self.failures, "the watch goes on");
                    self.fail(true);
                }
            }
        }
    }

    fn fail(&mut self, pause: bool) {
        self.failures = self.failures.saturating_add(1);
        self.pause = pause.then(|| STEP.saturating_mul(self.failures.max(1)).min(LONGEST_PAUSE));
    }
}

impl<T> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Codes that another attempt does not change.
const FINAL: [&str; 3] = ["CANCELLED", "INVALID_ARGUMENT", "UNIMPLEMENTED"];

/// The messages of a stream, read.
trait Messages<T>: Send {
    /// The next state, or `None` when the stream has ended.
    fn next<'a>(&'a mut self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Option<T>, Error>>;
}

/// What opening a stream resolves to.
type Opening<M> = BoxFuture<'static, Result<Streaming<M>, Status>>;

struct Feed<M, T> {
    open: fn(WorkloadApi) -> Opening<M>,
    read: fn(&Endpoint, M) -> Result<T, Error>,
    stream: Option<Streaming<M>>,
}

impl<M: Send + 'static, T> Feed<M, T> {
    async fn message(&mut self, endpoint: &Endpoint) -> Result<Option<M>, Error> {
        let failed = |status: Status| failure(endpoint, None, CALL_DEADLINE, &status);
        if let Some(stream) = &mut self.stream {
            // Nothing comes for as long as nothing changes.
            return stream.message().await.map_err(failed);
        }
        let api = WorkloadApi::connect(endpoint).await?;
        let open = (self.open)(api);
        let first = async {
            let mut stream = open.await?;
            let message = stream.message().await?;
            Ok((stream, message))
        };
        let Ok(opened) = tokio::time::timeout(CALL_DEADLINE, first).await else {
            return Err(Error::TimedOut { endpoint: endpoint.clone(), after: CALL_DEADLINE });
        };
        let (stream, message) = opened.map_err(failed)?;
        self.stream = Some(stream);
        Ok(message)
    }
}

impl<M: Send + 'static, T> Messages<T> for Feed<M, T> {
    fn next<'a>(&'a mut self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Option<T>, Error>> {
        Box::pin(async move {
            match self.message(endpoint).await {
                Ok(Some(message)) => (self.read)(endpoint, message).map(Some),
                Ok(None) => {
                    self.stream = None;
                    Ok(None)
                }
                Err(error) => {
                    self.stream = None;
                    Err(error)
                }
            }
        })
    }
}
