//! Files and their bundles.

use std::path::Path;

use keys::Sign as _;
use serde_json::json;

use harness::{Setup, by};

#[test]
fn a_bundle_stands_beside_its_file_and_is_found_there() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    let signed = setup.workload().args(["sign-blob", "-o", "json"]).arg(&file).run().ends(0);
    let line = &signed.json()[0];
    assert_eq!(line["identity"], json!(setup.workload_id()));
    assert!(setup.path("release.tar.sigstore.json").is_file());
    let verify = setup.program().args(["verify-blob"]).arg(&file).args(setup.by_workload());
    verify.run().ends(0).says(&["Verified OK"]);
    let verify = setup.program().args(["verify-blob", "-o", "json"]).arg(&file);
    let verified = verify.args(setup.by_workload()).run().ends(0);
    assert_eq!(verified.json()[0]["digest"], line["digest"]);
    assert_eq!(verified.json()[0]["optional"]["Subject"], json!(setup.workload_id()));
}

#[test]
fn a_bundle_of_an_earlier_name_is_found_and_a_missing_file_is_not_an_unsigned_one() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let sign = setup.workload().arg("sign-blob").arg(&file).args(["--bundle", "a.sigstore"]);
    sign.run().ends(0);
    let verify =
        |file: &str| setup.program().args(["verify-blob", file]).args(setup.by_workload()).run();
    verify("a").ends(0);
    verify("b").ends(11).says(&["b does not exist"]);
    setup.write("c", "unsigned");
    verify("c").ends(10).says(&["c.sigstore.json does not exist"]);
}

#[test]
fn several_files_are_signed_with_one_certificate_on_either_log() {
    let setup = Setup::new();
    let files: Vec<_> = (0..5).map(|n| setup.write(&format!("f{n}"), format!("{n}"))).collect();
    for version in [sandbox::RekorVersion::V1, sandbox::RekorVersion::V2] {
        let config = setup.sandbox.signing_config(version);
        let sign = setup.workload().env("AMBISIGN_SIGNING_CONFIG", config);
        let signed = sign.args(["sign-blob", "-d"]).args(&files).run().ends(0);
        assert_eq!(signed.stderr.matches("Certified").count(), 1, "{signed:#?}");
        for file in &files {
            let verify = setup.program().args(["verify-blob"]).arg(file).args(setup.by_workload());
            verify.run().ends(0);
        }
    }
}

#[test]
fn stdin_is_signed_and_verified() {
    let setup = Setup::new();
    let bundle = setup.path("b.json");
    let sign = setup.workload().args(["sign-blob", "-", "--bundle"]).arg(&bundle);
    sign.run_with_stdin(b"piped").ends(0);
    let verify = |content: &[u8]| {
        let verify = setup.program().args(["verify-blob", "-", "--bundle"]).arg(&bundle);
        verify.args(setup.by_workload()).run_with_stdin(content)
    };
    verify(b"piped").ends(0);
    verify(b"other").ends(12).says(&["the bundle belongs to sha256:", "the artifact is sha256:"]);
}

#[test]
fn a_bundle_may_go_to_stdout_and_then_it_is_all_that_is_there() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let sign = || setup.workload().args(["sign-blob", "--bundle", "-"]).arg(&file);
    let signed = sign().run().ends(0).says(&["signed ", &setup.workload_id()]);
    let bundle = setup.write("piped.json", &signed.stdout);
    let verify = setup.program().args(["verify-blob", "--bundle"]).arg(&bundle).arg(&file);
    verify.args(setup.by_workload()).run().ends(0);
    assert!(!setup.path("-").exists());
    sign().args(["-o", "json"]).run().ends(2).says(&["both want stdout"]);

    let image = setup.image("demo/app");
    let sign = setup.workload().args(["sign", "--bundle", "-", "--upload=false", &image]);
    let [bundle] = sign.run().ends(0).json().try_into().unwrap();
    assert!(bundle["dsseEnvelope"].is_object(), "{bundle}");
}

#[test]
fn files_of_the_same_content_are_logged_by_either_log() {
    let setup = Setup::new();
    let files: Vec<_> = (0..3).map(|n| setup.write(&format!("f{n}"), "the same")).collect();
    for version in [sandbox::RekorVersion::V1, sandbox::RekorVersion::V2] {
        let sign =
            setup.workload().env("AMBISIGN_SIGNING_CONFIG", setup.sandbox.signing_config(version));
        sign.args(["sign-blob"]).args(&files).run().ends(0);
    }
}

#[test]
fn a_file_is_not_replaced_by_its_own_bundle() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let sign = setup.workload().args(["sign-blob", "a", "--bundle"]).arg(&file);
    sign.run().ends(2).says(&["the bundle would overwrite the file to sign"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"content");
}

