//! What cosign attached to images before there were bundles, signed by real workloads on the public
//! Sigstore, and by the real cosign on the real services of a private one.

use std::collections::BTreeMap;

use ambisign_verify::{
    Artifact, Check, Error, Formats, LegacySignature, Policy, TimeSource, Verified, danger,
    verify_legacy,
};
use keys::{Digest, HashAlgorithm};
use serde_json::{Value, json};
use trust_root::TrustedRoot;

use crate::{CAPTURES, REKOR_V1, SPIFFE, exactly, now};

type Annotations = BTreeMap<String, String>;

struct Image {
    root: TrustedRoot,
    digest: Digest,
    subject: String,
    issuer: String,
    payload: Vec<u8>,
    /// Of each layer.
    annotations: Vec<Annotations>,
}

impl Image {
    fn read(folder: &str, root: TrustedRoot, digest: &str, subject: &str, issuer: &str) -> Self {
        let read = |name: &str| std::fs::read(format!("{CAPTURES}{folder}/{name}")).unwrap();
        let manifest: Value = serde_json::from_slice(&read("sig-manifest.json")).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        let annotations = |layer: &Value| serde_json::from_value(layer["annotations"].clone());
        Self {
            root,
            digest: sha256(digest),
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            payload: read("payload.json"),
            annotations: layers.iter().map(|layer| annotations(layer).unwrap()).collect(),
        }
    }

    fn public_good() -> Vec<Self> {
        let cases = std::fs::read(format!("{CAPTURES}public-good/cases.json")).unwrap();
        let cases: Value = serde_json::from_slice(&cases).unwrap();
        let case = |case: &Value| {
            let text = |name: &str| case[name].as_str().unwrap().to_owned();
            let folder = format!("public-good/{}", text("case"));
            let root = TrustedRoot::public_good();
            Self::read(&folder, root, &text("image_digest"), &text("identity"), &text("issuer"))
        };
        cases.as_array().unwrap().iter().map(case).collect()
    }

    fn private() -> Self {
        let digest =
            std::fs::read_to_string(format!("{CAPTURES}bundles-v1/legacy/digest.txt")).unwrap();
        let root = REKOR_V1.read_root();
        Self::read("bundles-v1/legacy", root, digest.trim(), SPIFFE.subject, SPIFFE.issuer)
    }

    fn all() -> Vec<Self> {
        let mut all = Self::public_good();
        all.push(Self::private());
        all
    }

    fn policy(&self) -> Policy {
        Policy::image_signature(exactly(&self.subject, &self.issuer))
    }

    /// The annotations of the layer with a certificate.
    fn keyless(&self) -> Annotations {
        self.annotations.iter().find(|layer| layer.contains_key(CERTIFICATE)).unwrap().clone()
    }

    fn judge(&self, annotations: &Annotations, policy: &Policy) -> Result<Verified, Error> {
        self.judge_payload(&self.payload, annotations, policy)
    }

    fn judge_payload(
        &self,
        payload: &[u8],
        annotations: &Annotations,
        policy: &Policy,
    ) -> Result<Verified, Error> {
        let legacy = LegacySignature::image_signature(payload, annotations)?;
        let image = Artifact::Digest(&self.digest);
        verify_legacy(&legacy, &image, policy, &self.root, now())
    }

    fn refusal(&self, annotations: &Annotations) -> Check {
        refusal(self.judge(annotations, &self.policy()))
    }
}

