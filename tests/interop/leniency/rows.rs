//! The mutations.

mod envelopes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::{Digest, HashAlgorithm};
use serde_json::{Value, json};

use super::{ARTIFACT, Base, Bases, Change, Row};

const SPELLING: Option<&str> = Some("a spelling that proto-JSON allows");
const BYTE_ORDER_MARK: Option<&str> =
    Some("editors write a byte order mark before JSON; it says nothing");
const KEY_ID: Option<&str> = Some("a keyid is a hint that decides nothing (DSSE); we warn");
const UNKNOWN_LOG: Option<&str> = Some("what is logged in a log of tomorrow as well stays valid");

pub(super) fn entries(bundle: &mut Value) -> &mut Vec<Value> {
    bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap()
}

fn entry(bundle: &mut Value) -> &mut Value {
    &mut entries(bundle)[0]
}

fn proof(bundle: &mut Value) -> &mut Value {
    &mut entry(bundle)["inclusionProof"]
}

fn material(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]
}

fn stamps(bundle: &mut Value) -> &mut Vec<Value> {
    let data = &mut material(bundle)["timestampVerificationData"];
    if data.get("rfc3161Timestamps").is_none() {
        *data = json!({ "rfc3161Timestamps": [] });
    }
    data["rfc3161Timestamps"].as_array_mut().unwrap()
}

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().unwrap().remove(name).unwrap();
}

fn number(value: &Value) -> i64 {
    value.as_str().map_or(0, |text| text.parse().unwrap())
}

fn plus_one(value: &mut Value) {
    *value = json!((number(value) + 1).to_string());
}

fn flip(value: &mut Value) {
    let mut bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    bytes[0] ^= 1;
    *value = json!(STANDARD.encode(bytes));
}

fn in_base64(value: &mut Value, change: fn(String) -> String) {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    *value = json!(STANDARD.encode(change(String::from_utf8(bytes).unwrap())));
}

fn chained(bundle: &mut Value, media_type: &str) {
    bundle["mediaType"] = json!(media_type);
    let certificate = material(bundle)["certificate"].take();
    remove(material(bundle), "certificate");
    material(bundle)["x509CertificateChain"] = json!({ "certificates": [certificate] });
}

fn in_chain(bundle: &mut Value, authority: &[Value]) {
    chained(bundle, "application/vnd.dev.sigstore.bundle+json;version=0.2");
    let chain = &mut material(bundle)["x509CertificateChain"]["certificates"];
    chain.as_array_mut().unwrap().extend(authority.iter().cloned());
}

fn snake(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(snake),
        Value::Object(fields) => {
            for (name, mut inner) in std::mem::take(fields) {
                snake(&mut inner);
                let split = |c: char| match c {
                    'A'..='Z' => vec!['_', c.to_ascii_lowercase()],
                    _ => vec![c],
                };
                // protobuf's own name of this field has its underscore elsewhere.
                let name = match name.as_str() {
                    "x509CertificateChain" => "x509_certificate_chain".to_owned(),
                    _ => name.chars().flat_map(split).collect(),
                };
                fields.insert(name, inner);
            }
        }
        _ => {}
    }
}

fn note(bundle: &mut Value, change: fn(&str) -> String) {
    let envelope = &mut proof(bundle)["checkpoint"]["envelope"];
    *envelope = json!(change(envelope.as_str().unwrap()));
}

fn json(name: &'static str, base: Base, change: fn(&mut Value)) -> Row {
    Row { name, base, change: Change::Json(change), excuse: None }
}

fn with(name: &'static str, change: fn(&mut Value, &Bases)) -> Row {
    Row { name, base: Base::V1, change: Change::With(change), excuse: None }
}

fn text(name: &'static str, change: fn(String) -> String) -> Row {
    Row { name, base: Base::V1, change: Change::Text(change), excuse: None }
}

impl Row {
    fn excused(self, excuse: Option<&'static str>) -> Self {
        Self { excuse, ..self }
    }
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = [Base::V1, Base::V2, Base::V1Stamped, Base::DsseV1, Base::DsseV2]
        .map(|base| json("none", base, |_| ()))
        .into();
    rows.extend(documents());
    rows.extend(spellings());
    rows.extend(contents());
    rows.extend(promises());
    rows.extend(proofs());
    rows.extend(timestamps());
    rows.extend(envelopes::rows());
    rows
}

