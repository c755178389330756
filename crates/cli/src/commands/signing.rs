//! What `sign` and `sign-blob` share.

use std::path::Path;
use std::sync::Arc;

use image_signing::IdentitySearch;
use signer::{Event, Services, Session, Signer};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::files;
use crate::flags::{Output, SigningFlags};
use crate::identity::{self, Login};
use crate::output::{Console, Stream};
use crate::{login, plan};

/// A signer and the identities it may use, from flags alone: nothing has been asked of anyone.
pub(super) struct Signing {
    signer: Signer,
    search: IdentitySearch,
}

impl Signing {
    /// The results will go to `report`.
    pub(super) async fn plan(
        flags: &SigningFlags,
        report: Stream,
        context: &Context,
    ) -> Result<Self, Failure> {
        // Wrong usage first, before the network.
        let mask = report.of_people(flags.output());
        let prepared = login::prepare(&flags.login, &flags.identity, context).await?;
        let login = match (&prepared, flags.login.fulcio_auth_flow) {
            (None, _) => Login::Impossible,
            (Some(_), None) => Login::Possible,
            (Some(_), Some(_)) => Login::Only,
        };
        let host = context.service_host();
        let mut search = identity::search(&flags.identity, login, mask, context, &host).await?;
        let root = plan::trusted_root(&flags.trust, context).await?;
        let config = plan::signing_config(&flags.services, flags.trust.offline, context).await?;
        let services = Services::select(&config, context.now())?;
        // What it made is judged by the clock of this machine, as others will judge it.
        let clock = context.host(&context.settings()).clock;
        let signer = Signer::new(services, Arc::new(root), host.http.clone(), clock)?;
        let console = Arc::clone(&context.console);
        let signer = signer.with_listener(Arc::new(move |event| show(event, &console)));
        if signer.services().logs.is_empty() {
            context.console.warning(
                "no log entry is made: verifiers will accept the signature only with \
                 --insecure-ignore-tlog",
            );
        }
        if let Some(prepared) = prepared
            && let Some(login) = login::source(prepared, &flags.login, &config, context, &host)?
        {
            search = search.with_login(login);
        }
        Ok(Self { signer, search })
    }

    /// Gets a token and a certificate, with which `names` will be signed.
    pub(super) async fn session(self, names: &[&str]) -> Result<Session, Failure> {
        let prepared = async {
            let session = self.search.session(self.signer).await?;
            session.prepare().await?;
            Ok::<_, Failure>(session)
        };
        prepared.await.or_fail(|| match names {
            [first, others @ ..] if !others.is_empty() => {
                format!("{first} and {} more were not signed", others.len())
            }
            names => format!("{} was not signed", names.concat()),
        })
    }
}

/// Where the lines for people go: beside a bundle that goes to stdout, to stderr.
pub(super) fn report_stream(bundle: Option<&Path>, output: Output) -> Result<Stream, Failure> {
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
        event => match event.waits_for() {
            Some(wait) => console.wait_for(&wait),
            None => tracing::info!("{event:?}"),
        },
    }
}

/// How many images or files are signed at once. A log answers all entries of one checkpoint
/// together, so that waiting for them together is what counts.
pub(super) const WIDTH: usize = 32;
