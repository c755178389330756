//! Google Cloud: the metadata service of the machine, a service account to impersonate, and files
//! of credentials.

mod adc;
mod external;
mod iam;
mod metadata;

use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Audience, IdToken, Outcome, TokenSource};

use crate::fetch::{self, Fault};
use crate::outcome::{broken, doubtful, here, not_here};
use crate::sources::google::adc::Located;

/// The identity of the machine: Compute Engine, GKE, Cloud Run, Cloud Build.
pub(crate) struct GoogleMetadata {
    host: Host,
}

/// The identity of the service account that `GOOGLE_SERVICE_ACCOUNT_NAME` names, on behalf of the
/// credentials that are here.
pub(crate) struct GoogleImpersonation {
    host: Host,
}

/// The identity of a file of Application Default Credentials.
pub(crate) struct GoogleFile {
    host: Host,
}

impl GoogleMetadata {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let evidence = match metadata::presence(&self.host).await {
            Ok(evidence) => evidence,
            Err(absence) => return not_here(absence),
        };
        match self.fetch(audience).await.and_then(with_email) {
            Ok(token) => here(token, evidence),
            // Many machines of Google's have no service account, and a job may run on any.
            Err(fault) => {
                let hint = metadata::hint_for(&fault).to_owned();
                doubtful(evidence, fault.reason, fault.hint.unwrap_or(hint))
            }
        }
    }

    async fn fetch(&self, audience: &Audience) -> Result<IdToken, Fault> {
        // Only the full format has the e-mail address that Fulcio certifies.
        let query = [("audience", audience.as_str()), ("format", "full")];
        let answer = metadata::ask(&self.host, "identity", &query).await?;
        fetch::token(&String::from_utf8_lossy(answer.body()))
    }
}

impl TokenSource for GoogleMetadata {
    fn name(&self) -> &str {
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
                return broken(evidence, reason, fault.hint.unwrap_or_default());
            }
        };
        match self.impersonate(&account, &access, audience).await.and_then(with_email) {
            Ok(token) => here(token, evidence),
            Err(fault) => broken(evidence, fault.reason, fault.hint.unwrap_or_default()),
        }
    }

    async fn access_token(&self) -> Result<String, Fault> {
        let env = self.host.env.as_ref();
        match Located::find(env).await {
            Ok(file) => file.read(env).await?.access_token(&self.host).await,
            Err(_) => metadata::access_token(&self.host).await,
        }
    }

    async fn impersonate(
        &self,
        account: &str,
        access: &str,
        audience: &Audience,
    ) -> Result<IdToken, Fault> {
        let url = iam::account_url(&self.host, account)?;
        iam::generate_id_token(&self.host, &url, access, audience, &[]).await
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

impl GoogleFile {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let env = self.host.env.as_ref();
        let file = match Located::find(env).await {
            Ok(file) => file,
            Err(absence) => return not_here(absence),
        };
        let evidence = file.evidence();
        let credentials = match file.read(env).await {
            Ok(credentials) => credentials,
            Err(fault) => return failed(file.named, evidence, fault),
        };
        match credentials.id_token(&self.host, audience).await.and_then(with_email) {
            Ok(token) => here(token, evidence),
            // A person's own login is on many machines and says nothing of this program.
            Err(fault) => failed(file.named && credentials.is_service_account(), evidence, fault),
        }
    }
}

