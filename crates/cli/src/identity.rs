//! The identity that signs: the token on the command line, the source named there, or the first
//! source that has one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, FileError, Host};
use id_token::{Audience, Broken, Found, IdToken, Outcome, TOKEN_CAP, TokenSource};
use oidc_ambient::{Sources, Stage, Survey};
use spiffe_workload_api::SpiffeSource;

use crate::context::Context;
use crate::failure::{Exit, Failure, chain};
use crate::files;
use crate::flags::{IdentityFlags, Secret};
use crate::login::{Planned, Untimed};

/// Where a token may come from.
pub(crate) enum Identities {
    /// From the command line, and from nowhere else.
    Given(Arc<Given>),
    Ambient(Sources),
    /// An interactive login, if no source has a token.
    AmbientOr(Sources, Arc<Untimed>),
    /// An interactive login, and nothing else.
    Person(Arc<Untimed>),
}

/// The token of `--identity-token`.
pub(crate) enum Given {
    /// Read again for every token: others may renew it.
    File(PathBuf, Box<IdToken>),
    Token(Box<IdToken>, &'static str),
}

impl Identities {
    /// As [`Self::plan`], with a person who can log in.
    pub(crate) async fn plan_with(
        flags: &IdentityFlags,
        login: Option<Planned>,
        context: &Context,
        host: &Host,
    ) -> Result<Self, Failure> {
        let Some(login) = login else { return Self::plan(flags, context, host).await };
        if login.asked || flags.oidc_disable_ambient_providers {
            return Ok(Self::Person(login.person));
        }
        Ok(match Self::plan(flags, context, host).await? {
            // Nothing is drawn where the person is asked next.
            Self::Ambient(sources) => {
                Self::AmbientOr(sources.watched(Arc::new(|_: &str| ())), login.person)
            }
            other => other,
        })
    }

    pub(crate) async fn plan(
        flags: &IdentityFlags,
        context: &Context,
        host: &Host,
    ) -> Result<Self, Failure> {
        let spiffe = Spiffe::of(flags);
        let provider = match (&flags.oidc_provider, &spiffe) {
            (Some(name), Some(spiffe)) if name != SPIFFE => {
                let problem = format!("{} cannot be used with --oidc-provider {name}", spiffe.flag);
                return Err(Failure::usage(problem));
            }
            (None, Some(_)) => Some(SPIFFE),
            (name, _) => name.as_deref(),
        };
        match (&flags.identity_token, provider) {
            (Some(token), _) => {
                context.console.wait_for("reading the identity token");
                let given = Given::read(token).await;
                context.console.settle();
                given.map(Arc::new).map(Self::Given)
            }
            (None, None) if flags.oidc_disable_ambient_providers => Err(Failure::usage(
                "--oidc-disable-ambient-providers leaves no identity to sign with",
            )
            .hint("give a token: --identity-token FILE")),
            (None, Some(_)) if flags.oidc_disable_ambient_providers => {
                let flag = spiffe.map_or("--oidc-provider", |spiffe| spiffe.flag);
                Err(Failure::usage(format!(
                    "{flag} cannot be used with --oidc-disable-ambient-providers"
                )))
            }
            (None, name) => {
                let console = Arc::clone(&context.console);
                let watcher =
                    move |name: &str| console.wait_for(&format!("asking the source {name}"));
                let mut sources = sources(host, spiffe.as_ref()).watched(Arc::new(watcher));
                if let Some(error) = sources.declare_default(host).await? {
                    let reason = host::with_causes(&error);
                    context.console.warning(&format!("no declared identity sources: {reason}"));
                }
                // A deadline that passes names the source that was waited for.
                let console = Arc::clone(&context.console);
                let sources = sources.watched(Arc::new(move |name: &str| {
                    console.wait_for(&format!("asking {name} for a token"));
                }));
                match name.map(|name| sources.named(name)) {
                    None => Ok(Self::Ambient(sources)),
                    Some(Ok(named)) => Ok(Self::Ambient(named)),
                    Some(Err(error)) => {
                        let problem = "--oidc-provider names no identity source";
                        Err(Failure::of(Exit::Usage, problem, &error))
                    }
                }
            }
        }
    }

