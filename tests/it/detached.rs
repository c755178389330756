//! Signatures without a bundle: their log entries are looked up, and bundles are made of them.

use bundle::proto_json::decode_base64;
use harness::{HostileServer, Outcome, Program, Reply, Setup, certificate_pem, rekor_bundle};
use sandbox::RekorVersion;
use serde_json::{Value, json};

/// Signs `a` as the workload: `a.sig`, `a.pem` and no bundle.
fn signed(setup: &Setup) {
    setup.write("a", "content");
    let sign = setup.workload().args(["sign-blob", "a", "--output-signature", "a.sig"]);
    sign.args(["--output-certificate", "a.pem"]).run().ends(0);
    assert!(!setup.path("a.sigstore.json").exists());
}

/// `verify-blob` of `file` with these parts, by the workload.
fn verify(setup: &Setup, file: &str, flags: &[&str]) -> Outcome {
    let verify = setup.program().args(["verify-blob", "--signature", "a.sig"]).args(flags);
    verify.arg(file).args(setup.by_workload()).run()
}

#[test]
fn the_log_entry_of_a_detached_signature_is_looked_up() {
    let setup = Setup::new();
    signed(&setup);
    let certificate = ["--certificate", "a.pem"];
    verify(&setup, "a", &certificate).ends(0).says(&["Verified OK"]);
    setup.write("b", "other content");
    verify(&setup, "b", &certificate).ends(12).says(&["signature"]);
    let verify_json = verify(&setup, "a", &["--certificate", "a.pem", "-o", "json"]).ends(0);
    assert_eq!(verify_json.json()[0]["optional"]["signing_time_source"], json!("log"));

    // Another one signed the same file: the entry must be that of this signature.
    let sign = setup.job().args(["sign-blob", "a", "--output-signature", "job.sig"]);
    sign.args(["--output-certificate", "job.pem"]).run().ends(0);
    verify(&setup, "a", &certificate).ends(0);
    verify(&setup, "a", &["--certificate", "job.pem"]).ends(12);
}

#[test]
fn signatures_and_certificates_are_read_in_every_form_in_which_they_are_published() {
    let setup = Setup::new();
    signed(&setup);
    let read = |name: &str| std::fs::read_to_string(setup.path(name)).unwrap();
    let (text, twice) = (read("a.sig"), read("a.pem"));
    let decode = |text: &str| decode_base64(text.trim()).unwrap();
    // As `base64` and `openssl base64` write it.
    let in_lines = |text: &str| {
        let lines: Vec<_> = text.trim().as_bytes().chunks(64).collect();
        [lines.join(&b"\n"[..]), b"\n".to_vec()].concat()
    };
    let pem = decode(&twice);
    let block = String::from_utf8(pem.clone()).unwrap();
    let body: String = block.lines().filter(|line| !line.contains("--")).collect();
    let der = decode(&body);
    let signatures = [text.clone().into_bytes(), in_lines(&text), decode(&text)];
    let certificates =
        [twice.clone().into_bytes(), in_lines(&twice), pem, der.clone(), in_lines(&body)];
    for signature in &signatures {
        setup.write("a.sig", signature);
        for certificate in &certificates {
            setup.write("a.crt", certificate);
            verify(&setup, "a", &["--certificate", "a.crt"]).ends(0);
        }
    }
    setup.write("a.crt", &der[..200]);
    verify(&setup, "a", &["--certificate", "a.crt"]).ends(12).says(&["the certificate: "]);
}

#[test]
fn without_a_network_the_hint_says_how_to_make_a_bundle() {
    let setup = Setup::new();
    signed(&setup);
    verify(&setup, "a", &["--certificate", "a.pem", "--offline"])
        .ends(12)
        .says(&["found no entry", "`ambisign bundle create`"]);
    let create = setup.program().args(["bundle", "create", "--artifact", "a", "--out", "a.json"]);
    create.args(["--signature", "a.sig", "--certificate", "a.pem"]).run().ends(0);
    let verify = setup.program().args(["verify-blob", "--offline", "--bundle", "a.json", "a"]);
    verify.args(setup.by_workload()).run().ends(0);
}

