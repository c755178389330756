//! The recorded answers of a real Fulcio, replayed; and what is said about a token beforehand,
//! compared with what real Fulcio said.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests are not in #[test] functions"
)]

mod hostile;
mod issued;
mod prediction;
mod refusals;
mod self_hosted;

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use fulcio_client::predict::Profile;
use fulcio_client::preflight::{self, Refusal, Warning};
use fulcio_client::{CiProvider, Configuration, Error, Fulcio, IssuerType, IssuerUrl};
use futures_util::FutureExt as _;
use host::TransportError;
use http::{Request, Response};
use id_token::{Audience, IdToken};
use keys::{KeyPair, Payload, PublicKey, Scheme, Sign};
use serde_json::{Value, json};
use x509::Certificate;

/// Shortly after the last of the recorded requests.
const RECORDED: u64 = 1_795_359_235;
const OPAQUE: &str = "There was an error processing the identity token";

#[test]
fn the_recorded_answer_is_a_chain_that_begins_with_our_certificate() {
    let (fulcio, requests) = replay(vec![(200, fixture("fulcio/signingCert-response.json"))]);
    let token = recorded_token("CSR key P-256");
    let chain = ready(fulcio.issue(&token, &RecordedKey::new())).unwrap();
    assert_eq!(chain.len(), 3);
    assert_eq!(
        chain[0].subject_name().unwrap().as_str(),
        "https://github.com/octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main"
    );

    let request = requests.lock().unwrap().remove(0);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://fulcio.example/below/api/v2/signingCert");
    assert_eq!(request.headers()["content-type"], "application/json");
    let bearer = &request.headers()["authorization"];
    assert!(bearer.is_sensitive());
    assert_eq!(bearer.to_str().unwrap(), format!("Bearer {}", token.reveal()));
    assert!(!format!("{request:?}{fulcio:?}").contains(token.reveal()));

    // The same one field as in the recorded request, and the same bytes in it up to the key.
    let ours: Value = serde_json::from_slice(request.body()).unwrap();
    let theirs: Value = serde_json::from_str(&fixture("fulcio/signingCert-request.json")).unwrap();
    let [ours, theirs] = [ours, theirs].map(|request| {
        let fields = request.as_object().unwrap();
        assert_eq!(fields.len(), 1);
        let text = fields["certificateSigningRequest"].as_str().unwrap();
        let request = pem::parse(STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(request.tag(), "CERTIFICATE REQUEST");
        request.into_contents()
    });
    // SEQUENCE { SEQUENCE { 0, SEQUENCE {}, the key, [0] }, ecdsa-with-SHA256, .. }
    assert_eq!(ours[3..113], theirs[3..113]);
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let (fulcio, _) = replay(vec![(200, fixture("fulcio/signingCert-response.json"))]);
    let key = KeyPair::generate().unwrap();
    let error = ready(fulcio.issue(&recorded_token("CSR key P-256"), &key)).unwrap_err();
    assert!(matches!(error, Error::AnotherKey { .. }), "{error}");
}

#[test]
fn an_authority_without_a_transparency_log_answers_in_another_field() {
    let recorded: Value =
        serde_json::from_str(&fixture("fulcio/signingCert-response.json")).unwrap();
    let chain = &recorded["signedCertificateEmbeddedSct"]["chain"];
    let body = json!({ "signedCertificateDetachedSct": { "chain": chain,
        "signedCertificateTimestamp": "" } });
    let (fulcio, _) = replay(vec![(200, body.to_string())]);
    let issued = ready(fulcio.issue(&recorded_token("CSR key P-256"), &RecordedKey::new()));
    assert_eq!(issued.unwrap().len(), chain["certificates"].as_array().unwrap().len());
}

#[test]
fn an_answer_that_is_no_certificate_is_said_to_be_none() {
    let chain = |certificates: Value| {
        json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": certificates } } })
            .to_string()
    };
    for body in [
        String::new(),
        "{}".into(),
        chain(json!([])),
        chain(json!(["junk"])),
        chain(json!(vec![fixture("ct/fulcio-chain.pem"); 17])),
    ] {
        let (fulcio, _) = replay(vec![(200, body)]);
        let error =
            ready(fulcio.issue(&recorded_token("no iat"), &RecordedKey::new())).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
    let (fulcio, _) = replay(vec![(201, fixture("fulcio/signingCert-response.json"))]);
    let error = ready(fulcio.issue(&recorded_token("no iat"), &RecordedKey::new())).unwrap_err();
    assert!(error.to_string().ends_with("answered 201: expected 200"), "{error}");
}

/// The authority's own list of issuers and its own clock tell what its words do not.
#[test]
fn every_refusal_without_a_reason_gets_one() {
    for case in answers() {
        let name = case["case"].as_str().unwrap();
        let Some(Ok(token)) = token_of(&case).map(|token| IdToken::parse(&token)) else { continue };
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        if status == 200 {
            continue;
        }
        let said = case["body"].as_str().unwrap();
        let answers = vec![(status, said.into()), (200, fixture("fulcio/configuration.json"))];
        let (fulcio, _) = replay(answers);
        let error = ready(fulcio.issue(&token, &RecordedKey::new())).unwrap_err();
        if !said.contains(OPAQUE) {
            // Here Fulcio says what is wrong, and is quoted.
            let json: Value = serde_json::from_str(said).unwrap();
            let message = host::escape_remote(json["message"].as_str().unwrap());
            assert!(matches!(error, Error::Http { status: s, message: m, .. }
                if s == status && m == message));
            continue;
        }
        assert!(matches!(error, Error::Token { .. }), "{name}: {error}");
        if name == "token signature broken" {
            assert!(error.source().is_none());
            assert!(error.to_string().contains("check the token's signature"), "{error}");
        } else {
            let expected = check(&token).unwrap_err();
            let source = error.source().unwrap().to_string();
            assert_eq!(source, expected.to_string(), "{name}");
        }
    }
}

#[test]
fn a_refusal_by_an_authority_that_tells_neither_issuers_nor_time_names_the_audience_used() {
    let refusal = json!({ "code": 3, "message": OPAQUE, "details": [] }).to_string();
    let http = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        let is_first = request.method() == "POST";
        let response = Response::builder().status(if is_first { 400 } else { 404 });
        Ok(response
            .body(Bytes::from(if is_first { refusal.clone() } else { String::new() }))
            .unwrap())
    };
    let fulcio = Fulcio::new("https://fulcio.example".parse().unwrap(), Arc::new(http));
    let token = recorded_token("other audience");
    let error = ready(fulcio.issue(&token, &RecordedKey::new())).unwrap_err();
    assert!(error.to_string().contains("for the audience other without a reason"), "{error}");
    assert!(error.to_string().contains("check the token's signature and audience"), "{error}");
}

#[test]
fn the_recorded_configuration_is_read_whole() {
    let (fulcio, requests) = replay(vec![(200, fixture("fulcio/configuration.json"))]);
    let read = ready(fulcio.configuration()).unwrap();
    assert_eq!(read, configuration());
    assert_eq!(read.issuers().len(), 18);
    let uri = requests.lock().unwrap()[0].uri().to_string();
    assert_eq!(uri, "https://fulcio.example/below/api/v2/configuration");
    let spiffe = read.issuer_for("http://localhost:8888").unwrap();
    assert_eq!(spiffe.issuer_type, IssuerType::Spiffe);
    assert_eq!(spiffe.spiffe_trust_domain.as_deref(), Some("example.org"));
    let pattern = read.issuer_for("http://127.0.0.1:8890/meta/any-one_1").unwrap();
    assert!(matches!(&pattern.url, IssuerUrl::Wildcard(url) if url.ends_with("/meta/*")));
    assert!(read.issuer_for("http://127.0.0.1:8890/meta/a/b").is_none());
    assert!(
        read.issuers().iter().all(|issuer| !matches!(issuer.issuer_type, IssuerType::Other(_)))
    );
}

#[test]
fn the_recorded_trust_bundle_is_the_chain_that_issued() {
    let (fulcio, _) = replay(vec![(200, fixture("fulcio/trustBundle.json"))]);
    let chains = ready(fulcio.trust_bundle()).unwrap();
    let [chain] = chains.as_slice() else { panic!() };
    assert_eq!(*chain, Certificate::chain_from_pem(&fixture("ct/fulcio-chain.pem")).unwrap());
}

#[test]
fn a_key_that_fulcio_takes_no_requests_of_is_refused_before_anything_is_sent() {
    let (fulcio, requests) = replay(Vec::new());
    let key = RecordedKey { scheme: Scheme::EcdsaP384Sha256, ..RecordedKey::new() };
    let error = ready(fulcio.issue(&recorded_token("no iat"), &key)).unwrap_err();
    assert!(matches!(error, Error::UnsupportedScheme { .. }), "{error}");
    assert!(requests.lock().unwrap().is_empty());
}

#[test]
fn a_network_that_fails_is_the_cause() {
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::Timeout { url: "x".into(), after: Duration::from_secs(1) })
    };
    let fulcio = Fulcio::new("https://fulcio.example".parse().unwrap(), Arc::new(http));
    let error = ready(fulcio.configuration()).unwrap_err();
    assert!(error.source().unwrap().to_string().contains("no complete answer"), "{error}");
}

