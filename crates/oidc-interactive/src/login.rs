//! One login, from its settings to the token.

use std::fmt;
use std::time::Duration;

use host::{Host, Loopback};
use id_token::{Audience, IdToken};
use secrecy::SecretString;
use url::Url;

use crate::call::Caller;
use crate::discovery::Discovery;
use crate::exchange::Exchange;
use crate::redirect::Redirect;
use crate::{Error, Prompt, browser, device};

/// The issuer that people log in to at the public Sigstore.
pub const PUBLIC_ISSUER: &str = "https://oauth2.sigstore.dev/auth";

/// How the person gets to the login page and we to the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// A browser of this machine, which comes back by itself. Where none opens, the code may be
    /// typed instead.
    #[default]
    Browser,
    /// A browser anywhere, and nothing to type here.
    Device,
    /// A browser anywhere; the person types the code that it shows.
    OutOfBand,
}

/// How to log in, and where.
#[derive(Clone)]
pub struct Login {
    issuer: String,
    client_id: String,
    client_secret: Option<SecretString>,
    redirect: Redirect,
    connector: Option<String>,
    flow: Flow,
    deadline: Duration,
}

impl Login {
    /// A login at `issuer`, a URL, as the public client `sigstore`, in a browser, within five
    /// minutes.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: Audience::SIGSTORE.to_owned(),
            client_secret: None,
            redirect: Redirect::default(),
            connector: None,
            flow: Flow::default(),
            deadline: Duration::from_secs(300),
        }
    }

    /// As this client, which is the audience of the token, too. A public client has no secret.
    #[must_use]
    pub fn with_client(self, id: impl Into<String>, secret: Option<SecretString>) -> Self {
        Self { client_id: id.into(), client_secret: secret, ..self }
    }

    /// With the issuer sending the browser back to `redirect`, a URL of `http` on a loopback
    /// address; port 0 is any. Without this, `http://localhost:0/auth/callback`.
    ///
    /// # Errors
    /// Nothing on this machine can listen there.
    pub fn with_redirect(self, redirect: &Url) -> Result<Self, Error> {
        Ok(Self { redirect: Redirect::new(redirect)?, ..self })
    }

    /// With this identity provider behind a Dex, so that the person need not choose one:
    /// `https://github.com/login/oauth` for example.
    #[must_use]
    pub fn with_connector(self, id: impl Into<String>) -> Self {
        Self { connector: Some(id.into()), ..self }
    }

    /// At this issuer, a URL.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), ..self }
    }

    /// In this way.
    #[must_use]
    pub fn with_flow(self, flow: Flow) -> Self {
        Self { flow, ..self }
    }

    /// Within this time, counted from the moment when the person is told.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The issuer, as it was given.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Logs in and returns the identity token, with its signature and claims checked. Only the
    /// browser flow listens on `loopback` and launches a program.
    ///
    /// # Errors
    /// Why there is no token; each variant of [`Error`] wants something else done about it.
    pub async fn log_in(
        &self,
        host: &Host,
        loopback: &dyn Loopback,
        prompt: &dyn Prompt,
    ) -> Result<IdToken, Error> {
        let _waiting = prompt.waiting();
        let caller = Caller {
            http: &*host.http,
            issuer: &self.issuer,
            client_id: &self.client_id,
            client_secret: self.client_secret.as_ref(),
        };
        let discovery = Discovery::fetch(&caller).await?;
        let exchange = Exchange { caller, discovery, host };
        let (connector, deadline) = (self.connector.as_deref(), self.deadline);
        match self.flow {
            Flow::Browser => {
                browser::log_in(&exchange, loopback, &self.redirect, connector, deadline, prompt)
                    .await
            }
            Flow::Device => device::log_in(&exchange, deadline, prompt).await,
            Flow::OutOfBand => {
                browser::log_in_out_of_band(&exchange, connector, deadline, prompt).await
            }
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}
