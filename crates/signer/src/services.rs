//! Which services a signature passes through.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_lock::OnceCell;
use fulcio_client::Configuration;
use host::{Clock, Patience, Patient, Transport};
use id_token::Audience;
use rekor_client::ApiVersion;
use trust_root::{Service, SigningConfig, TrustedRoot};
use url::Url;

use crate::authority::Authority;
use crate::error::Error;
use crate::event::Event;

/// One Sigstore instance, as a list of URLs. A signature is made with every service listed.
#[derive(Clone, Debug)]
pub struct Services {
    /// The certificate authority; `None` to sign with a key of one's own.
    pub fulcio: Option<Url>,
    /// The transparency logs, possibly none.
    pub logs: Vec<Log>,
    /// Logs that stand in, in this order, when there is one log and it is down.
    pub spare_logs: Vec<Log>,
    /// The timestamp authorities, by the full URL that takes requests; possibly none.
    pub timestamp_authorities: Vec<Url>,
}

/// One transparency log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Its base URL.
    pub url: Url,
    /// What it speaks.
    pub version: ApiVersion,
}

impl Services {
    /// No service: for a key whose signatures need neither a log nor a timestamp.
    pub fn none() -> Self {
        Self {
            fulcio: None,
            logs: Vec::new(),
            spare_logs: Vec::new(),
            timestamp_authorities: Vec::new(),
        }
    }

    /// What `config` selects at the time `now`.
    ///
    /// # Errors
    /// [`Error::Services`]: the configuration has no certificate authority in service, or fewer
    /// logs or timestamp authorities than its selector demands.
    pub fn select(config: &SigningConfig, now: SystemTime) -> Result<Self, Error> {
        let fulcio = Some(config.fulcio(now)?.url);
        Ok(Self { fulcio, ..Self::select_for_key(config, now)? })
    }

    /// As [`select`](Self::select), to sign with a key of one's own: without a certificate
    /// authority, and with the logs and timestamp authorities that there are.
    ///
    /// # Errors
    /// [`Error::Services`]: the configuration has fewer logs or timestamp authorities in service
    /// than its selector demands.
    pub fn select_for_key(config: &SigningConfig, now: SystemTime) -> Result<Self, Error> {
        let log = |service: Service| Log {
            version: if service.major_api_version >= 2 { ApiVersion::V2 } else { ApiVersion::V1 },
            url: service.url,
        };
        let logs = config.rekor(now)?.into_iter().map(log).collect();
        let spare_logs = config.spare_rekor(now).into_iter().map(log).collect();
        let timestamp_authorities = config.tsa(now)?.into_iter().map(|service| service.url);
        let timestamp_authorities = timestamp_authorities.collect();
        Ok(Self { fulcio: None, logs, spare_logs, timestamp_authorities })
    }

    /// Whether a log says when its entries were made: those of version 1 do.
    pub(crate) fn timed_by_log(&self) -> bool {
        self.logs.iter().any(|log| log.version == ApiVersion::V1)
    }
}

