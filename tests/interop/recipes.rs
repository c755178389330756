//! The recipes of docs/recipes: every shell line and every list of arguments in them, run in the
//! place that each is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Outcome, Peers, Program, Setup, workspace};
use sandbox::{GithubJob, Platform, Registration};
use serde_json::Value;
use spiffe_workload_api::SpiffeId;

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where the images of the recipes are.
const PLACES: [&str; 4] = [
    "ghcr.io/acme/",
    "registry.gitlab.com/acme/",
    "europe-docker.pkg.dev/acme/images/",
    "europe-docker.pkg.dev/acme/",
];
/// An image there.
const IMAGE: &str = "acme/app";

/// A recipe in its place.
struct Recipe {
    setup: Setup,
    steps: Vec<Value>,
    action: Vec<Value>,
    platform: Platform,
    /// Texts of the recipe and what stands for them here.
    names: Vec<(String, String)>,
    /// The repository's directory.
    work: PathBuf,
    /// What the stand-ins did.
    did: PathBuf,
    /// Directories that an action put on the search path.
    path: Vec<String>,
}

impl Recipe {
    /// The recipe `name` on a platform. `policy` is the identity and the issuer in its policy where
    /// these are others than what the sandbox gives out.
    fn new(name: &str, platform: &str, policy: [&str; 2]) -> Self {
        let peers = Peers::find();
        let setup = Setup::with(|config| {
            config.github_job = GithubJob { repository: IMAGE.to_owned(), ..GithubJob::default() };
            config.registrations = vec![Registration {
                spiffe_id: SpiffeId::parse("spiffe://acme.example/ns/ci/sa/builder").unwrap(),
                hint: String::new(),
            }];
        });
        let image = setup.image(IMAGE);
        let digest = setup.digest(IMAGE);
        let directory = tempfile::tempdir().unwrap();
        let apart = Program::at(peers.python(), directory.path())
            .arg(workspace().join("tests/interop/recipes.py"))
            .arg(workspace())
            .arg(directory.path())
            .run()
            .succeeds();
        let all: Value = serde_json::from_str(&apart.stdout).unwrap();
        let checked = all["checked"].as_array().unwrap().len();
        // The recipes, the action, and what lies in .github.
        assert!(checked >= 15, "only {checked} files have a schema");
        let recipe = &all["recipes"][name];
        let list = |value: &Value| value.as_array().unwrap().clone();
        let platform = setup.platform(platform);
        let identity = identity(&setup, &platform);

        let work = setup.path("repository");
        std::fs::create_dir(&work).unwrap();
        let did = setup.path("did");
        let by_digest = format!("{}/{IMAGE}@{digest}", setup.sandbox.registry());
        stand_ins(&setup, &work, &did, &by_digest);
        let archive = release(&setup);
        let [wanted_identity, wanted_issuer] = policy;
        let mut names = vec![
            (format!("\"{wanted_issuer}\""), format!("\"{}\"", platform.issuer)),
            (ZEROS.to_owned(), archive),
        ];
        let here = format!("{}/acme/", setup.sandbox.registry());
        names.extend(PLACES.map(|place| (place.to_owned(), here.clone())));
        assert!(recipe["files"]["policy.toml"].as_str().unwrap().contains(wanted_identity));
        names.push((wanted_identity.to_owned(), identity));
        let steps = list(&recipe["steps"]);
        assert!(!steps.is_empty(), "{name} has no steps");
        let action = list(&all["action"]);
        let path = Vec::new();
        let recipe_files = recipe["files"].clone();
        let recipe = Self { setup, steps, action, platform, names, work, did, path };
        assert!(image.starts_with(recipe.setup.sandbox.registry()));
        for (file, content) in recipe_files.as_object().unwrap() {
            let content = recipe.here(content.as_str().unwrap());
            std::fs::write(recipe.work.join(file), content).unwrap();
        }
        recipe
    }

