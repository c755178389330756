//! The trusted root: what TUF keeps, and files made by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use keys::PublicKey;
use sandbox::{Fault, RekorVersion};
use serde_json::{Value, json};
use trust_root::TrustedRoot;

use harness::{Program, Setup};

/// The program in a home where nothing is set up.
fn bare(setup: &Setup) -> Program {
    Program::new(&setup.path(""))
}

fn initialize(setup: &Setup) -> Program {
    let program = bare(setup).args(["initialize", "--mirror", setup.sandbox.tuf_url(), "--root"]);
    program.arg(setup.sandbox.tuf_root())
}

fn workload(setup: &Setup) -> Program {
    let socket = format!("unix://{}", setup.sandbox.spiffe_socket().display());
    bare(setup).env("SPIFFE_ENDPOINT_SOCKET", socket)
}

/// The directory of the mirror at `url`, in the cache of the home.
fn cache(setup: &Setup, url: &str) -> PathBuf {
    let name = url.trim_end_matches('/').replace(':', "%3A").replace('/', "%2F");
    setup.path(".cache/ambisign/tuf").join(name)
}

/// A copy of the repository in a directory, and its URL.
fn mirror(setup: &Setup) -> (PathBuf, String) {
    let directory = setup.path("mirror");
    setup.sandbox.sandbox().tuf().edit(|repository| {
        for path in repository.paths() {
            let file = directory.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, repository.file(path).unwrap()).unwrap();
        }
    });
    let url = format!("file://{}", directory.display());
    (directory, url)
}

#[test]
fn after_initializing_everything_works_without_a_flag() {
    let setup = Setup::new();
    let done = initialize(&setup).run().ends(0);
    assert!(done.stdout.starts_with("trusting http://localhost:"), "{done:?}");
    assert!(done.stdout.contains("root 1, valid until"), "{done:?}");
    let file = setup.write("release.tar", "content");
    workload(&setup).args(["sign-blob"]).arg(&file).run().ends(0);
    let verify = bare(&setup).args(["verify-blob"]).arg(&file).args(setup.by_workload());
    verify.run().ends(0);
    let image = setup.image("demo/app");
    workload(&setup).args(["sign", &image]).run().ends(0);
    bare(&setup).args(["verify", &image]).args(setup.by_workload()).run().ends(0);
    // The public Sigstore is another instance.
    let other = bare(&setup).env("TUF_ROOT", setup.path("other"));
    let verify = other.args(["verify-blob"]).arg(&file).args(setup.by_workload());
    verify.run().ends(12);
}

#[test]
fn the_status_is_printed_in_the_shape_that_scripts_for_cosign_read() {
    let setup = Setup::new();
    let status = initialize(&setup).args(["--output", "json"]).run().ends(0).json().remove(0);
    assert_eq!(status["remote"], json!(format!("{}/", setup.sandbox.tuf_url())));
    assert_eq!(status["metadata"]["root.json"]["version"], 1);
    assert_eq!(status["metadata"]["timestamp.json"]["error"], "");
    let targets = json!([
        "trusted_root.json",
        "signing_config.v0.2.json",
        "signing_config_rekor_v2.v0.2.json"
    ]);
    assert_eq!(status["targets"], targets);
}

#[test]
fn a_mirror_that_is_gone_is_a_warning_and_offline_nothing_at_all() {
    let setup = Setup::new();
    let (directory, url) = mirror(&setup);
    let root = setup.sandbox.tuf_root();
    bare(&setup).args(["initialize", "--mirror", &url, "--root"]).arg(&root).run().ends(0);
    let file = setup.write("release.tar", "content");
    workload(&setup).args(["sign-blob"]).arg(&file).run().ends(0);
    std::fs::remove_dir_all(directory).unwrap();
    let verify = || bare(&setup).args(["verify-blob"]).arg(&file).args(setup.by_workload());
    // Fresh: the mirror is not asked.
    verify().run().ends(0).hides("warning");
    // Older than a day, by its own word.
    std::fs::write(cache(&setup, &url).join("refreshed"), "1").unwrap();
    let texts = ["cannot refresh the trusted root", "the one of 1970-01-01", "cannot reach"];
    verify().run().ends(0).says(&texts);
    verify().arg("--offline").run().ends(0).hides("warning");
    // What is cached is not believed for being there.
    let cached = cache(&setup, &url).join("targets/trusted_root.json");
    let text = std::fs::read_to_string(&cached).unwrap();
    std::fs::write(&cached, text.replace("sandbox root", "another root")).unwrap();
    verify().arg("--offline").run().ends(1).says(&["cannot use the TUF cache", "hint"]);
    verify().run().ends(1).says(&["cannot reach", "--trusted-root FILE"]);
    // And a file given outright needs none of it.
    let given = verify().arg("--trusted-root").arg(setup.sandbox.trusted_root());
    given.run().ends(0).hides("warning");
}

