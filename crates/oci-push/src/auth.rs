//! Answering a registry's challenge: which credentials, which token, and for how long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use host::Host;
use http::{HeaderValue, StatusCode};
use url::Url;

use crate::address;
use crate::answer::{Answer, shown};
use crate::challenge::{Challenge, scopes};
use crate::credentials::Credentials;
use crate::error::{Access, Error};
use crate::helpers::Helpers;
use crate::keychain::{self, Lookup};
use crate::locks::{Locks, guard};
use crate::options::Options;
use crate::patience::Patience;
use crate::repository::Repository;
use crate::token::{self, TokenService, basic, bearer};

/// Credentials and tokens of one process, each kept for one repository of one registry.
pub(crate) struct Auth {
    options: Options,
    host: Host,
    lookups: Mutex<HashMap<Repository, Arc<Lookup>>>,
    helpers: Helpers,
    /// What each registry challenged with, by its address: its other repositories are not asked for
    /// without credentials first.
    challenges: Mutex<HashMap<Url, Challenge>>,
    ready: Mutex<HashMap<(Repository, Access), Ready>>,
    /// One token request at a time for one purpose: parallel uploads share what the first gets.
    asking: Locks,
    patience: Arc<Patience>,
}

/// An `Authorization` header that was good a moment ago.
struct Ready {
    authorization: HeaderValue,
    until: Option<SystemTime>,
}

impl Auth {
    pub(crate) fn new(host: Host, options: Options, patience: Arc<Patience>) -> Self {
        Self {
            options,
            host,
            lookups: Mutex::default(),
            helpers: Helpers::default(),
            challenges: Mutex::default(),
            ready: Mutex::default(),
            asking: Locks::default(),
            patience,
        }
    }

    /// The header to send without being asked, if there is one from an earlier challenge. The right
    /// to push includes the right to pull.
    pub(crate) fn ready(&self, repository: &Repository, access: Access) -> Option<HeaderValue> {
        let now = self.host.clock.now();
        let ready = guard(&self.ready);
        [access, Access::Push].into_iter().find_map(|access| {
            let known = ready.get(&(repository.clone(), access))?;
            let fresh = known.until.is_none_or(|until| now < until);
            fresh.then(|| known.authorization.clone())
        })
    }

    /// The header to send without being challenged: one from an earlier challenge, or, where another
    /// repository of the registry at `base` was, the answer to that challenge for this one.
    pub(crate) async fn foresee(
        &self,
        base: &Url,
        repository: &Repository,
        access: Access,
    ) -> Option<HeaderValue> {
        if let Some(ready) = self.ready(repository, access) {
            return Some(ready);
        }
        let challenge = guard(&self.challenges).get(base).cloned()?;
        // Without it, the registry says what is wrong, or answers anyone.
        let met = self.meet(base, repository, access, &challenge, None).await;
        met.inspect_err(|error| tracing::debug!(%error, "nothing to send unasked")).ok().flatten()
    }

    /// Whether what is sent for `repository` is a token of a token service: it is good for this
    /// repository and no other.
    pub(crate) fn has_token(&self, repository: &Repository) -> bool {
        let ready = guard(&self.ready);
        let known = ready.get(&(repository.clone(), Access::Push));
        known.is_some_and(|known| known.until.is_some())
    }

