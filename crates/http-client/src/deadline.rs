//! The time that a whole program may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A deadline that can be paused: the time that a person takes to log in, or that stdin takes to
/// arrive, need not count.
#[derive(Debug)]
pub struct Deadline(watch::Sender<State>);

#[derive(Debug)]
struct State {
    /// What was left when the clock last started or stopped.
    left: Duration,
    since: Instant,
    pauses: usize,
    /// How much longer waits for services that are down may make it.
    allowance: Duration,
    /// Until when such a wait was allowed for.
    allowed_until: Instant,
}

/// Stops the clock of a [`Deadline`] until it is dropped.
#[derive(Debug)]
pub struct Paused(Arc<Deadline>);

impl Deadline {
    /// A duration as Go's `time.ParseDuration` reads it, without signs: `90s`, `3m0s`, `1.5h`. A longer
    /// one than a year is a year: more may overflow an instant.
    ///
    /// # Errors
    /// What was expected: it is written otherwise, or is zero.
    pub fn parse(text: &str) -> Result<Duration, &'static str> {
        let written = Some(text).filter(|text| !text.contains(char::is_whitespace));
        let parsed = written.and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        let parsed = parsed.and_then(|it| Duration::try_from(it).ok()).filter(|it| !it.is_zero());
        Ok(parsed.ok_or("expected a duration such as 90s or 3m")?.min(LONGEST))
    }

    /// As [`parse`](Self::parse), or zero.
    ///
    /// # Errors
    /// As of [`parse`](Self::parse).
    pub fn parse_or_zero(text: &str) -> Result<Duration, &'static str> {
        if ["0", "0s"].contains(&text) { Ok(Duration::ZERO) } else { Self::parse(text) }
    }

    /// The time is up after `timeout`.
    pub fn new(timeout: Duration) -> Arc<Self> {
        Self::with_allowance(timeout, Duration::ZERO)
    }

    /// The time limit of a program that was given none.
    pub const USUAL: Duration = Duration::from_secs(180);

    /// As a program has it: the time is up after `timeout`; without one after the
    /// [usual](Self::USUAL) time, and after waits for a service that is down, of `retry_for` at most.
    pub fn of_program(timeout: Option<Duration>, retry_for: Duration) -> Arc<Self> {
        match timeout {
            Some(timeout) => Self::new(timeout),
            None => Self::with_allowance(Self::USUAL, retry_for),
        }
    }

    /// The time is up after `timeout`, and after the time of all waits that are [allowed
    /// for](Self::allow_for), which is `allowance` at most.
    pub fn with_allowance(timeout: Duration, allowance: Duration) -> Arc<Self> {
        let now = Instant::now();
        let state = State { left: timeout, since: now, pauses: 0, allowance, allowed_until: now };
        Arc::new(Self(watch::Sender::new(state)))
    }

    /// Allows for a wait that begins now, for a service that is down. Waits at the same time count
    /// once.
    pub fn allow_for(&self, wait: Duration) {
        self.0.send_modify(|state| {
            let now = Instant::now();
            let until = now.checked_add(wait).unwrap_or(now);
            let more = until.saturating_duration_since(state.allowed_until.max(now));
            let more = more.min(state.allowance);
            state.allowance -= more;
            state.left += more;
            state.allowed_until = state.allowed_until.max(until);
        });
    }

    /// The time that is left if every wait takes as long as is allowed for.
    pub fn most_left(&self) -> Duration {
        let allowance = self.0.borrow().allowance;
        self.left().saturating_add(allowance)
    }

    /// Stops the clock. It runs again when every pause has ended.
    pub fn pause(self: &Arc<Self>) -> Paused {
        self.0.send_modify(|state| {
            state.left = state.left().unwrap_or(state.left);
            state.pauses += 1;
        });
        Paused(Arc::clone(self))
    }

    /// Allows for more time.
    pub fn extend(&self, by: Duration) {
        self.0.send_modify(|state| state.left = state.left.saturating_add(by));
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        let state = self.0.borrow();
        state.left().unwrap_or(state.left)
    }

    /// Waits until the time is up.
    pub async fn passed(&self) {
        let mut changes = self.0.subscribe();
        loop {
            let left = changes.borrow_and_update().left();
            tokio::select! {
                () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => return,
                _ = changes.changed() => (),
            }
        }
    }
}

impl State {
    /// What is left; `None` while the clock stands.
    fn left(&self) -> Option<Duration> {
        (self.pauses == 0).then(|| self.left.saturating_sub(self.since.elapsed()))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            state.pauses -= 1;
            state.since = Instant::now();
        });
    }
}

const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_at_the_same_time_are_allowed_for_once_and_no_longer_than_all_may_take() {
        let minute = Duration::from_secs(60);
        let deadline = Deadline::with_allowance(minute, minute);
        let about = |seconds: u64| {
            let left = deadline.left().as_secs_f64();
            assert!((left - seconds as f64).abs() < 5.0, "{left}");
        };
        assert!(deadline.most_left() > minute);
        deadline.allow_for(Duration::from_secs(30));
        deadline.allow_for(Duration::from_secs(20));
        about(90);
        deadline.allow_for(Duration::from_secs(600));
        about(120);
        let strict = Deadline::new(minute);
        strict.allow_for(minute);
        assert!(strict.left() <= minute);
    }

    #[tokio::test]
    async fn the_time_of_a_pause_does_not_count() {
        let deadline = Deadline::new(Duration::from_millis(50));
        let paused = deadline.pause();
        let waited = tokio::time::timeout(Duration::from_millis(150), deadline.passed()).await;
        assert!(waited.is_err(), "the deadline passed while it was paused");
        drop(paused);
        tokio::time::timeout(Duration::from_secs(30), deadline.passed()).await.unwrap();
        assert_eq!(deadline.left(), Duration::ZERO);
        deadline.extend(Duration::from_secs(60));
        assert!(deadline.left() > Duration::from_secs(50));
    }
}
