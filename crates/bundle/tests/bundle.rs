//! Bundles that cosign wrote, and what becomes of them when one thing is changed.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not in #[test] functions")]

use std::time::{Duration, Instant};

use ambisign_bundle::{
    Bundle, Content, Error, Limits, LogEntry, MEDIA_TYPE_V0_3, SIGN_PREDICATE_TYPE, Statement,
    VerificationMaterial, Version,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");
const BUNDLES: [&str; 6] = [
    "bundles/blob-github.sigstore.json",
    "bundles/blob-spiffe.sigstore.json",
    "bundles/blob-email.sigstore.json",
    "bundles/attest-blob-spiffe.sigstore.json",
    "bundles/image/referrer-0.sigstore.json",
    "bundles-v1/blob-spiffe.sigstore.json",
];

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{CAPTURES}{name}")).unwrap()
}

fn value(name: &str) -> Value {
    serde_json::from_slice(&capture(name)).unwrap()
}

fn read(value: &Value) -> Result<Bundle, Error> {
    Bundle::from_json(value.to_string().as_bytes())
}

/// The v2 blob bundle, with `change` made to its JSON.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Bundle, Error> {
    let mut value = value(BUNDLES[0]);
    change(&mut value);
    read(&value)
}

/// The Rekor v1 bundle as a v0.1 bundle of its time, with `change` made to its JSON.
fn v0_1(change: impl FnOnce(&mut Value)) -> Result<Bundle, Error> {
    let mut value = value(BUNDLES[5]);
    value["mediaType"] = json!(Version::V0_1.media_type());
    let material = value["verificationMaterial"].as_object_mut().unwrap();
    let leaf = material.remove("certificate").unwrap();
    material.insert("x509CertificateChain".into(), json!({ "certificates": [leaf] }));
    change(&mut value);
    read(&value)
}

fn entry(value: &mut Value) -> &mut Value {
    &mut value["verificationMaterial"]["tlogEntries"][0]
}

#[test]
fn cosigns_bundles_are_read_and_written_back_unchanged() {
    for name in BUNDLES {
        let bundle = Bundle::from_json(&capture(name)).unwrap();
        assert_eq!(bundle.version(), Version::V0_3, "{name}");
        let written = bundle.to_json();
        assert_eq!(Bundle::from_json(written.as_bytes()).unwrap(), bundle, "{name}");
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written, value(name), "{name}");
    }
}

#[test]
fn the_parts_of_an_image_bundle_are_what_cosign_put_there() {
    let bundle = Bundle::from_json(&capture(BUNDLES[4])).unwrap();
    assert!(matches!(bundle.material(), VerificationMaterial::Certificate(der) if der[0] == 0x30));
    let Content::Envelope(envelope) = bundle.content() else { panic!("no envelope") };
    let statement = envelope.statement().unwrap();
    assert_eq!(statement.predicate_type(), SIGN_PREDICATE_TYPE);
    assert_eq!(statement.subjects()[0].name, None);
    assert!(statement.subjects()[0].digests["sha256"].starts_with("7c9a6aae"));
    assert_eq!(bundle.log_entries()[0].log_index, 312);
    assert_eq!(bundle.timestamps().len(), 1);
    assert_eq!(bundle.signature(), envelope.signatures[0].sig);
}

#[test]
fn an_entry_of_a_bundle_is_an_answer_of_the_log() {
    let bundle = Bundle::from_json(&capture(BUNDLES[0])).unwrap();
    let entry = value(BUNDLES[0])["verificationMaterial"]["tlogEntries"][0].to_string();
    assert_eq!(LogEntry::from_json(entry.as_bytes()).unwrap(), bundle.log_entries()[0]);
}

#[test]
fn other_spellings_of_the_same_bundle_are_read_alike() {
    let expected = Bundle::from_json(&capture(BUNDLES[5])).unwrap();
    let text = String::from_utf8(capture(BUNDLES[5])).unwrap();
    let signature = value(BUNDLES[5])["messageSignature"]["signature"].as_str().unwrap().to_owned();
    let url_safe = signature.replace('+', "-").replace('/', "_");
    for (what, spelled) in [
        (
            "early media type",
            text.replace(MEDIA_TYPE_V0_3, "application/vnd.dev.sigstore.bundle+json;version=0.3"),
        ),
        (
            "snake_case",
            text.replace("tlogEntries", "tlog_entries").replace("logIndex", "log_index"),
        ),
        ("numbers", text.replace("\"13\"", "13").replace("\"14\"", "14")),
        ("enum by number", text.replace("\"SHA2_256\"", "1")),
        ("URL-safe base64", text.replace(&signature, &url_safe)),
        ("unpadded base64", text.replace(&signature, signature.trim_end_matches('='))),
        ("null for absent", text.replacen('{', "{\"dsseEnvelope\":null,", 1)),
        ("final newline", format!("{text}\n")),
    ] {
        assert_ne!(spelled, text, "{what}");
        assert_eq!(Bundle::from_json(spelled.as_bytes()).unwrap(), expected, "{what}");
    }
}

