//! Inputs that are pipes, as shells make them for `<(command)`, and paths that name something else.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::{Program, Setup};

/// A FIFO that gets the content of the file `from` from one writer.
fn piped(setup: &Setup, from: &str) -> PathBuf {
    let path = setup.path(&format!("{from}.fifo"));
    _ = std::fs::remove_file(&path);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (from, to) = (setup.path(from), path.clone());
    std::thread::spawn(move || std::fs::write(to, std::fs::read(from).unwrap()));
    path
}

#[test]
fn every_input_that_is_read_once_may_be_a_pipe() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let file = setup.write("a", "content");
    setup.write("list", &image);
    setup.write("predicate", "{}");
    let pair = setup.program().args(["generate-key-pair", "--output-key-prefix", "k"]);
    pair.env("COSIGN_PASSWORD", "x").run().ends(0);
    let sign = setup.program().args(["sign-blob", "--tlog-upload=false", "--bundle", "k.json"]);
    let sign = sign.arg("--key").arg(piped(&setup, "k.key")).env("COSIGN_PASSWORD", "x");
    sign.arg(&file).run().ends(0);
    let verify = |key: PathBuf, bundle: PathBuf, file: PathBuf| {
        let verify = setup.program().args(["verify-blob", "--insecure-ignore-tlog", "--key"]);
        verify.arg(key).arg("--bundle").arg(bundle).arg(file).run().ends(0);
    };
    let [key, bundle] = ["k.pub", "k.json"].map(|name| setup.path(name));
    verify(piped(&setup, "k.pub"), bundle.clone(), file.clone());
    verify(key.clone(), piped(&setup, "k.json"), file.clone());
    verify(key, bundle, piped(&setup, "a"));

    let attest = setup.job().args(["attest", "--type", "custom", "--predicate"]);
    attest
        .arg(piped(&setup, "predicate"))
        .arg("--from-file")
        .arg(piped(&setup, "list"))
        .run()
        .ends(0);
    let inspect = setup.program().args(["inspect", "--bundle"]).arg(piped(&setup, "k.json"));
    inspect.run().ends(0);
}

#[test]
fn a_pipe_without_a_writer_meets_the_deadline_and_a_bundle_that_nobody_named_is_no_pipe() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    for name in ["alone", "a.sigstore.json"] {
        assert!(Command::new("mkfifo").arg(setup.path(name)).status().unwrap().success());
    }
    let verify = || {
        let verify = setup.program().arg("verify-blob").args(setup.by_job());
        verify.args(["-t", "1s"]).within(Duration::from_secs(20))
    };
    verify().arg("--bundle").arg(setup.path("alone")).arg(&file).run().ends(1).says(&["1s"]);
    verify().arg(&file).run().ends(1).says(&["is a FIFO, expected a regular file"]);
}

#[test]
fn a_path_in_place_of_an_image_is_answered_with_what_to_do() {
    let setup = Setup::new();
    for name in ["plain", "layout"] {
        std::fs::create_dir(setup.path(name)).unwrap();
    }
    setup.write("plain/a", "content");
    setup.write("layout/oci-layout", "{}");
    let tree = |what: &str| -> Program { setup.program().args(["tree", what]) };
    tree("./plain")
        .run()
        .ends(2)
        .says(&["./plain is a directory, not an image", "hint: name an image with its registry"]);
    tree("layout").run().ends(2).says(&[
        "layout is a directory, not an image",
        "`ambisign verify --local-image layout`",
        "`ambisign load --dir layout IMAGE`",
    ]);
    tree("./plain/a").run().ends(2).says(&["./plain/a is a file, not an image", "sign-blob"]);
}

#[test]
fn a_duration_that_is_wrong_is_answered_with_one_that_is_right() {
    let setup = Setup::new();
    for flag in ["--retry-for", "--timeout"] {
        for wrong in ["-1s", "-5", "5", "1x", "--yes", ""] {
            let verify = setup.program().args(["verify", flag, wrong, "registry.example/app"]);
            let said = format!("invalid value '{wrong}' for '{flag} <DURATION>'");
            verify.run().ends(2).says(&[&said, "expected a duration such as 90s or 3m"]);
        }
    }
}
