//! JWT-SVIDs for a program that runs longer than they live.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use host::Clock;
use id_token::{Audience, IdToken, SpiffeId, TrustDomain};

use crate::api::WorkloadApi;
use crate::bundle::JwtBundle;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::live::{Health, Live};
use crate::svid::{JwtSvid, Selection};
use crate::validate::verify_jwt_svid;
use crate::watch::watch_jwt_bundles;

/// The most tokens that are kept; of more, the oldest is fetched again.
const MOST_KEPT: usize = 64;

/// The JWT-SVIDs of this process and the keys that verify those of others, kept fresh by a task.
/// Clones share the task, which ends with the last of them.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use spiffe_workload_api::host::Clock;
/// use spiffe_workload_api::id_token::Audience;
/// use spiffe_workload_api::{Endpoint, Error, JwtSource, Selection};
///
/// async fn call(endpoint: Endpoint, clock: Arc<dyn Clock>) -> Result<(), Error> {
///     let source = JwtSource::start(endpoint, clock, Duration::from_secs(30)).await?;
///     let svid = source.svid(&[Audience::sigstore()], &Selection::default()).await?;
///     println!("{}", svid.spiffe_id);
///     source.stop();
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct JwtSource {
    live: Live<BTreeMap<TrustDomain, JwtBundle>>,
    clock: Arc<dyn Clock>,
    tokens: Arc<Tokens>,
}

#[derive(Default)]
struct Tokens {
    kept: Mutex<Vec<Kept>>,
    /// Held while the API is asked, so that a token is fetched once however many want it.
    api: tokio::sync::Mutex<Option<WorkloadApi>>,
}

struct Kept {
    audiences: Vec<Audience>,
    selection: Selection,
    svid: JwtSvid,
}

impl JwtSource {
    /// Follows the JWT bundles at `endpoint`, and waits up to `within` for the first ones. Needs a
    /// tokio runtime with its timer and I/O drivers.
    ///
    /// # Errors
    /// The last reason why there are no bundles.
    pub async fn start(
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
        within: Duration,
    ) -> Result<Self, Error> {
        let live = Live::start(watch_jwt_bundles(endpoint, Arc::clone(&clock)), within).await?;
        Ok(Self { live, clock, tokens: Arc::default() })
    }

    /// The JWT-SVID for all of `audiences` that `selection` means. A token is kept until half of
    /// its life is over, and, while the API cannot be reached, until its end.
    ///
    /// # Errors
    /// As [`WorkloadApi::select_jwt_svid`]; [`Error::NoIdentity`] also where this process has lost
    /// its identity, [`Error::Unavailable`] also after [`Self::stop`], which ends the wait.
    pub async fn svid(
        &self,
        audiences: &[Audience],
        selection: &Selection,
    ) -> Result<JwtSvid, Error> {
        let fetching = pin!(self.kept_or_fetched(audiences, selection));
        let stopped = pin!(self.live.stopped());
        match select(fetching, stopped).await {
            Either::Left((svid, _)) => svid,
            Either::Right((error, _)) => Err(error),
        }
    }

    /// The JWT bundles of all trust domains as they are now.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] where this process has no identity any more, [`Error::Unavailable`]
    /// after [`Self::stop`].
    pub fn bundles(&self) -> Result<Arc<BTreeMap<TrustDomain, JwtBundle>>, Error> {
        self.live.state()
    }

    /// Verifies a token that a peer presented to this process, `audience`, with the bundle of the
    /// peer's trust domain. Returns its SPIFFE ID.
    ///
    /// # Errors
    /// As [`Self::bundles`], and [`Error::Untrusted`].
    pub fn verify(&self, token: &IdToken, audience: &Audience) -> Result<SpiffeId, Error> {
        verify_jwt_svid(token, audience, &*self.bundles()?, self.clock.now())
    }

    /// How the source is doing.
    pub fn health(&self) -> Health {
        self.live.health()
    }

