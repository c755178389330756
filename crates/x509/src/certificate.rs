//! One certificate: its form, and its fields.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use der::{Decode as _, Tag, Tagged as _};
use keys::PublicKey;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::name::Name;

use crate::error::Error;
use crate::issued::Issued;
use crate::promised::Promised;
use crate::sets::has_small_sets;
use crate::{oid, raw};

/// The largest certificate accepted, in bytes. Fulcio's have one to three thousand.
const CERTIFICATE_CAP: usize = 64 << 10;
/// The largest PEM text accepted, in bytes.
const PEM_CAP: usize = 1 << 20;
/// The most certificates accepted in one PEM text.
const CHAIN_CAP: usize = 64;

/// X.520: `id-at-organizationName` and `id-at-commonName`.
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// An X.509 certificate. Only its form has been checked.
///
/// Two certificates are equal when their DER is. Copies are cheap: they share the bytes.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    der: Vec<u8>,
    tbs: Vec<u8>,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    subject_text: String,
    organization: Option<String>,
    common_name: Option<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    public_key: PublicKey,
    extensions: Vec<Extension>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usages: Vec<String>,
    issued: OnceLock<Issued>,
    promised: OnceLock<Promised>,
}

/// An extension of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which one, in dotted form.
    pub oid: String,
    /// Whether a reader that does not know it must refuse the certificate.
    pub critical: bool,
    /// The content of its OCTET STRING.
    pub value: Vec<u8>,
}

