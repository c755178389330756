//! The recorded answers of a real timestamp authority, replayed, and broken.
#![expect(clippy::disallowed_methods, reason = "a token of the real time")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests are not in #[test] functions"
)]

mod hostile;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use host::{CallPolicy, TransportError};
use http::{Request, Response};
use serde_json::Value;
use tsa_client::{Authority, Error, SIZE_CAP, Timestamp, Tsa};

/// 2026-11-22T14:49:53Z, when the recording was made.
const RECORDED: u64 = 1_795_358_993;

#[test]
fn every_recorded_reply_verifies_over_the_recorded_signature() {
    let (message, authority) = (message(), authority());
    let granted = cases(200);
    assert_eq!(granted.len(), 8);
    for case in granted {
        let name = case["case"].as_str().unwrap();
        let timestamp = Timestamp::from_der(&decoded(&case["response_b64"])).expect(name);
        let time = timestamp.verify(&message, &authority).expect(name);
        assert_eq!(time, UNIX_EPOCH + Duration::from_secs(RECORDED), "{name}");
        assert_eq!(timestamp.der(), decoded(&case["response_b64"]), "{name}");
    }
}

#[test]
fn nonces_come_back_as_they_are_even_negative_or_long_ones() {
    let nonce = |name: &str| reply(name).nonce().map(<[u8]>::to_vec);
    assert_eq!(
        nonce("SHA-256, nonce, certificate wanted"),
        Some(0x1122_3344_5566_7788_u64.to_be_bytes().to_vec())
    );
    assert_eq!(nonce("negative nonce"), Some(vec![0xfb]));
    assert_eq!(nonce("nonce of 20 bytes"), Some([&[0x7f_u8][..], &[1; 19]].concat()));
    assert_eq!(nonce("SHA-256, no nonce, no certificate"), None);
}

#[test]
fn the_digest_of_the_message_is_what_was_stamped() {
    let timestamp = reply("SHA-256, nonce, certificate wanted");
    assert_eq!(*timestamp.imprint(), keys::Digest::sha256(&message()));
}

#[test]
fn a_reply_over_something_else_is_refused() {
    let error = reply("SHA-384").verify(b"something else", &authority()).unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "message", .. }), "{error}");
    assert!(error.to_string().contains("sha384:"), "{error}");
}

/// Every byte of the signed statement, of the attributes and of the signature is covered: with one
/// changed, the timestamp is unreadable, another, or refused.
#[test]
fn a_reply_with_any_byte_changed_is_refused_or_says_the_same() {
    let (message, authority) = (message(), authority());
    for name in ["SHA-256, no nonce, no certificate", "SHA-256, nonce, certificate wanted"] {
        let original = reply(name);
        let mut refused = 0;
        for index in 0..original.der().len() {
            let mut der = original.der().to_vec();
            der[index] ^= 1;
            match Timestamp::from_der(&der).and_then(|t| t.verify(&message, &authority)) {
                Err(_) => refused += 1,
                // Version numbers, the list of digest algorithms and the status are not signed.
                Ok(time) => assert_eq!(time, original.gen_time(), "byte {index}"),
            }
        }
        let accepted = original.der().len() - refused;
        assert!(accepted < 25, "{name}: {accepted} changed bytes went unnoticed");
    }
}

#[test]
fn a_reply_cut_short_or_with_something_behind_it_is_refused() {
    let der = reply("SHA-512").der().to_vec();
    for end in 0..der.len() {
        assert!(Timestamp::from_der(&der[..end]).is_err(), "{end}");
    }
    let error = Timestamp::from_der(&[&der[..], &[0]].concat()).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    let error = Timestamp::from_der(&vec![0; SIZE_CAP + 1]).unwrap_err();
    assert!(error.to_string().contains("at most 32768"), "{error}");
}

#[test]
fn a_certificate_other_than_the_pinned_one_is_refused_by_name() {
    let chain = chain();
    // The intermediate's sibling of the same name would need its key: here simply another chain,
    // of which the leaf is a code-signing certificate.
    let fulcio = x509::Certificate::chain_from_pem(&fixture("ct/fulcio-chain.pem")).unwrap();
    let other = Authority::new(vec![leaf_of_fulcio(), fulcio[0].clone()]).unwrap();
    let error = reply("SHA-384").verify(&message(), &other).unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error}");
    assert!(error.to_string().contains("names another signer"), "{error}");

    let error = Authority::new(vec![chain[0].clone()]).unwrap_err();
    assert!(matches!(error, Error::Authority { .. }), "{error}");
    assert!(matches!(Authority::new(Vec::new()), Err(Error::Authority { .. })));
}

