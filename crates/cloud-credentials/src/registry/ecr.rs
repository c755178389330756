//! Amazon's Elastic Container Registry, private and public: `GetAuthorizationToken`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host::{Env, Host};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use oidc_ambient::fetch::{self, Call, Failure};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::aws;
use crate::error::Error;
use crate::registry::login::RegistryLogin;

/// What a registry's name says of where to ask for its password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The host of the service that gives passwords.
    service: String,
    region: String,
    is_public: bool,
}

impl Place {
    /// Of the registry with this host name.
    pub(crate) fn of(registry: &str) -> Option<Self> {
        if registry == "public.ecr.aws" {
            // It is in this region alone.
            let region = "us-east-1".to_owned();
            let service = "api.ecr-public.us-east-1.amazonaws.com".to_owned();
            return Some(Self { service, region, is_public: true });
        }
        let (account, rest) = registry.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (kind, rest) = rest.split_once(".ecr").or_else(|| rest.split_once("-ecr"))?;
        let (fips, rest) = match rest.strip_prefix("-fips.") {
            Some(rest) => ("-fips", rest),
            None => ("", rest.strip_prefix('.')?),
        };
        let (region, domain) = rest.split_once('.')?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind != "dkr" || region.is_empty() || region.len() > 40 || !region.chars().all(fits) {
            return None;
        }
        // The registry's domain with both versions of IP, and the domain of its service.
        let service = match domain {
            "on.aws" => format!("ecr{fips}.{region}.api.aws"),
            "on.amazonwebservices.com.cn" => format!("ecr.{region}.api.amazonwebservices.com.cn"),
            _ if !DOMAINS.contains(&domain) => return None,
            _ if fips.is_empty() => format!("api.ecr.{region}.{domain}"),
            _ => format!("ecr-fips.{region}.{domain}"),
        };
        Some(Self { service, region: region.to_owned(), is_public: false })
    }

    pub(crate) async fn login(&self, host: &Host) -> Result<RegistryLogin, Error> {
        let credentials = aws::credentials(host).await?;
        let (name, target, pointer) = match self.is_public {
            true => ("ecr-public", PUBLIC, "/authorizationData/authorizationToken"),
            false => ("ecr", PRIVATE, "/authorizationData/0/authorizationToken"),
        };
        let url = self.endpoint(&*host.env).map_err(Error::unusable(CLOUD))?;
        let policy = fetch::policy().with_attempts(3).with_total(Duration::from_secs(15));
        let call = Call::post_json(url, &Value::Object(serde_json::Map::new()))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"))
            .header(HeaderName::from_static("x-amz-target"), HeaderValue::from_static(target))
            .policy(policy);
        let (mut request, policy) = call.into_request().map_err(Error::unusable(CLOUD))?;
        aws::sign(&mut request, &credentials, &self.region, name, host.clock.now())?;
        let answer = fetch::send(host, &request, &policy).await.map_err(|failure| {
            let hint = format!("allow the role {name}:GetAuthorizationToken");
            Error::unusable(CLOUD)(failure.with_hint(hint))
        })?;
        let answer = serde_json::from_slice::<Value>(answer.body()).ok();
        let token = answer.as_ref().and_then(|answer| answer.pointer(pointer)?.as_str());
        let (user, password) = token.and_then(pair).ok_or_else(|| {
            Error::unusable(CLOUD)(Failure::new(format!(
                "expected a user name and a password from {}, found something else",
                self.service
            )))
        })?;
        Ok(RegistryLogin::password(&user, password, "this machine's access to AWS"))
    }

    fn endpoint(&self, env: &dyn Env) -> Result<Url, Failure> {
        let own =
            if self.is_public { "AWS_ENDPOINT_URL_ECR_PUBLIC" } else { "AWS_ENDPOINT_URL_ECR" };
        for name in [own, "AWS_ENDPOINT_URL"] {
            if let Some(url) = env.var(name) {
                return fetch::endpoint(name, &url);
            }
        }
        fetch::endpoint("the registry's service", &format!("https://{}/", self.service))
    }
}

/// `user:password` in base64.
fn pair(token: &str) -> Option<(String, SecretString)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), SecretString::from(password)))
}

