//! The authorization code flow: a browser comes back to this machine, or a person types the code.

use std::future::pending;
use std::time::Duration;

use host::{Loopback, Page, escape_remote};
use http::{Method, Request};
use id_token::IdToken;
use url::Url;
use url::form_urlencoded::parse;

use crate::exchange::Exchange;
use crate::pkce::Attempt;
use crate::race::{First, race};
use crate::redirect::Redirect;
use crate::{Error, Notice, Prompt, launcher, pages};

/// Logs in with the browser of this machine.
pub(crate) async fn log_in(
    exchange: &Exchange<'_>,
    loopback: &dyn Loopback,
    redirect: &Redirect,
    connector: Option<&str>,
    deadline: Duration,
    prompt: &dyn Prompt,
) -> Result<IdToken, Error> {
    let attempt = Attempt::new()?;
    let authorization = exchange.discovery.authorization()?;
    let mut listener =
        loopback.listen(&redirect.addresses, redirect.port).await.map_err(|error| {
            let at = redirect.url(redirect.port);
            Error::setup(format!("cannot wait for the browser at {at}"))(error.into())
        })?;
    let back = redirect.url(listener.port());
    let url = authorization_url(authorization, exchange, &attempt, &back, connector);
    let by_hand = authorization_url(authorization, exchange, &attempt, OUT_OF_BAND, connector);
    prompt.tell(&Notice::Browser { url: url.as_str() });

    let callback = Callback { exchange, attempt: &attempt, path: &redirect.path };
    let (mut returned, mut stray) = (None, None);
    let mut answer = |request: &Request<()>| {
        let (page, outcome) = callback.receive(request);
        match outcome {
            // An old tab, or a page that guesses: the login goes on.
            Some(Err(Error::WrongState { reason })) if !page.last => stray = Some(reason),
            Some(outcome) => returned = Some(outcome),
            None => {}
        }
        page
    };
    let typed = async {
        // A launcher may wait until the page is loaded, and the page until we answer.
        let Some(reason) = launcher::open(&*exchange.host.programs, url.as_str()).await else {
            return pending().await;
        };
        prompt.tell(&Notice::NoBrowser { reason: &reason, url: url.as_str() });
        if !prompt.takes_codes() {
            return pending().await;
        }
        prompt.tell(&Notice::OutOfBand { url: by_hand.as_str() });
        match prompt.ask_code().await {
            Ok(code) => code,
            // The page may still be opened by hand.
            Err(_) => pending().await,
        }
    };
    let first =
        race(race(listener.serve(&mut answer), typed), exchange.clock().sleep(deadline)).await;
    drop(listener);
    match first {
        First::Left(First::Left(())) => {
            let code = returned.unwrap_or(Err(Error::WrongState { reason: "it is empty" }))?;
            exchange.redeem(&code, &back, &attempt).await
        }
        First::Left(First::Right(code)) => {
            exchange.redeem(typed_code(&code)?, OUT_OF_BAND, &attempt).await
        }
        First::Right(()) => Err(match stray {
            Some(reason) => Error::WrongState { reason },
            None => Error::Deadline { place: "the browser", after: deadline },
        }),
    }
}

/// Logs in with any browser; the person types the code that the issuer shows.
pub(crate) async fn log_in_out_of_band(
    exchange: &Exchange<'_>,
    connector: Option<&str>,
    deadline: Duration,
    prompt: &dyn Prompt,
) -> Result<IdToken, Error> {
    let attempt = Attempt::new()?;
    let authorization = exchange.discovery.authorization()?;
    let url = authorization_url(authorization, exchange, &attempt, OUT_OF_BAND, connector);
    prompt.tell(&Notice::OutOfBand { url: url.as_str() });
    let code = match race(prompt.ask_code(), exchange.clock().sleep(deadline)).await {
        First::Left(Ok(code)) => code,
        First::Left(Err(reason)) => return Err(Error::NoCode { reason }),
        First::Right(()) => {
            return Err(Error::Deadline { place: "another browser", after: deadline });
        }
    };
    exchange.redeem(typed_code(&code)?, OUT_OF_BAND, &attempt).await
}

fn typed_code(code: &str) -> Result<&str, Error> {
    match code.trim() {
        "" => Err(Error::NoCode { reason: "the line is empty".to_owned() }),
        code if code.len() > CODE_CAP => {
            Err(Error::NoCode { reason: format!("it is longer than {CODE_CAP} bytes") })
        }
        code => Ok(code),
    }
}

/// The authorization request (Core 3.1.2.1).
fn authorization_url(
    endpoint: &Url,
    exchange: &Exchange<'_>,
    attempt: &Attempt,
    redirect: &str,
    connector: Option<&str>,
) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", exchange.caller.client_id)
        .append_pair("scope", SCOPE)
        .append_pair("redirect_uri", redirect)
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", &attempt.challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(connector.map(|id| ("connector_id", id)));
    url
}

/// Judges the requests of the browser at the end of a login.
struct Callback<'a> {
    exchange: &'a Exchange<'a>,
    attempt: &'a Attempt,
    path: &'a str,
}

impl Callback<'_> {
    /// The page for the browser, and the code or why there is none, which ends the wait if the page
    /// is the last.
    fn receive(&self, request: &Request<()>) -> (Page, Option<Result<String, Error>>) {
        let uri = request.uri();
        if request.method() != Method::GET || uri.path() != self.path {
            return (pages::absent(), None);
        }
        let query = uri.query().unwrap_or_default().as_bytes();
        // RFC 6749 3.1: no parameter comes twice.
        let one = |name: &str| {
            let mut values = parse(query).filter(|(known, _)| known == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Some(value.into_owned()),
                _ => None,
            }
        };
        let (code, error) = (one("code"), one("error"));
        if code.is_none() && error.is_none() {
            return (pages::absent(), None);
        }
        if one("state").as_deref() != Some(self.attempt.state.as_str()) {
            let reason = "its state is another one";
            return (pages::foreign(false), Some(Err(Error::WrongState { reason })));
        }
        // It knows the state and comes from elsewhere: an issuer was mixed up with another.
        let foreign = |reason| (pages::foreign(true), Some(Err(Error::WrongState { reason })));
        let discovery = &self.exchange.discovery;
        match one("iss") {
            Some(issuer) if issuer != discovery.issuer => {
                return foreign("it comes from another issuer");
            }
            None if discovery.names_itself => return foreign("it does not name its issuer"),
            _ => {}
        }
        match (code, error) {
            (Some(code), None) if !code.is_empty() => (pages::returned(), Some(Ok(code))),
            (_, error) => {
                let description = one("error_description").map(|text| escape_remote(&text));
                let description = description.filter(|text| !text.is_empty());
                let error = error.unwrap_or_else(|| "an empty code".to_owned());
                let issuer = self.exchange.caller.issuer.to_owned();
                let refusal = match error.as_str() {
                    "access_denied" => Error::Denied { description },
                    other => {
                        let error = escape_remote(other);
                        Error::Refused { what: "login page", issuer, error, description }
                    }
                };
                (pages::failed(), Some(Err(refusal)))
            }
        }
    }
}

/// What every issuer has, and Fulcio needs.
pub(crate) const SCOPE: &str = "openid email";

/// The redirect that makes the issuer show the code.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// The longest code that is taken from a person, in bytes.
const CODE_CAP: usize = 4096;
