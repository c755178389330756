//! X.509-SVIDs for a program that runs longer than they live.

use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use id_token::SpiffeId;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::live::{Health, Live};
use crate::svid::{Selection, X509State, X509Svid, choose};
use crate::validate::verify_x509_svid;
use crate::watch::watch_x509;

/// The X.509-SVIDs and bundles of this process, kept fresh by a task. Clones share the task, which
/// ends with the last of them.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use spiffe_workload_api::host::Clock;
/// use spiffe_workload_api::{Endpoint, Error, Selection, X509Source};
///
/// async fn serve(endpoint: Endpoint, clock: Arc<dyn Clock>) -> Result<(), Error> {
///     let mut source = X509Source::start(endpoint, clock, Duration::from_secs(30)).await?;
///     loop {
///         let svid = source.svid(&Selection::default())?;
///         println!("{} until {:?}", svid.spiffe_id, svid.leaf.not_after());
///         source.changed().await?;
///     }
/// }
/// ```
#[derive(Clone)]
pub struct X509Source {
    live: Live<X509State>,
    clock: Arc<dyn Clock>,
}

impl X509Source {
    /// Follows the Workload API at `endpoint`, and waits up to `within` for the first SVIDs: an
    /// agent that is starting and a registration that is on its way are waited for. Needs a tokio
    /// runtime with its timer and I/O drivers.
    ///
    /// # Errors
    /// The last reason why there are no SVIDs.
    pub async fn start(
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
        within: Duration,
    ) -> Result<Self, Error> {
        let live = Live::start(watch_x509(endpoint, Arc::clone(&clock)), within).await?;
        Ok(Self { live, clock })
    }

    /// The SVID that `selection` means, as it is now. It is not kept: ask again for each new
    /// connection.
    ///
    /// # Errors
    /// [`Error::Several`] and [`Error::NoIdentity`] as of a call, [`Error::Untrusted`] where the
    /// SVID has expired and the agent has sent no newer one, [`Error::Unavailable`] after
    /// [`Self::stop`].
    pub fn svid(&self, selection: &Selection) -> Result<X509Svid, Error> {
        let state = self.live.state()?;
        let svid = choose(self.live.endpoint(), &state.svids, selection)?;
        if let Ok(ago) = self.clock.now().duration_since(svid.leaf.not_after()) {
            let (id, ago) = (&svid.spiffe_id, ago.as_secs());
            let reason = format!("that of {id} expired {ago} s ago and no newer one has come");
            return Err(Error::Untrusted { kind: "X.509-SVID", reason });
        }
        Ok(svid.clone())
    }

    /// All SVIDs and bundles as they are now.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] where this process has no identity any more, [`Error::Unavailable`]
    /// after [`Self::stop`].
    pub fn state(&self) -> Result<Arc<X509State>, Error> {
        self.live.state()
    }

    /// Verifies the chain that a peer presented, certificates in DER and the leaf first, with the
    /// bundle of the peer's trust domain. Returns its SPIFFE ID.
    ///
    /// # Errors
    /// As [`Self::state`], and [`Error::Untrusted`].
    pub fn verify(&self, chain: &[Vec<u8>]) -> Result<SpiffeId, Error> {
        verify_x509_svid(chain, &self.live.state()?.bundles()?, self.clock.now())
    }

    /// How the source is doing.
    pub fn health(&self) -> Health {
        self.live.health()
    }

    /// Waits for the next change of the SVIDs or of the health, for as long as it takes. The future
    /// may be dropped: the next call reports a change that came in between.
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
}

impl std::fmt::Debug for X509Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("X509Source").field("endpoint", self.live.endpoint()).finish_non_exhaustive()
    }
}
