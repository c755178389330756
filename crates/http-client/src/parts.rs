//! Bodies as hyper takes and gives them, whole or in parts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use host::{Parts, TransportError};
use http::Uri;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::failure::{Failure, shown};

/// The body of a request.
pub(crate) enum Outgoing {
    Whole(Full<Bytes>),
    Parts { parts: Parts, size: SizeHint, sent: Arc<AtomicU64> },
}

impl Outgoing {
    pub(crate) fn content(content: &host::Body) -> Self {
        match content.whole() {
            Some(bytes) => Self::Whole(Full::new(bytes.clone())),
            None => Self::parts(content.parts(), Some(content.size()), Arc::default()),
        }
    }

    /// A body of `length` bytes, if that is known. `sent` counts its parts.
    pub(crate) fn parts(parts: Parts, length: Option<u64>, sent: Arc<AtomicU64>) -> Self {
        let size = length.map_or_else(SizeHint::default, SizeHint::with_exact);
        Self::Parts { parts, size, sent }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match &mut *self {
            Self::Whole(whole) => {
                Pin::new(whole).poll_frame(context).map_err(|never| match never {})
            }
            Self::Parts { parts, sent, .. } => {
                let part = parts.as_mut().poll_next(context);
                if part.is_ready() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                part.map(|part| part.map(|part| part.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Parts { size, .. } => size.exact() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Parts { size, .. } => *size,
        }
    }
}

/// The body of an answer from `uri`, of at most `cap` bytes, each part within `patience`.
pub(crate) fn incoming(uri: Uri, body: Incoming, cap: usize, patience: Duration) -> Parts {
    let state = Some((uri, body, cap));
    Box::pin(unfold(state, move |state| async move {
        let (uri, mut body, mut left) = state?;
        loop {
            let frame = match tokio::time::timeout(patience, body.frame()).await {
                Ok(frame) => frame?.map_err(|error| Failure::broken(&uri, error).error),
                Err(_) => Err(TransportError::Timeout { url: shown(&uri), after: patience }),
            };
            let data = match frame.map(Frame::into_data) {
                Ok(Ok(data)) => data,
                Ok(Err(_)) => continue,
                Err(error) => return Some((Err(error), None)),
            };
            let Some(fewer) = left.checked_sub(data.len()) else {
                return Some((Err(TransportError::TooLarge { url: shown(&uri), cap }), None));
            };
            left = fewer;
            return Some((Ok(data), Some((uri, body, left))));
        }
    }))
}
