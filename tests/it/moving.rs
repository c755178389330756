//! Images that are moved, and what is attached to them, through the program.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use harness::{HostileServer, Outcome, Program, RawRequest, Reply, Setup};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// `repository` in the sandbox's registry.
fn at(setup: &Setup, repository: &str) -> String {
    format!("{}/{repository}", setup.sandbox.registry())
}

fn signed(setup: &Setup) -> String {
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    image
}

fn verify(setup: &Setup, image: &str) -> Program {
    setup.program().args(["verify", image]).args(setup.by_workload())
}

#[test]
fn a_signature_goes_along_to_another_repository_and_through_a_directory() {
    let setup = Setup::new();
    let image = signed(&setup);
    let (copy, back) = (at(&setup, "copy/app:v2"), at(&setup, "back/app:v3"));
    let done = setup.program().args(["copy", &image, &copy]).run().ends(0);
    assert!(done.stdout.contains(&format!("copied {image} to {copy} (sha256:")), "{done:?}");
    assert!(done.stdout.ends_with("with 1 attached\n"), "{done:?}");
    let again = setup.program().args(["copy", &image, &copy]).run().ends(0);
    assert!(again.stdout.ends_with("; all of it was there\n"), "{again:?}");
    setup.program().args(["save", &copy, "--dir", "layout"]).run().ends(0);
    setup.program().args(["load", "--dir", "layout", &back]).run().ends(0);
    for image in [&copy, &back] {
        verify(&setup, image).run().ends(0);
    }
    verify(&setup, "layout").arg("--local-image").run().ends(0);
    let tree = setup.program().args(["tree", &back]).run().ends(0);
    assert!(tree.stdout.contains("\n  signature    sha256:"), "{tree:?}");
    let tree = setup.program().args(["tree", "-o", "json", &back]).run().ends(0).json();
    assert_eq!(tree[0]["parts"][0]["attached"][0]["kind"], "signature");
}

#[test]
fn a_policy_file_judges_a_directory_by_its_path_and_not_by_the_name_inside() {
    let setup = Setup::new();
    let image = signed(&setup);
    setup.program().args(["save", &image, "--dir", "layout"]).run().ends(0);
    let rule = |kind: &str, pattern: &str| {
        format!(
            "[[{kind}]]\npatterns = [\"{pattern}\"]\n[[{kind}.identities]]\n\
             identity = \"{}\"\nissuer = \"{}\"\n",
            setup.workload_id(),
            setup.sandbox.spiffe_issuer(),
        )
    };
    let verify = |policy: String| {
        setup.write("policy.toml", policy);
        let verify = ["verify", "--local-image", "--identity-policy", "policy.toml", "layout/"];
        setup.program().args(verify).run()
    };
    verify(rule("files", "layout")).ends(0);
    let by_name = verify(rule("images", "**") + &rule("files", "layouts")).ends(1);
    by_name.says(&["no rule", "layout", "layouts"]);
}

#[test]
fn what_cannot_be_moved_is_told_apart_by_the_exit_code() {
    let setup = Setup::new();
    let (image, other) = (signed(&setup), setup.image("demo/other"));
    let to = at(&setup, "copy/app:v1");
    let run = |arguments: &[&str]| setup.program().args(arguments).run();
    run(&["copy", &at(&setup, "demo/none:v1"), &to]).ends(11).says(&["was not copied"]);
    run(&["copy", &image, "not/an/Image"]).ends(2).says(&["wrong image reference"]);
    let occupied = run(&["copy", &image, &other]).ends(1);
    occupied.says(&["is another image: expected sha256:", "name another tag", "--force"]);
    let digest = format!("{}@{}", at(&setup, "copy/app"), setup.digest("demo/other"));
    run(&["copy", &image, &digest]).ends(2).says(&["the image has the digest"]);
    let platform = run(&["copy", "--platform", "plan9/386", &image, &to]).ends(11);
    platform.says(&["has no platform plan9/386", "linux/amd64"]);
    run(&["copy", "--only", "sig", &image, &to]).ends(11).says(&["does not exist"]);
    run(&["copy", "--only", "everything", &image, &to]).ends(2);

    run(&["load", "--dir", "nowhere", &to]).ends(1).says(&["it is not an OCI layout"]);
    std::fs::create_dir(setup.path("full")).unwrap();
    setup.write("full/notes.txt", "mine");
    run(&["save", &image, "--dir", "full"]).ends(1).says(&["neither empty nor an OCI layout"]);
    run(&["save", &image]).ends(2).says(&["--dir"]);
    verify(&setup, "nowhere").arg("--local-image").run().ends(1).says(&["not an OCI layout"]);

    let none = run(&["download", "attestation", &image]).ends(10);
    none.says(&["no attestation found", "ambisign tree"]);
    run(&["download", "signature", &at(&setup, "demo/none:v1")]).ends(11);
    run(&["tree", &at(&setup, "demo/none:v1")]).ends(11).says(&["could not be looked at"]);
    assert_eq!(run(&["tree", &to]).code, 11, "nothing was copied by any of these");
}