    /// The source that signs; its first token is in its cache.
    pub(crate) async fn choose(&self) -> Result<Arc<dyn TokenSource>, Failure> {
        let audience = Audience::sigstore();
        match self {
            Self::Given(given) => Ok(Arc::clone(given) as Arc<dyn TokenSource>),
            Self::Ambient(sources) => {
                let detected = oidc_ambient::detect(sources, &audience, MIN_TTL).await?;
                Ok(Arc::new(detected.into_source(&audience)))
            }
            Self::AmbientOr(sources, person) => {
                match oidc_ambient::detect(sources, &audience, MIN_TTL).await {
                    Ok(detected) => Ok(Arc::new(detected.into_source(&audience))),
                    Err(oidc_ambient::Error::Nothing { .. }) => log_in(person).await,
                    Err(error) => Err(error.into()),
                }
            }
            Self::Person(person) => log_in(person).await,
        }
    }

    /// What each ambient source says; `None` when a token was given.
    pub(crate) async fn survey(&self) -> Option<Survey> {
        match self {
            Self::Given(_) | Self::Person(_) => None,
            Self::Ambient(sources) | Self::AmbientOr(sources, _) => {
                Some(oidc_ambient::survey(sources, &Audience::sigstore(), MIN_TTL).await)
            }
        }
    }
}

impl Identities {
    /// The provider and token that would sign, given what the sources said.
    pub(crate) async fn peek(&self, survey: Option<&Survey>) -> Result<(String, IdToken), Failure> {
        match (self, survey.map(|survey| &survey.outcome)) {
            (_, Some(Ok(detected))) => Ok((detected.provider.to_owned(), detected.token.clone())),
            (_, Some(Err(error))) => Err(error.clone().into()),
            (Self::Given(given), None) => Ok((given.name().to_owned(), given.first().clone())),
            (_, None) => Err(Failure::new(Exit::Failed, "no identity source was asked")),
        }
    }
}

/// The SPIFFE flags.
struct Spiffe<'a> {
    flags: &'a IdentityFlags,
    /// The first one that is set.
    flag: &'static str,
}

impl<'a> Spiffe<'a> {
    /// `None` when none is set. When one is set, no other source is used.
    fn of(flags: &'a IdentityFlags) -> Option<Self> {
        let flag = match (&flags.spiffe_id, &flags.spiffe_hint, &flags.spiffe_socket) {
            (Some(_), ..) => "--spiffe-id",
            (_, Some(_), _) => "--spiffe-hint",
            (.., Some(_)) => "--spiffe-socket",
            _ => return None,
        };
        Some(Self { flags, flag })
    }

    fn choose(&self, mut source: SpiffeSource) -> SpiffeSource {
        if let Some(id) = &self.flags.spiffe_id {
            source = source.with_spiffe_id(id.clone());
        }
        if let Some(hint) = &self.flags.spiffe_hint {
            source = source.with_hint(hint);
        }
        source
    }
}

/// Logs the person in.
async fn log_in(person: &Arc<Untimed>) -> Result<Arc<dyn TokenSource>, Failure> {
    // The session asks for a token next and gets this one; its error would say less.
    person.token(MIN_TTL).await?;
    Ok(Arc::clone(person) as Arc<dyn TokenSource>)
}

fn sources(host: &Host, spiffe: Option<&Spiffe<'_>>) -> Sources {
    let mut sources = Sources::standard(host);
    cloud_credentials::add_to(&mut sources, host);
    let choose = |source| match spiffe {
        Some(spiffe) => spiffe.choose(source),
        None => source,
    };
    if let Some(endpoint) = spiffe.and_then(|spiffe| spiffe.flags.spiffe_socket.clone()) {
        let source = choose(SpiffeSource::at(host.clone(), endpoint));
        sources.add(Stage::Workload, Arc::new(source));
        return sources;
    }
    sources.add(Stage::Workload, Arc::new(choose(SpiffeSource::from_env(host.clone()))));
    sources.add(Stage::Guessed, Arc::new(choose(SpiffeSource::at_default(host.clone()))));
    sources
}

