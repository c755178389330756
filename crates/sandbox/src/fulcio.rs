//! Fulcio v2: a certificate for a caller with an identity token and a proof that it holds the key.
//!
//! What it refuses, in which order and in which words, was recorded from the real one.

mod issuer;
mod proof;
mod template;
mod token;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use bytes::Bytes;
use host::Clock;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use keys::PublicKey;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::issuer::Principal;
use crate::ca::{Authority, Identity};
use crate::ct::CtLog;
use crate::fault::{Fault, Faults};
use crate::issuer::IssuerKeys;
use crate::key::encode_pem;
use crate::service::{Service, answer, gateway_error, json_answer, not_found};

pub use self::issuer::{IssuerKind, TrustedIssuer};
pub use self::template::CiProvider;

/// The largest request body taken, in bytes. Rekor v2 has the same.
pub(crate) const BODY_CAP: usize = 4 << 20;

/// Every leaf lives ten minutes.
const LEAF_LIFE: Duration = Duration::from_secs(600);
const HALF_AN_HOUR: Duration = Duration::from_secs(1800);
/// How many issued certificates are remembered.
const REMEMBERED: usize = 1000;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A Fulcio.
pub struct Fulcio {
    authority: Authority,
    log: Arc<CtLog>,
    faults: Faults,
    issuers: Vec<TrustedIssuer>,
    keys: Arc<dyn IssuerKeys>,
    clock: Arc<dyn Clock>,
    issued: Mutex<VecDeque<Issued>>,
}

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: SystemTime,
}

impl Fulcio {
    /// A Fulcio that issues from `authority`, promises each certificate to `log`, and takes tokens
    /// of `issuers`, whose keys it learns from `keys`.
    pub fn new(
        authority: Authority,
        log: Arc<CtLog>,
        issuers: Vec<TrustedIssuer>,
        keys: Arc<dyn IssuerKeys>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (faults, issued) = (Faults::default(), Mutex::default());
        Self { authority, log, faults, issuers, keys, clock, issued }
    }

    /// Misbehaves in those of `faults` that concern it.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// The authority it issues from.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The CT log that its certificates are promised to.
    pub fn ct_log(&self) -> &CtLog {
        &self.log
    }

    /// The issuers whose tokens it takes.
    pub fn issuers(&self) -> &[TrustedIssuer] {
        &self.issuers
    }

    /// The latest certificates, the newest first; at most [`REMEMBERED`].
    pub(crate) fn issued(&self) -> Vec<Issued> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.iter().rev().cloned().collect()
    }

    /// What it certifies for the holder of a token of `issuer` with these claims, if it does.
    pub(crate) fn subject(&self, issuer: &str, claims: &Map<String, Value>) -> Option<String> {
        let trusted = self.issuers.iter().find(|trusted| trusted.matches(issuer))?;
        let mut claims = claims.clone();
        claims.insert("iss".to_owned(), issuer.into());
        Some(trusted.principal(&claims)?.identity.ok()?.san.text().to_owned())
    }

    fn remember(&self, identity: &Identity, not_before: SystemTime) {
        let issuer = identity.extensions.iter().find(|(arc, _)| *arc == 8);
        let issuer = issuer.map(|(_, issuer)| issuer.clone()).unwrap_or_default();
        let subject = identity.san.text().to_owned();
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.push_back(Issued { subject, issuer, not_before });
        while issued.len() > REMEMBERED {
            issued.pop_front();
        }
    }

    fn sign(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refused> {
        if request.body().len() > BODY_CAP {
            return Err(Refused::invalid("http: request body too large"));
        }
        let wanted = parse(request.body())?;
        let principal = self
            .principal(&wanted, request.headers())
            .ok_or_else(|| Refused::invalid("There was an error processing the identity token"))?;
        let key = prove(&wanted, request.body(), &principal)?;
        let identity = principal.identity.map_err(Refused::invalid)?;
        let has = |fault| self.faults.contains(&fault);
        let log = (!has(Fault::CertificatesUnlogged)).then_some(&*self.log);
        let identity = identity.altered(&self.faults);
        let validity = self.validity();
        let leaf = self
            .authority
            .issue(&identity, key.spki(), log, validity)
            .map_err(|_| Refused::internal())?;
        self.remember(&identity, validity.0);
        let mut chain = vec![encode_pem("CERTIFICATE", &leaf)];
        chain.extend(self.authority.chain_pem().map_err(|_| Refused::internal())?);
        let chain: Vec<&str> = chain.iter().map(|pem| pem.trim()).collect();
        let chain = json!({ "certificates": chain });
        let answer = match log {
            Some(_) => json!({ "signedCertificateEmbeddedSct": { "chain": chain } }),
            None => json!({
                "signedCertificateDetachedSct": { "chain": chain, "signedCertificateTimestamp": "" }
            }),
        };
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// When a certificate that is issued now begins, and how long it lasts.
    fn validity(&self) -> (SystemTime, Duration) {
        let now = self.clock.now();
        let has = |fault| self.faults.contains(&fault);
        let begin = if has(Fault::CertificateExpired) {
            now.checked_sub(HALF_AN_HOUR)
        } else if has(Fault::CertificateNotYetValid) {
            now.checked_add(DAY)
        } else {
            Some(now)
        };
        let life = if has(Fault::CertificateTenYears) { DAY * 3650 } else { LEAF_LIFE };
        (begin.unwrap_or(now), life)
    }

    fn principal(&self, wanted: &CertificateRequest, headers: &HeaderMap) -> Option<Principal> {
        let inside = wanted.credentials.as_ref().and_then(|c| c.oidc_identity_token.as_deref());
        let token = match inside {
            Some(token) if !token.is_empty() => token,
            _ => bearer(headers)?,
        };
        let now = self.clock.now();
        let (issuer, claims) = token::check(token, &self.issuers, &*self.keys, now)?;
        issuer.principal(&claims)
    }

    fn trust_bundle(&self) -> Response<Bytes> {
        match self.authority.chain_pem() {
            Ok(chain) => {
                json_answer(StatusCode::OK, &json!({ "chains": [{ "certificates": chain }] }))
            }
            Err(_) => Refused::internal().answer(),
        }
    }

    fn configuration(&self) -> Response<Bytes> {
        let issuers: Vec<Value> = self.issuers.iter().map(TrustedIssuer::to_json).collect();
        json_answer(StatusCode::OK, &json!({ "issuers": issuers }))
    }
}

impl Service for Fulcio {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let route = request.uri().path();
        let method = match route {
            "/api/v2/signingCert" => Method::POST,
            "/api/v2/trustBundle" | "/api/v2/configuration" | "/healthz" => Method::GET,
            _ => return not_found(),
        };
        if request.method() != method {
            return gateway_error(StatusCode::NOT_IMPLEMENTED, 12, "Method Not Allowed");
        }
        match route {
            "/api/v2/signingCert" => self.sign(&request).unwrap_or_else(|refused| refused.answer()),
            "/api/v2/trustBundle" => self.trust_bundle(),
            "/api/v2/configuration" => self.configuration(),
            _ => answer(StatusCode::OK, "application/json", "{\"status\":\"SERVING\"}\n"),
        }
    }
}