    /// Answers `challenge` of the registry at `base`. `None` when there is nothing better to send
    /// than `tried`.
    pub(crate) async fn meet(
        &self,
        base: &Url,
        repository: &Repository,
        access: Access,
        challenge: &Challenge,
        tried: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Error> {
        let _held = self.asking.hold(format!("{repository} {access:?}")).await;
        if let Some(ready) = self.ready(repository, access)
            && Some(&ready) != tried
        {
            return Ok(Some(ready));
        }
        let lookup = self.lookup(repository).await?;
        let (authorization, until) = match (challenge, &lookup.credentials) {
            (_, Some(Credentials::RegistryToken(token))) => (bearer(token, base)?, None),
            (Challenge::Bearer { .. }, _) => {
                let token = self.token(base, repository, access, challenge, &lookup).await?;
                (token.0, Some(token.1))
            }
            (Challenge::Basic, Some(Credentials::Basic { username, password })) => {
                (basic(username, password), None)
            }
            (Challenge::Basic, Some(Credentials::IdentityToken(_)) | None) => return Ok(None),
        };
        if Some(&authorization) == tried {
            return Ok(None);
        }
        guard(&self.challenges).insert(base.clone(), challenge.clone());
        let ready = Ready { authorization: authorization.clone(), until };
        guard(&self.ready).insert((repository.clone(), access), ready);
        Ok(Some(authorization))
    }

    /// A token without credentials, for a server that a registry redirected a download to. It is
    /// sent to that server and to no other.
    pub(crate) async fn anonymous(
        &self,
        server: &Url,
        challenge: &Challenge,
        repository: &Repository,
    ) -> Result<Option<HeaderValue>, Error> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            return Ok(None);
        };
        let realm = self.realm(realm, server)?;
        let service = TokenService {
            elsewhere: true,
            realm,
            service: service.as_deref(),
            scopes: scope
                .iter()
                .flat_map(|scope| scope.split_ascii_whitespace())
                .take(MOST_FOREIGN_SCOPES)
                .map(str::to_owned)
                .collect(),
        };
        let lookup = Lookup::new(None, "no credentials");
        let answer =
            self.patience.send(&self.host, || service.ask(&*self.host.http, &lookup)).await?;
        if !answer.status.is_success() {
            return Err(not_given(answer, repository, Access::Pull));
        }
        let now = self.host.clock.now();
        token::read(&answer, server, now).map(|(authorization, _)| Some(authorization))
    }

    /// The credentials for `repository`, searched for once, and again when they have become old.
    async fn lookup(&self, repository: &Repository) -> Result<Arc<Lookup>, Error> {
        let now = self.host.clock.now();
        let known = || {
            let known = self.looked_up(repository)?;
            known.until.is_none_or(|until| now < until).then_some(known)
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let _held = self.asking.hold(format!("{repository} credentials")).await;
        if let Some(known) = known() {
            return Ok(known);
        }
        let found = match self.options.credentials.get(repository.registry()) {
            Some(credentials) => {
                Lookup::new(Some(credentials.clone()), "the credentials given explicitly")
            }
            None => keychain::find(&self.host, &self.options, &self.helpers, repository).await?,
        };
        let found = Arc::new(found);
        guard(&self.lookups).insert(repository.clone(), Arc::clone(&found));
        Ok(found)
    }

    /// The result of the search for `repository`, if there was one.
    pub(crate) fn looked_up(&self, repository: &Repository) -> Option<Arc<Lookup>> {
        guard(&self.lookups).get(repository).cloned()
    }

    async fn token(
        &self,
        base: &Url,
        repository: &Repository,
        access: Access,
        challenge: &Challenge,
        lookup: &Lookup,
    ) -> Result<(HeaderValue, SystemTime), Error> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            return Err(Error::Invalid {
                what: format!("the challenge of {repository}"),
                reason: "expected a bearer challenge".to_owned(),
            });
        };
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let needed = format!("repository:{}:{actions}", repository.path());
        let realm = self.realm(realm, base)?;
        let service = TokenService {
            elsewhere: realm.host() != base.host(),
            realm,
            service: service.as_deref(),
            scopes: scopes(scope.as_deref(), &needed),
        };
        let answer =
            self.patience.send(&self.host, || service.ask(&*self.host.http, lookup)).await?;
        if answer.status.is_success() {
            return token::read(&answer, base, self.host.clock.now());
        }
        // What is refused without credentials may be granted with them.
        let anonymous = lookup.credentials.is_none();
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status)
            || answer.status == StatusCode::BAD_REQUEST && !anonymous;
        if refused && (anonymous || answer.status != StatusCode::FORBIDDEN) {
            return Err(Error::Unauthorized {
                repository: repository.to_string(),
                access,
                credentials: match anonymous {
                    true => lookup.origin.clone(),
                    false => format!("{} were refused", lookup.origin),
                },
                detail: answer.detail(),
            });
        }
        Err(not_given(answer, repository, access))
    }

    /// The address of the token service that the server at `server` names.
    fn realm(&self, realm: &str, server: &Url) -> Result<Url, Error> {
        let internal = self.options.allow_internal_addresses;
        address::resolve(realm, server, server, internal).map_err(|reason| Error::Invalid {
            what: format!(
                "the token service {} named by {}",
                host::escape_remote(realm),
                server.host_str().unwrap_or_default()
            ),
            reason,
        })
    }
}

/// A token service that is not there says nothing about an image.
fn not_given(answer: Answer, repository: &Repository, access: Access) -> Error {
    if answer.status == StatusCode::NOT_FOUND && !answer.has_code("NAME_UNKNOWN") {
        let request = format!("the request for a token, {},", answer.request());
        let detail = answer.detail();
        return Error::Answer { request, status: answer.status.as_u16(), detail };
    }
    let service = format!("the token service {}", shown(&answer.url));
    answer.into_error(repository, access, || service)
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("options", &self.options).finish_non_exhaustive()
    }
}

const MOST_FOREIGN_SCOPES: usize = 8;
