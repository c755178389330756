//! Making certificates: the parts that the CA and the timestamp authority share.

use std::str::FromStr as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use der::asn1::{BitString, GeneralizedTime, OctetString, UtcTime};
use der::flagset::FlagSet;
use der::{DateTime, Decode as _, Encode};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::Error;
use crate::key::ServiceKey;

pub(crate) const KEY_USAGE: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_KEY_USAGE;
pub(crate) const SUBJECT_ALT_NAME: ObjectIdentifier =
    const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
const EXT_KEY_USAGE: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_EXT_KEY_USAGE;
const BASIC_CONSTRAINTS: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_BASIC_CONSTRAINTS;
const SUBJECT_KEY_ID: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER;
const AUTHORITY_KEY_ID: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER;

/// How long authorities last.
pub(crate) const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How far before `now` authorities begin, so that a client's slow clock does not matter.
pub(crate) const HEAD_START: Duration = Duration::from_secs(3600);

/// What is to be certified.
pub(crate) struct Request<'a> {
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    pub(crate) spki: &'a [u8],
    pub(crate) not_before: SystemTime,
    pub(crate) life: Duration,
    pub(crate) extensions: Vec<Extension>,
}

/// The part of a certificate that is signed, with a new serial number.
pub(crate) fn tbs(request: Request<'_>, signer: &ServiceKey) -> Result<TbsCertificate, Error> {
    let not_before = time(request.not_before)?;
    let not_after = time(request.not_before + request.life)?;
    let encode = Error::make("a certificate");
    let build = || {
        Ok::<_, der::Error>((
            SerialNumber::new(&serial()?)?,
            SubjectPublicKeyInfoOwned::from_der(request.spki)?,
        ))
    };
    let (serial_number, subject_public_key_info) = build().map_err(encode)?;
    Ok(TbsCertificate {
        version: Version::V3,
        serial_number,
        signature: signer.signature_algorithm(),
        issuer: request.issuer,
        validity: Validity { not_before, not_after },
        subject: request.subject,
        subject_public_key_info,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(request.extensions),
    })
}

/// Signs `tbs` with `signer`, whose algorithm it already names.
pub(crate) fn sign(tbs: TbsCertificate, signer: &ServiceKey) -> Result<Certificate, Error> {
    let signature = signer.sign_message(&der(&tbs)?)?;
    let signature = BitString::from_bytes(&signature).map_err(Error::make("a certificate"))?;
    let signature_algorithm = tbs.signature.clone();
    Ok(Certificate { tbs_certificate: tbs, signature_algorithm, signature })
}

/// What kind of authority a CA certificate is of.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// A root: for everything.
    Root,
    /// An intermediate that may issue leaves for one purpose only.
    Intermediate(ObjectIdentifier),
}

/// A CA certificate for `key` under `name`, signed by `issuer` (for a root: by itself).
pub(crate) fn authority(
    name: &str,
    key: &ServiceKey,
    role: Role,
    issuer: (&str, &ServiceKey),
    now: SystemTime,
) -> Result<Certificate, Error> {
    let (issuer_name, issuer_key) = issuer;
    let (path_len_constraint, purpose) = match role {
        Role::Root => (None, None),
        Role::Intermediate(purpose) => (Some(0), Some(purpose)),
    };
    let constraints = BasicConstraints { ca: true, path_len_constraint };
    let mut extensions = vec![
        key_usage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)?,
        extension(BASIC_CONSTRAINTS, true, &constraints)?,
    ];
    if let Some(purpose) = purpose {
        extensions.push(extended_key_usage(false, purpose)?);
    }
    let key_id = SubjectKeyIdentifier(octets(&key_identifier(key.public_key().spki())?)?);
    extensions.push(extension(SUBJECT_KEY_ID, false, &key_id)?);
    extensions.push(authority_key_id(issuer_key.public_key().spki())?);
    let request = Request {
        issuer: parse_name(issuer_name)?,
        subject: parse_name(name)?,
        spki: key.public_key().spki(),
        not_before: whole_seconds(now).checked_sub(HEAD_START).unwrap_or(UNIX_EPOCH),
        life: AUTHORITY_LIFE,
        extensions,
    };
    sign(tbs(request, issuer_key)?, issuer_key)
}

/// A distinguished name from its RFC 4514 text.
pub(crate) fn parse_name(text: &str) -> Result<Name, Error> {
    Name::from_str(text).map_err(Error::make("a name"))
}

pub(crate) fn key_usage(usages: impl Into<FlagSet<KeyUsages>>) -> Result<Extension, Error> {
    extension(KEY_USAGE, true, &KeyUsage(usages.into()))
}

pub(crate) fn extended_key_usage(
    critical: bool,
    purpose: ObjectIdentifier,
) -> Result<Extension, Error> {
    extension(EXT_KEY_USAGE, critical, &ExtendedKeyUsage(vec![purpose]))
}

/// Names the issuer's key, which is that of `issuer_spki`.
pub(crate) fn authority_key_id(issuer_spki: &[u8]) -> Result<Extension, Error> {
    let id = AuthorityKeyIdentifier {
        key_identifier: Some(octets(&key_identifier(issuer_spki)?)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    extension(AUTHORITY_KEY_ID, false, &id)
}

pub(crate) fn extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> Result<Extension, Error> {
    raw_extension(oid, critical, &der(value)?)
}

pub(crate) fn raw_extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &[u8],
) -> Result<Extension, Error> {
    Ok(Extension { extn_id: oid, critical, extn_value: octets(value)? })
}

pub(crate) fn der(value: &impl Encode) -> Result<Vec<u8>, Error> {
    value.to_der().map_err(Error::make("DER"))
}

pub(crate) fn octets(bytes: &[u8]) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::make("DER"))
}

/// Certificates and timestamps count whole seconds.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds(time))
}

pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn generalized_time(time: SystemTime) -> Result<GeneralizedTime, Error> {
    GeneralizedTime::from_unix_duration(Duration::from_secs(unix_seconds(time)))
        .map_err(Error::make("a time"))
}

/// UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5).
pub(crate) fn time(time: SystemTime) -> Result<Time, Error> {
    let date = DateTime::from_unix_duration(Duration::from_secs(unix_seconds(time)))
        .map_err(Error::make("a time"))?;
    if date.year() < 2050 {
        UtcTime::from_date_time(date).map(Time::UtcTime).map_err(Error::make("a time"))
    } else {
        Ok(Time::GeneralTime(GeneralizedTime::from_date_time(date)))
    }
}

/// 160 random bits that make a positive integer whose first byte is not zero.
pub(crate) fn serial() -> der::Result<[u8; 20]> {
    let mut bytes: [u8; 20] = keys::random().map_err(|_| der::ErrorKind::Failed)?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(bytes)
}

/// RFC 7093 2 (1): the first 160 bits of the SHA-256 of the key's bits.
fn key_identifier(spki: &[u8]) -> Result<[u8; 20], Error> {
    let spki = SubjectPublicKeyInfoOwned::from_der(spki).map_err(Error::make("a key id"))?;
    let hash = keys::sha256(spki.subject_public_key.raw_bytes());
    let mut id = [0; 20];
    id.copy_from_slice(&hash[..20]);
    Ok(id)
}
