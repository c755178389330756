//! The search for an identity, whole and in its documented order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fulcio_client::Configuration;
use futures_util::future::try_join;
use host::{BoxFuture, FileError, Host};
use id_token::{Audience, IdToken, Outcome, TokenSource};
use oidc_ambient::{Audiences, Detected, Sources, Stage, Survey};
use oidc_interactive::InteractiveLogin;
use signer::{Session, Signer};
use spiffe_workload_api::{Endpoint, SpiffeId, SpiffeSource};

use crate::given_token::GivenToken;
use crate::identity_error::IdentityError;

/// Looks for an identity token in every place that this project knows.
///
/// In this order: what was set for this purpose (`SIGSTORE_ID_TOKEN`, a token file), declared
/// sources, the CI job, SPIFFE where `SPIFFE_ENDPOINT_SOCKET` is set, tokens of a cluster, the
/// default SPIFFE socket, the machine (AWS, Azure, Google), and last an interactive login, where
/// the caller adds one. A token that the caller gives is used instead of them all.
#[derive(Clone)]
pub struct IdentitySearch {
    sources: Sources,
    given: Option<Arc<GivenToken>>,
    login: Option<Arc<InteractiveLogin>>,
    audience: Option<Audience>,
    on_token: Option<Arc<TokenListener>>,
}

/// Is told of each token before it is used.
type TokenListener = dyn Fn(&IdToken) + Send + Sync;

/// The identity that will sign.
#[derive(Clone)]
#[non_exhaustive]
pub struct FoundIdentity {
    /// Where its tokens come from. The first one is kept for the next call.
    pub source: Arc<dyn TokenSource>,
    /// The audience to ask it for.
    pub audience: Audience,
}

/// Which SPIFFE identity is meant. The default leaves it to the Workload API.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SpiffeChoice {
    /// The Workload API, in place of the variable and the default socket.
    pub endpoint: Option<Endpoint>,
    /// The SPIFFE ID, where the workload has several.
    pub id: Option<SpiffeId>,
    /// The hint that the operator gave the identity.
    pub hint: Option<String>,
}

impl SpiffeChoice {
    /// The name of the SPIFFE sources, for [`IdentitySearch::only`].
    pub const PROVIDER: &'static str = "spiffe";
}

impl IdentitySearch {
    /// Every source.
    pub fn new(host: &Host) -> Self {
        Self::with_spiffe(host, &SpiffeChoice::default())
    }

    /// As [`new`](Self::new), with a choice among SPIFFE identities.
    pub fn with_spiffe(host: &Host, choice: &SpiffeChoice) -> Self {
        let mut sources = Sources::standard(host);
        cloud_credentials::add_to(&mut sources, host);
        let choose = |mut source: SpiffeSource| {
            if let Some(id) = &choice.id {
                source = source.with_spiffe_id(id.clone());
            }
            if let Some(hint) = &choice.hint {
                source = source.with_hint(hint);
            }
            Arc::new(source)
        };
        match &choice.endpoint {
            Some(endpoint) => sources
                .add(Stage::Workload, choose(SpiffeSource::at(host.clone(), endpoint.clone()))),
            None => {
                sources.add(Stage::Workload, choose(SpiffeSource::from_env(host.clone())));
                sources.add(Stage::Guessed, choose(SpiffeSource::at_default(host.clone())));
            }
        }
        Self { sources, ..Self::empty(host) }
    }

    /// No source but those that are added.
    pub fn empty(host: &Host) -> Self {
        let sources = Sources::empty(Arc::clone(&host.clock));
        Self { sources, given: None, login: None, audience: None, on_token: None }
    }

    /// Adds the sources that the user declares in `ambisign/identity.toml`. A file that cannot be
    /// read counts as absent: the reason is returned, to be shown as a warning.
    ///
    /// # Errors
    /// The file can be read and is not valid.
    pub async fn declare_default(
        &mut self,
        host: &Host,
    ) -> Result<Option<FileError>, IdentityError> {
        Ok(self.sources.declare_default(host).await?)
    }