/// Whoever may write there decides what is trusted.
#[cfg(unix)]
#[test]
fn a_configuration_that_every_user_may_write_to_is_ignored_with_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;

    let setup = Setup::new();
    let config = setup.path(".config/ambisign/tuf");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("mirror.json"), r#"{"mirror":"https://tuf.invalid"}"#).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o777)).unwrap();
    let file = setup.write("release.tar", "content");
    workload(&setup).envs(setup.sandbox.trust_env()).args(["sign-blob"]).arg(&file).run().ends(0);
    let verify = bare(&setup).args(["verify-blob"]).arg(&file).args(setup.by_workload());
    // The embedded root knows nothing of the sandbox; the mirror that was planted is not asked.
    let texts = ["cannot read", ".config/ambisign/tuf", "every user may write to it"];
    verify.run().ends(12).says(&texts).hides("tuf.invalid");
}

#[test]
fn a_mirror_named_by_the_environment_needs_a_root_that_was_given_once() {
    let setup = Setup::new();
    let file = setup.write("release.tar", "content");
    workload(&setup).envs(setup.sandbox.trust_env()).args(["sign-blob"]).arg(&file).run().ends(0);
    let verify = || {
        let program = bare(&setup).env("TUF_MIRROR", setup.sandbox.tuf_url());
        program.args(["verify-blob"]).arg(&file).args(setup.by_workload())
    };
    verify()
        .run()
        .ends(1)
        .says(&["no TUF root of", "ambisign initialize --mirror http://localhost:"]);
    verify().env("TUF_ROOT_JSON", setup.sandbox.tuf_root()).run().ends(0);
    verify().env("TUF_ROOT_JSON", "nowhere.json").run().ends(1).says(&["TUF_ROOT_JSON"]);
    initialize(&setup).run().ends(0);
    verify().run().ends(0);
}

#[test]
fn a_root_is_taken_only_with_the_checksum_it_should_have() {
    let setup = Setup::new();
    let url = format!("{}/1.root.json", setup.sandbox.tuf_url());
    let from = |root: &str| {
        bare(&setup).args(["initialize", "--mirror", setup.sandbox.tuf_url(), "--root", root])
    };
    from(&url).run().ends(2).says(&["needs a checksum"]);
    let zeros = "0".repeat(64);
    from(&url).args(["--root-checksum", &zeros]).run().ends(2).says(&["expected the sha256 0000"]);
    let root = std::fs::read(setup.sandbox.tuf_root()).unwrap();
    let right = keys::Digest::sha256(&root).to_hex();
    from(&url).args(["--root-checksum", &right]).run().ends(0);
    from("nowhere.json").run().ends(2).says(&["nowhere.json does not exist"]);
    bare(&setup).args(["initialize", "--staging", "--mirror", &url]).run().ends(2);
    // The root of another instance.
    let other = Setup::new();
    from(other.sandbox.tuf_root().to_str().unwrap())
        .run()
        .ends(1)
        .says(&["cannot trust what", "threshold not met for role timestamp: 0/1 valid signatures"]);
    // The last success is what counts.
    assert!(cache(&setup, setup.sandbox.tuf_url()).join("targets/trusted_root.json").is_file());
}

