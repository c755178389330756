//! The time as services tell it.
//!
//! Tokens live for minutes, and the services that make and take them compare their own clocks. A
//! machine whose clock is wrong by more than that would refuse what they accept.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::AGE;
use http::{Request, Response};

use crate::clock::Clock;
use crate::future::BoxFuture;
use crate::host::Host;
use crate::retry::answered_at;
use crate::transport::{Answer, Body, CallPolicy, Parts, Transport};

/// What a service's clock says when it differs from that of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockDifference {
    /// The host of the service.
    pub service: String,
    /// How much the clocks differ.
    pub by: Duration,
    /// Whether this machine's clock is ahead of the service's.
    pub is_ahead: bool,
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, how) = (self.by.as_secs(), if self.is_ahead { "ahead of" } else { "behind" });
        let service = crate::text::escape_remote(&self.service);
        write!(f, "the clock of this machine is {seconds} s {how} that of {service}")
    }
}

impl Host {
    /// The same host, whose clock follows the `Date` of the last answer that its transport got
    /// (RFC 9110 6.6.1). Differences of up to a minute are within what services tolerate: the clock
    /// of this machine counts then. `differs` is told once of a larger one.
    ///
    /// For judging identity tokens: what decides about trust has a clock that no service can set.
    #[must_use]
    pub fn following_services(
        self,
        differs: impl Fn(&ClockDifference) + Send + Sync + 'static,
    ) -> Self {
        let difference = Arc::new(Mutex::new(None));
        let clock = Arc::new(ServiceClock {
            inner: Arc::clone(&self.clock),
            difference: Arc::clone(&difference),
        });
        let http = Arc::new(Observed {
            inner: Arc::clone(&self.http),
            clock: Arc::clone(&self.clock),
            difference,
            told: AtomicBool::new(false),
            differs: Box::new(differs),
        });
        self.with_clock(clock).with_http(http)
    }
}

type Shared = Arc<Mutex<Option<ClockDifference>>>;

struct ServiceClock {
    inner: Arc<dyn Clock>,
    difference: Shared,
}

impl Clock for ServiceClock {
    fn now(&self) -> SystemTime {
        let now = self.inner.now();
        let difference = self.difference.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(difference) = &*difference else { return now };
        let there = match difference.is_ahead {
            true => now.checked_sub(difference.by),
            false => now.checked_add(difference.by),
        };
        there.unwrap_or(now)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }
}

struct Observed {
    inner: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    difference: Shared,
    /// A service whose clock jumps to and fro is told of once.
    told: AtomicBool,
    differs: Box<dyn Fn(&ClockDifference) + Send + Sync>,
}

impl Observed {
    fn observed<'a>(&'a self, service: String, answer: Answer<'a, Bytes>) -> Answer<'a, Bytes> {
        Box::pin(async move {
            let answer = answer.await?;
            self.observe(&service, &answer);
            Ok(answer)
        })
    }

    fn observe(&self, service: &str, answer: &Response<Bytes>) {
        if answer.headers().contains_key(AGE) {
            // It comes from a cache, with the time at which it was stored there.
            return;
        }
        let Some(there) = answered_at(answer.headers()) else { return };
        let here = self.clock.now();
        let (by, is_ahead) = match here.duration_since(there) {
            Ok(by) => (by, true),
            Err(behind) => (behind.duration(), false),
        };
        let found = ClockDifference { service: service.to_owned(), by, is_ahead };
        let found = Some(found).filter(|found| found.by > TOLERATED);
        if let Some(found) = &found
            && !self.told.swap(true, Ordering::Relaxed)
        {
            (self.differs)(found);
        }
        *self.difference.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

impl Transport for Observed {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let service = request.uri().host().unwrap_or_default().to_owned();
        self.observed(service, self.inner.send(request, policy))
    }

    fn send_body(&self, request: Request<Body>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let service = request.uri().host().unwrap_or_default().to_owned();
        self.observed(service, self.inner.send_body(request, policy))
    }

    fn send_parts(&self, request: Request<Parts>, policy: &CallPolicy) -> Answer<'_, Parts> {
        self.inner.send_parts(request, policy)
    }
}

/// What clocks may differ by before it matters.
const TOLERATED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use http::header::DATE;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn the_clock_follows_a_service_that_is_more_than_a_minute_away() {
        let dates =
            Arc::new(Mutex::new(Vec::from([at(1_400), at(1_030), at(1_000), at(340), at(1_400)])));
        let http = move |_: Request<Bytes>| {
            let mut answer = Response::new(Bytes::new());
            let date = dates.lock().unwrap().pop().unwrap();
            let date = httpdate::fmt_http_date(date).parse().unwrap();
            answer.headers_mut().insert(DATE, date);
            Ok::<_, crate::TransportError>(answer)
        };
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let host = Host::new(
            Arc::new(http),
            Arc::new([("", "")]),
            Arc::new(at(1_000)),
            Arc::new(crate::programs::NoPrograms),
        );
        let host = host.following_services(move |difference| {
            assert_eq!(difference.service, "127.0.0.1");
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(host.clock.now(), at(1_000));
        for there in [at(1_400), at(340), at(1_000), at(1_000), at(1_400)] {
            let request = Request::get("http://127.0.0.1/").body(Bytes::new()).unwrap();
            let sent = host.http.send(request, &CallPolicy::new());
            ready(sent).unwrap();
            assert_eq!(host.clock.now(), there);
        }
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }

    /// Polls a future that is ready at once.
    fn ready<T>(future: BoxFuture<'_, T>) -> T {
        let mut future = future;
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("the answer is not ready"),
        }
    }
}
