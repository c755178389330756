use crate::entry::LogEntry;
use crate::envelope::Envelope;
use crate::error::{Error, quote};
use crate::proto_json::Message;
use crate::rules;

/// A Sigstore bundle: what was signed with what, and everything needed to check it offline.
///
/// Valid by construction: every one obeys the structural rules of its version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    pub(crate) version: Version,
    pub(crate) material: VerificationMaterial,
    pub(crate) content: Content,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) timestamps: Vec<Vec<u8>>,
}

/// The version of the bundle format a bundle was read as.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// v0.1: every log entry has a promise.
    V0_1,
    /// v0.2: every log entry has a proof.
    V0_2,
    /// v0.3: as v0.2, and the leaf certificate stands alone.
    V0_3,
}

/// Who signed, unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VerificationMaterial {
    /// The leaf certificate, DER.
    Certificate(Vec<u8>),
    /// A chain, DER, leaf first (v0.1 and v0.2). Never empty.
    Chain(Vec<Vec<u8>>),
    /// A key the verifier has already.
    PublicKey {
        /// Which one: by convention base64 of the SHA-256 of its SPKI. Signed by nobody.
        hint: Option<String>,
    },
}

/// What was signed, with the signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// A DSSE envelope, with its payload inside.
    Envelope(Envelope),
    /// A signature over an artifact that is elsewhere.
    Message {
        /// The artifact's digest: a hint, never a substitute for hashing the artifact. A bundle has
        /// one; formats from before there were bundles have none.
        digest: Option<MessageDigest>,
        /// The raw signature.
        signature: Vec<u8>,
    },
}

/// A digest as the bundle spells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageDigest {
    /// The algorithm by its Sigstore name, as `SHA2_256`.
    pub algorithm: String,
    /// The digest, of the algorithm's length.
    pub digest: Vec<u8>,
}

impl Bundle {
    /// Reads a bundle of v0.1, v0.2 or v0.3, of at most [`SIZE_CAP`] bytes.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, no bundle, or breaks a rule of its version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let mut message = Message::parse(bytes, SIZE_CAP)?;
        let version = Version::from_media_type(message.string("mediaType")?.as_deref())?;
        let mut material = message
            .message("verificationMaterial")?
            .ok_or_else(|| Error::field("verificationMaterial", "missing"))?;
        let entries = entries(&mut material)?;
        let timestamps = timestamps(&mut material)?;
        let material = VerificationMaterial::read(material)?;
        let content = Content::read(&mut message)?;
        message.finish()?;
        let bundle = Self { version, material, content, entries, timestamps };
        rules::check(&bundle)?;
        Ok(bundle)
    }

    /// Builds a v0.3 bundle. A chain is cut to its leaf, as that version wants it.
    ///
    /// # Errors
    ///
    /// When the parts break a rule of v0.3, the same as in [`Bundle::from_json`].
    pub fn new(
        material: VerificationMaterial,
        content: Content,
        entries: Vec<LogEntry>,
        timestamps: Vec<Vec<u8>>,
    ) -> Result<Self, Error> {
        let material = match material {
            VerificationMaterial::Chain(chain) => {
                VerificationMaterial::Certificate(chain.into_iter().next().unwrap_or_default())
            }
            other => other,
        };
        let bundle = Self { version: Version::V0_3, material, content, entries, timestamps };
        rules::check(&bundle)?;
        Ok(bundle)
    }

    /// Writes the bundle as compact JSON, always v0.3, with keys in a fixed order.
    ///
    /// There is one exception: a v0.1 bundle with an entry that has no inclusion proof cannot be
    /// said in v0.3 and stays v0.1.
    pub fn to_json(&self) -> String {
        crate::write::bundle(self)
    }

    /// The version it was read as; built ones are v0.3.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Who signed, unverified.
    pub fn material(&self) -> &VerificationMaterial {
        &self.material
    }

    /// What was signed.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The log entries, at most [`MAX_LOG_ENTRIES`](crate::MAX_LOG_ENTRIES), no two alike.
    pub fn log_entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// The RFC 3161 responses (DER, `TimeStampResp`), at most
    /// [`MAX_TIMESTAMPS`](crate::MAX_TIMESTAMPS), no two alike.
    pub fn timestamps(&self) -> &[Vec<u8>] {
        &self.timestamps
    }

    /// The raw signature: what a timestamp is over.
    pub fn signature(&self) -> &[u8] {
        match &self.content {
            Content::Message { signature, .. } => signature,
            // The rules guarantee exactly one.
            Content::Envelope(envelope) => envelope.signatures.first().map_or(&[], |s| &s.sig),
        }
    }
}

