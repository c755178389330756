//! Azure Pipelines.

use std::time::Duration;

use host::Host;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, header};
use id_token::{Audience, IdToken, Outcome};

use crate::fetch::{self, Call, Failure};
use crate::outcome::{absent, answered, broken, other_audience};

/// The endpoint that gives a service connection's token. Its audience is fixed, so that only a
/// private Fulcio that expects it has a use for it.
pub struct AzurePipelines {
    host: Host,
}

token_source!(AzurePipelines, "azure-pipelines");

impl AzurePipelines {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let var = |name| self.host.env.var(name);
        let Some(url) = var(URL) else {
            return absent(format!("{URL} is not set"));
        };
        let evidence = format!("{URL} is set");
        if audience.as_str() != AUDIENCE {
            return other_audience(
                evidence,
                format!(
                    "expected a token for the audience `{audience}`, Azure Pipelines gives only \
                     those for `{AUDIENCE}`"
                ),
                format!(
                    "use a private Fulcio whose issuer entry has the client ID `{AUDIENCE}`, or \
                     put another token into SIGSTORE_ID_TOKEN"
                ),
                false,
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
        answered(self.fetch(&url, &secret, &connection).await, evidence, |_| "")
    }

    async fn fetch(&self, url: &str, secret: &str, connection: &str) -> Result<IdToken, Failure> {
        let mut url = fetch::endpoint(URL, url)?;
        url.query_pairs_mut()
            .append_pair("api-version", "7.1")
            .append_pair("serviceConnectionId", connection);
        let json = HeaderValue::from_static("application/json");
        Call::new(Method::POST, url)
            .header(header::ACCEPT, json.clone())
            .header(CONTENT_TYPE, json)
            .header(CONTENT_LENGTH, HeaderValue::from_static("0"))
            // Otherwise a refusal is a redirect to a page for people.
            .header(
                HeaderName::from_static("x-tfs-fedauthredirect"),
                HeaderValue::from_static("Suppress"),
            )
            .bearer(TOKEN, secret)?
            .token(&self.host, "/oidcToken")
            .await
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
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    const JOB: [(&str, &str); 3] =
        [(URL, "https://dev.example/oidctoken"), (TOKEN, "secret"), (CONNECTION, "1-2-3")];

    fn look(fake: &FakeHost, audience: &str) -> Outcome {
        crate::testing::look(&AzurePipelines::new(fake.host()), audience)
    }

    #[test]
    fn the_endpoint_is_asked_for_the_one_audience_it_has() {
        let token = jwt(r#"{"aud":"api://AzureADTokenExchange"}"#);
        let fake = FakeHost::new(&JOB).answering(200, &format!(r#"{{"oidcToken":"{token}"}}"#));
        assert_eq!(found_of(look(&fake, AUDIENCE)).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(
            request.uri(),
            "https://dev.example/oidctoken?api-version=7.1&serviceConnectionId=1-2-3"
        );
        assert_eq!(request.headers()["x-tfs-fedauthredirect"], "Suppress");
    }

    #[test]
    fn another_audience_is_reported_without_a_request_and_the_search_goes_on() {
        let fake = FakeHost::new(&JOB);
        let broken = broken_of(look(&fake, "sigstore"));
        assert!(!broken.certain);
        assert!(broken.reason.contains(AUDIENCE), "{}", broken.reason);
        assert_eq!(fake.requests(), 0);
    }

    #[test]
    fn a_step_without_the_access_token_is_shown_how_to_map_it() {
        let broken = broken_of(look(&FakeHost::new(&JOB[..1]), AUDIENCE));
        assert!(broken.hint.unwrap().contains("$(System.AccessToken)"));
        assert!(matches!(look(&FakeHost::new(&[]), AUDIENCE), Outcome::Absent(_)));
    }
}
