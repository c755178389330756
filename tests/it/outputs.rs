//! What is written, and where: bundles and results, when their place is bad or hostile.

use std::path::Path;

use harness::{Outcome, Program, Setup};

/// The program as a workload, with its stdout in the file `stdout`.
fn with_stdout(setup: &Setup, stdout: &str, args: &[&str]) -> Outcome {
    let socket = format!("unix://{}", setup.sandbox.spiffe_socket().display());
    Program::at(Path::new("/bin/sh"), setup.directory())
        .envs(setup.sandbox.trust_env())
        .env("SPIFFE_ENDPOINT_SOCKET", socket)
        .env("TARGET", stdout)
        .args(["-c", "exec \"$0\" \"$@\" > \"$TARGET\""])
        .arg(harness::ambisign())
        .args(args)
        .run()
}

#[test]
fn signing_with_a_wildcard_twice_signs_the_same_files_and_no_bundles() {
    let setup = Setup::new();
    setup.write("a", "first content");
    setup.workload().args(["sign-blob", "a"]).run().ends(0);
    setup.write("a", "second content");
    let again = setup.workload().args(["sign-blob", "a", "a.sigstore.json"]).run().ends(0);
    again.says(&["not signing the bundle of a, which lies beside it"]);
    assert!(!setup.path("a.sigstore.json.sigstore.json").exists());
    let verify = setup.program().args(["verify-blob", "a"]).args(setup.by_workload());
    verify.run().ends(0);
}

#[test]
fn an_output_that_is_an_input_of_the_same_run_is_refused() {
    let setup = Setup::new();
    for name in ["a", "b.sigstore.json", "root.json"] {
        setup.write(name, name);
    }
    let sign = |args: &[&str]| setup.workload().arg("sign-blob").args(args).run().ends(2);
    sign(&["a", "--bundle", "./a"]).says(&["would overwrite the file to sign"]);
    sign(&["b", "b.sigstore.json"]).says(&["would overwrite the file to sign"]);
    sign(&["a", "./a"]).says(&["named twice"]);
    sign(&["a", "--bundle", "root.json", "--trusted-root", "root.json"])
        .says(&["would overwrite the trusted root"]);
    std::fs::hard_link(setup.path("a"), setup.path("c")).unwrap();
    sign(&["a", "--bundle", "c"]).says(&["would overwrite the file to sign"]);
    assert_eq!(std::fs::read(setup.path("a")).unwrap(), b"a");
}

#[test]
fn stdin_is_used_once() {
    let setup = Setup::new();
    setup.write("b.json", "{}");
    for args in [
        &["sign-blob", "-", "--bundle", "b.json", "--identity-token", "-"] as &[&str],
        &["verify-blob", "-", "--bundle", "-"],
        &["verify-blob-attestation", "-", "--bundle", "-"],
    ] {
        let verifies = args[0] != "sign-blob";
        let policy = setup.by_workload().into_iter().filter(|_| verifies);
        let outcome = setup.program().args(args).args(policy).run_with_stdin(b"x");
        outcome.ends(2).says(&["stdin"]);
    }
}

