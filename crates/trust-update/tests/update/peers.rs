//! cosign as a peer, and the faults of the sandbox.

use sandbox::Service as _;
use trust_update::{Mirror, Updates};
use url::Url;

use crate::setup::block_on;
use crate::text;

#[test]
fn cosign_reads_the_repository_of_the_sandbox() {
    let cosign = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/usr/bin/cosign");
    if !std::path::Path::new(cosign).is_file() {
        eprintln!("skipped: no cosign in target/peers (cargo xtask peers gets it)");
        assert!(std::env::var_os("CI").is_none(), "CI has its peers");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let scratch = tempfile::tempdir().unwrap();
        let config = sandbox::Config::new(scratch.path().join("sandbox"));
        let running = sandbox::Sandbox::start(config).await.unwrap();
        let output = tokio::process::Command::new(cosign)
            .args(["initialize", "--mirror", running.tuf_url(), "--root"])
            .arg(running.tuf_root())
            .env("HOME", scratch.path())
            .env("TUF_ROOT", scratch.path().join("cosign"))
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        let directory = running.tuf_url().replace("http://", "").replace(':', "-");
        let targets = scratch.path().join("cosign").join(directory).join("targets");
        let cached = std::fs::read(targets.join("trusted_root.json")).unwrap();
        assert_eq!(cached, std::fs::read(running.trusted_root()).unwrap());
        running.stop().await;
    });
}

#[test]
fn each_fault_of_the_sandbox_is_told_by_its_name() {
    for (fault, words) in [
        (sandbox::Fault::TufExpired, "the timestamp metadata of http://localhost:5559/ expired at"),
        (
            sandbox::Fault::TufTampered,
            "cannot trust what http://localhost:5559/ serves: integrity check failed: trusted_root.json: sha256 mismatch",
        ),
        (
            sandbox::Fault::TufUnavailable,
            "cannot reach http://localhost:5559/: http://localhost:5559/2.root.json answered 503 Service Unavailable",
        ),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let mut config = sandbox::Config::new(scratch.path());
        config.faults.insert(fault);
        let sandbox = sandbox::Sandbox::in_process(&config).unwrap();
        let root = sandbox.tuf().first_root();
        let mirror = Mirror::new(Url::parse(sandbox.tuf_url()).unwrap(), &root).unwrap();
        let directories = trust_update::Directories::new(scratch.path(), scratch.path());
        let tuf = std::sync::Arc::clone(sandbox.tuf());
        let http: std::sync::Arc<dyn host::Transport> = std::sync::Arc::new(
            move |request: http::Request<bytes::Bytes>| Ok(tuf.handle(request)),
        );
        let updates = Updates::new(mirror, directories);
        let error = block_on(updates.current(&http, &*config.clock)).unwrap_err();
        assert!(text(&error).starts_with(words), "{}", text(&error));
    }
}
