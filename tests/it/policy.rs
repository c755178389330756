//! Whose signature is wanted: every way of saying it, and what is said when it is not theirs.

use std::process::Command;

use serde_json::Value;

use harness::{Program, Setup};
use sandbox::Registration;

/// The flags for what a certificate says besides its names, with the names of that in reports.
const EXTENSIONS: [(&str, &str); 21] = [
    ("--certificate-github-workflow-trigger", "githubWorkflowTrigger"),
    ("--certificate-github-workflow-sha", "githubWorkflowSha"),
    ("--certificate-github-workflow-name", "githubWorkflowName"),
    ("--certificate-github-workflow-repository", "githubWorkflowRepository"),
    ("--certificate-github-workflow-ref", "githubWorkflowRef"),
    ("--certificate-build-signer", "BuildSignerURI"),
    ("--certificate-build-signer-digest", "BuildSignerDigest"),
    ("--certificate-runner-environment", "RunnerEnvironment"),
    ("--certificate-source-repository", "SourceRepositoryURI"),
    ("--certificate-source-repository-digest", "SourceRepositoryDigest"),
    ("--certificate-source-repository-ref", "SourceRepositoryRef"),
    ("--certificate-source-repository-identifier", "SourceRepositoryIdentifier"),
    ("--certificate-source-repository-owner", "SourceRepositoryOwnerURI"),
    ("--certificate-source-repository-owner-identifier", "SourceRepositoryOwnerIdentifier"),
    ("--certificate-build-config", "BuildConfigURI"),
    ("--certificate-build-config-digest", "BuildConfigDigest"),
    ("--certificate-build-trigger", "BuildTrigger"),
    ("--certificate-run-invocation", "RunInvocationURI"),
    ("--certificate-source-repository-visibility", "SourceRepositoryVisibilityAtSigning"),
    ("--certificate-deployment-environment", "DeploymentEnvironment"),
    ("--certificate-token-subject", "TokenSubject"),
];

#[test]
fn every_extension_can_be_asked_for_by_its_flag() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    setup.job().args(["sign-blob"]).arg(&file).run().ends(0);
    let bundle = setup.path("release.tar.sigstore.json");
    let inspected = setup.program().args(["inspect", "-o", "json"]).arg(&bundle).run().ends(0);
    let said = inspected.json().remove(0)["certificate"]["extensions"].clone();
    let ask = |flag: &str, value: &str| {
        let verify = setup.program().args(["verify-blob", flag, value]).args(setup.by_job());
        verify.arg(&file).run()
    };
    let mut present = 0;
    for (flag, name) in EXTENSIONS {
        match said[name].as_str() {
            Some(value) => {
                ask(flag, value).ends(0);
                let shown = format!("expected \"{value}x\", found \"{value}\"");
                ask(flag, &format!("{value}x")).ends(12).says(&[&shown]);
                present += 1;
            }
            None => drop(ask(flag, "x").ends(12).says(&["expected \"x\", found none"])),
        }
    }
    assert!(present >= 19, "{said:#}");
    // Nothing that the certificate says lacks its flag.
    for (name, _) in said.as_object().unwrap() {
        let known = EXTENSIONS.iter().any(|(_, of)| of == name);
        assert!(known || name == "Issuer" || name == "IssuerV2", "{name}");
    }
}

/// The part of a hint that is ready to paste.
fn pasted(stderr: &str) -> &str {
    let (_, rest) = stderr.split_once("if this is the expected signer, use ").unwrap();
    rest.lines().next().unwrap()
}

#[test]
fn without_an_expected_signer_the_hint_has_the_flags_that_name_the_signer_of_the_file() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    setup.job().args(["sign-blob"]).arg(&file).run().ends(0);
    let told = setup.program().args(["verify-blob"]).arg(&file).run().ends(2);
    let told = told.says(&["--certificate-identity or --certificate-identity-regexp is required"]);
    let line = format!(
        "exec {} verify-blob {} {}",
        harness::ambisign().display(),
        file.display(),
        pasted(&told.stderr)
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &line])
        .env_clear()
        .env("HOME", setup.path(""))
        .envs(setup.sandbox.trust_env());
    let done = shell.output().unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
    // For another file no signer is named: this signer did not sign it.
    let other = setup.write("other.tar", "other");
    let bundle = setup.path("release.tar.sigstore.json");
    let told = setup.program().args(["verify-blob", "--bundle"]).arg(&bundle).arg(&other).run();
    told.ends(2).hides("if this is the expected signer");
}