#[test]
fn a_file_larger_than_memory_should_be_is_signed_in_little_memory() {
    let setup = Setup::new();
    let file = setup.path("large");
    std::fs::File::create(&file).unwrap().set_len(300 << 20).unwrap();
    let sign = setup.workload().args(["sign-blob"]).arg(&file);
    // A file that does not fit would end the program: the limit is on its address space.
    sign.limited_to(200 << 20).run().ends(0);
}

#[test]
fn bad_bundles_and_files_are_told_apart() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let other = setup.write("b", "other content");
    setup.workload().args(["sign-blob"]).arg(&file).run().ends(0);
    let bundle = setup.path("a.sigstore.json");
    let text = std::fs::read_to_string(&bundle).unwrap();
    let cut = setup.write("cut.json", &text[..text.len() / 2]);
    let verify = |file: &Path, bundle: &Path| {
        let verify = setup.program().args(["verify-blob"]).arg(file).arg("--bundle").arg(bundle);
        verify.args(setup.by_workload()).run()
    };
    verify(&file, &bundle).ends(0);
    verify(&other, &bundle).ends(12).says(&["the bundle belongs to sha256:"]);
    verify(&file, &cut).ends(12).says(&["is not a Sigstore bundle", "not well-formed JSON"]);
    verify(&file, &other).ends(12).says(&["is not a Sigstore bundle"]);
    verify(&file, &setup.path("none")).ends(10).says(&["no signature of"]);
    verify(&setup.path("none"), &bundle).ends(11).says(&["does not exist"]);
    let verify = setup.program().args(["verify-blob"]).arg(&other).args(setup.by_workload());
    verify.run().ends(10).says(&["b.sigstore.json does not exist", "--bundle"]);
}

#[test]
fn another_identity_and_another_root_are_refused_by_name() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    setup.workload().args(["sign-blob"]).arg(&file).run().ends(0);
    let id = setup.workload_id();
    let verify = |flags: [String; 4]| setup.program().args(["verify-blob"]).arg(&file).args(flags);
    let wrong = by("me", &setup.sandbox.spiffe_issuer());
    verify(wrong).run().ends(12).says(&[
        "identity: expected \"me\"",
        &id,
        "--certificate-identity",
    ]);
    let wrong = by(&id, "https://accounts.google.com");
    verify(wrong).run().ends(12).says(&["issuer: expected \"https://accounts.google.com\""]);
    let foreign = Setup::new();
    let root = foreign.sandbox.trusted_root();
    let verify = verify(setup.by_workload()).arg("--trusted-root").arg(&root);
    verify.run().ends(12).says(&["--trusted-root"]);
    let bad = setup.write("root.json", "{}");
    let verify = setup.program().args(["verify-blob"]).arg(&file).args(setup.by_workload());
    verify.arg("--trusted-root").arg(&bad).run().ends(1).says(&["root.json", "media type"]);
}

#[test]
fn a_pattern_must_match_the_whole_identity_and_the_error_shows_how() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    setup.workload().args(["sign-blob"]).arg(&file).run().ends(0);
    let verify = |pattern: &str| {
        let verify = setup.program().args(["verify-blob"]).arg(&file);
        verify
            .args(["--certificate-identity-regexp", pattern])
            .args(["--certificate-oidc-issuer-regexp", "http://localhost:.*"])
            .run()
    };
    verify("spiffe://example.org/.*").ends(0);
    verify("example.org").ends(12).says(&["^(?:example.org)$"]);
}

#[test]
fn a_failed_run_leaves_the_old_bundle_and_nothing_else() {
    let setup = Setup::with_fault(sandbox::Fault::RekorError);
    let file = setup.write("a", "content");
    setup.write("a.sigstore.json", "old");
    setup.workload().args(["sign-blob"]).arg(&file).run().ends(1).says(&["no log entry from"]);
    assert_eq!(std::fs::read_to_string(setup.path("a.sigstore.json")).unwrap(), "old");
    let left = std::fs::read_dir(setup.path("")).unwrap();
    assert_eq!(left.filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 2);
}

#[test]
fn one_missing_file_does_not_stop_the_others() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let sign = setup.workload().args(["sign-blob"]).arg(setup.path("none")).arg(&file);
    sign.run().ends(11).says(&["none does not exist"]);
    assert!(setup.path("a.sigstore.json").is_file());
}

