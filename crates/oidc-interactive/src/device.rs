//! The device flow: a browser anywhere, while we ask whether it is done (RFC 8628).

use std::time::Duration;

use host::escape_remote;
use id_token::IdToken;
use serde_json::{Map, Value};
use url::Url;

use crate::browser::SCOPE;
use crate::discovery::LONGEST_URL;
use crate::exchange::Exchange;
use crate::pkce::Attempt;
use crate::{Error, Notice, Prompt};

/// Logs in with a browser on any device, within `deadline` and the life of the issuer's codes.
pub(crate) async fn log_in(
    exchange: &Exchange<'_>,
    deadline: Duration,
    prompt: &dyn Prompt,
) -> Result<IdToken, Error> {
    let attempt = Attempt::new()?;
    let grant = Grant::request(exchange, &attempt, deadline).await?;
    let deadline = deadline.min(grant.expires_in);
    prompt.tell(&Notice::Device {
        user_code: &grant.user_code,
        url: grant.url.as_str(),
        complete_url: grant.complete_url.as_ref().map(Url::as_str),
        expires_in: deadline,
    });
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", grant.device_code.as_str()),
        ("scope", SCOPE),
        ("code_verifier", attempt.verifier()),
    ];
    let late = || Error::Deadline { place: "another device", after: deadline };
    let mut interval = grant.interval;
    let mut watch = Watch::new(exchange, deadline);
    loop {
        watch.pause(interval).await.ok_or_else(late)?;
        let error = match exchange.post_for_token(&fields, watch.left()).await {
            Ok(answer) => return exchange.accept(&answer, None).await,
            Err(error) => error,
        };
        match after(&error) {
            Next::Again => {}
            Next::Slower => interval = interval.saturating_add(SLOWER),
            // RFC 8628 3.5: ask less often whoever does not answer.
            Next::Unsteady => {
                prompt.tell(&Notice::Unsteady { reason: &error.to_string() });
                interval = interval.saturating_mul(2).min(SLOWEST.max(interval));
            }
            Next::Expired => return Err(late()),
            Next::End => return Err(error),
        }
    }
}

/// What to do about a poll without a token.
enum Next {
    Again,
    Slower,
    Unsteady,
    Expired,
    End,
}

fn after(error: &Error) -> Next {
    match error {
        Error::Refused { error, .. } => match error.as_str() {
            "authorization_pending" => Next::Again,
            "slow_down" => Next::Slower,
            "expired_token" => Next::Expired,
            // A proxy or an issuer in trouble; whoever speaks OAuth says it with 4xx.
            other if other.starts_with("HTTP status 5") || other == "HTTP status 429" => {
                Next::Unsteady
            }
            _ => Next::End,
        },
        Error::Transport { .. } => Next::Unsteady,
        _ => Next::End,
    }
}

/// What the issuer gives a device to begin with.
struct Grant {
    device_code: String,
    user_code: String,
    url: Url,
    complete_url: Option<Url>,
    expires_in: Duration,
    interval: Duration,
}

impl Grant {
    async fn request(
        exchange: &Exchange<'_>,
        attempt: &Attempt,
        patience: Duration,
    ) -> Result<Self, Error> {
        // Dex demands the verifier later only if it was given the challenge.
        let fields = [
            ("scope", SCOPE),
            ("code_challenge", attempt.challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let (caller, discovery) = (&exchange.caller, &exchange.discovery);
        let endpoint = discovery.device()?;
        let answer =
            caller.post(WHAT, endpoint, discovery.authentication, &fields, patience).await?;
        Self::read(exchange, &answer)
    }

    fn read(exchange: &Exchange<'_>, answer: &Map<String, Value>) -> Result<Self, Error> {
        let caller = &exchange.caller;
        let needed = |name: &str| {
            let text = answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.ok_or_else(|| caller.answer(WHAT, format!("its answer has no {name}")))
        };
        // Shown to a person, who may click on it: `https://known.example@evil.example` misleads.
        let https = exchange.discovery.token.scheme() == "https";
        let page = |text: &str| {
            let fits = |url: &Url| {
                (url.scheme() == "https" || (url.scheme() == "http" && !https))
                    && url.username().is_empty()
                    && url.password().is_none()
            };
            if text.len() > LONGEST_URL { None } else { Url::parse(text).ok().filter(fits) }
        };
        let seconds = |name: &str| {
            let seconds = answer.get(name).and_then(Value::as_f64).filter(|it| *it > 0.0);
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        };
        let url = needed("verification_uri")?;
        let url = page(url).ok_or_else(|| {
            let found = escape_remote(url);
            caller.answer(WHAT, format!("expected a URL in verification_uri, found {found:?}"))
        })?;
        let complete = answer.get("verification_uri_complete").and_then(Value::as_str);
        Ok(Self {
            device_code: needed("device_code")?.to_owned(),
            user_code: escape_remote(needed("user_code")?),
            url,
            complete_url: complete.and_then(page),
            expires_in: seconds("expires_in").unwrap_or(EXPIRES_IN),
            // An interval of next to nothing would be a flood of requests.
            interval: seconds("interval").unwrap_or(INTERVAL).max(SHORTEST),
        })
    }
}

/// How long we have waited, by the clock or by what we slept: a clock may be set back.
struct Watch<'a> {
    exchange: &'a Exchange<'a>,
    start: std::time::SystemTime,
    slept: Duration,
    deadline: Duration,
}

impl<'a> Watch<'a> {
    fn new(exchange: &'a Exchange<'a>, deadline: Duration) -> Self {
        Self { exchange, start: exchange.clock().now(), slept: Duration::ZERO, deadline }
    }

    fn left(&self) -> Duration {
        let passed = self.exchange.clock().now().duration_since(self.start).unwrap_or_default();
        self.deadline.saturating_sub(passed.max(self.slept))
    }

    /// Waits for `interval`; `None` when the time is up before there is use in asking again.
    async fn pause(&mut self, interval: Duration) -> Option<()> {
        let pause = interval.min(self.left());
        self.exchange.clock().sleep(pause).await;
        self.slept = self.slept.saturating_add(pause);
        (!self.left().is_zero()).then_some(())
    }
}

const WHAT: &str = "device endpoint";

/// Between polls where the issuer does not say (RFC 8628 3.2).
const INTERVAL: Duration = Duration::from_secs(5);

/// The shortest pause between polls, whatever the issuer says.
const SHORTEST: Duration = Duration::from_secs(1);

/// What each `slow_down` adds (RFC 8628 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The longest pause that silence leads to.
const SLOWEST: Duration = Duration::from_secs(40);

/// The life of a code where the issuer does not say; it must (RFC 8628 3.2).
const EXPIRES_IN: Duration = Duration::from_secs(300);
