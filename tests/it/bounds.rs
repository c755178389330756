//! What hostile input costs the program: time, memory, and how long an interruption takes.
//!
//! `cargo test -p ambisign --test it bounds -- --nocapture` prints the figures. The limits are those
//! of the program with optimisation; a debug build keeps them too.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::{HostileServer, Outcome, Program, Reply, Setup};
use serde_json::{Value, json};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

const DEADLINE: Duration = Duration::from_secs(10);

/// Runs `program` with a deadline, and once more with an interruption.
#[expect(clippy::print_stdout, reason = "the figures are for whoever asks for them")]
fn bounded(what: &str, program: impl Fn() -> Program) -> Outcome {
    let start = Instant::now();
    let child = program().args(["-t", "10s"]).spawn();
    let path = format!("/proc/{}/status", child.id());
    let ended = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0;
    while !ended.is_finished() {
        peak = peak.max(resident(&path));
        std::thread::sleep(Duration::from_millis(2));
    }
    let (took, outcome) = (start.elapsed(), Outcome::new(ended.join().unwrap()));

    let child = program().spawn();
    let pid = child.id().to_string();
    std::thread::sleep((took / 2).min(Duration::from_secs(1)));
    let interrupted = Instant::now();
    let _ = Command::new("kill").args(["-INT", &pid]).status();
    let stopped = child.wait_with_output().unwrap();
    let stop = interrupted.elapsed();
    println!(
        "| {what} | exit {} | {:.2} s | {} MB | {:.2} s |",
        outcome.code,
        took.as_secs_f64(),
        peak / 1024,
        stop.as_secs_f64()
    );
    assert!(took < DEADLINE + Duration::from_secs(2), "{what}: {took:?}");
    assert!(peak < 256 * 1024, "{what}: {peak} kB");
    assert!(stop < Duration::from_secs(1), "{what}: {stop:?}, {stopped:?}");
    outcome
}

