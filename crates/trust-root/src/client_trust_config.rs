//! The file that holds a trusted root and a signing config.

use bundle::proto_json::{Message, without_bom};
use serde_json::json;

use crate::document::{SIZE_CAP, in_document, quote};
use crate::error::Error;
use crate::root::TrustedRoot;
use crate::signing_config::SigningConfig;

/// A trusted root and a signing config in one file.
#[derive(Clone, Debug)]
pub struct ClientTrustConfig {
    /// Which authorities and logs to trust.
    pub trusted_root: TrustedRoot,
    /// Which services to sign with.
    pub signing_config: SigningConfig,
}

impl ClientTrustConfig {
    /// Reads a client trust config of at most 16 MiB, with or without a byte order mark.
    ///
    /// # Errors
    ///
    /// When it is not a client trust config, or one of its two parts cannot be read.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let what = "client trust config";
        let mut message =
            Message::parse(without_bom(bytes), SIZE_CAP).map_err(in_document(what))?;
        let media_type = message.string("mediaType").map_err(in_document(what))?;
        if media_type.as_deref() != Some(CLIENT_MEDIA_TYPE) {
            return Err(Error::MediaType {
                what,
                expected: CLIENT_MEDIA_TYPE,
                found: media_type.map_or_else(|| "none".to_owned(), |found| quote(&found)),
            });
        }
        let mut part = |name| {
            message
                .message(name)
                .map_err(in_document(what))?
                .ok_or_else(|| Error::entry(name, "missing"))
        };
        Ok(Self {
            trusted_root: TrustedRoot::read(part("trustedRoot")?)?,
            signing_config: SigningConfig::read(part("signingConfig")?)?,
        })
    }

    /// The document.
    pub fn to_json(&self) -> String {
        json!({
            "mediaType": CLIENT_MEDIA_TYPE,
            "trustedRoot": self.trusted_root.to_value(),
            "signingConfig": self.signing_config.to_value(),
        })
        .to_string()
    }
}

const CLIENT_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";