/// Within the limit on their size, and fifty times as large once every value is built.
#[test]
fn a_bundle_of_millions_of_small_values_is_judged_in_little_memory() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    let verify = |bundle: &Path| {
        let verify = setup.program().args(["verify-blob", "--bundle"]).arg(bundle).arg(&file);
        verify.limited_to(400 << 20)
    };
    for filler in ["{},".repeat(10_000_000), "[0],".repeat(7_900_000)] {
        let media_type = bundle::MEDIA_TYPE_V0_3;
        let text = format!(r#"{{"mediaType":{media_type:?},"dsseEnvelope":[{filler}0]}}"#);
        let refused = verify(&setup.write("values.json", text)).args(setup.by_workload()).run();
        refused.ends(12).says(&["65537 values in the JSON document, at most 65536 are allowed"]);
    }
    // Validly signed, so that all of it is looked at.
    let pair = keys::KeyPair::generate().unwrap();
    let members: Vec<_> = (0..1_500_000).map(|number| format!(r#""{number:x}":0"#)).collect();
    let digest = keys::Digest::sha256(b"content").to_hex();
    let payload = format!(
        r#"{{"_type":{:?},"subject":[{{"digest":{{"sha256":"{digest}"}}}}],"predicateType":"p:p","predicate":{{{}}}}}"#,
        bundle::STATEMENT_TYPE_V1,
        members.join(",")
    );
    let mut envelope = bundle::Envelope {
        payload: payload.into_bytes().into(),
        payload_type: bundle::INTOTO_PAYLOAD_TYPE.to_owned(),
        signatures: Vec::new(),
    };
    let sig = pair.sign(keys::Payload::Message(&envelope.pae())).unwrap();
    envelope.signatures.push(bundle::EnvelopeSignature { sig, keyid: None });
    let signed = bundle::Bundle::new(
        bundle::VerificationMaterial::PublicKey { hint: None },
        bundle::Content::Envelope(envelope),
        Vec::new(),
        Vec::new(),
    );
    let signed = setup.write("signed.json", signed.unwrap().to_json());
    let key = setup.write("key.pem", pair.public_key().to_pem());
    let refused = verify(&signed).arg("--key").arg(&key).arg("--insecure-ignore-tlog").run();
    refused.ends(12).says(&["expected a file signature"]);
}

#[test]
fn a_file_that_would_be_a_signature_of_another_kind_is_signed_only_when_told_so() {
    let setup = Setup::new();
    let simple_signing = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"app"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
        "sha256:".to_owned() + &"0".repeat(64),
    );
    for content in [simple_signing.as_str(), "DSSEv1 28 application/vnd.in-toto+json 2 {}"] {
        let file = setup.write("release.txt", content);
        let sign = || setup.job().arg("sign-blob").arg(&file);
        let refused = sign().run().ends(1);
        refused.says(&["release.txt was not signed", "--danger-sign-foreign-format"]);
        assert!(!setup.path("release.txt.sigstore.json").exists());
        let signed = sign().arg("--danger-sign-foreign-format").run().ends(0);
        signed.says(&["warning:", "--danger-sign-foreign-format"]);
        setup.program().arg("verify-blob").arg(&file).args(setup.by_job()).run().ends(0);
        std::fs::remove_file(setup.path("release.txt.sigstore.json")).unwrap();
    }
}

#[test]
fn several_files_end_with_a_line_that_counts_them() {
    let setup = Setup::new();
    let files: Vec<_> = (0..3).map(|n| setup.write(&format!("f{n}"), format!("{n}"))).collect();
    let missing = setup.path("missing");
    let sign = setup.workload().arg("sign-blob").args(&files).arg(&missing).run().ends(11);
    sign.says(&["does not exist", "signed 3 of 4, 1 failed"]);
    setup.workload().arg("sign-blob").args(&files).run().ends(0).says(&["signed 3 of 3, 0 failed"]);
    setup.workload().arg("sign-blob").arg(&files[0]).run().ends(0).hides("signed 1 of 1");
}

#[cfg(unix)]
#[test]
fn the_deadline_and_an_interruption_act_on_a_fifo_that_a_flag_names() {
    let setup = Setup::new();
    setup.write("a", "content");
    setup.write("sig", "c2ln");
    setup.workload().args(["sign-blob", "a"]).run().ends(0);
    let image = setup.image("demo/app");
    let made = std::process::Command::new("mkfifo").arg(setup.path("pipe")).status().unwrap();
    assert!(made.success());
    for (flag, args) in [
        ("--key", &["verify-blob", "a", "--key", "pipe"] as &[&str]),
        ("--certificate", &["verify-blob", "a", "--signature", "sig", "--certificate", "pipe"]),
        ("--signature", &["verify-blob", "a", "--certificate", "sig", "--signature", "pipe"]),
        ("--identity-policy", &["verify", &image, "--identity-policy", "pipe"]),
    ] {
        let names_a_signer = ["--key", "--identity-policy"].contains(&flag);
        let policy = setup.by_workload().into_iter().filter(|_| !names_a_signer);
        let program = setup.program().args(args).args(policy);
        let start = std::time::Instant::now();
        let outcome = program.args(["-t", "1s"]).run().ends(1);
        let is_part = ["--certificate", "--signature"].contains(&flag);
        let what = if is_part { "the signature".to_owned() } else { format!("{flag} pipe") };
        outcome.says(&["not done within 1s", &format!("it was reading {what}")]);
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{flag}");

        let policy = setup.by_workload().into_iter().filter(|_| !names_a_signer);
        let child = setup.program().args(args).args(policy).spawn();
        std::thread::sleep(std::time::Duration::from_millis(700));
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
        harness::Outcome::new(child.wait_with_output().unwrap()).ends(130);
    }
}
