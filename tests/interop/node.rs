//! containerd asks the program before it uses an image.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use harness::{Containerd, HostileServer, Outcome, Reply, Setup};

/// How the registry treats the requests of ambisign; containerd's own are always answered.
const UP: u8 = 0;
const DOWN: u8 = 1;
const SILENT: u8 = 2;

/// A registry with images, containerd, and ambisign as its image verifier.
struct Node {
    // Dropped before the directory that it writes into.
    containerd: Containerd,
    registry: HostileServer,
    mood: Arc<AtomicU8>,
    setup: Setup,
}

/// The two ways to install the verifier that docs/containerd.md names.
#[derive(Clone, Copy, PartialEq)]
enum Installed {
    /// A link to the program, which gets its paths from the environment of containerd.
    Link,
    /// A script of two lines, which says them.
    Script,
}

impl Node {
    /// `policy` is added to a rule for `acme/*` by the GitHub job.
    fn new(installed: Installed, policy: &str, deadline: Duration) -> Option<Self> {
        let setup = Setup::new();
        let (config, cache) = (setup.path("etc"), setup.path("verdicts"));
        let env = match installed {
            Installed::Link => vec![("AMBISIGN_CONFIG", config), ("AMBISIGN_CACHE", cache)],
            Installed::Script => Vec::new(),
        };
        let containerd = Containerd::start(&setup.path("containerd"), deadline, &env)?;
        let mood = Arc::new(AtomicU8::new(UP));
        let now = Arc::clone(&mood);
        let registry = setup.hostile_registry(move |request| {
            let is_ours = request.header("user-agent").is_some_and(|it| it.contains("ambisign"));
            match now.load(Ordering::SeqCst) {
                DOWN if is_ours => Reply::refusal(503, "UNAVAILABLE"),
                SILENT if is_ours => Reply::Hang,
                _ => Reply::Forward,
            }
        });
        let node = Self { containerd, registry, mood, setup };
        let rule = format!(
            "[[images]]\npatterns = [\"{}/acme/*\"]\n[[images.identities]]\n\
             identity = \"{}\"\nissuer = \"{}\"\n{policy}",
            node.registry.address(),
            node.setup.sandbox.github_identity(),
            node.setup.sandbox.github_issuer(),
        );
        std::fs::create_dir(node.setup.path("etc")).unwrap();
        node.setup.write("etc/policy.toml", rule);
        let root = std::fs::read(node.setup.sandbox.trusted_root()).unwrap();
        node.setup.write("etc/trusted_root.json", root);
        let verifier = node.containerd.verifiers().join("ambisign-image-verifier");
        if installed == Installed::Link {
            std::os::unix::fs::symlink(harness::ambisign(), verifier).unwrap();
            return Some(node);
        }
        let script = format!(
            "#!/bin/sh\nexec {} image-verifier --config {} --cache {} \"$@\"\n",
            harness::ambisign().display(),
            node.setup.path("etc").display(),
            node.cache().display(),
        );
        std::fs::write(&verifier, script).unwrap();
        std::fs::set_permissions(&verifier, std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(node)
    }

    fn cache(&self) -> PathBuf {
        self.setup.path("verdicts")
    }

    fn image(&self, repository: &str) -> String {
        self.setup.image(repository);
        format!("{}/{repository}:v1", self.registry.address())
    }

    fn signed(&self, repository: &str) -> String {
        let image = self.image(repository);
        self.setup.job().args(["sign", &image]).run().ends(0);
        image
    }

    /// How many requests of ours the registry got since it was asked last.
    fn requests(&self) -> usize {
        let all = self.registry.requests().len();
        let theirs = self.registry.requests();
        let ours = theirs.iter().filter(|request| {
            request.header("user-agent").is_some_and(|agent| agent.contains("ambisign"))
        });
        assert!(all > 0, "containerd asked for nothing");
        ours.count()
    }

    /// Pulls `image`, which must be blocked, and gives the reason.
    #[track_caller]
    fn blocked(&self, image: &str) -> String {
        let outcome = self.containerd.pull(image).run();
        assert_ne!(outcome.code, 0, "{outcome:#?}");
        let reason = outcome.stderr.split_once("for reason: ").map(|(_, reason)| reason.trim());
        let reason = reason.unwrap_or_else(|| panic!("no reason in {outcome:#?}")).to_owned();
        assert!(!reason.contains('\n'), "{reason}");
        reason
    }

    fn pull(&self, image: &str) -> (Outcome, Duration) {
        let start = Instant::now();
        (self.containerd.pull(image).run(), start.elapsed())
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn containerd_admits_what_is_signed_and_blocks_the_rest_with_a_reason() {
    let node = Node::new(Installed::Link, "", Duration::from_secs(30));
    let Some(node) = node else { return };
    let signed = node.signed("acme/signed");
    node.pull(&signed).0.succeeds();

    let unsigned = node.blocked(&node.image("acme/unsigned"));
    assert!(unsigned.contains("no signatures found for"), "{unsigned}");
    assert!(unsigned.contains("no referrer"), "{unsigned}");

    let other = node.image("acme/other");
    node.setup.workload().args(["sign", &other]).run().ends(0);
    let wrong = node.blocked(&other);
    assert!(wrong.contains("is signed, but no signature is acceptable"), "{wrong}");
    assert!(wrong.contains(&node.setup.sandbox.github_identity()), "{wrong}");
    assert!(wrong.contains(&node.setup.workload_id()), "{wrong}");

    let unmatched = node.blocked(&node.signed("other/app"));
    assert!(unmatched.contains("no rule of the policy file matches"), "{unmatched}");
    assert!(unmatched.contains("the nearest pattern is"), "{unmatched}");

    node.setup.write("etc/policy.toml", "images:\n- patterns: []\n");
    let broken = node.blocked(&signed);
    assert!(broken.contains("line 1: this is YAML"), "{broken}");
    std::fs::remove_file(node.setup.path("etc/policy.toml")).unwrap();
    let missing = node.blocked(&signed);
    assert!(missing.contains("the policy of this node cannot be read"), "{missing}");
    assert!(missing.contains("etc/policy.toml does not exist"), "{missing}");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn an_image_that_was_admitted_is_admitted_again_while_the_registry_is_down() {
    let node = Node::new(Installed::Script, "", Duration::from_secs(30));
    let Some(node) = node else { return };
    let image = node.signed("acme/app");
    let (cold, cold_time) = node.pull(&image);
    cold.succeeds();
    let asked = node.requests();
    assert!(asked > 0);
    let (cached, cached_time) = node.pull(&image);
    cached.succeeds();
    assert_eq!(node.requests(), asked, "the second pull asked the registry");
    node.mood.store(DOWN, Ordering::SeqCst);
    node.pull(&image).0.succeeds();
    assert_eq!(node.requests(), asked);
    println!("pull and verdict: {cold_time:?} cold, {cached_time:?} cached");

    // Another trusted root, another policy or no memory: the registry is asked, and it is down.
    std::fs::remove_dir_all(node.cache()).unwrap();
    let down = node.blocked(&image);
    assert!(down.contains("could not be verified"), "{down}");
    assert!(down.contains("503"), "{down}");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_registry_that_does_not_answer_blocks_before_containerd_loses_patience() {
    let policy = "[node]\ntimeout-seconds = 2\n";
    let node = Node::new(Installed::Script, policy, Duration::from_secs(10));
    let Some(node) = node else { return };
    let image = node.signed("acme/app");
    node.mood.store(SILENT, Ordering::SeqCst);
    let reason = node.blocked(&image);
    assert!(reason.contains("no verdict about"), "{reason}");
    assert!(reason.contains("in 2s"), "{reason}");
    assert!(reason.contains("waiting for the registry"), "{reason}");
    assert!(reason.contains("timeout-seconds"), "{reason}");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn audit_exemptions_and_unmatched_images_admit_and_say_so() {
    let policy = "[node]\naudit = true\n";
    let node = Node::new(Installed::Link, policy, Duration::from_secs(30));
    let Some(node) = node else { return };
    node.pull(&node.image("acme/unsigned")).0.succeeds();
    let log = node.containerd.log();
    assert!(log.contains("admitted by audit, would be refused: no signatures found"), "{log}");

    let address = node.registry.address().to_owned();
    let pattern = format!("{address}/pause/*");
    let policy = format!("[node]\nexempt = [\"{pattern}\"]\nunmatched = \"admit\"\n");
    node.setup.write("etc/policy.toml", policy);
    node.pull(&node.image("pause/app")).0.succeeds();
    node.pull(&node.image("other/app")).0.succeeds();
    let log = node.containerd.log();
    assert!(log.contains(&format!("the policy exempts {pattern}")), "{log}");
    assert!(log.contains("no rule of the policy matches it"), "{log}");
}
