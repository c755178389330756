//! Waiting for a server that limits requests.
//!
//! What `Retry-After` asks for is done, as long as all waits of one request fit into the patience
//! of the caller. Without it a failing answer is asked for again twice, after short pauses, and more
//! often where the caller waits for registries that are down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::Host;

use crate::answer::Answer;
use crate::error::Error;
use crate::event::{Event, Listener};

/// How long one client waits.
#[derive(Debug)]
pub(crate) struct Patience {
    most: Duration,
    /// How long a registry is waited for that does not say how long.
    down: Duration,
    listener: Listener,
    /// One request has waited without an answer: others do not wait for as long once more.
    exhausted: AtomicBool,
}

impl Patience {
    pub(crate) fn new(most: Duration, down: Duration, listener: Listener) -> Self {
        Self { most, down, listener, exhausted: AtomicBool::new(false) }
    }

    /// Sends by `send`, and again after each answer that asks for it.
    pub(crate) async fn send<F>(
        &self,
        host: &Host,
        mut send: impl FnMut() -> F,
    ) -> Result<Answer, Error>
    where
        F: Future<Output = Result<Answer, Error>>,
    {
        let (mut waited, mut attempt) = (Duration::ZERO, 1_u32);
        let mut capped = false;
        loop {
            let answer = send().await?;
            if !answer.is_transient() {
                return Ok(answer);
            }
            let asked = answer.retry_after().filter(|asked| !asked.is_zero());
            let pause = match asked {
                // Asked for more than is sensible, once is tried: the value may be wrong.
                Some(asked) if asked > LONGEST && capped => return Ok(answer),
                Some(asked) => {
                    capped = asked > LONGEST;
                    asked.min(LONGEST)
                }
                None if attempt >= MOST_ATTEMPTS
                    && (waited >= self.down || self.is_exhausted()) =>
                {
                    self.exhausted.fetch_or(!self.down.is_zero(), Ordering::Relaxed);
                    return Ok(answer);
                }
                None => FIRST_PAUSE.saturating_mul(1 << attempt.min(5)),
            };
            // Many clients that were sent away at once do not come back at once.
            let pause = pause.saturating_add(pause.mul_f64(fastrand::f64() / 10.0));
            waited = waited.saturating_add(pause);
            if attempt >= MOST_WAITS || waited > self.most {
                self.exhausted.store(true, Ordering::Relaxed);
                return Ok(answer);
            }
            if asked.is_some() && self.is_exhausted() {
                return Ok(answer);
            }
            if asked.is_some() || attempt >= MOST_ATTEMPTS {
                let (registry, status) = (answer.host(), answer.status.as_u16());
                self.listener.tell(&Event::Waiting { registry: &registry, status, pause });
            }
            host.clock.sleep(pause).await;
            attempt += 1;
        }
    }

    fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// Where the server does not say how long to wait.
const MOST_ATTEMPTS: u32 = 3;
const MOST_WAITS: u32 = 200;
