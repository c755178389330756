//! A log's promise about a certificate that was found valid.

use std::time::SystemTime;

/// What was found valid. The rest of the message is the certificate's own, and the log's key is the
/// one with this SHA-256.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) log_id: [u8; 32],
    pub(crate) timestamp: SystemTime,
    pub(crate) extensions: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// The SHA-256 of the issuer's key.
    pub(crate) issuer: [u8; 32],
}
