//! Records what the other signers make of the sandbox, for the tests that run without them.
//!
//! `cargo xtask interop record -- --ignored` writes tests/fixtures/peers anew.

use std::path::{Path, PathBuf};

use sandbox::RekorVersion;
use serde_json::{Value, json};

use harness::{Identity, Interop, RegistryKind, Signer};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/peers");
const ARTIFACT: &str = "signed by the peers\n";
const PREDICATE_TYPE: &str = "https://example.test/predicate/v1";

struct Recording<'a> {
    interop: &'a Interop,
    artifact: PathBuf,
    cases: Vec<Value>,
}

impl Recording<'_> {
    fn keep(&mut self, name: &str, bundle: &str, signer: &Identity, kind: Option<&str>) {
        std::fs::write(format!("{FIXTURES}/{name}.sigstore.json"), bundle).unwrap();
        self.cases.push(json!({
            "bundle": format!("{name}.sigstore.json"),
            "identity": signer.name,
            "issuer": signer.issuer,
            "predicateType": kind,
        }));
    }

    fn cosign(&mut self, log: &str, config: &Path) {
        let bundle = self.interop.path("bundle.json");
        for (who, by) in
            [(Signer::Email, "person"), (Signer::Job, "job"), (Signer::Workload, "workload")]
        {
            let signer = self.interop.identity(who);
            let sign = self.interop.cosign_with(who, "sign-blob", config).arg("--bundle");
            sign.arg(&bundle).arg(&self.artifact).run().succeeds();
            let text = std::fs::read_to_string(&bundle).unwrap();
            self.keep(&format!("cosign-{by}-{log}"), &text, &signer, None);
        }
        let signer = self.interop.identity(Signer::Job);
        let predicate = self.interop.write("predicate.json", "{\"a\":1}");
        let attest =
            self.interop.cosign_with(Signer::Job, "attest-blob", config).arg("--predicate");
        let attest = attest.arg(predicate).args(["--type", PREDICATE_TYPE, "--bundle"]);
        attest.arg(&bundle).arg(&self.artifact).run().succeeds();
        let text = std::fs::read_to_string(&bundle).unwrap();
        self.keep(&format!("cosign-attestation-{log}"), &text, &signer, Some(PREDICATE_TYPE));
    }

    fn sigstore_go(&mut self, log: &str, config: &Path) {
        let digest = keys::Digest::sha256(ARTIFACT.as_bytes()).to_hex();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "artifact.txt", "digest": { "sha256": digest } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": {},
        });
        let statement = self.interop.write("statement.json", &statement.to_string());
        let signer = self.interop.identity(Signer::Email);
        for (name, flag, file, kind) in [
            ("sigstore-go", None, self.artifact.clone(), None),
            ("sigstore-go-statement", Some("-in-toto"), statement, Some(PREDICATE_TYPE)),
        ] {
            let sign = self.interop.sigstore_go_signing_with(config).arg("-tsa").args(flag);
            let sign = sign.args(["-id-token", &self.interop.email_token()]).arg(file);
            let said = sign.run().succeeds().stdout;
            let bundle = said.lines().find(|line| line.starts_with('{')).unwrap();
            self.keep(&format!("{name}-{log}"), bundle, &signer, kind);
        }
    }

    fn sigstore_python(&mut self, log: &str, version: RekorVersion) {
        let bundle = self.interop.path("python.json");
        let signer = self.interop.identity(Signer::Email);
        let sign = self.interop.sigstore_python_with(version).args(["sign", "--overwrite"]);
        let sign = sign.args(["--identity-token", &self.interop.email_token(), "--bundle"]);
        sign.arg(&bundle).arg(&self.artifact).run().succeeds();
        let text = std::fs::read_to_string(&bundle).unwrap();
        self.keep(&format!("sigstore-python-{log}"), &text, &signer, None);
    }
}

#[test]
#[ignore = "writes fixtures"]
fn the_bundles_of_the_peers() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    std::fs::create_dir_all(FIXTURES).unwrap();
    let artifact = interop.write("artifact.txt", ARTIFACT);
    std::fs::copy(&artifact, format!("{FIXTURES}/artifact.txt")).unwrap();
    let mut recording = Recording { interop: &interop, artifact, cases: Vec::new() };
    for (log, version) in [("v1", RekorVersion::V1), ("v2", RekorVersion::V2)] {
        let config = interop.setup.sandbox.signing_config(version);
        recording.cosign(log, &config);
        recording.sigstore_go(log, &config);
        recording.sigstore_python(log, version);
    }
    std::fs::copy(interop.setup.sandbox.trusted_root(), format!("{FIXTURES}/trusted_root.json"))
        .unwrap();
    let cases = serde_json::to_string_pretty(&recording.cases).unwrap();
    std::fs::write(format!("{FIXTURES}/cases.json"), cases + "\n").unwrap();
}
