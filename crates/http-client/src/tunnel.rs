//! A way through an HTTP proxy: `CONNECT` (RFC 9110 section 9.3.6).

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Asks the proxy at the other end of `io` for a tunnel to `authority` (`host:port`). Afterwards
/// `io` leads there.
pub(crate) async fn open<T>(
    io: &mut T,
    authority: &str,
    credentials: Option<&HeaderValue>,
) -> Result<(), TunnelError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(credentials) = credentials {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    io.write_all(&request).await.map_err(TunnelError::Io)?;
    io.flush().await.map_err(TunnelError::Io)?;
    let head = read_head(io).await?;
    match status(&head) {
        Some(status) if (200..300).contains(&status) => Ok(()),
        Some(status) => Err(TunnelError::Refused { status }),
        None => Err(TunnelError::NotHttp),
    }
}

/// Reads to the empty line and not a byte further: what follows belongs to the tunnel.
async fn read_head<T: AsyncRead + Unpin>(io: &mut T) -> Result<Vec<u8>, TunnelError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_CAP {
            return Err(TunnelError::NotHttp);
        }
        head.push(io.read_u8().await.map_err(TunnelError::Io)?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let rest = line.strip_prefix("HTTP/1.")?;
    let code = rest.split(' ').nth(1)?;
    (code.len() == 3).then(|| code.parse().ok()).flatten()
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    #[error("the proxy refused to connect: it answered {status}")]
    Refused { status: u16 },
    #[error("the proxy did not answer in HTTP")]
    NotHttp,
    #[error("the proxy hung up")]
    Io(#[source] std::io::Error),
}

impl TunnelError {
    /// Whether another try may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status } => *status >= 500 || *status == 429,
            Self::NotHttp => false,
            Self::Io(_) => true,
        }
    }
}

const HEAD_CAP: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8]) -> Result<(), TunnelError> {
        let (mut ours, mut theirs) = tokio::io::duplex(64 << 10);
        theirs.write_all(answer).await.unwrap();
        drop(theirs);
        // Writing fails once the other end is gone, so the request goes to a buffer of its own.
        let head = read_head(&mut ours).await?;
        match status(&head) {
            Some(200) => Ok(()),
            Some(status) => Err(TunnelError::Refused { status }),
            None => Err(TunnelError::NotHttp),
        }
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        answered(b"HTTP/1.0 200 Connection established\r\nX: y\r\n\r\n").await.unwrap();
        let refused = answered(b"HTTP/1.1 407 Who are you\r\n\r\n").await.unwrap_err();
        assert!(matches!(refused, TunnelError::Refused { status: 407 }));
        assert!(!refused.is_transient());
        let nonsense = answered(b"SSH-2.0-x\r\n\r\n").await.unwrap_err();
        assert!(matches!(nonsense, TunnelError::NotHttp));
        let cut = answered(b"HTTP/1.1 200 OK\r\n").await.unwrap_err();
        assert!(matches!(cut, TunnelError::Io(_)) && cut.is_transient());
        let endless = answered(&[b'x'; HEAD_CAP + 9]).await.unwrap_err();
        assert!(matches!(endless, TunnelError::NotHttp));
    }

    #[tokio::test]
    async fn what_follows_the_head_stays_in_the_tunnel() {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        let secret = HeaderValue::from_static("Basic eDp5");
        open(&mut ours, "registry.example:443", Some(&secret)).await.unwrap();
        let mut rest = [0; 5];
        ours.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"hello");
        let mut request = vec![0; 4096];
        let length = theirs.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        assert!(request.starts_with("CONNECT registry.example:443 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nProxy-Authorization: Basic eDp5\r\n"), "{request}");
    }
}