#[test]
fn each_fault_of_the_repository_is_told_from_the_others() {
    for (fault, texts) in [
        (Fault::TufExpired, ["the timestamp metadata of", "expired at", "clock"]),
        (Fault::TufTampered, ["cannot trust what", "sha256 mismatch", "attack"]),
        (Fault::TufUnavailable, ["cannot reach", "503 Service Unavailable", "HTTPS_PROXY"]),
    ] {
        let setup = Setup::with_fault(fault);
        initialize(&setup).run().ends(1).says(&texts);
        assert!(!setup.path(".config/ambisign/tuf/mirror.json").exists());
    }
}

#[test]
fn offline_a_file_needs_no_socket_and_an_image_none_but_the_registrys() {
    let Ok(_) = Command::new("strace").arg("-V").output() else {
        return harness::skip("there is no strace");
    };
    let setup = Setup::new();
    initialize(&setup).run().ends(0);
    let file = setup.write("release.tar", "content");
    workload(&setup).args(["sign-blob"]).arg(&file).run().ends(0);
    let image = setup.image("demo/app");
    workload(&setup).args(["sign", &image]).run().ends(0);
    std::fs::write(cache(&setup, setup.sandbox.tuf_url()).join("refreshed"), "1").unwrap();

    let trace = |args: &[&str]| -> Vec<String> {
        let trace = setup.path("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=network", "-o"]).arg(&trace);
        command.arg(harness::ambisign()).args(args).args(setup.by_workload());
        let output = command.env_clear().env("HOME", setup.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let calls = std::fs::read_to_string(&trace).unwrap();
        let ends = |line: &&str| !line.contains("+++ exited with");
        calls.lines().filter(ends).map(str::to_owned).collect()
    };
    let calls = trace(&["verify-blob", "--offline", file.to_str().unwrap()]);
    assert!(calls.is_empty(), "{calls:#?}");
    let calls = trace(&["verify", "--offline", &image]);
    let port = setup.sandbox.registry().rsplit(':').next().unwrap();
    let mut connections = calls.iter().filter(|call| call.contains("connect(")).peekable();
    assert!(connections.peek().is_some());
    let registry = format!("sin_port=htons({port})");
    assert!(connections.all(|call| call.contains(&registry)), "{calls:#?}");
    // Which is not how it is without the flag.
    let calls = trace(&["verify-blob", file.to_str().unwrap()]);
    assert!(calls.iter().any(|call| call.contains("connect(")), "{calls:#?}");
}

/// The certificates and keys of the sandbox as files for the flags.
fn material(setup: &Setup) -> (PathBuf, PathBuf, PathBuf, PathBuf, PathBuf) {
    let root = std::fs::read(setup.sandbox.trusted_root()).unwrap();
    let root = TrustedRoot::from_json(&root).unwrap();
    let chain = |chain: &[x509::Certificate]| -> String {
        chain.iter().map(x509::Certificate::to_pem).collect()
    };
    let pem = |key: &PublicKey| key.to_pem();
    (
        setup.write("fulcio.pem", chain(&root.certificate_authorities()[0].chain)),
        setup.write("tsa.pem", chain(&root.timestamp_authorities()[0].chain)),
        setup.write("rekor.pem", pem(root.tlogs()[0].key())),
        setup.write("rekor2.pem", pem(root.tlogs()[1].key())),
        setup.write("ct.pem", pem(root.ctlogs()[0].key())),
    )
}

fn trusted_root_flags(setup: &Setup) -> Vec<String> {
    let (fulcio, tsa, rekor, rekor2, ct) = material(setup);
    let shown = |path: &Path| path.display().to_string();
    let services = setup.sandbox.endpoints();
    let start = "start-time=2020-01-01T00:00:00Z";
    vec![
        format!("--fulcio=url={},certificate-chain={}", services.fulcio, shown(&fulcio)),
        format!("--tsa=url={},certificate-chain={},{start}", services.tsa, shown(&tsa)),
        format!("--rekor=url={},public-key={},{start}", services.rekor_v1, shown(&rekor)),
        format!(
            "--rekor=url={},public-key={},{start},end-time=2099-12-31T00:00:00Z,origin=localhost",
            services.rekor_v2,
            shown(&rekor2)
        ),
        format!("--ctfe=url={}/ct,public-key={},{start}", services.fulcio, shown(&ct)),
    ]
}