    /// Waits for the next change of the bundles or of the health, for as long as it takes. The
    /// future may be dropped: the next call reports a change that came in between.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after [`Self::stop`], also where it is called during the wait.
    pub async fn changed(&mut self) -> Result<(), Error> {
        self.live.changed().await
    }

    /// Ends the task and closes the stream, for all clones.
    pub fn stop(&self) {
        self.live.stop();
    }

    async fn kept_or_fetched(
        &self,
        audiences: &[Audience],
        selection: &Selection,
    ) -> Result<JwtSvid, Error> {
        let kept = || self.tokens.kept(audiences, selection);
        let is_fresh = |svid: &JwtSvid| half_life(svid).is_some_and(|half| self.clock.now() < half);
        self.usable()?;
        if let Some(svid) = kept().filter(is_fresh) {
            return Ok(svid);
        }
        let mut api = self.tokens.api.lock().await;
        if let Some(svid) = kept().filter(is_fresh) {
            return Ok(svid);
        }
        let fetched = self.fetch(&mut api, audiences, selection).await;
        self.usable()?;
        match fetched {
            Ok(svid) => {
                self.tokens.keep(audiences, selection, svid.clone());
                Ok(svid)
            }
            Err(error) => {
                let end = |svid: &JwtSvid| svid.token.claims().expires_at();
                let is_alive = |svid: &JwtSvid| end(svid).is_some_and(|end| self.clock.now() < end);
                match is_absence(&error) {
                    true => kept().filter(is_alive).ok_or(error),
                    false => {
                        self.tokens.forget(audiences, selection);
                        Err(error)
                    }
                }
            }
        }
    }

    /// A token of an identity that this process has lost must not be used.
    fn usable(&self) -> Result<(), Error> {
        self.live.state().map(drop).inspect_err(|_| self.tokens.forget_all())
    }

    async fn fetch(
        &self,
        api: &mut Option<WorkloadApi>,
        audiences: &[Audience],
        selection: &Selection,
    ) -> Result<JwtSvid, Error> {
        if let Some(open) = api.take() {
            let answer = open.select_jwt_svid(audiences, selection).await;
            // The connection of an agent that was restarted is of no use; a new one is tried.
            if !matches!(answer, Err(Error::Unreachable { .. } | Error::NotGrpc { .. })) {
                *api = Some(open);
                return answer;
            }
        }
        let open = WorkloadApi::connect(self.live.endpoint()).await?;
        api.insert(open).select_jwt_svid(audiences, selection).await
    }
}

impl Tokens {
    fn kept(&self, audiences: &[Audience], selection: &Selection) -> Option<JwtSvid> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|kept| kept.is_for(audiences, selection)).map(|kept| kept.svid.clone())
    }

    fn keep(&self, audiences: &[Audience], selection: &Selection, svid: JwtSvid) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !kept.is_for(audiences, selection));
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        kept.push(Kept { audiences: audiences.to_vec(), selection: selection.clone(), svid });
    }

    fn forget(&self, audiences: &[Audience], selection: &Selection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !kept.is_for(audiences, selection));
    }

    fn forget_all(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Kept {
    fn is_for(&self, audiences: &[Audience], selection: &Selection) -> bool {
        self.audiences == audiences && self.selection == *selection
    }
}

/// When half of a token's life is over: from then on SPIRE's agent has a fresher one.
fn half_life(svid: &JwtSvid) -> Option<SystemTime> {
    let claims = svid.token.claims();
    let (issued, end) = (claims.issued_at()?, claims.expires_at()?);
    issued.checked_add(end.duration_since(issued).ok()? / 2)
}

/// Whether the API did not decide anything: a token from before is still good.
fn is_absence(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::NotGrpc { .. }
            | Error::TimedOut { .. }
            | Error::Unavailable { .. }
    )
}

impl std::fmt::Debug for JwtSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtSource").field("endpoint", self.live.endpoint()).finish_non_exhaustive()
    }
}
