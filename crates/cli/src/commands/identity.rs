//! `ambisign identity`.

use std::sync::Arc;

use fulcio_client::{Fulcio, Profiles};
use host::Host;

use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::{IdentityCommandFlags, Output};
use crate::output::{self, Stream};
use crate::{files, identity, plan};

pub(crate) async fn identity(flags: &IdentityCommandFlags, context: &Arc<Context>) -> Result {
    let profiles = match &flags.issuer_profiles {
        Some(path) => {
            let (flag, parse) = ("--issuer-profiles", Profiles::from_json);
            files::parse(flag, path, PROFILES_CAP, context, parse).await?
        }
        None => Profiles::known(),
    };
    let host = context.service_host();
    let mask = Stream::Stdout.of_people(flags.output);
    let search = identity::search(&flags.identity, None, mask, context, &host).await?;
    let mut unknown = None;
    let fulcio = async {
        let found = fulcio(flags, &host, context).await;
        found.map_err(|failure| unknown = Some(failure)).ok()
    };
    let report = search.report(fulcio, &profiles, &*host.clock).await;
    context.console.settle();
    let console = &context.console;
    let answer = report.fulcio.as_ref();
    if let Some((url, error)) = answer.and_then(|it| Some((&it.url, it.unpublished.as_ref()?))) {
        console.warning(&format!("{url} does not publish which issuers it accepts: {error}"));
    }
    // The report is printed whatever the certificate authority says.
    let verbose = tracing::enabled!(tracing::Level::DEBUG);
    let text = report.text(verbose, output::width(context.env.var("COLUMNS"))).join("\n");
    console.result(flags.output, &report, &text);
    if let Some(error) = report.error {
        let mut failure = Failure::from(error);
        // The text has the hints of the sources.
        if flags.output == Output::Text {
            let is_shown =
                |hint: &String| report.sources.iter().any(|it| it.hint.as_ref() == Some(hint));
            failure.hints.retain(|hint| !is_shown(hint));
        }
        return Err(failure);
    }
    match (unknown, report.fulcio.and_then(|it| it.refusal)) {
        (Some(failure), _) => Err(failure),
        (None, Some(refusal)) => {
            let problem = "the certificate authority would refuse this identity";
            Err(Failure::new(Exit::Undecided, problem).because(&refusal))
        }
        (None, None) => Ok(()),
    }
}

async fn fulcio(flags: &IdentityCommandFlags, host: &Host, context: &Context) -> Result<Fulcio> {
    let config = plan::signing_config(&flags.services, false, context).await?;
    let url = config.fulcio(context.now()).map_err(signer::Error::from)?.url;
    context.console.wait_for(&format!("asking {url} which issuers it accepts"));
    Ok(Fulcio::new(url, host.http.clone()))
}

/// The largest file of issuer profiles, in bytes.
const PROFILES_CAP: usize = 1 << 20;
