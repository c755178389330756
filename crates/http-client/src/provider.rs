//! The cryptography of TLS.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Named here and nowhere installed, so that another user of rustls in the process is not disturbed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
