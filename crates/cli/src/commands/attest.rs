//! `ambisign attest` and `ambisign attest-blob`.

use std::path::Path;
use std::sync::Arc;

use bundle::PREDICATE_CAP;
use image_signing::file::{Error, FileArgument, check_overwrites, write_or_keep};
use image_signing::{Claim, SignatureReport};
use serde_json::json;

use super::sign::Job;
use super::signing::{self, check_stdin, report_stream};
use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::files;
use crate::flags::{AttestBlobFlags, AttestFlags, ClaimFlags, Output};
use crate::output::json_line;

pub(crate) async fn attest(flags: &AttestFlags, context: &Arc<Context>) -> Result {
    let claimed = flags.claim.input().map(|(.., path)| path);
    let list = flags.images.many.from_file.as_deref();
    check_stdin(claimed.into_iter().chain(list), &flags.images.signing)?;
    let claim = claim(&flags.claim, context).await?;
    let job = Job {
        flags: &flags.images,
        annotations: &[],
        claim: Some(claim),
        attest: Some(flags),
        upload: !flags.no_upload,
        done: "attested",
        lost: "with --no-upload the attestation would be lost",
    };
    job.run(context).await
}

pub(crate) async fn attest_blob(flags: &AttestBlobFlags, context: &Arc<Context>) -> Result {
    let path = flags.bundle.as_path();
    let report = report_stream(Some(path), flags.signing.output())?;
    let claimed = flags.claim.input().map(|(.., path)| path);
    let read = || flags.files.iter().map(AsRef::as_ref).chain(claimed);
    check_stdin(read(), &flags.signing)?;
    let inputs: Vec<_> = read().map(|input: &Path| ("an input", input.to_owned())).collect();
    check_overwrites(&FileArgument::parse(path), &inputs)?;
    FileArgument::parse(path).check_writable()?;
    let claim = claim(&flags.claim, context).await?;
    if flags.hash.is_some() && flags.files.len() > 1 {
        return Err(Failure::usage("--hash is the digest of one file, and several are named"));
    }
    let mut subjects = Vec::new();
    for file in flags.files.iter().map(FileArgument::parse) {
        context.console.wait_for(&format!("reading {file}"));
        let _paused = file.is_standard().then(|| context.deadline.pause());
        subjects.push(file.subject(flags.hash.clone()).await.map_err(Error::from)?);
        context.console.settle();
    }
    // Refused before a certificate is requested.
    let size = claim.size(&subjects)?;
    let planned = signing::plan(&flags.signing, report, context).await?;
    let planned = planned.log_digest_only(flags.claim.log_digest_only);
    let session = signing::session(planned, &[&path.display().to_string()], size).await?;
    let attestation = claim.attested_by::<Failure>(&session, &*context.env).await?;
    let statement = attestation.statement(subjects)?;
    let signed = session.sign_statement(&statement).await?;
    let text = signed.bundle.json_text();
    match FileArgument::parse(path) {
        FileArgument::Standard => context.console.data(text),
        FileArgument::File(_) => {
            write_or_keep(path, &text).or_fail(|| format!("cannot write {}", path.display()))?;
        }
    }
    let line = match flags.signing.output() {
        Output::Text => format!("attested {}: {}", signed.by(), path.display()),
        Output::Json => {
            let mut report = json!(SignatureReport::new(&signed));
            report["subjects"] = json!(statement.subjects());
            report["bundle"] = path.display().to_string().into();
            json_line(&report)
        }
    };
    context.console.say(report, &line);
    Ok(())
}

/// What the flags say is attested.
async fn claim(flags: &ClaimFlags, context: &Context) -> Result<Claim> {
    let (input, problem) = match flags.input() {
        Some((kind, flag, path)) => {
            let bytes = files::read(flag, path, PREDICATE_CAP, context).await?;
            (Some((kind, bytes)), format!("cannot use {flag} {}", path.display()))
        }
        None => (None, String::new()),
    };
    let claim = Claim::parse(&flags.r#type, input, context.now()).or_fail(|| problem)?;
    claim.ok_or_else(|| {
        Failure::usage("there is nothing to attest").hint(
            "give a predicate: --predicate FILE, or --type slsaprovenance1 for the provenance of \
             this job",
        )
    })
}
