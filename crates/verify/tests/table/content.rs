//! Groups 1, 2, 11 and 12: what was signed, by whom, and how the bundle is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::Digest;
use serde_json::{Value, json};

use crate::forge::{ARTIFACT, Plan, Signing, statement};
use crate::{Case, passes, refused, unreadable};

const INTOTO: &str = "application/vnd.in-toto+json";
const KIND: &str = "https://example.test/predicate/v1";

/// Which case, and what becomes of it.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = keys_and_materials();
    all.extend(statements());
    all.extend(spellings());
    all
}

fn material(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]
}

fn chained(bundle: &mut Value, version: &str) {
    bundle["mediaType"] =
        json!(format!("application/vnd.dev.sigstore.bundle+json;version={version}"));
    let certificate = material(bundle).as_object_mut().unwrap().remove("certificate").unwrap();
    material(bundle)["x509CertificateChain"] = json!({ "certificates": [certificate] });
}

fn keys_and_materials() -> Vec<Case> {
    vec![
        // 1.
        Case::v1("v0.1", |p| p.bundle = |b| chained(b, "0.1"), passes()),
        Case::v1("v0.2", |p| p.bundle = |b| chained(b, "0.2"), passes()),
        Case::v1("v0.3 with a chain", |p| p.bundle = |b| chained(b, "0.3"), unreadable("v0.3")),
        Case::v1(
            "an empty chain",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    material(b)["x509CertificateChain"]["certificates"] = json!([]);
                }
            },
            unreadable("empty"),
        ),
        Case::v1(
            "v0.1 without a proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    material(b)["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionProof");
                }
            },
            passes(),
        ),
        Case::v1(
            "v0.1 without a promise",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    material(b)["tlogEntries"][0]
                        .as_object_mut()
                        .unwrap()
                        .remove("inclusionPromise");
                }
            },
            unreadable("inclusionPromise"),
        ),
        Case::v1(
            "v0.2 without a proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.2");
                    material(b)["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionProof");
                }
            },
            unreadable("inclusionProof"),
        ),
        Case::v1(
            "a proof without a checkpoint",
            |p| {
                p.bundle = |b| {
                    let proof = &mut material(b)["tlogEntries"][0]["inclusionProof"];
                    proof.as_object_mut().unwrap().remove("checkpoint");
                }
            },
            unreadable("checkpoint"),
        ),
        // 2.
        Case::v1("a known key", |p| p.keyed = true, passes()).by_key(),
        Case::v2("a known key in Rekor v2", |p| p.keyed = true, passes()).by_key(),
        Case::v1("a key where an identity is wanted", |p| p.keyed = true, refused("Material", "")),
        Case::v1("an identity where a key is wanted", |_| (), refused("Material", "")).by_key(),
        Case::v1("another key", |p| p.keyed = true, refused("Signature", ""))
            .policy(|_| ambisign_verify::Policy::public_key(other_key())),
        Case::v1("a key of another kind", |p| p.keyed = true, refused("Signature", ""))
            .policy(|_| ambisign_verify::Policy::public_key(ed25519_key())),
        Case::v1(
            "another hint",
            |p| {
                p.keyed = true;
                p.bundle = |b| material(b)["publicKey"]["hint"] = json!("another");
            },
            passes(),
        )
        .by_key(),
        Case::v1(
            "another digest in the bundle",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["digest"] =
                        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                }
            },
            refused("ArtifactDigest", ""),
        ),
        Case::v1(
            "no digest in the bundle",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"].as_object_mut().unwrap().remove("messageDigest");
                }
            },
            unreadable("messageDigest"),
        ),
        Case::v1(
            "the digest by an algorithm that was not signed by",
            |p| {
                p.bundle = |b| {
                    let digest = Digest::of(keys::HashAlgorithm::Sha512, ARTIFACT);
                    b["messageSignature"]["messageDigest"] = json!({
                        "algorithm": "SHA2_512", "digest": STANDARD.encode(digest.as_bytes()),
                    });
                }
            },
            refused("DigestAlgorithm", "over SHA2_256, the bundle gives SHA2_512"),
        ),
        Case::v1(
            "the digest under an algorithm of the same length",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA3_256");
                }
            },
            refused("DigestAlgorithm", "SHA3_256"),
        ),
        Case::v1(
            "another signature",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["signature"] = json!("MAYCAQECAQE=");
                }
            },
            refused("Signature", ""),
        ),
        Case::v1(
            "a certificate that is none",
            |p| {
                p.bundle = |b| {
                    material(b)["certificate"]["rawBytes"] = json!("AAAA");
                }
            },
            refused("Certificate", ""),
        ),
    ]
}

