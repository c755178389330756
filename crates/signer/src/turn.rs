//! A lock that is waited for without a runtime.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Lets one task at a time through. Order is not kept, and every release wakes all who wait: the
/// few tasks of a session do not need better.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: Vec<Waker>,
}

/// The turn is over when this is dropped, also when the task that held it was cancelled.
pub(crate) struct TurnGuard<'a>(&'a Turn);

impl Turn {
    pub(crate) async fn wait(&self) -> TurnGuard<'_> {
        poll_fn(|context| {
            let mut state = self.state();
            if !state.taken {
                state.taken = true;
                return Poll::Ready(TurnGuard(self));
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.taken = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn the_second_waits_until_the_first_is_dropped() {
        let turn = Turn::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(turn.wait());
        let Poll::Ready(guard) = first.as_mut().poll(&mut context) else { panic!("not free") };
        let mut second = pin!(turn.wait());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(guard);
        assert!(second.as_mut().poll(&mut context).is_ready());
    }
}
