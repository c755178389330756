//! Bodies that are too large to be held: they travel in parts, and are counted and hashed on the way.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{empty, unfold};
use host::{CallPolicy, Parts, Transport, TransportError};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response};
use keys::{HashAlgorithm, Hasher};

use crate::digest::Digest;
use crate::error::Error;
use crate::locks::guard;

/// How the bodies of a request and of its answer travel.
#[derive(Clone, Debug, Default)]
pub(crate) enum Bodies {
    /// In memory.
    #[default]
    Whole,
    /// The body of a successful answer comes in parts.
    Download,
    /// The body of the request goes in parts.
    Upload(Upload),
}

/// The body of an upload. It can be sent once.
#[derive(Clone)]
pub(crate) struct Upload {
    parts: Arc<Mutex<Option<Parts>>>,
    size: u64,
}

impl Upload {
    pub(crate) fn new(parts: Parts, size: u64) -> Self {
        Self { parts: Arc::new(Mutex::new(Some(parts))), size }
    }
}

/// The body of an answer.
pub(crate) struct Download(Mutex<Parts>);

impl Download {
    pub(crate) fn into_parts(self) -> Parts {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends `request`, whose own body is used only where it does not go in parts.
pub(crate) async fn send(
    http: &dyn Transport,
    request: Request<Bytes>,
    bodies: &Bodies,
    policy: &CallPolicy,
) -> Result<(Response<Bytes>, Option<Download>), TransportError> {
    let request = match bodies {
        Bodies::Whole => return http.send(request, policy).await.map(|answer| (answer, None)),
        Bodies::Download => request.map(|_| -> Parts { Box::pin(empty()) }),
        Bodies::Upload(Upload { parts, size }) => {
            // Asked for credentials in the middle: the caller starts again.
            let Some(parts) = guard(parts).take() else {
                return Err(broken(&request.uri().to_string(), "the body was sent before"));
            };
            let mut request = request.map(|_| parts);
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(*size));
            request
        }
    };
    let answer = http.send_parts(request, policy).await?;
    let downloads = matches!(bodies, Bodies::Download) && answer.status().is_success();
    let (head, mut parts) = answer.into_parts();
    if downloads {
        return Ok((Response::from_parts(head, Bytes::new()), Some(Download(Mutex::new(parts)))));
    }
    let mut body = BytesMut::new();
    while let Some(part) = parts.next().await.transpose()? {
        body.extend_from_slice(&part);
        if body.len() > REFUSAL_CAP {
            break;
        }
    }
    Ok((Response::from_parts(head, body.freeze()), None))
}

/// A blob on its way from where it is.
pub(crate) struct Blob {
    pub(crate) parts: Parts,
    /// What went wrong with it, once it did.
    pub(crate) failure: Arc<Mutex<Option<Error>>>,
}

impl Blob {
    /// The blob `digest` of `size` bytes, which comes as `parts` from `what`. Its last part is handed
    /// on only after all of it turned out to be right.
    pub(crate) fn checked(parts: Parts, digest: &Digest, size: u64, what: String) -> Self {
        let failure = Arc::new(Mutex::new(None));
        let algorithm = match digest.algorithm() {
            "sha512" => HashAlgorithm::Sha512,
            _ => HashAlgorithm::Sha256,
        };
        let state = Check {
            parts,
            hasher: Hasher::new(algorithm),
            digest: digest.clone(),
            size,
            left: size,
            held: Bytes::new(),
            done: false,
            what,
            failure: Arc::clone(&failure),
        };
        let parts = unfold(Some(state), |state| async move {
            let mut state = state?;
            match state.next().await {
                Ok(Some(part)) => Some((Ok(part), Some(state))),
                Ok(None) => None,
                Err(error) => {
                    let told = broken("the blob", &error.to_string());
                    *guard(&state.failure) = Some(error);
                    Some((Err(told), None))
                }
            }
        });
        Self { parts: Box::pin(parts), failure }
    }
}

struct Check {
    parts: Parts,
    hasher: Hasher,
    digest: Digest,
    size: u64,
    left: u64,
    held: Bytes,
    done: bool,
    what: String,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Check {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let invalid = |what: &str, reason: String| Error::Invalid { what: what.to_owned(), reason };
        if self.done {
            return Ok(None);
        }
        while let Some(part) = self.parts.next().await {
            let part =
                part.map_err(|source| Error::Transport { registry: self.what.clone(), source })?;
            let Some(left) = self.left.checked_sub(part.len() as u64) else {
                let reason = format!("expected {} bytes, found more", self.size);
                return Err(invalid(&self.what, reason));
            };
            self.left = left;
            self.hasher.update(&part);
            let ready = std::mem::replace(&mut self.held, part);
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
        }
        if self.left > 0 {
            let found = self.size - self.left;
            let reason = format!("expected {} bytes, found {found}", self.size);
            return Err(invalid(&self.what, reason));
        }
        let found = self.hasher.clone().finish().to_hex();
        if found != self.digest.hex() {
            let reason = format!("its content has the digest {}:{found}", self.digest.algorithm());
            return Err(invalid(&self.what, reason));
        }
        self.done = true;
        let last = std::mem::take(&mut self.held);
        Ok(Some(last).filter(|last| !last.is_empty()))
    }
}

fn broken(url: &str, reason: &str) -> TransportError {
    let source = std::io::Error::other(reason.to_owned());
    TransportError::Broken { url: url.to_owned(), source: Arc::new(source) }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.size)
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Download")
    }
}

/// The words of a refusal.
const REFUSAL_CAP: usize = 64 << 10;