    /// A text of the recipe with the names of this machine.
    fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// `program` as the platform runs it.
    fn place(&self, program: &Path, env: &BTreeMap<String, String>) -> Program {
        let own = self.platform.env.iter().find(|(name, _)| name == "PATH");
        let own = own.map_or("/usr/bin:/bin", |(_, value)| value);
        let stand_ins = self.setup.path("stand-ins").display().to_string();
        let path = self.path.iter().map(String::as_str).chain([stand_ins.as_str(), own]);
        let path = path.collect::<Vec<_>>().join(":");
        Program::at(program, &self.work)
            .within(Duration::from_secs(120))
            .envs(self.setup.sandbox.trust_env())
            .envs(self.platform.env.clone())
            .envs(env.iter().map(|(name, value)| (name.clone(), self.here(value))))
            .env("NO_GCE_CHECK", if self.platform.name.starts_with('g') { "" } else { "true" })
            .env("PATH", path)
            .with_files(&self.platform.files)
    }

    fn shell(&self, script: &str, env: &BTreeMap<String, String>) -> Outcome {
        let script = self.here(script);
        let bash = self.place(Path::new("/bin/bash"), env).args(["-e", "-o", "pipefail", "-c"]);
        bash.arg(script).run().succeeds()
    }

    /// The program with these arguments, in which `$(NAME)` stands for variables and parameters.
    fn container(&self, arguments: &[String], env: &BTreeMap<String, String>) -> Outcome {
        let expand = |text: &String| {
            let known = env.iter().fold(text.clone(), |text, (name, value)| {
                text.replace(&format!("$({name})"), value)
            });
            self.here(&known)
        };
        let arguments: Vec<String> = arguments.iter().map(expand).collect();
        self.place(&harness::ambisign(), env).args(arguments).run().succeeds()
    }

    /// Runs every step. `more` are variables and parameters that the platform would set.
    fn run(&mut self, more: &[(&str, &str)]) {
        for step in self.steps.clone() {
            let mut env = texts(&step["env"]);
            env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            if let Some(script) = step["shell"].as_str() {
                self.shell(script, &env);
            } else if step["uses"].as_str().unwrap().starts_with("ambisign/ambisign@") {
                self.act(&texts(&step["with"]));
            } else if step["uses"] == "" {
                let arguments = step["arguments"].as_array().unwrap().iter();
                let arguments: Vec<_> =
                    arguments.map(|it| it.as_str().unwrap().to_owned()).collect();
                self.container(&arguments, &env);
            }
        }
    }

    /// The steps of action.yml.
    fn act(&mut self, inputs: &BTreeMap<String, String>) {
        let image = std::fs::read_to_string(self.work.join("image.txt")).unwrap();
        for step in self.action.clone() {
            if step["if"] == "inputs.images != ''" && !inputs.contains_key("images") {
                continue;
            }
            let input = |text: String| {
                let known = inputs.iter().fold(text, |text, (name, value)| {
                    text.replace(&format!("${{{{ inputs.{name} }}}}"), value)
                });
                known.replace("${{ steps.push.outputs.image }}", image.trim())
            };
            let mut env = texts(&step["env"]);
            env.values_mut().for_each(|value| *value = input(std::mem::take(value)));
            let path = self.work.join("github_path");
            env.insert("GITHUB_PATH".to_owned(), path.display().to_string());
            env.insert("RUNNER_TEMP".to_owned(), self.setup.path("temp").display().to_string());
            self.shell(step["shell"].as_str().unwrap(), &env);
            let added = std::fs::read_to_string(path).unwrap_or_default();
            self.path = added.lines().map(str::to_owned).collect();
        }
    }

    /// What was signed is signed by the platform's identity, and then deployed.
    fn is_deployed(&self) {
        let did = std::fs::read_to_string(&self.did).unwrap();
        assert_eq!(did.lines().collect::<Vec<_>>(), ["push", "deploy"]);
        self.is_signed();
    }

    fn is_signed(&self) {
        let identity = identity(&self.setup, &self.platform);
        let image = format!("{}/{IMAGE}:v1", self.setup.sandbox.registry());
        let policy = harness::by(&identity, &self.platform.issuer);
        self.setup.program().arg("verify").args(policy).arg(image).run().ends(0);
    }
}

