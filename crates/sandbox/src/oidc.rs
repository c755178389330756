//! OIDC issuers: discovery, keys, and tokens for whoever asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::Clock;
use http::{Method, Request, Response, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Map, Value, json};

use crate::certificate::unix_seconds;
use crate::key::{KeyKind, ServiceKey};
use crate::login::{LoginPage, Logins};
use crate::service::{Service, answer, json_answer, not_found};
use crate::{Error, Fault, State};

/// How long a token lives; GitHub's and SPIRE's default.
pub const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// The keys of issuers, as discovery would find them.
pub trait IssuerKeys: Send + Sync {
    /// The JSON Web Key Set of the issuer whose URL is exactly `issuer`, and the algorithms it
    /// advertises; `None` when discovery finds no such issuer.
    fn keys(&self, issuer: &str) -> Option<(Value, Vec<String>)>;
}

/// One issuer: a URL, and a key that signs with ES256.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    pair: EcdsaKeyPair,
    key_id: String,
    faults: BTreeSet<Fault>,
}

impl Issuer {
    /// The issuer at `url`, whose key is kept in `state` under `name`.
    ///
    /// # Errors
    /// The key cannot be made or read.
    pub fn new(url: impl Into<String>, name: &str, state: &State) -> Result<Self, Error> {
        let pem = state.secret(&format!("{name}.pem"), || {
            ServiceKey::generate(KeyKind::EcdsaP256).map(|key| key.to_pem())
        })?;
        let document = pem::parse(pem).map_err(Error::make("an issuer's key"))?;
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            document.contents(),
            &SystemRandom::new(),
        )
        .map_err(|error| Error::make("an issuer's key")(error.to_string()))?;
        let id = keys::sha256(pair.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(&id[..16]);
        Ok(Self { url: url.into(), pair, key_id, faults: BTreeSet::new() })
    }

    /// Lets the issuer misbehave in those of these ways that are its own.
    #[must_use]
    pub fn with_faults(self, faults: &BTreeSet<Fault>) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// The URL, which is the `iss` of its tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Signs a token with these claims for `audience`, good from `now` on for [`TOKEN_LIFE`].
    /// Claims that are given win over those that are made here.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn mint(
        &self,
        audience: &Value,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<String, Error> {
        self.mint_living(audience, claims, TOKEN_LIFE, now)
    }

    /// As [`Self::mint`], with another life.
    pub(crate) fn mint_living(
        &self,
        audience: &Value,
        claims: &Map<String, Value>,
        life: Duration,
        now: SystemTime,
    ) -> Result<String, Error> {
        let mut all = self.registered(audience, life, now);
        if let Some(issued) = all.get("iat").cloned() {
            all.insert("nbf".to_owned(), issued);
        }
        all.insert("jti".to_owned(), hex(&random::<16>()?).into());
        all.extend(claims.clone());
        self.sign(&all)
    }

    /// Signs a JWT-SVID as SPIRE does: the audience is a list, and there is no `nbf` and no `jti`.
    pub(crate) fn mint_svid(
        &self,
        audiences: &[String],
        spiffe_id: &str,
        now: SystemTime,
    ) -> Result<String, Error> {
        let mut claims = self.registered(&json!(audiences), TOKEN_LIFE, now);
        if self.faults.contains(&Fault::TokenWithoutIssuer) {
            claims.remove("iss");
        }
        claims.insert("sub".to_owned(), spiffe_id.into());
        self.sign(&claims)
    }

    /// Signs exactly these claims.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, Error> {
        let header = json!({ "alg": "ES256", "kid": self.key_id, "typ": "JWT" });
        let claims = Value::Object(claims.clone());
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| Error::make("a token")("the system has no randomness"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether it signed `token`, whatever the claims.
    pub(crate) fn verifies(&self, token: &str) -> bool {
        let verified = token.rsplit_once('.').and_then(|(signed, signature)| {
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            let key =
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
            key.verify(signed.as_bytes(), &signature).ok()
        });
        verified.is_some()
    }

    /// The key set, as `jwks_uri` serves it.
    pub fn key_set(&self) -> Value {
        // An uncompressed point: 4, then both coordinates.
        let point = self.pair.public_key().as_ref();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
        json!({ "keys": [{
            "kty": "EC",
            "use": "sig",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": coordinate(1..33),
            "y": coordinate(33..65),
        }] })
    }

    /// The discovery document.
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/keys", self.url),
            "authorization_endpoint": format!("{}/authorize", self.url),
            "token_endpoint": format!("{}/token", self.url),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    fn registered(&self, audience: &Value, life: Duration, now: SystemTime) -> Map<String, Value> {
        let expired = self.faults.contains(&Fault::TokenExpired);
        let age = if expired { life + Duration::from_secs(60) } else { Duration::ZERO };
        let issued = unix_seconds(now).saturating_sub(age.as_secs());
        let other = self.faults.contains(&Fault::TokenForAnother);
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), self.url.as_str().into());
        claims.insert("aud".to_owned(), if other { json!("another") } else { audience.clone() });
        claims.insert("iat".to_owned(), issued.into());
        claims.insert("exp".to_owned(), issued.saturating_add(life.as_secs()).into());
        claims
    }
}

/// Several issuers at one address, told apart by the first segment of the path.
pub struct Oidc {
    base: String,
    issuers: Vec<(String, Arc<Issuer>)>,
    logins: Logins,
    clock: Arc<dyn Clock>,
}

impl Oidc {
    /// Issuers below `base`, none yet.
    pub fn new(base: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        let logins = Logins::new(LoginPage::default(), &BTreeSet::new());
        Self { base: base.into(), issuers: Vec::new(), logins, clock }
    }

