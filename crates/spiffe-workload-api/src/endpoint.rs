//! The address of a Workload API.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The address of a Workload API.
///
/// ```
/// use spiffe_workload_api::Endpoint;
///
/// let endpoint = Endpoint::parse("unix:///run/spire/sockets/agent.sock")?;
/// assert_eq!(endpoint.to_string(), "unix:///run/spire/sockets/agent.sock");
/// assert!(Endpoint::parse("tcp://localhost:8000").is_err(), "a name is not an address");
/// # Ok::<(), spiffe_workload_api::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP port on a literal address.
    Tcp(SocketAddr),
    /// A Unix socket at an absolute path.
    Unix(PathBuf),
}

impl Endpoint {
    /// The path of a Unix socket.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