/// Why there is no certificate.
struct Refused {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Refused {
    fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: 3, message: message.into() }
    }

    fn internal() -> Self {
        let message = "error communicating with CA backend".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: 13, message }
    }

    fn answer(&self) -> Response<Bytes> {
        gateway_error(self.status, self.code, &self.message)
    }
}

/// `CreateSigningCertificateRequest`; unknown fields are ignored.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CertificateRequest {
    credentials: Option<Credentials>,
    #[serde(alias = "public_key_request")]
    public_key_request: Option<PublicKeyRequest>,
    #[serde(alias = "certificate_signing_request")]
    certificate_signing_request: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Credentials {
    #[serde(alias = "oidc_identity_token")]
    oidc_identity_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PublicKeyRequest {
    #[serde(alias = "public_key")]
    public_key: Option<WantedKey>,
    #[serde(alias = "proof_of_possession")]
    proof_of_possession: Option<String>,
}

/// The algorithm beside the key is not looked at: the key says what it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WantedKey {
    content: Option<String>,
}

fn parse(body: &[u8]) -> Result<CertificateRequest, Refused> {
    // The gateway takes an empty body for an empty message.
    if body.is_empty() {
        return Ok(CertificateRequest::default());
    }
    let wanted: CertificateRequest = serde_json::from_slice(body).map_err(|error| {
        Refused::invalid(if error.is_eof() {
            "unexpected EOF".to_owned()
        } else {
            format!("proto: syntax error (line {}:{})", error.line(), error.column())
        })
    })?;
    if wanted.public_key_request.is_some() && wanted.certificate_signing_request.is_some() {
        let message = "proto: error parsing \"publicKeyRequest\", oneof \
                       dev.sigstore.fulcio.v2.CreateSigningCertificateRequest.key is already set";
        return Err(Refused::invalid(message));
    }
    // Bytes are decoded with the message, before anything is looked at.
    if let Some(request) = &wanted.certificate_signing_request {
        bytes_field(body, "certificateSigningRequest", request)?;
    }
    Ok(wanted)
}

fn prove(
    wanted: &CertificateRequest,
    body: &[u8],
    principal: &Principal,
) -> Result<PublicKey, Refused> {
    let proven = match &wanted.certificate_signing_request {
        Some(csr) if !csr.is_empty() => {
            proof::from_csr(&bytes_field(body, "certificateSigningRequest", csr)?)
        }
        _ => {
            let request = wanted.public_key_request.as_ref();
            let key = request.and_then(|request| request.public_key.as_ref()?.content.as_deref());
            let proof = request.and_then(|request| request.proof_of_possession.as_deref());
            let proof = bytes_field(body, "proofOfPossession", proof.unwrap_or_default())?;
            proof::from_public_key(key.unwrap_or_default(), &principal.proof_text, &proof)
        }
    };
    proven.map_err(|refusal| Refused::invalid(refusal.message()))
}

/// The bytes of a field, or protobuf's complaint about it.
fn bytes_field(body: &[u8], field: &str, value: &str) -> Result<Vec<u8>, Refused> {
    decode_proto_bytes(value).ok_or_else(|| {
        let quoted = Value::from(value).to_string();
        let text = String::from_utf8_lossy(body);
        let column = text.find(&quoted).map_or(1, |offset| offset + 1);
        let message =
            format!("proto: (line 1:{column}): invalid value for bytes field {field}: {quoted}");
        Refused::invalid(message)
    })
}

/// Bytes as protobuf's JSON reads them: either base64 alphabet, padded or not.
pub(crate) fn decode_proto_bytes(text: &str) -> Option<Vec<u8>> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet =
        if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, lenient).decode(text).ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_from_either_alphabet() {
        for text in ["+/8=", "-_8=", "-_8", "+/8"] {
            assert_eq!(decode_proto_bytes(text).as_deref(), Some(&[0xfb, 0xff][..]), "{text}");
        }
        assert_eq!(decode_proto_bytes("***"), None);
    }

    #[test]
    fn a_field_that_is_no_base64_is_named_with_its_place() {
        let body = br#"{"certificateSigningRequest": "***"}"#;
        let refused = parse(body).err().unwrap();
        assert_eq!(
            refused.message,
            "proto: (line 1:31): invalid value for bytes field certificateSigningRequest: \"***\""
        );
    }
}
