//! Completions, help texts and the list of variables.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use harness::{Program, Setup};
use sandbox::GithubJob;

const EXAMPLES: &str = include_str!("../../crates/cli/data/examples.txt");
const COMMANDS: &str = include_str!("../../crates/cli/data/commands.txt");

fn program() -> Program {
    Program::new(Path::new("/"))
}

/// The commands that have examples, with the lines of each.
fn examples() -> Vec<(&'static str, Vec<String>)> {
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for line in EXAMPLES.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            found.push((name, Vec::new()));
        } else if let (Some((_, lines)), false) = (found.last_mut(), line.starts_with('#'))
            && !line.is_empty()
        {
            let goes_on = lines.last().is_some_and(|before| before.ends_with('\\'));
            match lines.last_mut() {
                Some(before) if goes_on => before.push_str(&format!("\n{line}")),
                _ => lines.push(line.to_owned()),
            }
        }
    }
    found
}

#[test]
fn every_example_of_a_help_text_does_what_it_says() {
    let setup = Setup::with(|config| {
        let repository = "acme/app".to_owned();
        config.github_job = GithubJob { repository, ..GithubJob::default() };
    });
    setup.image("acme/app");
    for (name, content) in [
        ("app.tar", "an archive"),
        ("notes.txt", "notes"),
        ("sbom.json", "{\"bomFormat\": \"CycloneDX\"}"),
    ] {
        setup.write(name, content);
    }
    let rule = |list: &str, pattern: &str| {
        format!(
            "[[{list}]]\npatterns = [\"{pattern}\"]\n[[{list}.identities]]\n\
             identity = \"{}\"\nissuer = \"{}\"\n",
            setup.sandbox.github_identity(),
            setup.sandbox.github_issuer()
        )
    };
    setup.write("policy.toml", rule("images", "**") + &rule("files", "*.tar"));
    let key = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(setup.path("openssl.pem"))
        .output();
    assert!(key.is_ok_and(|output| output.status.success()));
    std::fs::copy(setup.sandbox.tuf_root(), setup.path("tuf-root.json")).unwrap();
    let program = harness::ambisign();
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let known: BTreeSet<_> = ["help", "image-verifier"].into();
    let found = examples();
    for name in
        COMMANDS.lines().filter(|it| !it.starts_with(['#', '['])).flat_map(|it| it.split(' '))
    {
        let three = found.iter().any(|(of, lines)| *of == name && lines.len() == 3);
        assert!(three || known.contains(name), "{name} has no three examples");
    }
    for line in found.iter().flat_map(|(_, lines)| lines) {
        let here = line
            .replace("ghcr.io", setup.sandbox.registry())
            .replace("https://token.actions.githubusercontent.com", &setup.sandbox.github_issuer())
            .replace("https://tuf.acme.example", setup.sandbox.tuf_url());
        let mut shell = Command::new("sh");
        shell.args(["-c", &here]).env_clear().env("PATH", &path).env("HOME", setup.path(""));
        shell.envs(setup.sandbox.trust_env()).envs(setup.sandbox.github_env());
        let output = shell.current_dir(setup.path("")).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

#[test]
fn the_help_lists_every_command_in_one_group_and_shows_its_examples() {
    let listed: Vec<_> = COMMANDS
        .lines()
        .filter(|line| !line.starts_with(['#', '[']))
        .flat_map(|line| line.split(' '))
        .collect();
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len());
    let commands = ambisign::command();
    for command in commands.get_subcommands().map(clap_name) {
        assert!(listed.contains(&command.as_str()), "{command} is in no group");
    }
    for columns in ["60", "80", "120"] {
        let help = program().env("COLUMNS", columns).arg("--help").run().ends(0).stdout;
        let wide = help.lines().find(|line| line.chars().count() > columns.parse().unwrap());
        assert_eq!(wide, None, "{columns}");
        for name in &listed {
            let lines =
                help.lines().filter(|line| line.trim_start().split(' ').next() == Some(name));
            assert!(lines.count() >= 1, "{name} is missing in {help}");
        }
    }
    for (name, lines) in examples() {
        let help = program().args(["help", name]).run().ends(0).stdout;
        for line in lines.iter().flat_map(|example| example.lines()) {
            assert!(help.contains(&format!("  {line}\n")), "{line} is missing in {help}");
        }
    }
}

fn clap_name(command: &clap::Command) -> String {
    command.get_name().to_owned()
}

#[test]
fn completions_of_five_shells_know_every_command() {
    let commands: Vec<_> = ambisign::command().get_subcommands().map(clap_name).collect();
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = program().args(["completion", shell]).run().ends(0).stdout;
        for command in &commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
        assert!(script.contains("certificate-identity"), "{shell} does not know a flag");
        if shell == "bash" {
            let file = directory.path().join("ambisign");
            std::fs::write(&file, script).unwrap();
            let ask = format!(
                "source {}; COMP_WORDS=(ambisign ver); COMP_CWORD=1; \
                 _ambisign ambisign ver ambisign; echo \"${{COMPREPLY[@]}}\"",
                file.display()
            );
            let told = Command::new("bash").args(["-c", &ask]).output().unwrap();
            let told = String::from_utf8(told.stdout).unwrap();
            assert!(told.contains("verify verify-attestation"), "{told}");
        }
    }
    let other = program().args(["completion", "tcsh"]).run().ends(2);
    other.says(&["possible values: bash, elvish, fish, powershell, zsh"]);
}

