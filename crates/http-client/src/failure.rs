//! What went wrong, in the transport's terms, and whether to try again.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use host::TransportError;
use http::Uri;
use hyper_util::client::legacy;

type Cause = Arc<dyn StdError + Send + Sync>;

/// Why a connection did not come about.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConnectFailure {
    #[error("could not connect")]
    Connect { source: Cause, transient: bool },
    #[error("could not establish TLS")]
    Tls { source: Cause, transient: bool },
    #[error("{0}")]
    Unusable(String),
}

impl ConnectFailure {
    pub(crate) fn connect(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Connect { source: Arc::from(source.into()), transient: true }
    }

    /// A handshake that the network cut short is worth another try; one that TLS itself ended, for a
    /// certificate above all, is not.
    pub(crate) fn tls(error: io::Error) -> Self {
        let transient =
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_none();
        Self::Tls { source: Arc::new(error), transient }
    }

    /// The same failure, met on the way to the proxy.
    pub(crate) fn at_proxy(self, proxy: &Uri) -> Self {
        let proxy = shown(proxy);
        match self {
            Self::Connect { source, transient } | Self::Tls { source, transient } => {
                Self::Connect { source: Arc::new(AtProxy { proxy, source }), transient }
            }
            Self::Unusable(reason) => Self::Unusable(reason),
        }
    }
}

/// A cause that lies with the proxy.
#[derive(Debug, thiserror::Error)]
#[error("through the proxy {proxy}")]
struct AtProxy {
    proxy: String,
    source: Cause,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: TransportError,
    pub(crate) again: Again,
    /// HTTP/2 is what failed: HTTP/1.1 may do.
    pub(crate) http1: bool,
}

/// When a failed attempt may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    /// The server may have seen the request.
    IfIdempotent,
    /// It has not.
    Always,
}

impl Failure {
    pub(crate) fn never(error: TransportError) -> Self {
        Self { error, again: Again::Never, http1: false }
    }

    /// The exchange broke off after a connection stood.
    pub(crate) fn broken(url: &Uri, source: impl StdError + Send + Sync + 'static) -> Self {
        let reason = http2_error(&source).and_then(h2::Error::reason);
        let again = match reason {
            // RFC 9113 section 7: in both cases the request was not processed.
            Some(h2::Reason::REFUSED_STREAM | h2::Reason::HTTP_1_1_REQUIRED) => Again::Always,
            _ => Again::IfIdempotent,
        };
        let http1 = http2_error(&source).is_some() && reason != Some(h2::Reason::REFUSED_STREAM);
        let error = TransportError::Broken { url: shown(url), source: Arc::new(source) };
        Self { error, again, http1 }
    }

    pub(crate) fn connecting(url: &Uri, failure: ConnectFailure) -> Self {
        let url = shown(url);
        let (error, transient) = match failure {
            ConnectFailure::Connect { source, transient } => {
                (TransportError::Connect { url, source }, transient)
            }
            ConnectFailure::Tls { source, transient } => {
                (TransportError::Tls { url, source }, transient)
            }
            ConnectFailure::Unusable(reason) => (TransportError::Unusable { url, reason }, false),
        };
        let again = if transient { Again::Always } else { Again::Never };
        Self { error, again, http1: false }
    }

    pub(crate) fn from_client(url: &Uri, error: legacy::Error) -> Self {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(failure) = error.downcast_ref::<ConnectFailure>() {
                return Self::connecting(url, failure.clone());
            }
            cause = error.source();
        }
        Self::broken(url, Unwrapped(error))
    }
}

/// hyper's client wraps every cause in "client error": this shows the cause alone.
struct Unwrapped(legacy::Error);

impl fmt::Debug for Unwrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Unwrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl StdError for Unwrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()?.source()
    }
}

/// A URL for an error.
pub(crate) fn shown(url: &Uri) -> String {
    host::public_url(&url.to_string())
}

fn http2_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a h2::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<h2::Error>() {
            return Some(found);
        }
        // `Unwrapped` stands for its cause and so would hide it here.
        cause = match error.downcast_ref::<Unwrapped>() {
            Some(unwrapped) => unwrapped.0.source(),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_credentials_and_query() {
        let url = "https://user:secret@host:81/a/b?token=x".parse().unwrap();
        assert_eq!(shown(&url), "https://host:81/a/b");
    }

    #[test]
    fn a_bad_certificate_is_final_and_a_cut_handshake_is_not() {
        let bad = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let failure = ConnectFailure::tls(io::Error::new(io::ErrorKind::InvalidData, bad));
        assert!(matches!(failure, ConnectFailure::Tls { transient: false, .. }));
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert!(matches!(ConnectFailure::tls(cut), ConnectFailure::Tls { transient: true, .. }));
        let reset = io::Error::from_raw_os_error(104);
        assert!(matches!(ConnectFailure::tls(reset), ConnectFailure::Tls { transient: true, .. }));
    }
}
