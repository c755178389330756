//! Mistakes that people make, and what the program says about each.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use harness::Setup;

#[test]
fn a_file_among_images_and_an_image_among_files_are_noticed() {
    let setup = Setup::new();
    setup.write("app.tar", "content");
    let sign = setup.workload().args(["sign", "app.tar"]).run().ends(2);
    sign.says(&["app.tar is a file, not an image", "ambisign sign-blob"]);
    let image = setup.image("demo/app");
    let sign = setup.workload().args(["sign-blob", &image]).run().ends(11);
    sign.says(&["does not exist", "for an image, use `ambisign sign`"]).hides("cannot write");
}

#[test]
fn a_bundle_and_its_file_the_wrong_way_round_are_noticed() {
    let setup = Setup::new();
    setup.write("a", "content");
    setup.workload().args(["sign-blob", "a"]).run().ends(0);
    let verify = setup.program().args(["verify-blob", "a.sigstore.json", "--bundle", "a"]);
    verify.args(setup.by_workload()).run().ends(12).says(&["they are swapped"]);
    let [_, identity, _, issuer] = setup.by_workload();
    let swapped = ["--certificate-identity", &issuer, "--certificate-oidc-issuer", &identity];
    let verify = setup.program().args(["verify-blob", "a"]).args(swapped).run().ends(12);
    verify.says(&["is it swapped with --certificate-identity?"]);
}

#[test]
fn only_signatures_of_the_format_asked_for_count() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let verify = |format: &str| {
        let verify = setup.program().args(["verify", &image, "--signature-format", format]);
        verify.args(setup.by_workload()).run()
    };
    verify("any").ends(0);
    verify("bundle").ends(0);
    verify("legacy").ends(12);
    setup.write("a", "content");
    setup.workload().args(["sign-blob", "a"]).run().ends(0);
    let verify = setup.program().args(["verify-blob", "a", "--signature-format", "legacy"]);
    verify.args(setup.by_workload()).run().ends(12).says(&["format"]);
}

#[test]
fn several_images_end_with_a_closing_line() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let missing = image.replace("demo/app", "demo/none");
    let verify = setup.program().args(["verify", &missing, &image]).args(setup.by_workload());
    let outcome = verify.run().ends(11);
    assert_eq!(outcome.json().len(), 2, "{outcome:#?}");
    outcome.says(&["verified 1, skipped 0, failed 1, in "]);
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().hides("verified 1,");
}

#[test]
fn signatures_that_are_refused_for_the_same_reason_are_reported_together() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    for _ in 0..3 {
        setup.workload().args(["sign", &image]).run().ends(0);
    }
    let verify = setup.program().args(["verify", &image]).args(setup.by_job()).run().ends(12);
    let causes = verify.stderr.lines().filter(|line| line.starts_with("because:"));
    let causes: Vec<_> = causes.filter(|line| line.contains(&setup.workload_id())).collect();
    let [cause] = causes.as_slice() else { panic!("{verify:#?}") };
    assert!(cause.starts_with("because: 3 signatures: "), "{cause}");
}

#[test]
fn missing_identity_flags_are_reported_before_the_registry_is_asked() {
    let setup = Setup::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/demo/app:v1", silent.local_addr().unwrap());
    let started = Instant::now();
    let verify = setup.program().args(["verify", &image]).run().ends(2);
    verify.says(&["--certificate-identity or --certificate-identity-regexp is required"]);
    assert!(started.elapsed() < Duration::from_secs(12));
}

#[test]
fn help_is_readable_on_a_narrow_terminal() {
    let setup = Setup::new();
    let help = setup.program().env("COLUMNS", "60").args(["sign", "--help"]).run().ends(0);
    let words = |line: &str| line.split_whitespace().count();
    let lonely = help.stdout.lines().filter(|line| line.starts_with("    ") && words(line) == 1);
    let options = lonely.filter(|line| !line.trim().starts_with('-')).count();
    assert!(options < 25, "{}", help.stdout);
    for args in [
        &["sign", "--yes=true", "--key", "k", "--help"] as &[&str],
        &["help", "sign"],
        &["-t", "5s", "sign", "-h"],
    ] {
        let help = setup.program().args(args).run().ends(0);
        assert!(help.stdout.contains("Usage: ambisign sign"), "{help:#?}");
    }
}

#[test]
fn a_claim_that_could_not_be_checked_is_not_called_accepted() {
    let setup = Setup::new();
    let outcome = setup.workload().args(["identity", "-o", "json"]).run().ends(0);
    let report = &outcome.json()[0];
    let predicted = !report["certificate"].is_null();
    assert_eq!(report["fulcio"]["claims_checked"], predicted, "{report:#}");
}

#[test]
fn identity_shows_its_sources_even_with_an_unusable_signing_config() {
    let setup = Setup::new();
    let config = setup.write("config.json", "{}");
    let identity = setup.workload().args(["identity", "--signing-config"]).arg(&config);
    let outcome = identity.run().ends(1).says(&["config.json"]);
    assert!(outcome.stdout.contains(&setup.workload_id()), "{outcome:#?}");
}

#[test]
fn identity_names_the_source_that_it_waited_for() {
    let setup = Setup::new();
    let socket = setup.path("hangs.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let address = format!("unix://{}", socket.display());
    let identity = setup.program().env("SPIFFE_ENDPOINT_SOCKET", address);
    identity.args(["identity", "-t", "2s"]).run().ends(1).says(&["not done within 2s", "spiffe"]);
    drop(listener);
}

#[test]
fn a_certificate_that_is_not_issued_is_reported_with_what_was_to_be_signed() {
    let setup = Setup::with_fault(sandbox::Fault::FulcioError);
    let (image, other) = (setup.image("demo/app"), setup.image("demo/other"));
    let not_signed = format!("error: {image} was not signed");
    let sign = setup.workload().args(["sign", &image]).run().ends(1);
    sign.says(&[&not_signed, "because: no certificate from"]);
    let sign = setup.workload().args(["sign", &image, &other]).run().ends(1);
    sign.says(&["and 1 more were not signed"]);
    setup.write("a", "content");
    let sign = setup.workload().args(["sign-blob", "a"]).run().ends(1);
    sign.says(&["error: a was not signed", "because: no certificate from"]);
}

#[test]
fn the_hint_of_a_broken_source_is_shown_once() {
    let setup = Setup::new();
    let job = setup.program().env("GITHUB_ACTIONS", "true").arg("identity").run().ends(1);
    let shown = format!("{}{}", job.stdout, job.stderr);
    assert_eq!(shown.matches("add `permissions").count(), 1, "{shown}");
}

#[test]
fn every_group_of_hints_in_the_data_file_is_used_and_every_one_that_is_used_is_there() {
    let code = include_str!("../../crates/cli/src/hints.rs").split("#[cfg(test)]").next().unwrap();
    let used = code.split("say(\"").skip(1).filter_map(|it| it.split('"').next());
    let used: Vec<_> = used.flat_map(|groups| groups.split(' ')).collect();
    let data = include_str!("../../crates/cli/data/hints.txt");
    let heads = data.lines().filter(|line| line.starts_with('['));
    let names: Vec<_> = heads.flat_map(|head| head.trim_matches(['[', ']']).split(' ')).collect();
    for name in &used {
        assert!(names.contains(name), "{name} has no hints");
    }
    for name in names {
        let is_used = used.contains(&name) || name.starts_with("claim:");
        assert!(is_used, "no error has the hints of {name}");
    }
}
