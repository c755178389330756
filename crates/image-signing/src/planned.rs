//! A session that has not begun.

use std::fmt;
use std::sync::Arc;

use keys::{KeyAlgorithm, KeyPair, Sign as _};
use signer::{Services, Session, Signer};

use crate::identity::IdentitySearch;
use crate::identity_error::IdentityError;
use crate::private_key::PrivateKeyError;

/// A signer, and the identity or key that it will use. Nothing is asked of anyone before it
/// [begins](Self::begin), so that everything else can be checked first.
pub struct PlannedSession {
    signer: Signer,
    by: By,
    algorithm: KeyAlgorithm,
}

enum By {
    Identity(Box<IdentitySearch>),
    Key(Arc<KeyPair>),
}

impl PlannedSession {
    /// Signs with the identity that `search` finds, and with a new ECDSA key on P-256.
    pub fn with_identity(signer: Signer, search: IdentitySearch) -> Self {
        let by = By::Identity(Box::new(search));
        Self { signer, by, algorithm: KeyAlgorithm::EcdsaP256 }
    }

    /// Signs with `key`.
    pub fn with_key(signer: Signer, key: KeyPair) -> Self {
        let algorithm = key.public_key().algorithm();
        Self { signer, by: By::Key(Arc::new(key)), algorithm }
    }

    /// Uses a key for `algorithm`.
    ///
    /// # Errors
    /// [`PrivateKeyError::Algorithm`]: the key is for another algorithm, or no new key is made for this
    /// one.
    pub fn with_algorithm(self, algorithm: KeyAlgorithm) -> Result<Self, PrivateKeyError> {
        let is_made = matches!(self.by, By::Identity(_)) && !algorithm.needs_message();
        match is_made || algorithm == self.algorithm {
            true => Ok(Self { algorithm, ..self }),
            false => Err(PrivateKeyError::Algorithm { asked: algorithm, found: self.algorithm }),
        }
    }

    /// Logs the digests of attestations only: see [`Signer::log_digest_only`].
    #[must_use]
    pub fn log_digest_only(self, digest_only: bool) -> Self {
        Self { signer: self.signer.log_digest_only(digest_only), ..self }
    }

    /// The kind of key that signs.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The services that take part.
    pub fn services(&self) -> &Services {
        self.signer.services()
    }

    /// Whether a person may be asked to log in.
    pub fn may_log_in(&self) -> bool {
        matches!(&self.by, By::Identity(search) if search.may_log_in())
    }

    /// Begins: gets the identity token, if an identity signs. [`Session::prepare`] then gets the
    /// certificate.
    ///
    /// # Errors
    /// As [`IdentitySearch::session`].
    pub async fn begin(self) -> Result<Session, IdentityError> {
        let session = match self.by {
            By::Identity(search) => search.session(self.signer).await?,
            By::Key(key) => Session::with_key(self.signer, key),
        };
        Ok(session.with_algorithm(self.algorithm))
    }
}

impl fmt::Debug for PlannedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedSession").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