#[test]
fn a_trusted_root_and_a_signing_config_made_of_flags_sign_and_verify() {
    let setup = Setup::new();
    let create = bare(&setup).args(["trusted-root", "create"]).args(trusted_root_flags(&setup));
    create.args(["--out", "root.json"]).run().ends(0).hides("warning");
    let flags = trusted_root_flags(&setup);
    let flags = flags.iter().map(|flag| flag.trim_end_matches(",origin=localhost"));
    let create = bare(&setup).args(["trusted-root", "create", "--out", "other.json"]).args(flags);
    create.run().ends(0).says(&["warning", "add origin=localhost"]);
    let services = setup.sandbox.endpoints();
    let service = |url: &str, version| {
        format!("url={url},api-version={version},start-time=2020-01-01T00:00:00Z,operator=me")
    };
    let create = bare(&setup).args(["signing-config", "create", "--out", "config.json"]);
    let create = create.arg("--fulcio").arg(service(&services.fulcio, 1));
    let create = create.arg("--rekor").arg(service(&services.rekor_v2, 2));
    let create = create.arg("--rekor-config=ANY").arg("--tsa-config").arg("EXACT:1").arg("--tsa");
    let tsa = service(&format!("{}/api/v1/timestamp", services.tsa), 1);
    create.arg(tsa).run().ends(0);
    let file = setup.write("release.tar", "content");
    let sign = workload(&setup).args(["sign-blob", "--trusted-root", "root.json"]);
    sign.args(["--signing-config", "config.json"]).arg(&file).run().ends(0);
    let verify = bare(&setup).args(["verify-blob", "--trusted-root", "root.json"]).arg(&file);
    verify.args(setup.by_workload()).run().ends(0);
}

