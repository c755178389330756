//! Mistakes and failures when an image is signed.

use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Reply, Setup};
use sandbox::Fault;

use super::{Answer, Shared};

pub(super) const NO_DIGEST: &str =
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn with_fault(fault: Fault, args: &[&str]) -> Answer {
    let setup = Setup::with_fault(fault);
    let image = setup.image("demo/app");
    Answer::of(&setup.job().arg("sign").args(args).arg(&image).run(), &setup)
}

pub(super) fn fulcio_fails(_: &Shared) -> Answer {
    let setup = Setup::with_fault(Fault::FulcioError);
    let image = setup.image("demo/app");
    let sign = setup.job().env("AMBISIGN_RETRY_FOR", "1ms").args(["sign", &image]);
    Answer::of(&sign.run(), &setup)
}

pub(super) fn missing_digest(shared: &Shared) -> Answer {
    shared.sign(&[&shared.unsigned.replace(":v1", &format!("@{NO_DIGEST}"))])
}

/// A registry that answers 429 once.
pub(super) fn throttled(command: &str) -> Answer {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    if command == "verify" {
        setup.job().args(["sign", &image]).run().ends(0);
    }
    let first = AtomicBool::new(true);
    let registry = setup.hostile_registry(move |request| {
        let throttled =
            request.target.contains("/manifests/") && first.swap(false, Ordering::Relaxed);
        match throttled {
            true => Reply::response(429, &[("retry-after", "1")], "slow down"),
            false => Reply::Forward,
        }
    });
    let image = image.replace(setup.sandbox.registry(), registry.address());
    let program = setup.job().arg(command).arg(&image);
    let program = if command == "verify" { program.args(setup.by_job()) } else { program };
    answer_of(&program.run(), &setup, registry.address())
}

/// With the name of the registry in front for its own.
fn answer_of(outcome: &harness::Outcome, setup: &Setup, registry: &str) -> Answer {
    let answer = Answer::of(outcome, setup);
    let (host, _) = registry.split_once(':').unwrap();
    Answer { text: answer.text.replace(&format!("{host}:N"), "registry.example"), ..answer }
}

pub(super) fn unauthorized() -> Answer {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let registry = setup.hostile_registry(|_| Reply::refusal(401, "UNAUTHORIZED"));
    let image = image.replace(setup.sandbox.registry(), registry.address());
    answer_of(&setup.job().args(["sign", &image]).run(), &setup, registry.address())
}

pub(super) fn denied() -> Answer {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let registry = setup.hostile_registry(|request| match request.method.as_str() {
        "GET" | "HEAD" => Reply::Forward,
        _ => Reply::refusal(403, "DENIED"),
    });
    let image = image.replace(setup.sandbox.registry(), registry.address());
    answer_of(&setup.job().args(["sign", &image]).run(), &setup, registry.address())
}

/// Signed for an instance that does not log its certificates, and verified for one that does.
pub(super) fn without_sct() -> Answer {
    let setup = Setup::with_fault(Fault::CertificatesUnlogged);
    let image = setup.image("demo/app");
    let root = std::fs::read(setup.sandbox.trusted_root()).unwrap();
    let mut root: serde_json::Value = serde_json::from_slice(&root).unwrap();
    root["ctlogs"] = serde_json::json!([]);
    let private = setup.write("private.json", root.to_string());
    setup.job().args(["sign", "--trusted-root"]).arg(private).arg(&image).run().ends(0);
    let verify = setup.program().args(["verify", &image]).args(setup.by_job()).run();
    Answer::of(&verify, &setup)
}

pub(super) fn with_a_log(shared: &Shared) -> Answer {
    let url = shared.setup.sandbox.endpoints().rekor_v1.clone();
    shared.sign(&["--rekor-url", &url, &shared.setup.image("demo/logged")])
}

pub(super) fn missing_helper(shared: &Shared) -> Answer {
    let docker = shared.setup.path("docker-with-helper");
    std::fs::create_dir(&docker).unwrap();
    std::fs::write(docker.join("config.json"), r#"{"credsStore":"fake"}"#).unwrap();
    let image = shared.setup.image("demo/helper");
    let registry = shared.setup.hostile_registry(|_| {
        Reply::response(401, &[("www-authenticate", "Basic realm=\"registry\"")], "")
    });
    let image = image.replace(shared.setup.sandbox.registry(), registry.address());
    let sign = shared.setup.job().env("DOCKER_CONFIG", docker.to_str().unwrap());
    answer_of(&sign.args(["sign", &image]).run(), &shared.setup, registry.address())
}

/// A key pair in a directory of its own: the names of both files.
pub(super) fn key_pair(shared: &Shared, name: &str) -> [String; 2] {
    let prefix = shared.setup.path(name).display().to_string();
    let program = shared.setup.program().env("COSIGN_PASSWORD", "right");
    program.args(["generate-key-pair", "--output-key-prefix", &prefix]).run().ends(0);
    ["key", "pub"].map(|kind| format!("{prefix}.{kind}"))
}

pub(super) fn wrong_password(shared: &Shared) -> Answer {
    let [key, _] = key_pair(shared, "password");
    let sign = shared.setup.program().env("COSIGN_PASSWORD", "wrong");
    shared.answer(sign.args(["sign", "--key", &key, &shared.unsigned]))
}

pub(super) fn too_little_time(_: &Shared) -> Answer {
    with_fault(Fault::SlowLog, &["-t", "6s"])
}
