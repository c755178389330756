//! One lock per name, and what else concurrent signatures need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_lock::{Mutex as AsyncMutex, MutexGuardArc};

/// One lock per name. A lock that is neither held nor awaited takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    by_name: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
}

impl Locks {
    /// Waits until the lock of `name` is free, and holds it until the guard is dropped.
    pub(crate) async fn hold(&self, name: String) -> MutexGuardArc<()> {
        let lock = {
            let mut by_name = guard(&self.by_name);
            by_name.retain(|_, lock| lock.strong_count() > 0);
            match by_name.get(&name).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(AsyncMutex::new(()));
                    by_name.insert(name, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_arc().await
    }
}

/// A duration from `least` to twice of it, so that two writers who collided once do not collide
/// again.
pub(crate) fn jittered(least: Duration) -> Duration {
    least.saturating_add(least.mul_f64(fastrand::f64()))
}

/// Locks `mutex`. A panic of another thread leaves nothing half-done: no invariant spans two
/// statements here.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// Whether `future` is done when it is polled once.
    fn is_ready<F: Future>(future: F) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn one_name_is_held_once_and_other_names_are_free() {
        let locks = Locks::default();
        let mut first = pin!(locks.hold("a".to_owned()));
        let mut context = Context::from_waker(Waker::noop());
        let std::task::Poll::Ready(held) = first.as_mut().poll(&mut context) else {
            panic!("a free lock is not given");
        };
        assert!(!is_ready(locks.hold("a".to_owned())), "the lock is given twice");
        assert!(is_ready(locks.hold("b".to_owned())));
        drop(held);
        assert!(is_ready(locks.hold("a".to_owned())));
    }

    #[test]
    fn locks_that_are_not_used_are_forgotten() {
        let locks = Locks::default();
        for name in 0..100 {
            assert!(is_ready(locks.hold(name.to_string())));
        }
        assert!(guard(&locks.by_name).len() <= 2);
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_varies() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(Duration::from_millis(100))).collect();
        assert!(pauses.iter().all(|pause| (100..=200).contains(&pause.as_millis())));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
