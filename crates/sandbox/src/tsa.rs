//! A timestamp authority (RFC 3161).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::db::rfc5280::ID_KP_TIME_STAMPING;
use const_oid::db::rfc5911::{ID_CONTENT_TYPE, ID_MESSAGE_DIGEST, ID_SIGNED_DATA, ID_SIGNING_TIME};
use const_oid::db::rfc5912::{ID_SHA_256, ID_SHA_384, ID_SHA_512};
use der::asn1::{Any, Int, OctetString, SetOfVec};
use der::{Decode as _, Encode, Sequence};
use host::Clock;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use keys::HashAlgorithm;
use serde::Deserialize;
use serde_json::json;
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier};
use x509_cert::attr::Attribute;
use x509_cert::certificate::Certificate;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::serial_number::SerialNumber;
use x509_tsp::{Accuracy, MessageImprint, TimeStampReq, TspVersion, TstInfo};

use crate::Error;
use crate::ca::certificates_from_pem;
use crate::certificate::{self, Role};
use crate::key::{KeyKind, ServiceKey, encode_pem};
use crate::service::json_line;
use crate::service::{Service, answer};

const ROOT_NAME: &str = "CN=sandbox TSA root,O=sigstore-sandbox";
const INTERMEDIATE_NAME: &str = "CN=sandbox TSA intermediate,O=sigstore-sandbox";
const LEAF_NAME: &str = "CN=sandbox TSA,O=sigstore-sandbox";
/// Sigstore's policy, the only one taken.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");
const ID_CT_TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const BODY_CAP: usize = 1 << 20;
const JSON_CAP: usize = 1024;
const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";
const CERTCHAIN: &str = "/api/v1/timestamp/certchain";

/// A timestamp authority whose chain has a leaf, an intermediate and a root.
pub struct Tsa {
    key: ServiceKey,
    /// Leaf first.
    chain: Vec<Certificate>,
    clock: Arc<dyn Clock>,
}