#[test]
fn what_two_readers_could_take_differently_is_refused() {
    let text = String::from_utf8(capture(BUNDLES[0])).unwrap();
    for (what, bad) in [
        ("duplicate key", text.replacen('{', "{\"messageSignature\":null,", 1)),
        ("second document", format!("{text}{text}")),
        ("trailing data", format!("{text}x")),
        ("unknown field", text.replacen('{', "{\"x\":1,", 1)),
        ("unknown nested field", text.replace("\"kind\":", "\"x\":1,\"kind\":")),
        ("newline in base64", text.replace("\"MIIG", "\"MII\\nG")),
        ("cut off", text[..text.len() - 1].to_owned()),
        ("empty", String::new()),
    ] {
        assert_ne!(bad, text, "{what}");
        assert!(Bundle::from_json(bad.as_bytes()).is_err(), "{what}");
    }
}

#[test]
fn media_types_other_than_the_four_are_refused() {
    for bad in [
        "application/vnd.dev.sigstore.bundle+json; version=0.3",
        "application/vnd.dev.sigstore.bundle.v0.3+JSON",
        "application/vnd.dev.sigstore.bundle.v0.2+json",
        "application/vnd.dev.sigstore.bundle.v0.4+json",
        "",
    ] {
        let error = changed(|v| v["mediaType"] = json!(bad)).unwrap_err();
        assert!(matches!(&error, Error::MediaType { .. }), "{bad}: {error}");
    }
    let error = changed(|v| drop(v.as_object_mut().unwrap().remove("mediaType"))).unwrap_err();
    assert!(error.to_string().contains("(none)"));
}

#[test]
fn two_members_of_a_oneof_are_refused_and_so_is_none() {
    let envelope = value(BUNDLES[4])["dsseEnvelope"].clone();
    assert!(changed(|v| v["dsseEnvelope"] = envelope).is_err());
    assert!(changed(|v| drop(v.as_object_mut().unwrap().remove("messageSignature"))).is_err());
    for (name, arm) in [
        ("publicKey", json!({})),
        ("publicKey", json!({"hint": "x"})),
        ("x509CertificateChain", json!({"certificates": []})),
    ] {
        assert!(changed(|v| v["verificationMaterial"][name] = arm).is_err(), "{name}");
    }
    assert!(changed(|v| v["verificationMaterial"]["certificate"] = Value::Null).is_err());
    assert!(changed(|v| v["verificationMaterial"] = Value::Null).is_err());
}

#[test]
fn a_v0_3_bundle_holds_its_leaf_alone() {
    let chain = |v: &mut Value| {
        let leaf = v["verificationMaterial"]["certificate"].take();
        v["verificationMaterial"]["x509CertificateChain"] = json!({ "certificates": [leaf] });
    };
    assert!(changed(chain).unwrap_err().to_string().contains("leaf alone"));
    for media_type in [Version::V0_2, Version::V0_1] {
        let read = v0_1(|v| v["mediaType"] = json!(media_type.media_type())).unwrap();
        assert!(matches!(read.material(), VerificationMaterial::Chain(chain) if chain.len() == 1));
        let alone = |v: &mut Value| v["mediaType"] = json!(media_type.media_type());
        assert!(changed(alone).unwrap_err().to_string().contains("holds a chain"));
    }
}

#[test]
fn each_version_wants_its_own_evidence_in_every_entry() {
    let promise = |v: &mut Value| entry(v)["inclusionPromise"] = Value::Null;
    let proof = |v: &mut Value| entry(v)["inclusionProof"] = Value::Null;
    let v0_2 = |v: &mut Value| v["mediaType"] = json!(Version::V0_2.media_type());
    assert!(v0_1(promise).is_err());
    assert!(v0_1(proof).is_ok());
    assert!(v0_1(|v| entry(v)["inclusionProof"]["checkpoint"] = Value::Null).is_err());
    assert!(
        v0_1(|v| {
            v0_2(v);
            promise(v);
        })
        .is_ok()
    );
    assert!(
        v0_1(|v| {
            v0_2(v);
            proof(v);
        })
        .is_err()
    );
    assert!(changed(proof).is_err());
}

