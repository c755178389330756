use std::time::SystemTime;

use cms::content_info::ContentInfo;
use cms::signed_data::{SignerIdentifier, SignerInfo};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5911, rfc5912, rfc8410};
use der::asn1::OctetString;
use der::{Any, Decode as _, DecodeValue, Encode as _, FixedTag};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, Payload, Scheme};
use sha1::{Digest as _, Sha1};
use x509::Certificate;
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use crate::token::{
    EssCertId, EssCertIdV2, IssuerSerial, Response, SignedData, SigningCertificate,
    SigningCertificateV2, TstInfo, same_integer, status,
};
use crate::{Authority, Error};

/// The largest timestamp read, in bytes. One with a whole chain of RSA certificates has six
/// thousand.
pub const SIZE_CAP: usize = 32 << 10;

/// id-ct-TSTInfo.
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// id-aa-signingCertificate, of SHA-1 times.
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
/// id-aa-signingCertificateV2.
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// A timestamp: the authority's signed statement that it saw a digest at a time.
///
/// Reading one says nothing about its truth; [`verify`](Self::verify) does.
#[derive(Clone, Debug)]
pub struct Timestamp {
    der: Vec<u8>,
    content: Vec<u8>,
    imprint: Digest,
    nonce: Option<Vec<u8>>,
    gen_time: SystemTime,
    certificates: Vec<Vec<u8>>,
    signer: SignerInfo,
}

