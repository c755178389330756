use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use der::{Decode as _, Encode as _};
use keys::{Payload, Sign as _};
use serde_json::{Value, json};
use sigstore_sandbox::{
    Authority, CiProvider, CtLog, Fulcio, IssuerKind, KeyKind, ServiceKey, TrustedIssuer,
};

use super::issuer::TestIssuer;
use super::{at, get, json, json_recording, recording, send, text};

/// When the recorded refusals were made.
const RECORDED_AT: u64 = 1_795_359_220;
const PATH: &str = "/api/v2/signingCert";

/// The issuer of a profile of issued.json.
fn trusted(profile: &Value) -> TrustedIssuer {
    let optional = |name: &str| profile.get(name).and_then(Value::as_str).map(str::to_owned);
    let required = |name: &str| optional(name).unwrap();
    let provider = |name: &str| match name {
        "buddy-pipeline" => CiProvider::BUDDY,
        "buildkite-job" => CiProvider::BUILDKITE,
        "circleci-job" => CiProvider::CIRCLECI,
        "codefresh-workflow" => CiProvider::CODEFRESH,
        "github-workflow" => CiProvider::GITHUB,
        "gitlab-pipeline" => CiProvider::GITLAB,
        other => panic!("{other}"),
    };
    let kind = match text(profile, "/type") {
        "ci-provider" => IssuerKind::Ci(provider(&required("ci_provider"))),
        "chainguard-identity" => IssuerKind::Chainguard,
        "email" => IssuerKind::Email { issuer_claim: optional("issuer_claim") },
        "kubernetes" => IssuerKind::Kubernetes,
        "spiffe" => IssuerKind::Spiffe { trust_domain: required("spiffe_trust_domain") },
        "uri" => IssuerKind::Uri { subject_domain: required("subject_domain") },
        "username" => IssuerKind::Username { subject_domain: required("subject_domain") },
        old => IssuerKind::CiOldType(provider(old)),
    };
    TrustedIssuer::new(required("issuer_url"), kind)
}

/// The issuers of the recorded instance.
fn issuers() -> Vec<TrustedIssuer> {
    let issued = json_recording("fulcio/issued.json");
    let profiles: BTreeMap<&str, &Value> = issued
        .as_array()
        .unwrap()
        .iter()
        .map(|case| (text(case, "/issuer_profile/issuer_url"), &case["issuer_profile"]))
        .collect();
    let mut issuers: Vec<_> = profiles.into_values().map(trusted).collect();
    issuers.push(TrustedIssuer::new("http://127.0.0.1:8890/meta/*", IssuerKind::Kubernetes));
    issuers
}

fn fulcio(issuer: &Arc<TestIssuer>, now: SystemTime) -> Fulcio {
    let authority = Authority::generate(now).unwrap();
    let log = Arc::new(CtLog::generate().unwrap());
    Fulcio::new(authority, log, issuers(), Arc::clone(issuer) as _, Arc::new(now))
}

fn ask(fulcio: &Fulcio, token: Option<&str>, body: &Value) -> http::Response<bytes::Bytes> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
    send(fulcio, "POST", PATH, &headers, body.to_string())
}

fn csr() -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
    json!({ "certificateSigningRequest": STANDARD.encode(pem) })
}

fn certificates(answer: &Value) -> Vec<x509_cert::Certificate> {
    let list = answer.pointer("/signedCertificateEmbeddedSct/chain/certificates").unwrap();
    let list = list.as_array().unwrap();
    let parse = |pem: &Value| {
        let pem = pem.as_str().unwrap();
        assert_eq!(pem, pem.trim());
        x509_cert::Certificate::from_der(pem::parse(pem).unwrap().contents()).unwrap()
    };
    list.iter().map(parse).collect()
}

/// A certificate's extensions in the form of issued.json.
fn extensions(certificate: &x509_cert::Certificate) -> Vec<(String, bool, Vec<u8>)> {
    let extensions = certificate.tbs_certificate.extensions.as_deref().unwrap();
    extensions
        .iter()
        .map(|extension| {
            let value = extension.extn_value.as_bytes().to_vec();
            (extension.extn_id.to_string(), extension.critical, value)
        })
        .collect()
}

const AUTHORITY_KEY_ID: &str = "2.5.29.35";
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";

