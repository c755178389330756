//! What is left when there is no time, or no patience.

use std::process::Command;
use std::time::Duration;

use sandbox::Fault;

use harness::{HostileServer, Outcome, Reply, Setup};

#[test]
fn the_timeout_says_what_was_being_waited_for() {
    let setup = Setup::with_fault(Fault::SlowLog);
    let image = setup.image("demo/app");
    setup.workload().args(["sign", "-t", "2s", &image]).run().ends(1).says(&[
        "not done within 2s",
        "waiting for the log",
        &format!("not done:\n{image}"),
        "--timeout",
    ]);
}

#[test]
fn a_registry_that_is_slow_is_named_and_not_what_answered_before_it() {
    let setup = Setup::new();
    setup.image("demo/app");
    for (method, path, wait) in [
        ("GET", "/manifests/v1", "looking at the images in their registry"),
        ("PUT", "/blobs/", "storing the signature in the registry"),
        ("PUT", "/manifests/", "storing the signature in the registry"),
    ] {
        let slow = setup.hostile_registry(move |request| match request.is(method, path) {
            true => Reply::Hang,
            false => Reply::Forward,
        });
        let image = format!("{}/demo/app:v1", slow.address());
        let outcome = setup.workload().args(["sign", "-t", "1s", &image]).run().ends(1);
        outcome.says(&["not done within 1s", &format!("because: it was {wait}")]);
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_ends_as_the_signal_says_and_leaves_nothing_half_written() {
    let setup = Setup::with_fault(Fault::SlowLog);
    let file = setup.write("a", "content");
    for (signal, code, text) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let child = setup.workload().args(["sign-blob"]).arg(&file).spawn();
        std::thread::sleep(Duration::from_millis(1500));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let outcome = Outcome::new(child.wait_with_output().unwrap());
        outcome.ends(code).says(&[text, "waiting for the log"]);
        let left = std::fs::read_dir(setup.path("")).unwrap();
        assert_eq!(left.filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 1);
    }
}

/// Whatever it is doing: reading the registry, asking who it is, waiting for a service.
#[cfg(unix)]
#[test]
fn an_interruption_at_any_moment_leaves_nothing_half_written() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let old = "an old bundle";
    let bundle = setup.write("b.json", old);
    for pause in (0..24).map(|step| Duration::from_millis(step * 8)) {
        let child = setup.workload().args(["sign", &image, "--bundle"]).arg(&bundle).spawn();
        std::thread::sleep(pause);
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let code = child.wait_with_output().unwrap().status.code();
        // Before the handler is there, the signal itself ends the process.
        assert!([None, Some(130), Some(0)].contains(&code), "{code:?} after {pause:?}");
        let found = std::fs::read_to_string(&bundle).unwrap();
        let whole = serde_json::from_str::<serde_json::Value>(&found).is_ok();
        assert!(found == old || whole, "after {pause:?}: {found:?}");
        let files = std::fs::read_dir(setup.path("")).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.is_file() && *path != bundle) {
            // A signature that was logged and could not be attached any more is saved.
            assert!(file.to_string_lossy().ends_with(".sigstore.json"), "{file:?} after {pause:?}");
            let saved = std::fs::read_to_string(&file).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&saved).is_ok(), "{file:?}: {saved}");
            std::fs::remove_file(file).unwrap();
        }
    }
    // What was pushed by then is whole, or no reader can see it.
    let verify = setup.program().args(["verify", "-d", &image]).args(setup.by_workload()).run();
    assert!([0, 10].contains(&verify.code), "{verify:#?}");
}

#[cfg(unix)]
#[test]
fn an_endless_pipe_can_be_interrupted() {
    let setup = Setup::new();
    let mut child = setup.workload().args(["sign-blob", "-", "--bundle", "b.json"]).piped().spawn();
    let held_open = child.stdin.take();
    std::thread::sleep(Duration::from_millis(700));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    Outcome::new(child.wait_with_output().unwrap()).ends(130);
    drop(held_open);
}

