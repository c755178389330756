//! Google Cloud: the metadata service of the machine, and a service account to impersonate.

use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Audience, Found, IdToken, Outcome, TokenSource};

use crate::fetch::{self, Failure};
use crate::google::{self, Access, MetadataAccess, Presence, with_email};
use crate::outcome::{absent, broken, found, soft};

/// The identity of the machine: Compute Engine, GKE, Cloud Run, Cloud Build.
pub struct GoogleMetadata {
    host: Host,
}

token_source!(GoogleMetadata, "google-workload-identity");

impl GoogleMetadata {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let Presence { evidence, doubt } = match google::presence(&self.host).await {
            Ok(presence) => presence,
            Err(absence) => return absent(absence),
        };
        match self.fetch(audience).await.and_then(with_email) {
            Ok(token) => match doubt {
                None => found(token, evidence),
                Some(firmware) => Outcome::Found(Found::new(token, evidence).doubted(
                    format!("{firmware}, so this may not be a machine of Google's"),
                    "if it is one, use its identity by name: `--oidc-provider \
                     google-workload-identity`; if it is not, set NO_GCE_CHECK=true",
                )),
            },
            // Many machines of Google's have no service account, and a job may run on any.
            Err(failure) => {
                let hint = google::hint_for(&failure).to_owned();
                soft(evidence, failure.reason, failure.hint.unwrap_or(hint))
            }
        }
    }

    async fn fetch(&self, audience: &Audience) -> Result<IdToken, Failure> {
        // Only the full format has the email address that Fulcio certifies.
        let query = [("audience", audience.as_str()), ("format", "full")];
        let answer = google::ask(&self.host, "identity", &query).await?;
        fetch::token(&String::from_utf8_lossy(answer.body()))
    }
}

/// The identity of the service account that `GOOGLE_SERVICE_ACCOUNT_NAME` names, on behalf of the
/// credentials of this place.
pub struct GoogleImpersonation {
    host: Host,
    access: Arc<dyn Access>,
}

impl GoogleImpersonation {
    /// On behalf of the machine.
    pub fn new(host: Host) -> Self {
        let access = Arc::new(MetadataAccess::new(host.clone()));
        Self::on_behalf_of(host, access)
    }

    /// On behalf of other credentials.
    pub fn on_behalf_of(host: Host, access: Arc<dyn Access>) -> Self {
        Self { host, access }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let Some(account) = self.host.env.var(ACCOUNT) else {
            return absent(format!("{ACCOUNT} is not set"));
        };
        let evidence = format!("{ACCOUNT} is set");
        match self.fetch(&account, audience).await.and_then(with_email) {
            Ok(token) => found(token, evidence),
            Err(failure) => broken(evidence, failure.reason, failure.hint.unwrap_or_default()),
        }
    }

    async fn fetch(&self, account: &str, audience: &Audience) -> Result<IdToken, Failure> {
        let url = google::account_url(&self.host, account)?;
        let access = self.access.token().await.map_err(|failure| Failure {
            reason: format!("no access token to impersonate with: {}", failure.reason),
            ..failure
        })?;
        google::generate_id_token(&self.host, url, &access, audience, &[]).await
    }
}

impl TokenSource for GoogleImpersonation {
    fn name(&self) -> &str {
        "google-impersonate"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

const ACCOUNT: &str = "GOOGLE_SERVICE_ACCOUNT_NAME";

#[cfg(test)]
mod tests {
    use host::CallPolicy;
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    const FIRMWARE: &str = "/sys/class/dmi/id/product_name";
    const IAM_ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";
    const NO_CHECK: &str = "NO_GCE_CHECK";

    const GOOGLE: [(&str, &str); 1] = [("Metadata-Flavor", "Google")];

    fn look(fake: &FakeHost) -> Outcome {
        crate::testing::look(&GoogleMetadata::new(fake.host()), "sigstore")
    }

    fn impersonate(fake: &FakeHost) -> Outcome {
        crate::testing::look(&GoogleImpersonation::new(fake.host()), "sigstore")
    }

    #[test]
    fn a_machine_with_an_account_identifies_itself_with_its_e_mail() {
        let token = jwt(r#"{"aud":"sigstore","email":"a@b"}"#);
        let fake = FakeHost::new(&[])
            .with_file(FIRMWARE, "Google Compute Engine\n")
            .answering_with(200, &GOOGLE, &format!("{token}\n"));
        let found = found_of(look(&fake));
        assert_eq!(found.token.reveal(), token);
        assert_eq!(found.evidence, format!("{FIRMWARE} says `Google`"));
        let request = fake.only_request();
        assert_eq!(
            request.uri(),
            "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/identity\
             ?audience=sigstore&format=full"
        );
        assert_eq!(request.headers()["metadata-flavor"], "Google");
        assert!(!request.extensions().get::<CallPolicy>().unwrap().proxy);
    }

    #[test]
    fn an_emulator_is_asked_where_it_is() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[("GCE_METADATA_HOST", "127.0.0.1:8080"), (NO_CHECK, "true")])
            .answering_with(200, &GOOGLE, &token);
        found_of(look(&fake));
        assert_eq!(fake.only_request().uri().authority().unwrap(), "127.0.0.1:8080");
    }

    #[test]
    fn an_ipv6_address_is_asked_with_or_without_its_brackets() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        for given in ["fd20:ce::254", "[fd20:ce::254]"] {
            let fake =
                FakeHost::new(&[("GCE_METADATA_HOST", given)]).answering_with(200, &GOOGLE, &token);
            found_of(look(&fake));
            assert_eq!(fake.only_request().uri().authority().unwrap(), "[fd20:ce::254]");
        }
    }

