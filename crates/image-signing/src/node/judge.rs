//! Whether a node admits an image.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Clock, Env, Host};
use serde_json::json;
use trust_root::TrustedRoot;
use verify::{NodePolicy, PolicyFile};

use crate::accepted::VerifiedImage;
use crate::error::Error;
use crate::image::Image;
use crate::node::admissions::{Admissions, Admitted};
use crate::node::error::NodeError;
use crate::verify_image::AcceptedSigners;

/// A node with its policy and with what it remembers of images that were verified.
///
/// Only admissions are remembered: a refusal is looked at again every time, so that a signature
/// counts as soon as it exists.
pub struct Node {
    policy: PolicyFile,
    /// SHA-256 of the policy file, in hex.
    policy_digest: String,
    admissions: Admissions,
    clock: Arc<dyn Clock>,
}

/// An image may be used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Admission {
    /// Why, in one line.
    pub reason: String,
    /// Why the verdict could not be remembered or looked up, if so. It holds nevertheless.
    pub warnings: Vec<String>,
}

impl Node {
    /// Reads the policy at `policy`. Verdicts are remembered in the directory `cache`, which is made
    /// if it is missing.
    ///
    /// # Errors
    /// [`NodeError::Unreadable`] and [`NodeError::Policy`].
    pub async fn load(policy: &Path, cache: &Path, host: &Host) -> Result<Self, NodeError> {
        let bytes = read(policy, &*host.env).await?;
        let wrong = |source| NodeError::Policy { path: policy.to_owned(), source };
        Ok(Self {
            policy: PolicyFile::parse(&bytes).map_err(wrong)?,
            policy_digest: keys::Digest::sha256(&bytes).to_hex(),
            admissions: Admissions::new(PathBuf::from(cache)),
            clock: Arc::clone(&host.clock),
        })
    }

    /// What the policy says of this node.
    pub fn policy(&self) -> &NodePolicy {
        self.policy.node()
    }

    /// The acceptable signers, for an [`ImageVerifier`](crate::ImageVerifier).
    pub fn signers(&self) -> AcceptedSigners {
        AcceptedSigners::file(self.policy.clone())
    }

    /// Decides about `image`, which must be named by its digest. `verify` asks the registry; it is
    /// polled only where the policy does not decide alone and the same image was not admitted before
    /// under this policy and this trusted root. When another process is asking about the same image,
    /// its verdict is waited for, at most for half of [`NodePolicy::timeout`].
    ///
    /// # Errors
    /// Those of `verify`. What cannot be remembered is a warning.
    pub async fn admit(
        &self,
        image: &Image,
        root: &TrustedRoot,
        verify: impl Future<Output = Result<VerifiedImage, Error>>,
    ) -> Result<Admission, Error> {
        let repository = image.reference().repository().to_string();
        let node = self.policy.node();
        if let Some(pattern) = node.exempts(&repository) {
            let reason = format!("admitted {image} without a check: the policy exempts {pattern}");
            return Ok(Admission { reason, warnings: Vec::new() });
        }
        if node.admits_unmatched() && self.policy.rule(&repository).is_none() {
            let reason =
                format!("admitted {image} without a check: no rule of the policy matches it");
            return Ok(Admission { reason, warnings: Vec::new() });
        }
        let key = self.key(image, root);
        if let Some(admission) = self.remembered(&key, image).await {
            return Ok(admission);
        }
        let patience = node.timeout() / 2;
        let (locked, mut warnings) = match self.admissions.lock(&key, patience).await {
            Ok(lock) => (lock, Vec::new()),
            Err(error) => (None, vec![self.unusable(&error)]),
        };
        // Another process may have been told meanwhile.
        if locked.is_some()
            && let Some(admission) = self.remembered(&key, image).await
        {
            return Ok(admission);
        }
        let verified = verify.await?;
        let signers = verified.signatures.iter().map(|it| it.signer().to_string()).collect();
        let admitted = Admitted::new(image, signers, self.clock.now());
        if warnings.is_empty()
            && let Err(error) = self.admissions.remember(&key, &admitted).await
        {
            warnings.push(self.unusable(&error));
        }
        Ok(Admission { reason: admitted.reason(None), warnings })
    }

    async fn remembered(&self, key: &str, image: &Image) -> Option<Admission> {
        let admitted = self.admissions.find(key).await?;
        let age = admitted.age(image, self.clock.now(), self.policy.node().lifetime())?;
        Some(Admission { reason: admitted.reason(Some(age)), warnings: Vec::new() })
    }

    fn unusable(&self, error: &std::io::Error) -> String {
        format!("the verdict is not remembered: {}: {error}", self.admissions.directory().display())
    }

    /// Everything that a verdict depends on. Another version of this crate may judge otherwise.
    fn key(&self, image: &Image, root: &TrustedRoot) -> String {
        let root = keys::Digest::sha256(root.to_json().as_bytes()).to_hex();
        let version = env!("CARGO_PKG_VERSION");
        let parts = json!([version, image.reference().to_string(), self.policy_digest, root]);
        keys::Digest::sha256(parts.to_string().as_bytes()).to_hex()
    }
}

async fn read(policy: &Path, env: &dyn Env) -> Result<Vec<u8>, NodeError> {
    env.read(policy, POLICY_CAP).await.map_err(|source| NodeError::Unreadable { source })
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("policy", &self.policy)
            .field("admissions", &self.admissions)
            .finish_non_exhaustive()
    }
}

/// In bytes.
const POLICY_CAP: usize = 4 << 20;
