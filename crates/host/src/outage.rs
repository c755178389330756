//! Waiting for services that fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};

use crate::clock::Clock;
use crate::retry;
use crate::text::{escape_remote, with_causes};
use crate::transport::{Answer, Body, CallPolicy, Parts, Transport, TransportError};

/// How long services that fail are waited for. Clones share what is known of them: a service that
/// was waited for in vain is not waited for once more by the next request.
#[derive(Clone, Default)]
pub struct Patience {
    budget: Duration,
    failing_since: Arc<Mutex<HashMap<String, SystemTime>>>,
}

/// A service failed, and is asked again after a pause.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outage<'a> {
    /// Its scheme, host and port.
    pub service: &'a str,
    /// What it answered, or why it did not.
    pub reason: &'a str,
    /// The pause.
    pub pause: Duration,
}

/// A transport that sends a request again while its service is down: while it cannot be connected
/// to, breaks off or answers 408, 429 or 5xx. `Retry-After` is honoured up to a minute; other pauses
/// grow up to eight seconds, and are random in part.
///
/// A request is sent again only where that is harmless ([`CallPolicy::is_idempotent`]), and as
/// `attempts`, `reconnect` and `retry_answers` of its policy say.
pub struct Patient {
    inner: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    patience: Patience,
    until: Option<SystemTime>,
    listener: Box<dyn Fn(&Outage<'_>) + Send + Sync>,
}

impl fmt::Display for Outage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, reason, pause } = self;
        let seconds = pause.as_millis().div_ceil(1000);
        write!(f, "waiting for {service}: {reason}; next try in {seconds} s")
    }
}

impl Patience {
    /// Waits up to `budget` for a service, from its first failure on.
    pub fn new(budget: Duration) -> Self {
        Self { budget, failing_since: Arc::default() }
    }

    fn services(&self) -> MutexGuard<'_, HashMap<String, SystemTime>> {
        self.failing_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long `service` may be waited for still. `waited` is how long this request did: a clock may
    /// stand still.
    fn left(&self, service: &str, now: SystemTime, waited: Duration) -> Duration {
        let since = *self.services().entry(service.to_owned()).or_insert(now);
        self.budget.saturating_sub(now.duration_since(since).unwrap_or_default().max(waited))
    }
}

impl Patient {
    /// Sends by `inner`, and tells `listener` of each pause.
    pub fn new(
        inner: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        patience: Patience,
        listener: impl Fn(&Outage<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self { inner, clock, patience, until: None, listener: Box::new(listener) }
    }

    /// Waits until that time at the longest: what is sent is of no use later.
    #[must_use]
    pub fn until(self, until: Option<SystemTime>) -> Self {
        Self { until, ..self }
    }

    async fn attempts<B: Clone>(
        &self,
        request: Request<B>,
        policy: CallPolicy,
        send: Sending<B>,
    ) -> Result<Response<Bytes>, TransportError> {
        let (service, mut waited, mut attempt) = (service(&request), Duration::ZERO, 0_u32);
        loop {
            let outcome = send(&*self.inner, request.clone(), &policy).await;
            let Some(failure) = failure(&outcome, &request, &policy) else {
                self.patience.services().remove(&service);
                return outcome;
            };
            let now = self.clock.now();
            let useful = self.until.map(|until| until.duration_since(now).unwrap_or_default());
            let left = self.patience.left(&service, now, waited);
            let left = left.min(useful.unwrap_or(Duration::MAX));
            if left.is_zero() {
                return outcome;
            }
            attempt = attempt.saturating_add(1);
            let asked =
                outcome.as_ref().ok().and_then(|it| retry::retry_after(it.headers(), Some(now)));
            let pause = match asked.filter(|asked| !asked.is_zero()) {
                // Many clients that were sent away at once do not come back at once.
                Some(asked) => asked.min(LONGEST).mul_f64(1.0 + fastrand::f64() / 10.0),
                // The transport below has tried several times in the first second.
                None => retry::pause(attempt.saturating_add(1)),
            };
            let pause = pause.min(left);
            (self.listener)(&Outage { service: &service, reason: &failure, pause });
            self.clock.sleep(pause).await;
            waited = waited.saturating_add(pause);
        }
    }
}

impl Transport for Patient {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let send: Sending<Bytes> = |http, request, policy| http.send(request, policy);
        Box::pin(self.attempts(request, policy.clone(), send))
    }