/// Who the platform's workload is.
fn identity(setup: &Setup, platform: &Platform) -> String {
    let file = setup.sandbox.directory().join(format!("env.{}", platform.name));
    let file = std::fs::read_to_string(file).unwrap();
    let line = file.lines().find_map(|line| line.strip_prefix("export SANDBOX_IDENTITY='"));
    line.unwrap().trim_end_matches('\'').to_owned()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// `curl` brings the release, `make` builds and deploys, `buildkite-agent` brings an artifact.
fn stand_ins(setup: &Setup, work: &Path, did: &Path, image: &str) {
    let bin = setup.path("stand-ins");
    std::fs::create_dir(&bin).unwrap();
    let (did, work) = (did.display(), work.display());
    let archive = setup.path("release.tar.gz");
    let curl = format!(
        "file=\nfor argument in \"$@\"; do\n case \"$before\" in -o) file=$argument ;; esac\n \
         before=$argument\ndone\nurl=$argument\n\
         case \"$url\" in https://github.com/ambisign/ambisign/releases/download/v0.1.0/\
         ambisign-0.1.0-linux-x86_64.tar.gz) ;; *) echo \"not there: $url\" >&2; exit 22 ;; \
         esac\ncp '{}' \"${{file:-${{url##*/}}}}\"",
        archive.display()
    );
    program(&bin.join("curl"), &curl);
    let make = format!(
        "case \"$1\" in\n push) echo '{image}' > '{work}/image.txt' ;;\n deploy) ;;\n \
         *) exit 2 ;;\nesac\necho \"$1\" >> '{did}'"
    );
    program(&bin.join("make"), &make);
    program(&bin.join("buildkite-agent"), "[ \"$*\" = 'artifact download image.txt .' ]");
    // Where a recipe has the program on the search path.
    let ambisign = format!("exec '{}' \"$@\"", harness::ambisign().display());
    program(&bin.join("ambisign"), &ambisign);
}

/// An archive as a release has it, and its digest.
fn release(setup: &Setup) -> String {
    let root = setup.path("release");
    let name = "ambisign-0.1.0-linux-x86_64";
    std::fs::create_dir_all(root.join(name)).unwrap();
    let ambisign = format!("exec '{}' \"$@\"", harness::ambisign().display());
    program(&root.join(name).join("ambisign"), &ambisign);
    let archive = setup.path("release.tar.gz");
    let tar =
        Program::at(Path::new("/bin/tar"), &root).args(["-czf".as_ref(), archive.as_os_str()]);
    tar.arg(name).run().succeeds();
    let sum = Program::at(Path::new("/usr/bin/sha256sum"), &root).arg(&archive).run().succeeds();
    sum.stdout.split(' ').next().unwrap().to_owned()
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn github_actions() {
    let policy = [
        "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
        "https://token.actions.githubusercontent.com",
    ];
    let mut recipe = Recipe::new("github-actions", "github", policy);
    let output = recipe.setup.path("output").display().to_string();
    let image =
        format!("{}/{IMAGE}@{}", recipe.setup.sandbox.registry(), recipe.setup.digest(IMAGE));
    recipe.run(&[("GITHUB_OUTPUT", &output), ("IMAGE", &image)]);
    assert_eq!(std::fs::read_to_string(output).unwrap(), format!("image={image}\n"));
    recipe.is_deployed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn gitlab_ci() {
    let policy =
        ["https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main", "https://gitlab.com"];
    let mut recipe = Recipe::new("gitlab-ci", "gitlab", policy);
    recipe.names.extend([
        ("$[[ inputs.version ]]".to_owned(), "0.1.0".to_owned()),
        ("$[[ inputs.sha256 ]]".to_owned(), recipe.here(ZEROS)),
    ]);
    // The component's script stands last in the file, and runs before the deployment.
    let deploy = recipe.steps.remove(1);
    recipe.steps.push(deploy);
    recipe.run(&[]);
    recipe.is_deployed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn buildkite() {
    let policy = ["https://buildkite.com/acme/app", "https://agent.buildkite.com"];
    let mut recipe = Recipe::new("buildkite", "buildkite", policy);
    recipe.run(&[]);
    recipe.is_deployed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn circleci() {
    let issuer = "https://oidc.circleci.com";
    let identity = "https://circleci.com/api/v2/projects/5b2e6f7a-0000-4000-8000-000000000002/\
                    pipeline-definitions/77aa0000-0000-4000-8000-000000000005";
    let mut recipe = Recipe::new("circleci", "circleci", [identity, issuer]);
    recipe.run(&[]);
    recipe.is_deployed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cloud_build() {
    let policy = ["builder@acme.iam.gserviceaccount.com", "https://accounts.google.com"];
    let mut recipe = Recipe::new("cloud-build", "gce", policy);
    recipe.run(&[]);
    recipe.is_deployed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn gke() {
    let policy = ["builder@acme.iam.gserviceaccount.com", "https://accounts.google.com"];
    let mut recipe = Recipe::new("gke", "gke", policy);
    let policy = recipe.work.join("policy.toml").display().to_string();
    recipe.names.push(("/etc/ambisign/policy.toml".to_owned(), policy));
    recipe.run(&[]);
    recipe.is_signed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn kubernetes_job() {
    let policy = ["spiffe://acme.example/ns/ci/sa/builder", "https://spire.acme.example"];
    let mut recipe = Recipe::new("kubernetes-job", "spiffe", policy);
    recipe.setup.image("acme/web");
    let list = recipe.here("ghcr.io/acme/app:v1\nghcr.io/acme/web:v1\n");
    std::fs::write(recipe.work.join("images.txt"), list).unwrap();
    let images = recipe.work.join("images.txt").display().to_string();
    let socket = recipe.setup.sandbox.spiffe_socket().display().to_string();
    recipe.names.extend([
        ("/images/images.txt".to_owned(), images),
        ("/run/spire/agent.sock".to_owned(), socket),
    ]);
    let verify = recipe.steps.pop().unwrap();
    for index in ["0", "1"] {
        recipe.run(&[("JOB_COMPLETION_INDEX", index)]);
    }
    recipe.steps = vec![verify];
    recipe.run(&[]);
    recipe.is_signed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn tekton() {
    let policy = [
        "https://kubernetes.io/namespaces/build/serviceaccounts/signer",
        "https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/build",
    ];
    let mut recipe = Recipe::new("tekton", "kubernetes-file", policy);
    if !harness::has_namespaces() {
        return harness::skip("no mount namespaces");
    }
    let image = format!("{}/{IMAGE}:v1", recipe.setup.sandbox.registry());
    recipe.run(&[("params.image", &image)]);
    recipe.is_signed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn jenkins() {
    let policy = ["https://jenkins.acme.example/job/app/", "https://jenkins.acme.example/oidc"];
    let mut recipe = Recipe::new("jenkins", "token-file", policy);
    recipe.run(&[]);
    recipe.is_deployed();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn air_gap() {
    let policy = [
        "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main",
        "https://token.actions.githubusercontent.com",
    ];
    let policy_issuer = policy[1];
    let mut recipe = Recipe::new("air-gap", "github", policy);
    let image = format!("{}/{IMAGE}:v1", recipe.setup.sandbox.registry());
    recipe.setup.job().args(["sign", &image]).run().ends(0);
    let inner = Setup::new();
    let registry = inner.sandbox.registry();
    let policy = std::fs::read_to_string(recipe.work.join("policy.toml")).unwrap();
    let policy = policy.replace(recipe.setup.sandbox.registry(), registry);
    std::fs::write(recipe.work.join("inner.toml"), policy).unwrap();
    let issuer = recipe.platform.issuer.clone();
    recipe.names.push((policy_issuer.to_owned(), issuer));
    // The root of the sandbox, as that of a Sigstore of one's own.
    let initialize = "ambisign initialize --mirror \"$SANDBOX_TUF\" --root \"$SANDBOX_TUF_ROOT\"";
    recipe.shell(initialize, &BTreeMap::new());
    recipe.run(&[("INNER_REGISTRY", registry)]);
}
