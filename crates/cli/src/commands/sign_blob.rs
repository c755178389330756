//! `ambisign sign-blob`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use image_signing::SignatureReport;
use keys::Digest;
use signer::{FileDigest, Session};

use super::signing::{Signing, cannot_write, report_stream, write};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{Output, SignBlobFlags};
use crate::output::json_line;
use crate::output::{self, Stream};
use crate::plan;

/// A file whose digest is known and whose bundle can be written.
struct Target {
    file: PathBuf,
    bundle: PathBuf,
    digest: FileDigest,
}

pub(crate) async fn sign_blob(
    flags: &SignBlobFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let inputs = flags.signing.inputs();
    let inputs = inputs.iter().map(|(what, path)| (*what, path.as_path())).collect();
    let files =
        plan::files_and_bundles(&flags.files, flags.bundle.as_deref(), &inputs, &context.console)?;
    let format = flags.signing.output();
    if flags.signing.token_is_stdin() && files.iter().any(|(file, _)| files::is_standard(file)) {
        return Err(Failure::usage("stdin cannot be both the file and the identity token")
            .hint("give the token in a file: --identity-token FILE"));
    }
    let report = report_stream(flags.bundle.as_deref(), format)?;
    let report = match flags.bundle {
        // `sign-blob F > F.sig` expects a signature there, as older tools write it.
        None if flags.signing.output.is_none() && !std::io::stdout().is_terminal() => {
            if output::stdout_is_a_file() {
                context.console.note(
                    "nothing is written to stdout: the bundle is in FILE.sigstore.json (--bundle - \
                     writes it to stdout, -o text the report)",
                );
            }
            Stream::Stderr
        }
        _ => report,
    };
    let signing = Signing::plan(&flags.signing, report, context).await?;

    let any_content = flags.danger_sign_foreign_format;
    if any_content {
        context.console.warning(
            "the content is not checked: its signature may be usable as one of another kind \
             (--danger-sign-foreign-format)",
        );
    }
    let mut targets = Vec::new();
    for (file, bundle) in files {
        match prepare(&file, bundle, any_content, context).await {
            Ok(target) => targets.push(target),
            Err(failure) => context.fail(&failure),
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    let session = signing.session().await?;
    let mut signed = stream::iter(targets)
        .map(|target| sign_one(target, format, &session, context))
        .buffer_unordered(WIDTH);
    while let Some(signed) = signed.next().await {
        match signed {
            Ok(line) => context.console.say(report, &line),
            Err(failure) => context.fail(&failure),
        }
    }
    Ok(())
}

/// Reads the file once, before the first request.
async fn prepare(
    file: &Path,
    bundle: PathBuf,
    any_content: bool,
    context: &Context,
) -> Result<Target, Failure> {
    let shown = file.display().to_string();
    if !files::is_standard(file) && !file.exists() {
        return Err(Failure::file(file, &std::io::ErrorKind::NotFound.into()));
    }
    files::check_writable(&bundle).map_err(|error| cannot_write(&bundle, &error))?;
    context.console.begin(&shown);
    context.console.wait_for(&format!("reading {shown}"));
    let paused = files::is_standard(file).then(|| context.pause());
    let digested = files::to_sign(file.to_owned(), any_content).await;
    drop(paused);
    let digest = match digested {
        Ok(Ok(digest)) => Ok(digest),
        Ok(Err(format)) => {
            Err(Failure::of(Exit::Failed, format!("{shown} was not signed"), &format).hint(
                "sign what you wrote yourself; if this content is meant: \
                 --danger-sign-foreign-format",
            ))
        }
        Err(error) => Err(Failure::file(file, &error)),
    };
    let digest = digest.inspect_err(|_| context.console.end(&shown))?;
    Ok(Target { file: file.to_owned(), bundle, digest })
}

async fn sign_one(
    target: Target,
    output: Output,
    session: &Session,
    context: &Context,
) -> Result<String, Failure> {
    let result = sign_and_write(&target, output, session, context).await;
    context.console.end(&target.file.display().to_string());
    result
}

async fn sign_and_write(
    target: &Target,
    output: Output,
    session: &Session,
    context: &Context,
) -> Result<String, Failure> {
    let Target { file, bundle: path, digest } = target;
    let signed = session.sign_file(digest).await.map_err(|error| {
        let failure = Failure::from(error);
        let problem = format!("{} was not signed: {}", file.display(), failure.problem);
        Failure { problem, ..failure }
    })?;
    let bundle = signed.bundle.to_json();
    write(path, &bundle, &context.console)?;
    if output == Output::Text {
        let (file, path) = (file.display(), path.display());
        return Ok(format!("signed {file} as {}: {path}", signed.identity.name));
    }
    let bundle_digest = Digest::sha256(bundle.as_bytes()).to_hex();
    Ok(json_line(&Report {
        file: file.display().to_string(),
        digest: format!("sha256:{}", digest.digest().to_hex()),
        bundle: path.display().to_string(),
        bundle_digest: format!("sha256:{bundle_digest}"),
        signature: SignatureReport::new(&signed),
    }))
}

/// What is reported of a signed file.
#[derive(serde::Serialize)]
struct Report {
    file: String,
    digest: String,
    bundle: String,
    bundle_digest: String,
    #[serde(flatten)]
    signature: SignatureReport,
}

/// How many files are signed at once.
const WIDTH: usize = 32;
