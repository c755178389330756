//! What `sign` and `sign-blob` share.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use signer::{Event, Services, Session, Signed, Signer};

use crate::error::{Exit, Failure};
use crate::files;
use crate::flags::{Output, SigningFlags};
use crate::identity::Identities;
use crate::login;
use crate::mask::Mask;
use crate::output::{Console, rfc3339};
use crate::plan;
use crate::world::World;

/// A signer and the identities it may use, from flags alone: nothing has been asked of anyone.
pub(super) struct Signing {
    signer: Signer,
    identities: Identities,
    mask: Option<Mask>,
}

impl Signing {
    pub(super) async fn plan(flags: &SigningFlags, world: &World) -> Result<Self, Failure> {
        let root = plan::trusted_root(&flags.trust, world).await?;
        let config = plan::signing_config(&flags.services, flags.trust.offline, world).await?;
        let host = world.host(&world.settings());
        let services = Services::select(&config, world.now())?;
        let signer = Signer::new(services, Arc::new(root), host.http.clone(), host.clock.clone())?;
        let console = Arc::clone(&world.console);
        let signer = signer.with_listener(Arc::new(move |event| show(event, &console)));
        if signer.services().logs.is_empty() {
            world.console.warning(
                "no log entry is made: verifiers will accept the signature only with \
                 --insecure-ignore-tlog",
            );
        }
        let login = login::plan(&flags.login, &flags.identity, &config, world, &host)?;
        let identities = Identities::plan_with(&flags.identity, login, &host)?;
        let mask = Mask::plan(&flags.identity, flags.output, world)?;
        Ok(Self { signer, identities, mask })
    }

    /// Gets a token and a certificate.
    pub(super) async fn session(self) -> Result<Session, Failure> {
        let source = self.identities.choose().await?;
        let source = match self.mask {
            Some(mask) => mask.over(source),
            None => source,
        };
        let session = Session::new(self.signer, source);
        session.prepare().await?;
        Ok(session)
    }
}

/// Where a command's one bundle goes, and therefore its report.
#[derive(Clone, Copy)]
pub(super) enum Report {
    Stdout,
    /// stdout has the bundle.
    Stderr,
}

impl Report {
    pub(super) fn plan(bundle: Option<&Path>, output: Output) -> Result<Self, Failure> {
        match (bundle, output) {
            (Some(path), Output::Json) if files::is_standard(path) => {
                Err(Failure::usage("--output json and --bundle - both want stdout")
                    .hint("name a file: --bundle FILE"))
            }
            (Some(path), Output::Text) if files::is_standard(path) => Ok(Self::Stderr),
            _ => Ok(Self::Stdout),
        }
    }

    pub(super) fn say(self, line: &str, console: &Console) {
        match self {
            Self::Stdout => console.data(line),
            Self::Stderr => console.note(line),
        }
    }
}

/// Writes a bundle where it goes.
pub(super) fn write(path: &Path, bundle: &str, console: &Console) -> Result<(), Failure> {
    if files::is_standard(path) {
        console.data(bundle);
        return Ok(());
    }
    files::write_atomically(path, bundle.as_bytes()).map_err(|error| cannot_write(path, &error))
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::of(Exit::Failed, format!("cannot write {}", path.display()), error)
}

/// What every signing command reports of a signature.
pub(super) fn facts(signed: &Signed) -> Map<String, Value> {
    let log = signed.logs.first();
    let facts = json!({
        "identity": signed.identity.name,
        "issuer": signed.identity.issuer,
        "provider": signed.identity.provider,
        "log_url": log.map(|log| log.url.as_str()),
        "log_index": log.map(|log| log.index),
        "timestamp": signed.timestamp.map(rfc3339),
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

/// Ends a command of several results: says what failed and answers with the worst of it.
pub(super) fn conclude(console: &Console, failures: &[Failure]) -> Exit {
    failures.iter().for_each(|failure| console.failure(failure));
    failures.iter().map(|failure| failure.exit).max().unwrap_or(Exit::Done)
}

fn show(event: &Event<'_>, console: &Console) {
    match event {
        Event::Looking { provider } => console.wait_for(&format!("asking {provider} for a token")),
        Event::Found { provider, evidence } => {
            tracing::info!(provider, evidence, "found an identity token");
        }
        Event::Requesting { url } => console.wait_for(&format!("asking {url} for a certificate")),
        Event::Certified { identity, .. } => {
            tracing::info!(name = identity.name, issuer = identity.issuer, "certified");
        }
        Event::Stamping { url } => console.wait_for(&format!("asking {url} for a timestamp")),
        Event::Logging { url } => {
            console.wait_for(&format!("waiting for the log {url} (may take 10 s)"));
        }
        Event::Warning { text } => console.warning(text),
        _ => (),
    }
}
