//! One file of a mirror over the network.

use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, Redirects, Transport, TransportError};
use http::{Request, StatusCode};
use url::Url;

/// Gets the file at `url`; `None` when the mirror has none.
pub(crate) async fn get(
    url: &Url,
    cap: usize,
    http: &dyn Transport,
) -> Result<Option<Vec<u8>>, Fetch> {
    let policy = CallPolicy::new()
        .with_attempt(Duration::from_secs(10))
        .with_total(Duration::from_secs(20))
        .with_body_cap(cap)
        .with_idempotent(true)
        // The metadata is signed: it may come from anywhere.
        .with_redirects(Redirects::DropCredentials);
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.as_str().parse().map_err(|_| Fetch::Name { name: url.to_string() })?;
    let answer = http.send(request, &policy).await.map_err(Fetch::Transport)?;
    match answer.status() {
        StatusCode::OK if answer.body().len() > cap => {
            Err(Fetch::TooLarge { url: url.to_string(), cap })
        }
        StatusCode::OK => Ok(Some(answer.into_body().into())),
        // Object stores answer 403 for what is not there.
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
        status => Err(Fetch::Status { url: url.to_string(), status }),
    }
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fetch {
    #[error(transparent)]
    File(std::io::Error),
    #[error("not a name to ask for: {name}")]
    Name { name: String },
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} is larger than the limit of {cap} bytes")]
    TooLarge { url: String, cap: usize },
    #[error(transparent)]
    Transport(TransportError),
}

impl Fetch {
    /// Whether the mirror could not be asked or could not answer. An answer that is wrong is not
    /// an outage.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Transport(error) => !matches!(error, TransportError::TooLarge { .. }),
            // What answers 500 or 302 here is not the repository.
            Self::Status { .. } => true,
            Self::Name { .. } | Self::TooLarge { .. } => false,
        }
    }
}
