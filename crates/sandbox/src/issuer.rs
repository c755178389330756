//! One OIDC issuer: a key and the tokens that it signs.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Map, Value, json};

use crate::certificate::unix_seconds;
use crate::key::{KeyKind, ServiceKey};
use crate::{Error, Fault, Faults, State};

/// The keys of issuers, as discovery would find them.
pub trait IssuerKeys: Send + Sync {
    /// The JSON Web Key Set of the issuer whose URL is exactly `issuer`, and the algorithms it
    /// advertises; `None` when discovery finds no such issuer.
    fn keys(&self, issuer: &str) -> Option<(Value, Vec<String>)>;
}

/// How long a token lives; GitHub's and SPIRE's default.
pub const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// One issuer: a URL, and a key that signs with ES256.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    pair: EcdsaKeyPair,
    key_id: String,
    faults: Faults,
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
        Ok(Self { url: url.into(), pair, key_id, faults: Faults::default() })
    }

    /// Lets the issuer misbehave in those of these ways that are its own.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
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
        all.insert("jti".to_owned(), base16ct::lower::encode_string(&random::<16>()?).into());
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

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    keys::random::<N>().map_err(Error::make("a random number"))
}
