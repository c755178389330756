//! What ambisign costs, beside cosign, on the same machine in the same run.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::cmd;

use crate::measure::{Cost, cost};
use crate::stage::{Registry, Stage};
use crate::{peers, workspace};

/// How often each command is run; the median counts.
const RUNS: usize = 5;

/// How many images are signed in one call.
const IMAGES: usize = 10;

/// The size of the file that is signed, in bytes.
const LARGE: u64 = 1 << 30;

/// Who signs.
const EMAIL: &str = "someone@example.org";

/// The task.
pub(crate) fn run() -> Result<()> {
    let cosign = peers::fetch()?.join("usr/bin/cosign");
    println!("Building the release program ...");
    let ambisign = workspace::build_release()?;
    let stage = Stage::set(Registry::Sandbox)?;
    let bench = Bench { stage, programs: [("ambisign", ambisign), ("cosign", cosign)] };
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
    programs: [(&'static str, PathBuf); 2],
}

impl Bench {
    fn run(&self) -> Result<()> {
        let cores = std::thread::available_parallelism()?;
        println!("\n{cores} cores, {}; the median of {RUNS} runs\n", std::env::consts::ARCH);
        println!("| | | wall ms | CPU ms | memory MB | size MB |");
        println!("|---|---|---:|---:|---:|---:|");
        self.row("`version`", |_, program| {
            let bytes = std::fs::metadata(program)?.len();
            Ok((self.median(program, || Ok(vec!["version".to_owned()]))?, Some(bytes)))
        })?;
        self.identities()?;
        for (version, what) in [
            (sandbox::RekorVersion::V1, "`sign`, Rekor v1"),
            (sandbox::RekorVersion::V2, "`sign`, Rekor v2"),
        ] {
            self.row(what, |name, program| {
                let image = self.stage.push("bench/app", name, name)?;
                let sign = || Ok([self.signing("sign", version)?, vec![image.clone()]].concat());
                Ok((self.median(program, sign)?, None))
            })?;
        }
        self.row(&format!("`sign` of {IMAGES} images"), |name, program| {
            let push = |number| {
                let repository = format!("bench/{name}{number}");
                self.stage.push(&repository, "v1", &repository)
            };
            let images = (0..IMAGES).map(push).collect::<Result<Vec<_>>>()?;
            let sign =
                || Ok([self.signing("sign", sandbox::RekorVersion::V1)?, images.clone()].concat());
            Ok((self.median(program, sign)?, None))
        })?;
        self.row("`verify`, one signature", |name, program| {
            let greeting = format!("{name} once");
            let image = self.stage.push("bench/once", name, &greeting)?;
            let sign = self.signing("sign", sandbox::RekorVersion::V1)?;
            self.once(program, &[sign, vec![image.clone()]].concat())?;
            let verify = || Ok([self.verifying("verify"), vec![image.clone()]].concat());
            Ok((self.median(program, verify)?, None))
        })?;
        let large = self.stage.home().join("large");
        File::create(&large)?.set_len(LARGE)?;
        let [large, bundle] =
            [large, self.stage.home().join("bundle.json")].map(|path| path.display().to_string());
        let target = || vec!["--bundle".to_owned(), bundle.clone(), large.clone()];
        self.row("`sign-blob`, 1 GiB", |_, program| {
            let sign =
                || Ok([self.signing("sign-blob", sandbox::RekorVersion::V1)?, target()].concat());
            Ok((self.median(program, sign)?, None))
        })?;
        self.row("`verify-blob`, 1 GiB", |_, program| {
            let verify = || Ok([self.verifying("verify-blob"), target()].concat());
            Ok((self.median(program, verify)?, None))
        })
    }

    /// A row for each program, as Markdown.
    fn row(
        &self,
        what: &str,
        measure: impl Fn(&str, &Path) -> Result<(Cost, Option<u64>)>,
    ) -> Result<()> {
        for (name, program) in &self.programs {
            let (cost, bytes) = measure(name, program)?;
            print_row(what, name, &cost, bytes);
        }
        Ok(())
    }

    /// From a cold start to a token and what its certificate will say. cosign has no such command.
    fn identities(&self) -> Result<()> {
        let [(name, program), _] = &self.programs;
        for (place, what) in [
            ("github", "a GitHub job"),
            ("spiffe", "a SPIFFE workload"),
            ("token-file", "a token file"),
        ] {
            let env = self.stage.running.platform_env(place)?;
            let command = [program.display().to_string(), "identity".to_owned()];
            let one = |_| cost(&command, &self.stage.env(&env));
            let cost = median((0..RUNS).map(one).collect::<Result<Vec<_>>>()?)?;
            print_row(&format!("`identity` of {what}"), name, &cost, None);
        }
        Ok(())
    }

    /// The beginning of a command that signs, with a new token.
    fn signing(&self, command: &str, log: sandbox::RekorVersion) -> Result<Vec<String>> {
        let sandbox = &self.stage.running;
        let token = self.stage.home().join("token");
        std::fs::write(&token, sandbox.email_token(EMAIL)?)?;
        let config = sandbox.signing_config(log).display().to_string();
        let token = token.display().to_string();
        let arguments = [command, "--yes", "--signing-config", &config, "--identity-token", &token];
        Ok(self.trusting(&arguments))
    }

    /// The beginning of a command that verifies.
    fn verifying(&self, command: &str) -> Vec<String> {
        let issuer = self.stage.running.endpoints().oidc.clone();
        let identity = ["--certificate-identity", EMAIL, "--certificate-oidc-issuer", &issuer];
        self.trusting(&[[command].as_slice(), &identity].concat())
    }

    fn trusting(&self, arguments: &[&str]) -> Vec<String> {
        let root = self.stage.running.trusted_root().display().to_string();
        let root = ["--trusted-root", &root];
        [arguments, &root].concat().into_iter().map(str::to_owned).collect()
    }

    /// What one of several runs costs, as a rule.
    fn median(&self, program: &Path, arguments: impl Fn() -> Result<Vec<String>>) -> Result<Cost> {
        let one = |_| self.once(program, &arguments()?);
        median((0..RUNS).map(one).collect::<Result<Vec<_>>>()?)
    }

    fn once(&self, program: &Path, arguments: &[String]) -> Result<Cost> {
        self.stage.go_on()?;
        let command = [&[program.display().to_string()], arguments].concat();
        cost(&command, &self.stage.env(&[]))
    }
}

/// The median run, by wall time, with the most memory that any run was seen to need.
fn median(mut costs: Vec<Cost>) -> Result<Cost> {
    let memory = costs.iter().filter_map(|cost| cost.memory).max();
    costs.sort_by_key(|cost| cost.wall);
    let median = costs.get(costs.len() / 2).copied().context("nothing was measured")?;
    Ok(Cost { memory, ..median })
}

/// One row of a table in Markdown.
fn print_row(what: &str, name: &str, cost: &Cost, bytes: Option<u64>) {
    let size = bytes.map_or_else(String::new, |bytes| format!("{:.1}", bytes as f64 / 1e6));
    let wall = cost.wall.as_secs_f64() * 1e3;
    let cpu = cost.cpu.as_secs_f64() * 1e3;
    let memory = cost
        .memory
        .map_or_else(|| "?".to_owned(), |memory| format!("{:.1}", memory as f64 / 1024.0));
    println!("| {what} | {name} | {wall:.1} | {cpu:.1} | {memory} | {size} |");
}