impl Timestamp {
    /// Reads a whole `TimeStampResp`, as an authority answers it and a bundle stores it.
    ///
    /// # Errors
    /// The bytes are more than [`SIZE_CAP`], no such message, or one that says no
    /// ([`Error::Refused`]); the statement is over a hash other than SHA-256, 384 and 512, or has
    /// not exactly one signer.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > SIZE_CAP {
            return Err(Error::malformed(format!(
                "{} bytes, at most {SIZE_CAP} are read",
                bytes.len()
            )));
        }
        if !x509::has_small_sets(bytes) {
            return Err(Error::malformed("a set of more than 64 members"));
        }
        let response = Response::from_der(bytes).map_err(Error::der("response"))?;
        let (code, reason) = status(&response.status)?;
        // 0 is granted, 1 is granted with modifications.
        if code > 1 {
            return Err(Error::Refused { status: code, reason });
        }
        let token = response.token.ok_or_else(|| Error::malformed("granted, but no token"))?;
        let signed = signed_data(&token)?;
        let encapsulated = signed.encap_content_info;
        if encapsulated.econtent_type != TST_INFO {
            return Err(Error::malformed(format!(
                "expected content of type {TST_INFO}, found {}",
                encapsulated.econtent_type
            )));
        }
        let content = encapsulated
            .econtent
            .ok_or_else(|| Error::malformed("the token has no content"))?
            .decode_as::<OctetString>()
            .map_err(Error::der("content"))?
            .into_bytes();
        let info = TstInfo::from_der(&content).map_err(Error::der("TSTInfo"))?;
        if info.version != 1 {
            return Err(Error::malformed(format!(
                "expected TSTInfo version 1, found {}",
                info.version
            )));
        }
        if info.extensions.iter().flatten().any(|extension| extension.critical) {
            return Err(Error::malformed("a critical extension that is not understood"));
        }
        let algorithm = hash_algorithm(info.message_imprint.hash_algorithm.oid)?;
        let imprint = Digest::new(algorithm, info.message_imprint.hashed_message.as_bytes())
            .map_err(|error| Error::malformed(format!("message imprint: {error}")))?;
        let mut signers = signed.signer_infos.0.into_vec();
        let (Some(signer), true) = (signers.pop(), signers.is_empty()) else {
            return Err(Error::malformed("expected exactly one signer"));
        };
        let certificates = signed.certificates.into_iter().flat_map(der::asn1::SetOfVec::into_vec);
        Ok(Self {
            der: bytes.to_vec(),
            content,
            imprint,
            nonce: info.nonce.map(|nonce| nonce.as_bytes().to_vec()),
            gen_time: info.gen_time.time,
            certificates: certificates
                .map(|certificate| certificate.to_der())
                .collect::<Result<_, _>>()
                .map_err(Error::der("certificates"))?,
            signer,
        })
    }

    /// The whole `TimeStampResp`, byte for byte as it was read: what a bundle stores.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When the authority says that it saw the digest. Unverified.
    pub fn gen_time(&self) -> SystemTime {
        self.gen_time
    }

    /// What was stamped: the digest of the message. Unverified.
    pub fn imprint(&self) -> &Digest {
        &self.imprint
    }

    /// The nonce of the request, as a DER integer's bytes. It may be negative, or long.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// The certificates that the timestamp brings along, DER each. Unverified.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(Vec::as_slice)
    }

    /// Whether it names `authority` as its signer: then [`verify`](Self::verify) tells whether that
    /// is true. An authority that pins no certificate is named by those the timestamp brings.
    pub fn is_by(&self, authority: &Authority) -> bool {
        match authority.leaf() {
            Some(leaf) => self.is_signed_by(leaf.der()),
            None => self
                .certificates()
                .filter(|der| self.is_signed_by(der))
                .filter_map(|der| Certificate::from_der(der).ok())
                .any(|leaf| authority.is_named_as_issuer_of(&leaf)),
        }
    }

    /// Checks that `authority` stamped `message`, and returns when.
    ///
    /// In this order: the digest is the message's; the signing certificate is the one that the
    /// authority pins (or, where it pins none, one of its own) and the one that the signed
    /// attributes name (RFC 5816); it signed these attributes, and they cover the statement; it
    /// may stamp, and its chain was valid at the time stamped. A chain that has expired since is
    /// fine.
    ///
    /// # Errors
    /// Each of these checks, by name.
    pub fn verify(&self, message: &[u8], authority: &Authority) -> Result<SystemTime, Error> {
        let digest = Digest::of(self.imprint.algorithm(), message);
        if digest != self.imprint {
            return Err(Error::Mismatch {
                what: "message",
                expected: digest.to_string(),
                found: self.imprint.to_string(),
            });
        }
        let certificate = self.signing_certificate(authority)?;
        self.check_attributes(&certificate)?;
        self.check_signature(&certificate)?;
        let embedded: Vec<Certificate> =
            self.certificates().filter_map(|der| Certificate::from_der(der).ok()).collect();
        authority.verify_chain(&certificate, &embedded, self.gen_time)?;
        Ok(self.gen_time)
    }

    /// The certificate that every later check is applied to: one and the same.
    fn signing_certificate(&self, authority: &Authority) -> Result<Certificate, Error> {
        let embedded: Vec<&[u8]> =
            self.certificates().filter(|der| self.is_signed_by(der)).collect();
        let Some(pinned) = authority.leaf() else {
            let [der] = embedded.as_slice() else {
                return Err(Error::certificate(format!(
                    "expected the timestamp to bring the one that signed it, found {}",
                    embedded.len()
                )));
            };
            return Certificate::from_der(der)
                .map_err(|error| Error::certificate(error.to_string()));
        };
        if !self.is_signed_by(pinned.der()) {
            return Err(Error::certificate(
                "the timestamp names another signer than the authority's certificate",
            ));
        }
        let brings_others = embedded.is_empty() && !self.certificates.is_empty();
        if brings_others || embedded.iter().any(|der| *der != pinned.der()) {
            return Err(Error::certificate(
                "the timestamp brings another one than the authority's",
            ));
        }
        Ok(pinned.clone())
    }

    /// Whether the signer's identifier names this certificate.
    fn is_signed_by(&self, der: &[u8]) -> bool {
        let Ok(certificate) = x509_cert::Certificate::from_der(der) else { return false };
        let certificate = certificate.tbs_certificate;
        match &self.signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(id) => {
                id.issuer == certificate.issuer
                    && same_integer(
                        id.serial_number.as_bytes(),
                        certificate.serial_number.as_bytes(),
                    )
            }
            SignerIdentifier::SubjectKeyIdentifier(id) => {
                matches!(certificate.get::<SubjectKeyIdentifier>(), Ok(Some((_, key))) if key == *id)
            }
        }
    }

    fn check_attributes(&self, certificate: &Certificate) -> Result<(), Error> {
        let content_type: ObjectIdentifier = self
            .attribute(rfc5911::ID_CONTENT_TYPE)?
            .ok_or_else(|| Error::malformed("no signed content type"))?;
        if content_type != TST_INFO {
            return Err(Error::malformed(format!(
                "expected a signed content type {TST_INFO}, found {content_type}"
            )));
        }
        let expected = Digest::of(hash_algorithm(self.signer.digest_alg.oid)?, &self.content);
        let signed: OctetString = self
            .attribute(rfc5911::ID_MESSAGE_DIGEST)?
            .ok_or_else(|| Error::malformed("no signed message digest"))?;
        if signed.as_bytes() != expected.as_bytes() {
            return Err(Error::Mismatch {
                what: "statement, its signed digest differs",
                expected: expected.to_string(),
                found: hex(signed.as_bytes()),
            });
        }
        let v1: Option<SigningCertificate> = self.attribute(SIGNING_CERTIFICATE)?;
        let v2: Option<SigningCertificateV2> = self.attribute(SIGNING_CERTIFICATE_V2)?;
        if v1.is_none() && v2.is_none() {
            return Err(Error::certificate("no signed attribute says which one it is"));
        }
        let parsed = x509_cert::Certificate::from_der(certificate.der())
            .map_err(Error::der("certificate"))?;
        if let Some(v1) = v1 {
            let EssCertId { cert_hash, issuer_serial } = first(v1.certs)?;
            let hash = Sha1::digest(certificate.der());
            check_named(cert_hash.as_bytes(), &hash, issuer_serial, &parsed.tbs_certificate)?;
        }
        if let Some(v2) = v2 {
            let EssCertIdV2 { hash_algorithm: named, cert_hash, issuer_serial } = first(v2.certs)?;
            let algorithm = match named {
                None => HashAlgorithm::Sha256,
                Some(named) => hash_algorithm(named.oid)?,
            };
            let hash = Digest::of(algorithm, certificate.der());
            let (named, hash) = (cert_hash.as_bytes(), hash.as_bytes());
            check_named(named, hash, issuer_serial, &parsed.tbs_certificate)?;
        }
        Ok(())
    }

    /// The one value of the signed attribute of that type.
    fn attribute<T>(&self, kind: ObjectIdentifier) -> Result<Option<T>, Error>
    where
        T: for<'a> DecodeValue<'a> + FixedTag,
    {
        let attributes = self.signer.signed_attrs.iter().flat_map(|set| set.iter());
        let mut values = attributes.filter(|a| a.oid == kind).map(|a| a.values.as_slice());
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some([value]), None) => value.decode_as().map(Some).map_err(Error::der("attribute")),
            _ => Err(Error::malformed(format!("more than one value of the attribute {kind}"))),
        }
    }

    fn check_signature(&self, certificate: &Certificate) -> Result<(), Error> {
        let attributes = self
            .signer
            .signed_attrs
            .as_ref()
            .ok_or_else(|| Error::malformed("no signed attributes"))?;
        // RFC 5652 5.4: signed as a SET OF, whatever tag the message gives it.
        let signed = attributes.to_der().map_err(Error::der("signed attributes"))?;
        let key = certificate.public_key();
        if let Some(algorithm) = long_rsa(
            key.algorithm(),
            self.signer.signature_algorithm.oid,
            self.signer.digest_alg.oid,
        ) {
            let signature = self.signer.signature.as_bytes();
            return key.verify_jws(algorithm, &signed, signature).map_err(Error::Signature);
        }
        let (scheme, hash) = scheme(
            key.algorithm(),
            self.signer.signature_algorithm.oid,
            self.signer.digest_alg.oid,
        )?;
        let digest;
        let payload = match hash {
            // From the message where the scheme has the same hash: several times faster.
            Some(hash) if scheme.hash() != Some(hash) => {
                digest = shortened(&Digest::of(hash, &signed), scheme)?;
                Payload::Digest(&digest)
            }
            _ => Payload::Message(&signed),
        };
        key.verify(scheme, payload, self.signer.signature.as_bytes()).map_err(Error::Signature)
    }
}