#[test]
fn an_old_bundle_is_written_as_v0_3_where_that_can_say_it() {
    let with_proof: Value = serde_json::from_str(&v0_1(|_| ()).unwrap().to_json()).unwrap();
    assert_eq!(with_proof, value(BUNDLES[5]));
    let without = v0_1(|v| entry(v)["inclusionProof"] = Value::Null).unwrap();
    assert_eq!(Bundle::from_json(without.to_json().as_bytes()).unwrap(), without);
}

#[test]
fn an_absent_log_index_is_the_first_entry() {
    let bundle = changed(|v| {
        let entry = entry(v);
        entry.as_object_mut().unwrap().remove("logIndex");
        let proof = entry["inclusionProof"].as_object_mut().unwrap();
        proof.remove("logIndex");
        proof.remove("hashes");
        proof["treeSize"] = json!("1");
    })
    .unwrap();
    assert_eq!(bundle.log_entries()[0].log_index, 0);
    assert_eq!(bundle.log_entries()[0].inclusion_proof.as_ref().unwrap().log_index, 0);
}

#[test]
fn a_broken_entry_is_named_by_its_path() {
    let hash = STANDARD.encode([0; 32]);
    for (path, change) in [
        ("logIndex", json!("-1")),
        ("logIndex", json!("9223372036854775808")),
        ("integratedTime", json!("-1")),
        ("logId", Value::Null),
        ("kindVersion", Value::Null),
        ("canonicalizedBody", json!("")),
        ("inclusionProof.logIndex", json!("308")),
        ("inclusionProof.logIndex", json!("-1")),
        ("inclusionProof.treeSize", json!("0")),
        ("inclusionProof.treeSize", json!("9223372036854775807")),
        ("inclusionProof.rootHash", json!(STANDARD.encode([0; 31]))),
        ("inclusionProof.rootHash", Value::Null),
        ("inclusionProof.hashes", json!([hash])),
        ("inclusionProof.hashes", json!([STANDARD.encode([0; 33])])),
        ("inclusionProof.checkpoint.envelope", json!("")),
    ] {
        let error = changed(|v| {
            let place = path.split('.').fold(entry(v), |place, name| &mut place[name]);
            *place = change.clone();
        })
        .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("verificationMaterial.tlogEntries[0]."), "{path}: {text}");
    }
}

#[test]
fn entries_and_timestamps_are_counted_and_no_two_alike() {
    let twice = |v: &mut Value, pointer: &str, n: usize| {
        let list = v.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
        *list = vec![list[0].clone(); n];
    };
    let entries = "/verificationMaterial/tlogEntries";
    let timestamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    for pointer in [entries, timestamps] {
        let error = changed(|v| twice(v, pointer, 2)).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
        let error = changed(|v| twice(v, pointer, 33)).unwrap_err();
        assert!(matches!(error, Error::Limit { limit: 32, found: 33, .. }), "{error}");
    }
    assert!(
        changed(|v| v["verificationMaterial"]["timestampVerificationData"] = json!({})).is_ok()
    );
}

#[test]
fn a_signature_a_payload_and_a_digest_must_be_there_and_fit() {
    assert!(changed(|v| v["messageSignature"]["signature"] = json!("")).is_err());
    assert!(changed(|v| v["messageSignature"]["messageDigest"] = Value::Null).is_err());
    let digest = |algorithm: Value, bytes: usize| {
        changed(|v| {
            v["messageSignature"]["messageDigest"] =
                json!({"algorithm": algorithm, "digest": STANDARD.encode(vec![7; bytes])});
        })
    };
    assert!(digest(json!("SHA2_512"), 64).is_ok());
    assert!(digest(json!("SHA2_512"), 32).is_err());
    assert!(digest(json!("HASH_ALGORITHM_UNSPECIFIED"), 32).is_err());
    assert!(digest(json!("MD5"), 16).is_err());
    let envelope = |name: &str, to: Value| {
        let mut value = value(BUNDLES[4]);
        value["dsseEnvelope"][name] = to;
        read(&value)
    };
    let signature = value(BUNDLES[4])["dsseEnvelope"]["signatures"][0].clone();
    assert!(envelope("payload", json!("")).is_err());
    assert!(envelope("payloadType", json!("")).is_err());
    assert!(envelope("signatures", json!([])).is_err());
    assert!(envelope("signatures", json!([signature, signature])).is_err());
    assert!(envelope("signatures", json!([{"sig": ""}])).is_err());
}

