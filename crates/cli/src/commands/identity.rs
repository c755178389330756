//! `ambisign identity`.

use std::sync::Arc;

use fulcio_client::{Fulcio, Profiles};
use host::Host;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{IdentityCommandFlags, Output};
use crate::identity::{self, Login};
use crate::output::{self, Stream, json_line};
use crate::{mask, plan};

pub(crate) async fn identity(
    flags: &IdentityCommandFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let profiles = profiles(flags).await?;
    let host = context.service_host();
    let mask = mask::plan(&flags.identity, Stream::Stdout.of_people(flags.output), context)?;
    let search = identity::search(&flags.identity, Login::Impossible, mask, context, &host).await?;
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
    match flags.output {
        Output::Json => console.data(&json_line(&report)),
        Output::Text => {
            let verbose = tracing::enabled!(tracing::Level::DEBUG);
            let lines = report.text(verbose, output::width(context.env.var("COLUMNS")));
            lines.iter().for_each(|line| console.data(line));
        }
    }
    if let Some(error) = report.error {
        return Err(error.into());
    }
    match (unknown, report.fulcio.and_then(|it| it.refusal)) {
        (Some(failure), _) => Err(failure),
        (None, Some(refusal)) => {
            let problem = "the certificate authority would refuse this identity";
            Err(Failure::of(Exit::Failed, problem, &refusal))
        }
        (None, None) => Ok(()),
    }
}

async fn fulcio(
    flags: &IdentityCommandFlags,
    host: &Host,
    context: &Context,
) -> Result<Fulcio, Failure> {
    let config = plan::signing_config(&flags.services, false, context).await?;
    let url = config.fulcio(context.now()).map_err(signer::Error::from)?.url;
    context.console.wait_for(&format!("asking {url} which issuers it accepts"));
    Ok(Fulcio::new(url, host.http.clone()))
}

async fn profiles(flags: &IdentityCommandFlags) -> Result<Profiles, Failure> {
    let Some(path) = &flags.issuer_profiles else { return Ok(Profiles::known()) };
    let problem = || format!("cannot use --issuer-profiles {}", path.display());
    let bytes = crate::files::read(path, PROFILES_CAP).await;
    let bytes = bytes.map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    Profiles::from_json(&bytes).map_err(|error| {
        Failure::of(Exit::Failed, problem(), &error).hint(
            "write {\"issuers\": [{\"issuer_url\": URL, \"type\": \"ci-provider\", \
             \"ci_provider\": \"github-workflow\"}]}",
        )
    })
}

/// The largest file of issuer profiles, in bytes.
const PROFILES_CAP: usize = 1 << 20;
