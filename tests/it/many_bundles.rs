//! Many bundles for a file, and many files.

use std::fmt::Write as _;

use harness::{Outcome, Setup, by};
use serde_json::{Value, json};

/// The bundle of a file with this content, by the workload, as one line.
fn bundle(setup: &Setup, name: &str) -> String {
    let file = setup.write(name, format!("the content of {name}"));
    setup.workload().args(["sign-blob"]).arg(&file).run().ends(0);
    let bundle = std::fs::read_to_string(setup.path(&format!("{name}.sigstore.json"))).unwrap();
    std::fs::remove_file(setup.path(&format!("{name}.sigstore.json"))).unwrap();
    bundle.trim().to_owned()
}

/// Verifies files by the workload with these arguments.
fn verify(setup: &Setup, args: &[&str]) -> Outcome {
    setup.program().args(["verify-blob"]).args(args).args(setup.by_workload()).run()
}

#[test]
fn a_file_of_json_lines_verifies_each_of_its_files() {
    let setup = Setup::new();
    let bundles: Vec<_> = ["a", "b", "c"].map(|name| bundle(&setup, name)).into();
    setup.write("all.jsonl", bundles.join("\n") + "\n");
    for file in ["a", "b", "c"] {
        verify(&setup, &["--bundle", "all.jsonl", file]).ends(0).says(&["Verified OK"]);
    }
    let all = verify(&setup, &["--bundle", "all.jsonl", "-o", "json", "a", "b", "c"]).ends(0);
    let files: Vec<_> = all.json().iter().map(|line| line["file"].clone()).collect();
    assert_eq!(files, ["a", "b", "c"]);
    all.says(&["verified 3 of 3, 0 failed"]);

    // Documents on lines of their own, however they are laid out.
    let pretty = bundles.iter().map(|it| serde_json::from_str::<Value>(it).unwrap());
    let pretty = pretty.fold(String::new(), |mut all, it| {
        writeln!(all, "{it:#}").unwrap();
        all
    });
    setup.write("pretty.json", pretty);
    verify(&setup, &["--bundle", "pretty.json", "c"]).ends(0);
    // No other tool takes this.
    setup.write("together.json", bundles.concat());
    verify(&setup, &["--bundle", "together.json", "c"]).ends(12);
}

#[test]
fn several_bundles_are_given_and_one_that_verifies_is_enough() {
    let setup = Setup::new();
    for name in ["a", "b"] {
        let bundle = bundle(&setup, name);
        setup.write(&format!("{name}.json"), bundle);
    }
    verify(&setup, &["--bundle", "b.json", "--bundle", "a.json", "a"]).ends(0);
    // Another signer signed the same file.
    setup.job().args(["sign-blob", "a", "--bundle", "job.json"]).run().ends(0);
    verify(&setup, &["--bundle", "job.json", "--bundle", "a.json", "a"]).ends(0);
    verify(&setup, &["--bundle", "job.json", "--bundle", "b.json", "a"])
        .ends(12)
        .says(&["a is signed, but no signature is acceptable", "job.json: identity: expected"]);
    verify(&setup, &["--bundle", "none.json", "--bundle", "a.json", "a"])
        .ends(11)
        .says(&["none.json does not exist"]);
}

#[test]
fn bundles_of_other_files_are_no_signature_and_damaged_ones_do_not_spoil_good_ones() {
    let setup = Setup::new();
    let [a, b] = ["a", "b"].map(|name| bundle(&setup, name));
    setup.write("c", "unsigned");
    setup.write("both.jsonl", format!("{a}\n{b}\n"));
    verify(&setup, &["--bundle", "both.jsonl", "c"])
        .ends(10)
        .says(&["no signature of c found", "none of 2 bundles is about sha256:"]);
    let all = verify(&setup, &["--bundle", "both.jsonl", "a", "c", "b"]).ends(10);
    all.says(&["a: Verified OK", "b: Verified OK", "verified 2 of 3, 1 failed"]);

    let cut = &b[..b.len() / 2];
    setup.write("damaged.jsonl", format!("{cut}\n{a}\n"));
    verify(&setup, &["--bundle", "damaged.jsonl", "a"]).ends(0);
    verify(&setup, &["--bundle", "damaged.jsonl", "b"])
        .ends(12)
        .says(&["damaged.jsonl:1: ", "not well-formed JSON"]);
}

#[test]
fn attestations_of_another_type_in_the_same_file_do_not_count() {
    let setup = Setup::new();
    setup.write("a", "content");
    setup.write("b", "other");
    let predicate = setup.write("predicate.json", "{\"x\": 1}");
    let mut lines = String::new();
    for (file, predicate_type) in
        [("b", "https://x.test/one"), ("a", "https://x.test/two"), ("a", "https://x.test/one")]
    {
        let attest = setup.workload().args(["attest-blob", file, "--type", predicate_type]);
        let attest = attest.args(["--bundle", "one.json", "--predicate"]).arg(&predicate);
        attest.run().ends(0);
        lines += &std::fs::read_to_string(setup.path("one.json")).unwrap();
        lines += "\n";
    }
    setup.write("all.jsonl", lines);
    let verify = |predicate_type: &str, file: &str| {
        let verify = setup.program().args(["verify-blob-attestation", file, "-o", "json"]);
        let verify = verify.args(["--bundle", "all.jsonl", "--type", predicate_type]);
        verify.args(setup.by_workload()).run()
    };
    for predicate_type in ["https://x.test/one", "https://x.test/two"] {
        let found = verify(predicate_type, "a").ends(0);
        assert_eq!(found.json()[0]["predicate_type"], json!(predicate_type));
    }
    verify("https://x.test/two", "b").ends(10).says(&["of another kind: https://x.test/one"]);
}