fn other_key() -> keys::PublicKey {
    use keys::Sign as _;

    keys::KeyPair::generate().unwrap().public_key().clone()
}

fn ed25519_key() -> keys::PublicKey {
    use keys::Sign as _;

    let key = keys::KeyPair::generate_for(keys::KeyAlgorithm::Ed25519).unwrap();
    key.public_key().clone()
}

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

fn statements() -> Vec<Case> {
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
            "the key id of another key",
            |p| {
                *p = stated(statement(KIND));
                p.bundle = |b| b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("abc");
            },
            refused("KeyId", "found \"abc\""),
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
            refused("Signature", ""),
        ),
        Case::v1(
            "a payload type that is not in-toto's, signed",
            |p| {
                *p = stated(statement(KIND));
                let payload = statement(KIND);
                p.signing = Signing::Statement { payload_type: "application/json", payload };
            },
            refused("PayloadType", ""),
        ),
        Case::v1(
            "a payload type in other letters, signed",
            |p| {
                *p = stated(statement(KIND));
                let payload = statement(KIND);
                p.signing =
                    Signing::Statement { payload_type: "application/vnd.in-toto+JSON", payload };
            },
            refused("PayloadType", ""),
        ),
        Case::v1(
            "no subject",
            |p| *p = stated(with_subjects(&json!([]))),
            refused("Statement", ""),
        ),
        Case::v1(
            "a subject without digest",
            |p| *p = stated(with_subjects(&json!([{ "name": "it" }]))),
            refused("Subject", ""),
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
            refused("Subject", ""),
        ),
        Case::v1(
            "the digest under another algorithm's name",
            |p| {
                *p = stated(with_subjects(&json!([{ "digest": { "gitCommit": sha256() } }])));
            },
            refused("Subject", ""),
        ),
        Case::v1(
            "another subject",
            |p| {
                *p = stated(with_subjects(&json!([{ "digest": { "sha256": "00".repeat(32) } }])));
            },
            refused("Subject", ""),
        ),
        // CVE-2022-35929, CVE-2026-39395.
        Case::v1(
            "another predicate type than is wanted",
            |p| *p = stated(statement(KIND)),
            refused("PredicateType", KIND),
        )
        .policy(|policy| policy.predicate_type("https://example.test/predicate/v2")),
        Case::v1("the predicate type that is wanted", |p| *p = stated(statement(KIND)), passes())
            .policy(|policy| policy.predicate_type(KIND)),
        Case::v1(
            "no statement where a predicate type is wanted",
            |_| (),
            refused("PredicateType", "without a statement"),
        )
        .policy(|policy| policy.predicate_type(KIND)),
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
            refused("Statement", ""),
        ),
    ]
}

