//! The architecture's invariants, checked over `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xshell::cmd;

use crate::{circles, duplicates, source, words, workspace};

/// The crates by layer, lowest first. A crate may depend on its own layer and those below.
pub(crate) const LAYERS: [&[&str]; 9] = [
    &["host", "id-token", "keys", "bundle"],
    &["x509", "tlog"],
    &[
        "http-client",
        "cloud-credentials",
        "oidc-ambient",
        "oidc-interactive",
        "spiffe-workload-api",
        "oci-push",
    ],
    &["fulcio-client", "rekor-client", "tsa-client"],
    &["trust-root", "trust-update"],
    &["verify"],
    &["signer"],
    &["image-signing"],
    &["cli", "sandbox"],
];

/// The judgement is pure: these reach no runtime and no network, and hold no lock.
const PURE: [&str; 5] = ["verify", "x509", "tlog", "bundle", "trust-root"];

/// Finding a token is plain HTTP and files: what signs requests lives in cloud-credentials.
const WITHOUT_CRYPTOGRAPHY: [&str; 3] = ["host", "id-token", "oidc-ambient"];
const CRYPTOGRAPHY: [&str; 6] = ["ambisign-keys", "elliptic-curve", "p256", "ring", "rsa", "sha2"];

/// Who may name which foreign crate. Everyone else gets at it through one of these.
const WRAPPERS: [(&[&str], &[&str]); 5] = [
    (&["hyper", "rustls", "hyper-rustls", "tokio-rustls"], &["http-client", "sandbox"]),
    (&["tonic", "tonic-prost", "prost", "prost-types"], &["spiffe-workload-api", "sandbox"]),
    (&["ring", "p256", "p384", "p521", "ed25519-dalek", "rsa"], &["keys", "sandbox"]),
    (&["rcgen"], &["sandbox"]),
    (&["sigstore-tuf", "sigstore-crypto"], &["trust-update"]),
];

/// What no part of the tree may hold: second crypto stacks and TLS libraries.
const BANNED: [&str; 6] =
    ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "reqwest"];

/// The most lines that a file may have: in the program, and in a library or a test.
const LONGEST: [usize; 2] = [400, 500];

/// The most lines that the program's crate may have with all commands.
const LARGEST_PROGRAM: usize = 5000;

/// Generated files may be longer.
const GENERATED: [&str; 1] = ["proto.rs"];

/// The task: prints what is broken and fails, or says that nothing is.
pub(crate) fn run() -> Result<()> {
    let findings = check()?;
    if findings.is_empty() {
        println!("tidy: the invariants hold");
        return Ok(());
    }
    bail!("the invariants are broken:\n  {}", findings.join("\n  "))
}

/// Every invariant that does not hold, in words.
fn check() -> Result<Vec<String>> {
    let workspace = Workspace::load()?;
    let mut findings = Vec::new();
    findings.extend(workspace.layers());
    findings.extend(workspace.purity());
    findings.extend(workspace.without_cryptography());
    findings.extend(workspace.wrappers());
    findings.extend(workspace.bans());
    findings.extend(workspace.sandbox());
    findings.extend(workspace.manifests()?);
    findings.extend(lint_lists()?);
    for directory in workspace.ours.keys().filter(|directory| is_published(directory)) {
        findings.extend(sources(directory)?);
    }
    let places = places(workspace.ours.keys().map(String::as_str));
    for directory in places.iter().flat_map(|(_, directories)| directories) {
        if !directory.ends_with("src") && directory.is_dir() {
            findings.extend(too_long(directory, LONGEST[1])?);
        }
    }
    let equal = duplicates::find(&places, &GENERATED)?;
    findings.extend(equal.into_iter().map(|run| format!("six or more equal lines: {run}")));
    Ok(findings)
}

/// What `cargo metadata` says, by directory name for our own crates.
struct Workspace {
    /// Our crates: directory name to package.
    ours: BTreeMap<String, Package>,
    /// Package id to the ids of its normal dependencies.
    graph: BTreeMap<String, Vec<String>>,
    /// Package id to name.
    names: BTreeMap<String, String>,
    /// Package name to the Rust version it asks for.
    rust_versions: Vec<(String, String)>,
}

struct Package {
    id: String,
    /// Names of the packages that are normal or build dependencies.
    dependencies: BTreeSet<String>,
    manifest: Value,
}