impl TokenSource for GoogleFile {
    fn name(&self) -> &str {
        "google-adc"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

fn failed(certain: bool, evidence: String, fault: Fault) -> Outcome {
    let hint = fault.hint.unwrap_or_else(|| {
        format!("let {} name a readable file of a service account, or unset it", adc::VARIABLE)
    });
    if certain {
        broken(evidence, fault.reason, hint)
    } else {
        doubtful(evidence, fault.reason, hint)
    }
}

/// The e-mail address is what is certified of an account of Google's; an emulator, or an old
/// answer, may leave it out.
fn with_email(token: IdToken) -> Result<IdToken, Fault> {
    if token.claims().issuer() != Some(ISSUER) || token.claims().email().is_some() {
        return Ok(token);
    }
    Err(Fault::hinted(
        "expected a token with the claim `email`, found none: a certificate for an account of \
         Google's is made out to its address",
        "ask the metadata service with `format=full`, `generateIdToken` with `includeEmail`, and \
         `gcloud auth print-identity-token` with `--include-email`",
    ))
}

const ACCOUNT: &str = "GOOGLE_SERVICE_ACCOUNT_NAME";
const ISSUER: &str = "https://accounts.google.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

#[cfg(test)]
mod tests {
    use host::CallPolicy;
    use http::header::AUTHORIZATION;

    use super::adc::VARIABLE;
    use super::iam::ENDPOINT as IAM_ENDPOINT;
    use super::metadata::{FIRMWARE, FLAVOR, NO_CHECK};
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
            assert!(matches!(look(&world), Outcome::Absent(_)));
            let request = world.only_request();
            assert_eq!(request.uri(), "http://169.254.169.254/");
            let policy = request.extensions().get::<CallPolicy>().unwrap();
            assert!(policy.total <= Duration::from_millis(300) && policy.attempts == 1);
        }
        let world = World::new(&[(NO_CHECK, "TRUE")]).with_file(FIRMWARE, "Google");
        assert!(matches!(look(&world), Outcome::Absent(_)));
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
        assert!(matches!(impersonate(&World::new(&[])), Outcome::Absent(_)));
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

    #[test]
    fn a_token_without_an_e_mail_address_is_told_what_is_missing() {
        let token = jwt(r#"{"iss":"https://accounts.google.com","aud":"sigstore","sub":"1"}"#);
        let world =
            World::new(&[]).with_file(FIRMWARE, "Google").answering_with(200, &GOOGLE, &token);
        let broken = broken_of(look(&world));
        assert!(broken.reason.contains("the claim `email`, found none"), "{}", broken.reason);
        let hint = broken.hint.unwrap();
        assert!(hint.contains("format=full") && hint.contains("includeEmail"), "{hint}");
    }

    #[test]
    fn a_service_that_hangs_or_redirects_is_only_softly_broken() {
        let world = World::new(&[]).with_file(FIRMWARE, "Google").hanging();
        let broken = broken_of(look(&world));
        assert!(!broken.certain);
        assert!(broken.reason.contains("no complete answer"), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("NO_GCE_CHECK"));
        let world = World::new(&[]).with_file(FIRMWARE, "Google").redirecting(302, "http://evil/");
        let broken = broken_of(look(&world));
        assert!(broken.reason.contains("302 Found, a redirect to `http://evil/`"));
        assert_eq!(world.requests(), 1);
        let policy = world.only_request().extensions().get::<CallPolicy>().unwrap().clone();
        assert_eq!(policy.redirects, host::Redirects::Never);
        assert!(policy.attempts > 1, "a new pod's service is not ready at once");
    }

    const KEY: &str = include_str!("../../../../tests/fixtures/openssl/rsa_private.pem");

    fn account_file() -> String {
        serde_json::json!({
            "type": "service_account",
            "client_email": "s@p.iam.gserviceaccount.com",
            "private_key": KEY,
            "private_key_id": "k1",
            "token_uri": "https://oauth2.example/token",
        })
        .to_string()
    }

    fn file(world: &World) -> Outcome {
        block_on(GoogleFile::new(world.host()).look(&Audience::sigstore()))
    }

    fn body(world: &World, index: usize) -> String {
        String::from_utf8(world.request(index).body().to_vec()).unwrap()
    }

    #[test]
    fn a_key_signs_for_itself_and_gets_a_token() {
        let token = jwt(r#"{"aud":"sigstore","email":"s@p"}"#);
        let world = World::new(&[(VARIABLE, "/key.json")])
            .with_file("/key.json", &account_file())
            .answering(200, &format!(r#"{{"id_token":"{token}"}}"#));
        assert_eq!(found_of(file(&world)).token.reveal(), token);
        assert_eq!(world.only_request().uri(), "https://oauth2.example/token");
        let form = body(&world, 0);
        let (grant, assertion) = form.split_once("&assertion=").unwrap();
        assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        let assertion = IdToken::parse(assertion).unwrap();
        assert_eq!(assertion.algorithm(), "RS256");
        let claims = assertion.claims();
        assert_eq!(claims.text("target_audience"), Some("sigstore"));
        assert_eq!(claims.issuer(), Some("s@p.iam.gserviceaccount.com"));
        assert_eq!(claims.audiences(), ["https://oauth2.example/token"]);
    }

    #[test]
    fn a_key_that_is_gone_or_no_key_is_certain_and_not_shown() {
        let world = World::new(&[(VARIABLE, "/key.json")])
            .with_file("/key.json", &account_file())
            .answering(
                400,
                r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
            );
        let gone = broken_of(file(&world));
        assert!(gone.certain && gone.reason.ends_with("`Invalid JWT Signature.`"), "{gone:?}");
        assert!(gone.hint.unwrap().contains("keys list"));
        let bad = account_file().replace("MII", "hunter2");
        let world = World::new(&[(VARIABLE, "/key.json")]).with_file("/key.json", &bad);
        let broken = broken_of(file(&world));
        assert!(broken.reason.starts_with("not a PEM private key"), "{broken:?}");
        for content in
            ["hunter2", r#"{"type":"service_account","client_email":7,"private_key":"hunter2"}"#]
        {
            let world = World::new(&[(VARIABLE, "/key.json")]).with_file("/key.json", content);
            let broken = broken_of(file(&world));
            assert!(broken.reason.starts_with("it is no file of Google's"), "{broken:?}");
            assert!(!format!("{broken:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_persons_login_cannot_identify_itself_but_can_impersonate() {
        let login =
            r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
        let path = "/h/.config/gcloud/application_default_credentials.json";
        let world = World::new(&[("CLOUDSDK_CONFIG", "/h/.config/gcloud")]).with_file(path, login);
        let broken = broken_of(file(&world));
        assert!(!broken.certain && broken.reason.ends_with("found authorized_user"), "{broken:?}");
        assert!(broken.hint.unwrap().contains(ACCOUNT));
        let token = jwt(r#"{"aud":"sigstore","email":"s@p"}"#);
        let world = World::new(&[("CLOUDSDK_CONFIG", "/h/.config/gcloud"), (ACCOUNT, "s@p")])
            .with_file(path, login)
            .answering(200, r#"{"access_token":"ya29.user"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(impersonate(&world)).token.reveal(), token);
        assert!(body(&world, 0).starts_with("grant_type=refresh_token&client_id=c"));
        assert_eq!(world.request(1).headers()[AUTHORIZATION], "Bearer ya29.user");
    }

    #[test]
    fn an_impersonated_account_is_asked_for_through_its_source() {
        let content = serde_json::json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url":
                "https://iam.example/v1/projects/-/serviceAccounts/t@p:generateAccessToken",
            "source_credentials": serde_json::from_str::<serde_json::Value>(&account_file()).unwrap(),
            "delegates": ["projects/-/serviceAccounts/d@p"],
        });
        let token = jwt(r#"{"aud":"sigstore","email":"t@p"}"#);
        let world = World::new(&[(VARIABLE, "/i.json")])
            .with_file("/i.json", &content.to_string())
            .answering(200, r#"{"access_token":"ya29.source"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(file(&world)).token.reveal(), token);
        let request = world.request(1);
        assert_eq!(
            request.uri(),
            "https://iam.example/v1/projects/-/serviceAccounts/t@p:generateIdToken"
        );
        assert!(body(&world, 1).contains(r#""delegates":["projects/-/serviceAccounts/d@p"]"#));
    }

    fn federated(source: &str, account: bool) -> String {
        let account = if account {
            r#","service_account_impersonation_url":"https://iam.example/v1/projects/-/serviceAccounts/t@p:generateAccessToken""#
        } else {
            ""
        };
        format!(
            r#"{{"type":"external_account","audience":"//iam/pool","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"https://sts.example/v1/token","credential_source":{source}{account}}}"#
        )
    }

    #[test]
    fn a_federated_token_is_traded_for_the_service_accounts() {
        let source = r#"{"file":"/sub","format":{"type":"json","subject_token_field_name":"t"}}"#;
        let token = jwt(r#"{"aud":"sigstore","email":"t@p"}"#);
        let world = World::new(&[(VARIABLE, "/f.json")])
            .with_file("/f.json", &federated(source, true))
            .with_file("/sub", r#"{"t":"subject"}"#)
            .answering(200, r#"{"access_token":"federated"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(file(&world)).token.reveal(), token);
        assert_eq!(world.request(0).uri(), "https://sts.example/v1/token");
        assert!(body(&world, 0).contains("&subject_token=subject&"));
        assert_eq!(world.request(1).headers()[AUTHORIZATION], "Bearer federated");
    }

    #[test]
    fn a_federated_principal_without_an_account_or_a_known_source_is_told_what_would_do() {
        let reason = |source, account| {
            let world = World::new(&[(VARIABLE, "/f.json")])
                .with_file("/f.json", &federated(source, account));
            let broken = broken_of(file(&world));
            assert!(broken.hint.is_some() && world.requests() == 0);
            broken.reason
        };
        assert!(reason(r#"{"file":"/sub"}"#, false).contains("no service account"));
        let aws = reason(r#"{"environment_id":"aws1"}"#, true);
        assert!(aws.ends_with("found an environment `aws1`"), "{aws}");
        let program = reason(r#"{"executable":{"command":"x y"}}"#, true);
        assert!(program.contains("ALLOW_EXECUTABLES is not `1`"), "{program}");
    }

    #[test]
    fn where_there_is_no_file_there_is_nothing() {
        for env in [&[][..], &[("HOME", "/h")]] {
            assert!(matches!(file(&World::new(env)), Outcome::Absent(_)));
        }
    }

    #[test]
    fn a_credential_goes_nowhere_without_tls_but_on_this_machine() {
        assert!(iam::secure("http://127.0.0.1:8/x").is_some());
        assert!(iam::secure("http://oauth2.example/").is_none());
        let bad = account_file().replace("https://oauth2", "http://oauth2");
        let world = World::new(&[(VARIABLE, "/key.json")]).with_file("/key.json", &bad);
        assert_eq!(broken_of(file(&world)).reason, "the token endpoint is not an https URL");
    }
}