#[test]
fn every_variable_that_is_read_is_listed_with_its_meaning_and_no_value() {
    let program = || program().env("AMBISIGN_REGISTRY_PASSWORD", "hunter2").arg("env");
    let all = program().run().ends(0).hides("hunter2").stdout;
    assert!(all.contains("AMBISIGN_REGISTRY_PASSWORD (set)  --registry-password: "), "{all}");
    assert!(all.contains("COSIGN_TIMEOUT  --timeout: Stop after this time"), "{all}");
    let set = program().arg("--set").run().ends(0).stdout;
    assert!(set.lines().count() < 10 && set.contains("REGISTRY_PASSWORD"), "{set}");
    let json = program().args(["-o", "json"]).run().ends(0).json();
    let names: BTreeSet<_> = json.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), json.len(), "a variable is listed twice");
    // What the libraries name in capital letters is a variable that they read, or something else.
    let mut read = BTreeSet::new();
    for name in ["cloud-credentials", "http-client", "oidc-ambient", "oci-push", "trust-update"] {
        let sources = harness::workspace().join("crates").join(name).join("src");
        capitals(&sources, &mut read);
    }
    let missing: Vec<_> = read
        .iter()
        .filter(|name| !names.contains(name.as_str()) && !OTHERS.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "`ambisign env` does not list {missing:?}");
}

/// Texts in capital letters that are no variables.
const OTHERS: [&str; 20] = [
    "AMBISIGN_UNSET",
    "BLOB_UPLOAD_UNKNOWN",
    "CARGO_MANIFEST_DIR",
    "CARGO_PKG_VERSION",
    "DENIED",
    "HTTPS",
    "JSON",
    "MANIFEST_BLOB_UNKNOWN",
    "NAME_UNKNOWN",
    "POST",
    "RS256",
    "TOOMANYREQUESTS",
    "AMBISIGN_IDENTITY_TOKEN",
    "COSIGN_IDENTITY_TOKEN",
    "MANIFEST_UNKNOWN",
    "UNAUTHORIZED",
    "UNSUPPORTED",
    "DIGEST_INVALID",
    "TAG_INVALID",
    "MANIFEST_INVALID",
];

/// The texts in capital letters in the sources below `directory`, apart from their tests.
fn capitals(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            capitals(&path, into);
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for text in line.split('"').skip(1).step_by(2) {
                let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if text.len() > 3
                    && text.starts_with(|c: char| c.is_ascii_uppercase())
                    && text.chars().all(is_name)
                {
                    into.insert(text.to_owned());
                }
            }
        }
    }
}