#[test]
fn what_is_at_hand_can_be_added_to_and_left_out() {
    let setup = Setup::new();
    let create = |args: &[&str]| -> Value {
        let program = bare(&setup).args(args.iter().copied());
        program.run().ends(0).json().remove(0)
    };
    let of = |document: &Value, list: &str, field: &str| -> Vec<String> {
        let items = document[list].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    // Before TUF was ever asked that is what is embedded.
    let config = create(&["signing-config", "create", "--with-default-services"]);
    assert_eq!(of(&config, "rekorTlogUrls", "url"), ["https://rekor.sigstore.dev"]);
    let config = create(&["signing-config", "create", "--with-default-rekor-v2"]);
    let newest = &of(&config, "rekorTlogUrls", "url")[0];
    assert_eq!(newest, "https://log2025-1.rekor.sigstore.dev");
    let root = create(&["trusted-root", "create", "--with-default-services", "--no-default-tsa"]);
    assert_eq!(of(&root, "timestampAuthorities", "uri"), [""; 0]);
    assert_eq!(of(&root, "tlogs", "baseUrl").len(), 2);

    initialize(&setup).run().ends(0);
    let services = setup.sandbox.endpoints();
    let added =
        "--rekor=url=https://r.example,api-version=1,start-time=2020-01-01T00:00:00Z,operator=me";
    let defaults = ["signing-config", "create", "--with-default-services"];
    let config =
        create(&[&defaults[..], &[added, "--rekor-config=ALL", "--no-default-oidc"]].concat());
    let expected = [services.rekor_v1.as_str(), "https://r.example"];
    assert_eq!(of(&config, "rekorTlogUrls", "url"), expected);
    assert_eq!(config["rekorTlogConfig"], json!({ "selector": "ALL" }));
    assert_eq!(config["tsaConfig"], json!({ "selector": "ANY" }));
    assert_eq!(config["oidcUrls"], json!([]));
    let config = create(&["signing-config", "create", "--with-default-rekor-v2"]);
    assert_eq!(of(&config, "rekorTlogUrls", "url"), [services.rekor_v2.as_str()]);
    let base = setup.sandbox.signing_config(RekorVersion::V2);
    let config = create(&["signing-config", "create", "--base-config", base.to_str().unwrap()]);
    assert_eq!(of(&config, "rekorTlogUrls", "url"), [services.rekor_v2.as_str()]);
    // A log given anew takes the place of the one with its key.
    let (_, _, rekor, _, _) = material(&setup);
    let log = format!(
        "--rekor=url=https://moved.example,public-key={},start-time=2020-01-01T00:00:00Z",
        rekor.display()
    );
    let root = create(&["trusted-root", "create", "--with-default-services", &log]);
    assert_eq!(
        of(&root, "tlogs", "baseUrl"),
        [services.rekor_v2.as_str(), "https://moved.example"]
    );
}

#[test]
fn a_description_that_cannot_be_used_is_wrong_usage() {
    let setup = Setup::new();
    let (fulcio, _, rekor, rekor2, _) = material(&setup);
    let start = "start-time=2020-01-01T00:00:00Z";
    let (fulcio, rekor, rekor2) = (fulcio.display(), rekor.display(), rekor2.display());
    for (flag, text) in [
        (format!("--rekor=url=https://r.example,public-key={rekor}"), "start-time is missing"),
        (
            format!("--rekor=url=https://r.example,public-key={fulcio},{start}"),
            "for '--rekor <SPEC>': public-key: not a usable public key",
        ),
        (format!("--fulcio=url=https://f.example,certificate-chain={rekor}"), "--fulcio"),
        (
            format!("--rekor=url=https://r.example,public-key={rekor2},{start},origin=other"),
            "origin: expected r.example",
        ),
    ] {
        bare(&setup).args(["trusted-root", "create", &flag]).run().ends(2).says(&[text]);
    }
    let rekor = format!("--rekor=url=https://r.example,api-version=1,operator=me,{start}");
    for (flags, text) in [
        (vec![rekor.as_str()], "--rekor-config <SELECTOR>"),
        (vec![&rekor, "--rekor-config=SOME"], "expected ANY, ALL or EXACT:N"),
        (vec![&rekor, "--rekor-config=EXACT:0"], "expected ANY, ALL or EXACT:N"),
        (vec!["--fulcio=url=https://f.example,api-version=1"], "operator is missing"),
    ] {
        bare(&setup).args(["signing-config", "create"]).args(flags).run().ends(2).says(&[text]);
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_makes_the_same_of_the_same_flags() {
    let cosign = harness::Peers::cosign();
    let setup = Setup::new();
    let service = "api-version=1,start-time=2020-01-01T00:00:00Z,operator=me,url=https://";
    let config: Vec<String> = vec![
        format!("--fulcio={service}f.example"),
        format!("--oidc-provider={service}o.example"),
        format!("--tsa={service}t.example/stamp,end-time=2099-01-01T00:00:00Z"),
        format!("--rekor={service}r.example"),
        "--rekor-config=EXACT:1".to_owned(),
        "--tsa-config=ALL".to_owned(),
    ];
    for (command, flags) in
        [("trusted-root", trusted_root_flags(&setup)), ("signing-config", config)]
    {
        let ours = bare(&setup).args([command, "create"]).args(&flags).run().ends(0);
        let theirs = Command::new(&cosign)
            .args([command, "create"])
            .args(&flags)
            .env_clear()
            .env("HOME", setup.path(""))
            .output()
            .unwrap();
        let mut theirs: Value = serde_json::from_slice(&theirs.stdout).unwrap();
        // cosign keeps its logs in no order.
        let mut ours = ours.json().remove(0);
        for document in [&mut ours, &mut theirs] {
            if let Some(logs) = document["tlogs"].as_array_mut() {
                logs.sort_by_key(|log| log["baseUrl"].to_string());
            }
            document.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        assert!(ours == theirs, "{command}\n{ours:#}\n{theirs:#}");
    }
}

/// A container may run with any user id while HOME stays root's.
#[cfg(target_os = "linux")]
#[test]
fn a_home_that_belongs_to_another_user_is_warned_about_and_the_command_goes_on() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let setup = Setup::new();
    let setpriv = Path::new("/usr/bin/setpriv");
    if std::fs::metadata(setup.path("")).unwrap().uid() != 0 || !setpriv.is_file() {
        return harness::skip("only root with setpriv can run a program as another user");
    }
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let work = setup.path("work");
    let home = setup.path("home");
    for directory in [".config/ambisign/tuf", ".cache/ambisign/tuf", ".docker"] {
        std::fs::create_dir_all(home.join(directory)).unwrap();
    }
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("a"), "content").unwrap();
    std::fs::copy(setup.sandbox.tuf_root(), work.join("root.json")).unwrap();
    open(&setup.path(""), 0o755);
    open(&home, 0o700);
    open(&work, 0o777);
    let image = setup.image("demo/app");
    let token = setup.sandbox.email_token("jane@example.org").unwrap();
    let run = |args: &[&str]| {
        let program = Program::at(setpriv, &work).args(["--reuid=65534", "--regid=65534"]);
        let program = program.arg("--clear-groups").arg(harness::ambisign()).args(args);
        let program = program.env("HOME", &home).env("TUF_MIRROR", setup.sandbox.tuf_url());
        let program = program.env("TUF_ROOT_JSON", work.join("root.json"));
        let program = program.env("NO_GCE_CHECK", "true").env("AWS_EC2_METADATA_DISABLED", "true");
        let done = program.env("SIGSTORE_ID_TOKEN", &token).run().ends(0);
        assert!(done.stderr.contains("warning: "), "{done:#?}");
        assert!(done.stderr.contains(".cache/ambisign/tuf"), "{done:#?}");
    };
    let issuer = setup.sandbox.issuer("email").unwrap().url().to_string();
    let by = harness::by("jane@example.org", &issuer);
    let by = by.each_ref().map(String::as_str);
    run(&["identity"]);
    run(&["sign-blob", "a"]);
    run(&[&["verify-blob", "a"], &by[..]].concat());
    run(&["sign", &image]);
    run(&[&["verify", &image], &by[..]].concat());
}

#[test]
fn wrong_usage_of_every_command_is_noticed_before_anything_is_sent() {
    let setup = Setup::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let address = silent.local_addr().unwrap();
    let (mirror, image) = (format!("http://{address}/"), format!("{address}/demo/app:v1"));
    setup.write("a", "content");
    setup.write("a.sigstore.json", "{}");
    let by = ["--certificate-identity=x", "--certificate-oidc-issuer=https://x.example"];
    let commands: &[&[&str]] = &[
        &["sign", &image, "--oidc-provider", "nope"],
        &["sign", &image, "--oidc-provider", "github-actions", "--spiffe-hint", "h"],
        &["sign", &image, "--bundle", "b", "--recursive"],
        &["sign", &image, "-a", "k=1", "-a", "k=2"],
        &["sign", &image, "--upload=false"],
        &["sign-blob", "a", "--oidc-provider", "nope"],
        &["sign-blob", "a", "--oidc-disable-ambient-providers"],
        &["sign-blob", "a", "--fulcio-auth-flow=device", "--oidc-client-secret-file=absent"],
        &["sign-blob", "a", "--fulcio-auth-flow=normal", "--oidc-redirect-url=ftp://x/"],
        &["sign-blob", "a", "a"],
        &["identity", "--oidc-provider", "nope"],
        &["identity", "--oidc-disable-ambient-providers"],
        &["verify", &image, "-a", "k=1", "-a", "k=2", by[0], by[1]],
        &["verify", &image, "--certificate-identity-regexp", "(", by[1]],
        &["verify", &image, "--registry-username", "n", by[0], by[1]],
        &["verify-attestation", &image, "--type", "nonsense", by[0], by[1]],
        &["verify-blob", "a"],
        &["verify-blob", "a", by[0]],
        &["verify-blob-attestation", "a", "--type", "nonsense", by[0], by[1]],
        &["inspect", &image, "--registry-token", "t", "--registry-username", "n"],
        &["initialize", "--mirror", &mirror, "--root", "a", "--root-checksum", "zz"],
        &["initialize", "--staging", "--mirror", &mirror],
        &["trusted-root", "create", "--with-default-services", "--rekor", "url=x"],
        &["signing-config", "create", "--with-default-services", "--tsa", "url=x"],
    ];
    for arguments in commands {
        let program = bare(&setup).args(*arguments).env("TUF_MIRROR", &mirror);
        let program = program.env("TUF_ROOT_JSON", setup.sandbox.tuf_root());
        program.args(["--timeout", "20s"]).run().ends(2);
        let asked = silent.accept();
        assert!(asked.is_err(), "{arguments:?} sent a request before it said what is wrong");
    }
}
