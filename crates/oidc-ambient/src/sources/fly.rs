//! Fly.io machines: an API over a Unix socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, FileError, Host};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use id_token::{Audience, IdToken, Outcome, TokenSource};
use serde_json::json;

use crate::fetch::{self, Fault};
use crate::outcome::{broken, here, not_here};

/// The machine's API. The answer is the bare token.
pub(crate) struct Fly {
    host: Host,
}

impl Fly {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        if self.host.env.var(MARKER).is_none() {
            return not_here(format!("{MARKER} is not set"));
        }
        // A socket is there and cannot be read like a file.
        match self.host.env.read(Path::new(SOCKET), 0).await {
            Err(FileError::NotFound { .. }) => return not_here(format!("{SOCKET} does not exist")),
            Err(FileError::Io { .. }) => {
                return broken(
                    format!("{MARKER} is set"),
                    format!("{SOCKET} may not be looked at"),
                    "run this as root, or let this user reach the socket",
                );
            }
            _ => {}
        }
        let evidence = format!("{MARKER} is set and {SOCKET} exists");
        match self.fetch(audience).await {
            Ok(token) => here(token, evidence),
            Err(fault) => broken(
                evidence,
                &fault.reason,
                "the socket is for root by default: run this as root, or let this user reach it",
            ),
        }
    }

    async fn fetch(&self, audience: &Audience) -> Result<IdToken, Fault> {
        let body = json!({ "aud": audience.as_str() }).to_string();
        let request = Request::post("http://localhost/v1/tokens/oidc")
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .extension(fetch::local_policy().with_unix_socket(SOCKET))
            .body(Bytes::from(body))
            .map_err(|_| Fault::new("no request can be made"))?;
        let answer = fetch::send(&self.host, &request).await?;
        fetch::token(&String::from_utf8_lossy(answer.body()))
    }
}

impl TokenSource for Fly {
    fn name(&self) -> &str {
        "fly"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

const MARKER: &str = "FLY_APP_NAME";
const SOCKET: &str = "/.fly/api";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    fn look(world: &World) -> Outcome {
        block_on(Fly::new(world.host()).look(&Audience::sigstore()))
    }

    #[test]
    fn the_machines_socket_is_asked() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let world = World::new(&[(MARKER, "app")]).with_file(SOCKET, "").answering(200, &token);
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        let request = world.only_request();
        let policy = request.extensions().get::<host::CallPolicy>().unwrap();
        assert_eq!(policy.unix_socket.as_deref(), Some(Path::new(SOCKET)));
        assert_eq!(request.body(), r#"{"aud":"sigstore"}"#);
    }

    #[test]
    fn a_refusal_is_broken_and_no_socket_is_absent() {
        let world = World::new(&[(MARKER, "app")]).with_file(SOCKET, "").answering(403, "no");
        assert_eq!(broken_of(look(&world)).reason, "localhost answered 403 Forbidden: `no`");
        assert!(matches!(look(&World::new(&[(MARKER, "app")])), Outcome::Absent(_)));
    }
}