#[test]
fn a_signature_that_no_log_has_is_told_from_a_log_that_does_not_answer() {
    let setup = Setup::new();
    setup.write("a", "content");
    let key = setup.program().args(["generate-key-pair"]).env("AMBISIGN_PASSWORD", "");
    key.run().ends(0);
    let pair = |program: Program| {
        let program = program.env("AMBISIGN_PASSWORD", "").args(["--key", "cosign.key", "a"]);
        program.args(["--output-signature", "a.sig"])
    };
    let verify = || {
        let verify = setup.program().args(["verify-blob", "--signature", "a.sig", "a"]);
        verify.args(["--key", "cosign.pub"])
    };
    pair(setup.program().args(["sign-blob", "--tlog-upload=false"])).run().ends(0);
    verify().run().ends(12).says(&["transparency log: expected an entry"]);
    let create = || {
        let create = setup.program().args(["bundle", "create", "--artifact", "a"]);
        create.args(["--signature", "a.sig", "--key", "cosign.pub"])
    };
    create().run().ends(1).says(&["no bundle was made", "none has one"]);
    let unlogged = create().args(["--ignore-tlog", "--out", "unlogged.json"]);
    unlogged.run().ends(0);
    pair(setup.program().args(["sign-blob"])).run().ends(0);
    verify().run().ends(0);
    create().run().ends(0);

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
    setup.write("a", "content");
    let sign = setup.workload().args(["sign-blob", "a", "--bundle", "a.json"]);
    sign.args(["--output-signature", "a.sig", "--output-certificate", "a.pem"]).run().ends(0);
    let bundle = std::fs::read(setup.path("a.json")).unwrap();
    let logged = rekor_bundle(&serde_json::from_slice(&bundle).unwrap());
    let body = logged["Payload"]["body"].as_str().unwrap().to_owned();
    let leaf = [vec![0], decode_base64(&body).unwrap()].concat();
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

#[test]
fn the_older_json_is_written_on_request_and_upgraded() {
    let setup = Setup::new();
    setup.write("a", "content");
    let sign = || setup.workload().args(["sign-blob", "a", "--new-bundle-format=false"]);
    sign().args(["--bundle", "old.json"]).run().ends(0);
    let old: Value =
        serde_json::from_slice(&std::fs::read(setup.path("old.json")).unwrap()).unwrap();
    let names: Vec<_> = old.as_object().unwrap().keys().collect();
    assert_eq!(names, ["base64Signature", "cert", "rekorBundle"]);
    let verify = |bundle: &str| {
        let verify = setup.program().args(["verify-blob", "a", "--bundle", bundle]);
        verify.args(setup.by_workload()).run()
    };
    verify("old.json").ends(0);
    for (command, out) in [
        (vec!["bundle", "upgrade", "old.json"], "upgraded.json"),
        (vec!["bundle", "create", "--bundle", "old.json", "--artifact", "a"], "created.json"),
    ] {
        setup.program().args(command).args(["--out", out]).run().ends(0);
        let bundle = std::fs::read_to_string(setup.path(out)).unwrap();
        assert!(
            bundle.contains("bundle.v0.3+json") && bundle.contains("inclusionProof"),
            "{bundle}"
        );
        verify(out).ends(0);
    }
    // What is of another file is not made a bundle of it.
    setup.write("b", "other");
    let create = setup.program().args(["bundle", "create", "--bundle", "old.json"]);
    create.args(["--artifact", "b"]).run().ends(12).says(&["the signature does not verify"]);

    sign().run().ends(2).says(&["needs --bundle or --output-signature"]);
    let v2 = setup.sandbox.signing_config(RekorVersion::V2);
    let v2 = sign().env("AMBISIGN_SIGNING_CONFIG", v2).args(["--bundle", "v2.json"]);
    v2.run().ends(2).says(&["hold no entries of Rekor v2"]);
}

#[test]
fn a_bundle_of_an_earlier_version_is_upgraded() {
    let setup = Setup::new();
    let suite = harness::workspace().join("tests/fixtures/conformance/happy-path-v0.1");
    let bundle = std::fs::read(suite.join("bundle.sigstore.json")).unwrap();
    setup.write("old.json", bundle);
    let upgrade = Program::new(setup.directory()).args(["bundle", "upgrade", "--offline"]);
    let root = harness::workspace().join("crates/trust-root/data/trusted_root.json");
    let upgrade = upgrade.arg("old.json").arg("--trusted-root").arg(root);
    let upgraded = upgrade.run().ends(0);
    assert!(upgraded.stdout.contains("bundle.v0.3+json"), "{upgraded:#?}");
}

#[test]
fn the_parts_are_those_of_the_bundle() {
    let setup = Setup::new();
    setup.write("a", "content");
    let sign = setup.workload().args(["sign-blob", "a", "--bundle", "a.json"]);
    let sign = sign.args(["--output-signature", "a.sig", "--output-certificate", "a.pem"]);
    sign.args(["--rfc3161-timestamp", "a.tsr"]).run().ends(0);
    let read = |name: &str| std::fs::read_to_string(setup.path(name)).unwrap();
    let bundle: Value = serde_json::from_str(&read("a.json")).unwrap();
    assert_eq!(read("a.sig"), bundle["messageSignature"]["signature"].as_str().unwrap());
    let pem = decode_base64(&read("a.pem")).unwrap();
    assert_eq!(String::from_utf8(pem).unwrap(), certificate_pem(&bundle));
    let stamp: Value = serde_json::from_str(&read("a.tsr")).unwrap();
    let stamps = &bundle["verificationMaterial"]["timestampVerificationData"];
    let stamped = &stamps["rfc3161Timestamps"][0]["signedTimestamp"];
    assert_eq!(&stamp["SignedRFC3161Timestamp"], stamped);
    let flags = ["--certificate", "a.pem", "--rfc3161-timestamp", "a.tsr"];
    verify(&setup, "a", &[flags.as_slice(), &["--use-signed-timestamps"]].concat()).ends(0);
    let many = setup.workload().args(["sign-blob", "a", "a.json", "--output-signature", "x"]);
    many.run().ends(2).says(&["--output-signature names one file, and 2 files"]);
}
