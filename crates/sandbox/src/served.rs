//! A service as it is served: with its limits, and with its faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::Clock;
use http::{Method, Request, StatusCode};

use crate::server::Served;
use crate::service::{Service, gateway_error};
use crate::{Fault, Faults};

impl Served {
    pub(crate) fn plain(service: Arc<dyn Service>) -> Self {
        Self { service, body_cap: BODY_CAP, slow: None, tls: None, clock: None }
    }

    /// The same with the `Date` of `clock` in its answers.
    pub(crate) fn with_clock(self, clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Some(Arc::clone(clock)), ..self }
    }

    /// A service that takes nothing new while `fault` is among the faults.
    pub(crate) fn failing(service: Arc<dyn Service>, faults: &Faults, fault: Fault) -> Self {
        let faults = faults.clone();
        Self::plain(Arc::new(move |request: Request<Bytes>| match *request.method() {
            Method::POST if faults.contains(&fault) => {
                gateway_error(StatusCode::INTERNAL_SERVER_ERROR, 13, "injected fault")
            }
            _ => service.handle(request),
        }))
    }

    /// A transparency log.
    pub(crate) fn log(service: Arc<dyn Service>, faults: &Faults) -> Self {
        let service = losing_its_first_answer(service, faults.clone());
        Self { slow: Some(faults.clone()), ..Self::failing(service, faults, Fault::RekorError) }
    }

    /// How long a POST is held back now.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.slow.as_ref()?.contains(&Fault::SlowLog).then_some(SLOW_LOG)
    }
}

/// A service behind a gateway that gives up just before the first answer to a POST arrives, each
/// time that the fault is switched on.
fn losing_its_first_answer(service: Arc<dyn Service>, faults: Faults) -> Arc<dyn Service> {
    let lost = AtomicBool::new(false);
    Arc::new(move |request: Request<Bytes>| {
        let is_new = *request.method() == Method::POST;
        let answer = service.handle(request);
        if !faults.contains(&Fault::LogAnswerLost) {
            lost.store(false, Ordering::Relaxed);
            return answer;
        }
        match is_new && !lost.swap(true, Ordering::Relaxed) {
            true => gateway_error(StatusCode::SERVICE_UNAVAILABLE, 14, "injected fault"),
            false => answer,
        }
    })
}

/// The largest request to any service but the registry, in bytes. The services have narrower
/// limits of their own, with their own answers.
const BODY_CAP: usize = 8 << 20;

/// How long [`Fault::SlowLog`] takes: longer than an impatient client waits, within the time that
/// a real log may need.
const SLOW_LOG: Duration = Duration::from_secs(10);
