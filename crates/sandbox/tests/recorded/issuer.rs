//! An issuer that signs whatever claims it is given, with any algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use sigstore_sandbox::IssuerKeys;

pub(crate) struct TestIssuer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    algorithms: Vec<String>,
}

impl TestIssuer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
        };
        let rsa = pem::parse(include_str!("issuer-rsa.pem")).unwrap();
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let algorithms = ["RS256", "ES256", "ES384", "EdDSA", "PS256"];
        Self {
            rsa: RsaKeyPair::from_pkcs8(rsa.contents()).unwrap(),
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed25519: Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap(),
            algorithms: algorithms.map(str::to_owned).to_vec(),
        }
    }

    /// Its discovery document lists no algorithm but these.
    pub(crate) fn listing(mut self, algorithms: &[&str]) -> Self {
        self.algorithms = algorithms.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn token(&self, algorithm: &str, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": algorithm, "kid": algorithm, "typ": "JWT" });
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let random = SystemRandom::new();
        let message = signed.as_bytes();
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(encoding, &random, message, &mut signature).unwrap();
            signature
        };
        let signature = match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(message).as_ref().to_vec(),
            _ => Vec::new(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl IssuerKeys for TestIssuer {
    fn keys(&self, _: &str) -> Option<(Value, Vec<String>)> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let rsa = |kid: &str| {
            json!({
                "kty": "RSA", "kid": kid,
                "n": encode(&rsa.n),
                "e": encode(&rsa.e),
            })
        };
        let ec = |kid: &str, curve: &str, key: &EcdsaKeyPair| {
            let (x, y) = {
                let point = &key.public_key().as_ref()[1..];
                point.split_at(point.len() / 2)
            };
            json!({ "kty": "EC", "kid": kid, "crv": curve, "x": encode(x), "y": encode(y) })
        };
        let ed25519 = encode(self.ed25519.public_key().as_ref());
        let keys = json!({ "keys": [
            rsa("RS256"),
            rsa("PS256"),
            ec("ES256", "P-256", &self.p256),
            ec("ES384", "P-384", &self.p384),
            { "kty": "OKP", "kid": "EdDSA", "crv": "Ed25519", "x": ed25519 },
        ]});
        Some((keys, self.algorithms.clone()))
    }
}