    #[test]
    fn a_machine_with_ipv6_alone_is_asked_at_its_other_address() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[])
            .with_file(FIRMWARE, "Google")
            .unreachable()
            .answering_with(200, &GOOGLE, &token);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        assert_eq!(fake.request(1).uri().authority().unwrap(), "[fd20:ce::254]");
    }

    #[test]
    fn a_machine_without_an_account_is_only_softly_broken() {
        let fake = FakeHost::new(&[]).with_file(FIRMWARE, "Google").answering(404, "not found");
        let broken = broken_of(look(&fake));
        assert!(!broken.certain);
        assert!(broken.hint.unwrap().contains("attach a service account"));
    }

    #[test]
    fn something_else_at_the_address_is_not_believed() {
        let fake = FakeHost::new(&[]).with_file(FIRMWARE, "Google").answering(200, "<html>login");
        let reason = broken_of(look(&fake)).reason;
        assert!(reason.contains("found something else"), "{reason}");
    }

    #[test]
    fn elsewhere_there_is_one_short_probe_and_nothing_more() {
        for fake in [FakeHost::new(&[]).unreachable(), FakeHost::new(&[]).answering(200, "hello")] {
            assert!(matches!(look(&fake), Outcome::Absent(_)));
            let request = fake.only_request();
            assert_eq!(request.uri(), "http://169.254.169.254/");
            let policy = request.extensions().get::<CallPolicy>().unwrap();
            assert!(policy.total <= Duration::from_millis(300) && policy.attempts == 1);
        }
        let fake = FakeHost::new(&[(NO_CHECK, "TRUE")]).with_file(FIRMWARE, "Google");
        assert!(matches!(look(&fake), Outcome::Absent(_)));
        assert_eq!(fake.requests(), 0);
    }

    #[test]
    fn a_named_account_is_impersonated() {
        let token = jwt(r#"{"aud":"sigstore","email":"s@p.iam"}"#);
        let fake = FakeHost::new(&[(ACCOUNT, "s@p.iam"), (IAM_ENDPOINT, "https://iam.example")])
            .answering_with(200, &GOOGLE, r#"{"access_token":"ya29.secret"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(impersonate(&fake)).token.reveal(), token);
        let request = fake.request(1);
        assert_eq!(
            request.uri(),
            "https://iam.example/v1/projects/-/serviceAccounts/s@p.iam:generateIdToken"
        );
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer ya29.secret");
        assert_eq!(request.body(), r#"{"audience":"sigstore","includeEmail":true}"#);
        assert!(matches!(impersonate(&FakeHost::new(&[])), Outcome::Absent(_)));
    }

    #[test]
    fn a_missing_role_is_certain_and_named() {
        let body = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"denied on x"}}"#;
        let fake = FakeHost::new(&[(ACCOUNT, "s@p.iam")])
            .answering_with(200, &GOOGLE, r#"{"access_token":"ya29.secret"}"#)
            .answering(403, body);
        let broken = broken_of(impersonate(&fake));
        assert!(broken.certain);
        assert!(broken.reason.ends_with("403 Forbidden: `denied on x`"), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("serviceAccountOpenIdTokenCreator"));
    }

    #[test]
    fn an_access_token_that_is_missing_shows_nothing_of_the_answer() {
        let fake = FakeHost::new(&[(ACCOUNT, "s@p.iam")]).answering_with(
            200,
            &GOOGLE,
            r#"{"accessToken":"ya29.secret"}"#,
        );
        let broken = broken_of(impersonate(&fake));
        assert!(!format!("{broken:?}").contains("ya29"), "{broken:?}");
    }

    #[test]
    fn a_token_without_an_e_mail_address_is_told_what_is_missing() {
        let token = jwt(r#"{"iss":"https://accounts.google.com","aud":"sigstore","sub":"1"}"#);
        let fake =
            FakeHost::new(&[]).with_file(FIRMWARE, "Google").answering_with(200, &GOOGLE, &token);
        let broken = broken_of(look(&fake));
        assert!(broken.reason.contains("the claim `email`, found none"), "{}", broken.reason);
        let hint = broken.hint.unwrap();
        assert!(hint.contains("format=full") && hint.contains("includeEmail"), "{hint}");
    }

    #[test]
    fn a_service_that_hangs_or_redirects_is_only_softly_broken() {
        let fake = FakeHost::new(&[]).with_file(FIRMWARE, "Google").hanging();
        let broken = broken_of(look(&fake));
        assert!(!broken.certain);
        assert!(broken.reason.contains("no complete answer"), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("NO_GCE_CHECK"));
        let fake =
            FakeHost::new(&[]).with_file(FIRMWARE, "Google").redirecting(302, "http://evil/");
        let broken = broken_of(look(&fake));
        assert!(broken.reason.contains("302 Found, a redirect to `http://evil/`"));
        assert_eq!(fake.requests(), 1);
        let policy = fake.only_request().extensions().get::<CallPolicy>().unwrap().clone();
        assert_eq!(policy.redirects, host::Redirects::Never);
        assert!(policy.attempts > 1, "a new pod's service is not ready at once");
    }
}