impl Workspace {
    fn load() -> Result<Self> {
        let shell = workspace::shell()?;
        let json = cmd!(shell, "cargo metadata --format-version 1 --locked").quiet().read()?;
        let metadata: Value = serde_json::from_str(&json)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();

        let members: BTreeSet<String> =
            list(&metadata["workspace_members"]).iter().map(text).collect();
        let mut ours = BTreeMap::new();
        let mut names = BTreeMap::new();
        let mut rust_versions = Vec::new();
        for package in list(&metadata["packages"]) {
            let id = text(&package["id"]);
            names.insert(id.clone(), text(&package["name"]));
            if let Some(version) = package["rust_version"].as_str() {
                rust_versions.push((text(&package["name"]), version.to_owned()));
            }
            if !members.contains(&id) {
                continue;
            }
            let manifest_path = text(&package["manifest_path"]);
            let directory = Path::new(&manifest_path)
                .parent()
                .and_then(Path::file_name)
                .and_then(|name| name.to_str())
                .context("a package without a directory")?
                .to_owned();
            let dependencies = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| text(&dependency["name"]))
                .collect();
            ours.insert(directory, Package { id, dependencies, manifest: package });
        }
        let mut graph = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = list(&node["deps"])
                .iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()))
                .map(|dep| text(&dep["pkg"]))
                .collect();
            graph.insert(text(&node["id"]), normal);
        }
        Ok(Self { ours, graph, names, rust_versions })
    }

    /// Dependencies point up the list of layers only, and every crate is in it.
    fn layers(&self) -> Vec<String> {
        let layer_of = |directory: &str| LAYERS.iter().position(|layer| layer.contains(&directory));
        let package_names: BTreeMap<&str, &str> = self
            .ours
            .iter()
            .map(|(directory, package)| {
                (self.names.get(&package.id).map_or("", String::as_str), directory.as_str())
            })
            .collect();
        let mut findings = Vec::new();
        for (directory, package) in self.ours.iter().filter(|(name, _)| is_published(name)) {
            let Some(own) = layer_of(directory) else {
                findings.push(format!("{directory} has no layer in xtask/src/tidy.rs"));
                continue;
            };
            for dependency in &package.dependencies {
                let Some(target) = package_names.get(dependency.as_str()) else { continue };
                if layer_of(target).is_some_and(|layer| layer > own) {
                    findings.push(format!("{directory} depends on {target}, which lies above it"));
                }
            }
        }
        findings
    }

    fn purity(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for directory in PURE {
            let Some(package) = self.ours.get(directory) else { continue };
            for name in self.reached(&package.id) {
                if ["tokio", "hyper", "tonic", "rustls"].contains(&name) {
                    findings.push(format!("{directory} reaches {name}"));
                }
            }
        }
        findings
    }

    fn without_cryptography(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for directory in WITHOUT_CRYPTOGRAPHY {
            let Some(package) = self.ours.get(directory) else { continue };
            let reached = self.reached(&package.id);
            let found = CRYPTOGRAPHY.iter().filter(|name| reached.contains(*name));
            findings.extend(found.map(|name| format!("{directory} reaches {name}")));
        }
        findings
    }

    fn wrappers(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (directory, package) in self.ours.iter().filter(|(name, _)| is_published(name)) {
            for (crates, allowed) in WRAPPERS {
                for name in crates.iter().filter(|name| package.dependencies.contains(**name)) {
                    if !allowed.contains(&directory.as_str()) {
                        findings.push(format!("{directory} names {name}: only {allowed:?} may"));
                    }
                }
            }
        }
        findings
    }

    fn bans(&self) -> Vec<String> {
        let present = self.names.values().filter(|name| BANNED.contains(&name.as_str()));
        present.map(|name| format!("{name} is in the tree")).collect()
    }

    fn sandbox(&self) -> Vec<String> {
        let names_it = |package: &Package| package.dependencies.contains("sigstore-sandbox");
        let users = self.ours.iter().filter(|(_, package)| names_it(package));
        users
            .filter(|(directory, _)| is_published(directory))
            .map(|(directory, _)| format!("{directory} depends on the sandbox outside its tests"))
            .collect()
    }

    fn manifests(&self) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        let ours = self.ours.get("host").context("there is no crate host")?;
        let rust_version = ours.manifest["rust_version"].as_str().unwrap_or_default();
        for (directory, package) in &self.ours {
            let manifest = &package.manifest;
            if manifest["features"].as_object().is_some_and(|features| !features.is_empty()) {
                findings.push(format!("{directory} has Cargo features"));
            }
            if manifest["rust_version"].as_str() != Some(rust_version) {
                findings.push(format!("{directory} does not state the Rust version it needs"));
            }
            let path = manifest["manifest_path"].as_str().unwrap_or_default();
            let text = std::fs::read_to_string(path)?;
            if !text.contains("[lints]\nworkspace = true") {
                findings.push(format!("{directory} does not take the lints of the workspace"));
            }
            if !is_published(directory) {
                continue;
            }
            let readme = Path::new(path).with_file_name("README.md");
            let readme = std::fs::read_to_string(readme).unwrap_or_default().to_lowercase();
            for word in [rust_version, "runtime"] {
                if !readme.contains(word) {
                    findings.push(format!("{directory}'s README does not speak of {word}"));
                }
            }
            for field in ["description", "license", "readme", "repository"] {
                if manifest[field].is_null() {
                    findings.push(format!("{directory} has no {field}"));
                }
            }
        }
        for (name, version) in &self.rust_versions {
            if release(version) > release(rust_version) {
                findings.push(format!("{name} needs Rust {version}, we promise {rust_version}"));
            }
        }
        Ok(findings)
    }

    /// The names of all packages that a build of `id` needs.
    fn reached(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.graph.get(id).into_iter().flatten().map(String::as_str));
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id)).map(String::as_str).collect()
    }
}

