//! The key of a certificate-transparency log, and the timestamps it signs.
//!
//! There is no log behind it: clients verify the signature and never ask the log. Like the logs
//! that Sigstore runs, it puts the entry's index into the extensions of each SCT (static-ct-api).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use keys::PublicKey;

use crate::Error;
use crate::key::{KeyKind, ServiceKey};

/// A CT log that promises everything and keeps nothing.
#[derive(Debug)]
pub struct CtLog {
    key: ServiceKey,
    next_index: AtomicU64,
}

impl CtLog {
    /// A log with a new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self::with_key(ServiceKey::generate(KeyKind::EcdsaP256)?))
    }

    /// The log whose key [`to_pem`](Self::to_pem) wrote.
    ///
    /// # Errors
    /// The text holds no usable key.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        ServiceKey::from_pem(text).map(Self::with_key)
    }

    /// Its private key.
    pub fn to_pem(&self) -> String {
        self.key.to_pem()
    }

    /// The key that its timestamps verify with. Its SHA-256 is the log's id.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// The TLS-encoded list (RFC 6962 3.3) of one SCT over a precertificate: `tbs` is the
    /// to-be-signed part without SCT list and poison, `issuer_spki` the issuing CA's key.
    pub(crate) fn sct_list(
        &self,
        tbs: &[u8],
        issuer_spki: &[u8],
        now: SystemTime,
    ) -> Result<Vec<u8>, Error> {
        let index = self.next_index.fetch_add(1, Ordering::Relaxed);
        let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let timestamp = u64::try_from(millis).unwrap_or(u64::MAX).to_be_bytes();

        let mut extensions = vec![LEAF_INDEX];
        extensions.extend(vector::<2>(&index.to_be_bytes()[3..])?);
        let extensions = vector::<2>(&extensions)?;

        // The digitally-signed struct of RFC 6962 3.2 for a precertificate.
        let mut signed = vec![VERSION_1, CERTIFICATE_TIMESTAMP];
        signed.extend(timestamp);
        signed.extend(PRECERT_ENTRY);
        signed.extend(keys::sha256(issuer_spki));
        signed.extend(vector::<3>(tbs)?);
        signed.extend(&extensions);

        let mut sct = vec![VERSION_1];
        sct.extend(self.public_key().id());
        sct.extend(timestamp);
        sct.extend(extensions);
        sct.extend(SHA256_ECDSA);
        sct.extend(vector::<2>(&self.key.sign_message(&signed)?)?);
        vector::<2>(&vector::<2>(&sct)?)
    }

    fn with_key(key: ServiceKey) -> Self {
        Self { key, next_index: AtomicU64::new(0) }
    }
}

const VERSION_1: u8 = 0;
const CERTIFICATE_TIMESTAMP: u8 = 0;
const PRECERT_ENTRY: [u8; 2] = [0, 1];
const SHA256_ECDSA: [u8; 2] = [4, 3];
/// The extension type of a leaf index of 40 bits.
const LEAF_INDEX: u8 = 0;

/// A TLS vector: `content` behind its length in `N` bytes.
fn vector<const N: usize>(content: &[u8]) -> Result<Vec<u8>, Error> {
    let length = content.len().to_be_bytes();
    let (high, low) = length.split_at(length.len() - N);
    if high.iter().any(|byte| *byte != 0) {
        return Err(Error::make("a signed certificate timestamp")("a field is too long"));
    }
    Ok([low, content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_that_does_not_fit_its_length_is_refused() {
        assert_eq!(vector::<2>(b"abc").unwrap(), b"\0\x03abc");
        assert!(vector::<2>(&vec![0; 1 << 16]).is_err());
        assert!(vector::<3>(&vec![0; 1 << 16]).is_ok());
    }

    #[test]
    fn the_key_survives_its_pem() {
        let log = CtLog::generate().unwrap();
        assert_eq!(CtLog::from_pem(&log.to_pem()).unwrap().public_key(), log.public_key());
    }
}