#[test]
fn a_chain_to_another_root_is_refused() {
    let chain = chain();
    let fulcio = x509::Certificate::chain_from_pem(&fixture("ct/fulcio-chain.pem")).unwrap();
    let other = Authority::new(vec![chain[0].clone(), fulcio.last().unwrap().clone()]).unwrap();
    let error = reply("SHA-384").verify(&message(), &other).unwrap_err();
    assert!(matches!(error, Error::Chain(_)), "{error}");
}

#[test]
fn without_a_pinned_certificate_the_reply_must_bring_its_own() {
    let authority = Authority::new(chain()[1..].to_vec()).unwrap();
    assert!(authority.leaf().is_none());
    let brought = reply("SHA-256, nonce, certificate wanted");
    assert_eq!(brought.certificates().count(), 1);
    brought.verify(&message(), &authority).unwrap();
    let error = reply("SHA-256, no nonce, no certificate").verify(&message(), &authority);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("expected the timestamp to bring"), "{error}");
}

#[test]
fn every_recorded_refusal_is_explained() {
    let refusals = (400..500).flat_map(cases).collect::<Vec<_>>();
    assert_eq!(refusals.len(), 8);
    for case in refusals {
        let status = case["status"].as_u64().unwrap();
        let body = case["body"].as_str().unwrap().to_owned();
        let (tsa, _) = tsa(u16::try_from(status).unwrap(), body.clone().into_bytes());
        let error = ready(tsa.stamp(b"x")).unwrap_err();
        let Error::Http { status: found, message, url } = error else { panic!("{error}") };
        assert_eq!(u64::from(found), status);
        assert_eq!(url, "https://tsa.example/api/v1/timestamp");
        let said: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(message, host::escape_remote(said["message"].as_str().unwrap()));
    }
}

#[test]
fn a_timestamp_is_asked_for_with_a_fresh_nonce_and_the_certificate() {
    let (tsa, requests) = tsa(400, Vec::new());
    for _ in 0..2 {
        ready(tsa.stamp(&message())).unwrap_err();
    }
    let requests = requests.lock().unwrap();
    let [one, other] = requests.as_slice() else { panic!() };
    assert_ne!(one.body(), other.body());
    for request in [one, other] {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers()["content-type"], "application/timestamp-query");
        let policy = request.extensions().get::<CallPolicy>().unwrap();
        assert_eq!(policy.body_cap, SIZE_CAP);
        // As the recorded one with this digest, but for the nonce.
        let recorded = cases(200).remove(0);
        let recorded = decoded(&recorded["request_b64"]);
        assert_eq!(request.body()[..58], recorded[..58]);
        assert_eq!(request.body()[66..], recorded[66..]);
    }
}

#[test]
fn a_reply_to_another_request_is_refused() {
    for status in [200, 201] {
        let der = reply("SHA-256, nonce, certificate wanted").der().to_vec();
        let (tsa, _) = tsa(status, der);
        // Ours has a nonce of its own.
        let error = ready(tsa.stamp(&message())).unwrap_err();
        assert!(error.to_string().contains("its nonce differs"), "{error}");
        let error = ready(tsa.stamp(b"something else")).unwrap_err();
        assert!(matches!(error, Error::Mismatch { what: "message", .. }), "{error}");
    }
}

#[test]
fn a_reply_without_the_nonce_is_refused() {
    let (tsa, _) = tsa(200, reply("SHA-256, no nonce, no certificate").der().to_vec());
    let error = ready(tsa.stamp(&message())).unwrap_err();
    assert!(error.to_string().ends_with("found none"), "{error}");
}

#[test]
fn an_authority_that_says_no_in_its_protocol_is_quoted() {
    // SEQUENCE { SEQUENCE { INTEGER 2, SEQUENCE { UTF8String "busy" }, BIT STRING systemFailure } }
    let refusal = b"\x30\x13\x30\x11\x02\x01\x02\x30\x06\x0c\x04busy\x03\x04\x06\x00\x00\x00";
    let mut refusal = refusal.to_vec();
    refusal.extend([0x40]);
    refusal[1] += 1;
    refusal[3] += 1;
    refusal[16] += 1;
    let (tsa, _) = tsa(200, refusal);
    let error = ready(tsa.stamp(b"x")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the timestamp authority refused with status 2: busy, systemFailure"
    );
}

