//! The certificate request (RFC 2986): a key, and the proof that we hold it.

use der::asn1::{BitString, SetOfVec};
use der::oid::ObjectIdentifier;
use der::{Any, Decode as _, Encode as _};
use keys::{Payload, Scheme, Sign};
use pem::{EncodeConfig, LineEnding, Pem};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::name::RdnSequence;
use x509_cert::request::{CertReq, CertReqInfo, Version};

use crate::Error;

/// A certificate request for `key`, in PEM, with an empty subject.
pub(crate) fn pem(key: &dyn Sign) -> Result<String, Error> {
    let scheme = key.scheme();
    let algorithm = algorithm(scheme).ok_or(Error::UnsupportedScheme { scheme })?;
    let encoding = |error: der::Error| {
        Error::Key(keys::Error::Malformed {
            expected: "key for a request",
            reason: error.to_string(),
        })
    };
    let info = CertReqInfo {
        version: Version::V1,
        subject: RdnSequence::default(),
        public_key: SubjectPublicKeyInfoOwned::from_der(key.public_key().spki())
            .map_err(encoding)?,
        attributes: SetOfVec::new(),
    };
    let signed = info.to_der().map_err(encoding)?;
    let signature = key.sign(Payload::Message(&signed)).map_err(Error::Key)?;
    let request = CertReq {
        info,
        algorithm,
        signature: BitString::from_bytes(&signature).map_err(encoding)?,
    };
    let der = request.to_der().map_err(encoding)?;
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Ok(pem::encode_config(&Pem::new("CERTIFICATE REQUEST", der), config))
}

/// The schemes with which Fulcio takes requests. The hash must be the curve's own.
fn algorithm(scheme: Scheme) -> Option<AlgorithmIdentifierOwned> {
    let (oid, parameters) = match scheme {
        Scheme::EcdsaP256Sha256 => ("1.2.840.10045.4.3.2", None),
        Scheme::EcdsaP384Sha384 => ("1.2.840.10045.4.3.3", None),
        Scheme::EcdsaP521Sha512 => ("1.2.840.10045.4.3.4", None),
        Scheme::Ed25519 => ("1.3.101.112", None),
        Scheme::RsaPkcs1Sha256 { .. } => ("1.2.840.113549.1.1.11", Some(Any::null())),
        _ => return None,
    };
    Some(AlgorithmIdentifierOwned { oid: ObjectIdentifier::new(oid).ok()?, parameters })
}

#[cfg(test)]
mod tests {
    use keys::KeyPair;

    use super::*;

    #[test]
    fn a_request_has_an_empty_subject_and_is_signed_by_its_own_key() {
        let key = KeyPair::generate().unwrap();
        let text = pem(&key).unwrap();
        let block = pem::parse(&text).unwrap();
        assert_eq!(block.tag(), "CERTIFICATE REQUEST");
        let request = CertReq::from_der(block.contents()).unwrap();
        assert_eq!(request.info.subject.to_der().unwrap(), [0x30, 0]);
        assert_eq!(request.info.public_key.to_der().unwrap(), key.public_key().spki());
        assert!(request.info.attributes.is_empty());
        key.public_key()
            .verify(
                Scheme::EcdsaP256Sha256,
                Payload::Message(&request.info.to_der().unwrap()),
                request.signature.raw_bytes(),
            )
            .unwrap();
    }
}
