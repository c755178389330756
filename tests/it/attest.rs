//! Attestations that the program makes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use harness::{Outcome, Setup};

/// The statement in the one envelope that was printed.
fn statement(printed: &Outcome) -> Value {
    let [envelope] = printed.json().try_into().unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn the_predicate_of_an_image_stays_byte_for_byte() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let predicate = r#"{"bomFormat":"CycloneDX","x-unknown":[1.50,null],"components":[]}"#;
    let file = setup.write("sbom.json", predicate);
    let attest = setup.workload().args(["attest", "--type", "cyclonedx", "--predicate"]);
    let attested = attest.arg(&file).args(["-o", "json", &image]).run().ends(0);
    assert_eq!(attested.json()[0]["identity"], json!(setup.workload_id()));
    assert_eq!(attested.json()[0]["attached"], "referrers");

    let verify = || setup.program().args(["verify-attestation", &image]).args(setup.by_workload());
    let printed = verify().args(["--type", "cyclonedx"]).run().ends(0);
    let [envelope] = printed.json().try_into().unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(payload.ends_with(&format!("\"predicate\":{predicate}}}")), "{payload}");
    let statement = statement(&printed);
    let hex = setup.digest("demo/app");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], hex.trim_start_matches("sha256:"));
    assert_eq!(statement["predicateType"], "https://cyclonedx.org/bom");
    // It is an attestation of one type, and no signature of the image.
    verify().args(["--type", "spdx"]).run().ends(10);
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(10);
}

#[test]
fn any_text_is_attested_as_cosigns_custom_type() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let attest = setup.job().args(["attest", "--predicate", "-", &image]);
    attest.run_with_stdin(b"reviewed by hand\n").ends(0);
    let verify = setup.program().args(["verify-attestation", &image]).args(setup.by_job());
    let statement = statement(&verify.run().ends(0));
    assert_eq!(statement["predicate"]["Data"], "reviewed by hand\n");
    assert!(statement["predicate"]["Timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_provenance_of_a_job_is_what_its_certificate_says() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let parameters = setup.write("parameters.json", r#"{"variant":"full"}"#);
    let attest = setup.job().args(["attest", "--type", "slsaprovenance1"]);
    attest.arg("--provenance-parameters").arg(parameters).arg(&image).run().ends(0);
    let verify = setup.program().args(["verify-attestation", "--type", "slsaprovenance1", &image]);
    let statement = statement(&verify.args(setup.by_job()).run().ends(0));
    let predicate = &statement["predicate"];
    assert_eq!(predicate["runDetails"]["builder"]["id"], json!(setup.sandbox.github_identity()));
    let parameters = &predicate["buildDefinition"]["externalParameters"];
    assert_eq!(parameters["variant"], "full");
    assert_eq!(parameters["workflow"]["repository"], "https://github.com/octo-org/octo-repo");
}

#[test]
fn one_attestation_is_about_several_files() {
    let setup = Setup::new();
    let files = ["a.tar", "b.tar"].map(|name| setup.write(name, name));
    let predicate = setup.write("p.json", "{\"ok\":true}");
    let bundle = setup.path("ab.sigstore.json");
    let attest =
        setup.workload().args(["attest-blob", "--type", "https://example.com/p", "--bundle"]);
    let attest = attest.arg(&bundle).arg("--predicate").arg(predicate).args(&files);
    let report = attest.args(["-o", "json"]).run().ends(0);
    assert_eq!(report.json()[0]["subjects"].as_array().unwrap().len(), 2);
    for file in &files {
        let verify = setup.program().args(["verify-blob-attestation", "--bundle"]).arg(&bundle);
        let verify = verify.args(["--type", "https://example.com/p"]).arg(file);
        verify.args(setup.by_workload()).run().ends(0);
    }
    let other = setup.write("c.tar", "c.tar");
    let verify = setup.program().args(["verify-blob-attestation", "--bundle"]).arg(&bundle);
    let verify = verify.args(["--type", "https://example.com/p"]).arg(other);
    verify.args(setup.by_workload()).run().ends(12);
}

#[test]
fn what_cannot_be_attested_is_refused_before_anything_is_logged() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let nothing = setup.job().args(["attest", &image]).run().ends(2);
    nothing.says(&["there is nothing to attest", "--predicate FILE"]);
    let list = setup.write("list.json", "[]");
    let attest = setup.job().args(["attest", "--type", "spdx", "--predicate"]);
    attest.arg(list).arg(&image).run().ends(2).says(&["the predicate cannot be signed"]);
    let upload = setup.job().args(["attest", "--no-upload", "--predicate", "x", &image]);
    upload.run().ends(1).says(&["cannot use --predicate x"]);
    let statement = setup.write(
        "statement.json",
        r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"p","predicate":{},
            "subject":[{"digest":{"sha256":"00"}}]}"#,
    );
    let foreign = setup.job().args(["attest", "--statement"]).arg(statement).arg(&image).run();
    foreign.ends(2).says(&["the statement cannot be signed: none of its subjects has the digest"]);
    // What would be a signature of the image is no attestation.
    let sign = "https://sigstore.dev/cosign/sign/v1";
    let empty = setup.write("empty.json", "{}");
    let attest = setup.job().args(["attest", "--type", sign, "--predicate"]);
    attest.arg(&empty).arg(&image).run().ends(2).says(&["use `ambisign sign`"]);
    // Nothing that is read is overwritten, stdin is read once, a digest is of one file.
    let blob = |args: &[&str]| setup.job().args(["attest-blob", "--type", "spdx"]).args(args).run();
    let empty = empty.to_str().unwrap();
    blob(&["--predicate", empty, "--bundle", empty, "x"]).ends(2).says(&["would overwrite"]);
    blob(&["--predicate", "-", "--bundle", "b", "-"]).ends(2).says(&["stdin is named for two"]);
    blob(&["--predicate", empty, "--bundle", "b", "--hash", &"00".repeat(32), "x", "y"])
        .ends(2)
        .says(&["--hash is the digest of one file"]);
    assert_eq!(std::fs::read_to_string(empty).unwrap(), "{}");
    let latin = setup.write("latin.txt", b"\xe9");
    let attest = setup.job().args(["attest", "--predicate"]).arg(latin).arg(&image).run();
    attest.ends(2).says(&["the predicate cannot be signed"]);
    let first = setup.job().args(["sign", "-o", "json", &image]).run().ends(0);
    assert_eq!(first.json()[0]["log_index"], 0, "something was logged before");
}