fn documents() -> Vec<Row> {
    vec![
        json("unknown field on top", Base::V1, |b| b["more"] = json!(1)),
        json("unknown field in an entry", Base::V1, |b| entry(b)["more"] = json!(1)),
        text("key twice, on top", |t| t.replacen('{', r#"{"mediaType":"x","#, 1)),
        text("key twice, further down", |t| {
            t.replacen(r#""logId":{"#, r#""logId":{"keyId":"AAAA","#, 1)
        }),
        text("bytes after the document", |t| t + "x"),
        text("second document", |t| format!("{t}{t}")),
        text("byte order mark", |t| format!("\u{feff}{t}")).excused(BYTE_ORDER_MARK),
        text("comment", |t| t.replacen('{', "{/* a */", 1)),
        text("comma at the end", |t| format!("{},}}", &t[..t.len() - 1])),
        text("array around it", |t| format!("[{t}]")),
        json("no mediaType", Base::V1, |b| remove(b, "mediaType")),
        json("mediaType of v0.4", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json");
        }),
        json("mediaType of v0.3.1", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.3.1+json");
        }),
        json("mediaType in capitals", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.3+JSON");
        }),
        json("mediaType with a space", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json; version=0.3");
        }),
        json("earlier spelling of v0.3", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.3");
        }),
        json("v0.3 with a chain only", Base::V1, |b| {
            chained(b, "application/vnd.dev.sigstore.bundle.v0.3+json");
        }),
        json("v0.2 with a chain", Base::V1, |b| {
            chained(b, "application/vnd.dev.sigstore.bundle+json;version=0.2");
        }),
        with("v0.2 with its issuer in the chain", |b, all| in_chain(b, &all.authority[..1])),
        with("v0.2 with its root in the chain", |b, all| in_chain(b, &all.authority)),
        json("v0.1 with a single certificate", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
        }),
        json("v0.2 with a single certificate", Base::V1, |b| {
            b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
        }),
        json("v0.1 with an empty chain", Base::V1, |b| {
            chained(b, "application/vnd.dev.sigstore.bundle+json;version=0.1");
            material(b)["x509CertificateChain"]["certificates"] = json!([]);
        }),
    ]
}

fn spellings() -> Vec<Row> {
    vec![
        json("snake_case keys", Base::V1, snake).excused(SPELLING),
        json("int64 as a number", Base::V1, |b| {
            let index = number(&entry(b)["logIndex"]);
            entry(b)["logIndex"] = json!(index);
        })
        .excused(SPELLING),
        json("int64 with a fraction", Base::V1, |b| {
            let index = number(&entry(b)["logIndex"]);
            entry(b)["logIndex"] = json!(format!("{index}.5"));
        }),
        json("int64 with a sign", Base::V1, |b| {
            let index = number(&entry(b)["logIndex"]);
            entry(b)["logIndex"] = json!(format!("+{index}"));
        }),
        json("int64 with a leading zero", Base::V1, |b| {
            let time = number(&entry(b)["integratedTime"]);
            entry(b)["integratedTime"] = json!(format!("0{time}"));
        }),
        json("int64 with a space", Base::V1, |b| {
            let time = number(&entry(b)["integratedTime"]);
            entry(b)["integratedTime"] = json!(format!(" {time}"));
        }),
        json("base64 of the URL alphabet", Base::V1, |b| {
            let body = &mut entry(b)["canonicalizedBody"];
            let certificate = body.as_str().unwrap().replace('+', "-").replace('/', "_");
            *body = json!(certificate);
            let raw = &mut material(b)["certificate"]["rawBytes"];
            *raw = json!(raw.as_str().unwrap().replace('+', "-").replace('/', "_"));
        })
        .excused(SPELLING),
        json("base64 without padding", Base::V1, |b| {
            let id = &mut entry(b)["logId"]["keyId"];
            *id = json!(id.as_str().unwrap().trim_end_matches('='));
        })
        .excused(SPELLING),
        json("newline in base64", Base::V1, |b| {
            let id = &mut entry(b)["logId"]["keyId"];
            *id = json!(format!("{}\n{}", &id.as_str().unwrap()[..8], &id.as_str().unwrap()[8..]));
        }),
        json("bits left over in base64", Base::V1, |b| {
            let id = &mut entry(b)["logId"]["keyId"];
            let text = id.as_str().unwrap().trim_end_matches('=');
            let last = text.chars().last().unwrap();
            let next = char::from_u32(u32::from(last) + 1).unwrap();
            *id = json!(format!("{}{next}=", &text[..text.len() - 1]));
        }),
        json("enum by number", Base::V1, |b| {
            b["messageSignature"]["messageDigest"]["algorithm"] = json!(1);
        })
        .excused(SPELLING),
        json("enum by unknown name", Base::V1, |b| {
            b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA2_257");
        }),
        json("enum by unknown number", Base::V1, |b| {
            b["messageSignature"]["messageDigest"]["algorithm"] = json!(77);
        }),
        json("null for the other content", Base::V1, |b| b["dsseEnvelope"] = Value::Null)
            .excused(SPELLING),
        json("null for the other material", Base::V1, |b| material(b)["publicKey"] = Value::Null),
        json("null for an entry", Base::V1, |b| entries(b).push(Value::Null)),
        json("empty timestampVerificationData", Base::V1, |b| {
            material(b)["timestampVerificationData"] = json!({});
        }),
        json("null for a list", Base::V1, |b| {
            material(b)["timestampVerificationData"] = json!({ "rfc3161Timestamps": null });
        })
        .excused(SPELLING),
    ]
}

