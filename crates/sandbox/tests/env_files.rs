//! The files to source, one for each platform.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]
#![expect(clippy::disallowed_methods, reason = "a shell is what reads them")]

use std::collections::BTreeMap;
use std::process::Command;

use sigstore_sandbox::{Config, PLATFORMS, Running, Sandbox};
use tempfile::TempDir;

async fn sandbox() -> (TempDir, Running) {
    let directory = tempfile::tempdir().unwrap();
    let running = Sandbox::start(Config::new(directory.path())).await.unwrap();
    (directory, running)
}

/// The variables of a shell that was started with `before` and read these files in turn.
fn sourced(running: &Running, files: &[&str], before: &[(&str, &str)]) -> BTreeMap<String, String> {
    let lines =
        files.iter().map(|file| format!(". '{}'\n", running.directory().join(file).display()));
    let script = format!("set -eu\n{}env -0", lines.collect::<String>());
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(before.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{files:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    let ours = pairs.filter(|(name, _)| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn there_is_a_file_for_every_platform_and_it_sets_what_the_platform_has() {
    let (_directory, running) = sandbox().await;
    for name in PLATFORMS {
        let platform = running.platform(name).unwrap();
        let variables = sourced(&running, &[&format!("env.{name}")], &[]);
        for (variable, value) in &platform.env {
            let found = &variables[variable];
            match variable.as_str() {
                // A directory before those that were there.
                "PATH" => assert_eq!(found, value),
                // Made anew each time.
                _ if value.starts_with("eyJ") => assert!(found.starts_with("eyJ"), "{variable}"),
                _ => assert_eq!(found, value, "{name}: {variable}"),
            }
        }
        assert_eq!(variables["SANDBOX_ISSUER"], platform.issuer);
        assert_eq!(variables.contains_key("SANDBOX_IDENTITY"), platform.trusted, "{name}");
    }
    let default = sourced(&running, &["env"], &[]);
    assert_eq!(default, sourced(&running, &["env.github"], &[]));
    assert_eq!(default["SANDBOX_IDENTITY"], running.github_identity());
}

#[tokio::test]
async fn a_file_takes_back_what_any_other_set() {
    let (_directory, running) = sandbox().await;
    for name in ["gitlab", "spiffe", "circleci", "kubernetes"] {
        let file = format!("env.{name}");
        let alone = sourced(&running, &[&file], &[]);
        for other in PLATFORMS {
            let both = sourced(&running, &[&format!("env.{other}"), &file], &[]);
            assert_eq!(both, alone, "{other}, then {name}");
        }
    }
}

#[tokio::test]
async fn no_file_shows_the_identity_of_the_machine_that_the_tests_run_on() {
    let (_directory, running) = sandbox().await;
    let machine =
        [("SIGSTORE_ID_TOKEN", "real"), ("CIRCLECI", "true"), ("PATH", "/opt/bin:/bin:/usr/bin")];
    let variables = sourced(&running, &["env.spiffe"], &machine);
    assert!(!variables.contains_key("SIGSTORE_ID_TOKEN") && !variables.contains_key("CIRCLECI"));
    assert_eq!(variables["PATH"], "/opt/bin:/bin:/usr/bin");
}