/// An image in a registry that accepts connections and never answers.
fn silent_registry() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/silent/app:v1", listener.local_addr().unwrap());
    (listener, image)
}

#[test]
fn failures_before_the_deadline_are_reported_and_keep_their_exit_code() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let (_listener, silent) = silent_registry();
    let verify = setup.program().args(["verify", "-t", "2s", &image, &silent]);
    let outcome = verify.args(setup.by_job()).run().ends(12);
    outcome.says(&[&format!("error: {image}"), "error: not done within 2s", &silent]);
}

#[cfg(unix)]
#[test]
fn failures_before_a_signal_are_reported_and_keep_their_exit_code() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let (_listener, silent) = silent_registry();
    let verify = setup.program().args(["verify", &image, &silent]).args(setup.by_job());
    let child = verify.spawn();
    std::thread::sleep(Duration::from_millis(1500));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let outcome = Outcome::new(child.wait_with_output().unwrap()).ends(12);
    outcome.says(&[&format!("error: {image}"), "error: interrupted"]);
}

#[test]
fn an_image_that_could_not_be_looked_at_is_not_hidden_by_one_without_a_signature() {
    let setup = Setup::new();
    let unsigned = setup.image("demo/app");
    let gone = {
        let (_listener, image) = silent_registry();
        image
    };
    let verify = setup.program().args(["verify", &unsigned, &gone]);
    verify.args(setup.by_job()).run().ends(1).says(&[&unsigned, &gone]);
}

#[test]
fn the_deadline_holds_while_a_token_is_awaited_on_stdin() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let sign = setup.program().args(["sign-blob", "-t", "1s", "--identity-token", "-"]).arg(&file);
    let mut child = sign.piped().spawn();
    let held_open = child.stdin.take();
    let started = std::time::Instant::now();
    let outcome = Outcome::new(child.wait_with_output().unwrap()).ends(1);
    assert!(started.elapsed() < Duration::from_secs(10), "{outcome:#?}");
    outcome.says(&["not done within 1s", "the identity token"]);
    drop(held_open);
}

#[test]
fn the_time_that_stdin_takes_to_arrive_does_not_count() {
    let setup = Setup::new();
    let sign = ["sign-blob", "-t", "6s", "-", "--bundle", "b.json"];
    let mut child = setup.workload().args(sign).piped().spawn();
    std::thread::sleep(Duration::from_secs(7));
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"late").unwrap();
    drop(stdin);
    Outcome::new(child.wait_with_output().unwrap()).ends(0);
}

/// Each of several files waits for the service that is named with it.
#[test]
fn a_timeout_names_the_service_that_each_file_waits_for() {
    let setup = Setup::with_fault(Fault::SlowLog);
    let files: Vec<_> = (0..2).map(|n| setup.write(&format!("f{n}"), format!("{n}"))).collect();
    // The first request for a timestamp is never answered.
    let asked = std::sync::atomic::AtomicBool::new(false);
    let config = std::fs::read(setup.sandbox.signing_config(sandbox::RekorVersion::V1)).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let url = config["tsaUrls"][0]["url"].as_str().unwrap().trim_start_matches("http://");
    let (address, path) = url.split_once('/').unwrap();
    let tsa = HostileServer::before(address, move |_| {
        match asked.swap(true, std::sync::atomic::Ordering::SeqCst) {
            false => Reply::Hang,
            true => Reply::Forward,
        }
    });
    let url = format!("http://{}/{path}", tsa.address());
    let sign = setup.workload().args(["sign-blob", "-t", "4s", "--timestamp-server-url", &url]);
    let outcome = sign.args(&files).run().ends(1).says(&["not done within 4s", "not done:"]);
    let because = |text: &str| {
        let line = outcome.stderr.lines().find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("{text:?} is missing in {outcome:#?}")).to_owned()
    };
    let stamping = because("it was asking http");
    let logging = because("it was waiting for the log");
    let named: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .map(|file| (stamping.ends_with(&file), logging.ends_with(&file)))
        .collect();
    assert!(named == [(true, false), (false, true)] || named == [(false, true), (true, false)]);
}