fn signed_data(token: &Any) -> Result<SignedData, Error> {
    let info: ContentInfo = token.decode_as().map_err(Error::der("token"))?;
    if info.content_type != rfc5911::ID_SIGNED_DATA {
        return Err(Error::malformed(format!(
            "expected a token of type {}, found {}",
            rfc5911::ID_SIGNED_DATA,
            info.content_type
        )));
    }
    info.content.decode_as().map_err(Error::der("signed data"))
}

/// SHA-1 is refused: whoever can make two messages of one digest has both stamped.
fn hash_algorithm(oid: ObjectIdentifier) -> Result<HashAlgorithm, Error> {
    match oid {
        rfc5912::ID_SHA_256 => Ok(HashAlgorithm::Sha256),
        rfc5912::ID_SHA_384 => Ok(HashAlgorithm::Sha384),
        rfc5912::ID_SHA_512 => Ok(HashAlgorithm::Sha512),
        other => Err(Error::malformed(format!("expected SHA-256, 384 or 512, found {other}"))),
    }
}

/// The first ESSCertID is the signer's (RFC 5035 3); the others are its issuers'.
fn first<T>(ids: Vec<T>) -> Result<T, Error> {
    ids.into_iter().next().ok_or_else(|| Error::certificate("the signed attribute names none"))
}

fn check_named(
    named: &[u8],
    hash: &[u8],
    issuer_serial: Option<IssuerSerial>,
    certificate: &TbsCertificate,
) -> Result<(), Error> {
    if named != hash {
        return Err(Error::certificate(format!(
            "the signed attributes name another one: expected the hash {}, found {}",
            hex(hash),
            hex(named)
        )));
    }
    if issuer_serial.is_some_and(|id| !id.names(certificate)) {
        return Err(Error::certificate(
            "the signed attributes name another issuer or serial number",
        ));
    }
    Ok(())
}

