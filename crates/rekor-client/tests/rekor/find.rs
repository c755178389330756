//! Looking for an entry by what was signed.

use keys::{Digest, KeyPair, Sign as _};
use rekor_client::{ApiVersion, Entry, Error, Verifier};
use serde_json::{Value, json};

use crate::{Submission, prove_v1, ready, replay, v1};

fn answer(status: u16, body: &Value) -> Value {
    json!({ "status": status, "body": body })
}

#[test]
fn an_entry_is_found_by_digest_signature_and_certificate() {
    let submitted = Submission::v1(&v1("hashedrekord, certificate")["request"]);
    let (rekor, requests) = replay(ApiVersion::V1, vec![v1("retrieve")]);
    let found = ready(rekor.find(&submitted.entry())).unwrap().unwrap();
    assert_eq!(found.log_index, 5);
    prove_v1(&found);
    let request = requests.lock().unwrap().remove(0);
    assert!(request.uri().path().ends_with("/api/v1/log/entries/retrieve"), "{request:?}");
    let asked: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(asked, json!({ "entries": [v1("hashedrekord, certificate")["request"]] }));
}

#[test]
fn an_entry_that_was_logged_in_another_form_is_found_by_the_digest() {
    let submitted = Submission::v1(&v1("hashedrekord, certificate")["request"]);
    let logged = v1("hashedrekord, certificate")["body"].clone();
    let other = v1("hashedrekord, public key")["body"].clone();
    let id = logged.as_object().unwrap().keys().next().unwrap().clone();
    let nothing = answer(200, &json!([]));
    let index = answer(200, &json!([id, "not an id"]));
    let cases =
        vec![nothing.clone(), index.clone(), answer(200, &json!([other.clone(), logged.clone()]))];
    let (rekor, requests) = replay(ApiVersion::V1, cases);
    let found = ready(rekor.find(&submitted.entry())).unwrap().unwrap();
    assert_eq!(found.log_index, 5);
    let requests = requests.lock().unwrap();
    let asked =
        |number: usize| -> Value { serde_json::from_slice(requests[number].body()).unwrap() };
    assert!(asked(1)["hash"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(asked(2), json!({ "entryUUIDs": [id] }));

    // What is found belongs to another signature.
    let (rekor, _) = replay(ApiVersion::V1, vec![nothing, index, answer(200, &json!([other]))]);
    assert!(ready(rekor.find(&submitted.entry())).unwrap().is_none());
}

#[test]
fn a_log_without_an_index_has_no_such_entry_and_one_that_fails_says_so() {
    let key = KeyPair::generate().unwrap();
    let entry = Entry::Hashed {
        digest: &Digest::sha256(b"x"),
        signature: &[1],
        scheme: key.scheme(),
        verifier: Verifier::PublicKey(key.public_key()),
    };
    let find = |cases| ready(replay(ApiVersion::V1, cases).0.find(&entry));
    let nothing = answer(200, &json!([]));
    assert!(find(vec![nothing.clone(), answer(501, &json!(""))]).unwrap().is_none());
    let failed = find(vec![nothing, v1("search index")]).unwrap_err();
    assert!(matches!(failed, Error::Http { status: 500, .. }), "{failed}");
    let (rekor, _) = replay(ApiVersion::V2, Vec::new());
    assert!(matches!(ready(rekor.find(&entry)), Err(Error::Unloggable { .. })));
}
