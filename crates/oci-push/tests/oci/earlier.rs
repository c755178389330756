//! Attaching signatures in cosign's earlier formats.

use std::collections::BTreeMap;

use oci_push::{Attached, Digest, Error, LegacyKind};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::helpers::{MANIFEST_TYPE, block_on, subject};

const LAYER_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

fn attach(fake: &Fake, image: &Digest, payload: &str) -> Result<Attached, Error> {
    let annotations = BTreeMap::from([("signature".to_owned(), format!("of {payload}"))]);
    let (image, kind) = (subject(image), LegacyKind::Signature);
    block_on(fake.registry().attach_legacy(&image, kind, payload.as_bytes(), &annotations))
}

fn tag(image: &Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

fn tagged(fake: &Fake, image: &Digest) -> Value {
    fake.with(|state| {
        let app = &state.repositories["app"];
        serde_json::from_slice(&app.manifests[&app.tags[&tag(image)]].1).unwrap()
    })
}

fn layers(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap()).collect()
}

#[test]
fn each_signature_is_a_layer_and_a_second_attempt_adds_none() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    for payload in ["a", "b", "a"] {
        attach(&fake, &image, payload).unwrap();
    }
    let manifest = tagged(&fake, &image);
    let expected = [Digest::sha256(b"a"), Digest::sha256(b"b")];
    assert_eq!(layers(&manifest), [expected[0].as_str(), expected[1].as_str()]);
    let first = &manifest["layers"][0];
    assert_eq!(first["mediaType"], LAYER_TYPE);
    assert_eq!(first["annotations"], json!({ "signature": "of a" }));
    let config = fake.with(|state| {
        let digest = manifest["config"]["digest"].as_str().unwrap();
        serde_json::from_slice::<Value>(&state.repositories["app"].blobs[digest]).unwrap()
    });
    assert_eq!(config["rootfs"]["diff_ids"], json!([expected[0].as_str(), expected[1].as_str()]));
    assert_eq!(config["history"].as_array().unwrap().len(), 2);
}

#[test]
fn what_others_wrote_into_the_manifest_stays() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let theirs = fake.blob("app", b"xyz");
    fake.blob("app", b"{}");
    let foreign = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
                   "digest": Digest::sha256(b"{}").as_str()},
        "layers": [{"mediaType": LAYER_TYPE, "size": 3, "digest": theirs.as_str(), "x": [1.50]}],
        "annotations": {"k": "v"}, "later": {"a": null},
    });
    let digest = fake.manifest("app", MANIFEST_TYPE, foreign.to_string().as_bytes());
    fake.tag("app", &tag(&image), &digest);
    attach(&fake, &image, "a").unwrap();
    let mut manifest = tagged(&fake, &image);
    assert_eq!(layers(&manifest), [theirs.as_str(), Digest::sha256(b"a").as_str()]);
    manifest["layers"].as_array_mut().unwrap().pop();
    manifest["config"] = foreign["config"].clone();
    assert_eq!(manifest, foreign);
}

#[test]
fn a_writer_who_overwrites_us_is_merged_with_and_one_who_never_stops_is_reported() {
    for (times, expected) in [(3, Ok(())), (1000, Err(()))] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        attach(&fake, &image, "other").unwrap();
        let others = tagged(&fake, &image).to_string();
        let digest = fake.manifest("app", MANIFEST_TYPE, others.as_bytes());
        fake.is_put_back(tag(&image), digest.to_string(), times);
        let attached = attach(&fake, &image, "a");
        assert_eq!(attached.as_ref().map(drop).map_err(drop), expected);
        let manifest = tagged(&fake, &image);
        assert!(layers(&manifest).contains(&Digest::sha256(b"other").as_str()));
        match attached {
            Ok(_) => assert_eq!(layers(&manifest).len(), 2),
            Err(error) => assert!(matches!(error, Error::Overwritten { .. }), "{error}"),
        }
    }
}

#[test]
fn something_else_under_the_tag_is_left_alone() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let digest = fake.manifest("app", MANIFEST_TYPE, b"{\"schemaVersion\":2,\"manifests\":[]}");
    fake.tag("app", &tag(&image), &digest);
    let error = attach(&fake, &image, "a").unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    assert!(!fake.log().iter().any(|line| line.starts_with("PUT") && line.contains(".sig")));
}
