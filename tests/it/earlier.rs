//! Files signed before there were bundles: cosign's own JSON, and signatures that stand alone.

use std::path::{Path, PathBuf};

use bundle::proto_json::decode_base64;
use serde_json::{Value, json};
use tempfile::TempDir;

use harness::{Outcome, Program, by};

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");

/// The parts of a recorded bundle, as files of the earlier formats.
struct Parts {
    directory: TempDir,
    folder: &'static str,
    bundle: Value,
}

impl Parts {
    /// Of the recordings in `folder`.
    fn of(folder: &'static str) -> Self {
        let bundle =
            std::fs::read(format!("{CAPTURES}{folder}/blob-spiffe.sigstore.json")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self { directory, folder, bundle: serde_json::from_slice(&bundle).unwrap() }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn signature(&self) -> &str {
        self.bundle["messageSignature"]["signature"].as_str().unwrap()
    }

    fn certificate(&self) -> String {
        harness::certificate_pem(&self.bundle)
    }

    fn json(&self) -> Value {
        json!({
            "base64Signature": self.signature(),
            "cert": self.certificate(),
            "rekorBundle": harness::rekor_bundle(&self.bundle),
        })
    }

    fn verify(&self, name: &str, file: &Path, args: &[&str]) -> Outcome {
        let root = format!("{CAPTURES}{}/trusted_root.json", self.folder);
        let program = Program::new(self.directory.path()).args(["verify-blob"]).arg(file);
        let program = program.args(["--trusted-root", &root]).args(args);
        program.args(by(name, "http://localhost:8888")).run()
    }

    fn artifact(&self) -> PathBuf {
        format!("{CAPTURES}{}/artifact.txt", self.folder).into()
    }
}

const SIGNER: &str = "spiffe://example.org/ns/ci/sa/builder";

#[test]
fn cosigns_own_json_is_judged_like_a_bundle() {
    let parts = Parts::of("bundles-v1");
    let path = parts.write("a.json", parts.json().to_string());
    let flags = ["--bundle", path.to_str().unwrap()];
    let file = parts.artifact();
    parts.verify(SIGNER, &file, &flags).ends(0).says(&["Verified OK"]);
    parts.verify("spiffe://example.org/x", &file, &flags).ends(12).says(&["identity: expected"]);
    let other = parts.write("other", "other");
    parts
        .verify(SIGNER, &other, &flags)
        .ends(12)
        .says(&["signature: the signer's key did not sign"]);
    // Without identity flags the signer is told, as of a bundle.
    let root = format!("{CAPTURES}bundles-v1/trusted_root.json");
    let told = Program::new(parts.directory.path()).args(["verify-blob", "--trusted-root", &root]);
    told.args(flags).arg(&file).run().ends(2).says(&[&format!("--certificate-identity {SIGNER}")]);
    let inspected = Program::new(parts.directory.path()).args(["inspect", "-o", "json"]).arg(&path);
    let report = inspected.args(["--trusted-root", &root]).run().ends(0).json().remove(0);
    assert_eq!(report["identity_checked"], false);
    assert_eq!(report["artifact_checked"], false);
    assert_eq!(report["checks"]["signature"]["result"], "not looked at");
    for (change, text) in [
        ("SignedEntryTimestamp", "signed entry timestamp"),
        ("base64Signature", "signature"),
        ("rekorBundle", "transparency log: expected an entry"),
        ("body", "log entry 0"),
    ] {
        let mut json = parts.json();
        match change {
            "rekorBundle" => drop(json.as_object_mut().unwrap().remove(change)),
            "base64Signature" => json[change] = json!("MAYCAQECAQE="),
            "body" => json["rekorBundle"]["Payload"]["body"] = json!("e30="),
            _ => json["rekorBundle"][change] = json!("MAYCAQECAQE="),
        }
        let path = parts.write("changed.json", json.to_string());
        let flags = ["--bundle", path.to_str().unwrap()];
        parts.verify(SIGNER, &file, &flags).ends(12).says(&[text]);
    }
    let mut more = parts.json();
    more["more"] = json!(1);
    let path = parts.write("more.json", more.to_string());
    parts.verify(SIGNER, &file, &["--bundle", path.to_str().unwrap()]).ends(12).says(&["more"]);
}

#[test]
fn a_detached_signature_needs_evidence_of_its_time() {
    let parts = Parts::of("bundles");
    let file = parts.artifact();
    let signature = parts.write("a.sig", parts.signature());
    let certificate = parts.write("a.crt", parts.certificate());
    let stamps = &parts.bundle["verificationMaterial"]["timestampVerificationData"];
    let stamp = stamps["rfc3161Timestamps"][0]["signedTimestamp"].as_str().unwrap();
    let bare = parts.write("a.tsr", decode_base64(stamp).unwrap());
    let wrapped = parts.write("a.json", json!({ "SignedRFC3161Timestamp": stamp }).to_string());
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (signature, certificate) = (path(&signature), path(&certificate));
    let base = ["--signature", &signature, "--certificate", &certificate];
    let verify = |more: &[&str]| parts.verify(SIGNER, &file, &[&base[..], more].concat());
    verify(&[]).ends(12).says(&["transparency log: expected an entry"]);
    // Long after the ten minutes of the certificate.
    verify(&["--insecure-ignore-tlog"]).ends(12).says(&["certificate chain"]);
    for stamp in [path(&bare), path(&wrapped)] {
        verify(&["--insecure-ignore-tlog", "--rfc3161-timestamp", &stamp]).ends(0);
        let other = parts.write("other", "other");
        let flags = ["--insecure-ignore-tlog", "--rfc3161-timestamp", &stamp];
        parts.verify(SIGNER, &other, &[&base[..], &flags].concat()).ends(12);
    }
    // The signature itself, as cosign takes it.
    let base = ["--signature", parts.signature(), "--certificate", &certificate];
    let flags = ["--insecure-ignore-tlog", "--rfc3161-timestamp", &path(&bare)];
    parts.verify(SIGNER, &file, &[&base[..], &flags].concat()).ends(0);
}