    fn send_body(&self, request: Request<Body>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let send: Sending<Body> = |http, request, policy| http.send_body(request, policy);
        Box::pin(self.attempts(request, policy.clone(), send))
    }

    /// What comes in parts cannot be sent again.
    fn send_parts(&self, request: Request<Parts>, policy: &CallPolicy) -> Answer<'_, Parts> {
        self.inner.send_parts(request, policy)
    }
}

/// How a request with such a body is sent once.
type Sending<B> = for<'a> fn(&'a dyn Transport, Request<B>, &CallPolicy) -> Answer<'a, Bytes>;

/// What failed, if the same request may succeed later.
fn failure<B>(
    outcome: &Result<Response<Bytes>, TransportError>,
    request: &Request<B>,
    policy: &CallPolicy,
) -> Option<String> {
    let may_be_sent_again = policy.attempts > 1 && policy.is_idempotent(request.method());
    match outcome {
        _ if policy.attempts <= 1 => None,
        Ok(answer) if may_be_sent_again && policy.retry_answers => {
            let status = answer.status();
            retry::is_transient(status).then(|| status.as_u16().to_string())
        }
        Err(error @ TransportError::Connect { .. }) if policy.reconnect => Some(with_causes(error)),
        Err(error @ (TransportError::Timeout { .. } | TransportError::Broken { .. }))
            if may_be_sent_again =>
        {
            Some(with_causes(error))
        }
        _ => None,
    }
}

