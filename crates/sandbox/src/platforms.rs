//! The endpoints of CI platforms, clouds and clusters that issue identity tokens.
//!
//! What they answer is what the platforms document.

pub(crate) mod ci;
pub(crate) mod claims;
mod endpoints;
mod google;
pub(crate) mod kubernetes;
pub(crate) mod misbehaviour;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::service::Service;

pub(crate) use self::endpoints::Platforms;
pub use self::endpoints::UNTRUSTED_ISSUERS;

impl Service for Platforms {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let answer = self
            .metadata(&request)
            .or_else(|| self.generate_id_token(&request))
            .or_else(|| self.refresh(&request))
            .or_else(|| self.buildkite(&request))
            .or_else(|| self.codefresh(&request))
            .or_else(|| self.forgejo(&request))
            .or_else(|| self.azure_pipelines(&request))
            .or_else(|| self.azure_machine(&request))
            .or_else(|| self.aws(&request))
            .or_else(|| self.fly(&request));
        answer.unwrap_or_else(|| {
            misbehaviour::refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such page")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use host::Clock;
    use http::Method;
    use http::request::Builder as RequestBuilder;
    use id_token::IdToken;
    use serde_json::Value;

    use super::misbehaviour::Misbehaviour;
    use super::*;
    use crate::oidc::Oidc;
    use crate::rekor_v2::Delay;
    use crate::{Fault, Faults, State};

    fn platforms(faults: &[Fault]) -> Platforms {
        let clock: Arc<dyn Clock> = Arc::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let state = State::in_memory();
        let faults: Faults = faults.iter().copied().collect();
        let mut oidc = Oidc::new("http://localhost:9", Arc::clone(&clock));
        for name in ["email", "buildkite", "codefresh", "azure", "fly", "forgejo", "aws"] {
            oidc.add(name, &faults, &state).unwrap();
        }
        Platforms::new(Arc::new(oidc), "secret".to_owned(), Misbehaviour::new(&faults), clock)
    }

    fn send(platforms: &Platforms, request: RequestBuilder, body: &str) -> Response<Bytes> {
        platforms.handle(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    }

    const IDENTITY: &str =
        "/computeMetadata/v1/instance/service-accounts/default/identity?audience=sigstore";

    fn flavored(uri: &str) -> RequestBuilder {
        Request::get(uri).header("Metadata-Flavor", "Google")
    }

    fn token_of(response: &Response<Bytes>) -> IdToken {
        assert_eq!(response.status(), StatusCode::OK, "{response:?}");
        IdToken::parse(std::str::from_utf8(response.body()).unwrap()).unwrap()
    }

    #[test]
    fn only_the_full_format_of_googles_identity_has_an_address() {
        let platforms = platforms(&[]);
        let full = send(&platforms, flavored(&format!("{IDENTITY}&format=full")), "");
        assert_eq!(full.headers()["metadata-flavor"], "Google");
        let full = token_of(&full);
        assert_eq!(full.claims().email(), Some(claims::MACHINE));
        assert_eq!(
            full.claims().expires_at(),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4600))
        );
        let standard = token_of(&send(&platforms, flavored(IDENTITY), ""));
        assert_eq!(standard.claims().email(), None);
        assert_eq!(standard.claims().subject(), Some(claims::account_id(claims::MACHINE)));
    }

    #[test]
    fn the_metadata_server_answers_only_those_who_mean_it() {
        let platforms = platforms(&[]);
        let bare = send(&platforms, Request::get(IDENTITY), "");
        assert_eq!(bare.status(), StatusCode::FORBIDDEN);
        let proxied = flavored(IDENTITY).header("X-Forwarded-For", "10.0.0.1");
        assert_eq!(send(&platforms, proxied, "").status(), StatusCode::FORBIDDEN);
        let no_audience = IDENTITY.split('?').next().unwrap();
        let answer = send(&platforms, flavored(no_audience), "");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let probe = send(&platforms, Request::get("/"), "");
        assert_eq!(probe.headers()["metadata-flavor"], "Google");
    }

    #[test]
    fn a_service_account_is_impersonated_with_the_machines_access_token() {
        let platforms = platforms(&[]);
        let token = flavored("/computeMetadata/v1/instance/service-accounts/default/token");
        let access: Value = serde_json::from_slice(send(&platforms, token, "").body()).unwrap();
        let bearer = format!("Bearer {}", access["access_token"].as_str().unwrap());
        let ask = |account: &str, bearer: &str, body: &str| {
            let uri = format!("/v1/projects/-/serviceAccounts/{account}:generateIdToken");
            send(&platforms, Request::post(uri).header("authorization", bearer), body)
        };
        let body = r#"{"audience":"sigstore","includeEmail":true}"#;
        let answer: Value =
            serde_json::from_slice(ask(claims::SIGNER, &bearer, body).body()).unwrap();
        let token = IdToken::parse(answer["token"].as_str().unwrap()).unwrap();
        assert_eq!(token.claims().email(), Some(claims::SIGNER));
        assert_eq!(ask(claims::SIGNER, "Bearer x", body).status(), StatusCode::UNAUTHORIZED);
        assert_eq!(ask("other@x", &bearer, body).status(), StatusCode::NOT_FOUND);
        assert_eq!(ask(claims::SIGNER, &bearer, "{}").status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn each_endpoint_wants_the_authorization_that_its_platform_wants() {
        let platforms = platforms(&[]);
        let buildkite = format!("/buildkite/v3/jobs/{}/oidc/tokens", claims::BUILDKITE_JOB);
        let azure = format!(
            "/azure-pipelines/oidctoken?api-version=7.1&serviceConnectionId={}",
            ci::AZURE_CONNECTION
        );
        let forgejo = format!("{}?placeholder=true&audience=sigstore", ci::FORGEJO_PATH);
        for (method, uri, authorization, field) in [
            (Method::POST, buildkite.as_str(), "Token secret", "token"),
            (Method::GET, "/codefresh/token?audience=sigstore", "secret", "id_token"),
            (Method::POST, azure.as_str(), "Bearer secret", "oidcToken"),
            (Method::GET, forgejo.as_str(), "bearer secret", "value"),
        ] {
            let request = || Request::builder().method(method.clone()).uri(uri);
            let granted = request().header("authorization", authorization);
            let answer = send(&platforms, granted, r#"{"audience":"sigstore"}"#);
            let answer: Value = serde_json::from_slice(answer.body()).unwrap();
            IdToken::parse(answer[field].as_str().unwrap_or_default()).unwrap();
            for wrong in ["", "Bearer other", "Basic secret"] {
                let answer = send(&platforms, request().header("authorization", wrong), "");
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{uri} {wrong}");
            }
        }
    }

    #[test]
    fn each_fault_shows() {
        let ask = |platforms: &Platforms| {
            let request =
                flavored(&format!("{IDENTITY}&format=full")).header("host", "localhost:9");
            send(platforms, request, "")
        };
        for (fault, status) in [
            (Fault::IdentityForbidden, StatusCode::FORBIDDEN),
            (Fault::IdentityMissing, StatusCode::NOT_FOUND),
            (Fault::IdentityRedirects, StatusCode::TEMPORARY_REDIRECT),
            (Fault::IdentityLate, StatusCode::SERVICE_UNAVAILABLE),
            (Fault::IdentityHtml, StatusCode::OK),
        ] {
            let answer = ask(&platforms(&[fault]));
            assert_eq!(answer.status(), status, "{fault}");
            assert_eq!(answer.headers()["metadata-flavor"], "Google");
        }
        let late = platforms(&[Fault::IdentityLate]);
        let answers: Vec<StatusCode> = (0..3).map(|_| ask(&late).status()).collect();
        assert_eq!(answers[2], StatusCode::OK);
        let hanging = ask(&platforms(&[Fault::IdentityHangs]));
        assert!(hanging.extensions().get::<Delay>().is_some());
        let nameless = token_of(&ask(&platforms(&[Fault::IdentityWithoutEmail])));
        assert_eq!(nameless.claims().email(), None);
    }
}
