//! Attestations with large predicates: what they cost, and logs that do not take them.
//!
//! `cargo test -p ambisign --test it large -- --nocapture` prints the figures.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::{Outcome, Program, Setup};
use sandbox::Fault;

/// An SBOM of `size` bytes, with as many values as real ones have.
fn sbom(setup: &Setup, size: usize) -> PathBuf {
    let mut text = String::with_capacity(size);
    text.push_str(r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"first"}"#);
    let mut number = 0_u64;
    while text.len() + 400 < size {
        number += 1;
        text.push_str(&format!(
            r#",{{"bom-ref":"pkg:npm/{number}","type":"library","name":"package-{number}",
"version":"1.{number}.0","purl":"pkg:npm/package-{number}@1.{number}.0","licenses":[{{"license":{{"id":"MIT"}}}}],
"hashes":[{{"alg":"SHA-256","content":"{number:064x}"}}]}}"#
        ));
    }
    let fill = size - text.len() - r#"],"x":""}"#.len();
    text.push_str(&format!(r#"],"x":"{}"}}"#, "y".repeat(fill)));
    assert_eq!(text.len(), size);
    setup.write("sbom.json", text)
}

/// The outcome, and the largest resident set in bytes.
#[expect(clippy::print_stdout, reason = "the figures are for whoever asks for them")]
fn measured(what: &str, program: Program) -> (Outcome, usize) {
    let start = Instant::now();
    let child = program.args(["-t", "300s"]).within(Duration::from_secs(300)).spawn();
    let path = format!("/proc/{}/status", child.id());
    let ended = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0;
    while !ended.is_finished() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        peak = peak.max(found.unwrap_or_default() * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    let outcome = Outcome::new(ended.join().unwrap());
    println!("| {what} | {:.1} s | {:.0} MB |", start.elapsed().as_secs_f64(), peak as f64 / 1e6);
    (outcome, peak)
}

const MB: usize = 1_000_000;
const SBOM: usize = 46 * MB;

#[test]
fn an_sbom_of_46_mb_is_in_memory_once() {
    let setup = Setup::new();
    let sbom = sbom(&setup, SBOM);
    let small = setup.write("small.json", "{}");
    // What each command takes for a small one.
    let attest = |predicate: &PathBuf, image: &str| {
        let attest = setup.job().args(["attest", "--type", "cyclonedx", "--predicate"]);
        measured("attest", attest.arg(predicate).arg(image))
    };
    let verify = |image: &str| {
        let verify = setup.program().args(["verify-attestation", "--type", "cyclonedx", image]);
        measured("verify-attestation", verify.args(setup.by_job()))
    };
    let (one, other) = (setup.image("demo/small"), setup.image("demo/large"));
    let (attested, verified) = (attest(&small, &one), verify(&one));
    attested.0.ends(0);
    verified.0.ends(0);
    let (outcome, peak) = attest(&sbom, &other);
    outcome.ends(0);
    let growth = peak.saturating_sub(attested.1);
    assert!(growth < SBOM / 4 * 5, "{growth} bytes");
    let (outcome, peak) = verify(&other);
    assert!(outcome.ends(0).stdout.len() > SBOM / 3 * 4);
    // It comes in base64, and is decoded where it is.
    let growth = peak.saturating_sub(verified.1);
    assert!(growth < SBOM / 2 * 3, "{growth} bytes");
}

#[test]
fn what_is_attested_of_many_images_is_in_memory_once() {
    let setup = Setup::new();
    let sbom = sbom(&setup, 16 * MB);
    let images: Vec<_> = (0..6).map(|number| setup.image(&format!("demo/app-{number}"))).collect();
    let attest = |images: &[String]| {
        let attest = setup.job().args(["attest", "--type", "cyclonedx", "--predicate"]);
        let (outcome, peak) = measured("attest", attest.arg(&sbom).args(images));
        outcome.ends(0);
        peak
    };
    let (one, five) = (attest(&images[..1]), attest(&images[1..]));
    assert!(five.saturating_sub(one) < 16 * MB, "{one} and {five} bytes");
    // Statements of large predicates are compared as they are.
    let again = setup.job().args(["attest", "--type", "cyclonedx", "--skip-signed", "-o", "json"]);
    let again = again.arg("--predicate");
    let (outcome, peak) = measured("attest --skip-signed", again.arg(&sbom).args(&images[..1]));
    assert_eq!(outcome.ends(0).json()[0]["skipped"], true);
    assert!(peak.saturating_sub(one) < 4 * 16 * MB, "{peak} bytes");
}

#[test]
fn a_bundle_of_more_than_32_mib_is_read_from_its_file() {
    let setup = Setup::new();
    let (file, sbom) = (setup.write("artifact", "a"), sbom(&setup, 26 * MB));
    let attest = setup.job().args(["attest-blob", "--type", "cyclonedx", "--predicate"]).arg(sbom);
    attest.arg("--bundle").arg(setup.path("a.json")).arg(&file).run().ends(0);
    assert!(setup.path("a.json").metadata().unwrap().len() > 32 << 20);
    let verify = || {
        let verify = setup.program().args(["verify-blob-attestation", "--type", "cyclonedx"]);
        verify.arg("--bundle").arg(setup.path("a.json")).arg(&file).args(setup.by_job())
    };
    verify().run().ends(0);
    // Many bundles together have a lower limit.
    let bundle = std::fs::read_to_string(setup.path("a.json")).unwrap();
    setup.write("a.json", format!("{}\n{{}}\n", bundle.trim_end()));
    verify().run().ends(12).says(&["several bundles and more than 33554432 bytes"]);
}

#[test]
fn an_attestation_that_is_logged_by_its_digest_verifies_where_that_is_asked_for() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let predicate = setup.write("p.json", "{}");
    let attest = setup.job().args(["attest", "--type", "spdx", "--log-digest-only"]);
    attest.arg("--predicate").arg(&predicate).arg(&image).run().ends(0);
    let verify = || {
        let verify = setup.program().args(["verify-attestation", "--type", "spdx", &image]);
        verify.args(setup.by_job())
    };
    verify().run().ends(12).says(&["logged by its digest only"]);
    let weaker = "a log entry may be that of a file";
    verify().arg("--log-digest-only").run().ends(0).says(&[weaker]);
    // It stays what it is: no signature of the image.
    let verify = setup.program().args(["verify", &image]);
    verify.args(setup.by_job()).run().ends(10);
    let verify = setup.program().args(["verify", "--log-digest-only", &image]);
    verify.args(setup.by_job()).run().ends(2).says(&["verify-attestation"]);
    // --skip-signed knows it.
    let again = setup.job().args(["attest", "--type", "spdx", "--skip-signed"]);
    let again = again.args(["--log-digest-only", "-o", "json", "--predicate"]).arg(&predicate);
    assert_eq!(again.arg(&image).run().ends(0).json()[0]["skipped"], true);
}

#[test]
fn a_log_that_takes_no_large_entry_is_found_out_before_there_is_a_certificate() {
    // Fulcio would refuse: it is not asked.
    let setup = Setup::with(|config| {
        config.faults = [Fault::LogSizeLimit, Fault::FulcioError].into();
    });
    let image = setup.image("demo/app");
    let file = sbom(&setup, 8 * MB);
    let attest = || setup.job().args(["attest", "--type", "cyclonedx", "--predicate"]).arg(&file);
    let refused = attest().arg(&image).run().ends(1);
    refused.says(&[
        "takes no entry of 10670",
        "413 Payload Too Large",
        "it takes 2667",
        "--log-digest-only",
    ]);
    let (file, bundle) = (setup.write("artifact", "a"), setup.path("a.json"));
    let blob = setup.job().args(["attest-blob", "--type", "cyclonedx", "--bundle"]).arg(&bundle);
    let blob = blob.arg("--predicate").arg(setup.path("sbom.json")).arg(file);
    blob.run().ends(1).says(&["takes no entry of"]);
    assert!(!bundle.exists());
    assert_eq!(setup.logged(), 0);
}

#[test]
fn a_log_that_takes_no_large_entry_takes_the_digest_of_one() {
    let setup = Setup::with_fault(Fault::LogSizeLimit);
    let image = setup.image("demo/app");
    let file = sbom(&setup, 8 * MB);
    let attest = || setup.job().args(["attest", "--type", "cyclonedx", "--predicate"]).arg(&file);
    attest().args(["--log-digest-only"]).arg(&image).run().ends(0);
    let verify = setup.program().args(["verify-attestation", "--type", "cyclonedx", &image]);
    verify.args(setup.by_job()).arg("--log-digest-only").run().ends(0);
}