impl Version {
    /// The media type of this version.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::V0_1 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V0_2 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V0_3 => MEDIA_TYPE_V0_3,
        }
    }

    fn from_media_type(media_type: Option<&str>) -> Result<Self, Error> {
        let all = [Self::V0_1, Self::V0_2, Self::V0_3];
        match media_type {
            Some(EARLY_MEDIA_TYPE_V0_3) => Ok(Self::V0_3),
            Some(found) => all
                .into_iter()
                .find(|version| version.media_type() == found)
                .ok_or_else(|| Error::MediaType { found: quote(found) }),
            None => Err(Error::MediaType { found: "(none)".into() }),
        }
    }
}

impl VerificationMaterial {
    fn read(mut message: Message) -> Result<Self, Error> {
        let certificate = message.message("certificate")?;
        let chain = message.message("x509CertificateChain")?;
        let key = message.message("publicKey")?;
        let path = message.path().to_owned();
        message.finish()?;
        match (certificate, chain, key) {
            (Some(certificate), None, None) => Ok(Self::Certificate(raw_bytes(certificate)?)),
            (None, Some(mut chain), None) => {
                let certificates = chain.messages("certificates")?;
                chain.finish()?;
                Ok(Self::Chain(certificates.into_iter().map(raw_bytes).collect::<Result<_, _>>()?))
            }
            (None, None, Some(mut key)) => {
                let hint = key.string("hint")?.filter(|hint| !hint.is_empty());
                key.finish()?;
                Ok(Self::PublicKey { hint })
            }
            (None, None, None) => {
                Err(Error::rule(&path, "none of certificate, x509CertificateChain and publicKey"))
            }
            _ => Err(Error::rule(
                &path,
                "more than one of certificate, x509CertificateChain and publicKey",
            )),
        }
    }
}

impl Content {
    fn read(message: &mut Message) -> Result<Self, Error> {
        let signature = message.message("messageSignature")?;
        let envelope = message.message("dsseEnvelope")?;
        match (signature, envelope) {
            (Some(mut signature), None) => {
                let digest =
                    signature.message("messageDigest")?.map(MessageDigest::read).transpose()?;
                let bytes = signature.bytes("signature")?.unwrap_or_default();
                signature.finish()?;
                Ok(Self::Message { digest, signature: bytes })
            }
            (None, Some(envelope)) => Ok(Self::Envelope(Envelope::read(envelope, true)?)),
            (None, None) => {
                Err(Error::rule("document", "neither messageSignature nor dsseEnvelope"))
            }
            (Some(_), Some(_)) => {
                Err(Error::rule("document", "both messageSignature and dsseEnvelope"))
            }
        }
    }
}

impl MessageDigest {
    fn read(mut message: Message) -> Result<Self, Error> {
        let algorithm = message.enumeration("algorithm", HASH_ALGORITHMS)?;
        let digest = message.bytes("digest")?.unwrap_or_default();
        let path = message.path().to_owned();
        message.finish()?;
        let Some(algorithm) = algorithm else {
            return Err(Error::field(&format!("{path}.algorithm"), "missing"));
        };
        Ok(Self { algorithm: algorithm.to_owned(), digest })
    }
}

fn raw_bytes(mut message: Message) -> Result<Vec<u8>, Error> {
    let bytes = message.bytes("rawBytes")?.unwrap_or_default();
    message.finish()?;
    Ok(bytes)
}

fn entries(material: &mut Message) -> Result<Vec<LogEntry>, Error> {
    let messages = material.messages("tlogEntries")?;
    rules::check_count("log entries", messages.len(), rules::MAX_LOG_ENTRIES)?;
    messages.into_iter().map(|message| LogEntry::read(message, true)).collect()
}

fn timestamps(material: &mut Message) -> Result<Vec<Vec<u8>>, Error> {
    let Some(mut data) = material.message("timestampVerificationData")? else {
        return Ok(Vec::new());
    };
    let messages = data.messages("rfc3161Timestamps")?;
    data.finish()?;
    rules::check_count("timestamps", messages.len(), rules::MAX_TIMESTAMPS)?;
    messages
        .into_iter()
        .map(|mut message| {
            let bytes = message.bytes("signedTimestamp")?.unwrap_or_default();
            message.finish()?;
            Ok(bytes)
        })
        .collect()
}

/// The media type of the version that is written.
pub const MEDIA_TYPE_V0_3: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The largest bundle read, in bytes.
pub const SIZE_CAP: usize = 32 << 20;
const EARLY_MEDIA_TYPE_V0_3: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
const HASH_ALGORITHMS: &[(i64, &str)] =
    &[(1, "SHA2_256"), (2, "SHA2_384"), (3, "SHA2_512"), (4, "SHA3_256"), (5, "SHA3_384")];