fn refusal(judged: Result<Verified, Error>) -> Check {
    match judged {
        Err(Error::Refused(check)) => *check,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn sha256(text: &str) -> Digest {
    Digest::from_hex(HashAlgorithm::Sha256, text.strip_prefix("sha256:").unwrap()).unwrap()
}

/// `annotations` with a JSON one of them changed.
fn changed(annotations: &Annotations, name: &str, change: impl FnOnce(&mut Value)) -> Annotations {
    let mut annotations = annotations.clone();
    let mut json: Value = serde_json::from_str(&annotations[name]).unwrap();
    change(&mut json);
    annotations.insert(name.to_owned(), json.to_string());
    annotations
}

#[test]
fn images_signed_by_ambient_identities_on_the_public_sigstore_verify_offline() {
    for image in Image::all() {
        let verified = image.judge(&image.keyless(), &image.policy()).expect(&image.subject);
        assert_eq!(verified.subject_name().unwrap().as_str(), image.subject);
        assert_eq!(verified.digest(), &image.digest);
        assert_eq!(verified.times().len(), 1);
        assert_eq!(verified.times()[0].source, TimeSource::Log);
        assert_eq!(verified.log_entries().len(), 1);
        assert!(verified.statement().is_none());
        assert!(verified.simple_signing().unwrap().docker_reference().is_some());
        assert!(verified.warnings().is_empty());
        assert_eq!(
            verified.claims().repository,
            verified.simple_signing().unwrap().docker_reference()
        );
        image.judge(&image.keyless(), &image.policy().formats(Formats::Legacy)).unwrap();
        let check =
            refusal(image.judge(&image.keyless(), &image.policy().formats(Formats::Bundle)));
        assert!(matches!(check, Check::Format { .. }), "{check}");
    }
}

#[test]
fn a_layer_signed_with_a_key_says_so_beside_the_one_that_holds() {
    let images = Image::public_good();
    let [with_key, _] = images[0].annotations.as_slice() else { panic!("expected two layers") };
    let check = images[0].refusal(with_key);
    assert!(matches!(check, Check::Material { found: "a public key", .. }), "{check}");
}

#[test]
fn only_the_signer_is_the_signer() {
    for image in Image::all() {
        let layer = image.keyless();
        for (subject, issuer) in
            [("somebody@else.test", &*image.issuer), (&image.subject, "https://else.test")]
        {
            let policy = Policy::image_signature(exactly(subject, issuer));
            let check = refusal(image.judge(&layer, &policy));
            assert!(matches!(check, Check::Identity { .. } | Check::Issuer { .. }), "{check}");
        }
        image.judge(&layer, &Policy::image_signature(danger::any_identity())).unwrap();
        let signer = || exactly(&image.subject, &image.issuer);
        let attestation = Policy::attestation("https://slsa.dev/provenance/v1", signer());
        for policy in [attestation, Policy::file_signature(signer())] {
            let check = refusal(image.judge(&layer, &policy));
            assert!(matches!(check, Check::Purpose { .. }), "{check}");
        }
    }
}

#[test]
fn annotations_are_those_that_were_signed() {
    let image = &Image::public_good()[0];
    let verified = image.judge(&image.keyless(), &image.policy().annotation("key1", "value1"));
    assert_eq!(verified.unwrap().simple_signing().unwrap().annotations()["key1"], "value1");
    let check = refusal(image.judge(&image.keyless(), &image.policy().annotation("key1", "other")));
    assert!(matches!(check, Check::Annotation { found: Some(_), .. }), "{check}");
    let check = refusal(image.judge(&image.keyless(), &image.policy().annotation("absent", "x")));
    assert!(matches!(check, Check::Annotation { found: None, .. }), "{check}");
}

#[test]
fn a_signature_of_one_image_is_none_of_another() {
    for mut image in Image::all() {
        image.digest = Digest::sha256(b"another image");
        let check = image.refusal(&image.keyless());
        let field = "critical.image.docker-manifest-digest";
        assert!(matches!(check, Check::Claim { field: found, .. } if found == field), "{check}");
    }
}

#[test]
fn a_changed_payload_is_not_what_was_signed() {
    let image = Image::private();
    let mut payload = image.payload.clone();
    payload.push(b'\n');
    let check = refusal(image.judge_payload(&payload, &image.keyless(), &image.policy()));
    assert!(matches!(check, Check::Signature(_)), "{check}");
}

#[test]
fn the_promise_of_another_signature_proves_nothing() {
    // CVE-2022-23649, CVE-2022-36056, CVE-2026-22703.
    let images = Image::public_good();
    let mut layer = images[1].keyless();
    layer.insert(PROMISE.to_owned(), images[0].keyless()[PROMISE].clone());
    let check = images[1].refusal(&layer);
    assert!(matches!(check, Check::EntryBody { field: "digest", .. }), "{check}");
}

#[test]
fn every_part_of_the_promise_is_promised() {
    for image in Image::all() {
        let layer = image.keyless();
        for (field, check) in [("integratedTime", "time"), ("logIndex", "entry")] {
            let layer = changed(&layer, PROMISE, |promise| {
                promise["Payload"][field] = json!(promise["Payload"][field].as_u64().unwrap() + 1);
            });
            let refused = image.refusal(&layer);
            assert!(matches!(refused, Check::SignedEntryTimestamp { .. }), "{check}: {refused}");
        }
        // Of a log that is not known.
        let layer = changed(&layer, PROMISE, |promise| {
            promise["Payload"]["logID"] = json!("00".repeat(32));
        });
        assert!(matches!(image.refusal(&layer), Check::NoLogEntry { .. }));
    }
}

#[test]
fn without_the_logs_promise_there_is_no_evidence() {
    for image in Image::all() {
        let mut layer = image.keyless();
        layer.remove(PROMISE);
        assert!(matches!(image.refusal(&layer), Check::NoLogEntry { .. }));
        // Who ignores the log has nothing but the clock, and the certificate lived for minutes.
        let policy = danger::ignore_tlog(image.policy());
        let check = refusal(image.judge(&layer, &policy));
        assert!(matches!(check, Check::Chain { .. } | Check::NoAuthority { .. }), "{check}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let image = Image::private();
    let layer = image.keyless();
    for (name, value) in [
        (SIGNATURE, "!"),
        (SIGNATURE, ""),
        (CERTIFICATE, "no certificate"),
        (PROMISE, "{"),
        (PROMISE, r#"{"SignedEntryTimestamp":"AA=="}"#),
        (TIMESTAMP, "{}"),
    ] {
        let mut layer = layer.clone();
        layer.insert(name.to_owned(), value.to_owned());
        let check = image.refusal(&layer);
        assert!(matches!(check, Check::Legacy { part, .. } if part == name), "{check}");
    }
    let layer = changed(&layer, PROMISE, |promise| promise["Payload"]["body"] = json!("e30="));
    let check = image.refusal(&layer);
    assert!(matches!(check, Check::EntryKind { .. }), "{check}");
}

#[test]
fn a_file_verifies_with_its_signature_its_certificate_and_the_logs_promise() {
    // What sign-blob wrote before there were bundles, from the parts of one.
    let case = REKOR_V1;
    let bundle = case.value();
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    let certificate = bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().unwrap();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
    let number = |name: &str| entry[name].as_str().unwrap().parse::<u64>().unwrap();
    let log_id = base64(entry["logId"]["keyId"].as_str().unwrap());
    let log_id: String = log_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let old = json!({
        "base64Signature": bundle["messageSignature"]["signature"],
        "cert": encode(pem.as_bytes()),
        "rekorBundle": {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": number("integratedTime"),
                "logIndex": number("logIndex"),
                "logID": log_id,
            },
        },
    });
    let judge = |old: &Value, artifact: &[u8], policy: &Policy| {
        let legacy = LegacySignature::blob_bundle(old.to_string().as_bytes())?;
        assert_eq!(legacy.hash_algorithm().unwrap(), HashAlgorithm::Sha256);
        verify_legacy(&legacy, &Artifact::Message(artifact), policy, case.root(), now())
    };
    let artifact = case.read("artifact.txt");
    let verified = judge(&old, &artifact, &case.policy()).unwrap();
    assert_eq!(verified.subject_name().unwrap().as_str(), case.subject);
    let check = refusal(judge(&old, b"another file", &case.policy()));
    assert!(matches!(check, Check::Signature(_)), "{check}");
    let other = Policy::file_signature(exactly("nobody", case.issuer));
    assert!(matches!(refusal(judge(&old, &artifact, &other)), Check::Identity { .. }));
    let mut unlogged = old.clone();
    unlogged.as_object_mut().unwrap().remove("rekorBundle");
    let check = refusal(judge(&unlogged, &artifact, &case.policy()));
    assert!(matches!(check, Check::NoLogEntry { .. }), "{check}");
    let mut unknown = old.clone();
    unknown["more"] = json!(1);
    let check = refusal(judge(&unknown, &artifact, &case.policy()));
    assert!(matches!(check, Check::Legacy { .. }), "{check}");
}

fn base64(text: &str) -> Vec<u8> {
    bundle::proto_json::decode_base64(text).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;

    base64::engine::general_purpose::STANDARD.encode(bytes)
}

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const PROMISE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
