//! The Workload API as a source of identity tokens.

use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Absence, Audience, Broken, Found, Outcome, SpiffeId, TokenSource};

use crate::address::ENDPOINT_VARIABLE;
use crate::api::WorkloadApi;
use crate::endpoint::Endpoint;
use crate::error::{Error, Unreachable};
use crate::owner;
use crate::process::Process;
use crate::svid::{JwtSvid, Selection};

/// Where SPIRE's agent listens by default.
const DEFAULT_SOCKET: &str = "/tmp/spire-agent/public/api.sock";

/// How long an agent that was named is asked again while it says "no identity" or "not now". Agents
/// learn of a new registration every five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waited in addition for a token that is due.
const MARGIN: Duration = Duration::from_secs(1);

/// The pauses between attempts, ten seconds together.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1500),
    Duration::from_millis(2000),
    Duration::from_millis(2500),
    Duration::from_millis(2500),
];

/// The identity that a SPIFFE Workload API issues to this process.
#[derive(Clone, Debug)]
pub struct SpiffeSource {
    host: Host,
    endpoint: Configured,
    selection: Selection,
}

/// How the address is known.
#[derive(Clone, Debug)]
enum Configured {
    Given(Endpoint),
    Guessed(Endpoint),
    Variable,
}

impl SpiffeSource {
    /// The API that the variable `SPIFFE_ENDPOINT_SOCKET` names. If it is unset, this source is
    /// absent; if it is set and does not work, this source is certainly broken.
    pub fn from_env(host: Host) -> Self {
        Self { host, endpoint: Configured::Variable, selection: Selection::default() }
    }

    /// The API at `endpoint`, wherever the variable points.
    pub fn at(host: Host, endpoint: Endpoint) -> Self {
        Self { host, endpoint: Configured::Given(endpoint), selection: Selection::default() }
    }

    /// The API where SPIRE's agent listens by default, `/tmp/spire-agent/public/api.sock`. This is a
    /// guess, so that a failure there is never certain.
    pub fn at_default(host: Host) -> Self {
        Self::guessed_at(host, Endpoint::Unix(DEFAULT_SOCKET.into()))
    }

    /// The API that may be at `endpoint`, as [`Self::at_default`]. An agent that has no identity for
    /// this process is asked once more, because it may be starting.
    ///
    /// A socket is used only if root or this process's user owns it and every directory above it,
    /// and no other user may write to those. Otherwise anyone could have put it there and chosen the
    /// identity of this process.
    pub fn guessed_at(host: Host, endpoint: Endpoint) -> Self {
        Self { host, endpoint: Configured::Guessed(endpoint), selection: Selection::default() }
    }

    /// Chooses this identity where there are several.
    #[must_use]
    pub fn with_spiffe_id(self, spiffe_id: SpiffeId) -> Self {
        Self { selection: self.selection.with_spiffe_id(spiffe_id), ..self }
    }

