//! Fly.io machines: an API over a Unix socket.

use std::path::Path;
use std::time::Duration;

use host::{FileError, Host};
use id_token::{Audience, IdToken, Outcome};
use serde_json::json;
use url::Url;

use crate::fetch::{self, Call, Failure};
use crate::files;
use crate::outcome::{absent, answered, broken};

/// The machine's API. The answer is the bare token.
pub struct Fly {
    host: Host,
}

token_source!(Fly, "fly");

impl Fly {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        if self.host.env.var(MARKER).is_none() {
            return absent(format!("{MARKER} is not set"));
        }
        // A socket is there and cannot be read like a file.
        match files::read(&self.host, Path::new(SOCKET), 0).await {
            Err(FileError::NotFound { .. }) => return absent(format!("{SOCKET} does not exist")),
            Err(FileError::Io { .. }) => {
                return broken(
                    format!("{MARKER} is set"),
                    format!("this user has no access to {SOCKET}"),
                    "run this as root, or give this user access to the socket",
                );
            }
            _ => {}
        }
        answered(
            self.fetch(audience).await,
            format!("{MARKER} is set and {SOCKET} exists"),
            |_| "run this as root, or give this user access to the socket: by default only root has it",
        )
    }

    async fn fetch(&self, audience: &Audience) -> Result<IdToken, Failure> {
        let url = Url::parse("http://localhost/v1/tokens/oidc")
            .map_err(|_| Failure::new("the request cannot be made"))?;
        let call = Call::post_json(url, &json!({ "aud": audience.as_str() }))
            .policy(fetch::local_policy().with_unix_socket(SOCKET));
        let answer = call.send(&self.host).await?;
        fetch::token(&String::from_utf8_lossy(answer.body()))
    }
}

const MARKER: &str = "FLY_APP_NAME";
const SOCKET: &str = "/.fly/api";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn look(fake: &FakeHost) -> Outcome {
        crate::testing::look(&Fly::new(fake.host()), "sigstore")
    }

    #[test]
    fn the_machines_socket_is_asked() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[(MARKER, "app")]).with_file(SOCKET, "").answering(200, &token);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let request = fake.only_request();
        let policy = request.extensions().get::<host::CallPolicy>().unwrap();
        assert_eq!(policy.unix_socket.as_deref(), Some(Path::new(SOCKET)));
        assert_eq!(request.body(), r#"{"aud":"sigstore"}"#);
    }

    #[test]
    fn a_refusal_is_broken_and_no_socket_is_absent() {
        let fake = FakeHost::new(&[(MARKER, "app")]).with_file(SOCKET, "").answering(403, "no");
        assert_eq!(broken_of(look(&fake)).reason, "localhost answered 403 Forbidden: `no`");
        assert!(matches!(look(&FakeHost::new(&[(MARKER, "app")])), Outcome::Absent(_)));
    }
}