#[test]
fn the_threshold_of_a_policy_file_holds_for_files() {
    let setup = Setup::new();
    setup.write("app.tar.gz", "content");
    setup.workload().args(["sign-blob", "app.tar.gz", "--bundle", "workload.json"]).run().ends(0);
    setup.job().args(["sign-blob", "app.tar.gz", "--bundle", "job.json"]).run().ends(0);
    let identity = |[_, identity, _, issuer]: [String; 4]| {
        format!("[[files.identities]]\nidentity = '{identity}'\nissuer = '{issuer}'\n")
    };
    let (workload, job) = (identity(setup.by_workload()), identity(setup.by_job()));
    let rule = "[[files]]\npatterns = ['*.tar.gz']\nthreshold = 2\n";
    setup.write("policy.toml", format!("{rule}{workload}{job}"));
    let verify = |bundles: &[&str], file: &str| {
        let bundles = bundles.iter().flat_map(|bundle| ["--bundle", bundle]);
        let verify = setup.program().args(["verify-blob", "--identity-policy", "policy.toml"]);
        verify.args(["-o", "json", file]).args(bundles).run()
    };
    let verified = verify(&["workload.json", "job.json"], "app.tar.gz").ends(0);
    assert_eq!(verified.json().len(), 2);
    let too_few = "app.tar.gz is signed by 1 of the acceptable signers, and 2 are required";
    verify(&["workload.json"], "app.tar.gz").ends(12).says(&[too_few]);
    verify(&["workload.json", "workload.json"], "app.tar.gz").ends(12).says(&[too_few]);
    setup.write("other", "content");
    verify(&["workload.json", "job.json"], "other")
        .ends(1)
        .says(&["no rule of the policy file matches other"]);
}

#[test]
fn each_bundle_of_a_file_is_inspected() {
    let setup = Setup::new();
    let bundles: Vec<_> = ["a", "b"].map(|name| bundle(&setup, name)).into();
    setup.write("all.jsonl", bundles.join("\n"));
    let inspect = |args: &[&str]| setup.program().args(["inspect", "-o", "json"]).args(args).run();
    let names = |outcome: Outcome| -> Vec<Value> {
        outcome.json().iter().map(|report| report["signature"].clone()).collect()
    };
    assert_eq!(names(inspect(&["all.jsonl"]).ends(0)), ["all.jsonl:1", "all.jsonl:2"]);
    let about = inspect(&["all.jsonl", "--artifact", "b"]).ends(0);
    assert_eq!(about.json()[0]["checks"]["signature"]["result"], json!("holds"));
    assert_eq!(names(about), ["all.jsonl:2"]);
    setup.write("c", "unsigned");
    inspect(&["all.jsonl", "--artifact", "c"]).says(&["none of 2 bundles is about"]);
}

#[test]
fn a_thousand_bundles_cost_no_more_than_reading_them() {
    let setup = Setup::new();
    let [a, b] = ["a", "b"].map(|name| bundle(&setup, name));
    setup.write("many.jsonl", format!("{b}\n").repeat(999) + &a);
    verify(&setup, &["--bundle", "many.jsonl", "a"]).ends(0);
    // By somebody else: each is refused by its name, before its evidence is looked at.
    setup.write("others.jsonl", format!("{a}\n").repeat(1000));
    let verify = setup.program().args(["verify-blob", "--bundle", "others.jsonl", "a"]);
    let refused = verify.args(by("me", "https://issuer.test")).run().ends(12);
    refused.says(&["1000 signatures: identity: expected \"me\""]);
}

#[test]
fn a_bundle_of_an_instance_without_logs_verifies_by_its_timestamp() {
    let setup = Setup::new();
    let github = harness::workspace().join("tests/fixtures/github");
    let verify = |root: &str, issuer: [&str; 2]| {
        let verify = harness::Program::new(setup.directory()).args(["verify-blob-attestation"]);
        let verify = verify.args(["--type", "https://in-toto.io/attestation/release/v0.2"]);
        let digest = "76f1fe8593bf227cca2c089e3c16dc95014a8d3e89c5dd220530469ca043c428";
        let verify = verify.args(["-o", "json", "--digest", digest, "--bundle"]);
        let verify = verify.arg(github.join("release.sigstore.json"));
        let verify = verify.arg("--trusted-root").arg(github.join(root));
        let signer = "https://dotcom.releases.github.com";
        verify.args(["--certificate-identity", signer]).args(issuer).run()
    };
    // Its certificate names no issuer, so that only a pattern for any issuer fits.
    let any = ["--certificate-oidc-issuer-regexp", ".*"];
    let verified = verify("trusted_root.json", any).ends(0);
    assert_eq!(verified.json()[0]["optional"]["signing_time"], json!("2026-03-02T09:52:15Z"));
    verified.says(&["the trusted root names no logs: timestamps are required instead"]);
    verify("trusted_root.json", ["--certificate-oidc-issuer", "https://github.com"])
        .ends(12)
        .says(&["issuer: expected \"https://github.com\", found none"]);
    // A root with logs demands an entry of them.
    verify("../../../crates/trust-root/data/trusted_root.json", any)
        .ends(12)
        .says(&["transparency log: expected an entry of a trusted log", "found no entry"]);
}
