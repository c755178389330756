//! Group 11: what is stated about the artifact.

use ambisign_verify::Policy;
use keys::Digest;
use serde_json::{Value, json};

use crate::content::material;
use crate::forge::{ARTIFACT, Plan, Signing, statement};
use crate::{Case, KIND, passes, refused, signer, unreadable};

const INTOTO: &str = "application/vnd.in-toto+json";

/// In a `dsse` entry of Rekor v1.
fn stated(payload: String) -> Plan {
    let mut plan = Plan::v1();
    plan.signing = Signing::Statement { payload_type: INTOTO, payload };
    plan.entries[0].kind = ("dsse", "0.0.1");
    plan
}

fn with_subjects(subjects: &Value) -> String {
    let mut stated: Value = serde_json::from_str(&statement(KIND)).unwrap();
    stated["subject"] = subjects.clone();
    stated.to_string()
}

fn sha256() -> String {
    Digest::sha256(ARTIFACT).to_hex()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        // 11.
        Case::v1("a statement in a dsse entry", |p| *p = stated(statement(KIND)), passes()),
        Case::v1(
            "a statement in an intoto entry",
            |p| {
                *p = stated(statement(KIND));
                p.entries[0].kind = ("intoto", "0.0.2");
            },
            passes(),
        ),
        Case::v2(
            "a statement in Rekor v2",
            |p| {
                let payload = statement(KIND);
                p.signing = Signing::Statement { payload_type: INTOTO, payload };
            },
            passes(),
        ),
        // A file that is the pre-authentication encoding of an envelope, signed as a file, has
        // such an entry.
        Case::v1(
            "a statement in a hashedrekord entry of Rekor v1",
            |p| {
                *p = stated(statement(KIND));
                p.entries[0].kind = ("hashedrekord", "0.0.1");
            },
            refused("EntryKind", "it records a file's signature, not an envelope's"),
        ),
        Case::v1(
            "a dsse entry about another payload",
            |p| {
                *p = stated(statement(KIND));
                p.entries[0].body = |b| b["spec"]["payloadHash"]["value"] = json!("00".repeat(32));
            },
            refused("EntryBody", "payload hash"),
        ),
        Case::v1(
            "a dsse entry about another signature",
            |p| {
                *p = stated(statement(KIND));
                p.entries[0].body = |b| b["spec"]["signatures"][0]["signature"] = json!("AAAA");
            },
            refused("EntryBody", "signature"),
        ),
        Case::v1(
            "a dsse entry of two signatures",
            |p| {
                *p = stated(statement(KIND));
                p.entries[0].body = |b| {
                    let signatures = b["spec"]["signatures"].as_array_mut().unwrap();
                    signatures.push(signatures[0].clone());
                };
            },
            refused("EntryMalformed", "exactly one"),
        ),
        Case::v1(
            "an intoto entry without payload hash",
            |p| {
                *p = stated(statement(KIND));
                p.entries[0].kind = ("intoto", "0.0.2");
                p.entries[0].body = |b| {
                    b["spec"]["content"].as_object_mut().unwrap().remove("payloadHash");
                };
            },
            refused("EntryMalformed", "payloadHash"),
        ),
        Case::v1(
            "no signature in the envelope",
            |p| {
                *p = stated(statement(KIND));
                p.bundle = |b| b["dsseEnvelope"]["signatures"] = json!([]);
            },
            unreadable("exactly one"),
        ),
        Case::v1(
            "two signatures in the envelope",
            |p| {
                *p = stated(statement(KIND));
                p.bundle = |b| {
                    let signatures = b["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
                    signatures.push(signatures[0].clone());
                };
            },
            unreadable("exactly one"),
        ),
        Case::v1(
            "the key id of another key, which is a hint",
            |p| {
                *p = stated(statement(KIND));
                p.bundle = |b| b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("abc");
            },
            passes(),
        ),
        Case::v1(
            "an empty key id",
            |p| {
                *p = stated(statement(KIND));
                p.bundle = |b| b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("");
            },
            passes(),
        ),
        Case::v1(
            "the key id of the key, as its hint is",
            |p| {
                *p = stated(statement(KIND));
                p.keyed = true;
                p.bundle = |b| {
                    let hint = material(b)["publicKey"]["hint"].clone();
                    b["dsseEnvelope"]["signatures"][0]["keyid"] = hint;
                };
            },
            passes(),
        )
        .by_key(),
        Case::v1(
            "another payload type",
            |p| {
                *p = stated(statement(KIND));
                p.bundle = |b| b["dsseEnvelope"]["payloadType"] = json!("text/plain");
            },
            refused("Signature", "PKIX_ECDSA_P256_SHA_256"),
        ),
        Case::v1(
            "a payload type that is not in-toto's, signed",
            |p| {
                *p = stated(statement(KIND));
                let payload = statement(KIND);
                p.signing = Signing::Statement { payload_type: "application/json", payload };
            },
            refused("PayloadType", "found \"application/json\""),
        ),
        Case::v1(
            "a payload type in other letters, signed",
            |p| {
                *p = stated(statement(KIND));
                let payload = statement(KIND);
                p.signing =
                    Signing::Statement { payload_type: "application/vnd.in-toto+JSON", payload };
            },
            refused("PayloadType", "found \"application/vnd.in-toto+JSON\""),
        ),
        Case::v1(
            "no subject",
            |p| *p = stated(with_subjects(&json!([]))),
            refused("Statement", "subject"),
        ),
        Case::v1(
            "a subject without digest",
            |p| *p = stated(with_subjects(&json!([{ "name": "it" }]))),
            refused("Subject", "without a digest"),
        ),
        Case::v1(
            "1025 subjects",
            |p| {
                let subjects = vec![json!({ "digest": { "sha256": sha256() } }); 1025];
                *p = stated(with_subjects(&json!(subjects)));
            },
            refused("Statement", "1025"),
        ),
        Case::v1(
            "1024 subjects, of which the last is it",
            |p| {
                let mut subjects = vec![json!({ "digest": { "sha256": "00".repeat(32) } }); 1023];
                subjects.push(json!({ "digest": { "sha256": sha256() } }));
                *p = stated(with_subjects(&json!(subjects)));
            },
            passes(),
        ),
        Case::v1(
            "a subject by SHA-512 only",
            |p| {
                let digest = Digest::of(keys::HashAlgorithm::Sha512, ARTIFACT).to_hex();
                *p = stated(with_subjects(&json!([{ "digest": { "sha512": digest } }])));
            },
            passes(),
        ),
        Case::v1(
            "a digest in capitals",
            |p| {
                let digest = sha256().to_uppercase();
                *p = stated(with_subjects(&json!([{ "digest": { "sha256": digest } }])));
            },
            passes(),
        ),
        Case::v1(
            "a weak digest that is equal",
            |p| {
                *p = stated(with_subjects(&json!([{ "digest": { "sha1": sha256()[..40] } }])));
            },
            refused("Subject", "sha1:"),
        ),
        Case::v1(
            "the digest under another algorithm's name",
            |p| {
                *p = stated(with_subjects(&json!([{ "digest": { "gitCommit": sha256() } }])));
            },
            refused("Subject", "gitCommit:"),
        ),
        Case::v1(
            "the same subject twice",
            |p| {
                let subject = json!({ "name": "it", "digest": { "sha256": sha256() } });
                *p = stated(with_subjects(&json!([subject, subject])));
            },
            passes(),
        ),
        Case::v1(
            // As in-toto has it: one that is equal is enough.
            "two digests of which one fits",
            |p| {
                let sha512 = Digest::of(keys::HashAlgorithm::Sha512, b"another").to_hex();
                let digests = json!({ "sha256": sha256(), "sha512": sha512 });
                *p = stated(with_subjects(&json!([{ "digest": digests }])));
            },
            passes(),
        ),
        Case::v1(
            "a digest of the wrong length",
            |p| {
                let digest = json!({ "sha256": sha256()[..62] });
                *p = stated(with_subjects(&json!([{ "digest": digest }])));
            },
            refused("Subject", "the artifact is sha256:"),
        ),
        Case::v1(
            "another subject",
            |p| {
                *p = stated(with_subjects(&json!([{ "digest": { "sha256": "00".repeat(32) } }])));
            },
            refused("Subject", "about sha256:0000000000"),
        ),
        // CVE-2022-35929, CVE-2026-39395.
        Case::v1(
            "another predicate type than is wanted",
            |p| *p = stated(statement(KIND)),
            refused("PredicateType", KIND),
        )
        .policy(|_| Policy::attestation("https://example.test/predicate/v2", signer())),
        Case::v1("the predicate type that is wanted", |p| *p = stated(statement(KIND)), passes())
            .policy(|_| Policy::attestation(KIND, signer())),
        Case::v1(
            "no statement where a predicate type is wanted",
            |_| (),
            refused("Purpose", "expected an attestation of type https://example.test/predicate/v1, found a file signature"),
        )
        .policy(|_| Policy::attestation(KIND, signer())),
        Case::v1(
            "a key twice in the statement",
            |p| {
                let twice = statement(KIND).replacen('{', r#"{"predicateType":"x","#, 1);
                *p = stated(twice);
            },
            refused("Statement", "duplicate"),
        ),
        Case::v1(
            "a statement of another type",
            |p| {
                *p = stated(statement(KIND).replace("Statement/v1", "Statement/v9"));
            },
            refused("Statement", "v9"),
        ),
        Case::v1(
            "data after the statement",
            |p| *p = stated(statement(KIND) + "{}"),
            refused("Statement", "trailing characters"),
        ),
    ]
}
