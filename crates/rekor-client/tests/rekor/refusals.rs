//! What is refused: by a log, and by us before or after it was asked.

use std::sync::Arc;
use std::time::Duration;

use bundle::{Envelope, EnvelopeSignature};
use bytes::Bytes;
use host::TransportError;
use http::{Request, Response};
use keys::{Digest, PublicKey, Scheme};
use rekor_client::{ApiVersion, Entry, Error, Rekor, Verifier};
use serde_json::{Value, json};

use super::{OwnedVerifier, Submission, URL, body, fixture, ready, recording, replay, v1, v2};

#[test]
fn every_recorded_refusal_is_explained_in_the_logs_words() {
    for (version, cases, known) in [
        (ApiVersion::V1, recording("rekor-v1"), "hashedrekord, certificate"),
        (ApiVersion::V2, recording("rekor-v2"), "hashedrekord, certificate"),
    ] {
        let submission = match version {
            ApiVersion::V1 => Submission::v1(&v1(known)["request"]),
            _ => Submission::v2(&v2(known)["request"]),
        };
        let mut refusals = 0;
        for case in cases {
            let status = case["status"].as_u64().unwrap();
            if status < 400 || status == 409 {
                continue;
            }
            let (rekor, _) = replay(version, vec![case.clone()]);
            let error = ready(rekor.submit(&submission.entry())).unwrap_err();
            let Error::Http { url, status: found, message } = &error else { panic!("{error}") };
            assert_eq!((url.as_str(), u64::from(*found)), (URL, status));
            let body = body(&case);
            let body: Option<Value> = serde_json::from_slice(&body).ok();
            let said = body.as_ref().and_then(|body| body["message"].as_str());
            assert_eq!(*message, said.map_or_else(|| "no explanation".into(), host::escape_remote));
            refusals += 1;
        }
        assert!(refusals > 10, "{refusals}");
    }
}

#[test]
fn an_answer_about_another_signature_digest_or_certificate_is_refused() {
    let submitted = Submission::v1(&v1("hashedrekord, certificate")["request"]);
    for (answered, what) in [
        ("hashedrekord, public key", "the signature"),
        ("P-384 with SHA-384", "the digest"),
        ("dsse", "the kind"),
        ("intoto 0.0.2", "the kind"),
    ] {
        let (rekor, _) = replay(ApiVersion::V1, vec![v1(answered)]);
        let error = ready(rekor.submit(&submitted.entry())).unwrap_err();
        assert!(matches!(&error, Error::Mismatch { what: found, .. } if *found == what), "{error}");
    }
    let submitted = Submission::v2(&v2("hashedrekord, certificate")["request"]);
    for (answered, what) in [
        ("hashedrekord, public key", "the signature"),
        ("key P-384", "the hash algorithm"),
        ("DSSE as hashedrekord over the PAE", "the digest"),
    ] {
        let (rekor, _) = replay(ApiVersion::V2, vec![v2(answered)]);
        let error = ready(rekor.submit(&submitted.entry())).unwrap_err();
        assert!(matches!(&error, Error::Mismatch { what: found, .. } if *found == what), "{error}");
    }
}

#[test]
fn an_answer_about_another_key_is_refused() {
    let other = PublicKey::from_pem(&fixture("rekor-v1/public-key.pem")).unwrap();
    for (version, case) in [
        (ApiVersion::V1, v1("hashedrekord, certificate")),
        (ApiVersion::V1, v1("hashedrekord, public key")),
        (ApiVersion::V1, v1("dsse")),
        (ApiVersion::V2, v2("hashedrekord, certificate")),
        (ApiVersion::V2, v2("hashedrekord, public key")),
    ] {
        let mut submission = match version {
            ApiVersion::V1 => Submission::v1(&case["request"]),
            _ => Submission::v2(&case["request"]),
        };
        submission.verifier = OwnedVerifier::PublicKey(Box::new(other.clone()));
        let (rekor, _) = replay(version, vec![case]);
        let error = ready(rekor.submit(&submission.entry())).unwrap_err();
        assert!(
            matches!(&error, Error::Mismatch { what: "the certificate or key", .. }),
            "{error}"
        );
    }
}

#[test]
fn an_answer_whose_body_does_not_hash_to_its_id_is_refused() {
    let mut case = v1("hashedrekord, certificate");
    let answer = case["body"].as_object().unwrap();
    let entry = answer.values().next().unwrap().clone();
    case["body"] = json!({ "0".repeat(80): entry });
    let (rekor, _) = replay(ApiVersion::V1, vec![case.clone()]);
    let submission = Submission::v1(&case["request"]);
    let error = ready(rekor.submit(&submission.entry())).unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "the id", .. }), "{error}");
}

