//! `ambisign sign-blob`.

use std::io::IsTerminal as _;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use image_signing::file::{self, FileArgument, FileToSign, Outputs, Pairs, SignedFile};

use super::signing::{Signing, WIDTH, report_stream};
use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::{Output, SignBlobFlags};
use crate::output::{Stream, json_line};

pub(crate) async fn sign_blob(flags: &SignBlobFlags, context: &Arc<Context>) -> Result<()> {
    let console = &context.console;
    let files: Vec<_> = flags.files.iter().map(FileArgument::parse).collect();
    let outputs = flags.outputs();
    let is_told = outputs != Outputs::default();
    let Pairs { pairs, skipped, .. } = file::pairs(&files, &outputs, &flags.signing.inputs())?;
    for file in skipped.iter().map(|file| file.display()) {
        console.warning(&format!("not signing the bundle of {file}, which lies beside it"));
    }
    if flags.signing.token_is_stdin() && pairs.iter().any(|(file, _)| file.is_standard()) {
        return Err(Failure::usage("stdin cannot be both the file and the identity token")
            .hint("give the token in a file: --identity-token FILE"));
    }
    let report = report_stream(flags.bundle.as_deref(), flags.signing.output())?;
    let report = match flags.bundle {
        // `sign-blob F > F.sig` expects a signature there, as older tools write it.
        None if !is_told && flags.signing.output.is_none() && !std::io::stdout().is_terminal() => {
            Stream::Stderr
        }
        _ => report,
    };
    let signing = Signing::plan(&flags.signing, report, context).await?;
    let signing = signing.with_algorithm(flags.signing_algorithm)?;
    if let (true, Err(error)) = (is_told, outputs.check(signing.services())) {
        return Err(Failure { exit: Exit::Usage, ..error.into() });
    }

    let any_content = flags.danger_sign_foreign_format;
    if any_content {
        console.warning(
            "the content is not checked: its signature may be usable as one of another kind \
             (--danger-sign-foreign-format)",
        );
    }
    let (algorithm, all) = (signing.algorithm(), pairs.len());
    let mut targets = Vec::new();
    for (file, outputs) in pairs {
        console.begin(&file.to_string());
        console.wait_for(&format!("reading {file}"));
        let _paused = file.is_standard().then(|| context.deadline.pause());
        let read = match any_content {
            true => file::danger::any_content(algorithm, file.clone(), outputs).await,
            false => FileToSign::read_for(algorithm, file.clone(), outputs).await,
        };
        match read {
            Ok(target) => targets.push(target),
            Err(error) => {
                console.end(&file.to_string());
                context.fail(&error.into());
            }
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    let mut failed = all - targets.len();
    let names: Vec<_> = targets.iter().map(|target| target.file().to_string()).collect();
    let session = signing.session(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let sign = async |target: FileToSign| {
        let name = target.file().to_string();
        let signed = console.task(&name, target.sign(&session)).await;
        (name, signed.and_then(|signed| signed.write().map(|()| signed)))
    };
    let mut results = stream::iter(targets).map(sign).buffer_unordered(WIDTH);
    while let Some((name, signed)) = results.next().await {
        console.end(&name);
        match signed {
            Ok(signed) => {
                if signed.bundle().is_some_and(FileArgument::is_standard) {
                    console.data(&signed.bundle_json);
                }
                console.say(report, &line(&signed, flags.signing.output()));
            }
            Err(error) => {
                failed += 1;
                context.fail(&error.into());
            }
        }
    }
    console.tally("signed", all, failed);
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