fn contents() -> Vec<Row> {
    vec![
        json("both contents", Base::V1, |b| {
            b["dsseEnvelope"] =
                json!({ "payload": "e30=", "payloadType": "x", "signatures": [{ "sig": "AAAA" }] });
        }),
        json("neither content", Base::V1, |b| remove(b, "messageSignature")),
        json("certificate and chain", Base::V1, |b| {
            let certificate = material(b)["certificate"].clone();
            material(b)["x509CertificateChain"] = json!({ "certificates": [certificate] });
        }),
        json("certificate and publicKey", Base::V1, |b| {
            material(b)["publicKey"] = json!({ "hint": "x" });
        }),
        json("no material", Base::V1, |b| remove(material(b), "certificate")),
        json("bytes after the certificate", Base::V1, |b| {
            let raw = &mut material(b)["certificate"]["rawBytes"];
            let der = STANDARD.decode(raw.as_str().unwrap()).unwrap();
            *raw = json!(STANDARD.encode([der, vec![0]].concat()));
        }),
        json("no messageDigest", Base::V1, |b| remove(&mut b["messageSignature"], "messageDigest")),
        json("digest of another artifact", Base::V1, |b| {
            flip(&mut b["messageSignature"]["messageDigest"]["digest"]);
        }),
        json("digest under another algorithm", Base::V1, |b| {
            b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA2_512");
        }),
        json("digest under another algorithm of its length", Base::V1, |b| {
            b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA3_256");
        }),
        json("right digest by SHA-512", Base::V1, |b| {
            let digest = Digest::of(HashAlgorithm::Sha512, ARTIFACT.as_bytes());
            b["messageSignature"]["messageDigest"] =
                json!({ "algorithm": "SHA2_512", "digest": STANDARD.encode(digest.as_bytes()) });
        }),
        json("right digest by SHA-512", Base::V2, |b| {
            let digest = Digest::of(HashAlgorithm::Sha512, ARTIFACT.as_bytes());
            b["messageSignature"]["messageDigest"] =
                json!({ "algorithm": "SHA2_512", "digest": STANDARD.encode(digest.as_bytes()) });
        }),
        json("empty digest", Base::V1, |b| {
            b["messageSignature"]["messageDigest"]["digest"] = json!("");
        }),
        json("no signature", Base::V1, |b| remove(&mut b["messageSignature"], "signature")),
        json("bytes after the signature", Base::V1, |b| {
            let signature = &mut b["messageSignature"]["signature"];
            let bytes = STANDARD.decode(signature.as_str().unwrap()).unwrap();
            *signature = json!(STANDARD.encode([bytes, vec![0]].concat()));
        }),
    ]
}