impl Tsa {
    /// A new key and its chain, valid from an hour before `now`, as PEM for
    /// [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate_pem(now: SystemTime) -> Result<String, Error> {
        let keys = [(); 3].map(|()| ServiceKey::generate(KeyKind::EcdsaP256));
        let [root_key, intermediate_key, key] = keys;
        let (root_key, intermediate_key, key) = (root_key?, intermediate_key?, key?);
        let by_root = (ROOT_NAME, &root_key);
        let root = certificate::authority(ROOT_NAME, &root_key, Role::Root, by_root, now)?;
        let role = Role::Intermediate(ID_KP_TIME_STAMPING);
        let intermediate =
            certificate::authority(INTERMEDIATE_NAME, &intermediate_key, role, by_root, now)?;
        let request = certificate::Request {
            issuer: certificate::parse_name(INTERMEDIATE_NAME)?,
            subject: certificate::parse_name(LEAF_NAME)?,
            spki: key.public_key().spki(),
            not_before: certificate::whole_seconds(now) - certificate::HEAD_START,
            life: certificate::AUTHORITY_LIFE,
            extensions: vec![
                certificate::key_usage(KeyUsages::DigitalSignature)?,
                certificate::authority_key_id(intermediate_key.public_key().spki())?,
                certificate::extended_key_usage(true, ID_KP_TIME_STAMPING)?,
            ],
        };
        let tbs = certificate::tbs(request, &intermediate_key)?;
        let leaf = certificate::sign(tbs, &intermediate_key)?;
        let mut text = key.to_pem();
        for certificate in [leaf, intermediate, root] {
            text.push_str(&encode_pem("CERTIFICATE", &certificate::der(&certificate)?));
        }
        Ok(text)
    }

    /// The authority of a key and a chain as [`generate_pem`](Self::generate_pem) writes them.
    ///
    /// # Errors
    /// The text holds no usable key, or no certificate.
    pub fn from_pem(text: &str, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let key = ServiceKey::from_pem(text)?;
        let chain = certificates_from_pem(text)?;
        if chain.is_empty() {
            return Err(Error::make("the timestamp authority")("expected its certificates"));
        }
        Ok(Self { key, chain, clock })
    }

    /// The chain as DER, leaf first.
    ///
    /// # Errors
    /// None that is known: the certificates were encoded before.
    pub fn chain_der(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.chain.iter().map(certificate::der).collect()
    }

    fn certchain(&self) -> Response<Bytes> {
        match self.chain_der() {
            Ok(chain) => {
                let pem: String = chain.iter().map(|der| encode_pem("CERTIFICATE", der)).collect();
                answer(StatusCode::OK, "application/pem-certificate-chain", pem)
            }
            Err(_) => failure(500, 500, "error retrieving the certificate chain", false),
        }
    }

    fn stamp(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let body = request.body();
        if body.is_empty() {
            return failure(422, 602, "request in body is required", false);
        }
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let wanted = match media_type {
            QUERY => wanted_from_der(body),
            "application/json" => wanted_from_json(body),
            other => {
                let other = if other.is_empty() { "application/octet-stream" } else { other };
                let message = format!(
                    "unsupported media type \"{other}\", only [{QUERY} application/json] are allowed"
                );
                return failure(415, 415, &message, false);
            }
        };
        match wanted.and_then(|wanted| self.reply(&wanted).map_err(|_| UNREADABLE)) {
            Ok(reply) => answer(StatusCode::OK, REPLY, reply),
            Err(message) => failure(400, 400, message, true),
        }
    }

    /// A whole TimeStampResp.
    fn reply(&self, wanted: &TimestampRequest) -> Result<Vec<u8>, Error> {
        let now = certificate::whole_seconds(self.clock.now());
        let leaf = &self.chain[0];
        let make = || Error::make("a timestamp");
        let serial = certificate::serial().map_err(make())?;
        let subject = leaf.tbs_certificate.subject.clone();
        let info = TstInfo {
            version: TspVersion::V1,
            policy: POLICY,
            message_imprint: wanted.imprint.clone(),
            serial_number: Int::new(&serial).map_err(make())?,
            gen_time: certificate::generalized_time(now)?,
            accuracy: Some(Accuracy { seconds: Some(1), millis: None, micros: None }),
            ordering: false,
            nonce: wanted.nonce.clone(),
            tsa: Some(GeneralName::DirectoryName(subject)),
            extensions: None,
        };
        let info = certificate::der(&info)?;
        let signer = self.sign(&info, leaf, now)?;
        let build = || {
            let certificates = if wanted.certificate {
                vec![CertificateChoices::Certificate(leaf.clone())]
            } else {
                // The real one leaves an empty set behind, too.
                Vec::new()
            };
            let econtent = Any::encode_from(&OctetString::new(info.as_slice())?)?;
            let signed = SignedData {
                version: CmsVersion::V3,
                digest_algorithms: SetOfVec::try_from(vec![sha256()])?,
                encap_content_info: EncapsulatedContentInfo {
                    econtent_type: ID_CT_TST_INFO,
                    econtent: Some(econtent),
                },
                certificates: Some(CertificateSet::try_from(certificates)?),
                crls: None,
                signer_infos: SignerInfos::try_from(vec![signer])?,
            };
            let token =
                ContentInfo { content_type: ID_SIGNED_DATA, content: Any::encode_from(&signed)? };
            Reply { status: Status { status: GRANTED }, token }.to_der()
        };
        build().map_err(make())
    }

    fn sign(&self, info: &[u8], leaf: &Certificate, now: SystemTime) -> Result<SignerInfo, Error> {
        let issuer = leaf.tbs_certificate.issuer.clone();
        let serial_number = leaf.tbs_certificate.serial_number.clone();
        let leaf_hash = keys::sha256(&certificate::der(leaf)?);
        let signing_time = certificate::time(now)?;
        let attributes = || {
            let certificate = SigningCertificateV2 {
                certificates: vec![EssCertIdV2 {
                    hash: OctetString::new(leaf_hash)?,
                    issuer_serial: IssuerSerial {
                        issuer: vec![GeneralName::DirectoryName(issuer.clone())],
                        serial_number: serial_number.clone(),
                    },
                }],
            };
            SetOfVec::try_from(vec![
                attribute(ID_CONTENT_TYPE, &ID_CT_TST_INFO)?,
                attribute(ID_SIGNING_TIME, &signing_time)?,
                attribute(ID_MESSAGE_DIGEST, &OctetString::new(keys::sha256(info))?)?,
                attribute(SIGNING_CERTIFICATE_V2, &certificate)?,
            ])
        };
        let attributes = attributes().map_err(Error::make("a timestamp"))?;
        // The signature is over the attributes as a SET OF, not under their tag (RFC 5652 5.4).
        let signature = self.key.sign_message(&certificate::der(&attributes)?)?;
        Ok(SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer,
                serial_number,
            }),
            digest_alg: sha256(),
            signed_attrs: Some(attributes),
            signature_algorithm: self.key.signature_algorithm(),
            signature: certificate::octets(&signature)?,
            unsigned_attrs: None,
        })
    }
}

impl fmt::Debug for Tsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tsa").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Service for Tsa {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let method = match path {
            "/api/v1/timestamp" => Method::POST,
            CERTCHAIN | "/ping" => Method::GET,
            _ => return failure(404, 404, &format!("path {path} was not found"), false),
        };
        if request.method() != method {
            let message = format!("method {} is not allowed, but [{method}] are", request.method());
            return failure(405, 405, &message, false);
        }
        match path {
            CERTCHAIN => self.certchain(),
            "/ping" => answer(StatusCode::OK, "text/plain", "."),
            _ => self.stamp(&request),
        }
    }
}

