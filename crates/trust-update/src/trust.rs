use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use trust_root::{SigningConfig, TrustedRoot};

use crate::error::{Error, chain, reason, shown};
use crate::mirror::Mirror;
use crate::warning::Warning;

/// The result of an update: verified files and metadata.
#[derive(Debug)]
pub struct Trust {
    pub(crate) mirror: String,
    pub(crate) trusted_root: TrustedRoot,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) metadata: Vec<Metadata>,
    /// The directory of the cache; `None` for embedded files.
    pub(crate) directory: Option<PathBuf>,
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
    /// The files of the public-good instance that are part of this crate.
    pub fn embedded() -> Self {
        Self {
            mirror: Mirror::public_good().url().to_string(),
            trusted_root: TrustedRoot::public_good(),
            files: Vec::new(),
            metadata: Vec::new(),
            directory: None,
            refreshed: None,
            warnings: Vec::new(),
        }
    }

    /// The trusted root.
    pub fn trusted_root(&self) -> &TrustedRoot {
        &self.trusted_root
    }

    /// `trusted_root.json` as it was served; empty for embedded files.
    pub fn trusted_root_json(&self) -> &[u8] {
        self.file(TRUSTED_ROOT).unwrap_or_default()
    }

    /// The signing config, if the repository has one.
    ///
    /// # Errors
    /// The file is not a signing config that can be used here.
    pub fn signing_config(&self) -> Result<Option<SigningConfig>, Error> {
        if self.directory.is_none() {
            return Ok(Some(SigningConfig::public_good()));
        }
        self.config(SIGNING_CONFIG)
    }

    /// The signing config that leads to Rekor v2, if the repository has one.
    ///
    /// # Errors
    /// As [`Trust::signing_config`].
    pub fn signing_config_with_rekor_v2(&self) -> Result<Option<SigningConfig>, Error> {
        if self.directory.is_none() {
            return Ok(Some(public_good_with_rekor_v2()));
        }
        self.config(SIGNING_CONFIG_V2)
    }

    /// The URL of the mirror.
    pub fn mirror(&self) -> &str {
        &self.mirror
    }

    /// The metadata that was verified, from the root down; none for embedded files.
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

    /// What is cached, in the JSON of cosign's older versions, which scripts may read.
    pub fn status(&self) -> Value {
        let of_role = |it: &Metadata| {
            let status = json!({
                "version": it.version,
                "len": it.length,
                "expiration": shown(it.expires),
                "error": "",
            });
            (it.name.to_owned(), status)
        };
        json!({
            // A path that is not UTF-8 is no JSON text.
            "local": self.directory.as_deref().map(Path::to_string_lossy),
            "remote": self.mirror,
            "metadata": self.metadata.iter().map(of_role).collect::<Map<_, _>>(),
            "targets": self.targets().collect::<Vec<_>>(),
        })
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

/// The mirror, its root and the files, in one line.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mirror)?;
        if let Some(root) = self.metadata.first() {
            write!(f, ": root {}, valid until {}", root.version, shown(root.expires))?;
            write!(f, ", with {}", self.targets().collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// The embedded signing config of the public-good instance that leads to Rekor v2; the one that
/// leads to v1 is [`SigningConfig::public_good`].
#[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
fn public_good_with_rekor_v2() -> SigningConfig {
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