/// The key of the recorded certificate. Its private half was thrown away, so that its signatures
/// are none.
struct RecordedKey {
    key: PublicKey,
    scheme: Scheme,
}

impl RecordedKey {
    fn new() -> Self {
        let answer: Value =
            serde_json::from_str(&fixture("fulcio/signingCert-response.json")).unwrap();
        let leaf = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"][0];
        let leaf = Certificate::from_pem(leaf.as_str().unwrap()).unwrap();
        Self { key: leaf.public_key().clone(), scheme: Scheme::EcdsaP256Sha256 }
    }
}

impl Sign for RecordedKey {
    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn sign(&self, _: Payload<'_>) -> Result<Vec<u8>, keys::Error> {
        Ok(vec![0; 70])
    }
}

fn check(token: &IdToken) -> Result<Vec<Warning>, Refusal> {
    let now: SystemTime = UNIX_EPOCH + Duration::from_secs(RECORDED);
    preflight::check(token, &Audience::sigstore(), Some(&configuration()), now)
}

fn configuration() -> Configuration {
    Configuration::from_json(fixture("fulcio/configuration.json").as_bytes()).unwrap()
}

fn profile(recorded: &Value) -> Profile {
    let text = |name: &str| recorded[name].as_str().map(str::to_owned);
    let mut profile = Profile::new(recorded["type"].as_str().unwrap().into());
    profile.ci_provider = text("ci_provider").map(|name| CiProvider::from_name(&name).unwrap());
    profile.issuer_claim = text("issuer_claim");
    profile.subject_domain = text("subject_domain");
    profile
}