    /// Only the sources called `name`, one of which must have a token.
    ///
    /// # Errors
    /// [`oidc_ambient::Error::UnknownProvider`]: no source has this name.
    pub fn only(self, name: &str) -> Result<Self, IdentityError> {
        Ok(Self { sources: self.sources.named(name)?, login: None, ..self })
    }

    /// Uses this token and asks no source.
    #[must_use]
    pub fn with_token(self, token: GivenToken) -> Self {
        Self { given: Some(Arc::new(token)), ..self }
    }

    /// Logs the user in when no other source has a token.
    #[must_use]
    pub fn with_login(self, login: Arc<InteractiveLogin>) -> Self {
        Self { login: Some(login), ..self }
    }

    /// Asks for tokens with this audience, whatever the certificate authority says. Without it, the
    /// audience is what the certificate authority wants of the token's issuer, else `sigstore`.
    #[must_use]
    pub fn with_audience(self, audience: Audience) -> Self {
        Self { audience: Some(audience), ..self }
    }

    /// Calls `watcher` with the name of each source that is waited for.
    #[must_use]
    pub fn watched(self, watcher: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { sources: self.sources.watched(watcher), ..self }
    }

    /// Calls `listener` with each token before it is used or reported, so that a program can have
    /// it hidden in the log of a job.
    #[must_use]
    pub fn on_token(self, listener: Arc<dyn Fn(&IdToken) + Send + Sync>) -> Self {
        Self { on_token: Some(listener), ..self }
    }

    /// Whether a person may be asked to log in.
    pub fn may_log_in(&self) -> bool {
        self.login.is_some()
    }

    /// The sources, in order.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The first source that has a token; among those of the machine, the first that the
    /// certificate authority with this `configuration` accepts. It is awaited only when something
    /// depends on it.
    ///
    /// # Errors
    /// There is no identity, or the one that must be used does not work.
    pub async fn find(
        &self,
        configuration: impl Future<Output = Option<&Configuration>>,
    ) -> Result<FoundIdentity, IdentityError> {
        let (source, audience): (Arc<dyn TokenSource>, _) = match &self.given {
            Some(given) => (given.clone(), self.default_audience()),
            None => match (self.detect(configuration).await, &self.login) {
                (Ok(detected), _) => {
                    let audience = detected.audience.clone();
                    (Arc::new(detected.into_source(&audience)), audience)
                }
                (Err(oidc_ambient::Error::Nothing { .. }), Some(login)) => {
                    // The next token of this source is the same one; its error would say less.
                    let token = login.token(MIN_TTL).await;
                    token.map_err(|error| IdentityError::Login(Box::new(error)))?;
                    (login.clone(), self.default_audience())
                }
                (Err(error), _) => return Err(error.into()),
            },
        };
        let source = match self.on_token.clone() {
            Some(listener) => Arc::new(ObservedSource { source, listener }),
            None => source,
        };
        Ok(FoundIdentity { source, audience })
    }

    async fn detect(
        &self,
        configuration: impl Future<Output = Option<&Configuration>>,
    ) -> Result<Detected, oidc_ambient::Error> {
        let audiences = Audiences::one(self.default_audience());
        let found = oidc_ambient::detect_for(&self.sources, &audiences, MIN_TTL).await;
        if depends_on_configuration(&found)
            && let Some(configuration) = configuration.await
            && self.decides(configuration, &found)
        {
            let audiences = self.audiences(configuration);
            return oidc_ambient::detect_for(&self.sources, &audiences, MIN_TTL).await;
        }
        found
    }

    /// Will sign with the identity that is found.
    ///
    /// # Errors
    /// As of [`find`](Self::find).
    pub async fn session(&self, signer: Signer) -> Result<Session, IdentityError> {
        let ahead = async {
            signer.ask_ahead().await;
            Ok(())
        };
        let (found, ()) = try_join(self.find(signer.configuration()), ahead).await?;
        Ok(Session::new(signer.with_audience(found.audience), found.source))
    }

