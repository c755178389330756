//! A watch that a task follows, for programs that run longer than their identities live.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::{self, Receiver, Sender};
use tokio::task::AbortHandle;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::watch::{Watch, is_final};

/// How a source that lives long is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Health {
    /// The stream is open, and the newest state is in use.
    Current,
    /// The stream broke off or the last message cannot be used. The state before it is in use,
    /// and the stream is opened again.
    Behind {
        /// Why.
        error: Error,
    },
    /// This process has no identity any more. The source goes on, because a registration may come.
    Revoked {
        /// The server's words.
        message: String,
    },
    /// The source was stopped.
    Stopped,
}

/// What is known at a moment.
enum Snapshot<T> {
    Waiting(Error),
    Current(Arc<T>),
    Behind(Arc<T>, Error),
    Revoked(String),
    Stopped,
}

impl<T> Snapshot<T> {
    /// Takes in what the watch reports. Returns whether a waiting caller should look: not at
    /// each failure of a row of them.
    fn take(&mut self, answer: Result<Option<T>, Error>) -> bool {
        let next = match (answer, &*self) {
            (_, Self::Stopped) | (Ok(None), _) => return false,
            (Ok(Some(state)), _) => Self::Current(Arc::new(state)),
            (Err(Error::NoIdentity { message, .. }), _) => Self::Revoked(message),
            (Err(error), Self::Current(state) | Self::Behind(state, _)) => {
                Self::Behind(Arc::clone(state), error)
            }
            // What was revoked stays so until there is a new state.
            (Err(_), Self::Revoked(_)) => return false,
            (Err(error), Self::Waiting(_)) => Self::Waiting(error),
        };
        let is_failure = |moment: &Self| !matches!(moment, Self::Current(_));
        let is_same_kind = std::mem::discriminant(self) == std::mem::discriminant(&next);
        // Whether an error ends the wait for the first state is for that wait to say.
        let is_news = !is_same_kind || !is_failure(&next) || matches!(next, Self::Waiting(_));
        *self = next;
        is_news
    }
}

/// A state that a task keeps fresh. The task ends with the last clone, or when it is stopped.
pub(crate) struct Live<T> {
    endpoint: Endpoint,
    moments: Receiver<Snapshot<T>>,
    task: Arc<Task<T>>,
}

struct Task<T> {
    sender: Arc<Sender<Snapshot<T>>>,
    handle: AbortHandle,
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        let (endpoint, moments) = (self.endpoint.clone(), self.moments.clone());
        Self { endpoint, moments, task: Arc::clone(&self.task) }
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    /// Follows `watch`, and waits for its first state.
    pub(crate) async fn start(watch: Watch<T>, within: Duration) -> Result<Self, Error> {
        let endpoint = watch.endpoint().clone();
        let late = Error::TimedOut { endpoint: endpoint.clone(), after: within };
        let (sender, moments) = watch::channel(Snapshot::Waiting(late));
        let sender = Arc::new(sender);
        let handle = tokio::spawn(follow(watch, Arc::clone(&sender))).abort_handle();
        let mut live = Self { endpoint, moments, task: Arc::new(Task { sender, handle }) };
        let is_decided = |moment: &Snapshot<T>| match moment {
            Snapshot::Waiting(error) => {
                is_final(error) || matches!(error, Error::InvalidAnswer { .. })
            }
            // A registration may be on its way.
            Snapshot::Revoked(_) => false,
            Snapshot::Current(_) | Snapshot::Behind(..) | Snapshot::Stopped => true,
        };
        // Whether time ran out is in the state.
        let _ = tokio::time::timeout(within, live.moments.wait_for(is_decided)).await;
        live.state()?;
        live.moments.mark_unchanged();
        Ok(live)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The newest state that may be used.
    pub(crate) fn state(&self) -> Result<Arc<T>, Error> {
        match &*self.moments.borrow() {
            Snapshot::Current(state) | Snapshot::Behind(state, _) => Ok(Arc::clone(state)),
            Snapshot::Waiting(error) => Err(error.clone()),
            Snapshot::Revoked(message) => Err(Error::NoIdentity {
                endpoint: self.endpoint.clone(),
                asked: None,
                offered: Vec::new(),
                message: message.clone(),
            }),
            Snapshot::Stopped => Err(self.stopped_error()),
        }
    }

    pub(crate) fn health(&self) -> Health {
        match &*self.moments.borrow() {
            Snapshot::Current(_) => Health::Current,
            Snapshot::Waiting(error) | Snapshot::Behind(_, error) => {
                Health::Behind { error: error.clone() }
            }
            Snapshot::Revoked(message) => Health::Revoked { message: message.clone() },
            Snapshot::Stopped => Health::Stopped,
        }
    }

    /// Waits for the next change of the state or the health. An error where the source was stopped.
    pub(crate) async fn changed(&mut self) -> Result<(), Error> {
        let is_stopped = matches!(*self.moments.borrow(), Snapshot::Stopped);
        if is_stopped || self.moments.changed().await.is_err() || self.is_stopped() {
            return Err(self.stopped_error());
        }
        Ok(())
    }

    /// Resolves when the source is stopped.
    pub(crate) async fn stopped(&self) -> Error {
        let mut moments = self.moments.clone();
        let _ = moments.wait_for(|moment| matches!(moment, Snapshot::Stopped)).await;
        self.stopped_error()
    }

    /// Ends the task and closes its stream. Whoever waits is told.
    pub(crate) fn stop(&self) {
        self.task.sender.send_replace(Snapshot::Stopped);
        self.task.handle.abort();
    }

    fn is_stopped(&self) -> bool {
        matches!(*self.moments.borrow(), Snapshot::Stopped)
    }

    fn stopped_error(&self) -> Error {
        let (endpoint, message) = (self.endpoint.clone(), "this source was stopped".to_owned());
        Error::Unavailable { endpoint, message }
    }
}

async fn follow<T>(mut watch: Watch<T>, sender: Arc<Sender<Snapshot<T>>>) {
    loop {
        let answer = watch.attempt().await;
        if let Err(error) = &answer {
            tracing::debug!(%error, "the source goes on");
        }
        sender.send_if_modified(|moment| moment.take(answer));
    }
}
