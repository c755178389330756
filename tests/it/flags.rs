//! Flags and their variables, for every command.

use std::path::Path;

use harness::Program;

/// The program with these arguments and variables: no setup, because nothing may be sent.
fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Program {
    let program = Program::new(Path::new("/")).args(arguments);
    variables.iter().fold(program, |program, (name, value)| program.env(name, value))
}

#[test]
fn every_flag_of_cosigns_is_accepted_or_refused_by_name() {
    let list = include_str!("../fixtures/cosign-flags.txt");
    let rows = list.lines().filter(|line| !line.starts_with('#'));
    for (command, flags) in rows.filter_map(|line| line.split_once(": ")) {
        for flag in flags.split_whitespace() {
            let flag = format!("--{flag}=x");
            // A flag that is not known is named before the second one.
            let done = program(&[command, &flag, "--no-such-flag"], &[]).run().ends(2);
            let unknown = format!("unexpected argument '{}'", flag.trim_end_matches("=x"));
            assert!(!done.stderr.contains(&unknown), "{command} {flag}: {done:?}");
        }
    }
}

#[test]
fn a_flag_reads_its_two_variables() {
    for command in ["sign", "verify", "inspect"] {
        // A flag that conflicts with it.
        let with_token = [command, "registry.invalid/a", "--registry-token", "t"];
        let (ours, theirs) = ("AMBISIGN_REGISTRY_USERNAME", "COSIGN_REGISTRY_USERNAME");
        for name in [ours, theirs] {
            let named = format!("--registry-username is set by the variable {name}");
            program(&with_token, &[(name, "x")]).run().ends(2).says(&[&named]);
        }
        let named = format!("is set by the variable {ours}");
        program(&with_token, &[(theirs, "x"), (ours, "y")]).run().ends(2).says(&[&named]);
    }
}

#[test]
fn an_empty_variable_counts_only_where_it_decides_something() {
    for (command, flag, variable) in [
        ("verify", "certificate-identity", "COSIGN_CERTIFICATE_IDENTITY"),
        ("verify-blob", "trusted-root", "COSIGN_TRUSTED_ROOT"),
        ("sign", "identity-token", "COSIGN_IDENTITY_TOKEN"),
        ("sign-blob", "fulcio-url", "COSIGN_FULCIO_URL"),
    ] {
        let named = format!("--{flag}");
        program(&[command, "a"], &[(variable, "")]).run().ends(2).says(&[&named, variable]);
    }
    // Stops at the missing argument, not at the variable.
    let done = program(&["sign"], &[("COSIGN_GITHUB_MASK", "")]).run().ends(2);
    assert!(!done.stderr.contains("github-mask"), "{done:?}");
    let done = program(&["sign"], &[("AMBISIGN_REGISTRY_USERNAME", "")]).run().ends(2);
    assert!(!done.stderr.contains("registry-username"), "{done:?}");
}

#[test]
fn booleans_and_durations_are_written_as_go_writes_them() {
    let lost = "with --upload=false the signature would be lost";
    for off in ["false", "0", "F"] {
        let upload = format!("--upload={off}");
        program(&["sign", &upload, "--yes", "r.invalid/a"], &[]).run().ends(2).says(&[lost]);
    }
    program(&["sign", "--upload=no", "r.invalid/a"], &[]).run().ends(2).says(&["true or false"]);
    for right in ["3m0s", "1.5h", "250ms", "999999999999h"] {
        program(&["version", "--timeout", right], &[]).run().ends(0);
    }
    for wrong in ["", "3", "m", "3d", "-3s", "0s", "1..5s", "3 m", "inf", "nan"] {
        let timeout = format!("--timeout={wrong}");
        program(&["version", &timeout], &[]).run().ends(2).says(&["expected a duration"]);
    }
}

#[test]
fn a_bare_boolean_is_neither_an_image_nor_a_file() {
    program(&["sign", "false"], &[]).run().ends(2).says(&["--upload=false"]);
    program(&["sign-blob", "true"], &[]).run().ends(2).says(&["./true"]);
}

#[test]
fn a_flag_with_one_dash_is_taken_with_a_notice_as_cosign_takes_it() {
    let said = "-key has one dash: write --key";
    program(&["verify", "-key", "none.pub", "r.invalid/a"], &[]).run().ends(1).says(&[said]);
    // What short flags make together is no long flag.
    let short = program(&["sign", "-yr", "--require-digest", "r.invalid/a"], &[]).run().ends(2);
    assert!(!short.stderr.contains("one dash"), "{short:?}");
}

#[test]
fn a_tag_is_refused_where_a_digest_is_required() {
    let refused = program(&["sign", "--require-digest", "r.invalid/a:v1"], &[]).run().ends(2);
    refused.says(&["r.invalid/a:v1 is named without a digest", "ambisign tree r.invalid/a:v1"]);
}

#[test]
fn flags_about_the_earlier_format_have_no_effect_on_bundles_and_are_refused_with_it() {
    for flag in ["--sign-container-identity=r/a", "--output-signature=s", "--output-certificate=c"]
    {
        let name = flag.split('=').next().unwrap();
        let sign = |args: &[&str]| program(&[&["sign", flag] as &[_], args].concat(), &[]).run();
        let taken = sign(&["--require-digest", "r.invalid/a"]).ends(2);
        taken.says(&[&format!("{name} has no effect")]);
        let refused = sign(&["--new-bundle-format=false", "r.invalid/a"]).ends(2);
        refused.says(&[&format!("{name} is not supported"), "leave it out"]);
    }
}

#[test]
fn a_value_that_is_nearly_right_is_answered_with_the_right_one() {
    for (args, nearest) in [
        (
            &["verify-attestation", "--type", "slsaprovnance", "r/a"][..],
            "did you mean slsaprovenance",
        ),
        (&["sign-blob", "--signing-algorithm", "ecdsa-sha2-256-nistp265", "f"], "nistp256?"),
        (&["verify", "--signature-format", "bundel", "r/a"], "'bundle'"),
        (&["verify", "--output", "jsn", "r/a"], "'json'"),
        (&["verfy", "r/a"], "'verify'"),
    ] {
        program(args, &[]).run().ends(2).says(&[nearest]);
    }
}

#[test]
fn a_key_that_comes_over_the_network_is_read_with_a_warning_also_with_offline() {
    let url = "https://localhost:1/cosign.pub";
    let verify = program(&["verify-blob", "--offline", "--key", url, "/etc/hostname"], &[]);
    let verify = verify.env("AMBISIGN_BUNDLE", "/etc/hostname").run().ends(1);
    verify.says(&["the key is read from https://localhost:1/cosign.pub", "could not connect"]);
    let key = "k8s://chains/signing-secrets";
    let outside = program(&["verify", "--key", key, "r.invalid/a"], &[]).run().ends(1);
    outside.says(&["KUBERNETES_SERVICE_HOST is not set"]);
}
