//! Codefresh.

use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, Host};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request};
use id_token::{Audience, IdToken, Outcome, TokenSource};
use url::Url;

use crate::fetch::{self, Fault};
use crate::outcome::{broken, here, not_here};

/// The endpoint of the build, or the variable that its marketplace step exports.
pub(crate) struct Codefresh {
    host: Host,
}

impl Codefresh {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let var = |name| self.host.env.var(name);
        if let (Some(url), Some(secret)) = (var(URL), var(TOKEN)) {
            let evidence = format!("{URL} is set");
            return match self.fetch(&url, &secret, audience).await {
                Ok(token) => here(token, evidence),
                Err(fault) => broken(evidence, &fault.reason, ""),
            };
        }
        if var(BUILD).is_none() {
            return not_here(format!("neither {URL} nor {BUILD} is set"));
        }
        // `ID_TOKEN` alone would mean nothing: it is a common name.
        if let Some(token) = var("ID_TOKEN").and_then(|text| IdToken::parse(&text).ok()) {
            return here(token, format!("{BUILD} and ID_TOKEN are set"));
        }
        broken(
            format!("{BUILD} is set"),
            format!("this build is offered no identity token: {URL} and {TOKEN} are not both set"),
            format!(
                "add the step `obtain-oidc-id-token` with the argument `AUDIENCE: {audience}` \
                 before this one"
            ),
        )
    }

    async fn fetch(&self, url: &str, secret: &str, audience: &Audience) -> Result<IdToken, Fault> {
        let mut url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| Fault::new(format!("{URL} is not an http or https URL")))?;
        url.query_pairs_mut().append_pair("audience", audience.as_str());
        let request = Request::get(url.as_str())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            // The value is sent as it is, without a scheme before it.
            .header(AUTHORIZATION, fetch::secret(TOKEN, secret)?)
            .extension(fetch::policy())
            .body(Bytes::new())
            .map_err(|_| Fault::new(format!("{URL} is not a usable URL")))?;
        fetch::json_token(&self.host, &request, "/id_token").await
    }
}

impl TokenSource for Codefresh {
    fn name(&self) -> &str {
        "codefresh"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

const URL: &str = "CF_OIDC_REQUEST_URL";
const TOKEN: &str = "CF_OIDC_REQUEST_TOKEN";
const BUILD: &str = "CF_BUILD_ID";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    fn look(world: &World) -> Outcome {
        block_on(Codefresh::new(world.host()).look(&Audience::sigstore()))
    }

    #[test]
    fn the_endpoint_is_asked_with_the_token_as_it_is() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let world = World::new(&[(URL, "https://oidc.example/t"), (TOKEN, "secret")])
            .answering(200, &format!(r#"{{"id_token":"{token}"}}"#));
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        let request = world.only_request();
        assert_eq!(request.uri(), "https://oidc.example/t?audience=sigstore");
        assert_eq!(request.headers()[AUTHORIZATION], "secret");
    }

    #[test]
    fn a_build_without_the_endpoint_may_have_the_steps_variable() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let world = World::new(&[(BUILD, "1"), ("ID_TOKEN", &token)]);
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        let broken = broken_of(look(&World::new(&[(BUILD, "1")])));
        assert!(broken.hint.unwrap().contains("obtain-oidc-id-token"));
        assert!(matches!(look(&World::new(&[("ID_TOKEN", &token)])), Outcome::Absent(_)));
    }
}