#[test]
fn a_bundle_that_was_kept_is_attached_later_and_only_to_its_image() {
    let setup = Setup::new();
    let (image, other) = (setup.image("demo/app"), setup.image("demo/other"));
    let sign = setup.workload().args(["sign", "--upload=false", "--bundle", "kept.json", &image]);
    sign.run().ends(0);
    verify(&setup, &image).run().ends(10);
    let attach = |bundle: &str, image: &str| setup.program().args(["attach", bundle, image]).run();
    attach("kept.json", &other).ends(1).says(&["was not attached", "it is about another image"]);
    attach("none.json", &image).ends(1).says(&["none.json does not exist"]);
    attach("signature", &image).says(&["ambisign attach BUNDLE... IMAGE"]);
    attach("kept.json", &image).ends(0);
    verify(&setup, &image).run().ends(0);
    let again = attach("kept.json", &image).ends(0);
    assert!(again.stdout.contains(" before"), "{again:?}");
    let found = setup.program().args(["download", "signature", &image]).run().ends(0);
    assert_eq!(
        found.stdout.trim_end(),
        std::fs::read_to_string(setup.path("kept.json")).unwrap().trim_end()
    );
    // What was downloaded is what is there.
    setup.write("downloaded.json", &found.stdout);
    let again = attach("downloaded.json", &image).ends(0);
    assert!(again.stdout.contains(" before"), "{again:?}");
}

#[test]
fn nothing_is_removed_unless_a_person_says_so_or_it_is_forced() {
    let setup = Setup::new();
    let image = signed(&setup);
    let clean = || setup.program().args(["clean", &image]);
    clean().run_with_stdin(b"y\n").ends(2).says(&["cannot ask before removing", "--force"]);
    let at_a_terminal = |answer: &str| {
        let mut child = clean().env("TERM", "xterm").at_a_terminal().spawn();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), answer.as_bytes()).unwrap();
        Outcome::new(child.wait_with_output().unwrap())
    };
    let declined = at_a_terminal("n\n").ends(1);
    assert!(declined.stdout.contains("nothing was removed"), "{declined:?}");
    assert!(declined.stdout.contains("[y/N]"), "{declined:?}");
    verify(&setup, &image).run().ends(0);
    at_a_terminal("y\n").ends(0);
    verify(&setup, &image).run().ends(10);
    setup.workload().args(["sign", &image]).run().ends(0);
    let removed = setup.program().args(["clean", "-f", "--type=signature", &image]).run().ends(0);
    assert!(removed.stdout.starts_with("removed signature sha256:"), "{removed:?}");
    verify(&setup, &image).run().ends(10);
}

/// A blob of 256 MiB passes through a process that has far less memory.
#[cfg(target_os = "linux")]
#[test]
fn layers_are_not_held_in_memory() {
    let setup = Setup::new();
    let registry = setup.sandbox.registry();
    let layer = vec![7; 256 << 20];
    let config = setup.put_blob(registry, "demo/large", b"{}");
    let blob = setup.put_blob(registry, "demo/large", &layer);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": blob, "size": layer.len(),
        }],
    });
    setup.put_manifest(registry, "demo/large", "v1", &manifest);
    let image = at(&setup, "demo/large:v1");
    let small = |arguments: &[&str]| setup.program().args(arguments).limited_to(200 << 20).run();
    small(&["save", &image, "--dir", "layout"]).ends(0);
    small(&["load", "--dir", "layout", &at(&setup, "large/copy:v1")]).ends(0);
}

