//! An attestation as cosign stored them under `.att`.

use std::collections::BTreeMap;

use ambisign_verify::{
    Artifact, Check, Error, Legacy, Policy, StringMatch, Verified, verify_legacy,
};
use bundle::proto_json::decode_base64;
use keys::Digest;
use serde_json::{Value, json};
use trust_root::TrustedRoot;

use crate::forge::{ARTIFACT, ISSUER, Made, Plan, SUBJECT, Signing, statement, then};

const KIND: &str = "https://example.test/predicate/v1";

fn made(kind: (&'static str, &'static str)) -> Made {
    let mut plan = Plan::v1();
    plan.signing = Signing::Statement {
        payload_type: "application/vnd.in-toto+json",
        payload: statement(KIND),
    };
    plan.entries[0].kind = kind;
    plan.make()
}

fn annotations(bundle: &Value) -> BTreeMap<String, String> {
    let material = &bundle["verificationMaterial"];
    let entry = &material["tlogEntries"][0];
    let number = |name: &str| entry[name].as_str().unwrap().parse::<u64>().unwrap();
    let id = decode_base64(entry["logId"]["keyId"].as_str().unwrap()).unwrap();
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let promise = json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": number("integratedTime"),
            "logIndex": number("logIndex"),
            "logID": id,
        },
    });
    let der = material["certificate"]["rawBytes"].as_str().unwrap();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
    BTreeMap::from([
        ("dev.cosignproject.cosign/signature".to_owned(), String::new()),
        ("dev.sigstore.cosign/bundle".to_owned(), promise.to_string()),
        ("dev.sigstore.cosign/certificate".to_owned(), pem),
        ("dev.sigstore.cosign/chain".to_owned(), String::new()),
        ("predicateType".to_owned(), "https://whatever.test".to_owned()),
    ])
}

fn judge(made: &Made, image: &Digest, kind: &str) -> Result<Verified, Error> {
    let envelope = made.bundle["dsseEnvelope"].to_string();
    let legacy = Legacy::attestation(envelope.as_bytes(), &annotations(&made.bundle))?;
    let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
    let policy = Policy::new(StringMatch::exact(SUBJECT), StringMatch::exact(ISSUER));
    let policy = policy.predicate_type(kind);
    verify_legacy(&legacy, &Artifact::Digest(image), &policy, &root, then())
}

#[test]
fn an_earlier_attestation_is_judged_by_what_it_states() {
    let image = Digest::sha256(ARTIFACT);
    for kind in [("dsse", "0.0.1"), ("intoto", "0.0.2")] {
        let made = made(kind);
        let verified = judge(&made, &image, KIND).unwrap();
        assert_eq!(verified.statement().unwrap().predicate_type(), KIND);
        let refused = |judged| match judged {
            Err(Error::Refused(check)) => *check,
            other => panic!("{other:?}"),
        };
        // The annotation says what anybody wrote there.
        let check = refused(judge(&made, &image, "https://whatever.test"));
        assert!(matches!(check, Check::PredicateType { .. }), "{check}");
        let check = refused(judge(&made, &Digest::sha256(b"another"), KIND));
        assert!(matches!(check, Check::Subject { .. }), "{check}");
    }
    // An entry of that kind does not record the signature that it is about.
    let made = made(("intoto", "0.0.1"));
    let refused = judge(&made, &image, KIND).unwrap_err();
    assert!(
        matches!(&refused, Error::Refused(check) if matches!(**check, Check::EntryKind { .. })),
        "{refused}"
    );
}
