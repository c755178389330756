//! A certificate authority of a few lines, for certificates as no honest one issues them.

use std::str::FromStr as _;
use std::time::SystemTime;

use ambisign_x509::Certificate;
use der::asn1::{BitString, ObjectIdentifier, OctetString};
use der::{Decode as _, Encode as _};
use keys::{KeyAlgorithm, KeyPair, Payload, Sign as _};
use x509_cert::TbsCertificate;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::{seconds, then};

/// A certificate and its private key.
pub(crate) struct Made {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

/// What a certificate is to say.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) subject: String,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) key: KeyAlgorithm,
    /// Names another algorithm inside than outside.
    pub(crate) two_algorithms: bool,
}

impl Plan {
    /// An authority that may have `path_len` intermediates below it.
    pub(crate) fn ca(subject: &str, path_len: Option<u8>) -> Self {
        Self {
            subject: subject.into(),
            not_before: then() - seconds(3600),
            not_after: then() + seconds(3600),
            extensions: vec![basic_constraints(true, path_len), key_usage(KeyUsages::KeyCertSign)],
            key: KeyAlgorithm::EcdsaP256,
            two_algorithms: false,
        }
    }

    /// A leaf as Fulcio issues them, valid for ten minutes from [`then`].
    pub(crate) fn leaf() -> Self {
        Self {
            subject: String::new(),
            not_before: then(),
            not_after: then() + seconds(600),
            extensions: vec![
                key_usage(KeyUsages::DigitalSignature),
                extended_key_usage(&[ambisign_x509::oid::CODE_SIGNING], false),
                subject_alt_name(&[email("someone@example.com")]),
            ],
            key: KeyAlgorithm::EcdsaP256,
            two_algorithms: false,
        }
    }

    /// A leaf of a timestamp authority.
    pub(crate) fn tsa() -> Self {
        Self::leaf()
            .named("CN=stamper")
            .without("2.5.29.37")
            .with(extended_key_usage(&[ambisign_x509::oid::TIME_STAMPING], true))
    }

    pub(crate) fn named(self, subject: &str) -> Self {
        Self { subject: subject.into(), ..self }
    }

    pub(crate) fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    pub(crate) fn without(mut self, oid: &str) -> Self {
        self.extensions.retain(|extension| extension.extn_id.to_string() != oid);
        self
    }

    pub(crate) fn valid(self, not_before: SystemTime, not_after: SystemTime) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// The certificate, signed by itself.
    pub(crate) fn self_signed(&self) -> Made {
        let key = KeyPair::generate_for(self.key).unwrap();
        let certificate = Certificate::from_der(&self.encode(&key, &self.subject, &key)).unwrap();
        Made { certificate, key }
    }

    /// The certificate, signed by `issuer`.
    pub(crate) fn signed_by(&self, issuer: &Made) -> Made {
        let key = KeyPair::generate_for(self.key).unwrap();
        let certificate = Certificate::from_der(&self.der(&key, issuer)).unwrap();
        Made { certificate, key }
    }

    /// The bytes of it, which need not be a certificate that can be read.
    pub(crate) fn der(&self, key: &KeyPair, issuer: &Made) -> Vec<u8> {
        let issuer_name = Name::from_der(issuer.certificate.subject_der()).unwrap().to_string();
        self.encode(key, &issuer_name, &issuer.key)
    }

    fn encode(&self, key: &KeyPair, issuer: &str, issuer_key: &KeyPair) -> Vec<u8> {
        let algorithm = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        let signature_algorithm = algorithm(match issuer_key.public_key().algorithm() {
            KeyAlgorithm::EcdsaP256 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            KeyAlgorithm::EcdsaP384 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
            _ => ObjectIdentifier::new_unwrap("1.3.101.112"),
        });
        let inside = if self.two_algorithms {
            algorithm(ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"))
        } else {
            signature_algorithm.clone()
        };
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&[0x12, 0x34]).unwrap(),
            signature: inside,
            issuer: name(issuer),
            validity: Validity {
                not_before: Time::try_from(self.not_before).unwrap(),
                not_after: Time::try_from(self.not_after).unwrap(),
            },
            subject: name(&self.subject),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(key.public_key().spki())
                .unwrap(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions.clone()),
        };
        let signature = issuer_key.sign(Payload::Message(&tbs.to_der().unwrap())).unwrap();
        x509_cert::Certificate {
            tbs_certificate: tbs,
            signature_algorithm,
            signature: BitString::from_bytes(&signature).unwrap(),
        }
        .to_der()
        .unwrap()
    }
}

fn name(text: &str) -> Name {
    if text.is_empty() { Name::default() } else { Name::from_str(text).unwrap() }
}

pub(crate) fn extension(oid: &str, critical: bool, value: &[u8]) -> Extension {
    Extension {
        extn_id: ObjectIdentifier::new(oid).unwrap(),
        critical,
        extn_value: OctetString::new(value).unwrap(),
    }
}

pub(crate) fn basic_constraints(ca: bool, path_len: Option<u8>) -> Extension {
    let value = BasicConstraints { ca, path_len_constraint: path_len }.to_der().unwrap();
    extension("2.5.29.19", true, &value)
}

pub(crate) fn key_usage(usage: KeyUsages) -> Extension {
    extension("2.5.29.15", true, &KeyUsage(usage.into()).to_der().unwrap())
}

pub(crate) fn extended_key_usage(oids: &[&str], critical: bool) -> Extension {
    let oids = oids.iter().map(|oid| ObjectIdentifier::new(oid).unwrap()).collect();
    extension("2.5.29.37", critical, &ExtendedKeyUsage(oids).to_der().unwrap())
}

pub(crate) fn subject_alt_name(names: &[GeneralName]) -> Extension {
    extension("2.5.29.17", true, &SubjectAltName(names.to_vec()).to_der().unwrap())
}

pub(crate) fn email(address: &str) -> GeneralName {
    GeneralName::Rfc822Name(address.to_owned().try_into().unwrap())
}

pub(crate) fn uri(uri: &str) -> GeneralName {
    GeneralName::UniformResourceIdentifier(uri.to_owned().try_into().unwrap())
}