#[test]
fn a_bundle_is_read_from_stdin() {
    let setup = Setup::new();
    setup.write("a", "content");
    setup.workload().args(["sign-blob", "a"]).run().ends(0);
    let bundle = std::fs::read(setup.path("a.sigstore.json")).unwrap();
    let verify = setup.program().args(["verify-blob", "a", "--bundle", "-"]);
    verify.args(setup.by_workload()).run_with_stdin(&bundle).ends(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_could_not_be_written_is_a_failure() {
    let setup = Setup::new();
    setup.write("a", "content");
    for args in [
        &["version"] as &[&str],
        &["--help"],
        &["sign-blob", "a", "--bundle", "-"],
        &["sign-blob", "a", "-o", "json"],
        &["sign-blob", "a", "--bundle", "/dev/full"],
    ] {
        let outcome = with_stdout(&setup, "/dev/full", args);
        outcome.ends(1).says(&["cannot write", "No space left"]);
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_not_a_failure() {
    let setup = Setup::new();
    let script = "exec 3>&1; { \"$0\" --help; echo $? >&3; } | true; sleep 1";
    let shell = Program::at(Path::new("/bin/sh"), setup.directory());
    let outcome = shell.args(["-c", script]).arg(harness::ambisign()).run().ends(0);
    assert_eq!(outcome.stdout, "0\n", "{outcome:#?}");
}

#[test]
fn the_report_of_a_signed_file_does_not_get_into_a_redirected_stdout() {
    let setup = Setup::new();
    setup.write("a", "content");
    let outcome = with_stdout(&setup, "a.sig", &["sign-blob", "a"]).ends(0);
    outcome.says(&["signed a as", "a.sigstore.json"]);
    assert_eq!(std::fs::read_to_string(setup.path("a.sig")).unwrap(), "");
    with_stdout(&setup, "a.sig", &["sign-blob", "a", "-o", "text"]).ends(0);
    assert!(std::fs::read_to_string(setup.path("a.sig")).unwrap().starts_with("signed a as"));
}

#[cfg(unix)]
#[test]
fn a_fifo_as_the_bundle_is_refused_before_anything_is_logged() {
    let setup = Setup::with_fault(sandbox::Fault::RekorError);
    setup.write("a", "content");
    let made = std::process::Command::new("mkfifo").arg(setup.path("pipe")).status().unwrap();
    assert!(made.success());
    let sign = setup.workload().args(["sign-blob", "a", "--bundle", "pipe", "-t", "5s"]);
    sign.run().ends(1).says(&["cannot write pipe", "FIFO"]).hides("log");
}

/// Only root can make files of others.
#[cfg(unix)]
#[test]
fn a_link_of_another_user_is_not_followed() {
    let setup = Setup::new();
    setup.write("a", "content");
    let precious = setup.write("precious", "precious");
    let link = setup.path("a.sigstore.json");
    std::os::unix::fs::symlink(&precious, &link).unwrap();
    if std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).is_err() {
        return harness::skip("not root: cannot make a link of another user");
    }
    let sign = setup.workload().args(["sign-blob", "a"]).run().ends(1);
    sign.says(&["cannot write a.sigstore.json", "another user"]);
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}

#[cfg(unix)]
#[test]
fn a_name_cannot_forge_a_line_or_act_on_the_terminal() {
    let setup = Setup::new();
    let name = "a\n::warning::forged\u{1b}[2J\u{202e}";
    setup.write(name, "content");
    for format in ["text", "json"] {
        let sign = setup.workload().args(["sign-blob", "-o", format, name]).run().ends(0);
        assert_eq!(sign.stdout.lines().count(), 1, "{sign:#?}");
        sign.hides("\u{1b}").hides("\u{202e}").hides("\n::warning");
    }
    let report = setup.workload().args(["sign-blob", "-o", "json", name]).run().ends(0).json();
    assert_eq!(report[0]["file"], name);
    let missing = setup.workload().args(["sign-blob", "b\n::error::forged\u{1b}[2J"]).run();
    missing.ends(11).says(&["does not exist"]).hides("\u{1b}").hides("\n::error::forged");
    let flag = setup.workload().args(["sign-blob", "--x\u{1b}[2J", name]).run().ends(2);
    flag.hides("\u{1b}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signature_that_cannot_be_written_is_kept_in_another_file() {
    let setup = Setup::new();
    let (file, predicate) = (setup.write("a", "content"), setup.write("p.json", "{}"));
    let kept = |outcome: Outcome| {
        let said = ["cannot write /dev/full", "the signature is not lost: it is in full-"];
        let outcome = outcome.ends(1).says(&said);
        let found = outcome.stderr.split_whitespace().find(|word| word.starts_with("full-"));
        let path = setup.path(found.unwrap());
        assert!(path.is_file(), "{}", path.display());
        path
    };
    let sign = setup.job().args(["sign-blob", "--bundle", "/dev/full"]).arg(&file);
    let verify = setup.program().args(["verify-blob", "--bundle"]).arg(kept(sign.run()));
    verify.arg(&file).args(setup.by_job()).run().ends(0);
    let attest = setup.job().args(["attest-blob", "--type", "https://x.test/p", "--predicate"]);
    let attest = attest.arg(&predicate).args(["--bundle", "/dev/full"]).arg(&file);
    let verify = setup.program().args(["verify-blob-attestation", "--type", "https://x.test/p"]);
    let verify = verify.arg("--bundle").arg(kept(attest.run()));
    verify.arg(&file).args(setup.by_job()).run().ends(0);
}