    /// Tells the listener of `token`.
    pub(crate) fn tell(&self, token: &IdToken) {
        self.on_token.iter().for_each(|listener| listener(token));
    }

    /// The token that was given.
    pub(crate) fn given(&self) -> Option<&GivenToken> {
        self.given.as_deref()
    }

    pub(crate) fn default_audience(&self) -> Audience {
        self.audience.clone().unwrap_or_else(Audience::sigstore)
    }

    /// What each source answers. As in [`find`](Self::find), `configuration` is awaited only when
    /// something depends on it.
    pub(crate) async fn survey(
        &self,
        configuration: impl Future<Output = Option<&Configuration>>,
    ) -> Survey {
        let audiences = Audiences::one(self.default_audience());
        let survey = oidc_ambient::survey_for(&self.sources, &audiences, MIN_TTL).await;
        if depends_on_configuration(&survey.outcome)
            && let Some(configuration) = configuration.await
            && self.decides(configuration, &survey.outcome)
        {
            let audiences = self.audiences(configuration);
            return oidc_ambient::survey_for(&self.sources, &audiences, MIN_TTL).await;
        }
        survey
    }

    /// Whether the search may find something else when it knows this configuration.
    fn decides(
        &self,
        configuration: &Configuration,
        found: &Result<Detected, oidc_ambient::Error>,
    ) -> bool {
        let is_asked = |audience: &str| audience == self.default_audience().as_str();
        match found {
            Ok(detected) => {
                let issuer = detected.token.claims().issuer().unwrap_or_default();
                let listed = configuration.issuer_for(issuer);
                match listed {
                    Some(it) => self.audience.is_none() && !is_asked(&it.audience),
                    // Another identity of the machine may be listed.
                    None => detected.stage >= Stage::Aws,
                }
            }
            Err(_) => {
                self.audience.is_none()
                    && configuration.issuers().iter().any(|it| !is_asked(&it.audience))
            }
        }
    }

    /// What the certificate authority wants of each issuer's tokens.
    fn audiences(&self, configuration: &Configuration) -> Audiences {
        let (asked, default) = (self.audience.clone(), self.default_audience());
        let configuration = configuration.clone();
        let wanted: Vec<Audience> = match asked {
            Some(_) => Vec::new(),
            None => {
                let issuers = configuration.issuers().iter();
                issuers.filter_map(|issuer| Audience::new(&issuer.audience).ok()).collect()
            }
        };
        Audiences::by_issuer(default.clone(), wanted, move |iss| {
            let issuer = configuration.issuer_for(iss)?;
            let wanted = || Audience::new(&issuer.audience).ok();
            Some(asked.clone().or_else(wanted).unwrap_or_else(|| default.clone()))
        })
    }
}

/// A source whose tokens a listener is told of.
struct ObservedSource {
    source: Arc<dyn TokenSource>,
    listener: Arc<TokenListener>,
}

impl TokenSource for ObservedSource {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let outcome = self.source.find(audience, min_ttl).await;
            if let Outcome::Found(found) = &outcome {
                (self.listener)(&found.token);
            }
            outcome
        })
    }
}

impl fmt::Debug for IdentitySearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentitySearch")
            .field("sources", &self.sources)
            .field("login", &self.login)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FoundIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundIdentity")
            .field("source", &self.source.name())
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Whether the certificate authority's configuration may change the result: there is a token, or
/// there may be one for another audience.
fn depends_on_configuration(found: &Result<Detected, oidc_ambient::Error>) -> bool {
    use oidc_ambient::Error;

    match found {
        Ok(_) => true,
        Err(Error::Broken { broken, .. }) => broken.depends_on_audience,
        Err(Error::Nothing { broken, .. }) => broken.iter().any(|(_, it)| it.depends_on_audience),
        Err(_) => false,
    }
}

/// How long a token must live when it is found: until Fulcio has seen it.
const MIN_TTL: Duration = Duration::from_secs(30);
