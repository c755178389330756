//! What `sign` and `sign-blob` share.

use std::path::Path;
use std::sync::Arc;

use host::{Host, Patience};
use image_signing::IdentitySearch;
use keys::{KeyAlgorithm, KeyPair, Sign as _};
use signer::{Event, Services, Session, Signer};
use trust_root::TrustedRoot;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::files;
use crate::flags::{Output, SigningFlags};
use crate::identity::{self, Login};
use crate::output::{Console, Stream};
use crate::private_key::private_key;
use crate::{login, plan};

/// A signer and the identities it may use, from flags alone: nothing has been asked of anyone.
pub(super) struct Signing {
    signer: Signer,
    by: By,
    algorithm: KeyAlgorithm,
}

/// Who signs.
enum By {
    Identity(IdentitySearch),
    Key(Arc<KeyPair>),
}

impl Signing {
    /// The results will go to `report`.
    pub(super) async fn plan(
        flags: &SigningFlags,
        report: Stream,
        context: &Context,
    ) -> Result<Self> {
        if let Some(name) = &flags.key {
            return Self::with_key(private_key(name, context).await?, flags, context).await;
        }
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
        let signer = signer(services, root, &host, context)?;
        if let Some(prepared) = prepared
            && let Some(login) = login::source(prepared, &flags.login, &config, context, &host)?
        {
            search = search.with_login(login);
        }
        Ok(Self { signer, by: By::Identity(search), algorithm: KeyAlgorithm::EcdsaP256 })
    }

    async fn with_key(key: Arc<KeyPair>, flags: &SigningFlags, context: &Context) -> Result<Self> {
        let named = &flags.services;
        let stamped = named.signing_config.is_some() || named.timestamp_server_url.is_some();
        let (root, services) = match !named.tlog_upload && !stamped {
            true => (TrustedRoot::public_good(), Services::none()),
            false => {
                let root = plan::trusted_root(&flags.trust, context).await?;
                let offline = flags.trust.offline;
                let config = plan::signing_config(&flags.services, offline, context).await?;
                (root, Services::select_for_key(&config, context.now())?)
            }
        };
        let signer = signer(services, root, &context.service_host(), context)?;
        let algorithm = key.public_key().algorithm();
        Ok(Self { signer, by: By::Key(key), algorithm })
    }

    pub(super) fn services(&self) -> &Services {
        self.signer.services()
    }

    /// The kind of key that signs.
    pub(super) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Signs with a key of this kind, if one is named.
    pub(super) fn with_algorithm(self, named: Option<KeyAlgorithm>) -> Result<Self> {
        let algorithm = named.unwrap_or(self.algorithm);
        let is_made = matches!(self.by, By::Identity(_)) && !algorithm.needs_message();
        if is_made || algorithm == self.algorithm {
            return Ok(Self { algorithm, ..self });
        }
        let problem = format!("--signing-algorithm is {algorithm}, the key is {}", self.algorithm);
        Err(Failure::usage(problem).hint("leave it out"))
    }

    /// Whether a person may be asked to log in.
    pub(super) fn may_log_in(&self) -> bool {
        matches!(&self.by, By::Identity(search) if search.may_log_in())
    }

    /// Gets a token, or takes the key, to sign with.
    pub(super) async fn begin(self) -> Result<Session> {
        let session = match self.by {
            By::Identity(search) => search.session(self.signer).await?,
            By::Key(key) => Session::with_key(self.signer, key),
        };
        Ok(session.with_algorithm(self.algorithm))
    }

    /// As [`begin`](Self::begin), and gets a certificate to sign `names`.
    pub(super) async fn session(self, names: &[&str]) -> Result<Session> {
        let session = self.begin().await.or_fail(|| not_signed(names))?;
        session.prepare().await.or_fail(|| not_signed(names))?;
        Ok(session)
    }
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
