//! Codefresh.

use std::time::Duration;

use host::Host;
use http::header::AUTHORIZATION;
use id_token::{Audience, IdToken, Outcome};

use crate::fetch::{self, Call, Failure};
use crate::outcome::{absent, answered, broken, found};

/// The endpoint of the build, or the variable that its marketplace step exports.
pub struct Codefresh {
    host: Host,
}

token_source!(Codefresh, "codefresh");

impl Codefresh {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let var = |name| self.host.env.var(name);
        if let (Some(url), Some(secret)) = (var(URL), var(TOKEN)) {
            let answer = self.fetch(&url, &secret, audience).await;
            return answered(answer, format!("{URL} is set"), |_| "");
        }
        if var(BUILD).is_none() {
            return absent(format!("neither {URL} nor {BUILD} is set"));
        }
        // `ID_TOKEN` alone would mean nothing: it is a common name.
        if let Some(token) = var("ID_TOKEN").and_then(|text| IdToken::parse(&text).ok()) {
            return found(token, format!("{BUILD} and ID_TOKEN are set"));
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

    async fn fetch(
        &self,
        url: &str,
        secret: &str,
        audience: &Audience,
    ) -> Result<IdToken, Failure> {
        let mut url = fetch::endpoint(URL, url)?;
        url.query_pairs_mut().append_pair("audience", audience.as_str());
        // The value is sent as it is, without a scheme before it.
        let authorization = fetch::secret(TOKEN, secret)?;
        Call::get(url).header(AUTHORIZATION, authorization).token(&self.host, "/id_token").await
    }
}

const URL: &str = "CF_OIDC_REQUEST_URL";
const TOKEN: &str = "CF_OIDC_REQUEST_TOKEN";
const BUILD: &str = "CF_BUILD_ID";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn look(fake: &FakeHost) -> Outcome {
        crate::testing::look(&Codefresh::new(fake.host()), "sigstore")
    }

    #[test]
    fn the_endpoint_is_asked_with_the_token_as_it_is() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[(URL, "https://oidc.example/t"), (TOKEN, "secret")])
            .answering(200, &format!(r#"{{"id_token":"{token}"}}"#));
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(request.uri(), "https://oidc.example/t?audience=sigstore");
        assert_eq!(request.headers()[AUTHORIZATION], "secret");
    }

    #[test]
    fn a_build_without_the_endpoint_may_have_the_steps_variable() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[(BUILD, "1"), ("ID_TOKEN", &token)]);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let broken = broken_of(look(&FakeHost::new(&[(BUILD, "1")])));
        assert!(broken.hint.unwrap().contains("obtain-oidc-id-token"));
        assert!(matches!(look(&FakeHost::new(&[("ID_TOKEN", &token)])), Outcome::Absent(_)));
    }
}