/// The name of the identity source that the SPIFFE flags select.
const SPIFFE: &str = "spiffe";

impl Given {
    /// Reads the token once, on a thread of its own: a pipe or stdin may keep it waiting.
    async fn read(secret: &Secret) -> Result<Self, Failure> {
        let text = secret.reveal();
        let path = Path::new(text);
        if files::is_standard(path) {
            let problem = "cannot read the identity token from stdin";
            let token = read_file(path)
                .await
                .map_err(|reason| Failure::new(Exit::Failed, problem).cause(reason.to_string()))?;
            return Ok(Self::Token(Box::new(token), "--identity-token is -"));
        }
        let not_a_token = match IdToken::parse(text) {
            Ok(token) => return Ok(Self::Token(Box::new(token), "--identity-token is a token")),
            Err(error) => error,
        };
        match read_file(path).await {
            // A pipe can be read only once; a file is read again, because others may renew it.
            Ok(token) if path.is_file() => Ok(Self::File(path.to_owned(), Box::new(token))),
            Ok(token) => Ok(Self::Token(Box::new(token), "--identity-token is a pipe")),
            Err(Unreadable::Missing) => Err(neither(&not_a_token)),
            Err(reason) => {
                let problem = format!("cannot use --identity-token {}", path.display());
                Err(Failure::new(Exit::Failed, problem).cause(reason.to_string()))
            }
        }
    }

    /// The token that was read first.
    fn first(&self) -> &IdToken {
        match self {
            Self::File(_, token) | Self::Token(token, _) => token,
        }
    }
}

impl TokenSource for Given {
    fn name(&self) -> &str {
        "identity-token"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self {
                Self::Token(token, evidence) => {
                    Outcome::Found(Found::new((**token).clone(), *evidence))
                }
                Self::File(path, _) => {
                    let evidence = format!("--identity-token names {}", path.display());
                    match read_file(path).await {
                        Ok(token) => Outcome::Found(Found::new(token, evidence)),
                        Err(reason) => Outcome::Broken(Broken::new(evidence, reason.to_string())),
                    }
                }
            }
        })
    }
}

/// Why a file gives no token. No variant shows the name of a file that does not exist: it may be
/// a secret.
enum Unreadable {
    Missing,
    File(FileError),
    NotAToken(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the file does not exist"),
            Self::File(error) => f.write_str(&chain(error).join(": ")),
            Self::NotAToken(reason) => write!(f, "it is not an identity token: {reason}"),
        }
    }
}

async fn read_file(path: &Path) -> Result<IdToken, Unreadable> {
    let bytes = files::read(path, TOKEN_CAP).await.map_err(|error| {
        // Also what cannot be a file name, such as a text that is too long.
        let exists = files::is_standard(path) || path.symlink_metadata().is_ok();
        if exists { Unreadable::File(error) } else { Unreadable::Missing }
    })?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Unreadable::NotAToken("it is not UTF-8".to_owned()))?;
    IdToken::parse(text).map_err(|error| Unreadable::NotAToken(error.to_string()))
}

/// The value is not shown: it may be another secret, or a token with a typing error.
fn neither(as_token: &id_token::Error) -> Failure {
    let problem = "--identity-token is neither an identity token nor an existing file";
    Failure::new(Exit::Failed, problem)
        .cause(format!("as an identity token: {as_token}"))
        .hint("give a file, `-` for stdin, or a JWT: three parts separated by dots")
}

/// How long a token must live when it is found: until Fulcio has seen it.
const MIN_TTL: Duration = Duration::from_secs(30);