/// RSA with a hash longer than Sigstore's schemes have, by its name in JSON Web Signatures.
fn long_rsa(
    key: KeyAlgorithm,
    signature: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Option<&'static str> {
    if !matches!(key, KeyAlgorithm::Rsa { .. }) {
        return None;
    }
    match (signature, hash_algorithm(digest).ok()) {
        (rfc5912::SHA_384_WITH_RSA_ENCRYPTION, _)
        | (rfc5912::RSA_ENCRYPTION, Some(HashAlgorithm::Sha384)) => Some("RS384"),
        (rfc5912::SHA_512_WITH_RSA_ENCRYPTION, _)
        | (rfc5912::RSA_ENCRYPTION, Some(HashAlgorithm::Sha512)) => Some("RS512"),
        (RSASSA_PSS, Some(HashAlgorithm::Sha384)) => Some("PS384"),
        (RSASSA_PSS, Some(HashAlgorithm::Sha512)) => Some("PS512"),
        _ => None,
    }
}

/// The scheme to verify with, and the hash where the scheme's own is not the one.
///
/// Some authorities name only the kind of key as signature algorithm; then the hash is that of the
/// signer's digest algorithm.
fn scheme(
    key: KeyAlgorithm,
    signature: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Result<(Scheme, Option<HashAlgorithm>), Error> {
    let unsupported = || {
        Error::certificate(format!(
            "signatures of type {signature} with a key {key} are not supported"
        ))
    };
    let hash = match signature {
        rfc5912::ECDSA_WITH_SHA_256 | rfc5912::SHA_256_WITH_RSA_ENCRYPTION => HashAlgorithm::Sha256,
        rfc5912::ECDSA_WITH_SHA_384 | rfc5912::SHA_384_WITH_RSA_ENCRYPTION => HashAlgorithm::Sha384,
        rfc5912::ECDSA_WITH_SHA_512 | rfc5912::SHA_512_WITH_RSA_ENCRYPTION => HashAlgorithm::Sha512,
        rfc5912::ID_EC_PUBLIC_KEY | rfc5912::RSA_ENCRYPTION | RSASSA_PSS => hash_algorithm(digest)?,
        rfc8410::ID_ED_25519 => {
            let fits = key == KeyAlgorithm::Ed25519;
            return if fits { Ok((Scheme::Ed25519, None)) } else { Err(unsupported()) };
        }
        _ => return Err(unsupported()),
    };
    let is_ecdsa = matches!(
        signature,
        rfc5912::ECDSA_WITH_SHA_256
            | rfc5912::ECDSA_WITH_SHA_384
            | rfc5912::ECDSA_WITH_SHA_512
            | rfc5912::ID_EC_PUBLIC_KEY
    );
    let scheme = match (key, hash) {
        (KeyAlgorithm::EcdsaP256, _) if is_ecdsa => Scheme::EcdsaP256Sha256,
        (KeyAlgorithm::EcdsaP384, HashAlgorithm::Sha256) if is_ecdsa => Scheme::EcdsaP384Sha256,
        (KeyAlgorithm::EcdsaP384, _) if is_ecdsa => Scheme::EcdsaP384Sha384,
        (KeyAlgorithm::EcdsaP521, HashAlgorithm::Sha256) if is_ecdsa => Scheme::EcdsaP521Sha256,
        (KeyAlgorithm::EcdsaP521, HashAlgorithm::Sha512) if is_ecdsa => Scheme::EcdsaP521Sha512,
        (KeyAlgorithm::Rsa { bits }, HashAlgorithm::Sha256) if signature == RSASSA_PSS => {
            Scheme::RsaPssSha256 { bits }
        }
        (KeyAlgorithm::Rsa { bits }, HashAlgorithm::Sha256) if !is_ecdsa => {
            Scheme::RsaPkcs1Sha256 { bits }
        }
        _ => return Err(unsupported()),
    };
    Ok((scheme, Some(hash)))
}

/// ECDSA uses of a digest longer than the curve's order only the leading bits (FIPS 186-5 6.4), so
/// a longer hash than the scheme's own verifies as its beginning.
fn shortened(digest: &Digest, scheme: Scheme) -> Result<Digest, Error> {
    let expected = scheme.hash().unwrap_or_else(|| digest.algorithm());
    let bytes = digest.as_bytes();
    let bytes = bytes.get(..expected.len()).unwrap_or(bytes);
    Digest::new(expected, bytes).map_err(Error::Signature)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
