use bundle::proto_json::Message;
use keys::{KEY_DETAILS, KeyAlgorithm, PublicKey, Scheme};
use serde_json::{Value, json};
use tlog::NoteKey;
use url::Url;

use crate::document::{base64, hex, in_document, quote};
use crate::error::Error;
use crate::window::Window;

/// A trusted log: of signatures (Rekor) or of certificates (CT).
#[derive(Clone, Debug)]
pub struct Log {
    base_url: String,
    log_id: Vec<u8>,
    key: PublicKey,
    scheme: Scheme,
    valid_for: Window,
    operator: Option<String>,
}

/// Which of the two kinds a list holds: they make their ids in different ways.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Kind {
    Certificates,
    Signatures,
}

impl Log {
    /// A Rekor log at `base_url`, whose host name is its name in checkpoints.
    ///
    /// # Errors
    ///
    /// When the URL has no host name to make a note key of.
    pub fn rekor(base_url: &str, key: PublicKey, valid_for: Window) -> Result<Self, Error> {
        let name = host_name(base_url).ok_or_else(|| {
            Error::entry("baseUrl", format!("no host name in {}", quote(base_url)))
        })?;
        let log_id = NoteKey::new(name, key.clone())
            .map_err(|error| Error::entry("baseUrl", error.to_string()))?
            .full_id()
            .to_vec();
        let scheme = key.default_scheme();
        Ok(Self { base_url: base_url.to_owned(), log_id, key, scheme, valid_for, operator: None })
    }

    /// A certificate transparency log at `base_url`.
    pub fn certificates(base_url: &str, key: PublicKey, valid_for: Window) -> Self {
        let (log_id, scheme) = (key.id().to_vec(), key.default_scheme());
        Self { base_url: base_url.to_owned(), log_id, key, scheme, valid_for, operator: None }
    }

    /// Where it is. For Rekor v2 the host name in it is the log's name.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Its id, recomputed from the key.
    pub fn log_id(&self) -> &[u8] {
        &self.log_id
    }

    /// The key it signs with.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// When its key is valid.
    pub fn valid_for(&self) -> Window {
        self.valid_for
    }

    /// Its operator, where the document names one.
    pub fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// The host name of its URL, without a port: the origin of a Rekor v2 log's checkpoints.
    pub fn host_name(&self) -> Option<String> {
        host_name(&self.base_url)
    }

    /// Reads one log. `None` for a key of an algorithm that is known and not supported: nothing that
    /// log signed can be verified.
    pub(crate) fn read(mut message: Message<'_>, kind: Kind) -> Result<Option<Self>, Error> {
        let path = message.path().to_owned();
        let wrong = in_document(WHAT);
        let base_url = message.string("baseUrl").map_err(&wrong)?.unwrap_or_default();
        let hash = message.enumeration("hashAlgorithm", HASH_ALGORITHMS).map_err(&wrong)?;
        if hash != Some("SHA2_256") {
            return Err(Error::entry(
                format!("{path}.hashAlgorithm"),
                format!("expected SHA2_256, found {}", hash.unwrap_or("none")),
            ));
        }
        let operator = message.string("operator").map_err(&wrong)?.filter(|o| !o.is_empty());
        let log_id = match message.message("logId").map_err(&wrong)? {
            Some(mut id) => id.bytes("keyId").map_err(&wrong)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut key = message
            .message("publicKey")
            .map_err(&wrong)?
            .ok_or_else(|| Error::entry(format!("{path}.publicKey"), "missing"))?;
        let valid_for = Window::read(&mut key, WHAT)?;
        let Some((key, scheme)) = read_key(key)? else { return Ok(None) };
        let log = Self { base_url, log_id, key, scheme, valid_for, operator };
        log.check_id(kind, &path)?;
        Ok(Some(log))
    }

    /// The id in the document must follow from the key: a free choice would allow to put one log's
    /// key in place of another's.
    fn check_id(&self, kind: Kind, path: &str) -> Result<(), Error> {
        let plain = self.key.id().to_vec();
        let note = match (kind, self.key.algorithm(), self.host_name()) {
            (Kind::Signatures, KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa { .. }, Some(name)) => {
                NoteKey::new(name, self.key.clone()).ok().map(|key| key.full_id().to_vec())
            }
            _ => None,
        };
        if self.log_id == plain || note.as_ref() == Some(&self.log_id) {
            return Ok(());
        }
        let found = if self.log_id.is_empty() { "none".to_owned() } else { hex(&self.log_id) };
        Err(Error::entry(
            format!("{path}.logId.keyId"),
            format!("expected {}, the key's, found {found}", hex(&note.unwrap_or(plain))),
        ))
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut json = json!({
            "baseUrl": self.base_url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": base64(self.key.spki()),
                "keyDetails": self.scheme.key_details(),
                "validFor": self.valid_for.to_json(),
            },
            "logId": { "keyId": base64(&self.log_id) },
        });
        if let (Some(operator), Some(fields)) = (&self.operator, json.as_object_mut()) {
            fields.insert("operator".into(), operator.as_str().into());
        }
        json
    }
}

fn read_key(mut message: Message<'_>) -> Result<Option<(PublicKey, Scheme)>, Error> {
    let path = message.path().to_owned();
    let wrong = in_document(WHAT);
    let details_path = message.path_of("keyDetails");
    let details = message
        .enumeration("keyDetails", KEY_DETAILS)
        .map_err(&wrong)?
        .ok_or_else(|| Error::entry(&details_path, "missing"))?;
    let raw = message.bytes("rawBytes").map_err(&wrong)?.unwrap_or_default();
    let pkcs1 = details.starts_with("PKCS1_");
    let old_rsa = matches!(details, "PKCS1_RSA_PKCS1V5" | "PKIX_RSA_PKCS1V5");
    let old_pss = matches!(details, "PKCS1_RSA_PSS" | "PKIX_RSA_PSS");
    let scheme = Scheme::from_key_details(details);
    if scheme.is_none() && !old_rsa && !old_pss {
        return Ok(None);
    }
    let key = if pkcs1 { PublicKey::from_pkcs1(&raw) } else { PublicKey::from_spki(&raw) }
        .map_err(|source| Error::Key { path, source })?;
    let scheme = match (scheme, key.algorithm()) {
        (Some(scheme), algorithm) if scheme.key_algorithm() == algorithm => scheme,
        (None, KeyAlgorithm::Rsa { bits }) if old_rsa => Scheme::RsaPkcs1Sha256 { bits },
        (None, KeyAlgorithm::Rsa { bits }) => Scheme::RsaPssSha256 { bits },
        (_, algorithm) => {
            return Err(Error::entry(
                details_path,
                format!("says {details}, the key is {algorithm}"),
            ));
        }
    };
    Ok(Some((key, scheme)))
}

fn host_name(base_url: &str) -> Option<String> {
    let url = Url::parse(base_url).ok()?;
    let host = url.host_str()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

const WHAT: &str = "trusted root";
const HASH_ALGORITHMS: &[(i64, &str)] =
    &[(1, "SHA2_256"), (2, "SHA2_384"), (3, "SHA2_512"), (4, "SHA3_256"), (5, "SHA3_384")];
