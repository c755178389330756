//! Google Cloud: the metadata service of the machine, and a service account to impersonate.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, CallPolicy, Host, Redirects};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use id_token::{Audience, Broken, IdToken, Outcome, TokenSource};
use serde_json::{Value, json};
use url::Url;

use crate::fetch::{self, Fault};
use crate::outcome::{broken, here, not_here};

/// The identity of the machine: Compute Engine, GKE, Cloud Run, Cloud Build.
pub(crate) struct GoogleMetadata {
    host: Host,
}

/// The identity of the service account that `GOOGLE_SERVICE_ACCOUNT_NAME` names, on behalf of the
/// machine's own.
pub(crate) struct GoogleImpersonation {
    host: Host,
}

impl GoogleMetadata {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let evidence = match presence(&self.host).await {
            Ok(evidence) => evidence,
            Err(absence) => return not_here(absence),
        };
        match self.fetch(audience).await {
            Ok(token) => here(token, evidence),
            // Many machines of Google's have no service account, and a job may run on any.
            Err(fault) => {
                let hint = hint_for(&fault).to_owned();
                let hint = Some(hint).filter(|hint| !hint.is_empty());
                Outcome::Broken(Broken { evidence, reason: fault.reason, hint, certain: false })
            }
        }
    }

    async fn fetch(&self, audience: &Audience) -> Result<IdToken, Fault> {
        // Only the full format has the e-mail address that Fulcio certifies.
        let query = [("audience", audience.as_str()), ("format", "full")];
        let answer = ask(&self.host, "identity", &query).await?;
        fetch::token(&String::from_utf8_lossy(answer.body()))
    }
}

impl TokenSource for GoogleMetadata {
    fn name(&self) -> &'static str {
        "google-workload-identity"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

impl GoogleImpersonation {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let Some(account) = self.host.env.var(ACCOUNT) else {
            return not_here(format!("{ACCOUNT} is not set"));
        };
        let evidence = format!("{ACCOUNT} is set");
        let access = match self.access_token().await {
            Ok(access) => access,
            Err(fault) => {
                let reason = format!("no access token to impersonate with: {}", fault.reason);
                return broken(
                    evidence,
                    reason,
                    "run on a machine of Google's with an attached \
                    service account",
                );
            }
        };
        match self.impersonate(&account, &access, audience).await {
            Ok(token) => here(token, evidence),
            Err(fault) if fault.status == Some(StatusCode::FORBIDDEN) => broken(
                evidence,
                fault.reason,
                "grant the machine's service account the role \
                 `roles/iam.serviceAccountOpenIdTokenCreator` on the one to impersonate, and \
                 enable the IAM Credentials API in its project",
            ),
            Err(fault) => broken(evidence, fault.reason, ""),
        }
    }

    async fn access_token(&self) -> Result<String, Fault> {
        let scope = [("scopes", "https://www.googleapis.com/auth/cloud-platform")];
        let answer = ask(&self.host, "token", &scope).await?;
        // Such tokens are not shaped like a JWT, so nothing of the answer may be shown.
        let value: Option<Value> = serde_json::from_slice(answer.body()).ok();
        let token = value.as_ref().and_then(|value| value.get("access_token")?.as_str());
        token
            .map(str::to_owned)
            .ok_or_else(|| Fault::new("the metadata service's answer has no `access_token`"))
    }

    async fn impersonate(
        &self,
        account: &str,
        access: &str,
        audience: &Audience,
    ) -> Result<IdToken, Fault> {
        let url = self
            .generate_url(account)
            .ok_or_else(|| Fault::new("the IAM Credentials endpoint has no usable URL"))?;
        // Without `includeEmail` the token lacks what Fulcio certifies.
        let body = json!({ "audience": audience.as_str(), "includeEmail": true }).to_string();
        let bearer = fetch::secret("the access token", &format!("Bearer {access}"))?;
        let request = Request::post(url.as_str())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(AUTHORIZATION, bearer)
            .extension(fetch::policy())
            .body(Bytes::from(body))
            .map_err(|_| Fault::new("the IAM Credentials endpoint has no usable URL"))?;
        fetch::json_token(&self.host, &request, "/token").await
    }

    fn generate_url(&self, account: &str) -> Option<Url> {
        let var = |name| self.host.env.var(name);
        let base = var(IAM_ENDPOINT).or_else(|| {
            let universe = var(UNIVERSE)?;
            Some(format!("https://iamcredentials.{universe}/"))
        });
        let mut url = Url::parse(base.as_deref().unwrap_or(DEFAULT_IAM_ENDPOINT)).ok()?;
        let action = format!("{account}:generateIdToken");
        let path = ["v1", "projects", "-", "serviceAccounts", action.as_str()];
        url.path_segments_mut().ok()?.pop_if_empty().extend(path);
        Some(url)
    }
}

