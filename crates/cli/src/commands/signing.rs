//! What `sign` and `sign-blob` share.

use std::path::Path;
use std::sync::Arc;

use host::{Host, Patience};
use image_signing::PlannedSession;
use signer::{Event, Services, Session, Signer};
use trust_root::TrustedRoot;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::files;
use crate::flags::{Output, SigningFlags};
use crate::output::{Console, Stream};
use crate::private_key::private_key;
use crate::{identity, login, plan};

/// A signer and the identities it may use, from flags alone: nothing has been asked of anyone. The
/// results will go to `report`.
pub(super) async fn plan(
    flags: &SigningFlags,
    report: Stream,
    context: &Context,
) -> Result<PlannedSession> {
    let offline = flags.trust.offline;
    if let Some(name) = &flags.key {
        let (key, named) = (private_key(name, context).await?, &flags.services);
        let stamped = named.signing_config.is_some() || named.timestamp_server_url.is_some();
        let (root, services) = match !named.tlog_upload && !stamped {
            true => (TrustedRoot::public_good(), Services::none()),
            false => {
                let root = plan::trusted_root(&flags.trust, context).await?;
                let config = plan::signing_config(named, offline, context).await?;
                (root, Services::select_for_key(&config, context.now())?)
            }
        };
        let signer = signer(services, root, &context.service_host(), context)?;
        return Ok(PlannedSession::with_key(signer, key));
    }
    // Wrong usage first, before the network.
    let mask = report.of_people(flags.output());
    let login = login::prepare(&flags.login, &flags.identity, context).await?;
    let (host, may_log_in) = (context.service_host(), login.as_ref().map(|_| &flags.login));
    let mut search = identity::search(&flags.identity, may_log_in, mask, context, &host).await?;
    let root = plan::trusted_root(&flags.trust, context).await?;
    let config = plan::signing_config(&flags.services, offline, context).await?;
    let services = Services::select(&config, context.now())?;
    let signer = signer(services, root, &host, context)?;
    if let Some(login) = login
        && let Some(login) = login::source(login, &flags.login, &config, context, &host)?
    {
        search = search.with_login(login);
    }
    Ok(PlannedSession::with_identity(signer, search))
}

/// Begins the session that signs `names`. A statement has at most `size` bytes, 0 where there is none.
pub(super) async fn session(
    planned: PlannedSession,
    names: &[&str],
    size: usize,
) -> Result<Session> {
    let session = planned.begin().await.or_fail(|| not_signed(names))?;
    session.prepare_for(size).await.or_fail(|| not_signed(names))?;
    Ok(session)
}

/// stdin can be read once.
pub(super) fn check_stdin<'a>(
    read: impl IntoIterator<Item = &'a Path>,
    signing: &SigningFlags,
) -> Result<()> {
    let uses = read.into_iter().filter(|input| files::is_standard(input)).count();
    if uses + usize::from(signing.token_is_stdin()) < 2 {
        return Ok(());
    }
    Err(Failure::usage("stdin is named for two inputs, and can be read once")
        .hint("give one of them in a file"))
}

pub(super) fn not_signed(names: &[&str]) -> String {
    match names {
        [first, others @ ..] if !others.is_empty() => {
            format!("{first} and {} more were not signed", others.len())
        }
        names => format!("{} was not signed", names.concat()),
    }
}

fn signer(services: Services, root: TrustedRoot, host: &Host, context: &Context) -> Result<Signer> {
    // What it made is judged by the clock of this machine, as others will judge it.
    let clock = context.host(&context.settings()).clock;
    let signer = Signer::new(services, Arc::new(root), host.http.clone(), clock)?;
    let console = Arc::clone(&context.console);
    if signer.services().logs.is_empty() {
        console.warning(
            "no log entry is made: verifiers will accept the signature only with \
             --insecure-ignore-tlog",
        );
    }
    let (deadline, patience) = (Arc::clone(&context.deadline), Patience::new(context.retry_for()));
    let signer = signer.with_patience(patience);
    Ok(signer.with_listener(Arc::new(move |event| {
        if let Event::Waiting(outage) = event {
            deadline.allow_for(outage.pause);
        }
        show(event, &console);
    })))
}

/// Where the lines for people go: beside a bundle that goes to stdout, to stderr.
pub(super) fn report_stream(bundle: Option<&Path>, output: Output) -> Result<Stream> {
    match (bundle, output) {
        (Some(path), Output::Json) if files::is_standard(path) => {
            Err(Failure::usage("--output json and --bundle - both want stdout")
                .hint("name a file: --bundle FILE"))
        }
        (Some(path), Output::Text) if files::is_standard(path) => Ok(Stream::Stderr),
        _ => Ok(Stream::Stdout),
    }
}

fn show(event: &Event<'_>, console: &Console) {
    match event {
        Event::Warning { text } => console.warning(text),
        Event::Waiting(outage) => console.note(&outage.to_string()),
        event => match event.waits_for() {
            Some(wait) => console.wait_for(&wait),
            None => tracing::info!("{event:?}"),
        },
    }
}

/// How many images or files are signed at once. A log answers all entries of one checkpoint
/// together, so that waiting for them together is what counts.
pub(super) const WIDTH: usize = 32;
