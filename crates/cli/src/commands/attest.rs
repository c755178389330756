//! `ambisign attest` and `ambisign attest-blob`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{SIZE_CAP, Subject};
use image_signing::file::{FileArgument, check_writable, is_same_file};
use image_signing::{Attestation, SignatureReport, provenance};
use keys::{Digest, HashAlgorithm};
use serde_json::{Map, Value, json};
use signer::Session;

use super::sign::Job;
use super::signing::{Signing, cannot_write, report_stream, write};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{AttestBlobFlags, AttestFlags, ClaimFlags, Output, SigningFlags};
use crate::output::{json_line, rfc3339};
use crate::{files, plan};

pub(crate) async fn attest(flags: &AttestFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let uses = flags.claim.path().filter(|path| files::is_standard(path));
    check_stdin(usize::from(uses.is_some()), &flags.signing)?;
    let claim = Claim::read(&flags.claim, context).await?;
    let job = Job {
        images: &flags.images,
        recursive: flags.recursive,
        upload: !flags.no_upload,
        bundle: flags.bundle.as_deref(),
        signing: &flags.signing,
        registry: &flags.registry,
        signature_tags: flags.attaching.signature_tags,
        done: "attested",
        lost: "with --no-upload the attestation would be lost",
    };
    job.run(context, Ok, async |signer, session| {
        Ok(signer.with_attestation(claim.attestation(session, context).await?))
    })
    .await
}

pub(crate) async fn attest_blob(
    flags: &AttestBlobFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let bundle = flags.bundle.as_path();
    let report = report_stream(Some(bundle), flags.signing.output())?;
    if !files::is_standard(bundle) {
        check_writable(bundle).map_err(|error| cannot_write(bundle, &error))?;
    }
    check_inputs(flags)?;
    let claim = Claim::read(&flags.claim, context).await?;
    let mut subjects = Vec::new();
    for file in &flags.files {
        let digest = match &flags.hash {
            Some(hex) => Digest::from_hex(HashAlgorithm::Sha256, &hex.to_ascii_lowercase())
                .map_err(|error| Failure::of(Exit::Usage, "--hash cannot be used", &error))?,
            None => sha256(file, context).await?,
        };
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let digests = BTreeMap::from([("sha256".to_owned(), digest.to_hex())]);
        subjects.push(Subject { name, digests, annotations: BTreeMap::new() });
    }
    if let Claim::Given(attestation) = &claim {
        // Refused before a certificate is requested.
        attestation.statement(subjects.clone())?;
    }
    let session = Signing::plan(&flags.signing, report, context).await?.session().await?;
    let statement = claim.attestation(&session, context).await?.statement(subjects)?;
    let signed = session.sign_statement(&statement).await?;
    write(bundle, &signed.bundle.to_json(), &context.console)?;
    let line = match flags.signing.output() {
        Output::Text => format!("attested as {}: {}", signed.identity.name, bundle.display()),
        Output::Json => {
            let mut report = json!(SignatureReport::new(&signed));
            report["subjects"] = json!(statement.subjects());
            report["bundle"] = bundle.display().to_string().into();
            json_line(&report)
        }
    };
    context.console.say(report, &line);
    Ok(())
}

/// Refuses a bundle that would overwrite what is read, and two uses of stdin.
fn check_inputs(flags: &AttestBlobFlags) -> Result<(), Failure> {
    if flags.hash.is_some() && flags.files.len() > 1 {
        return Err(Failure::usage("--hash is the digest of one file, and several are named"));
    }
    let claim = flags.claim.path();
    let read = flags.files.iter().map(PathBuf::as_path).chain(claim);
    if let Some(input) =
        read.clone().find(|input| !files::is_standard(input) && is_same_file(&flags.bundle, input))
    {
        let problem = format!("the bundle would overwrite {}", input.display());
        return Err(Failure::usage(problem).hint("use another --bundle FILE"));
    }
    let stdin = read.filter(|input| files::is_standard(input)).count();
    check_stdin(stdin, &flags.signing)
}

/// stdin can be read once: `uses` counts the uses beside the identity token.
fn check_stdin(uses: usize, signing: &SigningFlags) -> Result<(), Failure> {
    if uses + usize::from(signing.token_is_stdin()) < 2 {
        return Ok(());
    }
    Err(Failure::usage("stdin is named for two inputs, and can be read once")
        .hint("give one of them in a file"))
}

async fn sha256(file: &Path, context: &Context) -> Result<Digest, Failure> {
    context.console.wait_for(&format!("reading {}", file.display()));
    let paused = files::is_standard(file).then(|| context.pause());
    let digests = FileArgument::parse(file).digests(&[HashAlgorithm::Sha256]).await;
    drop(paused);
    context.console.settle();
    let digest = digests.map_err(image_signing::file::Error::from)?.pop();
    digest.ok_or_else(|| Failure::new(Exit::Failed, "the file has no digest"))
}

/// What is attested.
enum Claim {
    Given(Attestation),
    /// SLSA provenance of this job, with more external parameters.
    Provenance(Map<String, Value>),
}

impl Claim {
    async fn read(flags: &ClaimFlags, context: &Context) -> Result<Self, Failure> {
        let predicate_type = plan::predicate_type(&flags.r#type)?;
        let (flag, path) = match (&flags.predicate, &flags.statement) {
            (Some(path), _) => ("--predicate", path),
            (None, Some(path)) => ("--statement", path),
            (None, None) if predicate_type == PROVENANCE => {
                let Some(path) = &flags.provenance_parameters else {
                    return Ok(Self::Provenance(Map::new()));
                };
                let bytes = read("--provenance-parameters", path).await?;
                let problem = format!("cannot use --provenance-parameters {}", path.display());
                return serde_json::from_slice(&bytes)
                    .map(Self::Provenance)
                    .map_err(|error| Failure::of(Exit::Usage, problem, &error));
            }
            (None, None) => {
                return Err(Failure::usage("there is nothing to attest").hint(
                    "give a predicate: --predicate FILE, or --type slsaprovenance1 for the \
                     provenance of this job",
                ));
            }
        };
        let bytes = read(flag, path).await?;
        let attestation = match (&flags.statement, flags.r#type.as_str()) {
            (Some(_), _) => Attestation::parse_statement(&bytes)?,
            (None, "custom") => {
                let problem = format!("cannot use {flag} {}", path.display());
                let text = String::from_utf8(bytes)
                    .map_err(|error| Failure::of(Exit::Failed, problem, &error))?;
                Attestation::custom(&text, &rfc3339(context.now()))
            }
            (None, _) => Attestation::predicate(predicate_type, bytes)?,
        };
        Ok(Self::Given(attestation))
    }

    async fn attestation(
        &self,
        session: &Session,
        context: &Context,
    ) -> Result<Attestation, Failure> {
        match self {
            Self::Given(attestation) => Ok(attestation.clone()),
            Self::Provenance(parameters) => {
                let certificate = session.certificate().await?;
                Ok(provenance(&certificate, &*context.env, parameters.clone())?)
            }
        }
    }
}

async fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let problem = || format!("cannot use {flag} {}", path.display());
    let bytes = files::read(path, SIZE_CAP).await;
    bytes.map_err(|error| Failure::of(Exit::Failed, problem(), &error))
}

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
