//! What ambisign costs, beside cosign, on the same machine in the same run.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::cmd;

use crate::measure::{Cost, cost};
use crate::stage::{Registry, Stage};
use crate::{peers, workspace};

/// How often each command is run; the median counts.
const RUNS: usize = 5;

/// The task.
pub(crate) fn run() -> Result<()> {
    let cosign = peers::fetch()?.join("usr/bin/cosign");
    println!("Building the release program ...");
    let ambisign = workspace::build_programs(true)?.join("ambisign");
    let stage = Stage::set(Registry::Sandbox)?;
    let bench = Bench { stage, ambisign, cosign };
    bench.run()?;
    bench.stage.strike()?;
    println!("\nOne bundle verified in process, and the signature checks in it alone:\n");
    let shell = workspace::shell()?;
    let verification =
        cmd!(shell, "cargo bench --quiet --locked -p ambisign-verify --bench verification");
    Ok(verification.quiet().run()?)
}

struct Bench {
    stage: Stage,
    ambisign: PathBuf,
    cosign: PathBuf,
}

impl Bench {
    fn run(&self) -> Result<()> {
        println!(
            "\n{:<34}{:>12}{:>12}{:>12}{:>12}",
            "", "wall ms", "CPU ms", "memory MB", "size MB"
        );
        for (name, program) in self.programs() {
            let bytes = std::fs::metadata(program)?.len();
            let cost = self.measure(program, &["version"], &[])?;
            row(&format!("{name} version"), cost, Some(bytes));
        }
        self.identities()?;
        let sandbox = &self.stage.running;
        let root = sandbox.trusted_root().display().to_string();
        let email = "someone@example.org";
        let token = self.stage.home().join("token");
        let issuer = sandbox.endpoints().oidc.to_string();
        for (name, program) in self.programs() {
            let image = self.stage.push("bench/app", name, name)?;
            for version in [1, 2] {
                std::fs::write(&token, sandbox.email_token(email)?)?;
                let rekor = match version {
                    1 => sandbox::RekorVersion::V1,
                    _ => sandbox::RekorVersion::V2,
                };
                let config = sandbox.signing_config(rekor).display().to_string();
                let token = token.display().to_string();
                let arguments = [
                    "sign",
                    "--yes",
                    "--signing-config",
                    &config,
                    "--trusted-root",
                    &root,
                    "--identity-token",
                    &token,
                    &image,
                ];
                let cost = self.measure(program, &arguments, &[])?;
                row(&format!("{name} sign, Rekor v{version}"), cost, None);
            }
            let image =
                self.stage.push("bench/app", &format!("{name}-once"), &format!("{name} once"))?;
            self.sign_once(program, &image, &root, email)?;
            let arguments = [
                "verify",
                "--trusted-root",
                &root,
                "--certificate-identity",
                email,
                "--certificate-oidc-issuer",
                &issuer,
                &image,
            ];
            let cost = self.measure(program, &arguments, &[])?;
            row(&format!("{name} verify, one signature"), cost, None);
        }
        Ok(())
    }

    /// From a cold start to a token and what its certificate will say. cosign has no such command.
    fn identities(&self) -> Result<()> {
        let sandbox = &self.stage.running;
        for (place, env) in [
            ("a GitHub job", sandbox.platform_env("github")?),
            ("a SPIFFE workload", sandbox.platform_env("spiffe")?),
            ("a token file", sandbox.platform_env("token-file")?),
        ] {
            let cost = self.measure(&self.ambisign, &["identity"], &env)?;
            row(&format!("ambisign identity, {place}"), cost, None);
        }
        Ok(())
    }

    fn programs(&self) -> [(&'static str, &Path); 2] {
        [("ambisign", &self.ambisign), ("cosign", &self.cosign)]
    }

    fn sign_once(&self, program: &Path, image: &str, root: &str, email: &str) -> Result<()> {
        let sandbox = &self.stage.running;
        let token = self.stage.home().join("token");
        std::fs::write(&token, sandbox.email_token(email)?)?;
        let config = sandbox.signing_config(sandbox::RekorVersion::V1).display().to_string();
        let token = token.display().to_string();
        let arguments = [
            "sign",
            "--yes",
            "--signing-config",
            &config,
            "--trusted-root",
            root,
            "--identity-token",
            &token,
            image,
        ];
        self.one(program, &arguments, &[]).map(drop)
    }

    /// The median run, by wall time.
    fn measure(
        &self,
        program: &Path,
        arguments: &[&str],
        env: &[(String, String)],
    ) -> Result<Cost> {
        let mut costs =
            (0..RUNS).map(|_| self.one(program, arguments, env)).collect::<Result<Vec<_>>>()?;
        costs.sort_by_key(|cost| cost.wall);
        costs.get(RUNS / 2).copied().context("nothing was measured")
    }

    fn one(&self, program: &Path, arguments: &[&str], env: &[(String, String)]) -> Result<Cost> {
        let mut command = vec![program.display().to_string()];
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        cost(&command, &self.stage.env(env))
    }
}

fn row(name: &str, cost: Cost, bytes: Option<u64>) {
    let size = bytes.map_or_else(String::new, |bytes| format!("{:.1}", bytes as f64 / 1e6));
    let wall = cost.wall.as_secs_f64() * 1e3;
    let cpu = cost.cpu.as_secs_f64() * 1e3;
    let memory = cost.memory as f64 / 1024.0;
    println!("{name:<34}{wall:>12.1}{cpu:>12.1}{memory:>12.1}{size:>12}");
}