#[test]
fn the_certificate_for_recorded_claims_is_the_recorded_one() {
    let issuer = Arc::new(TestIssuer::new());
    for case in json_recording("fulcio/issued.json").as_array().unwrap() {
        let name = text(case, "/case");
        let now = at(case["claims"]["iat"].as_u64().unwrap());
        let fulcio = fulcio(&issuer, now);
        let token = issuer.token("RS256", &case["claims"]);

        let recorded = pem::parse(text(case, "/pem")).unwrap();
        let recorded = x509_cert::Certificate::from_der(recorded.contents()).unwrap();

        let key = ServiceKey::generate(KeyKind::EcdsaP256).unwrap();
        let proof = key.sign(Payload::Message(text(case, "/proof_text").as_bytes())).unwrap();
        let by_key = json!({ "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": key.public_key().to_pem() },
            "proofOfPossession": STANDARD.encode(proof),
        }});
        for request in [csr(), by_key] {
            let response = ask(&fulcio, Some(&token), &request);
            assert_eq!(response.status(), 200, "{name}: {:?}", response.body());
            let chain = certificates(&json(&response));
            assert_eq!(chain.len(), 3, "{name}");
            let leaf = &chain[0];

            assert_eq!(leaf.tbs_certificate.subject, recorded.tbs_certificate.subject, "{name}");
            assert_eq!(leaf.signature_algorithm, recorded.signature_algorithm, "{name}");
            let validity = leaf.tbs_certificate.validity;
            assert_eq!(validity.not_before.to_system_time(), now, "{name}");
            let life =
                validity.not_after.to_unix_duration() - validity.not_before.to_unix_duration();
            assert_eq!(life.as_secs(), 600, "{name}");

            let (found, expected) = (extensions(leaf), extensions(&recorded));
            let names = |list: &[(String, bool, Vec<u8>)]| -> Vec<(String, bool)> {
                list.iter().map(|(oid, critical, _)| (oid.clone(), *critical)).collect()
            };
            assert_eq!(names(&found), names(&expected), "{name}");
            for ((oid, _, found), (_, _, expected)) in found.iter().zip(&expected) {
                if oid == AUTHORITY_KEY_ID || oid == SCT_LIST {
                    assert_eq!(found[0], expected[0], "{name}: {oid}");
                } else {
                    assert_eq!(found, expected, "{name}: {oid}");
                }
            }
        }
    }
}

#[test]
fn an_issued_chain_validates_and_its_timestamp_verifies() {
    let issuer = Arc::new(TestIssuer::new());
    let fulcio = fulcio(&issuer, at(RECORDED_AT));
    let claims = json!({
        "iss": "http://localhost:8888", "aud": ["sigstore"], "exp": RECORDED_AT + 60,
        "sub": "spiffe://example.org/ns/ci/sa/builder",
    });
    let token = issuer.token("ES256", &claims);
    for count in 0..3 {
        let response = ask(&fulcio, Some(&token), &csr());
        let chain: Vec<x509::Certificate> = certificates(&json(&response))
            .iter()
            .map(|certificate| x509::Certificate::from_der(&certificate.to_der().unwrap()).unwrap())
            .collect();
        let anchors = x509::Anchors::new(chain[1..].to_vec());
        anchors.verify(&chain[0], &[], at(RECORDED_AT), x509::Usage::CodeSigning).unwrap();
        let name = chain[0].subject_name().unwrap();
        assert_eq!(name.as_str(), "spiffe://example.org/ns/ci/sa/builder");
        assert_eq!(chain[0].oidc_issuer().unwrap().as_deref(), Some("http://localhost:8888"));
        let scts = chain[0].scts().unwrap();
        assert_eq!(scts.len(), 1, "certificate {count}");
        let log_key = fulcio.ct_log().public_key();
        scts[0].verify(&chain[0], &chain[1], log_key).unwrap();
        assert!(scts[0].verify(&chain[0], &chain[2], log_key).is_err());
    }
}

