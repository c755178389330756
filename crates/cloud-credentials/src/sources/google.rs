//! The service account behind a file of Application Default Credentials.

use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Absence, Audience, Broken, Found, Outcome, TokenSource};
use oidc_ambient::fetch::Failure;
use oidc_ambient::google::with_email;

use crate::google::{Located, VARIABLE};

/// The identity of a file of Application Default Credentials.
pub struct GoogleFile {
    host: Host,
}

impl GoogleFile {
    /// The source, which looks at `host`.
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let file = match Located::find(&self.host).await {
            Ok(file) => file,
            Err(absence) => return Outcome::Absent(Absence::new(absence)),
        };
        let evidence = file.evidence();
        let credentials = match file.read(&self.host).await {
            Ok(credentials) => credentials,
            Err(failure) => return failed(file.named, evidence, failure),
        };
        match credentials.id_token(&self.host, audience).await.and_then(with_email) {
            Ok(token) => Outcome::Found(Found::new(token, evidence)),
            // A person's own login is on many machines and says nothing of this program.
            Err(failure) => {
                failed(file.named && credentials.is_service_account(), evidence, failure)
            }
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

fn failed(certain: bool, evidence: String, failure: Failure) -> Outcome {
    let hint = failure.hint.unwrap_or_else(|| {
        format!("let {VARIABLE} name a readable file of a service account, or unset it")
    });
    Outcome::Broken(Broken::new(evidence, failure.reason).with_hint(hint).with_certain(certain))
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use id_token::IdToken;
    use oidc_ambient::sources::GoogleImpersonation;

    use super::*;
    use crate::google::ApplicationDefault;
    use crate::testing::{Fake, broken_of, found_of, jwt, look};

    const ACCOUNT: &str = "GOOGLE_SERVICE_ACCOUNT_NAME";

    fn impersonate(fake: &Fake) -> Outcome {
        let access = std::sync::Arc::new(ApplicationDefault::new(fake.host()));
        look(&GoogleImpersonation::on_behalf_of(fake.host(), access))
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

    fn file(fake: &Fake) -> Outcome {
        look(&GoogleFile::new(fake.host()))
    }

    fn body(fake: &Fake, index: usize) -> String {
        String::from_utf8(fake.request(index).body().to_vec()).unwrap()
    }

    #[test]
    fn a_key_signs_for_itself_and_gets_a_token() {
        let token = jwt(r#"{"aud":"sigstore","email":"s@p"}"#);
        let fake = Fake::new(&[(VARIABLE, "/key.json")])
            .with_file("/key.json", &account_file())
            .answering(200, &format!(r#"{{"id_token":"{token}"}}"#));
        assert_eq!(found_of(file(&fake)).token.reveal(), token);
        assert_eq!(fake.only_request().uri(), "https://oauth2.example/token");
        let form = body(&fake, 0);
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
        let fake = Fake::new(&[(VARIABLE, "/key.json")])
            .with_file("/key.json", &account_file())
            .answering(
                400,
                r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
            );
        let gone = broken_of(file(&fake));
        assert!(gone.certain && gone.reason.ends_with("`Invalid JWT Signature.`"), "{gone:?}");
        assert!(gone.hint.unwrap().contains("keys list"));
        let bad = account_file().replace("MII", "hunter2");
        let fake = Fake::new(&[(VARIABLE, "/key.json")]).with_file("/key.json", &bad);
        let broken = broken_of(file(&fake));
        assert!(broken.reason.starts_with("not a PEM private key"), "{broken:?}");
        for content in
            ["hunter2", r#"{"type":"service_account","client_email":7,"private_key":"hunter2"}"#]
        {
            let fake = Fake::new(&[(VARIABLE, "/key.json")]).with_file("/key.json", content);
            let broken = broken_of(file(&fake));
            assert!(broken.reason.starts_with("the file does not hold Google"), "{broken:?}");
            assert!(!format!("{broken:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_persons_login_cannot_identify_itself_but_can_impersonate() {
        let login =
            r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
        let path = "/h/.config/gcloud/application_default_credentials.json";
        let fake = Fake::new(&[("CLOUDSDK_CONFIG", "/h/.config/gcloud")]).with_file(path, login);
        let broken = broken_of(file(&fake));
        assert!(!broken.certain && broken.reason.ends_with("found authorized_user"), "{broken:?}");
        assert!(broken.hint.unwrap().contains(ACCOUNT));
        let token = jwt(r#"{"aud":"sigstore","email":"s@p"}"#);
        let fake = Fake::new(&[("CLOUDSDK_CONFIG", "/h/.config/gcloud"), (ACCOUNT, "s@p")])
            .with_file(path, login)
            .answering(200, r#"{"access_token":"ya29.user"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(impersonate(&fake)).token.reveal(), token);
        assert!(body(&fake, 0).starts_with("grant_type=refresh_token&client_id=c"));
        assert_eq!(fake.request(1).headers()[AUTHORIZATION], "Bearer ya29.user");
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
        let fake = Fake::new(&[(VARIABLE, "/i.json")])
            .with_file("/i.json", &content.to_string())
            .answering(200, r#"{"access_token":"ya29.source"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(file(&fake)).token.reveal(), token);
        let request = fake.request(1);
        assert_eq!(
            request.uri(),
            "https://iam.example/v1/projects/-/serviceAccounts/t@p:generateIdToken"
        );
        assert!(body(&fake, 1).contains(r#""delegates":["projects/-/serviceAccounts/d@p"]"#));
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
    fn a_federated_token_is_exchanged_for_the_service_accounts() {
        let source = r#"{"file":"/sub","format":{"type":"json","subject_token_field_name":"t"}}"#;
        let token = jwt(r#"{"aud":"sigstore","email":"t@p"}"#);
        let fake = Fake::new(&[(VARIABLE, "/f.json")])
            .with_file("/f.json", &federated(source, true))
            .with_file("/sub", r#"{"t":"subject"}"#)
            .answering(200, r#"{"access_token":"federated"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(file(&fake)).token.reveal(), token);
        assert_eq!(fake.request(0).uri(), "https://sts.example/v1/token");
        assert!(body(&fake, 0).contains("&subject_token=subject&"));
        assert_eq!(fake.request(1).headers()[AUTHORIZATION], "Bearer federated");
    }

    #[test]
    fn an_identity_of_aws_is_exchanged_as_a_signed_request() {
        let source = r#"{"environment_id":"aws1",
            "region_url":"http://169.254.169.254/latest/meta-data/placement/availability-zone",
            "url":"http://169.254.169.254/latest/meta-data/iam/security-credentials",
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}"#;
        let token = jwt(r#"{"aud":"sigstore","email":"t@p"}"#);
        let env = [
            (VARIABLE, "/f.json"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "aws-secret"),
            ("AWS_SESSION_TOKEN", "aws-session"),
            ("AWS_REGION", "eu-central-1"),
        ];
        let fake = Fake::new(&env)
            .with_file("/f.json", &federated(source, true))
            .answering(200, r#"{"access_token":"federated"}"#)
            .answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(file(&fake)).token.reveal(), token);
        let form: std::collections::BTreeMap<String, String> =
            url::form_urlencoded::parse(fake.request(0).body()).into_owned().collect();
        // Google's STS takes the text of the request escaped once more.
        let escaped = format!("t={}", form["subject_token"]);
        let (_, text) = url::form_urlencoded::parse(escaped.as_bytes()).next().unwrap();
        let signed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            signed["url"],
            "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
        );
        assert_eq!(signed["method"], "POST");
        let headers: std::collections::BTreeMap<&str, &str> = signed["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| (header["key"].as_str().unwrap(), header["value"].as_str().unwrap()))
            .collect();
        assert_eq!(headers["host"], "sts.eu-central-1.amazonaws.com");
        assert_eq!(headers["x-goog-cloud-target-resource"], "//iam/pool");
        assert_eq!(headers["x-amz-security-token"], "aws-session");
        // As google-auth 2.63 for Python signs the same request at the same time.
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKID/19700101/eu-central-1/sts/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource, \
             Signature=4f947426d5acb29c03ec9a154a8b933b04998f79e687d42b39a622f23ba9f91f"
        );
        assert!(!text.contains("aws-secret"), "{text}");
    }

    #[test]
    fn a_federated_principal_without_an_account_or_a_known_source_is_told_what_would_do() {
        let reason = |source, account| {
            let fake = Fake::new(&[(VARIABLE, "/f.json")])
                .with_file("/f.json", &federated(source, account));
            let broken = broken_of(file(&fake));
            assert!(broken.hint.is_some() && fake.requests() == 0);
            broken.reason
        };
        assert!(reason(r#"{"file":"/sub"}"#, false).contains("no service account"));
        let aws = reason(r#"{"environment_id":"aws1"}"#, true);
        assert!(aws.starts_with("no credentials for AWS: AWS_ACCESS_KEY_ID is not set"), "{aws}");
        let later = reason(r#"{"environment_id":"aws2"}"#, true);
        assert!(later.ends_with("found `aws2`"), "{later}");
        let program = reason(r#"{"executable":{"command":"x y"}}"#, true);
        assert!(program.contains("ALLOW_EXECUTABLES is not `1`"), "{program}");
    }

    /// A frequent mistake: the variable holds the credentials instead of their file's name.
    #[test]
    fn credentials_in_place_of_their_files_name_are_not_shown() {
        let fake = Fake::new(&[(VARIABLE, &account_file())]);
        let broken = broken_of(file(&fake));
        assert!(broken.reason.starts_with("the file (not shown"), "{broken:?}");
        assert!(!format!("{broken:?}").contains("PRIVATE KEY"), "{broken:?}");
    }

    #[test]
    fn where_there_is_no_file_there_is_nothing() {
        for env in [&[][..], &[("HOME", "/h")]] {
            assert!(matches!(file(&Fake::new(env)), Outcome::Absent(_)));
        }
    }

    #[test]
    fn a_credential_goes_nowhere_without_tls_but_on_this_machine() {
        let bad = account_file().replace("https://oauth2", "http://oauth2");
        let fake = Fake::new(&[(VARIABLE, "/key.json")]).with_file("/key.json", &bad);
        assert_eq!(
            broken_of(file(&fake)).reason,
            "plain http to http://oauth2.example is refused: a token or trust data would \
             travel unencrypted"
        );
    }
}