#[test]
fn a_refusal_names_the_check_what_it_expected_and_found_and_who_signed() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    setup.job().args(["sign-blob"]).arg(&file).run().ends(0);
    let signer = setup.sandbox.github_identity();
    let names = format!("the certificate names {signer} by {}", setup.sandbox.github_issuer());
    let verify =
        |args: &[&str]| setup.program().args(["verify-blob"]).args(args).arg(&file).run().ends(12);
    let issuer = setup.sandbox.github_issuer();
    verify(&["--certificate-identity", &signer, "--certificate-oidc-issuer", "https://x"]).says(&[
        "issuer: expected \"https://x\", found",
        &issuer,
        &names,
    ]);
    verify(&["--certificate-identity", "x", "--certificate-oidc-issuer", &issuer])
        .says(&["identity: expected \"x\", found", &signer]);
    let prefix = ["--certificate-identity-regexp", "https://github.com/octo-or"];
    verify(&[&prefix[..], &["--certificate-oidc-issuer", &issuer]].concat())
        .says(&["matches only a part of it", "\"https://github.com/octo-org\" would match"]);
    // What is shown can be pasted as it is.
    let part = ["--certificate-identity-regexp", "octo-org"];
    verify(&[&part[..], &["--certificate-oidc-issuer", &issuer]].concat())
        .says(&[r#""https://github\.com/octo-org" would match"#]);
    let prefix = ["--certificate-identity-regexp", "^https://github.com/octo-org/"];
    let verified = setup.program().args(["verify-blob"]).args(prefix).arg(&file);
    verified.args(["--certificate-oidc-issuer", &issuer]).run().ends(0);
    let changed = setup.write("release.tar", "changed");
    let verify = setup.program().args(["verify-blob"]).arg(changed).args(setup.by_job());
    verify.run().ends(12).says(&["artifact: the bundle belongs to sha256:", &names]);
}

#[test]
fn every_mistake_in_a_policy_file_is_told_with_its_place() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let rule = |rest: &str| format!("[[images]]\npatterns = [\"**\"]\n{rest}\n");
    let signer = "[[images.identities]]\nidentity = 'x'\nissuer = 'y'\n";
    for (text, said) in [
        (String::new(), "expected at least one rule, in [[images]] or [[files]]"),
        ("images = []".to_owned(), "images: expected at least one rule"),
        ("[[images]\n".to_owned(), "line 1"),
        (rule("identities = []"), "images[0]: expected at least one pattern and one identity"),
        (rule(&format!("treshold = 1\n{signer}")), "line 3: unknown field `treshold`"),
        (
            rule(&format!("threshold = 0\n{signer}")),
            "images[0].threshold: expected a number of at least 1, found 0",
        ),
        (
            rule(&format!("threshold = 2\n{signer}")),
            "images[0].threshold: the threshold 2 can never be reached",
        ),
        (rule("[[images.identities]]\nidentity = 'x'"), "images[0].identities[0]: expected one of"),
        (
            rule("[[images.identities]]\nidentity-regexp = '('\nissuer = 'y'"),
            "images[0].identities[0]: the pattern \"(\" cannot be used",
        ),
        (
            rule("[[images.identities]]\nspiffe-trust-domain = 'X Y'\nissuer = 'y'"),
            "a trust domain consists of letters",
        ),
        (
            rule(&format!("{signer}extensions = {{ SourceRepo = 'z' }}")),
            "images[0].identities[0].extensions: \"SourceRepo\" is not the name",
        ),
        (rule("[[images.identities]]\nkey = 'x'"), "images[0].identities[0].key"),
        (
            format!("[[images]]\npatterns = ['a:v1@sha256']\n{signer}"),
            "images[0].patterns: expected a repository such as ghcr.io/acme/*",
        ),
        ("{\"images\": [}".to_owned(), "expected value at line 1 column 13"),
        ("{\"images\": [], \"images\": []}".to_owned(), "duplicate field `images`"),
    ] {
        let path = setup.write("policy", &text);
        let verify = setup.program().args(["verify", &image, "--identity-policy"]).arg(path);
        verify.run().ends(2).says(&["cannot use", said]);
    }
    let path = setup.write("policy", rule(signer));
    let verify = || setup.program().args(["verify", &image, "--identity-policy"]);
    verify().arg("nowhere.toml").run().ends(1).says(&["nowhere.toml"]);
    verify().arg(setup.write("binary", b"\xff\xfe")).run().ends(2).says(&["cannot use"]);
    // What the file does not say is not asked for beside it: it would be lost.
    let beside = ["--certificate-github-workflow-ref", "refs/heads/main"];
    verify()
        .arg(&path)
        .args(beside)
        .run()
        .ends(2)
        .says(&["--identity-policy <FILE>' cannot be used with"]);
    verify().arg(&path).run().ends(10);
}