#[cfg(unix)]
#[test]
fn a_copy_that_is_interrupted_leaves_the_tag_as_it_was() {
    let setup = Setup::new();
    let image = signed(&setup);
    // The upload of blobs never ends.
    let hangs = |request: &RawRequest| match request.method == "PUT" {
        true => Reply::Hang,
        false => Reply::Forward,
    };
    let registry = setup.hostile_registry(hangs);
    let to = format!("{}/copy/app:v1", registry.address());
    let child = setup.program().args(["copy", &image, &to]).spawn();
    std::thread::sleep(Duration::from_millis(1500));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    Outcome::new(child.wait_with_output().unwrap()).ends(130).says(&["interrupted"]);
    assert_eq!(setup.program().args(["tree", &at(&setup, "copy/app:v1")]).run().code, 11);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let setup = Setup::new();
    let image = signed(&setup);
    for arguments in [["tree", &image].as_slice(), &["download", "signature", &image]] {
        let mut child = setup.program().args(arguments).spawn();
        drop(child.stdout.take());
        Outcome::new(child.wait_with_output().unwrap()).ends(0);
    }
}

#[test]
fn what_download_prints_is_attached_to_the_image_elsewhere() {
    let setup = Setup::new();
    let image = signed(&setup);
    setup.job().args(["sign", &image]).run().ends(0);
    let lines = setup.program().args(["download", "signature", &image]).run().ends(0).stdout;
    assert_eq!(lines.lines().count(), 2);
    setup.write("all.jsonl", format!("{lines}{{}}\n"));
    let elsewhere = at(&setup, "elsewhere/app:v1");
    setup.program().args(["copy", &image, &elsewhere]).run().ends(0);
    setup.program().args(["clean", "--force", &elsewhere]).run().ends(0);
    let attach = setup.program().args(["attach", "all.jsonl", &elsewhere]).run().ends(1);
    let attach = attach.says(&["error: all.jsonl:3 was not attached", "not a Sigstore bundle"]);
    assert!(attach.stdout.contains("all.jsonl:2: attached to"), "{attach:#?}");
    verify(&setup, &elsewhere).run().ends(0);
    let by_job = setup.program().args(["verify", &elsewhere]).args(setup.by_job());
    by_job.run().ends(0);
}

#[test]
fn an_image_that_lacks_a_blob_is_not_one_that_does_not_exist() {
    let setup = Setup::new();
    setup.image("demo/app");
    let damaged = setup.hostile_registry(|request| match request.is("GET", "/blobs/") {
        true => Reply::refusal(404, "BLOB_UNKNOWN"),
        false => Reply::Forward,
    });
    let image = format!("{}/demo/app:v1", damaged.address());
    let to = format!("{}/copied/app:v1", setup.sandbox.registry());
    let reason = "a manifest names it, and GET http://127.0.0.1:";
    setup.program().args(["copy", &image, &to]).run().ends(1).says(&[reason]);
    setup.program().args(["save", &image, "--dir", "app"]).run().ends(1).says(&[reason]);
    setup.program().args(["save", &image.replace("v1", "v2"), "--dir", "app"]).run().ends(11);

    let part = format!("sha256:{}", "0".repeat(64));
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": part, "size": 5}]});
    let sparse = HostileServer::new(move |request| {
        let is_index = request.is("GET", "/manifests/") && !request.target.contains(":0000");
        match is_index {
            true => Reply::response(200, &[("content-type", INDEX)], index.to_string()),
            false => Reply::refusal(404, "MANIFEST_UNKNOWN"),
        }
    });
    let image = format!("{}/demo/app:v1", sparse.address());
    let copy = setup.program().args(["copy", &image, &to]).run().ends(1);
    copy.says(&["it lists the manifest sha256:000", "which is not there"]);
}