#[test]
fn recorded_requests_get_the_recorded_answers() {
    let issuer = Arc::new(TestIssuer::new());
    let fulcio = fulcio(&issuer, at(RECORDED_AT));
    let cases = json_recording("fulcio/answers.json");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 59);
    for case in cases {
        let name = text(case, "/case");
        let body = case.get("request").and_then(Value::as_str).unwrap_or_default();
        let (method, path) = match name {
            "GET on signingCert" => ("GET", PATH),
            "unknown path" => ("GET", "/api/v2/unknown"),
            _ => ("POST", PATH),
        };
        let body = match name {
            "body of 5 MiB" => "x".repeat(5_242_913),
            "token in the body (credentials) only" => with_our_token(&issuer, body),
            _ => body.to_owned(),
        };
        let token = case.get("authorization").and_then(Value::as_str).map(|recorded| {
            case.get("token_claims").map_or_else(
                || recorded.to_owned(),
                |claims| our_token(&issuer, recorded, claims, name),
            )
        });
        let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        let response = send(&fulcio, method, path, &headers, body);
        let found = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status(), case["status"].as_u64().unwrap() as u16, "{name}: {found}");
        assert_eq!(response.headers()["content-type"], text(case, "/content_type"), "{name}");
        let expected = text(case, "/body");
        if expected == "(a certificate)" {
            assert_eq!(certificates(&json(&response)).len(), 3, "{name}");
        } else {
            // protobuf for Go writes either kind of space after "proto:", to keep anyone from
            // relying on its messages.
            let expected: Value = serde_json::from_str(&expected.replace('\u{a0}', " ")).unwrap();
            assert_eq!(json(&response), expected, "{name}");
        }
    }
}

/// A bearer token like the recorded one, of our issuer.
fn our_token(issuer: &TestIssuer, recorded: &str, claims: &Value, name: &str) -> String {
    let header = recorded.trim_start_matches("Bearer ").split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let mut token = issuer.token(text(&header, "/alg"), claims);
    if name == "token signature broken" {
        let signature = token.rfind('.').unwrap();
        token.replace_range(signature.., ".AAAA");
    }
    format!("Bearer {token}")
}

fn with_our_token(issuer: &TestIssuer, body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let token = text(&body, "/credentials/oidcIdentityToken");
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let token = issuer.token("RS256", &serde_json::from_slice(&claims).unwrap());
    body["credentials"]["oidcIdentityToken"] = Value::from(token);
    body.to_string()
}

#[test]
fn an_issuer_that_lists_no_algorithm_signs_with_rs256_alone() {
    let claims = json!({
        "iss": "http://127.0.0.1:8890/email", "aud": "sigstore", "exp": RECORDED_AT + 60,
        "email": "e@example.com", "email_verified": "true",
    });
    let issuer = Arc::new(TestIssuer::new().listing(&[]));
    let fulcio = fulcio(&issuer, at(RECORDED_AT));
    assert_eq!(ask(&fulcio, Some(&issuer.token("RS256", &claims)), &csr()).status(), 200);
    assert_eq!(ask(&fulcio, Some(&issuer.token("ES256", &claims)), &csr()).status(), 400);
}

#[test]
fn an_issuer_of_a_pattern_is_believed() {
    let issuer = Arc::new(TestIssuer::new());
    let fulcio = fulcio(&issuer, at(RECORDED_AT));
    let claims =
        |iss: &str| json!({ "iss": iss, "aud": "sigstore", "exp": RECORDED_AT + 60, "sub": "s" });
    let status = |iss: &str| {
        ask(&fulcio, Some(&issuer.token("ES256", &claims(iss))), &csr()).status().as_u16()
    };
    assert_eq!(status("http://127.0.0.1:8890/meta/cluster-1"), 200);
    assert_eq!(status("http://127.0.0.1:8890/meta/a/b"), 400);
    assert_eq!(status("http://127.0.0.1:8890/meta/"), 400);
}

#[test]
fn the_configuration_is_the_recorded_one_in_any_order() {
    let fulcio = fulcio(&Arc::new(TestIssuer::new()), at(RECORDED_AT));
    let sorted = |answer: &Value| -> BTreeSet<String> {
        answer["issuers"].as_array().unwrap().iter().map(Value::to_string).collect()
    };
    let found = json(&get(&fulcio, "/api/v2/configuration"));
    assert_eq!(sorted(&found), sorted(&json_recording("fulcio/configuration.json")));
}

#[test]
fn the_trust_bundle_has_the_recorded_shape() {
    let fulcio = fulcio(&Arc::new(TestIssuer::new()), at(RECORDED_AT));
    let found = json(&get(&fulcio, "/api/v2/trustBundle"));
    let recorded: Value = serde_json::from_slice(&recording("fulcio/trustBundle.json")).unwrap();
    let lengths = |answer: &Value| -> Vec<usize> {
        let chains = answer["chains"].as_array().unwrap();
        chains.iter().map(|chain| chain["certificates"].as_array().unwrap().len()).collect()
    };
    assert_eq!(lengths(&found), lengths(&recorded));
    let pem = text(&found, "/chains/0/certificates/0");
    assert!(pem.ends_with("-----END CERTIFICATE-----\n"));
}
