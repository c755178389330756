//! Where the signature of a file goes.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use signer::{Error as SigningError, Services, Signed};

use crate::earlier::{EarlierParts, check_earlier};
use crate::file::argument::FileArgument;

/// Where the signature of a file goes: a bundle, or what cosign wrote before there were bundles.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outputs {
    /// The bundle.
    pub bundle: Option<FileArgument>,
    /// In place of the bundle, the JSON that cosign wrote before.
    pub earlier: bool,
    /// The signature alone, in base64.
    pub signature: Option<PathBuf>,
    /// The certificate alone, or the key of one's own: base64 of its PEM, as cosign writes it.
    pub certificate: Option<PathBuf>,
    /// The timestamp alone, in the JSON that cosign writes.
    pub timestamp: Option<PathBuf>,
}

impl From<FileArgument> for Outputs {
    fn from(bundle: FileArgument) -> Self {
        Self { bundle: Some(bundle), ..Self::default() }
    }
}

impl Outputs {
    /// The files that are written, and what each is.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, FileArgument)> {
        let bundle = self.bundle.iter().map(|file| ("--bundle", file.clone()));
        let parts = [
            ("--output-signature", &self.signature),
            ("--output-certificate", &self.certificate),
            ("--rfc3161-timestamp", &self.timestamp),
        ];
        let parts = parts.into_iter().filter_map(|(flag, path)| Some((flag, path.clone()?)));
        bundle.chain(parts.map(|(flag, path)| (flag, FileArgument::File(path))))
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<FileArgument> {
        self.files().next().map(|(_, file)| file)
    }

    /// Refuses services whose signatures could not be written so, before anything is signed.
    ///
    /// # Errors
    /// [`SigningError::Unverifiable`]: a Rekor v2 log is configured. The earlier format cannot hold its
    /// entries, and a verifier of a detached signature cannot look them up. Or a timestamp file is
    /// asked for, and no timestamp authority is configured.
    pub fn check(&self, services: &Services) -> Result<(), SigningError> {
        if self.timestamp.is_some() && services.timestamp_authorities.is_empty() {
            return Err(no_timestamp());
        }
        let is_bundle = self.bundle.is_some() || self.files().next().is_none();
        match is_bundle && !self.earlier {
            true => Ok(()),
            false => check_earlier(services),
        }
    }

    /// The text of the bundle.
    pub(crate) fn bundle_text(&self, signed: &Signed) -> Result<String, SigningError> {
        match self.earlier {
            true => EarlierParts::of(signed).map(|parts| parts.blob_bundle()),
            false => Ok(signed.bundle.to_json()),
        }
    }

    /// What goes to the other files.
    pub(crate) fn parts(&self, signed: &Signed) -> Result<Vec<(&Path, String)>, SigningError> {
        let mut parts = Vec::new();
        if let Some(path) = &self.signature {
            parts.push((path.as_path(), STANDARD.encode(signed.bundle.signature())));
        }
        if let Some(path) = &self.certificate {
            let certificate = verify::certificate(&signed.bundle).map(|leaf| leaf.to_pem());
            let pem = certificate.unwrap_or_else(|| signed.key.to_pem());
            parts.push((path, STANDARD.encode(pem)));
        }
        if let Some(path) = &self.timestamp {
            let stamp = signed.bundle.timestamps().first().ok_or_else(no_timestamp)?;
            let json = json!({ "SignedRFC3161Timestamp": STANDARD.encode(stamp) });
            parts.push((path, json.to_string()));
        }
        Ok(parts)
    }
}

fn no_timestamp() -> SigningError {
    let reason = "a timestamp file is asked for, and no timestamp authority is configured";
    SigningError::Unverifiable { reason: reason.to_owned() }
}