/// The token that a recorded request carried, in its header or in its body.
fn token_of(case: &Value) -> Option<String> {
    if let Some(header) = case["authorization"].as_str() {
        return Some(header.strip_prefix("Bearer ").unwrap().to_owned());
    }
    let request: Value = serde_json::from_str(case["request"].as_str()?).ok()?;
    Some(request["credentials"]["oidcIdentityToken"].as_str()?.to_owned())
}

fn recorded_token(name: &str) -> IdToken {
    let case = answers().into_iter().find(|case| case["case"] == name).expect(name);
    IdToken::parse(&token_of(&case).unwrap()).unwrap()
}

fn token(claims: Value) -> IdToken {
    let [header, payload] =
        [json!({ "alg": "RS256" }), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    IdToken::parse(&format!("{header}.{payload}.c2ln")).unwrap()
}

fn answers() -> Vec<Value> {
    serde_json::from_str(&fixture("fulcio/answers.json")).unwrap()
}

fn issued() -> Vec<Value> {
    serde_json::from_str(&fixture("fulcio/issued.json")).unwrap()
}

fn fixture(path: &str) -> String {
    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures");
    std::fs::read_to_string(format!("{captures}/{path}")).expect(path)
}

type Requests = Arc<Mutex<Vec<Request<Bytes>>>>;

/// A Fulcio that gives these answers, one after the other, by the recording's clock.
fn replay(answers: Vec<(u16, String)>) -> (Fulcio, Requests) {
    let requests: Requests = Arc::default();
    let seen = Arc::clone(&requests);
    let http = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        let mut seen = seen.lock().unwrap();
        let (status, body) = answers.get(seen.len()).expect("one request too many");
        seen.push(request);
        let response =
            Response::builder().status(*status).header("date", "Sun, 22 Nov 2026 14:53:55 GMT");
        Ok(response.body(Bytes::from(body.clone())).unwrap())
    };
    let url = "https://fulcio.example/below/".parse().unwrap();
    (Fulcio::new(url, Arc::new(http)), requests)
}

/// Futures over a replayed network are ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a replayed network made us wait")
}