fn spellings() -> Vec<Case> {
    vec![
        // 12.
        Case::v1(
            "both contents",
            |p| {
                p.bundle = |b| {
                    b["dsseEnvelope"] = json!({
                        "payload": "e30=", "payloadType": "x", "signatures": [{ "sig": "AAAA" }]
                    });
                }
            },
            unreadable("both"),
        ),
        Case::v1(
            "two materials",
            |p| {
                p.bundle = |b| {
                    material(b)["publicKey"] = json!({ "hint": "x" });
                }
            },
            unreadable("more than one"),
        ),
        Case::v1(
            "null for the other content",
            |p| {
                p.bundle = |b| {
                    b["dsseEnvelope"] = Value::Null;
                }
            },
            passes(),
        ),
        Case::v1(
            "an unknown field",
            |p| p.bundle = |b| b["more"] = json!(1),
            unreadable("unknown field"),
        ),
        Case::v1(
            "an unknown field further down",
            |p| {
                p.bundle = |b| {
                    material(b)["tlogEntries"][0]["inclusionProof"]["more"] = json!(1);
                }
            },
            unreadable("unknown field"),
        ),
        Case::v1(
            "no media type",
            |p| {
                p.bundle = |b| {
                    b.as_object_mut().unwrap().remove("mediaType");
                }
            },
            unreadable("media type"),
        ),
        Case::v1(
            "a media type of tomorrow",
            |p| {
                p.bundle = |b| {
                    b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json");
                }
            },
            unreadable("media type"),
        ),
        Case::v1(
            "a media type with a space",
            |p| {
                p.bundle = |b| {
                    b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json; version=0.3");
                }
            },
            unreadable("media type"),
        ),
        Case::v1(
            "numbers for 64-bit integers",
            |p| {
                p.bundle = |b| {
                    let entry = &mut material(b)["tlogEntries"][0];
                    for name in ["logIndex", "integratedTime"] {
                        entry[name] = json!(entry[name].as_str().unwrap().parse::<u64>().unwrap());
                    }
                }
            },
            passes(),
        ),
        Case::v1(
            "a number with a fraction",
            |p| {
                p.bundle = |b| {
                    material(b)["tlogEntries"][0]["logIndex"] = json!(1002.5);
                }
            },
            unreadable("logIndex"),
        ),
        Case::v1(
            "an enum by its number",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["algorithm"] = json!(1);
                }
            },
            passes(),
        ),
        Case::v1(
            "an enum by an unknown name",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA2_257");
                }
            },
            unreadable("algorithm"),
        ),
        Case::v1(
            "a digest under another algorithm",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA2_512");
                }
            },
            unreadable("64 bytes"),
        ),
        Case::v1(
            "base64 of the other alphabet, without padding",
            |p| {
                p.bundle = |b| {
                    let signature = &mut b["messageSignature"]["signature"];
                    let text = signature.as_str().unwrap().replace('+', "-").replace('/', "_");
                    *signature = json!(text.trim_end_matches('='));
                }
            },
            passes(),
        ),
        Case::v1(
            "a newline in base64",
            |p| {
                p.bundle = |b| {
                    let signature = &mut b["messageSignature"]["signature"];
                    let text = signature.as_str().unwrap().to_owned();
                    *signature = json!(format!("{}\n{}", &text[..8], &text[8..]));
                }
            },
            unreadable("base64"),
        ),
        Case::v1(
            "names in snake case",
            |p| {
                p.bundle = |b| {
                    let signature = b.as_object_mut().unwrap().remove("messageSignature").unwrap();
                    b["message_signature"] = signature;
                }
            },
            passes(),
        ),
        Case::v1(
            "a name in both spellings",
            |p| {
                p.bundle = |b| {
                    b["message_signature"] = b["messageSignature"].clone();
                }
            },
            unreadable("both spellings"),
        ),
    ]
}

#[test]
fn one_document_that_ends_and_says_everything_once() {
    let made = Plan::v1().make();
    let text = made.bundle.to_string();
    bundle::Bundle::from_json(text.as_bytes()).unwrap();
    for wrong in [
        format!("{text}x"),
        format!("{text}{text}"),
        text.replacen('{', r#"{"mediaType":"x","#, 1),
        text[..text.len() - 1].to_owned(),
        format!("{}{text}", "[".repeat(10_000)),
    ] {
        assert!(bundle::Bundle::from_json(wrong.as_bytes()).is_err());
    }
    bundle::Bundle::from_json(format!(" \n{text}\n").as_bytes()).unwrap();
    let large = vec![b' '; bundle::SIZE_CAP + 1];
    assert!(matches!(bundle::Bundle::from_json(&large), Err(bundle::Error::TooLarge { .. })));
}