fn promises() -> Vec<Row> {
    vec![
        json("no entry", Base::V1, |b| entries(b).clear()),
        json("no entry, stamped", Base::V2, |b| entries(b).clear()),
        json("same entry twice", Base::V1, |b| {
            let first = entry(b).clone();
            entries(b).push(first);
        }),
        with("second entry, of an unknown log", |b, all| {
            entries(b).push(all.strange_entry.clone());
        })
        .excused(UNKNOWN_LOG),
        json("entry of an unknown log alone", Base::V1, |b| flip(&mut entry(b)["logId"]["keyId"])),
        json("promise removed, time kept", Base::V1, |b| remove(entry(b), "inclusionPromise")),
        json("promise removed, and its time", Base::V1, |b| {
            remove(entry(b), "inclusionPromise");
            remove(entry(b), "integratedTime");
        }),
        json("promise removed, time kept", Base::V1Stamped, |b| {
            remove(entry(b), "inclusionPromise");
        }),
        json("promise removed, and its time", Base::V1Stamped, |b| {
            remove(entry(b), "inclusionPromise");
            remove(entry(b), "integratedTime");
        }),
        json("promise kept, time removed", Base::V1Stamped, |b| {
            remove(entry(b), "integratedTime");
        }),
        json("promise broken", Base::V1Stamped, |b| {
            let set = &mut entry(b)["inclusionPromise"]["signedEntryTimestamp"];
            let mut bytes = STANDARD.decode(set.as_str().unwrap()).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            *set = json!(STANDARD.encode(bytes));
        }),
        json("integratedTime + 1", Base::V1Stamped, |b| plus_one(&mut entry(b)["integratedTime"])),
        json("promise broken", Base::V1, |b| {
            let set = &mut entry(b)["inclusionPromise"]["signedEntryTimestamp"];
            let mut bytes = STANDARD.decode(set.as_str().unwrap()).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            *set = json!(STANDARD.encode(bytes));
        }),
        json("promise empty", Base::V1, |b| {
            entry(b)["inclusionPromise"]["signedEntryTimestamp"] = json!("");
        }),
        json("integratedTime + 1", Base::V1, |b| plus_one(&mut entry(b)["integratedTime"])),
        json("integratedTime negative", Base::V1, |b| entry(b)["integratedTime"] = json!("-1")),
        json("global logIndex + 1", Base::V1, |b| plus_one(&mut entry(b)["logIndex"])),
        json("logIndex negative", Base::V1, |b| entry(b)["logIndex"] = json!("-1")),
        json("logIndex 2^63", Base::V1, |b| entry(b)["logIndex"] = json!("9223372036854775808")),
        json("no kindVersion", Base::V1, |b| remove(entry(b), "kindVersion")),
        json("no canonicalizedBody", Base::V1, |b| remove(entry(b), "canonicalizedBody")),
        json("no canonicalizedBody", Base::V2, |b| remove(entry(b), "canonicalizedBody")),
        json("no logId", Base::V1, |b| remove(entry(b), "logId")),
        json("kindVersion.version wrong", Base::V1, |b| {
            entry(b)["kindVersion"]["version"] = json!("0.0.9");
        }),
        json("kindVersion.version wrong", Base::V2, |b| {
            entry(b)["kindVersion"]["version"] = json!("0.0.9");
        }),
        json("kindVersion.kind wrong", Base::V1, |b| {
            entry(b)["kindVersion"]["kind"] = json!("dsse");
        }),
        json("body of another apiVersion", Base::V1, |b| {
            in_base64(&mut entry(b)["canonicalizedBody"], |body| body.replace("0.0.1", "0.0.2"));
        }),
    ]
}

