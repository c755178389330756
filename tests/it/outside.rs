//! A project outside the workspace takes the crates one by one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use harness::Setup;
use sandbox::RekorVersion;

/// Signs a file; the README shows it, too.
const FILE_PROGRAM: &str = include_str!("../fixtures/outside/main.rs");

/// Signs an image, verifies it and shows the signer.
const IMAGE_PROGRAM: &str = include_str!("../fixtures/outside/image.rs");

/// Crates without an example: the program, whose README shows its commands.
const WITHOUT_EXAMPLE: [&str; 1] = ["cli"];

/// Crates of others that the examples may use, and how.
const OTHERS: [(&str, &str); 5] = [
    ("bytes", "\"1\""),
    ("futures-util", "{ version = \"0.3\", default-features = false }"),
    ("http", "\"1\""),
    ("serde_json", "\"1\""),
    ("tokio", "{ version = \"1\", features = [\"macros\", \"net\", \"rt\", \"time\"] }"),
];

#[test]
fn a_project_outside_the_workspace_signs_a_file_in_under_forty_lines() {
    assert!(FILE_PROGRAM.lines().count() < 40);
    let project = Project::new("file", &[("signs-file", None, FILE_PROGRAM)]);
    project.cargo(&["build"]);

    let setup = Setup::new();
    let file = setup.write("artifact.txt", "signed from outside\n");
    let bundle = setup.path("artifact.txt.sigstore.json");
    let signed = Command::new(project.program("signs-file"))
        .arg(&file)
        .arg(&bundle)
        .arg(setup.sandbox.signing_config(RekorVersion::V2))
        .arg(setup.sandbox.trusted_root())
        .env_clear()
        .envs(setup.sandbox.github_env())
        .output()
        .unwrap();
    assert!(signed.status.success(), "{signed:#?}");
    assert_eq!(text(&signed), format!("signed as {}\n", setup.sandbox.github_identity()));
    setup.program().arg("verify-blob").arg(&file).args(setup.by_job()).run().ends(0);
}

#[test]
fn a_project_outside_signs_and_verifies_an_image_in_25_lines_without_a_command_line_parser() {
    assert!(IMAGE_PROGRAM.lines().count() <= 25);
    let project = Project::new("image", &[("signs-image", None, IMAGE_PROGRAM)]);
    let tree = project.cargo(&["tree", "--edges", "normal", "--prefix", "none"]);
    let tree = text(&tree);
    assert!(tree.contains("image-signing v"), "{tree}");
    for not_there in ["clap v", "indicatif v", "ambisign v", "sigstore-sandbox v"] {
        let found = tree.lines().find(|line| line.starts_with(not_there));
        assert_eq!(found, None, "in the tree of image-signing");
    }
    project.cargo(&["build"]);

    let setup = Setup::new();
    let image = setup.image("demo/app");
    let signed = Command::new(project.program("signs-image"))
        .arg(&image)
        .arg(setup.sandbox.signing_config(RekorVersion::V2))
        .arg(setup.sandbox.trusted_root())
        .env_clear()
        .envs(setup.sandbox.github_env())
        .output()
        .unwrap();
    assert!(signed.status.success(), "{signed:#?}");
    let (identity, issuer) = (setup.sandbox.github_identity(), setup.sandbox.github_issuer());
    assert_eq!(text(&signed), format!("{identity} ({issuer})\n"));
    setup.program().args(["verify", &image]).args(setup.by_job()).run().ends(0);
}

#[test]
fn the_example_of_each_crate_compiles_in_a_project_outside() {
    let crates = crates();
    let mut programs = Vec::new();
    for (directory, package) in &crates {
        let readme = workspace().join("crates").join(directory).join("README.md");
        let readme = fs::read_to_string(readme).unwrap();
        match example(&readme) {
            Some(example) => programs.push((format!("reads-{directory}"), package, example)),
            None => assert!(WITHOUT_EXAMPLE.contains(&directory.as_str()), "{directory}"),
        }
    }
    let programs: Vec<_> = programs
        .iter()
        .map(|(name, package, example)| (name.as_str(), Some(package.as_str()), example.as_str()))
        .collect();
    let project = Project::new("readmes", &programs);
    project.cargo(&["check", "--workspace"]);
}

