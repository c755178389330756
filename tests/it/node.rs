//! The image verifier at a node, as a container runtime runs it.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{HostileServer, Program, RawRequest, Reply, Setup};

struct Node {
    setup: Setup,
    registry: HostileServer,
    /// Requests for lists of signatures.
    lists: Arc<AtomicUsize>,
}

impl Node {
    fn new(rule: impl Fn(&RawRequest) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let setup = Setup::new();
        let lists = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lists);
        let registry = setup.hostile_registry(move |request| {
            if request.target.contains("/referrers/") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            rule(request).unwrap_or(Reply::Forward)
        });
        std::fs::create_dir(setup.path("etc")).unwrap();
        let node = Self { setup, registry, lists };
        node.policy("");
        let root = std::fs::read(node.setup.sandbox.trusted_root()).unwrap();
        node.setup.write("etc/trusted_root.json", root);
        node
    }

    fn policy(&self, more: &str) {
        let policy = format!(
            "[[images]]\npatterns = [\"**/acme/*\"]\n[[images.identities]]\n\
             identity = \"{}\"\nissuer = \"{}\"\n{more}",
            self.setup.sandbox.github_identity(),
            self.setup.sandbox.github_issuer(),
        );
        self.setup.write("etc/policy.toml", policy);
    }

    /// The name and the digest of an image.
    fn image(&self, repository: &str) -> (String, String) {
        self.setup.image(repository);
        (format!("{}/{repository}:v1", self.registry.address()), self.setup.digest(repository))
    }

    fn signed(&self, repository: &str) -> (String, String) {
        let image = self.image(repository);
        self.setup.job().args(["sign", &image.0]).run().ends(0);
        self.lists.store(0, Ordering::SeqCst);
        image
    }

    /// What containerd runs.
    fn ask(&self, (name, digest): &(String, String)) -> Program {
        let program = Program::new(self.setup.directory()).arg("image-verifier");
        let program = program.arg("--config").arg(self.setup.path("etc"));
        let program = program.arg("--cache").arg(self.setup.path("cache"));
        program.args(["-name", name, "-digest", digest])
    }
}

#[test]
fn many_pods_that_start_at_once_ask_the_registry_once() {
    let node = Node::new(|_| None);
    let image = node.signed("acme/app");
    let outcomes = Program::run_all((0..20).map(|_| node.ask(&image)).collect());
    for outcome in outcomes {
        let outcome = outcome.ends(0);
        assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:#?}");
        assert!(outcome.stdout.starts_with("verified "), "{outcome:#?}");
    }
    assert_eq!(node.lists.load(Ordering::SeqCst), 1);
}

#[test]
fn a_verdict_holds_for_its_policy_its_root_and_its_lifetime() {
    let node = Node::new(|_| None);
    let image = node.signed("acme/app");
    let asked = |expected: usize| {
        node.ask(&image).run().ends(0);
        assert_eq!(node.lists.load(Ordering::SeqCst), expected);
    };
    asked(1);
    asked(1);
    node.policy("[node]\nverdict-seconds = 1\n");
    asked(2);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    asked(3);
    // Another root does not take over what this one made of the signature.
    std::fs::remove_file(node.setup.path("etc/trusted_root.json")).unwrap();
    let refused = node.ask(&image).run().ends(12);
    assert!(refused.stdout.contains("no signature is acceptable"), "{refused:#?}");
    // A refusal is not remembered.
    let root = std::fs::read(node.setup.sandbox.trusted_root()).unwrap();
    node.setup.write("etc/trusted_root.json", root);
    node.ask(&image).run().ends(0);
}

#[test]
fn what_is_wrong_with_the_cache_costs_a_look_at_the_registry_and_no_more() {
    let node = Node::new(|_| None);
    let image = node.signed("acme/app");
    let cache = node.setup.path("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    for expected in 1..=2 {
        let admitted = node.ask(&image).run().ends(0);
        admitted.says(&["warning: the verdict is not remembered", "other users may write to it"]);
        assert_eq!(node.lists.load(Ordering::SeqCst), expected);
    }
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o700)).unwrap();
    node.ask(&image).run().ends(0);
    for entry in std::fs::read_dir(&cache).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{entry:?}");
        if entry.path().extension().is_some_and(|extension| extension == "json") {
            std::fs::write(entry.path(), "{").unwrap();
        }
    }
    node.ask(&image).run().ends(0);
    assert_eq!(node.lists.load(Ordering::SeqCst), 4, "what cannot be read is not believed");
    std::fs::remove_dir_all(&cache).unwrap();
    std::fs::write(&cache, "a file").unwrap();
    node.ask(&image).run().ends(0).says(&["warning: the verdict is not remembered"]);
}

