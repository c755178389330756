//! Which identity signs: the token on the command line, the source named there, or the first
//! source of this place that has one.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Env, Host};
use id_token::{Audience, Broken, Found, IdToken, Outcome, TOKEN_CAP, TokenSource};
use oidc_ambient::{Sources, Stage, Survey};
use oidc_interactive::Person;
use spiffe_workload_api::SpiffeSource;

use crate::failure::{Exit, Failure};
use crate::flags::{IdentityFlags, Secret};
use crate::login::Planned;

/// Where a token may come from.
pub(crate) enum Identities {
    /// From the command line, and from nowhere else.
    Given(Arc<Given>),
    Ambient(Sources),
    /// The person, where the place has nothing.
    AmbientOr(Sources, Arc<Person>),
    /// The person, and nothing else.
    Person(Arc<Person>),
}

/// The token of `--identity-token`.
pub(crate) struct Given {
    place: Place,
    env: Arc<dyn Env>,
}

enum Place {
    /// Read again for every token: others may renew it.
    File(PathBuf),
    Text(Box<IdToken>, &'static str),
}

impl Identities {
    /// As [`Self::plan`], with somebody who can log in.
    pub(crate) fn plan_with(
        flags: &IdentityFlags,
        login: Option<Planned>,
        host: &Host,
    ) -> Result<Self, Failure> {
        let Some(login) = login else { return Self::plan(flags, host) };
        if login.asked || flags.oidc_disable_ambient_providers {
            return Ok(Self::Person(login.person));
        }
        Ok(match Self::plan(flags, host)? {
            Self::Ambient(sources) => Self::AmbientOr(sources, login.person),
            other => other,
        })
    }

    pub(crate) fn plan(flags: &IdentityFlags, host: &Host) -> Result<Self, Failure> {
        let spiffe = Spiffe::of(flags);
        let provider = match (&flags.oidc_provider, &spiffe) {
            (Some(name), Some(spiffe)) if name != SPIFFE => {
                return Err(Failure::usage(format!(
                    "{} and --oidc-provider {name} contradict each other",
                    spiffe.flag
                )));
            }
            (None, Some(_)) => Some(SPIFFE),
            (name, _) => name.as_deref(),
        };
        let sources = || sources(host, spiffe.as_ref());
        match (&flags.identity_token, provider) {
            (Some(_), Some(_)) if flags.oidc_provider.is_none() => Err(Failure::usage(format!(
                "--identity-token and {} each name the identity: use one",
                spiffe.as_ref().map_or("", |spiffe| spiffe.flag),
            ))),
            (Some(_), Some(_)) => Err(Failure::usage(
                "--identity-token and --oidc-provider each name the identity: use one",
            )),
            (Some(text), None) => Given::read(text, host).map(Arc::new).map(Self::Given),
            (None, None) if flags.oidc_disable_ambient_providers => Err(Failure::usage(
                "--oidc-disable-ambient-providers leaves no identity to sign with",
            )
            .hint("give a token: --identity-token FILE")),
            (None, Some(_)) if flags.oidc_disable_ambient_providers => Err(Failure::usage(
                "--oidc-provider and --oidc-disable-ambient-providers contradict each other",
            )),
            (None, Some(name)) => Ok(Self::Ambient(sources().named(name).map_err(|error| {
                Failure::of(Exit::Usage, "--oidc-provider names no identity source", &error)
            })?)),
            (None, None) => Ok(Self::Ambient(sources())),
        }
    }

    /// The source that signs, with its first token in hand.
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
            (Self::Given(given), None) => match given.look() {
                Outcome::Found(found) => Ok((given.name().to_owned(), found.token)),
                Outcome::Broken(broken) => Err(Failure::new(Exit::Failed, broken.reason)),
                _ => Err(Failure::new(Exit::Failed, "--identity-token gives nothing")),
            },
            (_, None) => Err(Failure::new(Exit::Failed, "no source was asked")),
        }
    }
}

/// What the flags say of SPIFFE.
struct Spiffe<'a> {
    flags: &'a IdentityFlags,
    /// The first of them that was given.
    flag: &'static str,
}

