//! The client: attempts, pauses and deadlines.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use host::{Answer, Body, CallPolicy, Parts, Transport, TransportError, retry};
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{Request, Response};

use crate::exchange::Exchange;
use crate::failure::{Again, Failure, shown};
use crate::parts::{Outgoing, incoming};
use crate::roots;
use crate::settings::{Roots, Settings};

/// A [`Transport`] over hyper and rustls. Clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    exchange: Arc<Exchange>,
    settings: Arc<Settings>,
}

impl HttpClient {
    /// A client as `settings` say. Opens nothing and reads nothing yet.
    pub fn new(settings: &Settings) -> Self {
        let exchange = Arc::new(Exchange::new(settings));
        Self { exchange, settings: Arc::new(settings.clone()) }
    }

    /// Where `request` goes: to our pools, or to one of its own when it brings its own trust.
    fn exchange_for<B>(
        &self,
        request: &Request<B>,
        policy: &CallPolicy,
    ) -> Result<Arc<Exchange>, TransportError> {
        let Some(pem) = &policy.trust_only else {
            return Ok(Arc::clone(&self.exchange));
        };
        let roots = roots::read_pem(pem).ok_or_else(|| TransportError::Unusable {
            url: shown(request.uri()),
            reason: "the CA certificates given for it cannot be read".to_owned(),
        })?;
        let der = roots.iter().map(|certificate| certificate.to_vec()).collect();
        let settings = Settings {
            roots: Roots::Only(der),
            extra_roots: Vec::new(),
            unverified: Vec::new(),
            ..Settings::clone(&self.settings)
        };
        Ok(Arc::new(Exchange::new(&settings)))
    }

    async fn attempts(
        &self,
        mut request: Request<Body>,
        mut policy: CallPolicy,
    ) -> Result<Response<Bytes>, TransportError> {
        check_target(&request)?;
        policy.plain_http |= self.settings.plain_http;
        let headers = request.headers_mut();
        headers.entry(USER_AGENT).or_insert_with(|| self.settings.user_agent.clone());
        let pools = self.exchange_for(&request, &policy)?;
        let idempotent = policy.is_idempotent(request.method());
        let call = Call { policy: &policy, idempotent, started: Instant::now() };
        let mut http1 = false;
        let mut number = 0_u32;
        loop {
            number = number.saturating_add(1);
            let limit = policy.attempt.min(call.left());
            let exchange = pools.run(&request, &policy, http1);
            let outcome = match tokio::time::timeout(limit, exchange).await {
                Ok(outcome) => outcome,
                Err(_) => Err(call.timeout(&request)),
            };
            tracing::debug!(
                method = %request.method(),
                url = shown(request.uri()),
                number,
                status = outcome.as_ref().ok().map(|answer| answer.status().as_u16()),
                error = outcome.as_ref().err().map(|failure| failure.error.to_string()),
                "http attempt"
            );
            let pause = match &outcome {
                Ok(answer) => call.pause_after_answer(answer, number),
                Err(failure) => call.pause_after_failure(failure, number),
            };
            let Some(pause) = pause else { return outcome.map_err(|failure| failure.error) };
            http1 = http1 || matches!(&outcome, Err(failure) if failure.http1);
            tokio::time::sleep(pause).await;
        }
    }
}

impl HttpClient {
    async fn once(
        &self,
        mut request: Request<Parts>,
        mut policy: CallPolicy,
    ) -> Result<Response<Parts>, TransportError> {
        check_target(&request)?;
        policy.plain_http |= self.settings.plain_http;
        policy.check(request.uri())?;
        let headers = request.headers_mut();
        headers.entry(USER_AGENT).or_insert_with(|| self.settings.user_agent.clone());
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse().ok());
        let exchange = self.exchange_for(&request, &policy)?;
        let (uri, sent) = (request.uri().clone(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&sent);
        let request = request.map(|parts| Outgoing::parts(parts, length, counted));
        let mut answer = pin!(exchange.request(request, &policy, false));
        let mut parts = 0;
        let answer = loop {
            if let Ok(answer) = tokio::time::timeout(policy.attempt, &mut answer).await {
                break answer.map_err(|failure| failure.error)?;
            }
            // An upload takes long; what matters is that it goes on.
            let now = sent.load(Ordering::Relaxed);
            if now == parts {
                return Err(TransportError::Timeout { url: shown(&uri), after: policy.attempt });
            }
            parts = now;
        };
        Ok(answer.map(|body| incoming(uri, body, policy.body_cap, policy.attempt)))
    }
}

impl Transport for HttpClient {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        self.send_body(request.map(Body::from), policy)
    }

    fn send_body(&self, request: Request<Body>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        Box::pin(self.attempts(request, policy.clone()))
    }

    fn send_parts(&self, request: Request<Parts>, policy: &CallPolicy) -> Answer<'_, Parts> {
        Box::pin(self.once(request, policy.clone()))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// One call: all attempts together.
struct Call<'a> {
    policy: &'a CallPolicy,
    idempotent: bool,
    started: Instant,
}

impl Call<'_> {
    fn left(&self) -> Duration {
        self.policy.total.saturating_sub(self.started.elapsed())
    }

    fn timeout(&self, request: &Request<Body>) -> Failure {
        let error =
            TransportError::Timeout { url: shown(request.uri()), after: self.started.elapsed() };
        Failure { error, again: Again::IfIdempotent, http1: false }
    }

    fn pause_after_answer(&self, answer: &Response<Bytes>, number: u32) -> Option<Duration> {
        let retried = self.idempotent && self.policy.retry_answers;
        if !retried || !retry::is_transient(answer.status()) {
            return None;
        }
        let asked = retry::retry_after(answer.headers(), Some(SystemTime::now()));
        self.fitting(asked.unwrap_or_else(|| retry::pause(number)), number)
    }

    fn pause_after_failure(&self, failure: &Failure, number: u32) -> Option<Duration> {
        let unconnected = matches!(failure.error, TransportError::Connect { .. });
        let allowed = match failure.again {
            _ if unconnected && !self.policy.reconnect => false,
            Again::Never => false,
            Again::IfIdempotent => self.idempotent,
            Again::Always => true,
        };
        // What HTTP/2 broke is tried over HTTP/1.1 at once.
        let pause = if failure.http1 { Duration::ZERO } else { retry::pause(number) };
        if allowed { self.fitting(pause, number) } else { None }
    }

    /// `pause`, if another attempt is left and there is time for it afterwards.
    fn fitting(&self, pause: Duration, number: u32) -> Option<Duration> {
        (number < self.policy.attempts && pause < self.left()).then_some(pause)
    }
}

fn check_target<B>(request: &Request<B>) -> Result<(), TransportError> {
    let uri = request.uri();
    let reason = match uri.scheme_str() {
        Some("http" | "https") => match uri.authority() {
            None => "its URL has no host",
            Some(authority) if authority.host().is_empty() => "its URL has no host",
            Some(authority) if authority.as_str().contains('@') => "its URL holds credentials",
            Some(_) => return Ok(()),
        },
        Some(_) => "its scheme is neither http nor https",
        None => "its URL has no scheme",
    };
    Err(TransportError::Unusable { url: shown(uri), reason: reason.to_owned() })
}
