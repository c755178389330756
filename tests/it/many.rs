//! Many images: lists, parts of lists, what is signed already, and runs that end early.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{HostileServer, Outcome, Program, Reply, Setup};
use sandbox::{Fault, RekorVersion};
use serde_json::{Value, json};

/// Pushes images to `many/app0` and so on, and writes a list of them.
fn catalogue(setup: &Setup, number: usize) -> Vec<String> {
    let images: Vec<_> = (0..number).map(|it| setup.image(&format!("many/app{it}"))).collect();
    setup.write("list", images.join("\n"));
    images
}

/// How many signatures of the workload each image has.
fn signatures(setup: &Setup) -> Vec<usize> {
    let verify = setup.program().args(["verify", "--from-file", "list", "--jobs", "16"]);
    let lines = verify.args(setup.by_workload()).run().json();
    lines.iter().map(|line| line.as_array().map_or(0, Vec::len)).collect()
}

fn stop(child: &std::process::Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// The sandbox's Rekor behind a server that answers 502 to new entries for so long.
fn failing_log(setup: &Setup, down: Duration) -> HostileServer {
    let config = std::fs::read(setup.sandbox.signing_config(RekorVersion::V1)).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let url = config["rekorTlogUrls"][0]["url"].as_str().unwrap();
    let start = Instant::now();
    HostileServer::before(url.trim_start_matches("http://"), move |request| {
        match request.is("POST", "/log/entries") && start.elapsed() < down {
            true => Reply::response(502, &[], "<html>Bad gateway</html>"),
            false => Reply::Forward,
        }
    })
}

#[test]
fn a_list_is_signed_and_verified_and_each_image_has_a_line_in_its_order() {
    let setup = Setup::new();
    let mut images = catalogue(&setup, 12);
    images.insert(3, images[0].replace("many/app0", "many/missing"));
    let list = format!("# all of them\r\n\n{}\n{}\n", images.join("\r\n"), images[1]);
    let sign = setup.workload().args(["sign", "--from-file", "-", "-o", "json"]);
    let signed = sign.run_with_stdin(list.as_bytes()).ends(11);
    signed.says(&["many/missing:v1 was not signed", "signed 12, skipped 0, failed 1, in "]);
    let lines = setup.write("list", &list);
    let verify = setup.program().args(["verify", "--from-file"]).arg(&lines);
    let verified = verify.args(setup.by_workload()).run().ends(11);
    let verified = verified.says(&["verified 12, skipped 0, failed 1, in "]);
    for (line, image) in verified.json().iter().zip(&images) {
        match image.contains("missing") {
            true => assert_eq!((&line["image"], &line["exit"]), (&json!(image), &json!(11))),
            false => assert_eq!(line[0]["critical"]["identity"]["docker-reference"], **image),
        }
    }
    let text = ["verify", "--from-file", "list", "-o", "text", "--jobs", "3"];
    let text = setup.program().args(text).args(setup.by_workload()).run().ends(11).stdout;
    let order: Vec<_> = images.iter().filter(|it| !it.contains("missing")).collect();
    let lines: Vec<_> = text.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(lines, order);
}

#[test]
fn a_failed_image_is_a_line_of_json_and_each_line_names_the_repository_that_was_written_to() {
    let setup = Setup::new();
    let images = catalogue(&setup, 3);
    let missing = images[0].replace("app0", "missing");
    let sign = setup.workload().args(["sign", "-o", "json", &images[0], &missing, &images[1]]);
    let lines = sign.run().ends(11).json();
    assert_eq!((&lines[0]["image"], &lines[2]["image"]), (&json!(images[0]), &json!(images[1])));
    assert_eq!(format!("{}:v1", lines[2]["repository"].as_str().unwrap()), images[1]);
    assert_eq!((&lines[1]["image"], &lines[1]["exit"]), (&json!(missing), &json!(11)));
    assert!(lines[1]["error"].as_str().unwrap().contains("missing:v1 was not signed"));
    // Also where nothing was signed for a reason that all have.
    let sign = setup.program().args(["sign", "-o", "json"]).args(&images).run().ends(1);
    let lines = sign.json();
    assert_eq!(lines.len(), 3, "{sign:#?}");
    assert!(lines.iter().all(|line| line["exit"] == 1 && line["causes"].is_array()));
}

#[test]
fn lists_that_cannot_be_used_are_wrong_usage() {
    let setup = Setup::new();
    setup.write("wrong", "r.example/a\nr.example/a b\n");
    setup.write("empty", "# nothing\n");
    for (args, text) in [
        (["--from-file", "wrong", "-y"].as_slice(), "in line 2"),
        (&["--from-file", "empty"], "--from-file names no image"),
        (&["--from-file", "absent"], "cannot use --from-file absent"),
        (&["--shard", "4/4", "r.example/a"], "the last part is 3/4"),
        (&["--shard", "auto", "r.example/a"], "JOB_COMPLETION_INDEX"),
        (&["--jobs", "0", "r.example/a"], "--jobs"),
        (&["--skip-attestation-manifests", "r.example/a"], "--recursive"),
        (&["--from-file", "-", "--identity-token", "-"], "stdin is named for two inputs"),
    ] {
        let outcome = setup.workload().arg("sign").args(args).run();
        let code = if args.contains(&"absent") { 1 } else { 2 };
        outcome.ends(code).says(&[text]);
    }
    // Part of a list may be empty.
    let shard = ["sign", "--shard", "1/2", "r.example/a"];
    setup.workload().args(shard).run().ends(0).says(&["signed 0, skipped 0, failed 0"]);
}

#[test]
fn four_parts_sign_two_hundred_images_once_each_and_a_second_run_skips_them() {
    let setup = Setup::new();
    catalogue(&setup, 200);
    let part = |part: usize| {
        let shard = format!("{part}/4");
        setup.workload().args(["sign", "--from-file", "list", "--skip-signed", "--shard", &shard])
    };
    let parts = || Program::run_all((0..4).map(part).collect());
    for outcome in parts() {
        outcome.ends(0).says(&["signed 50, skipped 0, failed 0"]);
    }
    assert_eq!(setup.logged(), 200);
    assert_eq!(signatures(&setup), [1; 200]);
    for outcome in parts() {
        let outcome = outcome.ends(0).says(&["signed 0, skipped 50, failed 0"]);
        assert_eq!(outcome.stdout.lines().count(), 50);
    }
    assert_eq!(setup.logged(), 200);
}

#[test]
fn parallel_jobs_of_platforms_know_their_part() {
    let setup = Setup::new();
    let images = catalogue(&setup, 6);
    for (shard, env, first) in [
        ("auto", [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETION_TOTAL", "3")], 0),
        ("auto/3", [("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "3")], 1),
        ("auto", [("BUILDKITE_PARALLEL_JOB", "2"), ("BUILDKITE_PARALLEL_JOB_COUNT", "3")], 2),
    ] {
        let sign = ["sign", "--from-file", "list", "-o", "json", "--shard", shard];
        let program = env.iter().fold(setup.workload(), |it, (name, value)| it.env(name, value));
        let lines = program.args(sign).run().ends(0).json();
        let names: Vec<_> = lines.iter().map(|line| line["image"].as_str().unwrap()).collect();
        assert_eq!(names, [&images[first], &images[first + 3]]);
    }
    assert_eq!(signatures(&setup), [1; 6]);
}

/// The items of a list of the manifest in docs/many.md.
fn items<'a>(manifest: &'a str, key: &str) -> Vec<&'a str> {
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != format!("{key}:"));
    let items = lines
        .skip(1)
        .map_while(|line| line.strip_prefix("- ").or_else(|| line.strip_prefix("value: ")));
    items.collect()
}

#[test]
fn the_pods_of_the_documented_job_sign_the_whole_catalogue_once() {
    let page = include_str!("../../docs/many.md");
    let (_, manifest) = page.split_once("```yaml\n").unwrap();
    let (manifest, _) = manifest.split_once("```").unwrap();
    let args = items(manifest, "args");
    assert_eq!(items(manifest, "env"), ["name: JOB_COMPLETION_TOTAL", "\"4\""]);
    assert!(manifest.contains("completionMode: Indexed\n  completions: 4\n  parallelism: 4\n"));
    let setup = Setup::new();
    catalogue(&setup, 10);
    let pod = |index: usize| {
        let args = args.iter().map(|arg| match *arg {
            "/catalogue/images.txt" => "list",
            arg => arg,
        });
        let program = setup.workload().env("JOB_COMPLETION_TOTAL", "4");
        program.env("JOB_COMPLETION_INDEX", index.to_string()).args(args)
    };
    Program::run_all((0..4).map(pod).collect()).into_iter().for_each(|it| _ = it.ends(0));
    assert_eq!(signatures(&setup), [1; 10]);
    // A pod that runs again.
    pod(0).run().ends(0).says(&["signed 0, skipped 3, failed 0"]);
}

#[test]
fn an_image_that_is_named_by_tag_and_by_digest_is_signed_once() {
    let setup = Setup::new();
    let images = catalogue(&setup, 1);
    let tagged = &images[0];
    let both = format!("{tagged}@{}", setup.digest("many/app0"));
    let by_digest = both.replace(":v1@", "@");
    let sign = setup.workload().arg("sign").args([tagged, &by_digest, &both, tagged]);
    let outcome = sign.run().ends(0).says(&["signed 1, skipped 3, failed 0"]);
    assert_eq!(outcome.stdout.matches(": the same image is above\n").count(), 3, "{outcome:#?}");
    assert_eq!(signatures(&setup), [1]);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_and_run_again_signs_nothing_twice() {
    let setup = Setup::new();
    catalogue(&setup, 60);
    let sign = || setup.workload().args(["sign", "--from-file", "list", "--skip-signed"]);
    let mut child = sign().args(["--jobs", "1"]).spawn();
    while setup.logged() < 10 {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before: usize = signatures(&setup).iter().sum();
    assert!((1..60).contains(&before), "{before} were signed when it was killed");
    sign().run().ends(0).says(&[&format!("signed {}, skipped {before}, failed 0", 60 - before)]);
    assert_eq!(signatures(&setup), [1; 60]);
}

/// What was signed is attached or saved, and what was not is in a list.
#[cfg(unix)]
#[test]
fn after_a_signal_the_rest_is_in_a_list_that_the_next_run_takes() {
    let setup = Setup::new();
    catalogue(&setup, 40);
    let sign = setup.workload().args(["sign", "--from-file", "list", "--jobs", "2"]);
    let child = sign.spawn();
    while setup.logged() < 6 {
        std::thread::sleep(Duration::from_millis(5));
    }
    stop(&child, "-TERM");
    let outcome = Outcome::new(child.wait_with_output().unwrap()).ends(143);
    let files = std::fs::read_dir(setup.directory()).unwrap().map(|it| it.unwrap().path());
    let named = |path: &std::path::Path, end: &str| path.to_str().unwrap().ends_with(end);
    let (mut bundles, mut lists) = (Vec::new(), Vec::new());
    for path in files {
        match path {
            path if named(&path, ".sigstore.json") => bundles.push(path),
            path if named(&path, ".txt") => lists.push(path),
            _ => {}
        }
    }
    let [list] = &lists[..] else { panic!("{lists:?} {outcome:#?}") };
    let name = list.file_name().unwrap().to_str().unwrap();
    outcome.says(&["error: terminated", "are not done; they are listed in", name, "not done "]);
    for bundle in &bundles {
        let image = subject(&std::fs::read_to_string(bundle).unwrap());
        setup.program().arg("attach").arg(bundle).arg(image).run().ends(0);
    }
    setup.workload().args(["sign", "--from-file", name]).run().ends(0);
    assert_eq!(signatures(&setup), [1; 40]);
}

/// The image that a bundle is about, by digest.
fn subject(bundle: &str) -> String {
    let bundle: Value = serde_json::from_str(bundle).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let payload = STANDARD.decode(payload).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    let subject = &statement["subject"][0];
    let digest = subject["digest"]["sha256"].as_str().unwrap();
    format!("{}@sha256:{digest}", subject["name"].as_str().unwrap())
}

#[test]
fn a_few_images_that_are_not_done_are_named_one_on_each_line() {
    let setup = Setup::with_fault(Fault::SlowLog);
    let images = catalogue(&setup, 3);
    let sign = setup.workload().args(["sign", "-t", "3s", "--from-file", "list"]);
    let outcome = sign.run().ends(1).says(&["not done within 3s", "waiting for the log"]);
    let (_, names) = outcome.stderr.split_once("not done:\n").unwrap();
    assert_eq!(names.lines().collect::<Vec<_>>(), images);
}

#[test]
fn fail_fast_begins_with_nothing_else_and_names_the_rest() {
    let setup = Setup::new();
    let images = catalogue(&setup, 4);
    let missing = images[0].replace("app0", "missing");
    let sign = ["sign", "--fail-fast", "--jobs", "1", &images[0], &missing, &images[1]];
    let outcome = setup.workload().args(sign).run().ends(11);
    outcome.says(&["--fail-fast", &format!("not done:\n{}\n{}", images[0], images[1])]);
    assert_eq!(setup.logged(), 0);
    let verify = ["verify", "--fail-fast", "--jobs", "1", &missing, &images[1]];
    let verify = setup.program().args(verify).args(setup.by_workload()).run().ends(11);
    verify.says(&["--fail-fast", &format!("not done:\n{}\n", images[1])]);
}

#[test]
fn a_log_that_is_down_for_seconds_is_waited_for_and_said() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let log = failing_log(&setup, Duration::from_secs(4));
    let url = format!("http://{}", log.address());
    // The time of the outage does not count for the timeout of the command.
    let sign = setup.workload().env("AMBISIGN_RETRY_FOR", "60s");
    let sign = sign.args(["sign", "--rekor-url", &url, &image]).run().ends(0);
    sign.says(&[&format!("waiting for {url}: 502; next try in ")]);
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(0);
}

#[test]
fn a_log_that_stays_down_is_given_up_within_the_budget_and_nothing_is_attached() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let log = failing_log(&setup, Duration::MAX);
    let url = format!("http://{}", log.address());
    let start = Instant::now();
    let sign = ["sign", "--retry-for", "4s", "--rekor-url", &url, &image];
    let outcome = setup.workload().args(sign).run().ends(1);
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    outcome.says(&[&format!("no log entry from {url}"), "the signature is in no log", "502"]);
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(10);
}

#[test]
fn every_service_that_is_down_is_waited_for_and_named_when_it_stays_down() {
    for (fault, text) in
        [(Fault::FulcioError, "was not signed"), (Fault::TsaError, "no timestamp from")]
    {
        let setup = Setup::with_fault(fault);
        let image = setup.image("demo/app");
        let sign = setup.workload().args(["sign", "--retry-for", "2s", &image]).run().ends(1);
        sign.says(&[text, "waiting for http://localhost:", "next try in"]);
    }
    let setup = Setup::new();
    setup.image("demo/app");
    let start = Instant::now();
    let registry = setup.hostile_registry(move |_| match start.elapsed().as_secs() < 5 {
        true => Reply::response(503, &[], ""),
        false => Reply::Forward,
    });
    let image = format!("{}/demo/app:v1", registry.address());
    let sign = setup.workload().args(["sign", "--retry-for", "1m", &image]).run().ends(0);
    sign.says(&["waiting ", "which answered 503"]);
}

/// An index with an attestation manifest, as BuildKit makes it: its reference, and the manifest's.
fn index_with_attestation(setup: &Setup) -> (String, String, String) {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let registry = setup.sandbox.registry();
    let empty = setup.put_blob(registry, "demo/index", b"{}");
    let config =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 });
    let mut listed = Vec::new();
    for (kind, platform) in [("image", "linux"), ("attestation", "unknown")] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config],
            "annotations": { "kind": kind },
        });
        let text = manifest.to_string();
        let digest = format!("sha256:{}", keys::Digest::sha256(text.as_bytes()).to_hex());
        setup.put_manifest(registry, "demo/index", &digest, &manifest);
        let mut annotations = BTreeMap::new();
        if kind == "attestation" {
            annotations.insert("vnd.docker.reference.type", "attestation-manifest");
        }
        listed.push(json!({
            "mediaType": MANIFEST, "digest": digest, "size": text.len(),
            "platform": { "os": platform, "architecture": "amd64" }, "annotations": annotations,
        }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
    setup.put_manifest(registry, "demo/index", "v1", &index);
    let by_digest =
        |it: &Value| format!("{registry}/demo/index@{}", it["digest"].as_str().unwrap());
    (format!("{registry}/demo/index:v1"), by_digest(&listed[0]), by_digest(&listed[1]))
}

#[test]
fn attestation_manifests_of_an_index_are_signed_and_verified_unless_they_are_left_out() {
    let setup = Setup::new();
    let (index, image, attestation) = index_with_attestation(&setup);
    let verify = |args: &[&str]| {
        let verify = setup.program().args(["verify", "-o", "text"]).args(args);
        verify.args(setup.by_workload()).run()
    };
    let sign =
        |args: &[&str]| setup.workload().args(["sign", "-r", &index]).args(args).run().ends(0);
    sign(&["--skip-attestation-manifests"]).says(&["signed 2, "]);
    verify(&[&attestation]).ends(10);
    verify(&["-r", "--skip-attestation-manifests", &index]).ends(0).says(&["verified 2, "]);
    let refused = verify(&["-r", &index]).ends(10);
    refused.says(&["verified 2, skipped 0, failed 1", &attestation]);
    sign(&["--skip-signed"]).says(&["signed 1, skipped 2, "]);
    let all = verify(&["-r", &index]).ends(0).says(&["verified 3, "]);
    let digests: Vec<_> = all.stdout.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(digests, [&index, &image, &attestation]);
}

#[test]
fn a_platform_is_accepted_by_its_signed_index_and_the_output_says_so() {
    let setup = Setup::new();
    let (index, image, _) = index_with_attestation(&setup);
    let other = setup.image("demo/app");
    setup.workload().args(["sign", &index]).run().ends(0);
    let verify =
        |args: &[&str]| setup.program().arg("verify").args(args).args(setup.by_workload()).run();
    verify(&[&image]).ends(10);
    let verified = verify(&["--index", &index, &image]).ends(0);
    let report = &verified.json()[0][0];
    assert_eq!(report["index"]["image"], *index);
    assert!(image.ends_with(report["index"]["lists"].as_str().unwrap()));
    let text = verify(&["-o", "text", "--index", &index, &image]).ends(0).stdout;
    assert!(text.contains(&format!("by its index {index}")), "{text}");
    verify(&["--index", &index, &other]).ends(12).says(&["does not list"]);
    verify(&["--index", &index, "-r", &image]).ends(2);
}

#[test]
fn an_attestation_that_is_there_is_not_made_again() {
    let setup = Setup::new();
    catalogue(&setup, 3);
    let attest = |predicate: &str| {
        let predicate = setup.write("predicate", predicate);
        let attest = ["attest", "--from-file", "list", "--skip-signed", "--type", "spdxjson"];
        setup.workload().args(attest).arg("--predicate").arg(predicate).run().ends(0)
    };
    attest(r#"{"a":1}"#).says(&["attested 3, skipped 0"]);
    attest(r#"{"a":1}"#).says(&["attested 0, skipped 3"]);
    attest(r#"{"a":2}"#).says(&["attested 3, skipped 0"]);
    let verify = ["verify-attestation", "--from-file", "list", "--type", "spdxjson", "-o", "text"];
    let verified = setup.program().args(verify).args(setup.by_workload()).run().ends(0);
    verified.says(&["verified 3, "]);
}

/// Without a terminal nothing else tells that a long run is alive.
#[test]
fn a_long_run_says_every_half_minute_how_far_it_is() {
    let setup = Setup::with_fault(Fault::SlowLog);
    catalogue(&setup, 16);
    let sign = ["sign", "--from-file", "list", "--jobs", "1"];
    let outcome = setup.workload().args(sign).run().ends(0);
    let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("/16 done; ")).collect();
    assert_eq!(lines.len(), 1, "{outcome:#?}");
    assert!(lines[0].contains("waiting for the log"), "{lines:?}");
}
