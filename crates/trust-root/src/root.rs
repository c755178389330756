use bundle::Limits;
use bundle::proto_json::{Message, without_bom};
use serde_json::{Value, json};
use x509::Certificate;

use crate::document::{SIZE_CAP, base64, in_document, quote};
use crate::error::Error;
use crate::log::{Kind, Log};
use crate::window::Window;

/// The certificate authorities, logs and timestamp authorities that a verifier trusts, each for a
/// window of time.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    tlogs: Vec<Log>,
    certificate_authorities: Vec<CertificateAuthority>,
    ctlogs: Vec<Log>,
    timestamp_authorities: Vec<CertificateAuthority>,
}

/// An authority: Fulcio or a timestamp authority.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// Its URI, for display only.
    pub uri: String,
    /// Its certificates, never empty, the last of them the trust anchor. Of a timestamp authority
    /// the first is the one it signs with.
    pub chain: Vec<Certificate>,
    /// When it is trusted.
    pub valid_for: Window,
    /// Its operator, where the document names one.
    pub operator: Option<String>,
}

impl TrustedRoot {
    /// Reads a `trusted_root.json` of at most 16 MiB, with or without a byte order mark.
    ///
    /// Fields of later versions are ignored. A log whose key is of an algorithm that is not
    /// supported here is left out: what it signed cannot count.
    ///
    /// # Errors
    ///
    /// When it is not a trusted root, or an entry breaks a rule: its window has no start, its log id
    /// does not follow from its key, its chain is empty.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_json_within(bytes, &Limits::default().with_size(SIZE_CAP))
    }

    /// Reads it as [`Self::from_json`] does, within other limits.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_json_within(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let message = Message::parse_within(without_bom(bytes), limits);
        Self::read(message.map_err(in_document(WHAT))?)
    }

    /// The public-good instance's, as embedded; see `data/PROVENANCE.md` for its date.
    #[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
    pub fn public_good() -> Self {
        let json = include_bytes!("../data/trusted_root.json");
        Self::from_json(json).expect("the embedded trusted root is valid")
    }

    /// Puts a trusted root together.
    ///
    /// # Errors
    ///
    /// When an authority has no certificate.
    pub fn new(
        tlogs: Vec<Log>,
        certificate_authorities: Vec<CertificateAuthority>,
        ctlogs: Vec<Log>,
        timestamp_authorities: Vec<CertificateAuthority>,
    ) -> Result<Self, Error> {
        let mut all = certificate_authorities.iter().chain(&timestamp_authorities);
        if let Some(authority) = all.find(|authority| authority.chain.is_empty()) {
            return Err(Error::entry(authority.uri.as_str(), "no certificate"));
        }
        Ok(Self { tlogs, certificate_authorities, ctlogs, timestamp_authorities })
    }

    /// The document, with the media type that every client reads.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// The logs of signatures (Rekor).
    pub fn tlogs(&self) -> &[Log] {
        &self.tlogs
    }

    /// The authorities that certify identities (Fulcio).
    pub fn certificate_authorities(&self) -> &[CertificateAuthority] {
        &self.certificate_authorities
    }

    /// The logs of certificates.
    pub fn ctlogs(&self) -> &[Log] {
        &self.ctlogs
    }

    /// The timestamp authorities.
    pub fn timestamp_authorities(&self) -> &[CertificateAuthority] {
        &self.timestamp_authorities
    }

    pub(crate) fn read(mut message: Message<'_>) -> Result<Self, Error> {
        let wrong = in_document(WHAT);
        let media_type = message.string("mediaType").map_err(&wrong)?;
        if !media_type.as_deref().is_some_and(|found| MEDIA_TYPES.contains(&found)) {
            return Err(Error::MediaType {
                what: WHAT,
                expected: MEDIA_TYPE,
                found: media_type.map_or_else(|| "none".to_owned(), |found| quote(&found)),
            });
        }
        let mut logs = |name, kind| -> Result<Vec<Log>, Error> {
            let messages = message.messages(name).map_err(&wrong)?;
            messages.into_iter().filter_map(|m| Log::read(m, kind).transpose()).collect()
        };
        let tlogs = logs("tlogs", Kind::Signatures)?;
        let ctlogs = logs("ctlogs", Kind::Certificates)?;
        let mut authorities = |name| -> Result<Vec<CertificateAuthority>, Error> {
            let messages = message.messages(name).map_err(&wrong)?;
            messages.into_iter().map(CertificateAuthority::read).collect()
        };
        let certificate_authorities = authorities("certificateAuthorities")?;
        let timestamp_authorities = authorities("timestampAuthorities")?;
        Ok(Self { tlogs, certificate_authorities, ctlogs, timestamp_authorities })
    }

    pub(crate) fn to_value(&self) -> Value {
        let logs = |logs: &[Log]| logs.iter().map(Log::to_json).collect::<Vec<_>>();
        let authorities = |list: &[CertificateAuthority]| {
            list.iter().map(CertificateAuthority::to_json).collect::<Vec<_>>()
        };
        json!({
            "mediaType": MEDIA_TYPE,
            "tlogs": logs(&self.tlogs),
            "certificateAuthorities": authorities(&self.certificate_authorities),
            "ctlogs": logs(&self.ctlogs),
            "timestampAuthorities": authorities(&self.timestamp_authorities),
        })
    }
}

impl CertificateAuthority {
    fn read(mut message: Message<'_>) -> Result<Self, Error> {
        let wrong = in_document(WHAT);
        let uri = message.string("uri").map_err(&wrong)?.unwrap_or_default();
        let operator = message.string("operator").map_err(&wrong)?.filter(|o| !o.is_empty());
        let path = message.path_of("certChain.certificates");
        let certificates = match message.message("certChain").map_err(&wrong)? {
            Some(mut chain) => chain.messages("certificates").map_err(&wrong)?,
            None => Vec::new(),
        };
        if certificates.is_empty() {
            return Err(Error::entry(path, "empty"));
        }
        let mut chain = Vec::with_capacity(certificates.len());
        for mut certificate in certificates {
            let der = certificate.bytes("rawBytes").map_err(&wrong)?.unwrap_or_default();
            let path = certificate.path_of("rawBytes");
            chain.push(
                Certificate::from_der(&der)
                    .map_err(|source| Error::Certificate { path, source })?,
            );
        }
        let valid_for = Window::read(&mut message, WHAT)?;
        Ok(Self { uri, chain, valid_for, operator })
    }

    fn to_json(&self) -> Value {
        let certificates: Vec<Value> =
            self.chain.iter().map(|c| json!({ "rawBytes": base64(c.der()) })).collect();
        // Some readers require the name of the root certificate.
        let root = self.chain.last();
        let organization = root.and_then(Certificate::organization).unwrap_or_default();
        let common_name = root.and_then(Certificate::common_name).unwrap_or_default();
        let mut json = json!({
            "subject": { "organization": organization, "commonName": common_name },
            "uri": self.uri,
            "certChain": { "certificates": certificates },
            "validFor": self.valid_for.to_json(),
        });
        if let (Some(operator), Some(fields)) = (&self.operator, json.as_object_mut()) {
            fields.insert("operator".into(), operator.as_str().into());
        }
        json
    }
}

const WHAT: &str = "trusted root";
/// The one that every client reads.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const MEDIA_TYPES: [&str; 3] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];