impl TokenSource for GoogleImpersonation {
    fn name(&self) -> &'static str {
        "google-impersonate"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

/// Why we believe to be on a machine of Google's, or what we looked for.
async fn presence(host: &Host) -> Result<String, String> {
    let var = |name| host.env.var(name);
    if let Some(name) = METADATA_VARIABLES.into_iter().find(|name| var(name).is_some()) {
        return Ok(format!("{name} is set"));
    }
    if var(NO_CHECK).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(format!("{NO_CHECK} is `true`"));
    }
    let product = host.env.read(Path::new(FIRMWARE), 256).unwrap_or_default();
    if String::from_utf8_lossy(&product).trim().starts_with("Google") {
        return Ok(format!("{FIRMWARE} says `Google`"));
    }
    if let Some(name) = RUNTIME_VARIABLES.into_iter().find(|name| var(name).is_some()) {
        return Ok(format!("{name} is set"));
    }
    let absent = || format!("no metadata service of Google's answers at {DEFAULT_METADATA}");
    let request = Request::get(format!("http://{DEFAULT_METADATA}/"))
        .header(FLAVOR, HeaderValue::from_static("Google"))
        .extension(probe_policy())
        .body(Bytes::new())
        .map_err(|_| absent())?;
    match host.http.send(request).await {
        Ok(answer) if is_google(&answer) => Ok(format!("{DEFAULT_METADATA} answers as Google's")),
        _ => Err(absent()),
    }
}

/// Asks the metadata service for `what` of the default service account.
async fn ask(host: &Host, what: &str, query: &[(&str, &str)]) -> Result<Response<Bytes>, Fault> {
    let server = METADATA_VARIABLES
        .into_iter()
        .find_map(|name| host.env.var(name))
        .unwrap_or_else(|| DEFAULT_METADATA.to_owned());
    let bad = || Fault::new("the variable for the metadata service holds no host");
    let path =
        format!("http://{server}/computeMetadata/v1/instance/service-accounts/default/{what}");
    let mut url = Url::parse(&path).map_err(|_| bad())?;
    url.query_pairs_mut().extend_pairs(query);
    let request = Request::get(url.as_str())
        .header(FLAVOR, HeaderValue::from_static("Google"))
        .extension(metadata_policy())
        .body(Bytes::new())
        .map_err(|_| bad())?;
    let answer = fetch::send(host, &request).await?;
    if is_google(&answer) {
        return Ok(answer);
    }
    Err(Fault {
        reason: format!(
            "expected the metadata service at {server}, found something else: its answer lacks \
             `Metadata-Flavor: Google`"
        ),
        status: Some(answer.status()),
    })
}

fn is_google(answer: &Response<Bytes>) -> bool {
    answer.headers().get(FLAVOR).is_some_and(|value| value == "Google")
}

/// Where nothing speaks for Google, a silent network must not cost more than a moment.
fn probe_policy() -> CallPolicy {
    CallPolicy {
        attempt: Duration::from_millis(250),
        total: Duration::from_millis(250),
        attempts: 1,
        redirects: Redirects::Never,
        ..fetch::local_policy()
    }
}

/// GKE's metadata service is not ready in the first seconds of a pod.
fn metadata_policy() -> CallPolicy {
    CallPolicy {
        attempt: Duration::from_secs(3),
        total: Duration::from_secs(10),
        redirects: Redirects::Never,
        ..fetch::local_policy()
    }
}

fn hint_for(fault: &Fault) -> &'static str {
    match fault.status {
        Some(StatusCode::NOT_FOUND) => {
            "this machine has no service account that can identify itself: attach one to the \
             virtual machine, let Cloud Build run as a service account that you specify, link the \
             Kubernetes service account to one of Google's, or impersonate one with \
             GOOGLE_SERVICE_ACCOUNT_NAME"
        }
        Some(StatusCode::FORBIDDEN) => {
            "the metadata service is concealed from this workload, or its service account lacks \
             `roles/iam.serviceAccountOpenIdTokenCreator` on itself"
        }
        _ => "",
    }
}

