//! An interactive login as an identity source.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_lock::Mutex;
use host::{BoxFuture, Host, Loopback, with_causes};
use id_token::{Audience, Broken, Found, IdToken, Outcome, TokenSource};

use crate::{Error, Login, Prompt};

/// An identity source that logs a user in when a token is needed, and keeps the token for as long
/// as it is good.
///
/// The caller must know that a user is there. The audience of the token is the client ID of the
/// login, whatever audience is asked for.
pub struct InteractiveLogin {
    login: Login,
    host: Host,
    loopback: Arc<dyn Loopback>,
    prompt: Arc<dyn Prompt>,
    /// Held while a user logs in, so that tasks at the same time share one login.
    kept: Mutex<Option<Kept>>,
}

/// The token of the last login.
struct Kept {
    token: IdToken,
    /// Until when it is as good as the next one would be.
    half_spent: SystemTime,
}

impl InteractiveLogin {
    /// A login whose user is reached through `prompt`. Does nothing yet.
    pub fn new(
        login: Login,
        host: Host,
        loopback: Arc<dyn Loopback>,
        prompt: Arc<dyn Prompt>,
    ) -> Self {
        Self { login, host, loopback, prompt, kept: Mutex::new(None) }
    }

    /// The token of the last login if it lives for `min_ttl` more or for half of its life, else one
    /// of a new login. Logins give short-lived tokens, a minute at the public Sigstore: a new one is
    /// as good as it gets, however long it is wanted for.
    ///
    /// # Errors
    /// As [`Login::log_in`].
    pub async fn token(&self, min_ttl: Duration) -> Result<IdToken, Error> {
        let mut held = self.kept.lock().await;
        let now = self.host.clock.now();
        let good = |kept: &Kept| {
            let lives = kept.token.claims().expires_at() > now.checked_add(min_ttl);
            now < kept.half_spent || lives && now.checked_add(min_ttl).is_some()
        };
        if let Some(kept) = held.as_ref().filter(|kept| good(kept)) {
            return Ok(kept.token.clone());
        }
        let token = self.login.log_in(&self.host, &*self.loopback, &*self.prompt).await?;
        let now = self.host.clock.now();
        let life = token.claims().expires_at().and_then(|end| end.duration_since(now).ok());
        let half_spent = now.checked_add(life.unwrap_or_default() / 2).unwrap_or(now);
        *held = Some(Kept { token: token.clone(), half_spent });
        Ok(token)
    }
}

impl TokenSource for InteractiveLogin {
    fn name(&self) -> &str {
        "interactive"
    }

    fn find<'a>(&'a self, _: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let evidence = format!("a person logs in at {}", self.login.issuer());
            match self.token(min_ttl).await {
                Ok(token) => Outcome::Found(Found::new(token, evidence)),
                Err(error) => Outcome::Broken(Broken::new(evidence, with_causes(&error))),
            }
        })
    }
}

impl fmt::Debug for InteractiveLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InteractiveLogin").field(&self.login).finish()
    }
}