/// A Sigstore instance to sign with.
#[derive(Clone)]
pub struct Signer {
    pub(crate) services: Services,
    pub(crate) root: Arc<TrustedRoot>,
    pub(crate) http: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audience: Audience,
    patience: Patience,
    /// Logs of version 1 get the digest of an envelope, not the envelope.
    pub(crate) digest_only: bool,
    authority: Arc<OnceCell<Authority>>,
    /// Which of the logs the trusted root knows, in their order.
    pub(crate) known_logs: Arc<OnceCell<Vec<bool>>>,
    pub(crate) listener: Arc<dyn Fn(&Event<'_>) + Send + Sync>,
}

impl Signer {
    /// Signs with `services` what `root` will accept. Sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Unverifiable`]: no signature made this way could ever verify, because nothing would
    /// prove when it was made, or because `root` knows none of the authorities needed. A Fulcio
    /// certificate lives for minutes, so that a verifier needs a time from a log of version 1 or
    /// from a timestamp authority; logs of version 2 give none. Without a certificate authority
    /// there is no certificate, and no time is needed.
    pub fn new(
        services: Services,
        root: Arc<TrustedRoot>,
        http: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        refuse_the_unverifiable(&services, &root)?;
        let audience = Audience::sigstore();
        let (authority, listener) = (Arc::default(), Arc::new(|_: &Event<'_>| ()));
        let patience = Patience::default();
        let known_logs = Arc::default();
        Ok(Self {
            services,
            root,
            http,
            clock,
            audience,
            patience,
            digest_only: false,
            authority,
            known_logs,
            listener,
        })
    }

    /// Waits for a certificate authority, timestamp authority or log that is down, as `patience`
    /// says; without this not at all, beyond what the transport does.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Logs attestations by their digests in logs of version 1 as well, as those of version 2 do:
    /// nothing of the statement leaves for the log, whatever its size. Verifiers need
    /// [`verify::Policy::accept_digest_entries`] for such an attestation, and many have nothing like
    /// that. Image signatures are logged whole.
    #[must_use]
    pub fn log_digest_only(self, digest_only: bool) -> Self {
        Self { digest_only, ..self }
    }

    /// Asks for tokens for `audience` instead of `sigstore`.
    #[must_use]
    pub fn with_audience(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// Tells `listener` what is being done. It is called between steps and must not block.
    #[must_use]
    pub fn with_listener(self, listener: Arc<dyn Fn(&Event<'_>) + Send + Sync>) -> Self {
        Self { listener, ..self }
    }

    /// Which issuers the certificate authority accepts and with which audience, if it publishes
    /// that. Asked for once; sessions use the same answer.
    pub async fn configuration(&self) -> Option<&Configuration> {
        self.authority().await.configuration.as_ref()
    }

    pub(crate) async fn authority(&self) -> &Authority {
        let ask = async || match &self.services.fulcio {
            Some(url) => Authority::ask(url, &self.http, &*self.clock).await,
            None => Authority::default(),
        };
        self.authority.get_or_init(ask).await
    }

    /// The network to services that a signature needs: it waits for those that are down, `until` what
    /// is sent is of no use any more.
    pub(crate) fn patient(&self, until: Option<SystemTime>) -> Arc<dyn Transport> {
        let listener = Arc::clone(&self.listener);
        let (http, clock) = (Arc::clone(&self.http), Arc::clone(&self.clock));
        let patient = Patient::new(http, clock, self.patience.clone(), move |outage| {
            listener(&Event::Waiting(outage));
        });
        Arc::new(patient.until(until))
    }

    /// By what signatures are verified.
    pub fn root(&self) -> &Arc<TrustedRoot> {
        &self.root
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The services in use.
    pub fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        (self.listener)(event);
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("services", &self.services)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

fn refuse_the_unverifiable(services: &Services, root: &TrustedRoot) -> Result<(), Error> {
    let refuse = |reason: &str| Err(Error::Unverifiable { reason: reason.to_owned() });
    let timed_by_log = services.timed_by_log();
    let stamped = !services.timestamp_authorities.is_empty();
    if services.fulcio.is_some() {
        if !timed_by_log && !stamped {
            return refuse(if services.logs.is_empty() {
                "there is neither a transparency log nor a timestamp authority, so nothing would \
                 prove when the signature was made"
            } else {
                "a Rekor v2 log does not say when an entry was made, and there is no timestamp \
                 authority"
            });
        }
        if root.certificate_authorities().is_empty() {
            return refuse("the trusted root has no certificate authority");
        }
    }
    if stamped && !timed_by_log && root.timestamp_authorities().is_empty() {
        return refuse(
            "the trusted root has no timestamp authority, and no Rekor v1 log is in use",
        );
    }
    if !services.logs.is_empty() && root.tlogs().is_empty() {
        return refuse("the trusted root has no transparency log");
    }
    Ok(())
}
