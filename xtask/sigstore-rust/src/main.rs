//! sigstore-rust as a program: reads one JSON document from stdin, writes one to stdout.
//!
//! In: `{"root": FILE, "identity": TEXT, "issuer": TEXT, "cases": [{"bundle": FILE, "artifact":
//! FILE}]}`. Out: a list, a text each: empty when the bundle verifies, else why it does not.
//!
//! With the arguments `rate ROOT BUNDLE ARTIFACT IDENTITY ISSUER` it prints how often per second the
//! bundle is verified.

mod provider;

use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::Bundle;
use sigstore_verify::{VerificationPolicy, Verifier};

fn main() -> Result<(), Box<dyn Error>> {
    provider::install();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [task, rest @ ..] = arguments.as_slice()
        && task == "rate"
    {
        return print_rate(rest);
    }
    let mut request = String::new();
    std::io::stdin().take(1 << 24).read_to_string(&mut request)?;
    let request: Value = serde_json::from_str(&request)?;
    let text = |value: &Value, name: &str| -> Result<String, Box<dyn Error>> {
        Ok(value[name].as_str().ok_or_else(|| format!("no {name}"))?.to_owned())
    };
    let root = TrustedRoot::from_json(&fs::read_to_string(text(&request, "root")?)?)?;
    let verifier = Verifier::new(&root)?;
    let policy = VerificationPolicy::new(text(&request, "identity")?, text(&request, "issuer")?);
    let mut verdicts = Vec::new();
    for case in request["cases"].as_array().ok_or("no cases")? {
        let artifact = fs::read(text(case, "artifact")?)?;
        let bundle = fs::read(text(case, "bundle")?)?;
        let judged = || -> Result<(), Box<dyn Error>> {
            let bundle = Bundle::from_json(std::str::from_utf8(&bundle)?)?;
            verifier.verify(artifact.as_slice(), &bundle, &policy)?;
            Ok(())
        };
        verdicts.push(judged().err().map_or_else(String::new, |error| error.to_string()));
    }
    println!("{}", serde_json::to_string(&verdicts)?);
    Ok(())
}

fn print_rate(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [root, bundle, artifact, identity, issuer] = arguments else {
        return Err("expected ROOT BUNDLE ARTIFACT IDENTITY ISSUER".into());
    };
    let verifier = Verifier::new(&TrustedRoot::from_json(&fs::read_to_string(root)?)?)?;
    let policy = VerificationPolicy::new(identity.clone(), issuer.clone());
    let bundle = Bundle::from_json(&fs::read_to_string(bundle)?)?;
    let artifact = fs::read(artifact)?;
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < Duration::from_millis(500) {
        verifier.verify(artifact.as_slice(), &bundle, &policy)?;
        count += 1;
    }
    println!("{}", f64::from(count) / start.elapsed().as_secs_f64());
    Ok(())
}