impl<'a> Spiffe<'a> {
    /// `None` when they say nothing. Whoever says something wants no other identity.
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

/// The person, who has logged in.
async fn log_in(person: &Arc<Person>) -> Result<Arc<dyn TokenSource>, Failure> {
    // A token is kept for the session, which asks for it next. An error is told better from here.
    person.token(MIN_TTL).await?;
    Ok(Arc::clone(person) as Arc<dyn TokenSource>)
}

fn sources(host: &Host, spiffe: Option<&Spiffe<'_>>) -> Sources {
    let mut sources = Sources::standard(host);
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

/// What the source is called that the flags of SPIFFE mean.
const SPIFFE: &str = "spiffe";

impl Given {
    fn read(secret: &Secret, host: &Host) -> Result<Self, Failure> {
        let text = secret.reveal();
        let place = if text == "-" {
            let mut piped = String::new();
            std::io::stdin()
                .lock()
                .take(TOKEN_CAP as u64 + 1)
                .read_to_string(&mut piped)
                .map_err(|error| Failure::of(Exit::Failed, "stdin could not be read", &error))?;
            let token = IdToken::parse(&piped).map_err(|error| {
                Failure::of(Exit::Failed, "what came on stdin is no identity token", &error)
            })?;
            Place::Text(Box::new(token), "--identity-token - is given")
        } else {
            match IdToken::parse(text) {
                Ok(token) => Place::Text(Box::new(token), "--identity-token is given"),
                Err(error) => match read_file(Path::new(text), &*host.env) {
                    Ok(_) => Place::File(PathBuf::from(text)),
                    Err(file) => return Err(neither(text, &error, &file)),
                },
            }
        };
        Ok(Self { place, env: Arc::clone(&host.env) })
    }

    fn look(&self) -> Outcome {
        match &self.place {
            Place::Text(token, evidence) => {
                Outcome::Found(Found::new((**token).clone(), *evidence))
            }
            Place::File(path) => {
                let evidence = format!("--identity-token names {}", path.display());
                match read_file(path, &*self.env) {
                    Ok(token) => Outcome::Found(Found::new(token, evidence)),
                    Err(reason) => Outcome::Broken(Broken::new(evidence, reason)),
                }
            }
        }
    }
}

impl TokenSource for Given {
    fn name(&self) -> &str {
        "identity-token"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready(self.look()))
    }
}

fn read_file(path: &Path, env: &dyn Env) -> Result<IdToken, String> {
    let bytes = crate::files::read_now(env, path, TOKEN_CAP).map_err(|error| error.to_string())?;
    let parsed = std::str::from_utf8(&bytes)
        .map_err(|_| "the file is not text".to_owned())
        .and_then(|text| IdToken::parse(text).map_err(|error| error.to_string()));
    parsed.map_err(|reason| format!("{} holds no identity token: {reason}", path.display()))
}

/// A value that is neither a token nor a file with one may still be a secret with a typing error:
/// it is shown only when it looks like a path.
fn neither(text: &str, as_token: &id_token::Error, as_file: &str) -> Failure {
    let is_file = Path::new(text).exists();
    let looks_like_a_path = text.len() <= LONGEST_PATH_SHOWN
        && !text.starts_with("ey")
        && (text.contains(['/', '\\']) || text.split('.').count() <= 2);
    let mut failure = Failure::new(Exit::Failed, "--identity-token gives no identity token");
    if !is_file {
        failure.causes.push(format!("as a token: {as_token}"));
    }
    failure.causes.push(match is_file || looks_like_a_path {
        true if is_file => host::scrub(as_file),
        true => format!("as a file: {}", host::scrub(as_file)),
        false => "as a file: there is none of that name".to_owned(),
    });
    failure.hint("give a file, `-` for stdin, or a JWT: three parts with dots between")
}

/// How long a token must live when it is found: until Fulcio has seen it.
const MIN_TTL: Duration = Duration::from_secs(30);

const LONGEST_PATH_SHOWN: usize = 200;
