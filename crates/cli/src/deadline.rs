//! The time that a command may take: `--timeout`, without the time that a person takes to log in
//! or that stdin takes to arrive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A deadline that can be paused.
pub(crate) struct Deadline {
    state: Mutex<State>,
    changed: Notify,
}

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
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    pub(crate) fn pause(self: &Arc<Self>) -> Paused {
        let mut state = self.state();
        if state.pauses == 0 {
            state.left = state.left.saturating_sub(state.since.elapsed());
        }
        state.pauses += 1;
        drop(state);
        self.changed.notify_one();
        Paused(Arc::clone(self))
    }

    /// Waits until the time is up.
    pub(crate) async fn passed(&self) {
        loop {
            let left = {
                let state = self.state();
                (state.pauses == 0).then(|| state.left.saturating_sub(state.since.elapsed()))
            };
            match left {
                None => self.changed.notified().await,
                Some(Duration::ZERO) => return,
                Some(left) => tokio::select! {
                    () = tokio::time::sleep(left) => (),
                    () = self.changed.notified() => (),
                },
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.pauses -= 1;
        state.since = Instant::now();
        drop(state);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_of_a_pause_does_not_count() {
        let deadline = Deadline::new(Duration::from_millis(200));
        let paused = deadline.pause();
        let wait = Duration::from_millis(400);
        assert!(tokio::time::timeout(wait, deadline.passed()).await.is_err());
        drop(paused);
        assert!(tokio::time::timeout(wait, deadline.passed()).await.is_ok());
    }
}
