//! Signatures without a bundle: their log entries are looked up.

use harness::{HostileServer, Outcome, Program, Reply, Setup, certificate_pem, rekor_bundle};
use serde_json::{Value, json};

/// Signs `a` with `sign`, and writes the parts of the bundle to `NAME.sig` and `NAME.pem`.
fn signed(setup: &Setup, sign: Program, name: &str) -> Value {
    setup.write("a", "content");
    sign.args(["sign-blob", "a", "--bundle", "bundle.json"]).run().ends(0);
    let bundle = std::fs::read(setup.path("bundle.json")).unwrap();
    std::fs::remove_file(setup.path("bundle.json")).unwrap();
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let signature = bundle["messageSignature"]["signature"].as_str().unwrap();
    setup.write(&format!("{name}.sig"), signature);
    if bundle["verificationMaterial"]["certificate"].is_object() {
        setup.write(&format!("{name}.pem"), certificate_pem(&bundle));
    }
    bundle
}

/// `verify-blob` of `file` with these parts, by the workload.
fn verify(setup: &Setup, file: &str, flags: &[&str]) -> Outcome {
    let verify = setup.program().args(["verify-blob", "--signature", "a.sig"]).args(flags);
    verify.arg(file).args(setup.by_workload()).run()
}

#[test]
fn the_log_entry_of_a_detached_signature_is_looked_up() {
    let setup = Setup::new();
    signed(&setup, setup.workload(), "a");
    let certificate = ["--certificate", "a.pem"];
    verify(&setup, "a", &certificate).ends(0).says(&["Verified OK"]);
    setup.write("b", "other content");
    verify(&setup, "b", &certificate).ends(12).says(&["signature"]);
    let verify_json = verify(&setup, "a", &["--certificate", "a.pem", "-o", "json"]).ends(0);
    assert_eq!(verify_json.json()[0]["optional"]["SigningTimeSource"], json!("log"));

    // Another one signed the same file: the entry must be that of this signature.
    signed(&setup, setup.job(), "job");
    verify(&setup, "a", &certificate).ends(0);
    verify(&setup, "a", &["--certificate", "job.pem"]).ends(12);
}

#[test]
fn without_a_network_the_hint_says_what_is_missing() {
    let setup = Setup::new();
    signed(&setup, setup.workload(), "a");
    verify(&setup, "a", &["--certificate", "a.pem", "--offline"])
        .ends(12)
        .says(&["found no entry", "leave --offline out"]);
}

#[test]
fn a_signature_that_no_log_has_is_told_from_a_log_that_does_not_answer() {
    let setup = Setup::new();
    setup.write("a", "content");
    let key = setup.program().args(["generate-key-pair"]).env("AMBISIGN_PASSWORD", "");
    key.run().ends(0);
    let keyed = || setup.program().env("COSIGN_PASSWORD", "").env("COSIGN_KEY", "cosign.key");
    let verify = || {
        let verify = setup.program().args(["verify-blob", "--signature", "a.sig", "a"]);
        verify.args(["--key", "cosign.pub"])
    };
    signed(&setup, keyed().env("COSIGN_TLOG_UPLOAD", "false"), "a");
    verify().run().ends(12).says(&["transparency log: expected an entry"]);
    signed(&setup, keyed(), "a");
    verify().run().ends(0);

    // The same log, which is down.
    let root = std::fs::read_to_string(setup.sandbox.trusted_root()).unwrap();
    let rekor = setup.sandbox.endpoints().rekor_v1.trim_start_matches("http://").to_owned();
    let down = HostileServer::before(&rekor, |_| Reply::response(503, &[], ""));
    let root = setup.write("root.json", root.replace(&rekor, down.address()));
    let asked = verify().env("AMBISIGN_TRUSTED_ROOT", &root).run();
    asked.ends(1).says(&["cannot look for the log entry of the signature"]);
}

#[test]
fn an_entry_that_the_log_did_not_sign_is_refused() {
    let setup = Setup::new();
    let logged = rekor_bundle(&signed(&setup, setup.workload(), "a"));
    let body = logged["Payload"]["body"].as_str().unwrap().to_owned();
    let leaf = [vec![0], bundle::proto_json::decode_base64(&body).unwrap()].concat();
    let answer = move |later: u64| {
        let mut entry = logged["Payload"].clone();
        entry["integratedTime"] = json!(entry["integratedTime"].as_u64().unwrap() + later);
        entry["verification"] = json!({"signedEntryTimestamp": logged["SignedEntryTimestamp"]});
        json!([{keys::Digest::sha256(&leaf).to_hex(): entry}]).to_string()
    };
    for (later, code) in [(0, 0), (60, 12)] {
        let answer = answer(later);
        let log = HostileServer::new(move |_| Reply::response(200, &[], &answer));
        let root = std::fs::read_to_string(setup.sandbox.trusted_root()).unwrap();
        let rekor = setup.sandbox.endpoints().rekor_v1.trim_start_matches("http://").to_owned();
        let root = setup.write("root.json", root.replace(&rekor, log.address()));
        let verify = setup.program().env("AMBISIGN_TRUSTED_ROOT", root);
        let verify = verify.args(["verify-blob", "--signature", "a.sig", "--certificate", "a.pem"]);
        let verified = verify.arg("a").args(setup.by_workload()).run().ends(code);
        if code != 0 {
            verified.says(&["signed entry timestamp"]);
        }
    }
}
