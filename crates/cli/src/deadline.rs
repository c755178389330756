//! The time that a command may take: `--timeout`, without the time that a person takes to log in
//! or that stdin takes to arrive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A deadline that can be paused.
pub(crate) struct Deadline(watch::Sender<State>);

struct State {
    /// What was left when the clock last started or stopped.
    left: Duration,
    since: Instant,
    pauses: usize,
}

/// Stops the clock until it is dropped.
pub(crate) struct Paused(Arc<Deadline>);

impl Deadline {
    pub(crate) fn new(timeout: Duration) -> Arc<Self> {
        let state = State { left: timeout, since: Instant::now(), pauses: 0 };
        Arc::new(Self(watch::Sender::new(state)))
    }

    pub(crate) fn pause(self: &Arc<Self>) -> Paused {
        self.0.send_modify(|state| {
            state.left = state.left().unwrap_or(state.left);
            state.pauses += 1;
        });
        Paused(Arc::clone(self))
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Duration {
        let state = self.0.borrow();
        state.left().unwrap_or(state.left)
    }

    /// Waits until the time is up.
    pub(crate) async fn passed(&self) {
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