const CLOUD: &str = "AWS";
const PRIVATE: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
const PUBLIC: &str = "SpencerFrontendService.GetAuthorizationToken";
/// The domains of AWS's partitions.
const DOMAINS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "csp.hci.ic.gov",
    "cloud.adc-e.uk",
];

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::testing::{Fake, ready};

    const KEYS: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];

    #[test]
    fn the_name_says_the_region_and_the_service() {
        for (registry, service, region) in [
            (
                "dkr.ecr.eu-central-1.amazonaws.com",
                "api.ecr.eu-central-1.amazonaws.com",
                "eu-central-1",
            ),
            (
                "dkr.ecr-fips.us-east-1.amazonaws.com",
                "ecr-fips.us-east-1.amazonaws.com",
                "us-east-1",
            ),
            ("dkr-ecr.us-west-2.on.aws", "ecr.us-west-2.api.aws", "us-west-2"),
            (
                "dkr.ecr.cn-north-1.amazonaws.com.cn",
                "api.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                "dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "api.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
        ] {
            let place = Place::of(&format!("123456789012.{registry}")).unwrap();
            assert_eq!((&*place.service, &*place.region), (service, region));
        }
        for other in [
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.org",
            "123456789012.dkr.ecr.evil.org",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "evil.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.a/b.amazonaws.com",
            "123456789012.ecr.eu-central-1.amazonaws.com",
            "public.ecr.aws.evil.org",
        ] {
            assert_eq!(Place::of(other), None, "{other}");
        }
    }

    #[test]
    fn the_password_is_asked_for_with_a_signed_request() {
        let token = STANDARD.encode("AWS:pass:word");
        let answer = format!(r#"{{"authorizationData":[{{"authorizationToken":"{token}"}}]}}"#);
        let fake = Fake::new(&KEYS).answering(200, &answer);
        let place = Place::of("123456789012.dkr.ecr.eu-central-1.amazonaws.com").unwrap();
        let login = ready(place.login(&fake.host())).unwrap();
        assert_eq!(login.username.as_deref(), Some("AWS"));
        assert_eq!(login.secret.expose_secret(), "pass:word");
        let request = fake.only_request();
        assert_eq!(request.uri(), "https://api.ecr.eu-central-1.amazonaws.com/");
        assert_eq!(request.headers()["x-amz-target"], PRIVATE);
        assert_eq!(request.body(), "{}");
        let signature = request.headers()["authorization"].to_str().unwrap();
        assert!(signature.contains("/eu-central-1/ecr/aws4_request"), "{signature}");
        assert!(
            signature.contains("SignedHeaders=accept;content-type;host;x-amz-date;x-amz-target")
        );
    }

    #[test]
    fn the_public_registry_has_a_service_of_its_own() {
        let token = STANDARD.encode("AWS:p");
        let answer = format!(r#"{{"authorizationData":{{"authorizationToken":"{token}"}}}}"#);
        let fake = Fake::new(&KEYS).answering(200, &answer);
        ready(Place::of("public.ecr.aws").unwrap().login(&fake.host())).unwrap();
        let request = fake.only_request();
        assert_eq!(request.uri(), "https://api.ecr-public.us-east-1.amazonaws.com/");
        assert_eq!(request.headers()["x-amz-target"], PUBLIC);
    }

    #[test]
    fn a_refusal_names_the_permission_and_no_secret() {
        let body = r#"{"__type":"AccessDeniedException","Message":"not authorized"}"#;
        let fake = Fake::new(&KEYS).answering(400, body);
        let place = Place::of("123456789012.dkr.ecr.eu-central-1.amazonaws.com").unwrap();
        let error = ready(place.login(&fake.host())).unwrap_err();
        let Error::Unusable { reason, hint, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains("not authorized"), "{reason}");
        assert_eq!(hint.as_deref(), Some("allow the role ecr:GetAuthorizationToken"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn an_answer_without_a_pair_is_not_shown() {
        for body in ["{}", "hunter2", r#"{"authorizationData":[{"authorizationToken":"hunter2"}]}"#]
        {
            let fake = Fake::new(&KEYS).answering(200, body);
            let error =
                ready(Place::of("public.ecr.aws").unwrap().login(&fake.host())).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