#[test]
fn a_policy_file_says_who_may_sign_which_files() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    setup.job().args(["sign-blob"]).arg(&file).run().ends(0);
    let write = |pattern: &str, identity: &str| {
        let issuer = setup.sandbox.github_issuer();
        let rule = format!(
            "[[files]]\npatterns = [\"{pattern}\"]\n[[files.identities]]\n\
             identity = \"{identity}\"\nissuer = \"{issuer}\"\n"
        );
        setup.write("policy.toml", rule)
    };
    let verify = |policy: &std::path::Path| {
        let verify = setup.program().args(["verify-blob", "--identity-policy"]).arg(policy);
        verify.arg("release.tar").run()
    };
    let signer = setup.sandbox.github_identity();
    verify(&write("*.tar", &signer)).ends(0).says(&["Verified OK"]);
    verify(&write("*.tar", "someone")).ends(12).says(&["identity: expected \"someone\""]);
    verify(&write("dist/*.tar", &signer)).ends(1).says(&[
        "no rule of the policy file matches release.tar; the nearest pattern is \"dist/*.tar\"",
        "hint: add a rule whose patterns match",
    ]);
    let images = "[[images]]\npatterns = ['**']\nidentities = [{identity='x',issuer='y'}]";
    verify(&setup.write("images.toml", images)).ends(1).says(&["no rule of the policy file"]);
    let attest = setup.job().args(["attest-blob", "--predicate"]).arg(&file);
    attest.args(["--bundle", "a.json"]).arg(&file).run().ends(0);
    let verify = setup.program().args(["verify-blob-attestation", "--bundle", "a.json"]);
    let policy = write("*.tar", &signer);
    verify.arg("--identity-policy").arg(policy).arg("release.tar").run().ends(0);
}

#[test]
fn yaml_and_the_nearest_pattern_are_named() {
    let setup = Setup::new();
    let image = setup.image("acme/team/app");
    let verify = |text: &str| {
        let policy = setup.write("policy", text);
        setup.program().args(["verify", &image, "--identity-policy"]).arg(policy).run()
    };
    let yaml = "# ours\nimages:\n- patterns: ['**']\n";
    verify(yaml).ends(2).says(&["line 2: this is YAML; a policy file is TOML"]);
    let registry = setup.sandbox.registry();
    let rule = format!(
        "[[images]]\npatterns = ['quay.io/x', '{registry}/acme/*']\n\
         identities = [{{identity='x',issuer='y'}}]"
    );
    let nearest = format!("the nearest pattern is \"{registry}/acme/*\"");
    verify(&rule).ends(1).says(&[&format!("matches {registry}/acme/team/app"), &nearest]);
}

