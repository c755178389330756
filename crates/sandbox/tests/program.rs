//! The program.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]
#![expect(clippy::disallowed_methods, reason = "the program is what is tested")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sigstore_sandbox::{Fault, PLATFORMS};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sigstore-sandbox"))
}

#[test]
fn help_and_readme_list_every_fault() {
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words: Vec<&str> = help.split_whitespace().collect();
    let readme = include_str!("../README.md");
    for fault in Fault::ALL {
        let line = format!("{fault}: {}", fault.description());
        assert!(words.join(" ").contains(&line), "{fault}: {help}");
        assert!(readme.contains(&format!("`{fault}`")), "{fault}");
    }
    for platform in PLATFORMS {
        assert!(readme.contains(&format!("`{platform}`")), "{platform}");
    }
    let refused = program().args(["--fault", "rain"]).output().unwrap();
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.contains("rain") && refused.contains("slow-log"), "{refused}");
}

#[test]
fn the_ready_file_says_where_everything_is_and_is_gone_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready.json");
    // Left behind by a run that was killed.
    std::fs::write(&ready, "{}").unwrap();
    let mut child = program()
        .args(["--port", "0", "--state"])
        .arg(directory.path().join("state"))
        .arg("--ready-file")
        .arg(&ready)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let told = loop {
        let told: Value = std::fs::read(&ready)
            .map(|content| serde_json::from_slice(&content).unwrap())
            .unwrap_or_default();
        if told["fulcio"].is_string() {
            break told;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "not ready");
        std::thread::sleep(Duration::from_millis(10));
    };
    for service in ["page", "oidc", "fulcio", "rekor_v1", "rekor_v2", "tsa", "tuf", "registry"] {
        let place = told[service].as_str().unwrap().trim_start_matches("http://");
        let place = place.trim_end_matches('/');
        std::net::TcpStream::connect(place).unwrap_or_else(|error| panic!("{service}: {error}"));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(!ready.exists());
}