#[test]
fn what_is_no_reply_at_all_is_said_to_be_none() {
    for body in [&b""[..], b"<html>", b"\x30\x03\x02\x01\x00", b"\x30\x05\x30\x03\x02\x01\x00"] {
        let (tsa, _) = tsa(200, body.to_vec());
        let error = ready(tsa.stamp(b"x")).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

#[test]
fn a_network_that_fails_is_the_cause() {
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::Timeout { url: "x".into(), after: Duration::from_secs(1) })
    };
    let tsa = Tsa::new("https://tsa.example".parse().unwrap(), Arc::new(http));
    let error = ready(tsa.stamp(b"x")).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("no complete answer"), "{cause}");
}

/// The bundles of the conformance suite hold timestamps of other authorities than the recorded one.
#[test]
fn the_conformance_suites_timestamps_are_read() {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/conformance");
    let (mut read, mut verified) = (0, 0);
    for directory in std::fs::read_dir(suite).unwrap() {
        let directory = directory.unwrap().path();
        let Ok(text) = std::fs::read_to_string(directory.join("bundle.sigstore.json")) else {
            continue;
        };
        let Ok(bundle) = serde_json::from_str::<Value>(&text) else { continue };
        let root = std::fs::read_to_string(directory.join("trusted_root.json")).ok();
        let root: Option<Value> = root.and_then(|root| serde_json::from_str(&root).ok());
        let signature = bundle["messageSignature"]["signature"]
            .as_str()
            .or_else(|| bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str());
        let data = &bundle["verificationMaterial"]["timestampVerificationData"];
        for stamp in data["rfc3161Timestamps"].as_array().into_iter().flatten() {
            let text: String =
                stamp["signedTimestamp"].as_str().unwrap().split_whitespace().collect();
            let timestamp = Timestamp::from_der(&STANDARD.decode(text).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
            assert!(timestamp.gen_time() < SystemTime::now() + Duration::from_secs(1 << 32));
            read += 1;
            let (Some(root), Some(signature)) = (&root, signature) else { continue };
            let signature = STANDARD.decode(signature).unwrap_or_default();
            let is_good = root["timestampAuthorities"].as_array().into_iter().flatten().any(|ca| {
                let chain = ca["certChain"]["certificates"].as_array().unwrap().iter();
                let chain = chain.map(|c| x509::Certificate::from_der(&decoded(&c["rawBytes"])));
                let authority = Authority::new(chain.map(Result::unwrap).collect());
                authority.is_ok_and(|a| timestamp.verify(&signature, &a).is_ok())
            });
            let name = directory.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("rekor2-timestamp-with") && !name.ends_with("_fail") {
                assert!(is_good, "{name}");
            }
            if name.contains("payload-mismatch") || name.contains("untrusted-tsa") {
                assert!(!is_good, "{name}");
            }
            verified += usize::from(is_good);
        }
    }
    assert!(read > 10 && verified > 5, "read {read}, verified {verified}");
}

/// What openssl stamps, with what Sigstore's own authority never has: other keys and hashes,
/// fractions of a second, SHA-1 in the name of the certificate, the whole chain.
#[test]
fn timestamps_by_openssl_verify_or_are_refused_by_name() {
    let recording: Value = openssl();
    let message = recording["message"].as_str().unwrap().as_bytes();
    let outcomes = recording["cases"].as_array().unwrap().iter().map(|case| {
        let timestamp = Timestamp::from_der(&decoded(&case["response_b64"]))?;
        timestamp.verify(message, &authority_of(&case["chain_pem"]))
    });
    let outcomes: Vec<Result<SystemTime, Error>> = outcomes.collect();
    let [rsa, p384, p256, policy, sha1] = outcomes.as_slice() else { panic!() };
    let fraction = |time: &Result<SystemTime, Error>| {
        let since = time.as_ref().unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs() / 1_000_000, 1795);
        since.subsec_nanos()
    };
    assert_eq!(fraction(rsa), 0);
    assert_eq!(fraction(p384), 275_621_000);
    assert_eq!(fraction(p256) % 1_000_000, 0);
    assert_eq!(
        policy.as_ref().unwrap_err().to_string(),
        "the timestamp authority refused with status 2: Requested policy is not supported., \
         unacceptedPolicy"
    );
    let sha1 = sha1.as_ref().unwrap_err().to_string();
    assert!(sha1.contains("expected SHA-256, 384 or 512, found 1.3.14.3.2.26"), "{sha1}");
}