    /// Chooses the identity that the operator gave this hint where there are several.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { selection: self.selection.with_hint(hint), ..self }
    }

    async fn look(&self, audience: &Audience, min_ttl: Duration) -> Outcome {
        let (endpoint, evidence, certain) = match &self.endpoint {
            Configured::Guessed(endpoint) => (
                endpoint.clone(),
                format!("{endpoint} is where SPIRE's agent listens by default"),
                false,
            ),
            Configured::Given(endpoint) => {
                (endpoint.clone(), format!("{endpoint} was configured"), true)
            }
            Configured::Variable => {
                let Some(value) = self.host.env.var(ENDPOINT_VARIABLE) else {
                    let evidence = format!("{ENDPOINT_VARIABLE} is not set");
                    return Outcome::Absent(Absence::new(evidence));
                };
                let mut evidence = format!("{ENDPOINT_VARIABLE} is set");
                if value.starts_with('/') {
                    evidence.push_str(" to a bare path, which the standard writes unix://PATH");
                }
                match Endpoint::parse_or_path(&value) {
                    Ok(endpoint) => (endpoint, evidence, true),
                    Err(error) => {
                        return Outcome::Broken(self.broken(evidence, &error, true, 1).await);
                    }
                }
            }
        };
        if !certain && let Err(error) = owner::check(&endpoint).await {
            return Outcome::Broken(self.broken(evidence, &error, false, 1).await);
        }
        let mut attempts = 0;
        match self.fetch(&endpoint, audience, min_ttl, certain, &mut attempts).await {
            Ok(svid) => Outcome::Found(self.found(svid, evidence, min_ttl)),
            Err(Error::Unreachable { why: Unreachable::Missing, .. }) if !certain => {
                Outcome::Absent(Absence::new(format!("the socket {endpoint} does not exist")))
            }
            Err(error) => Outcome::Broken(self.broken(evidence, &error, certain, attempts).await),
        }
    }

    /// The token, with remarks about it in the evidence.
    fn found(&self, svid: JwtSvid, mut evidence: String, min_ttl: Duration) -> Found {
        if svid.token.claims().issuer().is_none() {
            tracing::warn!(spiffe_id = %svid.spiffe_id, "the JWT-SVID has no `iss`");
            evidence.push_str(
                "; the JWT-SVID has no `iss`, so that Fulcio cannot look up its keys: set \
                 `jwt_issuer` on the SPIRE server and run its OIDC discovery provider",
            );
        }
        let left = self.left(&svid);
        if left.is_some_and(|left| left < min_ttl) {
            let left = left.unwrap_or_default().as_secs();
            evidence.push_str(&format!(
                "; the JWT-SVID lives for {left} s only, and the agent has no fresher one"
            ));
        }
        Found::new(svid.token, evidence)
    }

    fn left(&self, svid: &JwtSvid) -> Option<Duration> {
        let end = svid.token.claims().expires_at()?;
        Some(end.duration_since(self.host.clock.now()).unwrap_or_default())
    }

    async fn fetch(
        &self,
        endpoint: &Endpoint,
        audience: &Audience,
        min_ttl: Duration,
        patient: bool,
        attempts: &mut u32,
    ) -> Result<JwtSvid, Error> {
        let start = self.host.clock.now();
        let mut pauses = PAUSES.into_iter().take(if patient { PAUSES.len() } else { 1 });
        let mut renewed = false;
        let mut api = None;
        loop {
            *attempts += 1;
            let answer = self.ask(&mut api, endpoint, audience).await;
            match answer {
                Err(error) if is_worth_waiting(&error, patient) => {
                    api = api.filter(|_| !matches!(error, Error::Unreachable { .. }));
                    let waited = self.host.clock.now().duration_since(start).unwrap_or_default();
                    let pause = pauses.next().filter(|_| waited < PATIENCE);
                    let Some(pause) = pause else { return Err(error) };
                    tracing::debug!(%error, ?pause, "asking the Workload API again");
                    self.host.clock.sleep(pause).await;
                }
                Ok(svid) => match self.fresher_in(&svid, min_ttl) {
                    Some(pause) if !renewed => {
                        renewed = true;
                        tracing::debug!(?pause, "waiting for a fresher JWT-SVID");
                        self.host.clock.sleep(pause).await;
                    }
                    _ => return Ok(svid),
                },
                Err(error) => return Err(error),
            }
        }
    }

    async fn ask(
        &self,
        api: &mut Option<WorkloadApi>,
        endpoint: &Endpoint,
        audience: &Audience,
    ) -> Result<JwtSvid, Error> {
        let connected = match api.take() {
            Some(api) => api,
            None => WorkloadApi::connect(endpoint).await?,
        };
        let audiences = std::slice::from_ref(audience);
        api.insert(connected).select_jwt_svid(audiences, &self.selection).await
    }

    /// How long until the agent has a token that lives for `min_ttl`, if that is soon. It hands
    /// out the same one until half of its life is over.
    fn fresher_in(&self, svid: &JwtSvid, min_ttl: Duration) -> Option<Duration> {
        let claims = svid.token.claims();
        let (issued, end) = (claims.issued_at()?, claims.expires_at()?);
        let life = end.duration_since(issued).ok()?;
        if self.left(svid)? >= min_ttl || life <= min_ttl {
            return None;
        }
        let half = issued.checked_add(life / 2)?.checked_add(MARGIN)?;
        let pause = half.duration_since(self.host.clock.now()).unwrap_or_default();
        (pause <= PATIENCE).then_some(pause)
    }

    async fn broken(
        &self,
        evidence: String,
        error: &Error,
        certain: bool,
        attempts: u32,
    ) -> Broken {
        let mut reason = match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        if attempts > 1 {
            let patience = if certain { PATIENCE } else { PAUSES[0] }.as_secs_f32();
            reason.push_str(&format!(" (asked {attempts} times within {patience} s)"));
        }
        Broken::new(evidence, reason)
            .with_hint(self.hint(error).await.unwrap_or_default())
            .with_certain(certain)
    }

    async fn hint(&self, error: &Error) -> Option<String> {
        match error {
            Error::NoIdentity { asked: None, offered, .. } if offered.is_empty() => {
                Some(Process::of(self.host.env.as_ref()).await.register())
            }
            Error::NoIdentity { .. } => {
                let register = Process::of(self.host.env.as_ref()).await.register();
                Some(format!(
                    "name an identity that this process is registered for, or: {register}"
                ))
            }
            error => hint(error).map(str::to_owned),
        }
    }
}

impl TokenSource for SpiffeSource {
    fn name(&self) -> &str {
        "spiffe"
    }

    /// An agent hands out a token with at least half of its life left and cannot be asked for a
    /// fresher one; where that half is nearly over, a moment is waited. Else it may live for less
    /// than `min_ttl`, and the evidence says so.
    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience, min_ttl))
    }
}

/// Whether the answer may be another one in a moment. A socket without a server is waited for only
/// if it was configured.
fn is_worth_waiting(error: &Error, named: bool) -> bool {
    match error {
        Error::NoIdentity { .. } | Error::Unavailable { .. } => true,
        Error::Unreachable { why: Unreachable::Refused, .. } => named,
        _ => false,
    }
}

fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Malformed { .. } => {
            Some("set SPIFFE_ENDPOINT_SOCKET to unix:///absolute/path or tcp://ADDRESS:PORT")
        }
        Error::NotGrpc { .. } => Some("check that the socket is that of the Workload API"),
        Error::Several { .. } => Some(
            "choose one by its SPIFFE ID or its hint (--spiffe-id, --spiffe-hint), or change the \
             registrations' selectors so that one identity is left for this process",
        ),
        Error::TimedOut { .. } | Error::Unavailable { .. } => {
            Some("check the agent's log: it may have lost the connection to its server")
        }
        Error::Unreachable { why, .. } => match why {
            Unreachable::Missing | Unreachable::Refused => {
                Some("start the agent, or mount its socket into this container")
            }
            Unreachable::PermissionDenied => Some(
                "give this user permission to enter the socket's directory and to write to the \
                 socket",
            ),
            Unreachable::NotASocket | Unreachable::Other => None,
        },
        Error::Untrusted { kind: owner::SOCKET, .. } => {
            Some("set SPIFFE_ENDPOINT_SOCKET to the socket if it is the right one")
        }
        Error::InvalidAnswer { .. }
        | Error::NoIdentity { .. }
        | Error::Refused { .. }
        | Error::Untrusted { .. } => None,
    }
}
