//! Certificate transparency: a log's promise, embedded in the certificate, to publish it (RFC 6962
//! 3).

use std::time::{Duration, SystemTime};

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Tag};
use keys::{KeyAlgorithm, Payload, PublicKey};

use crate::certificate::Certificate;
use crate::error::Error;
use crate::promised::Promised;
use crate::{oid, raw};

/// A signed certificate timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sct {
    /// The log: the SHA-256 of its key's SubjectPublicKeyInfo.
    pub log_id: [u8; 32],
    /// When the log saw the certificate, to the millisecond.
    pub timestamp: SystemTime,
    /// Extensions of the log: empty, or the entry's index.
    pub extensions: Vec<u8>,
    /// Whether it was signed with ECDSA or RSA, always with SHA-256.
    pub signature_algorithm: SctAlgorithm,
    /// The signature itself.
    pub signature: Vec<u8>,
}

/// How a log signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SctAlgorithm {
    /// RSA with PKCS #1 v1.5 padding.
    Rsa,
    /// ECDSA.
    Ecdsa,
}

impl Sct {
    /// A timestamp as a log issues it, with the `signature` over [`sct_signed_data`].
    pub fn new(
        key: &PublicKey,
        timestamp: SystemTime,
        extensions: impl Into<Vec<u8>>,
        signature: impl Into<Vec<u8>>,
    ) -> Self {
        let signature_algorithm = match key.algorithm() {
            KeyAlgorithm::Rsa { .. } => SctAlgorithm::Rsa,
            _ => SctAlgorithm::Ecdsa,
        };
        Self {
            log_id: key.id(),
            timestamp,
            extensions: extensions.into(),
            signature_algorithm,
            signature: signature.into(),
        }
    }

    /// Checks that the log with `key` signed this timestamp over `leaf`, issued by `issuer`.
    ///
    /// `issuer` is the certificate above the leaf in its *verified* path.
    ///
    /// # Errors
    /// The timestamp is another log's, the key is not P-256 or RSA, which RFC 6962 requires, the
    /// issuer only signs precertificates, or the signature does not verify.
    pub fn verify(
        &self,
        leaf: &Certificate,
        issuer: &Certificate,
        key: &PublicKey,
    ) -> Result<(), Error> {
        if key.id() != self.log_id {
            return Err(unusable("it is of another log than the key"));
        }
        match (self.signature_algorithm, key.algorithm()) {
            (SctAlgorithm::Ecdsa, KeyAlgorithm::EcdsaP256)
            | (SctAlgorithm::Rsa, KeyAlgorithm::Rsa { .. }) => {}
            (signed, key) => {
                return Err(unusable(format!("it is signed with {signed:?}, the key is {key}")));
            }
        }
        if issuer.extended_key_usages().iter().any(|usage| usage == oid::PRECERT_SIGNING) {
            return Err(unusable("the issuer is a precertificate signing certificate"));
        }
        let issuer = issuer.public_key().id();
        // The certificate of a session is judged with each of its signatures.
        let promise = Promised {
            log_id: self.log_id,
            timestamp: self.timestamp,
            extensions: self.extensions.clone(),
            signature: self.signature.clone(),
            issuer,
        };
        if leaf.promised().get() == Some(&promise) {
            return Ok(());
        }
        let data = sct_signed_data(self.timestamp, &self.extensions, &issuer, &precert_tbs(leaf)?)?;
        key.verify(key.default_scheme(), Payload::Message(&data), &self.signature)
            .map_err(|source| Error::SctSignature { source })?;
        // The first one stays.
        leaf.promised().get_or_init(|| promise);
        Ok(())
    }
}

impl Certificate {
    /// The signed certificate timestamps embedded in it; none if there is no list.
    ///
    /// # Errors
    /// The list is malformed or empty, one of them is not of version 1 with SHA-256, or the
    /// certificate is a precertificate.
    pub fn scts(&self) -> Result<Vec<Sct>, Error> {
        if self.extension(oid::PRECERT_POISON).is_some() {
            return Err(unusable("the certificate is a precertificate"));
        }
        let Some(extension) = self.extension(oid::SCT_LIST) else {
            return Ok(Vec::new());
        };
        let list = OctetStringRef::from_der(&extension.value)
            .map_err(|error| unusable(format!("the list is not an OCTET STRING: {error}")))?;
        let mut rest = Bytes(list.as_bytes());
        let mut list = Bytes(rest.vector()?);
        rest.end()?;
        let mut scts = Vec::new();
        while !list.0.is_empty() {
            scts.push(sct(list.vector()?)?);
        }
        if scts.is_empty() {
            return Err(unusable("the list is empty"));
        }
        Ok(scts)
    }
}

