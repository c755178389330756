//! A service as it is served: with its limits, and with its faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::Clock;
use http::{Method, Request, StatusCode};

use crate::server::Served;
use crate::service::{Service, answer, gateway_error};
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
        let service = losing_its_first_answer(limited(service, faults.clone()), faults.clone());
        let log = Self::failing(service, faults, Fault::RekorError);
        Self { slow: Some(faults.clone()), body_cap: LOG_CAP, ..log }
    }

    /// How long a POST is held back now.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.slow.as_ref()?.contains(&Fault::SlowLog).then_some(SLOW_LOG)
    }
}

/// A service behind a load balancer that refuses large requests while the fault is switched on.
fn limited(service: Arc<dyn Service>, faults: Faults) -> Arc<dyn Service> {
    Arc::new(move |request: Request<Bytes>| {
        let is_large = request.body().len() > SIZE_LIMIT;
        match is_large && faults.contains(&Fault::LogSizeLimit) {
            true => answer(StatusCode::PAYLOAD_TOO_LARGE, "text/html", TOO_LARGE),
            false => service.handle(request),
        }
    })
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

/// The largest request to a log, in bytes: an attestation of 128 MiB.
const LOG_CAP: usize = 192 << 20;

/// The largest request under [`Fault::LogSizeLimit`], in bytes.
const SIZE_LIMIT: usize = 4 << 20;

const TOO_LARGE: &str = "<html><head><title>413 Request Entity Too Large</title></head></html>\n";

/// How long [`Fault::SlowLog`] takes: longer than an impatient client waits, within the time that
/// a real log may need.
const SLOW_LOG: Duration = Duration::from_secs(10);
