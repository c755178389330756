//! What the agent answers, apart from gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::Clock;
use serde_json::{Map, Value};
use spiffe_workload_api::{SpiffeId, TrustDomain};
use tonic::{Code, Status};

use super::certificate::SvidAuthority;
use crate::certificate::unix_seconds;
use crate::issuer::Issuer;
use crate::{Error, Fault, Faults, State};

/// An identity that the agent hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// What it is for; may be empty.
    pub hint: String,
}

/// The agent of one trust domain.
pub struct SpiffeAgent {
    pub(super) trust_domain: TrustDomain,
    registrations: Vec<Registration>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) authority: SvidAuthority,
    faults: Faults,
    /// How many requests there were.
    asked: AtomicU32,
    pub(super) clock: Arc<dyn Clock>,
}

/// How often a registration that is on its way is missed under [`Fault::RegistrationLate`].
const TOO_EARLY: u32 = 3;

/// A JWT-SVID that was signed.
#[derive(Clone)]
pub(super) struct SignedJwt {
    pub(super) registration: Registration,
    pub(super) token: String,
}

impl SpiffeAgent {
    /// An agent that hands out `registrations`, whose tokens `issuer` signs. The X.509 authority
    /// is kept in `state`.
    ///
    /// # Errors
    /// The registrations are of several trust domains, or the authority cannot be made or read.
    pub fn new(
        trust_domain: TrustDomain,
        registrations: Vec<Registration>,
        issuer: Arc<Issuer>,
        faults: &Faults,
        clock: Arc<dyn Clock>,
        state: &State,
    ) -> Result<Self, Error> {
        for Registration { spiffe_id, .. } in &registrations {
            if spiffe_id.trust_domain() != trust_domain {
                let reason = format!("{spiffe_id} is not of the trust domain {trust_domain}");
                return Err(Error::Config { reason });
            }
        }
        let authority = SvidAuthority::new(&trust_domain, clock.now(), state)?;
        let faults = faults.clone();
        let asked = AtomicU32::new(0);
        Ok(Self { trust_domain, registrations, issuer, authority, faults, asked, clock })
    }

    /// The identities it hands out.
    pub fn registrations(&self) -> &[Registration] {
        &self.registrations
    }

    /// A JWT-SVID per registration, or that of `wanted`, which is empty for all.
    pub(super) fn jwt_svids(
        &self,
        audiences: &[String],
        wanted: &str,
    ) -> Result<Vec<SignedJwt>, Status> {
        if audiences.is_empty() {
            return Err(Status::invalid_argument("audience must be specified"));
        }
        let wanted = match wanted {
            "" => None,
            text => Some(SpiffeId::parse(text).map_err(|error| {
                Status::invalid_argument(format!("invalid requested SPIFFE ID: {error}"))
            })?),
        };
        let mut registrations = self.registered()?.to_vec();
        if let Some(wanted) = wanted {
            registrations.retain(|registration| registration.spiffe_id == wanted);
        }
        if registrations.is_empty() {
            return Err(no_identity());
        }
        // SPIRE's agent tries again and again until the caller's deadline, and so does `grpc`. The
        // answer that comes in the end is this.
        if audiences.iter().any(String::is_empty) {
            return Err(Status::unavailable(
                "could not fetch JWT-SVID: invalid JWT-SVID audience: cannot be empty",
            ));
        }
        let now = self.clock.now();
        let sign = |registration: Registration| {
            let token =
                self.issuer.mint_svid(audiences, registration.spiffe_id.as_str(), now).map_err(
                    |error| Status::unavailable(format!("could not fetch JWT-SVID: {error}")),
                )?;
            Ok(SignedJwt { registration, token })
        };
        registrations.into_iter().map(sign).collect()
    }

