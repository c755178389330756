//! The search for an identity, whole and in its documented order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use id_token::{Audience, TokenSource};
use oidc_ambient::{Sources, Stage, Survey};
use spiffe_workload_api::{Endpoint, SpiffeId, SpiffeSource};

/// Looks for an identity token in every place that this project knows.
///
/// In this order: what was set for this purpose (`SIGSTORE_ID_TOKEN`, a token file), declared
/// sources, the CI job, SPIFFE where `SPIFFE_ENDPOINT_SOCKET` is set, tokens of a cluster, the
/// default SPIFFE socket, the machine (AWS, Azure, Google), and last a person who logs in, where
/// the caller gives one.
#[derive(Clone)]
pub struct IdentitySearch {
    sources: Sources,
    login: Option<Arc<dyn TokenSource>>,
    audience: Audience,
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

impl IdentitySearch {
    /// Every source, for tokens with the audience `sigstore`.
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
        Self { sources, login: None, audience: Audience::sigstore() }
    }

    /// Only the sources called `name`, one of which must have a token.
    ///
    /// # Errors
    /// [`oidc_ambient::Error::UnknownProvider`]: no source has this name.
    pub fn only(self, name: &str) -> Result<Self, oidc_ambient::Error> {
        Ok(Self { sources: self.sources.named(name)?, login: None, ..self })
    }

    /// Asks `login`, usually a person, when no other source has a token.
    #[must_use]
    pub fn with_login(self, login: Arc<dyn TokenSource>) -> Self {
        Self { login: Some(login), ..self }
    }

    /// Asks for tokens with another audience than `sigstore`.
    #[must_use]
    pub fn with_audience(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// The sources, in order.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The first source that has a token. The token is kept for the next call of the source.
    ///
    /// # Errors
    /// Those of [`oidc_ambient::detect`].
    pub async fn find(&self) -> Result<Arc<dyn TokenSource>, oidc_ambient::Error> {
        match (oidc_ambient::detect(&self.sources, &self.audience, MIN_TTL).await, &self.login) {
            (Ok(detected), _) => Ok(Arc::new(detected.into_source(&self.audience))),
            (Err(oidc_ambient::Error::Nothing { .. }), Some(login)) => Ok(Arc::clone(login)),
            (Err(error), _) => Err(error),
        }
    }

    /// What each source answers, for telling people; the login is not asked.
    pub async fn survey(&self) -> Survey {
        oidc_ambient::survey(&self.sources, &self.audience, MIN_TTL).await
    }
}

impl fmt::Debug for IdentitySearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentitySearch")
            .field("sources", &self.sources)
            .field("login", &self.login.as_ref().map(|login| login.name()))
            .finish_non_exhaustive()
    }
}

/// How long a token must live when it is found: until Fulcio has seen it.
const MIN_TTL: Duration = Duration::from_secs(30);
