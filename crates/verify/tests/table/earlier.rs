//! Group 13, and what else cosign stored before there were bundles: image signatures (`.sig`) and
//! attestations (`.att`). What registries do to them is tested in oci-push.

use std::collections::BTreeMap;

use ambisign_verify::{Artifact, Check, Error, LegacySignature, Policy, Verified, verify_legacy};
use bundle::proto_json::decode_base64;
use keys::Digest;
use serde_json::{Value, json};
use trust_root::TrustedRoot;

use crate::forge::{ARTIFACT, Made, Plan, Signing, statement, then};
use crate::{KIND, signer};

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
    let signature = bundle["messageSignature"]["signature"].as_str().unwrap_or_default();
    let mut annotations = BTreeMap::from([
        (SIGNATURE.to_owned(), signature.to_owned()),
        (PROMISE.to_owned(), promise.to_string()),
        ("dev.sigstore.cosign/certificate".to_owned(), pem),
        ("dev.sigstore.cosign/chain".to_owned(), String::new()),
        ("predicateType".to_owned(), "https://whatever.test".to_owned()),
    ]);
    let stamps = &material["timestampVerificationData"]["rfc3161Timestamps"];
    if let Some(stamp) = stamps[0]["signedTimestamp"].as_str() {
        let stamp = json!({ "SignedRFC3161Timestamp": stamp }).to_string();
        annotations.insert(TIMESTAMP.to_owned(), stamp);
    }
    annotations
}

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const PROMISE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

fn judge(made: &Made, image: &Digest, kind: &str) -> Result<Verified, Error> {
    let envelope = made.bundle["dsseEnvelope"].to_string();
    let legacy = LegacySignature::attestation(envelope.as_bytes(), &annotations(&made.bundle))?;
    let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
    let policy = Policy::attestation(kind, signer());
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

/// An image's signature over `document`.
fn signed(document: &str, change: fn(&mut Plan)) -> (Made, BTreeMap<String, String>) {
    let mut plan = Plan::v1();
    plan.signing = Signing::Payload(document.to_owned());
    change(&mut plan);
    let made = plan.make();
    let annotations = annotations(&made.bundle);
    (made, annotations)
}

fn judge_image(
    document: &str,
    (made, annotations): &(Made, BTreeMap<String, String>),
) -> Result<Verified, Error> {
    let legacy = LegacySignature::image_signature(document.as_bytes(), annotations)?;
    let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
    let policy = Policy::image_signature(signer());
    let image = Digest::sha256(ARTIFACT);
    verify_legacy(&legacy, &Artifact::Digest(&image), &policy, &root, then())
}

fn document(digest: &str, kind: &str) -> String {
    json!({
        "critical": {
            "identity": { "docker-reference": "registry.test/app" },
            "image": { "docker-manifest-digest": digest },
            "type": kind,
        },
        "optional": null,
    })
    .to_string()
}

#[test]
fn a_simple_signing_document_is_held_to_the_image_and_to_what_it_calls_itself() {
    const TYPE: &str = "cosign container image signature";
    let image = format!("sha256:{}", Digest::sha256(ARTIFACT).to_hex());
    let right = document(&image, TYPE);
    let of = |digest: &str| document(digest, TYPE);
    let (kind, digest) = ("critical.type", "critical.image.docker-manifest-digest");
    for (name, document, field) in [
        ("of another image", of(&format!("sha256:{}", "0".repeat(64))), digest),
        ("of the image in capitals", of(&image.to_uppercase()), digest),
        ("of the bare digest", of(&image["sha256:".len()..]), digest),
        ("of nothing", of(""), digest),
        ("of another type", document(&image, "https://sigstore.dev/cosign/sign/v1"), kind),
        ("of a type in capitals", document(&image, &TYPE.to_uppercase()), kind),
        ("without the critical part", right.replace("critical", "uncritical"), kind),
        ("with a digest that is a number", right.replace(&format!("\"{image}\""), "1"), "document"),
        ("with a key twice", right.replacen('{', "{\"critical\":{},", 1), "document"),
        ("with data after it", format!("{right}{{}}"), "document"),
        ("that is a list", format!("[{right}]"), "document"),
        ("that is empty", " ".to_owned(), "document"),
    ] {
        let refused = judge_image(&document, &signed(&document, |_| ())).unwrap_err();
        let Error::Refused(check) = &refused else { panic!("{name}: {refused:?}") };
        let of_the_field = matches!(&**check, Check::Claim { field: found, .. } if *found == field);
        assert!(of_the_field, "{name}: {check:?}");
    }
    let spaced = right.replace(':', ": ").replace("sha256: ", "sha256:");
    for document in [&right, &spaced, &right.replace("null", r#"{"a":1}"#)] {
        judge_image(document, &signed(document, |_| ())).unwrap();
    }
}

#[test]
fn an_earlier_signatures_annotations_belong_to_it_or_are_refused() {
    let image = format!("sha256:{}", Digest::sha256(ARTIFACT).to_hex());
    let right = document(&image, "cosign container image signature");
    let stamped = |plan: &mut Plan| plan.stamps = Plan::v2().stamps;
    let made = signed(&right, stamped);
    assert_eq!(judge_image(&right, &made).unwrap().times().len(), 2);
    let other = signed(&right, stamped);
    let refused = |name: &str, value: Option<String>| -> Check {
        let (made, mut annotations) = (signed(&right, stamped).0, BTreeMap::new());
        annotations.extend(self::annotations(&made.bundle));
        match value {
            Some(value) => annotations.insert(name.to_owned(), value),
            None => annotations.remove(name),
        };
        match judge_image(&right, &(made, annotations)) {
            Err(Error::Refused(check)) => *check,
            judged => panic!("{name}: {judged:?}"),
        }
    };
    // Of another signature over the same document, by another key.
    let check = refused(PROMISE, other.1.get(PROMISE).cloned());
    assert!(matches!(check, Check::NoLogEntry { .. } | Check::EntryBody { .. }), "{check}");
    let check = refused(SIGNATURE, other.1.get(SIGNATURE).cloned());
    assert!(matches!(check, Check::Signature(_)), "{check}");
    let check = refused(TIMESTAMP, other.1.get(TIMESTAMP).cloned());
    assert!(matches!(check, Check::Timestamp { .. } | Check::NoTime { .. }), "{check}");
    // Missing, and broken.
    assert!(matches!(refused(PROMISE, None), Check::NoLogEntry { .. }));
    assert!(matches!(refused(SIGNATURE, Some("AAAA".to_owned())), Check::Signature(_)));
    for (name, value) in [(PROMISE, "{}"), (TIMESTAMP, "{"), (SIGNATURE, "?"), (SIGNATURE, "")] {
        let check = refused(name, Some(value.to_owned()));
        assert!(matches!(&check, Check::Legacy { part, .. } if *part == name), "{check}");
    }
}