#[test]
fn wrong_usage_and_another_digest_block_with_a_reason_on_stdout() {
    let node = Node::new(|_| None);
    let image = node.signed("acme/app");
    let (name, digest) = &image;
    let stdin = ["-stdin-media-type", "application/vnd.oci.descriptor.v1+json"];
    let descriptor = format!("{{\"digest\":\"{digest}\"}}");
    node.ask(&image).args(stdin).run_with_stdin(descriptor.as_bytes()).ends(0);
    let other = format!("{{\"digest\":\"sha256:{}\"}}", "0".repeat(64));
    let refused = node.ask(&image).args(stdin).run_with_stdin(other.as_bytes()).ends(1);
    assert!(refused.stdout.contains("the descriptor on stdin has sha256:0000"), "{refused:#?}");
    let bare = Program::new(node.setup.directory()).arg("image-verifier").args(["-name", name]);
    let refused = bare.run().ends(2);
    assert!(refused.stdout.contains("required arguments"), "{refused:#?}");
    let odd = node.ask(&(name.clone(), "sha256:12".to_owned())).run().ends(1);
    assert!(odd.stdout.contains("did not name an image"), "{odd:#?}");
}

#[test]
fn a_link_with_the_name_of_the_verifier_is_the_verifier() {
    let node = Node::new(|_| None);
    let (name, digest) = node.image("acme/app");
    let link = node.setup.path("ambisign-image-verifier");
    std::os::unix::fs::symlink(harness::ambisign(), &link).unwrap();
    let program = || {
        let program = Program::at(&link, node.setup.directory());
        let program = program.env("AMBISIGN_CONFIG", node.setup.path("etc"));
        let program = program.env("AMBISIGN_CACHE", node.setup.path("cache"));
        program.args(["-name", &name, "-digest", &digest])
    };
    let refused = program().run().ends(10);
    assert!(refused.stdout.starts_with("no signatures found for "), "{refused:#?}");
    let audit = program().env("AMBISIGN_AUDIT", "true").run().ends(0);
    assert!(audit.stdout.starts_with("admitted by audit, would be refused: no "), "{audit:#?}");
}

#[test]
fn credentials_come_from_dockers_file_and_from_kubelets_providers() {
    // `user:hunter2`.
    const PAIR: &str = "Basic dXNlcjpodW50ZXIy";
    let node = Node::new(|request| {
        let is_signer = request.header("x-signer").is_some();
        let is_known = request.header("authorization") == Some(PAIR);
        let challenge = [("www-authenticate", "Basic realm=\"x\"")];
        (!is_known && !is_signer).then(|| Reply::response(401, &challenge, ""))
    });
    node.setup.image("acme/app");
    let direct = format!("{}/acme/app:v1", node.setup.sandbox.registry());
    node.setup.job().args(["sign", &direct]).run().ends(0);
    let address = node.registry.address();
    let image = (format!("{address}/acme/app:v1"), node.setup.digest("acme/app"));
    let refused = node.ask(&image).run().ends(1);
    assert!(refused.stdout.contains("no credentials found in"), "{refused:#?}");
    assert!(refused.stdout.contains("etc/config.json"), "{refused:#?}");
    assert!(refused.stdout.contains("put credentials into"), "{refused:#?}");

    std::fs::create_dir(node.setup.path("etc/credential-provider-bin")).unwrap();
    let provider = node.setup.write(
        "etc/credential-provider-bin/provider",
        "#!/bin/sh\nread -r request\ncase $request in *'/acme/app\"'*) ;; *) exit 3 ;; esac\n\
         echo \"{\\\"auth\\\":{\\\"$HOST\\\":{\\\"username\\\":\\\"user\\\",\
         \\\"password\\\":\\\"hunter2\\\"}}}\"\n",
    );
    std::fs::set_permissions(&provider, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n\
         - name: provider\n  matchImages: [\"{address}\"]\n  defaultCacheDuration: 1h\n  \
         apiVersion: credentialprovider.kubelet.k8s.io/v1\n  env:\n  - name: HOST\n    \
         value: \"{address}\"\n"
    );
    let config = node.setup.write("etc/credential-provider-config.yaml", config);
    node.ask(&image).run().ends(0).hides("hunter2");
    std::fs::remove_file(config).unwrap();
    std::fs::remove_dir_all(node.setup.path("cache")).unwrap();

    let docker = format!("{{\"auths\":{{\"{address}\":{{\"auth\":\"dXNlcjpodW50ZXIy\"}}}}}}");
    node.setup.write("etc/config.json", docker);
    node.ask(&image).run().ends(0).hides("hunter2");
}
