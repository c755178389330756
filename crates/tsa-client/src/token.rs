//! The messages of RFC 3161, RFC 2634 and RFC 5035, as far as the libraries do not read what
//! authorities really send: refusals without a token, fractions of a second, critical-FALSE
//! certificates that must be compared byte for byte.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cms::signed_data::{DigestAlgorithmIdentifiers, EncapsulatedContentInfo, SignerInfos};
use const_oid::ObjectIdentifier;
use der::asn1::{Int, OctetString, SetOfVec};
use der::{
    Any, AnyRef, DateTime, Decode as _, DecodeValue, EncodeValue, FixedTag, Header, Length, Reader,
    Sequence, Tag, Tagged as _, Writer,
};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_tsp::{Accuracy, MessageImprint};

use crate::Error;

/// TimeStampResp. The status is read separately: the library's type refuses some failure bits, and
/// then the reason for a refusal would be lost.
#[derive(Sequence)]
pub(crate) struct Response {
    pub(crate) status: Any,
    #[asn1(optional = "true")]
    pub(crate) token: Option<Any>,
}

/// PKIStatusInfo: the status, and what the authority says about it.
pub(crate) fn status(info: &Any) -> Result<(u32, String), Error> {
    let mut reasons: Vec<String> = Vec::new();
    let status = AnyRef::from(info)
        .sequence(|reader| {
            let status: u32 = reader.decode()?;
            while !reader.is_finished() {
                let next = AnyRef::decode(reader)?;
                match next.tag() {
                    Tag::Sequence => next.sequence(|texts| {
                        while !texts.is_finished() {
                            let text = AnyRef::decode(texts)?;
                            reasons.push(String::from_utf8_lossy(text.value()).into_owned());
                        }
                        Ok(())
                    })?,
                    Tag::BitString => reasons.extend(failures(next.value())),
                    other => return Err(other.value_error()),
                }
            }
            Ok(status)
        })
        .map_err(Error::der("status"))?;
    let reason = if reasons.is_empty() { "no reason given".into() } else { reasons.join(", ") };
    Ok((status, host::escape_remote(&reason)))
}

/// The names of the bits of a PKIFailureInfo, whose first octet counts unused bits.
fn failures(bits: &[u8]) -> Vec<String> {
    const NAMES: [(usize, &str); 8] = [
        (0, "badAlg"),
        (2, "badRequest"),
        (5, "badDataFormat"),
        (14, "timeNotAvailable"),
        (15, "unacceptedPolicy"),
        (16, "unacceptedExtension"),
        (17, "addInfoNotAvailable"),
        (25, "systemFailure"),
    ];
    let octets = bits.get(1..).unwrap_or_default();
    let is_set =
        |bit: usize| octets.get(bit / 8).is_some_and(|octet| octet & (0x80_u8 >> (bit % 8)) != 0);
    (0..octets.len() * 8)
        .filter(|bit| is_set(*bit))
        .map(|bit| match NAMES.iter().find(|(number, _)| *number == bit) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("failure {bit}"),
        })
        .collect()
}

/// SignedData (RFC 5652 5.1), with certificates as the bytes they are: reading and re-encoding one
/// may change it.
#[derive(Sequence)]
pub(crate) struct SignedData {
    pub(crate) version: u8,
    pub(crate) digest_algorithms: DigestAlgorithmIdentifiers,
    pub(crate) encap_content_info: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) crls: Option<SetOfVec<Any>>,
    pub(crate) signer_infos: SignerInfos,
}

/// TSTInfo (RFC 3161 2.4.2).
#[derive(Sequence)]
pub(crate) struct TstInfo {
    pub(crate) version: u8,
    pub(crate) policy: ObjectIdentifier,
    pub(crate) message_imprint: MessageImprint,
    pub(crate) serial_number: Int,
    pub(crate) gen_time: GenTime,
    #[asn1(optional = "true")]
    pub(crate) accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    pub(crate) ordering: bool,
    #[asn1(optional = "true")]
    pub(crate) nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) tsa: Option<Any>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) extensions: Option<Extensions>,
}

/// A GeneralizedTime in UTC that may have a fraction of a second, as RFC 3161 allows and the DER
/// library does not.
pub(crate) struct GenTime {
    text: Vec<u8>,
    pub(crate) time: SystemTime,
}

impl GenTime {
    fn parse(text: &[u8]) -> Option<SystemTime> {
        let text = text.strip_suffix(b"Z")?;
        let (whole, fraction) = text.split_at_checked(14)?;
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u64, |sum, digit| {
                let digit = char::from(*digit).to_digit(10)?;
                sum.checked_mul(10)?.checked_add(u64::from(digit))
            })
        };
        let part = |range: std::ops::Range<usize>| u8::try_from(number(whole.get(range)?)?).ok();
        let year = u16::try_from(number(whole.get(..4)?)?).ok()?;
        let date = DateTime::new(
            year,
            part(4..6)?,
            part(6..8)?,
            part(8..10)?,
            part(10..12)?,
            part(12..14)?,
        )
        .ok()?;
        let mut since = date.unix_duration();
        if !fraction.is_empty() {
            let digits = fraction.strip_prefix(b".")?;
            let scale =
                10_u64.checked_pow(9_u32.checked_sub(u32::try_from(digits.len()).ok()?)?)?;
            if digits.is_empty() {
                return None;
            }
            since = since.checked_add(Duration::from_nanos(number(digits)?.checked_mul(scale)?))?;
        }
        UNIX_EPOCH.checked_add(since)
    }
}