impl Certificate {
    /// Reads a DER certificate (RFC 5280) of at most 64 KiB, with nothing behind it.
    ///
    /// # Errors
    /// The bytes are not a certificate, an extension is in it twice, an extension that paths depend
    /// on is malformed, or the key is of an unsupported kind.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > CERTIFICATE_CAP {
            return Err(malformed(format!("it is longer than {CERTIFICATE_CAP} bytes")));
        }
        if !has_small_sets(der) {
            return Err(malformed("a set in it has more than 64 members"));
        }
        let broken = |error: der::Error| malformed(error.to_string());
        let parsed = x509_cert::Certificate::from_der(der).map_err(broken)?;
        let parts = raw::parts(der).map_err(broken)?;
        let tbs = &parsed.tbs_certificate;
        if tbs.signature != parsed.signature_algorithm {
            return Err(malformed("it names two different signature algorithms"));
        }
        let mut extensions: Vec<Extension> = Vec::new();
        let mut seen = HashSet::new();
        for extension in tbs.extensions.iter().flatten() {
            let oid = extension.extn_id.to_string();
            if !seen.insert(extension.extn_id) {
                return Err(malformed(format!("the extension {oid} is in it twice")));
            }
            let value = extension.extn_value.as_bytes().to_vec();
            extensions.push(Extension { oid, critical: extension.critical, value });
        }
        let public_key =
            PublicKey::from_spki(parts.spki).map_err(|source| Error::Key { source })?;
        Ok(Self {
            inner: Arc::new(Inner {
                der: der.to_vec(),
                tbs: parts.tbs.to_vec(),
                serial: tbs.serial_number.as_bytes().to_vec(),
                issuer: parts.issuer.to_vec(),
                subject: parts.subject.to_vec(),
                subject_text: tbs.subject.to_string(),
                organization: attribute(&tbs.subject, ORGANIZATION),
                common_name: attribute(&tbs.subject, COMMON_NAME),
                not_before: tbs.validity.not_before.to_system_time(),
                not_after: tbs.validity.not_after.to_system_time(),
                public_key,
                basic_constraints: read(&extensions, oid::BASIC_CONSTRAINTS)?,
                key_usage: read(&extensions, oid::KEY_USAGE)?,
                extended_key_usages: read::<ExtendedKeyUsage>(
                    &extensions,
                    oid::EXTENDED_KEY_USAGE,
                )?
                .map(|usages| usages.0.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
                extensions,
                issued: OnceLock::new(),
                promised: OnceLock::new(),
            }),
        })
    }

    /// Reads the PEM form: exactly one block, `CERTIFICATE`. Text around it is passed over.
    ///
    /// # Errors
    /// There is no such block or more than one, or what is in it is not a certificate.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let mut chain = Self::chain_from_pem(text)?;
        match (chain.pop(), chain.len()) {
            (Some(certificate), 0) => Ok(certificate),
            (_, others) => Err(Error::Malformed {
                expected: "single PEM certificate",
                reason: format!("expected one block, found {}", others + 1),
            }),
        }
    }

    /// Reads one or more `CERTIFICATE` blocks, up to 64, in their order.
    ///
    /// # Errors
    /// There is no block, a block is of another kind, or what is in one is not a certificate.
    pub fn chain_from_pem(text: &str) -> Result<Vec<Self>, Error> {
        let wrong = |reason: String| Error::Malformed { expected: "PEM certificate", reason };
        if text.len() > PEM_CAP {
            return Err(wrong(format!("it is longer than {PEM_CAP} bytes")));
        }
        let begun = text.matches("-----BEGIN ").count();
        if begun > CHAIN_CAP {
            return Err(wrong(format!("there are more than {CHAIN_CAP} blocks")));
        }
        let blocks = pem::parse_many(text).map_err(|error| wrong(keys::pem_error(&error)))?;
        if blocks.is_empty() {
            return Err(wrong("there is no block".into()));
        }
        if blocks.len() != begun {
            return Err(wrong("a block has no end".into()));
        }
        blocks
            .iter()
            .map(|block| match block.tag() {
                "CERTIFICATE" => Self::from_der(block.contents()),
                other => {
                    let found = printable(other);
                    Err(wrong(format!("expected a block CERTIFICATE, found {found}")))
                }
            })
            .collect()
    }

    /// The certificate, byte for byte.
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    /// The PEM form, which ends with a newline.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("CERTIFICATE", self.inner.der.clone()), config)
    }

    /// The part that the issuer signed: the DER TBSCertificate, byte for byte.
    pub fn tbs(&self) -> &[u8] {
        &self.inner.tbs
    }

    /// The key it certifies.
    pub fn public_key(&self) -> &PublicKey {
        &self.inner.public_key
    }

    /// Its first valid moment.
    pub fn not_before(&self) -> SystemTime {
        self.inner.not_before
    }

    /// Its last valid moment.
    pub fn not_after(&self) -> SystemTime {
        self.inner.not_after
    }

    /// Whether `at` lies in its validity, both ends included.
    pub fn is_valid_at(&self, at: SystemTime) -> bool {
        self.inner.not_before <= at && at <= self.inner.not_after
    }

    /// The serial number as the content of its DER INTEGER, big-endian.
    pub fn serial(&self) -> &[u8] {
        &self.inner.serial
    }

    /// The issuer's name in DER.
    pub fn issuer_der(&self) -> &[u8] {
        &self.inner.issuer
    }

    /// The subject's name in DER: `30 00` in Fulcio's leaves, which name their subject elsewhere.
    pub fn subject_der(&self) -> &[u8] {
        &self.inner.subject
    }

    /// The organization that its subject names, if it names one: an authority's, say.
    pub fn organization(&self) -> Option<&str> {
        self.inner.organization.as_deref()
    }

    /// The common name of its subject, if it has one.
    pub fn common_name(&self) -> Option<&str> {
        self.inner.common_name.as_deref()
    }

    /// Whether it is a certificate authority (basic constraints).
    pub fn is_ca(&self) -> bool {
        self.inner.basic_constraints.as_ref().is_some_and(|constraints| constraints.ca)
    }

    /// How many intermediates may be below it, if it is limited.
    pub fn path_len(&self) -> Option<u8> {
        self.inner.basic_constraints.as_ref()?.path_len_constraint
    }

    /// Whether its key may sign data; `None` without a key usage extension.
    pub fn allows_digital_signature(&self) -> Option<bool> {
        self.inner.key_usage.map(|usage| usage.digital_signature())
    }

    /// Whether its key may sign certificates; `None` without a key usage extension.
    pub fn allows_certificate_signing(&self) -> Option<bool> {
        self.inner.key_usage.map(|usage| usage.key_cert_sign())
    }

    /// The purposes it is restricted to, in dotted form. With none it is not restricted.
    pub fn extended_key_usages(&self) -> &[String] {
        &self.inner.extended_key_usages
    }

    /// The SHA-256 of its DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        keys::sha256(&self.inner.der)
    }

    /// Every extension, in the certificate's order.
    pub fn extensions(&self) -> &[Extension] {
        &self.inner.extensions
    }

    /// The extension `oid`, in dotted form, if it is there.
    pub fn extension(&self, oid: &str) -> Option<&Extension> {
        self.inner.extensions.iter().find(|extension| extension.oid == oid)
    }

    /// The signature on it that was found valid, once there is one. Copies share it.
    pub(crate) fn issued(&self) -> &OnceLock<Issued> {
        &self.inner.issued
    }

    /// The promise of a log that was found valid, once there is one. Copies share it.
    pub(crate) fn promised(&self) -> &OnceLock<Promised> {
        &self.inner.promised
    }

    /// Its name in an error: its subject, or its serial number if it has none.
    pub(crate) fn described(&self, role: &str) -> String {
        if self.inner.subject_text.is_empty() {
            let serial = base16ct::lower::encode_string(self.serial());
            format!("{role} certificate with the serial number {serial}")
        } else {
            format!("{role} certificate \"{}\"", printable(&self.inner.subject_text))
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.inner.der == other.inner.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.described("a"))
    }
}

/// Decodes the whole value of the extension `oid`, if it is there.
pub(crate) fn read<'a, T: der::Decode<'a>>(
    extensions: &'a [Extension],
    oid: &str,
) -> Result<Option<T>, Error> {
    extensions
        .iter()
        .find(|extension| extension.oid == oid)
        .map(|extension| {
            if !has_small_sets(&extension.value) {
                let reason = "a set in it has more than 64 members".to_owned();
                return Err(Error::Extension { oid: oid.to_owned(), reason });
            }
            T::from_der(&extension.value).map_err(|error| Error::Extension {
                oid: oid.to_owned(),
                reason: error.to_string(),
            })
        })
        .transpose()
}

/// The first attribute `oid` of `name` that is text.
fn attribute(name: &Name, oid: ObjectIdentifier) -> Option<String> {
    let mut attributes = name.0.iter().flat_map(|relative| relative.0.iter());
    let value = &attributes.find(|attribute| attribute.oid == oid)?.value;
    let text = match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str(),
        _ => return None,
    };
    Some(text.to_owned())
}

/// At most a hundred characters, control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(100) {
        if c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation() {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::Malformed { expected: "certificate", reason: reason.into() }
}
