//! Remembers the time that a service tells with its answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use host::{Answer, CallPolicy, Transport};
use http::Request;

/// A transport that remembers the `Date` of the last answer. The clock of this machine may be
/// wrong; a service's clock is what its certificates are made by.
pub(crate) struct Dated {
    inner: Arc<dyn Transport>,
    date: Mutex<Option<SystemTime>>,
}

impl Dated {
    pub(crate) fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, date: Mutex::new(None) }
    }

    pub(crate) fn date(&self) -> Option<SystemTime> {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Dated {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let answer = self.inner.send(request, policy);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(date) = host::retry::answered_at(answer.headers()) {
                *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
            }
            Ok(answer)
        })
    }
}