/// What `verify-attestation` prints of `image`, by the identity of the job.
fn reviews(setup: &Setup, image: &str, kind: &str) -> Vec<String> {
    let verify = setup.program().args(["verify-attestation", "--type", kind, image]);
    let printed = verify.args(setup.by_job()).run().ends(0);
    let predicate = |envelope: &Value| {
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        statement["predicate"]["n"].to_string()
    };
    printed.json().iter().map(predicate).collect()
}

#[test]
fn an_attestation_replaces_those_of_its_type_by_its_signer_and_no_others() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let attest = |program: harness::Program, kind: &str, n: u32, flags: &[&str]| {
        let file = setup.write(&format!("{n}.json"), format!(r#"{{"n":{n}}}"#));
        let attest = program.args(["attest", "-o", "json", "--type", kind, "--predicate"]);
        attest.arg(file).args(flags).arg(&image).run().ends(0).json().remove(0)
    };
    for earlier in [&[] as &[&str], &["--new-bundle-format=false"]] {
        attest(setup.job(), "spdx", 1, earlier);
        attest(setup.job(), "spdx", 2, earlier);
        attest(setup.job(), "vuln", 3, earlier);
        attest(setup.workload(), "spdx", 4, earlier);
        let with = [earlier, &["--replace"]].concat();
        let report = attest(setup.job(), "spdx", 5, &with);
        assert_eq!(report["replaced"].as_array().unwrap().len(), 2, "{report}");
        let formats = if earlier.is_empty() { "bundle" } else { "legacy" };
        let count = |policy: [String; 4], kind: &str| {
            let verify = setup.program().args(["verify-attestation", "--type", kind, &image]);
            let verify = verify.args(["--signature-format", formats]).args(policy);
            verify.run().ends(0).json().len()
        };
        assert_eq!(count(setup.by_job(), "spdx"), 1);
        assert_eq!(count(setup.by_job(), "vuln"), 1);
        assert_eq!(count(setup.by_workload(), "spdx"), 1);
    }
    assert_eq!(reviews(&setup, &image, "spdx"), ["5"]);
    let first = attest(setup.job(), "https://example.com/p", 6, &["--replace"]);
    assert!(first.get("replaced").is_none(), "there was nothing to replace: {first}");
}