#[test]
fn what_is_built_obeys_the_rules_of_what_is_read() {
    let read = Bundle::from_json(&capture(BUNDLES[0])).unwrap();
    let build = |entries: Vec<LogEntry>, timestamps: Vec<Vec<u8>>| {
        Bundle::new(read.material().clone(), read.content().clone(), entries, timestamps)
    };
    assert_eq!(build(read.log_entries().to_vec(), read.timestamps().to_vec()).unwrap(), read);
    let mut proofless = read.log_entries().to_vec();
    proofless[0].inclusion_proof = None;
    assert!(build(proofless, Vec::new()).is_err());
    assert!(build(Vec::new(), vec![vec![1], vec![1]]).is_err());
    let none = VerificationMaterial::Chain(Vec::new());
    assert!(Bundle::new(none, read.content().clone(), Vec::new(), Vec::new()).is_err());
}

proptest! {
    #[test]
    fn no_input_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Bundle::from_json(&bytes);
        let _ = LogEntry::from_json(&bytes);
        let _ = Statement::parse(&bytes);
    }

    #[test]
    fn a_damaged_bundle_is_read_or_refused_but_never_a_panic(at in 0usize..6000, byte: u8) {
        let mut bytes = capture(BUNDLES[4]);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(bundle) = Bundle::from_json(&bytes) {
            prop_assert_eq!(Bundle::from_json(bundle.to_json().as_bytes()).unwrap(), bundle);
        }
    }
}

/// Editors of one system put it there.
#[test]
fn a_byte_order_mark_before_a_bundle_is_skipped_once() {
    let json = String::from_utf8(capture(BUNDLES[0])).unwrap();
    assert!(Bundle::from_json(format!("\u{feff}{json}").as_bytes()).is_ok());
    assert!(Bundle::from_json(format!("\u{feff}\u{feff}{json}").as_bytes()).is_err());
    // What is signed is read as it is.
    let statement =
        r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":"p"}"#;
    assert!(Statement::parse(statement.as_bytes()).is_ok());
    assert!(Statement::parse(format!("\u{feff}{statement}").as_bytes()).is_err());
}

#[test]
fn a_bundle_of_millions_of_small_values_is_refused_while_it_is_read() {
    let filler = format!("[{}{{}}]", "{},".repeat(3_000_000));
    let text = format!(r#"{{"mediaType":{MEDIA_TYPE_V0_3:?},"dsseEnvelope":{filler}}}"#);
    assert!(matches!(Bundle::from_json(text.as_bytes()), Err(Error::Limit { limit: 65_536, .. })));
    let limits = Limits::default().with_values(10);
    let bundle = Bundle::from_json_within(&capture(BUNDLES[0]), &limits);
    assert!(matches!(bundle, Err(Error::Limit { limit: 10, .. })));
}

/// Eight documents take as long as one of eight times the size, whatever it is made of. Quadratic
/// work would take eight times as long for the one.
#[test]
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn reading_is_linear() {
    let limits = Limits::default().with_values(1 << 22);
    let read = |text: &str| {
        let _ = Bundle::from_json_within(text.as_bytes(), &limits);
        let _ = Statement::parse_within(text.as_bytes(), &limits);
    };
    type Shape = fn(usize) -> String;
    let shapes: [(&str, Shape); 6] = [
        ("empty objects", |n| format!(r#"{{"predicate":[{}{{}}]}}"#, "{},".repeat(n))),
        ("members", |n| {
            let members: Vec<_> = (0..n).map(|i| format!(r#""{i}":1"#)).collect();
            format!(r#"{{"a":{{{}}},"predicate":{{{0}}}}}"#, members.join(","))
        }),
        ("members at the top", |n| {
            let members: Vec<_> = (0..n).map(|i| format!(r#""{i}":1"#)).collect();
            format!("{{{}}}", members.join(","))
        }),
        ("escapes", |n| format!(r#"{{"a":"{}"}}"#, r"\u0061".repeat(n))),
        ("a long number", |n| format!(r#"{{"a":{}}}"#, "1".repeat(n))),
        ("subjects", |n| {
            format!(r#"{{"subject":[{}{{}}]}}"#, r#"{"digest":{"a":"b"}},"#.repeat(n))
        }),
    ];
    for (name, shape) in shapes {
        let (small, large) = (shape(5_000), shape(40_000));
        let (mut eight, mut one) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            let start = Instant::now();
            (0..8).for_each(|_| read(&small));
            eight = eight.min(start.elapsed());
            let start = Instant::now();
            read(&large);
            one = one.min(start.elapsed());
        }
        assert!(one < eight * 3, "{name}: {eight:?} for eight small ones, {one:?} for a large one");
    }
}
