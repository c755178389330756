//! Doing several things at once, or one at a time, without knowing an async runtime.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Runs `jobs`, at most `limit` at a time, and returns what they resolve to in their order.
pub(crate) async fn all<F: Future>(
    limit: usize,
    jobs: impl IntoIterator<Item = F>,
) -> Vec<F::Output> {
    let mut waiting = jobs.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut done: Vec<(usize, F::Output)> = Vec::new();
    poll_fn(|context| {
        loop {
            while running.len() < limit.max(1)
                && let Some((index, job)) = waiting.next()
            {
                running.push((index, Box::pin(job)));
            }
            if running.is_empty() {
                return Poll::Ready(());
            }
            let before = running.len();
            running.retain_mut(|(index, job)| match job.as_mut().poll(context) {
                Poll::Ready(output) => {
                    done.push((*index, output));
                    false
                }
                Poll::Pending => true,
            });
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, output)| output).collect()
}

/// One lock per name; a lock that nobody holds or awaits takes no room.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    by_name: Mutex<HashMap<String, Weak<Lock>>>,
}

impl Locks {
    /// Resolves when nobody else holds the lock of `name`.
    pub(crate) async fn hold(&self, name: String) -> Held {
        let lock = {
            let mut by_name = guard(&self.by_name);
            by_name.retain(|_, lock| lock.strong_count() > 0);
            match by_name.get(&name).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(Lock::default());
                    by_name.insert(name, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        poll_fn(|context| {
            let mut state = guard(&lock.state);
            if state.held {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            state.held = true;
            Poll::Ready(())
        })
        .await;
        Held { lock }
    }
}

/// Gives the lock back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    lock: Arc<Lock>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let waiting = {
            let mut state = guard(&self.lock.state);
            state.held = false;
            std::mem::take(&mut state.waiting)
        };
        // All of them: the first may have been dropped, and the others queue up again.
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[derive(Debug, Default)]
struct Lock {
    state: Mutex<LockState>,
}

#[derive(Debug, Default)]
struct LockState {
    held: bool,
    waiting: Vec<Waker>,
}

/// A duration from `least` to twice of it, so that writers who collided once do not do it again.
pub(crate) fn jittered(least: Duration) -> Duration {
    // A `RandomState` is keyed anew each time; jitter needs no better randomness.
    let dice = RandomState::new().hash_one(0_u8) % 1024;
    least.saturating_add(least.saturating_mul(u32::try_from(dice).unwrap_or(0)) / 1024)
}

/// What a panicking thread left behind is as good as before: no invariant spans two statements.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
        panic!("stuck");
    }

    /// Pending so many times, waking itself.
    async fn turns(mut left: usize) {
        poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn results_come_in_order_and_no_more_run_than_allowed() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let jobs = (0..20_usize).map(|index| {
            let (running, most) = (&running, &most);
            async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                turns(20 - index).await;
                running.set(running.get() - 1);
                index
            }
        });
        assert_eq!(block_on(all(4, jobs)), (0..20).collect::<Vec<_>>());
        assert_eq!(most.get(), 4);
    }

    #[test]
    fn nothing_to_do_is_done() {
        assert!(block_on(all(4, Vec::<std::future::Ready<()>>::new())).is_empty());
    }

    #[test]
    fn one_name_is_held_once_and_names_do_not_hinder_each_other() {
        let locks = Locks::default();
        let inside = Cell::new(0);
        let jobs = (0..9).map(|_| async {
            let _held = locks.hold("a".to_owned()).await;
            inside.set(inside.get() + 1);
            assert_eq!(inside.get(), 1);
            turns(3).await;
            inside.set(inside.get() - 1);
        });
        let _other = block_on(locks.hold("b".to_owned()));
        assert_eq!(block_on(all(9, jobs)).len(), 9);
    }

    #[test]
    fn threads_that_wait_are_woken() {
        let locks = Arc::new(Locks::default());
        let held = block_on(locks.hold("a".to_owned()));
        let waiter = {
            let locks = Arc::clone(&locks);
            std::thread::spawn(move || {
                struct Unpark(std::thread::Thread);
                impl std::task::Wake for Unpark {
                    fn wake(self: Arc<Self>) {
                        self.0.unpark();
                    }
                }
                let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                let mut future = pin!(locks.hold("a".to_owned()));
                while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    std::thread::park();
                }
            })
        };
        std::thread::sleep(Duration::from_millis(20));
        drop(held);
        waiter.join().unwrap();
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_millis(100));
            assert!((100..=200).contains(&pause.as_millis()), "{pause:?}");
        }
    }
}