/// Made by `openssl ts -reply -sha384` and `-sha512` with a key of RSA, and by `openssl cms -sign` with
/// the padding PSS, which `openssl ts` has not.
#[test]
fn timestamps_of_rsa_authorities_with_sha_384_and_sha_512_verify_and_no_changed_bit_does() {
    let recording: Value = openssl();
    let message = recording["message"].as_str().unwrap().as_bytes();
    let cases = ["rsa_cases", "pss_cases"].map(|cases| recording[cases].as_array().unwrap());
    assert_eq!(cases.map(Vec::len), [2, 2]);
    for case in cases.into_iter().flatten() {
        let authority = authority_of(&case["chain_pem"]);
        let response = decoded(&case["response_b64"]);
        let timestamp = Timestamp::from_der(&response).unwrap();
        let time = timestamp.verify(message, &authority).unwrap();
        assert_eq!(time.duration_since(UNIX_EPOCH).unwrap().as_secs() / 1_000_000, 1795);
        let mut changed = response;
        *changed.last_mut().unwrap() ^= 1;
        let error = Timestamp::from_der(&changed).unwrap().verify(message, &authority);
        assert!(matches!(error, Err(Error::Signature(_))), "{error:?}");
    }
}

/// Thousands of certificates of four bytes, in the worst order for the decoder's sort: 46 seconds
/// without the guard.
#[test]
fn a_set_of_thousands_is_refused_before_it_is_sorted() {
    let wrap = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    };
    let certificates: Vec<u8> = (0..7_500_u16)
        .rev()
        .flat_map(|number| [&[0x04, 0x02][..], &number.to_be_bytes()].concat())
        .collect();
    // id-signedData { 3, no digests, id-ct-TSTInfo without content, certificates, no signer }
    let signed = [
        &b"\x02\x01\x03\x31\x00"[..],
        b"\x30\x0d\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04",
        &wrap(0xa0, &certificates),
        b"\x31\x00",
    ]
    .concat();
    let token =
        [&b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"[..], &wrap(0xa0, &wrap(0x30, &signed))]
            .concat();
    let response = wrap(0x30, &[&b"\x30\x03\x02\x01\x00"[..], &wrap(0x30, &token)].concat());
    let started = std::time::Instant::now();
    let error = Timestamp::from_der(&response).unwrap_err();
    assert!(error.to_string().ends_with("a set of more than 64 members"), "{error}");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// Issuer, serial number and key are the same, the certificate is not: only the hash in the signed
/// attributes tells them apart.
#[test]
fn a_certificate_with_the_same_key_and_number_is_not_the_one_that_signed() {
    let recording: Value = openssl();
    let message = recording["message"].as_str().unwrap().as_bytes();
    let timestamp = Timestamp::from_der(&decoded(&recording["cases"][2]["response_b64"])).unwrap();
    assert_eq!(timestamp.certificates().count(), 0);
    let twin = authority_of(&recording["twin_chain_pem"]);
    let error = timestamp.verify(message, &twin).unwrap_err();
    assert!(error.to_string().contains("the signed attributes name another one"), "{error}");
}

fn openssl() -> Value {
    serde_json::from_str(&fixture("../openssl/timestamps.json")).unwrap()
}

fn authority_of(chain: &Value) -> Authority {
    let chain = x509::Certificate::chain_from_pem(chain.as_str().unwrap()).unwrap();
    Authority::new(chain).unwrap()
}

fn tsa(status: u16, body: Vec<u8>) -> (Tsa, Arc<Mutex<Vec<Request<Bytes>>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let http = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        seen.lock().unwrap().push(request);
        Ok(Response::builder().status(status).body(Bytes::from(body.clone())).unwrap())
    };
    let url = "https://tsa.example/api/v1/timestamp".parse().unwrap();
    (Tsa::new(url, Arc::new(http)), requests)
}

fn recording() -> Value {
    serde_json::from_str(&fixture("tsa/answers.json")).unwrap()
}

fn cases(status: u64) -> Vec<Value> {
    let cases = recording()["cases"].as_array().unwrap().clone();
    cases.into_iter().filter(|case| case["status"] == status).collect()
}

fn reply(name: &str) -> Timestamp {
    let case = cases(200).into_iter().find(|case| case["case"] == name).expect(name);
    Timestamp::from_der(&decoded(&case["response_b64"])).unwrap()
}

fn message() -> Vec<u8> {
    decoded(&recording()["signature_b64"])
}

fn chain() -> Vec<x509::Certificate> {
    x509::Certificate::chain_from_pem(&fixture("tsa/certchain.pem")).unwrap()
}

fn authority() -> Authority {
    Authority::new(chain()).unwrap()
}

fn leaf_of_fulcio() -> x509::Certificate {
    let issued: Value = serde_json::from_str(&fixture("fulcio/issued.json")).unwrap();
    x509::Certificate::from_pem(issued[0]["pem"].as_str().unwrap()).unwrap()
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn fixture(path: &str) -> String {
    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures");
    std::fs::read_to_string(format!("{captures}/{path}")).unwrap()
}

/// Futures over a replayed network are ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a replayed network made us wait")
}
