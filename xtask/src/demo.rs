//! The main job, on this machine: sign an image with the identity a workload has, verify it, and
//! be refused a wrong identity.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::stage::{Registry, Stage};
use crate::workspace;

/// The task.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let registry = match arguments {
        [] => Registry::Sandbox,
        [flag, name] if flag == "--registry" && name == "docker-registry" => Registry::Docker,
        [flag, address] if flag == "--registry" => Registry::At(address.clone()),
        _ => bail!("usage: cargo xtask demo [--registry docker-registry|HOST:PORT]"),
    };
    println!("Building ambisign (a few minutes the first time) ...");
    let programs = workspace::build_programs()?;
    let start = Instant::now();
    let demo = Demo { stage: Stage::set(registry)?, program: programs.join("ambisign") };
    demo.play()?;
    let Demo { stage, .. } = demo;
    stage.strike()?;
    println!("\nDone in {:.1} s. Nothing is left running.", start.elapsed().as_secs_f64());
    Ok(())
}

struct Demo {
    stage: Stage,
    program: PathBuf,
}

impl Demo {
    fn play(&self) -> Result<()> {
        let sandbox = &self.stage.running;
        say("A Sigstore is running on this machine: an identity provider, Fulcio, Rekor, a");
        say("timestamp authority, a SPIFFE Workload API and a registry.");
        let image = self.stage.push("demo/app", "v1", "hello")?;
        say(&format!("An image for two platforms is in the registry: {image}"));

        say("\nA SPIFFE workload signs it. All it has is the socket of its Workload API:");
        let spiffe = sandbox.spiffe_env();
        self.step(&spiffe, &["identity"], 0)?;
        self.step(&spiffe, &["sign", &image], 0)?;

        say("\nA GitHub job signs it, too. All it has is the permission to ask who it is:");
        self.step(&sandbox.github_env(), &["sign", &image], 0)?;

        say("\nWhoever pulls the image asks whether the one they trust has signed it:");
        let workload = sandbox.registrations().first().context("the sandbox has no workload")?;
        let workload = workload.spiffe_id.to_string();
        self.verify(&image, &workload, &sandbox.spiffe_issuer(), 0)?;
        self.verify(&image, &sandbox.github_identity(), &sandbox.github_issuer(), 0)?;

        say("\nAnd is told when another identity signed:");
        self.verify(&image, "spiffe://example.org/ns/ci/sa/another", &sandbox.spiffe_issuer(), 12)
    }

    fn verify(&self, image: &str, identity: &str, issuer: &str, exit: i32) -> Result<()> {
        let arguments = [
            "verify",
            "--output=text",
            image,
            "--certificate-identity",
            identity,
            "--certificate-oidc-issuer",
            issuer,
        ];
        self.step(&[], &arguments, exit)
    }

    /// Shows a command, runs it and insists on its exit code.
    fn step(&self, identity: &[(String, String)], arguments: &[&str], exit: i32) -> Result<()> {
        println!("\n$ ambisign {}", shown(arguments));
        let mut command = self.stage.command(&self.program, identity);
        let status = self.stage.run(command.args(arguments))?;
        let found = status.code();
        ensure!(found == Some(exit), "expected the exit code {exit}, found {found:?}");
        if exit != 0 {
            println!("(exit code {exit})");
        }
        Ok(())
    }
}

fn say(text: &str) {
    println!("{text}");
}

/// The arguments as one would type them, on lines that fit.
fn shown(arguments: &[&str]) -> String {
    let mut line = String::new();
    for argument in arguments {
        if argument.starts_with("--certificate") {
            line.push_str("\\\n    ");
        }
        line.push_str(argument);
        line.push(' ');
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_that_the_readme_promises_succeeds() {
        run(&[]).unwrap();
    }
}
