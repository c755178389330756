//! Mutations of signed envelopes.

use super::{Base, KEY_ID, Row, entry, in_base64, json, remove};

pub(super) fn rows() -> Vec<Row> {
    vec![
        json("no signature in the envelope", Base::DsseV1, |b| {
            b["dsseEnvelope"]["signatures"] = json!([]);
        }),
        json("signature in the envelope twice", Base::DsseV1, |b| {
            let signatures = b["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
            signatures.push(signatures[0].clone());
        }),
        json("payloadType changed", Base::DsseV1, |b| {
            b["dsseEnvelope"]["payloadType"] = json!("application/json");
        }),
        json("payload re-spaced", Base::DsseV1, |b| {
            in_base64(&mut b["dsseEnvelope"]["payload"], |payload| payload + " ");
        }),
        json("keyid added", Base::DsseV1, |b| {
            b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("abc");
        })
        .excused(KEY_ID),
        json("keyid added", Base::DsseV2, |b| {
            b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("abc");
        })
        .excused(KEY_ID),
        json("keyid empty", Base::DsseV1, |b| {
            b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("");
        }),
        json("kindVersion.version wrong", Base::DsseV1, |b| {
            entry(b)["kindVersion"]["version"] = json!("0.0.2");
        }),
        json("kind of a file's entry", Base::DsseV1, |b| {
            entry(b)["kindVersion"] = json!({ "kind": "hashedrekord", "version": "0.0.1" });
        }),
        json("message signature in place of the envelope", Base::DsseV2, |b| {
            let signature = b["dsseEnvelope"]["signatures"][0]["sig"].clone();
            remove(b, "dsseEnvelope");
            b["messageSignature"] = json!({ "signature": signature });
        }),
    ]
}
