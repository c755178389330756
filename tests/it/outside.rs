//! A project that is none of ours takes the crates one by one.

use std::path::Path;
use std::process::{Command, Output};

use harness::Setup;

/// What it signs with; the README shows it, too.
const MAIN: &str = include_str!("../fixtures/outside/main.rs");

/// The crates it names, by directory, and the packages they are.
const CRATES: [(&str, &str); 8] = [
    ("fulcio-client", "fulcio-client"),
    ("host", "ambisign-host"),
    ("http-client", "ambisign-http-client"),
    ("id-token", "id-token"),
    ("keys", "ambisign-keys"),
    ("oidc-ambient", "oidc-ambient"),
    ("signer", "ambisign-signer"),
    ("trust-root", "trust-root"),
];

#[test]
fn a_project_outside_the_workspace_signs_a_file_in_under_forty_lines() {
    assert!(MAIN.lines().count() < 40);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let project = tempfile::tempdir().unwrap();
    std::fs::create_dir(project.path().join("src")).unwrap();
    std::fs::write(project.path().join("src/main.rs"), MAIN).unwrap();
    std::fs::write(project.path().join("Cargo.toml"), manifest(&workspace)).unwrap();
    // The versions that were fetched for us are those that it finds without a network.
    std::fs::copy(workspace.join("Cargo.lock"), project.path().join("Cargo.lock")).unwrap();
    cargo(project.path(), &["build"]);

    let setup = Setup::new();
    let file = setup.write("artifact.txt", "signed from outside\n");
    let bundle = setup.path("artifact.txt.sigstore.json");
    let signed = Command::new(target().join("debug/outside"))
        .arg(&file)
        .arg(&bundle)
        .arg(setup.sandbox.signing_config(sandbox::RekorVersion::V2))
        .arg(setup.sandbox.trusted_root())
        .env_clear()
        .envs(setup.sandbox.github_env())
        .output()
        .unwrap();
    assert!(signed.status.success(), "{signed:#?}");
    assert_eq!(text(&signed), format!("{}\n", setup.sandbox.github_identity()));
    setup.program().arg("verify-blob").arg(&file).args(setup.by_job()).run().ends(0);

    // Its name is the same each time and its place is not: what it left would pile up.
    cargo(project.path(), &["clean", "--package", "outside"]);
}

fn manifest(workspace: &Path) -> String {
    let mut manifest = "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                        [profile.dev]\ndebug = false\nincremental = false\n\n\
                        [dependencies]\n\
                        tokio = { version = \"1\", features = [\"macros\", \"rt\"] }\n"
        .to_owned();
    for (directory, package) in CRATES {
        let path = workspace.join("crates").join(directory);
        manifest += &format!("{directory} = {{ package = \"{package}\", path = {path:?} }}\n");
    }
    manifest
}

/// Kept between runs; the dependencies take a minute.
fn target() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outside")
}

fn cargo(project: &Path, arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--offline", "--quiet"])
        .current_dir(project)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
