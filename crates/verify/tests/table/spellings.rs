//! How a bundle may be spelled, and what it may hold.

use serde_json::{Value, json};

use crate::content::{entry, material};
use crate::forge::Plan;
use crate::{Case, passes, unreadable};

pub(crate) fn cases() -> Vec<Case> {
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
            "a number larger than any integer",
            |p| p.bundle = |b| entry(b)["logIndex"] = json!(1e300),
            unreadable("logIndex"),
        ),
        Case::v1(
            "digits without end",
            |p| p.bundle = |b| entry(b)["logIndex"] = json!("9".repeat(10_000)),
            unreadable("logIndex"),
        ),
        Case::v1(
            "an index of 2^63",
            |p| p.bundle = |b| entry(b)["logIndex"] = json!("9223372036854775808"),
            unreadable("2^63"),
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
        text.replacen('{', &format!("{{\"deep\":{}1{},", "[".repeat(200), "]".repeat(200)), 1),
        text.replacen(':', &format!(":{},\"x\":", "9".repeat(400)), 1),
        format!("\u{feff}\u{feff}{text}"),
        format!("\0{text}"),
        text.replacen('{', "{\"a\\ud800\":1,", 1),
        String::new(),
        "null".to_owned(),
    ] {
        assert!(bundle::Bundle::from_json(wrong.as_bytes()).is_err(), "{:.60}", wrong);
    }
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(bundle::Bundle::from_json(&utf16).is_err());
    let not_utf8 = [text.as_bytes(), b"\xff"].concat();
    assert!(bundle::Bundle::from_json(&not_utf8).is_err());
    bundle::Bundle::from_json(format!(" \n{text}\n").as_bytes()).unwrap();
    let large = vec![b' '; bundle::SIZE_CAP + 1];
    assert!(matches!(bundle::Bundle::from_json(&large), Err(bundle::Error::TooLarge { .. })));
}