    /// The identity of a JWT-SVID that is good for `audience`, and its claims.
    pub(super) fn validate(
        &self,
        audience: &str,
        token: &str,
    ) -> Result<(String, Map<String, Value>), Status> {
        if audience.is_empty() {
            return Err(Status::invalid_argument("audience must be specified"));
        }
        if token.is_empty() {
            return Err(Status::invalid_argument("svid must be specified"));
        }
        self.registered()?;
        let invalid = |reason: String| Status::new(Code::InvalidArgument, reason);
        let claims = claims(token)
            .ok_or_else(|| invalid("unable to parse JWT token: it must have three parts".into()))?;
        let audiences: Vec<&str> = match claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !audiences.contains(&audience) {
            return Err(invalid(format!(
                "expected audience in [{audience:?}] (audience={audiences:?})"
            )));
        }
        let expires = claims.get("exp").and_then(Value::as_u64).unwrap_or_default();
        if expires <= unix_seconds(self.clock.now()) {
            return Err(invalid("token has expired".to_owned()));
        }
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let id = SpiffeId::parse(subject)
            .map_err(|error| invalid(format!("token has an invalid subject claim: {error}")))?;
        if id.trust_domain() != self.trust_domain {
            return Err(invalid(format!("no keys found for trust domain {}", id.trust_domain())));
        }
        if !self.issuer.verifies(token) {
            return Err(invalid("error in cryptographic primitive".to_owned()));
        }
        Ok((id.to_string(), claims))
    }

    pub(super) fn hangs(&self) -> bool {
        self.faults.contains(&Fault::SpiffeHangs)
    }

    /// All registrations; even bundles are for the registered only.
    pub(super) fn registered(&self) -> Result<&[Registration], Status> {
        if self.registrations.is_empty() || self.faults.contains(&Fault::NoIdentity) {
            return Err(no_identity());
        }
        let late = self.faults.contains(&Fault::RegistrationLate);
        if late && self.asked.fetch_add(1, Ordering::Relaxed) < TOO_EARLY {
            return Err(no_identity());
        }
        Ok(&self.registrations)
    }
}

fn no_identity() -> Status {
    Status::permission_denied("no identity issued")
}

fn claims(token: &str) -> Option<Map<String, Value>> {
    let parts: Vec<&str> = token.split('.').collect();
    let &[_, payload, _] = parts.as_slice() else { return None };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn agent(now: u64, faults: &[Fault], state: &State) -> SpiffeAgent {
        let issuer = Issuer::new("http://localhost:9/spiffe", "oidc-spiffe", state).unwrap();
        let spiffe_id = SpiffeId::parse("spiffe://example.org/a").unwrap();
        SpiffeAgent::new(
            spiffe_id.trust_domain(),
            vec![Registration { spiffe_id, hint: String::new() }],
            Arc::new(issuer),
            &faults.iter().copied().collect(),
            Arc::new(at(now)),
            state,
        )
        .unwrap()
    }

    #[test]
    fn a_token_that_was_handed_out_is_valid_until_it_expires() {
        let state = State::in_memory();
        let now = agent(1000, &[], &state);
        let svids = now.jwt_svids(&["sigstore".to_owned()], "").unwrap();
        let token = &svids[0].token;
        let (id, claims) = now.validate("sigstore", token).unwrap();
        assert_eq!((id.as_str(), &claims["exp"]), ("spiffe://example.org/a", &1300.into()));
        let message =
            |result: Result<_, Status>| result.map(drop).unwrap_err().message().to_owned();
        let later = agent(1300, &[], &state);
        assert_eq!(message(later.validate("sigstore", token)), "token has expired");
        let unregistered = agent(1000, &[], &State::in_memory());
        assert!(message(unregistered.validate("sigstore", token)).contains("cryptographic"));
    }

    #[test]
    fn the_fault_takes_every_identity_away() {
        let agent = agent(1000, &[Fault::NoIdentity], &State::in_memory());
        let status = agent.jwt_svids(&["sigstore".to_owned()], "").map(drop).unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "no identity issued")
        );
    }
}
