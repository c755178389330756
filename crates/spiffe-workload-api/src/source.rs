//! The Workload API as a place where an identity token may be found.

use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Absence, Audience, Broken, Found, Outcome, TokenSource};

use crate::endpoint::ENDPOINT_VARIABLE;
use crate::{Endpoint, Error, JwtSvid, SpiffeId, Unreachable, WorkloadApi};

/// Where SPIRE's agent listens unless it is told otherwise.
const DEFAULT_SOCKET: &str = "/tmp/spire-agent/public/api.sock";

/// How long an agent that was named is asked again while it says "no identity" or "not now". Agents
/// learn of a new registration every five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

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
    place: Place,
    spiffe_id: Option<SpiffeId>,
}

#[derive(Clone, Debug)]
enum Place {
    Default(Endpoint),
    Given(Endpoint),
    Variable,
}

impl SpiffeSource {
    /// The API that the variable `SPIFFE_ENDPOINT_SOCKET` names. Where it is unset this source is
    /// not here; where it is set and does not work this source is certainly broken.
    pub fn from_env(host: Host) -> Self {
        Self { host, place: Place::Variable, spiffe_id: None }
    }

    /// The API at `endpoint`, wherever the variable points.
    pub fn at(host: Host, endpoint: Endpoint) -> Self {
        Self { host, place: Place::Given(endpoint), spiffe_id: None }
    }

    /// The API at the place where SPIRE's agent listens by default, `/tmp/spire-agent/public/
    /// api.sock`: a guess, so that nothing found there is broken beyond doubt.
    pub fn at_default(host: Host) -> Self {
        let place = Place::Default(Endpoint::Unix(DEFAULT_SOCKET.into()));
        Self { host, place, spiffe_id: None }
    }

    /// Takes this identity where there are several.
    #[must_use]
    pub fn with_spiffe_id(self, spiffe_id: SpiffeId) -> Self {
        Self { spiffe_id: Some(spiffe_id), ..self }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let (endpoint, evidence, certain) = match &self.place {
            Place::Default(endpoint) => {
                (endpoint.clone(), format!("{endpoint} is where SPIRE's agent listens"), false)
            }
            Place::Given(endpoint) => (endpoint.clone(), format!("{endpoint} was given"), true),
            Place::Variable => {
                let Some(value) = self.host.env.var(ENDPOINT_VARIABLE) else {
                    let evidence = format!("{ENDPOINT_VARIABLE} is not set");
                    return Outcome::NotHere(Absence { evidence });
                };
                let evidence = format!("{ENDPOINT_VARIABLE} is set");
                match Endpoint::parse(&value) {
                    Ok(endpoint) => (endpoint, evidence, true),
                    Err(error) => return Outcome::Broken(broken(evidence, &error, true)),
                }
            }
        };
        match self.fetch(&endpoint, audience, certain).await {
            Ok(svid) => Outcome::Here(Found { token: svid.token, evidence }),
            Err(Error::Unreachable { why: Unreachable::Missing, .. }) if !certain => {
                Outcome::NotHere(Absence { evidence: format!("there is no socket {endpoint}") })
            }
            Err(error) => Outcome::Broken(broken(evidence, &error, certain)),
        }
    }

    async fn fetch(
        &self,
        endpoint: &Endpoint,
        audience: &Audience,
        patient: bool,
    ) -> Result<JwtSvid, Error> {
        let api = WorkloadApi::connect(endpoint).await?;
        let start = self.host.clock.now();
        let mut pauses = PAUSES.into_iter().filter(|_| patient);
        loop {
            let answer = api.fetch_jwt_svid(audience, self.spiffe_id.as_ref()).await;
            match answer {
                Err(error @ (Error::NoIdentity { .. } | Error::Unavailable { .. })) => {
                    let waited = self.host.clock.now().duration_since(start).unwrap_or_default();
                    let pause = pauses.next().filter(|_| waited < PATIENCE);
                    let Some(pause) = pause else { return Err(error) };
                    tracing::debug!(%error, ?pause, "asking the Workload API again");
                    self.host.clock.sleep(pause).await;
                }
                answer => return answer,
            }
        }
    }
}

impl TokenSource for SpiffeSource {
    fn name(&self) -> &'static str {
        "spiffe"
    }

    /// An agent hands out a token with at least half of its life left and cannot be asked for a
    /// fresher one, so the life wanted is not looked at.
    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

fn broken(evidence: String, error: &Error, certain: bool) -> Broken {
    let reason = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    Broken { evidence, reason, hint: hint(error).map(str::to_owned), certain }
}

fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidEndpoint { .. } => {
            Some("set SPIFFE_ENDPOINT_SOCKET to unix:///absolute/path or tcp://ADDRESS:PORT")
        }
        Error::NoIdentity { asked: None, .. } => Some(
            "register this process with the agent's server, for SPIRE: `spire-server entry \
             create -parentID AGENT -spiffeID ID -selector unix:uid:$(id -u)`",
        ),
        Error::NoIdentity { asked: Some(_), .. } => {
            Some("name an identity that this process is registered for, or register it")
        }
        Error::NotGrpc { .. } => Some("check that the socket is the Workload API's own"),
        Error::Several { .. } => Some(
            "name the SPIFFE ID to use, or let the registrations' selectors leave this process \
             one identity",
        ),
        Error::TimedOut { .. } | Error::Unavailable { .. } => {
            Some("look at the agent's log: it may have lost its server")
        }
        Error::Unreachable { why, .. } => match why {
            Unreachable::Missing | Unreachable::Refused => {
                Some("start the agent, or mount its socket into this container")
            }
            Unreachable::PermissionDenied => {
                Some("let this user enter the socket's directory and write to the socket")
            }
            Unreachable::NotASocket | Unreachable::Other => None,
        },
        Error::InvalidAnswer { .. } | Error::InvalidId { .. } | Error::Refused { .. } => None,
    }
}
