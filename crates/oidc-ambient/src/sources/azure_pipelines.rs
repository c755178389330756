//! Azure Pipelines.

use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, Host};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request};
use id_token::{Audience, IdToken, Outcome, TokenSource};
use url::Url;

use crate::fetch::{self, Fault};
use crate::outcome::{broken, here, not_here};

/// The endpoint that gives a service connection's token. Its audience is fixed, so that only a
/// private Fulcio that expects it has a use for it.
pub(crate) struct AzurePipelines {
    host: Host,
}

impl AzurePipelines {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let var = |name| self.host.env.var(name);
        let Some(url) = var(URL) else {
            return not_here(format!("{URL} is not set"));
        };
        let evidence = format!("{URL} is set");
        if audience.as_str() != AUDIENCE {
            return broken(
                evidence,
                format!(
                    "expected a token for the audience `{audience}`, Azure Pipelines gives only \
                     those for `{AUDIENCE}`"
                ),
                format!(
                    "use a private Fulcio whose issuer entry has the client ID `{AUDIENCE}`, or \
                     put another token into SIGSTORE_ID_TOKEN"
                ),
            );
        }
        let (Some(secret), Some(connection)) = (var(TOKEN), var(CONNECTION)) else {
            return broken(
                evidence,
                format!("{TOKEN} and {CONNECTION} are not both set"),
                format!(
                    "add to the step `env: {TOKEN}: $(System.AccessToken)`, and set {CONNECTION} \
                     to the id of the service connection"
                ),
            );
        };
        match self.fetch(&url, &secret, &connection).await {
            Ok(token) => here(token, evidence),
            Err(fault) => broken(evidence, &fault.reason, ""),
        }
    }

    async fn fetch(&self, url: &str, secret: &str, connection: &str) -> Result<IdToken, Fault> {
        let mut url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| Fault::new(format!("{URL} is not an http or https URL")))?;
        url.query_pairs_mut()
            .append_pair("api-version", "7.1")
            .append_pair("serviceConnectionId", connection);
        let request = Request::post(url.as_str())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(AUTHORIZATION, fetch::secret(TOKEN, &format!("Bearer {secret}"))?)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(CONTENT_LENGTH, HeaderValue::from_static("0"))
            // Otherwise a refusal is a redirect to a page for people.
            .header("x-tfs-fedauthredirect", HeaderValue::from_static("Suppress"))
            .extension(fetch::policy())
            .body(Bytes::new())
            .map_err(|_| Fault::new(format!("{URL} is not a usable URL")))?;
        fetch::json_token(&self.host, &request, "/oidcToken").await
    }
}

impl TokenSource for AzurePipelines {
    fn name(&self) -> &str {
        "azure-pipelines"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

const URL: &str = "SYSTEM_OIDCREQUESTURI";
const TOKEN: &str = "SYSTEM_ACCESSTOKEN";
/// As the Azure CLI task of the platform sets it.
const CONNECTION: &str = "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID";
const AUDIENCE: &str = "api://AzureADTokenExchange";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    const JOB: [(&str, &str); 3] =
        [(URL, "https://dev.example/oidctoken"), (TOKEN, "secret"), (CONNECTION, "1-2-3")];

    fn look(world: &World, audience: &str) -> Outcome {
        let audience = Audience::new(audience).unwrap();
        block_on(AzurePipelines::new(world.host()).look(&audience))
    }

    #[test]
    fn the_endpoint_is_asked_for_the_one_audience_it_has() {
        let token = jwt(r#"{"aud":"api://AzureADTokenExchange"}"#);
        let world = World::new(&JOB).answering(200, &format!(r#"{{"oidcToken":"{token}"}}"#));
        assert_eq!(found_of(look(&world, AUDIENCE)).token.reveal(), token);
        let request = world.only_request();
        assert_eq!(
            request.uri(),
            "https://dev.example/oidctoken?api-version=7.1&serviceConnectionId=1-2-3"
        );
        assert_eq!(request.headers()["x-tfs-fedauthredirect"], "Suppress");
    }

    #[test]
    fn another_audience_is_refused_without_a_request() {
        let world = World::new(&JOB);
        let broken = broken_of(look(&world, "sigstore"));
        assert!(broken.reason.contains(AUDIENCE), "{}", broken.reason);
        assert_eq!(world.requests(), 0);
    }

    #[test]
    fn a_step_without_the_access_token_is_shown_how_to_map_it() {
        let broken = broken_of(look(&World::new(&JOB[..1]), AUDIENCE));
        assert!(broken.hint.unwrap().contains("$(System.AccessToken)"));
        assert!(matches!(look(&World::new(&[]), AUDIENCE), Outcome::Absent(_)));
    }
}