impl FixedTag for GenTime {
    const TAG: Tag = Tag::GeneralizedTime;
}

impl<'a> DecodeValue<'a> for GenTime {
    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        let text = reader.read_vec(header.length)?;
        let time = Self::parse(&text).ok_or_else(|| Self::TAG.value_error())?;
        Ok(Self { text, time })
    }
}

impl EncodeValue for GenTime {
    fn value_len(&self) -> der::Result<Length> {
        self.text.len().try_into()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(&self.text)
    }
}

/// SigningCertificate (RFC 2634 5.4), whose hashes are SHA-1.
#[derive(Sequence)]
pub(crate) struct SigningCertificate {
    pub(crate) certs: Vec<EssCertId>,
    #[asn1(optional = "true")]
    pub(crate) policies: Option<Any>,
}

/// ESSCertID.
#[derive(Sequence)]
pub(crate) struct EssCertId {
    pub(crate) cert_hash: OctetString,
    #[asn1(optional = "true")]
    pub(crate) issuer_serial: Option<IssuerSerial>,
}

/// SigningCertificateV2 (RFC 5035 3).
#[derive(Sequence)]
pub(crate) struct SigningCertificateV2 {
    pub(crate) certs: Vec<EssCertIdV2>,
    #[asn1(optional = "true")]
    pub(crate) policies: Option<Any>,
}

/// ESSCertIDv2. Without an algorithm, SHA-256.
#[derive(Sequence)]
pub(crate) struct EssCertIdV2 {
    #[asn1(optional = "true")]
    pub(crate) hash_algorithm: Option<AlgorithmIdentifierOwned>,
    pub(crate) cert_hash: OctetString,
    #[asn1(optional = "true")]
    pub(crate) issuer_serial: Option<IssuerSerial>,
}

/// IssuerSerial (RFC 5035 3).
#[derive(Sequence)]
pub(crate) struct IssuerSerial {
    issuer: GeneralNames,
    serial: Int,
}

impl IssuerSerial {
    /// Whether this names `certificate`: one directory name, and the serial number.
    pub(crate) fn names(&self, certificate: &x509_cert::TbsCertificate) -> bool {
        let issuer = matches!(self.issuer.as_slice(),
            [GeneralName::DirectoryName(name)] if *name == certificate.issuer);
        issuer && same_integer(self.serial.as_bytes(), certificate.serial_number.as_bytes())
    }
}

/// Whether two positive integers are the same, however many zeros lead them.
pub(crate) fn same_integer(one: &[u8], other: &[u8]) -> bool {
    let significant = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte != 0);
    one.get(significant(one).unwrap_or(one.len())..)
        == other.get(significant(other).unwrap_or(other.len())..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        let time = GenTime::parse(text.as_bytes())?;
        Some(time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64())
    }

    #[test]
    fn a_time_may_have_a_fraction() {
        assert_eq!(seconds("19700101000001Z"), Some(1.0));
        assert_eq!(seconds("19700101000001.5Z"), Some(1.5));
        assert_eq!(seconds("19700101000001.000000001Z"), Some(1.000_000_001));
    }

    #[test]
    fn what_is_no_time_in_utc_is_refused() {
        for text in [
            "",
            "Z",
            "19700101000001",
            "19700101000001.Z",
            "19700101000001,5Z",
            "1970010100000Z",
            "19700101000001+0100",
            "19701301000000Z",
            "19700101000061Z",
            "1970010100000 Z",
            "19700101000001.0000000001Z",
            "+970010100000Z1",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_refusal_is_read_with_its_texts_and_its_failure_bits() {
        // SEQUENCE { INTEGER 2, SEQUENCE { UTF8String "no" }, BIT STRING badAlg }
        let der = [0x30, 13, 2, 1, 2, 0x30, 4, 0x0c, 2, b'n', b'o', 3, 2, 7, 0x80];
        let info = Any::from_der(&der).unwrap();
        assert_eq!(status(&info).unwrap(), (2, "no, badAlg".into()));
        let der = [0x30, 9, 2, 1, 2, 3, 4, 7, 0, 3, 0x80];
        assert_eq!(
            status(&Any::from_der(&der).unwrap()).unwrap().1,
            "timeNotAvailable, unacceptedPolicy, unacceptedExtension"
        );
        let der = [0x30, 3, 2, 1, 5];
        assert_eq!(status(&Any::from_der(&der).unwrap()).unwrap(), (5, "no reason given".into()));
    }

    #[test]
    fn integers_are_compared_without_leading_zeros() {
        assert!(same_integer(&[0, 1, 2], &[1, 2]));
        assert!(same_integer(&[], &[0]));
        assert!(!same_integer(&[1, 2, 0], &[1, 2]));
    }
}
