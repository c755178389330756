//! `ambisign sign-blob`.

use std::io::IsTerminal as _;
use std::sync::Arc;

use futures_util::StreamExt as _;
use image_signing::Jobs;
use image_signing::file::{self, FileArgument, FileToSign, Outputs, Pairs, SignedFile};

use super::signing::{self, WIDTH, report_stream};
use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::{Output, SignBlobFlags};
use crate::output::{Stream, json_line};

pub(crate) async fn sign_blob(flags: &SignBlobFlags, context: &Arc<Context>) -> Result {
    let console = &context.console;
    let files: Vec<_> = flags.files.iter().map(FileArgument::parse).collect();
    let outputs = Outputs {
        bundle: flags.bundle.as_ref().map(FileArgument::parse),
        earlier: !flags.new_bundle_format,
        signature: flags.output_signature.clone(),
        certificate: flags.output_certificate.clone(),
        timestamp: flags.rfc3161_timestamp.clone(),
    };
    let inputs = flags.signing.inputs();
    let Pairs { pairs, skipped, .. } = file::pairs(&files, &outputs, &inputs)?;
    for file in skipped.iter().map(|file| file.display()) {
        console.warning(&format!("not signing the bundle of {file}, which lies beside it"));
    }
    if flags.signing.token_is_stdin() && pairs.iter().any(|(file, _)| file.is_standard()) {
        return Err(Failure::usage("stdin cannot be both the file and the identity token")
            .hint("give the token in a file: --identity-token FILE"));
    }
    let report = report_stream(flags.bundle.as_deref(), flags.signing.output())?;
    // `sign-blob F > F.sig` expects a signature there, as older tools write it.
    let is_redirected = !std::io::stdout().is_terminal() && outputs == Outputs::default();
    let report = match is_redirected && flags.signing.output.is_none() {
        true => Stream::Stderr,
        false => report,
    };
    let mut planned = signing::plan(&flags.signing, report, context).await?;
    if let Some(algorithm) = flags.signing_algorithm {
        planned = planned.with_algorithm(algorithm)?;
    }
    let writable = outputs.check(planned.services());
    writable.map_err(|error| Failure { exit: Exit::WrongArguments, ..error.into() })?;

    let any_content = flags.danger_sign_foreign_format;
    if any_content {
        console.warning(
            "the content is not checked: its signature may be usable as one of another kind \
             (--danger-sign-foreign-format)",
        );
    }
    let (algorithm, all, mut done) = (planned.algorithm(), pairs.len(), 0);
    let mut targets = Vec::new();
    for (file, bundle) in pairs {
        let name = file.to_string();
        console.waits.begin(&name);
        console.wait_for(&format!("reading {name}"));
        let _paused = file.is_standard().then(|| context.deadline.pause());
        let read = match any_content {
            true => file::danger::any_content(algorithm, file, bundle).await,
            false => FileToSign::read_for(algorithm, file, bundle).await,
        };
        match read {
            Ok(target) => targets.push((name, target)),
            Err(error) => {
                console.waits.end(&name);
                context.fail(&error.into());
            }
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = targets.iter().map(|(name, _)| name.as_str()).collect();
    let session = &signing::session(planned, &names, 0).await?;
    let mut results = Jobs::new(WIDTH)
        .run(&targets, |(name, target)| console.waits.task(name, target.sign_and_write(session)));
    while let Some((position, signed)) = results.next().await {
        names.get(position).iter().for_each(|name| console.waits.end(name));
        match signed {
            Err(error) => context.fail(&error.into()),
            Ok(signed) => {
                done += 1;
                if signed.bundle().is_some_and(FileArgument::is_standard) {
                    console.data(&signed.bundle_json);
                }
                console.say(report, line(&signed, flags.signing.output()));
            }
        }
    }
    console.tally("signed", all, all - done);
    Ok(())
}

fn line(signed: &SignedFile, output: Output) -> String {
    match output {
        Output::Json => json_line(&signed.report()),
        Output::Text => {
            format!("signed {} {}: {}", signed.target.file(), signed.signed.by(), signed.output())
        }
    }
}