fn proofs() -> Vec<Row> {
    vec![
        json("no proof", Base::V1, |b| remove(entry(b), "inclusionProof")),
        json("no proof", Base::V2, |b| remove(entry(b), "inclusionProof")),
        json("no checkpoint", Base::V1, |b| remove(proof(b), "checkpoint")),
        json("no checkpoint", Base::V2, |b| remove(proof(b), "checkpoint")),
        json("checkpoint broken", Base::V1, |b| note(b, |n| n.replacen('\n', "x\n", 1))),
        json("checkpoint with CRLF", Base::V2, |b| note(b, |n| n.replace('\n', "\r\n"))),
        json("checkpoint's signature twice", Base::V2, |b| {
            note(b, |n| {
                let line = n.lines().last().unwrap();
                format!("{n}{line}\n")
            });
        }),
        json("checkpoint with a witness's line", Base::V2, |b| {
            note(b, |n| format!("{n}\u{2014} witness.test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"));
        }),
        json("checkpoint without its last newline", Base::V2, |b| {
            note(b, |n| n.trim_end().to_owned());
        }),
        json("rootHash altered", Base::V1, |b| flip(&mut proof(b)["rootHash"])),
        json("rootHash altered", Base::V2, |b| flip(&mut proof(b)["rootHash"])),
        json("rootHash missing", Base::V1, |b| remove(proof(b), "rootHash")),
        json("rootHash missing", Base::V2, |b| remove(proof(b), "rootHash")),
        json("treeSize altered", Base::V1, |b| plus_one(&mut proof(b)["treeSize"])),
        json("treeSize altered", Base::V2, |b| plus_one(&mut proof(b)["treeSize"])),
        json("treeSize missing", Base::V1, |b| remove(proof(b), "treeSize")),
        json("treeSize 2^63-1", Base::V2, |b| proof(b)["treeSize"] = json!("9223372036854775807")),
        json("proof's logIndex altered", Base::V1, |b| plus_one(&mut proof(b)["logIndex"])),
        json("proof's logIndex altered", Base::V2, |b| plus_one(&mut proof(b)["logIndex"])),
        json("entry's logIndex altered", Base::V2, |b| plus_one(&mut entry(b)["logIndex"])),
        json("hash altered", Base::V1, |b| flip(&mut proof(b)["hashes"][0])),
        json("hash altered", Base::V2, |b| flip(&mut proof(b)["hashes"][0])),
        json("hash too few", Base::V2, |b| {
            proof(b)["hashes"].as_array_mut().unwrap().pop().unwrap();
        }),
        json("hash too many", Base::V1, |b| {
            let root = proof(b)["rootHash"].clone();
            proof(b)["hashes"].as_array_mut().unwrap().push(root);
        }),
        json("hash too many", Base::V2, |b| {
            let root = proof(b)["rootHash"].clone();
            proof(b)["hashes"].as_array_mut().unwrap().push(root);
        }),
        json("body re-spaced", Base::V1, |b| {
            in_base64(&mut entry(b)["canonicalizedBody"], |body| body.replacen(':', ": ", 1));
        }),
        json("body re-spaced", Base::V2, |b| {
            in_base64(&mut entry(b)["canonicalizedBody"], |body| body.replacen(':', ": ", 1));
        }),
        json("integratedTime added, without promise", Base::V2, |b| {
            let time = std::time::SystemTime::now();
            let seconds = time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            entry(b)["integratedTime"] = json!(seconds.to_string());
        }),
    ]
}

fn timestamps() -> Vec<Row> {
    let garbage = |b: &mut Value| stamps(b).push(json!({ "signedTimestamp": "AAAA" }));
    vec![
        json("garbage timestamp beside a promise", Base::V1, garbage),
        json("garbage timestamp beside a good one", Base::V2, garbage),
        with("timestamp of an unknown authority beside a promise", |b, all| {
            stamps(b).push(json!({ "signedTimestamp": all.strange_stamps[0] }));
        }),
        Row {
            base: Base::V2,
            ..with("timestamp of an unknown authority beside a good one", |b, all| {
                stamps(b).push(json!({ "signedTimestamp": all.strange_stamps[1] }));
            })
        },
        Row {
            base: Base::V2,
            ..with("timestamp of an unknown authority alone", |b, all| {
                stamps(b)[0] = json!({ "signedTimestamp": all.strange_stamps[1] });
            })
        },
        json("same timestamp twice", Base::V2, |b| {
            let first = stamps(b)[0].clone();
            stamps(b).push(first);
        }),
        json("no timestamp", Base::V2, |b| stamps(b).clear()),
        json("empty timestamp", Base::V2, |b| stamps(b)[0]["signedTimestamp"] = json!("")),
        json("bytes after the timestamp", Base::V2, |b| {
            let stamp = &mut stamps(b)[0]["signedTimestamp"];
            let der = STANDARD.decode(stamp.as_str().unwrap()).unwrap();
            *stamp = json!(STANDARD.encode([der, vec![0]].concat()));
        }),
        json("timestamp's signature broken", Base::V2, |b| {
            let stamp = &mut stamps(b)[0]["signedTimestamp"];
            let mut der = STANDARD.decode(stamp.as_str().unwrap()).unwrap();
            *der.last_mut().unwrap() ^= 1;
            *stamp = json!(STANDARD.encode(der));
        }),
    ]
}