/// What is to be stamped.
#[derive(Debug)]
struct TimestampRequest {
    imprint: MessageImprint,
    nonce: Option<Int>,
    certificate: bool,
}

const UNREADABLE: &str = "Error generating timestamp response";
const WEAK_HASH: &str = "Weak hash algorithm in timestamp request";
const WRONG_LENGTH: &str = "Message digest has incorrect length for specified algorithm";
const OTHER_POLICY: &str = "unaccepted policy: requested TSA policy is not supported by the TSA";
const EXTENSIONS: &str = "unaccepted extension: requested extensions are not supported by the TSA";
const TOO_LARGE: &str = "timestamp request is too large";

fn wanted_from_der(body: &[u8]) -> Result<TimestampRequest, &'static str> {
    if body.len() > BODY_CAP {
        return Err(UNREADABLE);
    }
    let request = TimeStampReq::from_der(body).map_err(|_| UNREADABLE)?;
    let algorithm = match request.message_imprint.hash_algorithm.oid {
        ID_SHA_256 => HashAlgorithm::Sha256,
        ID_SHA_384 => HashAlgorithm::Sha384,
        ID_SHA_512 => HashAlgorithm::Sha512,
        _ => return Err(WEAK_HASH),
    };
    if request.message_imprint.hashed_message.as_bytes().len() != algorithm.len() {
        return Err(WRONG_LENGTH);
    }
    if request.req_policy.is_some_and(|policy| policy != POLICY) {
        return Err(OTHER_POLICY);
    }
    if request.extensions.is_some() {
        return Err(EXTENSIONS);
    }
    let TimeStampReq { message_imprint: imprint, nonce, cert_req: certificate, .. } = request;
    Ok(TimestampRequest { imprint, nonce, certificate })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRequest {
    artifact_hash: String,
    hash_algorithm: String,
    #[serde(default)]
    certificates: bool,
    nonce: Option<i64>,
    #[serde(rename = "tsaPolicyOID")]
    policy: Option<String>,
}

fn wanted_from_json(body: &[u8]) -> Result<TimestampRequest, &'static str> {
    if body.len() > JSON_CAP {
        return Err(TOO_LARGE);
    }
    let request: JsonRequest = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    let algorithm = HashAlgorithm::from_name(&request.hash_algorithm).ok_or(WEAK_HASH)?;
    let hash = STANDARD.decode(&request.artifact_hash).map_err(|_| UNREADABLE)?;
    if hash.len() != algorithm.len() {
        return Err(WRONG_LENGTH);
    }
    let policy = request.policy.filter(|policy| !policy.is_empty());
    if policy.is_some_and(|policy| policy != POLICY.to_string()) {
        return Err(OTHER_POLICY);
    }
    let oid = match algorithm {
        HashAlgorithm::Sha256 => ID_SHA_256,
        HashAlgorithm::Sha384 => ID_SHA_384,
        HashAlgorithm::Sha512 => ID_SHA_512,
    };
    let build = || {
        let hash_algorithm = AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) };
        let hashed_message = OctetString::new(hash.as_slice())?;
        let nonce = request.nonce.map(|nonce| Int::from_der(&nonce.to_der()?)).transpose()?;
        let imprint = MessageImprint { hash_algorithm, hashed_message };
        Ok(TimestampRequest { imprint, nonce, certificate: request.certificates })
    };
    build().map_err(|_: der::Error| UNREADABLE)
}

/// TimeStampResp, granted.
#[derive(Sequence)]
struct Reply {
    status: Status,
    token: ContentInfo,
}

#[derive(Sequence)]
struct Status {
    status: u8,
}

const GRANTED: u8 = 0;

/// RFC 5035 3. The hash algorithm is left out: it is SHA-256.
#[derive(Sequence)]
struct SigningCertificateV2 {
    certificates: Vec<EssCertIdV2>,
}

#[derive(Sequence)]
struct EssCertIdV2 {
    hash: OctetString,
    issuer_serial: IssuerSerial,
}

#[derive(Sequence)]
struct IssuerSerial {
    issuer: GeneralNames,
    serial_number: SerialNumber,
}

fn attribute(oid: ObjectIdentifier, value: &(impl Encode + der::Tagged)) -> der::Result<Attribute> {
    let value = Any::from_der(&value.to_der()?)?;
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: ID_SHA_256, parameters: None }
}

/// An error as go-openapi servers tell it. Those of the handler itself keep the reply's type.
fn failure(status: u16, code: u32, message: &str, by_handler: bool) -> Response<Bytes> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = json_line(status, &json!({ "code": code, "message": message }));
    if by_handler {
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(REPLY));
    }
    response
}
