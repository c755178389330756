//! The API server of a cluster, as far as a pod asks it for a token (TokenRequest).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
use der::asn1::{Ia5String, OctetString};
use host::Clock;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio_rustls::rustls;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{KeyUsages, SubjectAltName};

use super::claims;
use super::misbehaviour::Misbehaviour;
use crate::certificate::{
    self, HEAD_START, Request as Certified, Role, SUBJECT_ALT_NAME, authority_key_id, der,
    extended_key_usage, extension, key_usage, parse_name, sign, tbs, whole_seconds,
};
use crate::issuer::Issuer;
use crate::key::{KeyKind, ServiceKey, encode_pem};
use crate::service::{Service, json_answer};
use crate::{Error, State};

/// The audience of the token that every pod has.
pub(crate) const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// The shortest life that a request may name, in seconds.
const SHORTEST: u64 = 600;

/// The server, which knows one service account.
pub(crate) struct ApiServer {
    issuer: Arc<Issuer>,
    misbehaviour: Misbehaviour,
    clock: Arc<dyn Clock>,
}

impl ApiServer {
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        misbehaviour: Misbehaviour,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { issuer, misbehaviour, clock }
    }

    /// The token that is mounted into every pod. It is for the API server, not for others.
    pub(crate) fn own_token(&self) -> Result<String, Error> {
        let audience = json!([API_AUDIENCE]);
        let now = self.clock.now();
        self.issuer.mint_living(&audience, &claims::kubernetes(), Duration::from_secs(3607), now)
    }

    /// A token that the cluster mounts for `audience`.
    pub(crate) fn projected_token(&self, audience: &str) -> Result<String, Error> {
        let now = self.clock.now();
        let life = Duration::from_secs(SHORTEST);
        self.issuer.mint_living(&json!([audience]), &claims::kubernetes(), life, now)
    }

    fn token_request(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let kind = (body.get("apiVersion"), body.get("kind"));
        if kind != (Some(&json!("authentication.k8s.io/v1")), Some(&json!("TokenRequest"))) {
            return status(StatusCode::BAD_REQUEST, "BadRequest", "expected a TokenRequest");
        }
        let life = body.pointer("/spec/expirationSeconds").and_then(Value::as_u64).unwrap_or(3600);
        if life < SHORTEST {
            let message = "spec.expirationSeconds: Invalid value: may not specify a duration less \
                           than 10 minutes";
            return status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        }
        let own = json!([API_AUDIENCE]);
        let audiences = body.pointer("/spec/audiences").unwrap_or(&own);
        let now = self.clock.now();
        let life = Duration::from_secs(life);
        match self.issuer.mint_living(audiences, &claims::kubernetes(), life, now) {
            Ok(token) => {
                let end = now.checked_add(life).unwrap_or(now);
                let end = jiff::Timestamp::try_from(whole_seconds(end)).unwrap_or_default();
                json_answer(
                    StatusCode::CREATED,
                    &json!({
                        "apiVersion": "authentication.k8s.io/v1",
                        "kind": "TokenRequest",
                        "spec": body.get("spec"),
                        "status": { "expirationTimestamp": end.to_string(), "token": token },
                    }),
                )
            }
            Err(error) => {
                status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string())
            }
        }
    }
}

impl Service for ApiServer {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (namespace, account) = claims::SERVICE_ACCOUNT;
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = given.and_then(|given| given.strip_prefix("Bearer "));
        if !bearer.is_some_and(|token| self.issuer.verifies(token)) {
            return status(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
        }
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        if request.uri().path() != path || request.method() != Method::POST {
            return status(StatusCode::NOT_FOUND, "NotFound", "not found");
        }
        if self.misbehaviour.has(crate::Fault::IdentityForbidden) {
            let message = format!(
                "serviceaccounts {account:?} is forbidden: User \
                 \"system:serviceaccount:{namespace}:{account}\" cannot create resource \
                 \"serviceaccounts/token\" in API group \"\" in the namespace {namespace:?}"
            );
            return status(StatusCode::FORBIDDEN, "Forbidden", &message);
        }
        self.misbehaviour.instead(&request).unwrap_or_else(|| self.token_request(&request))
    }
}

/// An error as the API server writes it.
fn status(code: StatusCode, reason: &str, message: &str) -> Response<Bytes> {
    json_answer(
        code,
        &json!({
            "apiVersion": "v1",
            "code": code.as_u16(),
            "kind": "Status",
            "message": message,
            "reason": reason,
            "status": "Failure",
        }),
    )
}

/// How the API server shows that it is the cluster's.
pub(crate) struct ClusterTls {
    /// The cluster's certificate authority, as pods have it in `ca.crt`.
    pub(crate) authority: String,
    pub(crate) config: Arc<rustls::ServerConfig>,
}

impl ClusterTls {
    /// The authority and the server's certificate are kept in `state`.
    pub(crate) fn new(now: SystemTime, address: IpAddr, state: &State) -> Result<Self, Error> {
        let text = state.secret("cluster.pem", || {
            let (authority, key) = (
                ServiceKey::generate(KeyKind::EcdsaP256)?,
                ServiceKey::generate(KeyKind::EcdsaP256)?,
            );
            let names = (AUTHORITY, &authority);
            let root = certificate::authority(AUTHORITY, &authority, Role::Root, names, now)?;
            let leaf = leaf(&authority, &key, address, now)?;
            Ok(key.to_pem()
                + &encode_pem("CERTIFICATE", &leaf)
                + &encode_pem("CERTIFICATE", &der(&root)?))
        })?;
        let wrong = Error::make("the cluster's TLS");
        let blocks = pem::parse_many(&text).map_err(wrong)?;
        let [key, leaf, root] = blocks.as_slice() else {
            return Err(Error::make("the cluster's TLS")("expected a key and two certificates"));
        };
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.contents().to_vec());
        let leaf = rustls::pki_types::CertificateDer::from(leaf.contents().to_vec());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::make("the cluster's TLS"))?
            .with_no_client_auth()
            .with_single_cert(vec![leaf], key.into())
            .map_err(Error::make("the cluster's TLS"))?;
        let authority = encode_pem("CERTIFICATE", root.contents());
        Ok(Self { authority, config: Arc::new(config) })
    }
}

fn leaf(
    authority: &ServiceKey,
    key: &ServiceKey,
    address: IpAddr,
    now: SystemTime,
) -> Result<Vec<u8>, Error> {
    let wrong = Error::make("the cluster's certificate");
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let build = || {
        Ok::<_, der::Error>(SubjectAltName(vec![
            GeneralName::DnsName(Ia5String::new("kubernetes.default.svc")?),
            GeneralName::DnsName(Ia5String::new("localhost")?),
            GeneralName::IpAddress(OctetString::new(octets)?),
        ]))
    };
    let names = build().map_err(wrong)?;
    let request = Certified {
        issuer: parse_name(AUTHORITY)?,
        subject: parse_name("CN=kube-apiserver")?,
        spki: key.public_key().spki(),
        not_before: whole_seconds(now).checked_sub(HEAD_START).unwrap_or(now),
        life: certificate::AUTHORITY_LIFE,
        extensions: vec![
            key_usage(KeyUsages::DigitalSignature)?,
            extended_key_usage(false, ID_KP_SERVER_AUTH)?,
            authority_key_id(authority.public_key().spki())?,
            extension(SUBJECT_ALT_NAME, false, &names)?,
        ],
    };
    der(&sign(tbs(request, authority)?, authority)?)
}

const AUTHORITY: &str = "CN=sandbox cluster";