/// What a log signs: the precertificate that becomes, or became, a certificate (RFC 6962 3.2).
///
/// `issuer_key_id` is the SHA-256 of the issuer's SubjectPublicKeyInfo, `precert_tbs` the
/// TBSCertificate without poison and without timestamps.
///
/// # Errors
/// The time is before 1970, or a part is too long for its field.
pub fn sct_signed_data(
    timestamp: SystemTime,
    extensions: &[u8],
    issuer_key_id: &[u8; 32],
    precert_tbs: &[u8],
) -> Result<Vec<u8>, Error> {
    let too_long = |_| unusable("the certificate is too long");
    let length = u32::try_from(precert_tbs.len()).map_err(too_long)?;
    let [0, length @ ..] = length.to_be_bytes() else {
        return Err(unusable("the certificate is too long"));
    };
    let mut data = vec![VERSION_1, CERTIFICATE_TIMESTAMP];
    data.extend(milliseconds(timestamp)?.to_be_bytes());
    data.extend(PRECERT_ENTRY.to_be_bytes());
    data.extend(issuer_key_id);
    data.extend(length);
    data.extend(precert_tbs);
    data.extend(vector(extensions)?);
    Ok(data)
}

/// The TBSCertificate of `leaf` without its list of timestamps, everything else byte for byte.
///
/// # Errors
/// The certificate has no such list.
pub fn precert_tbs(leaf: &Certificate) -> Result<Vec<u8>, Error> {
    raw::without_extension(leaf.tbs(), SCT_LIST)
        .map_err(|error| unusable(error.to_string()))?
        .ok_or_else(|| unusable("the certificate has none"))
}

/// The value of the extension [`oid::SCT_LIST`] that carries `scts`.
///
/// # Errors
/// One of them is too long for its field or from before 1970.
pub fn encode_sct_list(scts: &[Sct]) -> Result<Vec<u8>, Error> {
    let mut list = Vec::new();
    for sct in scts {
        let mut bytes = vec![VERSION_1];
        bytes.extend(sct.log_id);
        bytes.extend(milliseconds(sct.timestamp)?.to_be_bytes());
        bytes.extend(vector(&sct.extensions)?);
        bytes.extend([
            SHA256,
            match sct.signature_algorithm {
                SctAlgorithm::Rsa => RSA,
                SctAlgorithm::Ecdsa => ECDSA,
            },
        ]);
        bytes.extend(vector(&sct.signature)?);
        list.extend(vector(&bytes)?);
    }
    raw::tlv(Tag::OctetString, &vector(&list)?).map_err(|error| unusable(error.to_string()))
}

const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap(oid::SCT_LIST);
const VERSION_1: u8 = 0;
const CERTIFICATE_TIMESTAMP: u8 = 0;
const PRECERT_ENTRY: u16 = 1;
const SHA256: u8 = 4;
const RSA: u8 = 1;
const ECDSA: u8 = 3;

/// One SerializedSCT, the whole of `bytes`.
fn sct(bytes: &[u8]) -> Result<Sct, Error> {
    let mut bytes = Bytes(bytes);
    let [version] = bytes.array()?;
    if version != VERSION_1 {
        return Err(unusable(format!("expected version 0 (which is v1), found {version}")));
    }
    let log_id = bytes.array()?;
    let timestamp = Duration::from_millis(u64::from_be_bytes(bytes.array()?));
    let timestamp = SystemTime::UNIX_EPOCH
        .checked_add(timestamp)
        .ok_or_else(|| unusable("its time is out of range"))?;
    let extensions = bytes.vector()?.to_vec();
    let [hash, algorithm] = bytes.array()?;
    if hash != SHA256 {
        return Err(unusable(format!("expected hash algorithm 4 (SHA-256), found {hash}")));
    }
    let signature_algorithm = match algorithm {
        RSA => SctAlgorithm::Rsa,
        ECDSA => SctAlgorithm::Ecdsa,
        other => {
            return Err(unusable(format!("expected signature algorithm 1 or 3, found {other}")));
        }
    };
    let signature = bytes.vector()?.to_vec();
    bytes.end()?;
    Ok(Sct { log_id, timestamp, extensions, signature_algorithm, signature })
}

/// The rest of a TLS structure that is being read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(|| unusable("it is cut off"))?;
        self.0 = rest;
        Ok(*array)
    }

    /// Bytes with their length before them, in two bytes.
    fn vector(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (vector, rest) =
            self.0.split_at_checked(length).ok_or_else(|| unusable("it is cut off"))?;
        self.0 = rest;
        Ok(vector)
    }

    fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(unusable("something follows it")) }
    }
}

fn vector(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u16::try_from(bytes.len()).map_err(|_| unusable("it is too long"))?;
    Ok([&length.to_be_bytes(), bytes].concat())
}

fn milliseconds(time: SystemTime) -> Result<u64, Error> {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|time| u64::try_from(time.as_millis()).ok())
        .ok_or_else(|| unusable("its time is out of range"))
}

fn unusable(reason: impl Into<String>) -> Error {
    Error::Sct { reason: reason.into() }
}