    /// With this login page, and those of the faults that are its own.
    #[must_use]
    pub fn with_login(self, page: LoginPage, faults: &BTreeSet<Fault>) -> Self {
        Self { logins: Logins::new(page, faults), ..self }
    }

    /// Adds the issuer `base/name`, with a key of its own.
    ///
    /// # Errors
    /// The key cannot be made or read.
    pub fn add(
        &mut self,
        name: &str,
        faults: &BTreeSet<Fault>,
        state: &State,
    ) -> Result<Arc<Issuer>, Error> {
        let url = format!("{}/{name}", self.base);
        let issuer = Issuer::new(url, &format!("oidc-{name}"), state)?.with_faults(faults);
        let issuer = Arc::new(issuer);
        self.issuers.push((name.to_owned(), Arc::clone(&issuer)));
        Ok(issuer)
    }

    /// The issuer called `name`.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|(known, _)| known == name).map(|(_, issuer)| issuer)
    }

    /// `GET /NAME/token?aud=sigstore&sub=...`: a token with the claims of the query, as text.
    /// `true` and `false` are booleans, everything else is a string.
    fn token(&self, issuer: &Issuer, query: &str) -> Response<Bytes> {
        let mut claims = Map::new();
        let mut audience = json!("sigstore");
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = match &*value {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text => text.into(),
            };
            match &*name {
                "aud" | "audience" => audience = value,
                _ => drop(claims.insert(name.into_owned(), value)),
            }
        }
        match issuer.mint(&audience, &claims, self.clock.now()) {
            Ok(token) => answer(StatusCode::OK, "text/plain", token),
            Err(error) => {
                answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
            }
        }
    }
}

impl IssuerKeys for Oidc {
    fn keys(&self, issuer: &str) -> Option<(Value, Vec<String>)> {
        let (_, issuer) = self.issuers.iter().find(|(_, known)| known.url() == issuer)?;
        Some((issuer.key_set(), vec!["ES256".to_owned()]))
    }
}

impl Service for Oidc {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path().trim_start_matches('/');
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        let Some(issuer) = self.issuer(name) else { return not_found() };
        let login = self.logins.handle((name, issuer), rest, &request, self.clock.now());
        if let Some(answer) = login {
            return answer;
        }
        match (request.method(), rest) {
            (&Method::GET, ".well-known/openid-configuration") => {
                let mut document = issuer.discovery();
                self.logins.describe(name, issuer, &mut document);
                json_answer(StatusCode::OK, &document)
            }
            (&Method::GET, "keys") => json_answer(StatusCode::OK, &issuer.key_set()),
            (&Method::GET | &Method::POST, "token") => {
                self.token(issuer, request.uri().query().unwrap_or_default())
            }
            _ => not_found(),
        }
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    keys::random::<N>().map_err(Error::make("a random number"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use id_token::IdToken;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn oidc(faults: &[Fault]) -> Oidc {
        let mut oidc = Oidc::new("http://localhost:9", Arc::new(at(1000)));
        let faults = faults.iter().copied().collect();
        oidc.add("email", &faults, &State::in_memory()).unwrap();
        oidc
    }

    fn get(oidc: &Oidc, uri: &str) -> Response<Bytes> {
        oidc.handle(Request::get(uri).body(Bytes::new()).unwrap())
    }

    #[test]
    fn a_token_verifies_with_the_key_that_discovery_leads_to() {
        let oidc = oidc(&[]);
        let discovery = get(&oidc, "/email/.well-known/openid-configuration");
        let discovery: Value = serde_json::from_slice(discovery.body()).unwrap();
        assert_eq!(discovery["issuer"], "http://localhost:9/email");
        assert_eq!(discovery["jwks_uri"], "http://localhost:9/email/keys");
        let keys: Value = serde_json::from_slice(get(&oidc, "/email/keys").body()).unwrap();
        let token = get(&oidc, "/email/token?email=a%40b.example&email_verified=true");
        let token = String::from_utf8(token.body().to_vec()).unwrap();

        let (signed, signature) = token.rsplit_once('.').unwrap();
        let coordinate =
            |name: &str| URL_SAFE_NO_PAD.decode(keys["keys"][0][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();

        let token = IdToken::parse(&token).unwrap();
        assert_eq!(token.claims().issuer(), Some("http://localhost:9/email"));
        assert_eq!(token.claims().email(), Some("a@b.example"));
        assert_eq!(token.claims().get("email_verified"), Some(&Value::Bool(true)));
        assert_eq!(token.claims().audiences(), ["sigstore"]);
        assert_eq!(token.claims().expires_at(), Some(at(1300)));
    }

    #[test]
    fn faults_make_tokens_that_fulcio_refuses() {
        let oidc = oidc(&[Fault::TokenExpired, Fault::TokenForAnother]);
        let token = get(&oidc, "/email/token");
        let token = IdToken::parse(std::str::from_utf8(token.body()).unwrap()).unwrap();
        assert_eq!(token.claims().expires_at(), Some(at(940)));
        assert_eq!(token.claims().audiences(), ["another"]);
    }

    #[test]
    fn the_key_of_an_issuer_survives_a_restart() {
        let state = State::in_memory();
        let first = Issuer::new("http://localhost:9/email", "oidc-email", &state).unwrap();
        let second = Issuer::new("http://localhost:9/email", "oidc-email", &state).unwrap();
        assert_eq!(first.key_set(), second.key_set());
    }

    #[test]
    fn an_unknown_issuer_and_an_unknown_page_are_not_found() {
        let oidc = oidc(&[]);
        assert_eq!(get(&oidc, "/other/keys").status(), StatusCode::NOT_FOUND);
        assert_eq!(get(&oidc, "/email/other").status(), StatusCode::NOT_FOUND);
        assert!(oidc.keys("http://localhost:9/other").is_none());
    }
}
