//! OIDC issuers: discovery, keys, and tokens for every caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use host::Clock;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::issuer::{Issuer, IssuerKeys};
use crate::login::{LoginPage, Logins};
use crate::service::{Service, answer, json_answer, not_found};
use crate::{Error, Faults, State};

/// Several issuers at one address, told apart by the first segment of the path.
pub struct Oidc {
    base: String,
    issuers: Vec<(String, Arc<Issuer>)>,
    /// What tokens say unless they are asked for something else, by the name of the issuer.
    claims: BTreeMap<String, Map<String, Value>>,
    logins: Logins,
    clock: Arc<dyn Clock>,
}

impl Oidc {
    /// Issuers below `base`, none yet.
    pub fn new(base: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        let logins = Logins::new(LoginPage::default(), &Faults::default());
        Self { base: base.into(), issuers: Vec::new(), claims: BTreeMap::new(), logins, clock }
    }

    /// With this login page, and those of the faults that are its own.
    #[must_use]
    pub fn with_login(self, page: LoginPage, faults: &Faults) -> Self {
        Self { logins: Logins::new(page, faults), ..self }
    }

    /// Tokens of the issuer `name` have these claims unless a caller asks for others.
    pub fn set_claims(&mut self, name: &str, claims: Map<String, Value>) {
        self.claims.insert(name.to_owned(), claims);
    }

    /// Adds the issuer `base/name`, with a key of its own.
    ///
    /// # Errors
    /// The key cannot be made or read.
    pub fn add(
        &mut self,
        name: &str,
        faults: &Faults,
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

    /// `GET /NAME/token?aud=sigstore&sub=...`: a token with the claims of the query, as text, and
    /// those that the issuer's tokens usually have. `true` and `false` are booleans, everything
    /// else is a string.
    fn token(&self, name: &str, issuer: &Issuer, query: &str) -> Response<Bytes> {
        let mut claims = self.claims.get(name).cloned().unwrap_or_default();
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
                self.token(name, issuer, request.uri().query().unwrap_or_default())
            }
            _ => not_found(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use id_token::IdToken;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;
    use crate::Fault;

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
