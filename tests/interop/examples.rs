//! The example projects whose test suites need nothing but the sandbox's program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Peers, Program, peer, sandbox_program, target, workspace};

/// A cold Go compiles a few hundred packages.
const PATIENCE: Duration = Duration::from_secs(900);

fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

/// A suite with an empty home, no identity, and no network beyond this machine.
fn suite(program: &Path, home: &Path) -> Program {
    let suite = Program::at(program, home).within(PATIENCE);
    let suite = suite.env("PATH", "/usr/bin:/bin").env("SIGSTORE_SANDBOX", sandbox_program());
    ["HTTP_PROXY", "HTTPS_PROXY"].into_iter().fold(suite, |suite, name| {
        suite.env(name, "http://127.0.0.1:9").env("NO_PROXY", "localhost,127.0.0.1")
    })
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn the_first_lines_of_the_sandboxs_readme_run_as_they_stand() {
    Peers::find();
    let readme = std::fs::read_to_string(workspace().join("crates/sandbox/README.md")).unwrap();
    let lines = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(lines.contains("cosign verify "), "{lines}");
    let home = tempfile::tempdir().unwrap();
    let programs = sandbox_program();
    let peers = target().join("peers/usr/bin");
    let path =
        format!("{}:{}:/usr/bin:/bin", programs.parent().unwrap().display(), peers.display());
    // Where a line fails, the sandbox ends all the same.
    let script = format!("trap 'kill $! 2> /dev/null || true' EXIT\n{lines}");
    let shell = Program::at(Path::new("/bin/bash"), home.path()).env("PATH", path);
    let shell = shell.within(Duration::from_secs(120)).args(["-e", "-c"]).arg(script);
    shell.run().succeeds().says(&["The cosign claims were validated"]);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn the_suite_of_the_go_example_passes() {
    let go = target().join("peers/go");
    let program = std::fs::read_to_string(peer(&go.join("program"))).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut suite = suite(Path::new(program.trim()), home.path());
    for (name, value) in [
        ("GOMODCACHE", go.join("modules").display().to_string()),
        ("GOCACHE", go.join("cache").display().to_string()),
        ("GOPROXY", "off".to_owned()),
        ("GOFLAGS", "-mod=readonly -buildvcs=false".to_owned()),
        ("GOTOOLCHAIN", "local".to_owned()),
        ("CGO_ENABLED", "0".to_owned()),
    ] {
        suite = suite.env(name, value);
    }
    let outcome =
        suite.arg("test").arg("-C").arg(example("go")).args(["-count=1", "./..."]).run().succeeds();
    assert!(outcome.stdout.starts_with("ok"), "{outcome:#?}");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn the_suite_of_the_python_example_passes() {
    let peers = Peers::find();
    let home = tempfile::tempdir().unwrap();
    let test = example("python").join("test_signing.py");
    let suite = suite(peers.python(), home.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    suite.arg(test).run().succeeds().says(&["Ran 2 tests", "OK"]);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn the_suite_of_the_javascript_example_passes() {
    let peers = Peers::find();
    // Its modules lie beside it, as `npm ci` leaves them.
    let project = target().join("peers/example-javascript");
    peer(&project.join("node_modules/@sigstore/sign"));
    let test = "signing.test.js";
    let wanted = std::fs::read(example("javascript").join(test)).unwrap();
    std::fs::write(project.join(test), wanted).unwrap();
    let home = tempfile::tempdir().unwrap();
    let suite = suite(peers.node(), home.path());
    let outcome = suite.arg("--test").arg(project.join(test)).run().succeeds();
    assert!(outcome.stdout.contains("pass 2"), "{outcome:#?}");
}
