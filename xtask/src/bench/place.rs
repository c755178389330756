//! Where and with what it was measured, and what can be counted without running anything.

use anyhow::{Context as _, Result};
use sandbox::{Config, Sandbox};
use serde_json::{Value, json};
use xshell::cmd;

use super::lab::{Lab, Program};
use super::rounds::median;
use crate::workspace;

/// Where and when it was measured.
pub(crate) struct Setting {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) versions: Vec<String>,
}

impl Setting {
    pub(crate) fn here(lab: &Lab) -> Result<Self> {
        Ok(Self { date: date()?, machine: machine()?, versions: versions(lab)? })
    }
}

fn date() -> Result<String> {
    let shell = workspace::shell()?;
    Ok(cmd!(shell, "date -u +%Y-%m-%d").quiet().read()?)
}

fn machine() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    Ok(format!("{cores} cores, {model}, {} {}", std::env::consts::OS, std::env::consts::ARCH))
}

fn versions(lab: &Lab) -> Result<Vec<String>> {
    let size = |program| -> Result<String> {
        let bytes = std::fs::metadata(lab.path(program))?.len();
        Ok(format!("{:.1} MB", bytes as f64 / 1e6))
    };
    let ours = format!("ambisign {} ({})", env!("CARGO_PKG_VERSION"), size(Program::Ambisign)?);
    let unpacked = workspace::target().join("peers/usr/bin/versions");
    let unpacked = std::fs::read_to_string(unpacked).unwrap_or_default();
    let wanted = ["cosign", "oras", "docker-registry", "sigstore-go"];
    let mut all = vec![ours];
    for line in unpacked.lines() {
        match line.split(' ').next() {
            Some("cosign") => all.push(format!("{line} ({})", size(Program::Cosign)?)),
            Some(name) if wanted.contains(&name) => all.push(line.to_owned()),
            _ => {}
        }
    }
    Ok(all)
}

/// What is counted once.
pub(crate) struct Counts {
    /// The crates that the program is made of, its own included.
    crates: usize,
    /// How long a sandbox with new keys takes until it answers, in seconds.
    sandbox_start: f64,
    /// How long the program takes to build with nothing built before, in seconds.
    clean_build: Option<f64>,
}

impl Counts {
    pub(crate) fn of(lab: &Lab, clean_build: bool) -> Result<Self> {
        Ok(Self {
            crates: crates()?,
            sandbox_start: sandbox_start(lab)?,
            clean_build: clean_build.then(|| build(lab)).transpose()?,
        })
    }

    /// A section of the report.
    pub(crate) fn markdown(&self) -> String {
        let build = self.clean_build.map_or_else(String::new, |seconds| {
            format!("| release build with nothing built before | {seconds:.0} s |\n")
        });
        format!(
            "\n## Counted\n\n| | |\n|---|---:|\n| crates in the program, its own included | {} |\n\
             | start of a sandbox with new keys | {:.0} ms |\n{build}",
            self.crates,
            self.sandbox_start * 1e3,
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "crates": self.crates,
            "sandbox_start_seconds": self.sandbox_start,
            "clean_build_seconds": self.clean_build,
            "markdown": self.markdown(),
        })
    }
}

fn crates() -> Result<usize> {
    let shell = workspace::shell()?;
    let tree = ["-p", "ambisign", "-e", "normal", "--prefix", "none", "--format", "{p}"];
    let listed = cmd!(shell, "cargo tree --locked --quiet {tree...}").quiet().read()?;
    let mut names: Vec<&str> = listed.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.iter().filter(|name| !name.is_empty()).count())
}

fn sandbox_start(lab: &Lab) -> Result<f64> {
    let once = |round: usize| -> Result<f64> {
        lab.stage.go_on()?;
        let config = Config::new(lab.home().join(format!("another-sandbox-{round}")));
        let start = std::time::Instant::now();
        let running = lab.stage.runtime().block_on(Sandbox::start(config))?;
        let took = start.elapsed().as_secs_f64();
        lab.stage.runtime().block_on(running.stop());
        Ok(took)
    };
    let rounds = (0..7).map(once).collect::<Result<Vec<_>>>()?;
    median(rounds).context("nothing was measured")
}

fn build(lab: &Lab) -> Result<f64> {
    let target = lab.home().join("clean-build").display().to_string();
    let program = ["build", "--quiet", "--release", "--locked", "-p", "ambisign"];
    let manifest = workspace::root().join("Cargo.toml").display().to_string();
    let words = std::iter::once("cargo").chain(program).chain(["--manifest-path", &manifest]);
    let words: Vec<String> = words.map(str::to_owned).collect();
    let mut env: Vec<(String, String)> = std::env::vars().collect();
    env.push(("CARGO_TARGET_DIR".to_owned(), target));
    lab.allow(1800);
    Ok(lab.cost(&words, &env)?.wall.as_secs_f64())
}