/// The largest resident set so far, in kB; 0 where the system does not tell.
fn resident(path: &str) -> u64 {
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn index(body: impl AsRef<[u8]>) -> Reply {
    Reply::response(200, &[("content-type", INDEX)], body)
}

/// A signed image behind a registry whose list of referrers is `list`, and what is at `digest`.
fn behind(list: String, manifest: Option<(String, String)>) -> (Setup, HostileServer) {
    let setup = Setup::with(|config| config.referrers = false);
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let registry = setup.hostile_registry(move |request| match &manifest {
        _ if request.is("GET", "/referrers/") => index(&list),
        Some((digest, manifest)) if request.is("GET", digest) => {
            Reply::response(200, &[("content-type", MANIFEST)], manifest)
        }
        _ => Reply::Forward,
    });
    (setup, registry)
}

fn verify(what: &str, (setup, registry): &(Setup, HostileServer)) {
    let image = format!("{}/demo/app:v1", registry.address());
    bounded(what, || setup.program().args(["verify", &image]).args(setup.by_workload()));
}

/// 29.
#[test]
fn a_list_with_very_many_members() {
    for count in [140_000, 440_000] {
        let members: Vec<String> = (0..count).map(|n| format!(r#""m{n:08}":0"#)).collect();
        let list = format!(r#"{{"manifests":[],{}}}"#, members.join(","));
        verify(&format!("29: index of {count} members"), &behind(list, None));
    }
}

/// 30.
#[test]
fn manifests_of_a_thousand_layers_with_megabytes_of_annotations() {
    let annotations: serde_json::Map<String, Value> =
        (0..1000).map(|number| (format!("a{number}"), "x".repeat(3500).into())).collect();
    let layer = json!({"mediaType": BUNDLE, "size": 2, "digest": format!("sha256:{:064x}", 1)});
    let digest = Setup::new().digest("demo/app");
    let manifest = json!({
        "mediaType": MANIFEST, "artifactType": BUNDLE, "layers": vec![layer; 1000],
        "annotations": annotations, "subject": {"digest": digest},
    })
    .to_string();
    let own = keys::Digest::sha256(manifest.as_bytes()).to_hex();
    let list = json!({"manifests": [{"mediaType": MANIFEST, "digest": format!("sha256:{own}")}]});
    let registry = behind(list.to_string(), Some((own, manifest)));
    verify("30: manifest of 1,000 layers, 3.9 MB", &registry);
}

/// 31.
#[test]
fn a_list_of_fifty_thousand_tiny_descriptors() {
    let entries: Vec<String> = (0..50_000)
        .map(|n| format!(r#"{{"mediaType":"{MANIFEST}","digest":"sha256:{n:064x}"}}"#))
        .collect();
    let list = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
    verify("31: 50,000 referrers of others", &behind(list, None));
}

/// 32: a user who may push attaches 300 bundles with as many entries and timestamps as one may have.
/// What judging valid ones costs is tested in verify.
#[test]
fn three_hundred_bundles_with_as_much_evidence_as_they_may_have() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let sign = setup.workload().args(["sign", &image, "--bundle", "b.json"]);
    sign.run().ends(0);
    let bundle = std::fs::read(setup.path("b.json")).unwrap();
    let mut bundle: Value = serde_json::from_slice(&bundle).unwrap();
    for list in [ENTRIES, STAMPS] {
        let list = bundle.pointer_mut(list).unwrap().as_array_mut().unwrap();
        *list = list.iter().cycle().take(32).cloned().collect();
    }
    // An entry twice is refused when the bundle is read.
    let entries = bundle.pointer_mut(ENTRIES).unwrap().as_array_mut().unwrap();
    for (position, entry) in entries.iter_mut().enumerate() {
        entry["logIndex"] = json!(position.to_string());
    }
    let bundle = bundle.to_string();
    // Each is another one.
    (1..=300).for_each(|n| setup.attach(&image, (bundle.clone() + &" ".repeat(n)).as_bytes()));

    let entry = |n: usize| format!("[[images.identities]]\nidentity = \"s{n}\"\nissuer = \"i\"\n");
    let entries: String = (0..20).map(entry).collect();
    let policy = setup.write("policy.toml", format!("[[images]]\npatterns = [\"**\"]\n{entries}"));
    let verify = || setup.program().args(["verify", &image]);
    let of_signer = || verify().args(setup.by_workload());
    let of_another = || verify().args(setup.by_job());
    let of_twenty = || verify().arg("--identity-policy").arg(&policy);
    let outcomes = [
        (0, bounded("32: 300 bundles, of the signer", of_signer)),
        (12, bounded("32: 300 bundles, of another signer", of_another)),
        (12, bounded("32: 300 bundles, 20 identities", of_twenty)),
    ];
    outcomes.into_iter().for_each(|(code, outcome)| ends_or_is_late(code, &outcome));
}

/// Without optimisation, reading 45 MB of JSON may take longer than the deadline.
fn ends_or_is_late(code: i32, outcome: &Outcome) {
    let is_late = outcome.code == 1 && outcome.stderr.contains("not done within 10s");
    assert!(is_late || outcome.code == code, "{outcome:#?}");
}

/// 33.
#[test]
fn a_bundle_of_millions_of_values() {
    let setup = Setup::new();
    setup.write("a", "content");
    for (what, json) in [
        ("33: bundle of ten million {}, 29 MB", format!("[{}{{}}]", "{},".repeat(9_999_999))),
        ("33: bundle of small arrays, 32 MB", format!("[{}[0]]", "[0],".repeat(8_000_000))),
        ("33: bundle of 32 million digits", format!("[{}]", "1".repeat(32_000_000))),
        ("33: bundle of 32 MB of spaces", format!("{}{{}}", " ".repeat(32_000_000))),
    ] {
        setup.write("b.json", json);
        let verify = || {
            let verify = setup.program().args(["verify-blob", "a", "--bundle", "b.json"]);
            verify.args(setup.by_workload())
        };
        ends_or_is_late(12, &bounded(what, verify));
    }
}

/// 33: a detached signature, whose timestamp cosign wraps in JSON.
#[test]
fn a_detached_signature_of_millions_of_characters() {
    let setup = Setup::new();
    setup.write("a", "content");
    setup.write("sig", "c2ln");
    setup.write("ts", format!(r#"{{"SignedRFC3161Timestamp":"{}"}}"#, "A".repeat(20_000_000)));
    setup.workload().args(["sign-blob", "a"]).run().ends(0);
    let verify = || {
        let verify = setup.program().args(["verify-blob", "a", "--signature", "sig"]);
        let verify = verify.args(["--certificate", "sig", "--rfc3161-timestamp", "ts"]);
        verify.args(setup.by_workload())
    };
    let outcome = bounded("33: timestamp of 20 MB in JSON", verify);
    assert!([1, 12].contains(&outcome.code), "{outcome:#?}");
}

const ENTRIES: &str = "/verificationMaterial/tlogEntries";
const STAMPS: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