fn service<B>(request: &Request<B>) -> String {
    let scheme = request.uri().scheme_str().unwrap_or_default();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = authority.unwrap_or_default().rsplit('@').next().unwrap_or_default();
    escape_remote(&format!("{scheme}://{host}"))
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// The longest pause that a service may ask for.
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use http::StatusCode;
    use http::header::RETRY_AFTER;

    use super::*;
    use crate::future::BoxFuture;

    /// A clock that jumps over each sleep.
    #[derive(Clone, Default)]
    struct Jumping(Arc<Mutex<Duration>>);

    impl Clock for Jumping {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            *self.0.lock().unwrap() += duration;
            Box::pin(std::future::ready(()))
        }
    }

    type Answer = Result<Response<Bytes>, TransportError>;

    fn status(status: u16) -> Answer {
        Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
    }

    fn refused() -> Answer {
        let source = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        Err(TransportError::Connect { url: "https://log.example".to_owned(), source })
    }

    struct Lab {
        clock: Jumping,
        patient: Patient,
        told: Arc<Mutex<Vec<(String, Duration)>>>,
    }

    /// A service that answers by the seconds since the start.
    fn lab(budget: u64, answer: impl Fn(u64) -> Answer + Send + Sync + 'static) -> Lab {
        let clock = Jumping::default();
        let time = clock.clone();
        let inner = move |_: Request<Bytes>| answer(time.0.lock().unwrap().as_secs());
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let patient = Patient::new(
            Arc::new(inner),
            Arc::new(clock.clone()),
            Patience::new(Duration::from_secs(budget)),
            move |outage| heard.lock().unwrap().push((outage.reason.to_owned(), outage.pause)),
        );
        Lab { clock, patient, told }
    }

    impl Lab {
        fn send(&self, policy: &CallPolicy) -> Answer {
            let request = Request::post("https://log.example/x").body(Bytes::new()).unwrap();
            let mut sent = self.patient.send(request, policy);
            match sent.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => answer,
                Poll::Pending => panic!("nothing here waits"),
            }
        }

        fn seconds(&self) -> u64 {
            self.clock.0.lock().unwrap().as_secs()
        }
    }

    fn harmless() -> CallPolicy {
        CallPolicy::new().with_idempotent(true)
    }

    #[test]
    fn an_outage_of_ninety_seconds_is_waited_for() {
        let lab = lab(300, |now| if now < 90 { status(502) } else { status(201) });
        assert_eq!(lab.send(&harmless()).unwrap().status(), StatusCode::CREATED);
        assert!((90..100).contains(&lab.seconds()), "{}", lab.seconds());
        let told = lab.told.lock().unwrap();
        assert!(told.iter().all(|(reason, pause)| reason == "502" && pause.as_secs() <= 8));
        assert!(told.len() < 40, "{}", told.len());
    }

    #[test]
    fn a_service_that_stays_down_is_given_up_within_the_budget_and_at_once_the_next_time() {
        let lab = lab(60, |_| refused());
        assert!(matches!(lab.send(&harmless()), Err(TransportError::Connect { .. })));
        assert!((59..62).contains(&lab.seconds()), "{}", lab.seconds());
        let pauses = lab.told.lock().unwrap().len();
        lab.send(&harmless()).unwrap_err();
        assert_eq!(lab.told.lock().unwrap().len(), pauses);
    }

    #[test]
    fn what_a_service_asks_for_is_done_and_absurd_values_are_capped() {
        for (asked, least, most) in [("7", 7, 8), ("86400", 60, 66)] {
            let lab = lab(300, move |now| match now {
                0 => {
                    let mut answer = status(429)?;
                    answer.headers_mut().insert(RETRY_AFTER, asked.parse().unwrap());
                    Ok(answer)
                }
                _ => status(200),
            });
            assert_eq!(lab.send(&harmless()).unwrap().status(), StatusCode::OK);
            assert!((least..=most).contains(&lab.seconds()), "{asked}: {}", lab.seconds());
        }
    }

    #[test]
    fn a_refusal_is_an_answer_and_what_may_do_harm_is_not_sent_twice() {
        let lab = lab(300, |_| status(403));
        assert_eq!(lab.send(&harmless()).unwrap().status(), StatusCode::FORBIDDEN);
        let once =
            [CallPolicy::new(), harmless().with_attempts(1), harmless().with_retry_answers(false)];
        for policy in once {
            let lab = self::lab(300, |_| status(502));
            assert_eq!(lab.send(&policy).unwrap().status(), StatusCode::BAD_GATEWAY);
            assert_eq!(lab.seconds(), 0, "{policy:?}");
        }
        let lab = self::lab(300, |_| refused());
        lab.send(&harmless().with_reconnect(false)).unwrap_err();
        assert_eq!(lab.seconds(), 0);
        // Nothing was sent: that is harmless whatever the method.
        lab.send(&CallPolicy::new()).unwrap_err();
        assert!(lab.seconds() >= 299, "{}", lab.seconds());
    }

    #[test]
    fn what_is_of_no_use_later_is_not_waited_for() {
        let mut lab = lab(300, |_| status(502));
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
        lab.patient = lab.patient.until(Some(until));
        assert_eq!(lab.send(&harmless()).unwrap().status(), StatusCode::BAD_GATEWAY);
        assert_eq!(lab.seconds(), 30);
    }

    #[test]
    fn waiting_ends_also_by_a_clock_that_stands_still() {
        let patience = Patience::new(Duration::from_secs(60));
        let inner = Arc::new(|_: Request<Bytes>| status(502));
        let clock = Arc::new(SystemTime::UNIX_EPOCH);
        let patient = Patient::new(inner, clock, patience, |_| ());
        let lab = Lab { clock: Jumping::default(), patient, told: Arc::default() };
        assert_eq!(lab.send(&harmless()).unwrap().status(), StatusCode::BAD_GATEWAY);
    }
}