/// The tasks and the support of the tests are for this workspace only.
fn is_published(directory: &str) -> bool {
    !["xtask", "harness"].contains(&directory)
}

/// The pure crates have the lint lists of the root, and more: clippy reads only the nearest file.
fn lint_lists() -> Result<Vec<String>> {
    let read = |path: &str| {
        let text =
            std::fs::read_to_string(workspace::root().join(path)).context(path.to_owned())?;
        Ok::<_, anyhow::Error>(
            text.lines().skip_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n"),
        )
    };
    let of_root = read(".clippy.toml")?;
    let mut findings = Vec::new();
    for directory in PURE {
        let path = format!("crates/{directory}/clippy.toml");
        let own = read(&path)?;
        if !own.starts_with(&of_root) || !own.contains("std::sync::Mutex") {
            findings.push(format!("{path} does not begin with the lists of .clippy.toml"));
        }
    }
    Ok(findings)
}

/// Where the code of each crate is, that of its tests included. The tests beside `crates` are the
/// program's.
fn places<'a>(ours: impl Iterator<Item = &'a str>) -> Vec<(String, Vec<PathBuf>)> {
    let root = workspace::root();
    let published = ours.filter(|directory| is_published(directory)).map(|directory| {
        let mut places = ["src", "tests", "benches"]
            .map(|it| root.join("crates").join(directory).join(it))
            .to_vec();
        if directory == "cli" {
            let suites = ["it", "platforms", "interop", "conformance", "fuzz"];
            places.extend(suites.map(|suite| root.join("tests").join(suite)));
        }
        (directory.to_owned(), places)
    });
    let others = [("harness", "tests/harness/src"), ("xtask", "xtask/src"), ("fuzz", "fuzz/src")];
    let others = others.map(|(name, place)| (name.to_owned(), vec![root.join(place)]));
    published.chain(others).collect()
}

/// The files of a crate: their length, the words of their texts, and no circles. What code may call
/// is checked by clippy (`.clippy.toml` of the root, `clippy.toml` of some crates).
fn sources(directory: &str) -> Result<Vec<String>> {
    let is_program = directory == "cli";
    let source = workspace::root().join("crates").join(directory).join("src");
    let [of_program, of_library] = LONGEST;
    let mut findings = too_long(&source, if is_program { of_program } else { of_library })?;
    if is_program {
        let lines = lines(&source)?;
        let finding = format!("all files have {lines} lines, more than {LARGEST_PROGRAM}");
        findings.extend((lines > LARGEST_PROGRAM).then_some(finding));
    }
    findings.extend(circles::find(&source)?);
    findings.extend(words::find(&source, is_program)?);
    Ok(findings.into_iter().map(|finding| format!("{directory}/src: {finding}")).collect())
}

fn too_long(source: &Path, longest: usize) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in source::rust_files(source)? {
        let lines = std::fs::read_to_string(&file)?.lines().count();
        if lines > longest && !GENERATED.iter().any(|name| file.ends_with(name)) {
            let file = file.strip_prefix(source)?.display();
            findings.push(format!("{file} has {lines} lines, more than {longest}"));
        }
    }
    Ok(findings)
}

/// The lines of all files below `source`.
fn lines(source: &Path) -> Result<usize> {
    let files = source::rust_files(source)?;
    let lines = |file: &PathBuf| Ok(std::fs::read_to_string(file)?.lines().count());
    files.iter().map(lines).sum()
}

/// `1.88` and `1.88.0` are the same release.
fn release(version: &str) -> Vec<u32> {
    version.split('.').take(2).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_invariants_of_the_architecture_hold() {
        let findings = super::check().unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}