const ACCOUNT: &str = "GOOGLE_SERVICE_ACCOUNT_NAME";
const METADATA_VARIABLES: [&str; 3] = ["GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"];
const RUNTIME_VARIABLES: [&str; 3] = ["K_SERVICE", "CLOUD_RUN_JOB", "GAE_ENV"];
const NO_CHECK: &str = "NO_GCE_CHECK";
/// The address and not the name: it needs no resolver.
const DEFAULT_METADATA: &str = "169.254.169.254";
const FIRMWARE: &str = "/sys/class/dmi/id/product_name";
const FLAVOR: &str = "metadata-flavor";
/// As Google's own command line lets it be overridden.
const IAM_ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";
const UNIVERSE: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
const DEFAULT_IAM_ENDPOINT: &str = "https://iamcredentials.googleapis.com/";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    const GOOGLE: [(&str, &str); 1] = [("Metadata-Flavor", "Google")];

    fn look(world: &World) -> Outcome {
        block_on(GoogleMetadata::new(world.host()).look(&Audience::sigstore()))
    }

    fn impersonate(world: &World) -> Outcome {
        block_on(GoogleImpersonation::new(world.host()).look(&Audience::sigstore()))
    }

    #[test]
    fn a_machine_with_an_account_identifies_itself_with_its_e_mail() {
        let token = jwt(r#"{"aud":"sigstore","email":"a@b"}"#);
        let world = World::new(&[]).with_file(FIRMWARE, "Google Compute Engine\n").answering_with(
            200,
            &GOOGLE,
            &format!("{token}\n"),
        );
        let found = found_of(look(&world));
        assert_eq!(found.token.reveal(), token);
        assert_eq!(found.evidence, format!("{FIRMWARE} says `Google`"));
        let request = world.only_request();
        assert_eq!(
            request.uri(),
            "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/identity\
             ?audience=sigstore&format=full"
        );
        assert_eq!(request.headers()[FLAVOR], "Google");
        assert!(!request.extensions().get::<CallPolicy>().unwrap().proxy);
    }

    #[test]
    fn an_emulator_is_asked_where_it_is() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let world = World::new(&[("GCE_METADATA_HOST", "127.0.0.1:8080"), (NO_CHECK, "true")])
            .answering_with(200, &GOOGLE, &token);
        found_of(look(&world));
        assert_eq!(world.only_request().uri().authority().unwrap(), "127.0.0.1:8080");
    }

    #[test]
    fn a_machine_without_an_account_is_only_softly_broken() {
        let world = World::new(&[]).with_file(FIRMWARE, "Google").answering(404, "not found");
        let broken = broken_of(look(&world));
        assert!(!broken.certain);
        assert!(broken.hint.unwrap().contains("attach one"));
    }

    #[test]
    fn something_else_at_the_address_is_not_believed() {
        let world = World::new(&[]).with_file(FIRMWARE, "Google").answering(200, "<html>login");
        let reason = broken_of(look(&world)).reason;
        assert!(reason.contains("found something else"), "{reason}");
    }

    #[test]
    fn elsewhere_there_is_one_short_probe_and_nothing_more() {
        for world in [World::new(&[]).unreachable(), World::new(&[]).answering(200, "hello")] {
            assert!(matches!(look(&world), Outcome::NotHere(_)));
            let request = world.only_request();
            assert_eq!(request.uri(), "http://169.254.169.254/");
            let policy = request.extensions().get::<CallPolicy>().unwrap();
            assert!(policy.total <= Duration::from_millis(300) && policy.attempts == 1);
        }
        let world = World::new(&[(NO_CHECK, "TRUE")]).with_file(FIRMWARE, "Google");
        assert!(matches!(look(&world), Outcome::NotHere(_)));
        assert_eq!(world.requests(), 0);
    }

    #[test]
    fn a_named_account_is_impersonated() {
        let token = jwt(r#"{"aud":"sigstore","email":"s@p.iam"}"#);
        let world = World::new(&[(ACCOUNT, "s@p.iam"), (IAM_ENDPOINT, "https://iam.example")])
            .answering_with(200, &GOOGLE, r#"{"access_token":"ya29.secret"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(impersonate(&world)).token.reveal(), token);
        let request = world.request(1);
        assert_eq!(
            request.uri(),
            "https://iam.example/v1/projects/-/serviceAccounts/s@p.iam:generateIdToken"
        );
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer ya29.secret");
        assert_eq!(request.body(), r#"{"audience":"sigstore","includeEmail":true}"#);
        assert!(matches!(impersonate(&World::new(&[])), Outcome::NotHere(_)));
    }

    #[test]
    fn a_missing_role_is_certain_and_named() {
        let body = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"denied on x"}}"#;
        let world = World::new(&[(ACCOUNT, "s@p.iam")])
            .answering_with(200, &GOOGLE, r#"{"access_token":"ya29.secret"}"#)
            .answering(403, body);
        let broken = broken_of(impersonate(&world));
        assert!(broken.certain);
        assert!(broken.reason.ends_with("403 Forbidden: `denied on x`"), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("serviceAccountOpenIdTokenCreator"));
    }

    #[test]
    fn an_access_token_that_is_missing_shows_nothing_of_the_answer() {
        let world = World::new(&[(ACCOUNT, "s@p.iam")]).answering_with(
            200,
            &GOOGLE,
            r#"{"accessToken":"ya29.secret"}"#,
        );
        let broken = broken_of(impersonate(&world));
        assert!(!format!("{broken:?}").contains("ya29"), "{broken:?}");
    }
}