#[test]
fn the_text_of_a_verification_has_a_line_for_each_signer_with_times_and_indexes() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    for _ in 0..3 {
        setup.job().args(["sign", &image]).run().ends(0);
    }
    setup.workload().args(["sign", &image]).run().ends(0);
    let verify = |policy: &[&str]| {
        let verify = setup.program().args(["verify", "-o", "text", &image]).args(policy);
        verify.run().ends(0).stdout
    };
    let job = setup.by_job();
    let text = verify(&job.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(text.lines().count(), 1, "{text}");
    let signer = format!(
        "signed by {} ({}), 3 signatures ",
        setup.sandbox.github_identity(),
        setup.sandbox.github_issuer()
    );
    assert!(text.contains(&signer) && text.contains(", log indexes 0, 1, 2"), "{text}");
    let text =
        verify(&["--certificate-identity-regexp", ".*", "--certificate-oidc-issuer-regexp", ".*"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    let workload = text.lines().find(|line| line.contains("spiffe://")).unwrap();
    assert!(workload.contains(") at 20") && workload.ends_with("Z, log index 3"), "{workload}");
}

#[test]
fn keys_of_every_kind_verify_what_openssl_signed() {
    let vectors = include_str!("../../crates/keys/tests/it/openssl.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("message", vectors["message"].as_str().unwrap());
    write("other", "another message");
    let mut kinds = Vec::new();
    for vector in vectors["signatures"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let key = text("public_key");
        write("key.pub", key);
        write("signature", text("signature"));
        let verify = |file: &str, key_flag: &str| {
            let program = Program::new(directory.path()).env("KEY", key);
            let program = program.args(["verify-blob", file, "--signature", "signature"]);
            program.args(["--key", key_flag, "--insecure-ignore-tlog"]).run()
        };
        verify("message", "key.pub").ends(0).says(&["Verified OK"]);
        verify("message", "env://KEY").ends(0);
        verify("other", "key.pub").ends(12).says(&["signature: the signer's key did not sign"]);
        kinds.push(text("scheme").to_owned());
    }
    for kind in ["P256", "P384", "P521", "ED25519", "RSA_PKCS1V15_2048", "RSA_PSS_4096"] {
        assert!(kinds.iter().any(|scheme| scheme.contains(kind)), "{kind}: {kinds:?}");
    }
}

/// The rule of docs/verify.md, for the sandbox: one workflow and the workloads of a trust domain.
#[test]
fn a_threshold_counts_entries_of_the_list_and_not_the_signers_of_one_entry() {
    let ids = ["builder", "tester"].map(|name| format!("spiffe://example.org/ns/ci/sa/{name}"));
    let setup = Setup::with(|config| {
        let registration =
            |id: &String| Registration { spiffe_id: id.parse().unwrap(), hint: String::new() };
        config.registrations = ids.iter().map(registration).collect();
    });
    let image = setup.image("acme/app");
    let policy = format!(
        "[[images]]\npatterns = [\"**\"]\nthreshold = 2\n\
         [[images.identities]]\nidentity = \"{}\"\nissuer = \"{}\"\n\
         [[images.identities]]\nspiffe-trust-domain = \"example.org\"\n\
         spiffe-path-prefix = \"/ns/ci\"\nissuer = \"{}\"\n",
        setup.sandbox.github_identity(),
        setup.sandbox.github_issuer(),
        setup.sandbox.spiffe_issuer(),
    );
    let policy = setup.write("signers.toml", policy);
    let verify =
        || setup.program().args(["verify", &image, "--identity-policy"]).arg(&policy).run();
    // Two workloads, both of which the second entry accepts: the release workflow never signed.
    for id in &ids {
        setup.workload().args(["sign", "--spiffe-id", id, &image]).run().ends(0);
    }
    verify().ends(12).says(&["1", "2"]);
    // A second signature of a workload changes nothing.
    setup.workload().args(["sign", "--spiffe-id", &ids[0], &image]).run().ends(0);
    verify().ends(12);
    setup.job().args(["sign", &image]).run().ends(0);
    let verified = verify().ends(0);
    assert_eq!(verified.signatures().len(), 4, "every acceptable signature is reported");
}

#[test]
fn an_attestation_is_not_verified_as_the_signature_of_its_file() {
    const CAPTURES: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/bundles/");
    let directory = tempfile::tempdir().unwrap();
    let captured = |name: &str| format!("{CAPTURES}{name}");
    let verify = |command: &[&str], bundle: &str| {
        let program = Program::new(directory.path()).args(command);
        let program = program.args(["--bundle", &captured(bundle)]);
        let program = program.args(["--trusted-root", &captured("trusted_root.json")]);
        let signer = ["--certificate-identity", "spiffe://example.org/ns/ci/sa/builder"];
        let program = program.args(signer);
        let program = program.args(["--certificate-oidc-issuer", "http://localhost:8888"]);
        program.arg(captured("artifact.txt")).run()
    };
    verify(&["verify-blob"], "blob-spiffe.sigstore.json").ends(0);
    verify(&["verify-blob"], "attest-blob-spiffe.sigstore.json")
        .ends(12)
        .says(&["purpose: expected a file signature, found a statement of type"]);
    verify(&["verify-blob-attestation", "--type", "custom"], "blob-spiffe.sigstore.json")
        .ends(12)
        .says(&["purpose: expected an attestation", "found a file signature"]);
}
