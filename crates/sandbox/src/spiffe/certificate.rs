//! X.509-SVIDs (standard X509-SVID, sections 3 and 4).

use std::time::{Duration, SystemTime};

use const_oid::db::rfc5280::{
    ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH,
};
use der::asn1::Ia5String;
use spiffe_workload_api::{SpiffeId, TrustDomain};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsages, SubjectAltName};

use crate::certificate::{
    AUTHORITY_LIFE, HEAD_START, Request, SUBJECT_ALT_NAME, authority_key_id, der, extension,
    key_usage, parse_name, sign, tbs, whole_seconds,
};
use crate::key::{KeyKind, ServiceKey, encode_pem};
use crate::{Error, State};

/// SPIRE's default.
const LEAF_LIFE: Duration = Duration::from_secs(3600);
/// So that a client whose clock is a little slow accepts what it was just given.
const BACKDATE: Duration = Duration::from_secs(10);

const AUTHORITY_NAME: &str = "CN=sandbox SPIFFE authority,O=sigstore-sandbox";
const LEAF_NAME: &str = "O=sigstore-sandbox";

/// The signing authority of a trust domain.
pub(super) struct SvidAuthority {
    key: ServiceKey,
    certificate: Vec<u8>,
}

/// A certificate, and the private key it is for.
pub(super) struct SignedX509 {
    pub(super) certificate: Vec<u8>,
    pub(super) private_key: Vec<u8>,
}

impl SvidAuthority {
    pub(super) fn new(domain: &TrustDomain, now: SystemTime, state: &State) -> Result<Self, Error> {
        let name = format!("spiffe-ca-{domain}.pem");
        let text = state.secret(&name, || {
            let key = ServiceKey::generate(KeyKind::EcdsaP256)?;
            let certificate = authority(domain, &key, now)?;
            Ok(key.to_pem() + &encode_pem("CERTIFICATE", &certificate))
        })?;
        let key = ServiceKey::from_pem(&text)?;
        let blocks = pem::parse_many(&text).map_err(Error::make("the SPIFFE authority"))?;
        let certificate = blocks
            .into_iter()
            .find(|block| block.tag() == "CERTIFICATE")
            .ok_or_else(|| Error::make("the SPIFFE authority")("its certificate is missing"))?
            .into_contents();
        Ok(Self { key, certificate })
    }

    /// The authority's own certificate, in DER: the trust domain's bundle.
    pub(super) fn bundle(&self) -> &[u8] {
        &self.certificate
    }

    pub(super) fn issue(&self, id: &SpiffeId, now: SystemTime) -> Result<SignedX509, Error> {
        let key = ServiceKey::generate(KeyKind::EcdsaP256)?;
        let usages = KeyUsages::DigitalSignature | KeyUsages::KeyAgreement;
        let purposes = ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH]);
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        let request = Request {
            issuer: parse_name(AUTHORITY_NAME)?,
            subject: parse_name(LEAF_NAME)?,
            spki: key.public_key().spki(),
            not_before: whole_seconds(now).checked_sub(BACKDATE).unwrap_or(now),
            life: LEAF_LIFE + BACKDATE,
            extensions: vec![
                key_usage(usages)?,
                extension(ID_CE_EXT_KEY_USAGE, false, &purposes)?,
                extension(ID_CE_BASIC_CONSTRAINTS, true, &constraints)?,
                authority_key_id(self.key.public_key().spki())?,
                name(id)?,
            ],
        };
        let certificate = der(&sign(tbs(request, &self.key)?, &self.key)?)?;
        let private_key = pem::parse(key.to_pem()).map_err(Error::make("an X.509-SVID"))?;
        Ok(SignedX509 { certificate, private_key: private_key.into_contents() })
    }
}

fn authority(domain: &TrustDomain, key: &ServiceKey, now: SystemTime) -> Result<Vec<u8>, Error> {
    let constraints = BasicConstraints { ca: true, path_len_constraint: None };
    let request = Request {
        issuer: parse_name(AUTHORITY_NAME)?,
        subject: parse_name(AUTHORITY_NAME)?,
        spki: key.public_key().spki(),
        not_before: whole_seconds(now).checked_sub(HEAD_START).unwrap_or(now),
        life: AUTHORITY_LIFE,
        extensions: vec![
            key_usage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)?,
            extension(ID_CE_BASIC_CONSTRAINTS, true, &constraints)?,
            authority_key_id(key.public_key().spki())?,
            name(&domain.id())?,
        ],
    };
    der(&sign(tbs(request, key)?, key)?)
}

/// The one URI name that makes a certificate an SVID.
fn name(id: &SpiffeId) -> Result<Extension, Error> {
    let uri = Ia5String::new(id.as_str()).map_err(Error::make("a SPIFFE ID"))?;
    let names = SubjectAltName(vec![GeneralName::UniformResourceIdentifier(uri)]);
    extension(SUBJECT_ALT_NAME, false, &names)
}