#[test]
fn an_answer_that_is_no_entry_is_said_to_be_none() {
    let certificate = v1("hashedrekord, certificate");
    let submission = Submission::v1(&certificate["request"]);
    let entry = certificate["body"].as_object().unwrap().values().next().unwrap();
    let with = |name: &str, value: Value| {
        let mut entry = entry.clone();
        entry[name] = value;
        json!({ "0".repeat(80): entry })
    };
    for body in [
        json!({}),
        json!([]),
        json!({ "0".repeat(80): entry, "1".repeat(80): entry }),
        with("body", json!("***")),
        with("body", json!("e30=")),
        with("logID", json!("xyz")),
        with("logIndex", json!(-1)),
        with("verification", Value::Null),
    ] {
        let case = json!({ "status": 201, "body": body });
        let (rekor, _) = replay(ApiVersion::V1, vec![case]);
        let error = ready(rekor.submit(&submission.entry())).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }

    let certificate = v2("hashedrekord, certificate");
    let submission = Submission::v2(&certificate["request"]);
    let with = |name: &str, value: Value| {
        let mut entry = certificate["body"].clone();
        entry[name] = value;
        entry
    };
    for body in [
        json!({}),
        json!("text"),
        with("inclusionProof", Value::Null),
        with("canonicalizedBody", json!("")),
        with("canonicalizedBody", json!("e30=")),
        with("logId", Value::Null),
    ] {
        let case = json!({ "status": 201, "body": body });
        let (rekor, _) = replay(ApiVersion::V2, vec![case]);
        let error = ready(rekor.submit(&submission.entry())).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

#[test]
fn only_201_is_a_new_entry() {
    let mut case = v2("hashedrekord, certificate");
    case["status"] = json!(200);
    let (rekor, _) = replay(ApiVersion::V2, vec![case.clone()]);
    let error = ready(rekor.submit(&Submission::v2(&case["request"]).entry())).unwrap_err();
    assert!(error.to_string().ends_with("answered 200: expected 201 for a new log entry"));
}

#[test]
fn what_no_log_takes_is_refused_before_it_is_sent() {
    let key = PublicKey::from_pem(&fixture("rekor-v2/public-key.pem")).unwrap();
    let verifier = Verifier::PublicKey(&key);
    let digest = Digest::sha256(b"");
    let hashed = |scheme| Entry::Hashed { digest: &digest, signature: b"s", scheme, verifier };
    let signature = EnvelopeSignature { sig: vec![1], keyid: None };
    let mut envelope = Envelope {
        payload: b"{}".to_vec().into(),
        payload_type: "t".into(),
        signatures: vec![signature.clone()],
    };
    let one = envelope.clone();
    envelope.signatures.push(signature);
    let enveloped = |envelope, scheme| Entry::Envelope { envelope, scheme, verifier };
    for (version, entry, reason) in [
        (ApiVersion::V1, hashed(Scheme::Ed25519), "verifies from the whole message only"),
        (ApiVersion::V2, hashed(Scheme::Ed25519), "verifies from the whole message only"),
        (ApiVersion::V2, hashed(Scheme::EcdsaP384Sha384), "expected a digest by sha384"),
        (ApiVersion::V2, enveloped(&one, Scheme::Ed25519), "the whole envelope only"),
        (ApiVersion::V1, enveloped(&one, Scheme::EcdsaP384Sha384), "version 2 takes it"),
        (ApiVersion::V2, enveloped(&envelope, Scheme::EcdsaP256Sha256), "found 2"),
    ] {
        let (rekor, requests) = replay(version, Vec::new());
        let error = ready(rekor.submit(&entry)).unwrap_err();
        assert!(matches!(error, Error::Unloggable { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(requests.lock().unwrap().is_empty());
    }
}

#[test]
fn a_network_that_fails_is_the_cause() {
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::Timeout { url: "x".into(), after: Duration::from_secs(1) })
    };
    let rekor = Rekor::new(URL.parse().unwrap(), ApiVersion::V1, Arc::new(http));
    let submission = Submission::v1(&v1("dsse")["request"]);
    let error = ready(rekor.submit(&submission.entry())).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("no complete answer"), "{cause}");
}