/// Programs in a workspace of their own. They share what they compile with those of other tests
/// and of other runs: the dependencies take a minute.
struct Project {
    directory: PathBuf,
    _one_at_a_time: MutexGuard<'static, ()>,
}

impl Project {
    /// Each program has a name, the package it is the example of, and its text.
    fn new(name: &str, programs: &[(&str, Option<&str>, &str)]) -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = target().join("projects").join(name);
        let _ = fs::remove_dir_all(&directory);
        let crates = crates();
        let mut members = Vec::new();
        for (member, package, text) in programs {
            let source = directory.join(member).join("src");
            fs::create_dir_all(&source).unwrap();
            fs::write(source.join("main.rs"), text).unwrap();
            let manifest = manifest(member, *package, text, &crates);
            fs::write(directory.join(member).join("Cargo.toml"), manifest).unwrap();
            members.push(*member);
        }
        let workspace_manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n\
             [profile.dev]\ndebug = false\nincremental = false\n"
        );
        fs::write(directory.join("Cargo.toml"), workspace_manifest).unwrap();
        // The versions of the lock file were fetched before: no network is needed.
        fs::copy(workspace().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
        Self { directory, _one_at_a_time: one_at_a_time }
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(arguments)
            .args(["--offline", "--quiet"])
            .current_dir(&self.directory)
            .env("CARGO_TARGET_DIR", target())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn program(&self, name: &str) -> PathBuf {
        target().join("debug").join(name)
    }
}

/// A manifest with the crates that `text` names: the one it is the example of under its own name,
/// the others under the names of their directories.
fn manifest(
    member: &str,
    example_of: Option<&str>,
    text: &str,
    crates: &[(String, String)],
) -> String {
    let names = |name: &str| {
        let name = name.replace('-', "_");
        [format!("{name}::"), format!("use {name};"), format!("use {name} as")]
            .iter()
            .any(|used| text.match_indices(used.as_str()).any(|(at, _)| is_start(text, at, used)))
    };
    let mut manifest = format!(
        "[package]\nname = \"{member}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n"
    );
    for (directory, package) in crates {
        let path = workspace().join("crates").join(directory);
        if example_of == Some(package) {
            writeln!(manifest, "{package} = {{ path = {path:?} }}").unwrap();
        }
        // A package cannot be depended on by two names.
        if names(directory) && example_of != Some(package) {
            writeln!(manifest, "{directory} = {{ package = {package:?}, path = {path:?} }}")
                .unwrap();
        }
    }
    for (name, requirement) in OTHERS.iter().filter(|(name, _)| names(name)) {
        writeln!(manifest, "{name} = {requirement}").unwrap();
    }
    manifest
}

/// Whether what is used at `at` is the start of a path and not the middle of one.
fn is_start(text: &str, at: usize, used: &str) -> bool {
    let before = text[..at].chars().next_back();
    used.starts_with("use ") || !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

/// Directories and packages of our crates.
fn crates() -> Vec<(String, String)> {
    let mut crates: Vec<_> = fs::read_dir(workspace().join("crates"))
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let manifest = fs::read_to_string(path.join("Cargo.toml")).ok()?;
            let package = manifest.lines().find_map(|line| line.strip_prefix("name = "))?;
            let directory = path.file_name()?.to_str()?.to_owned();
            Some((directory, package.trim_matches('"').to_owned()))
        })
        .collect();
    crates.sort();
    crates
}

/// The first block of Rust in `readme`, as rustdoc compiles it.
fn example(readme: &str) -> Option<String> {
    let mut lines = readme.lines();
    loop {
        let kind = lines.find_map(|line| line.strip_prefix("```"))?;
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if !["", "rust", "no_run", "rust,no_run"].contains(&kind) {
            continue;
        }
        let shown = |line: &&str| match *line {
            "#" => String::new(),
            line => line.strip_prefix("# ").unwrap_or(line).to_owned(),
        };
        let code = block.iter().map(shown).collect::<Vec<_>>().join("\n");
        if code.contains("fn main()") {
            return Some(code);
        }
        let error = code.split_once("Ok::<(), ").and_then(|(_, rest)| rest.split_once(">(())"));
        return Some(match error {
            Some((error, _)) => format!("fn main() -> Result<(), {error}> {{\n{code}\n}}\n"),
            None => format!("fn main() {{\n{code}\n}}\n"),
        });
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outside")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
