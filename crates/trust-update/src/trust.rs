use std::time::SystemTime;

use trust_root::{SigningConfig, TrustedRoot};

use crate::error::{Error, chain, reason};
use crate::warning::Warning;

/// The result of an update: verified files and metadata.
#[derive(Debug)]
pub struct Trust {
    pub(crate) mirror: String,
    pub(crate) trusted_root: TrustedRoot,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) metadata: Vec<Metadata>,
    pub(crate) refreshed: Option<SystemTime>,
    pub(crate) warnings: Vec<Warning>,
}

/// One role's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `root.json`, `timestamp.json`, `snapshot.json` or `targets.json`.
    pub name: &'static str,
    /// Its version.
    pub version: u64,
    /// Its size in bytes, where the cache has it.
    pub length: usize,
    /// When it expires.
    pub expires: SystemTime,
}

impl Trust {
    /// The trusted root.
    pub fn trusted_root(&self) -> &TrustedRoot {
        &self.trusted_root
    }

    /// `trusted_root.json` as it was served.
    pub fn trusted_root_json(&self) -> &[u8] {
        self.file(TRUSTED_ROOT).unwrap_or_default()
    }

    /// The signing config, if the repository has one.
    ///
    /// # Errors
    /// The file is not a signing config that can be used here.
    pub fn signing_config(&self) -> Result<Option<SigningConfig>, Error> {
        self.config(SIGNING_CONFIG)
    }

    /// The signing config that leads to Rekor v2, if the repository has one.
    ///
    /// # Errors
    /// As [`Trust::signing_config`].
    pub fn signing_config_with_rekor_v2(&self) -> Result<Option<SigningConfig>, Error> {
        self.config(SIGNING_CONFIG_V2)
    }

    /// The metadata that was verified, from the root down.
    pub fn metadata(&self) -> &[Metadata] {
        &self.metadata
    }

    /// The names of the targets that were fetched.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// When the last successful refresh was, as far as is known.
    pub fn refreshed(&self) -> Option<SystemTime> {
        self.refreshed
    }

    /// Problems to report although the result can be used.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn config(&self, name: &str) -> Result<Option<SigningConfig>, Error> {
        let parsed = self.file(name).map(SigningConfig::from_json).transpose();
        parsed.map_err(|error| Error::Untrusted {
            mirror: self.mirror.clone(),
            source: reason(&format!("{name}: {}", chain(&error))),
        })
    }

    fn file(&self, wanted: &str) -> Option<&[u8]> {
        let (_, bytes) = self.files.iter().find(|(name, _)| *name == wanted)?;
        Some(bytes)
    }
}

/// The embedded signing config of the public-good instance that leads to Rekor v2; the one that
/// leads to v1 is [`SigningConfig::public_good`].
#[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
pub fn public_good_with_rekor_v2() -> SigningConfig {
    let json = include_bytes!("../data/signing_config_rekor_v2.v0.2.json");
    SigningConfig::from_json(json).expect("the embedded signing config is valid")
}

pub(crate) const TRUSTED_ROOT: &str = "trusted_root.json";
pub(crate) const SIGNING_CONFIG: &str = "signing_config.v0.2.json";
pub(crate) const SIGNING_CONFIG_V2: &str = "signing_config_rekor_v2.v0.2.json";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_embedded_signing_config_leads_to_rekor_v2() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let rekor = public_good_with_rekor_v2().rekor(now).unwrap();
        assert_eq!(rekor[0].major_api_version, 2);
    }
}
