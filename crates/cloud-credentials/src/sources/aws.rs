//! The token that STS gives to any principal of an account that allows it
//! (`GetWebIdentityToken`).

use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Absence, Audience, Broken, Found, IdToken, Outcome, TokenSource};
use oidc_ambient::fetch::{self, Failure};

use crate::aws::{self, Chain};
use crate::error::Error;

/// STS, asked with whatever credentials AWS has put here.
pub struct Aws {
    host: Host,
}

impl Aws {
    /// The source, which looks at `host`.
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience, min_ttl: Duration) -> Outcome {
        let chain = match Chain::find(&self.host).await {
            Ok(chain) => chain,
            Err(Error::Absent { evidence, .. }) => return Outcome::Absent(Absence::new(evidence)),
            Err(error) => return Outcome::Absent(Absence::new(error.to_string())),
        };
        let failure = match self.fetch(chain, audience, min_ttl).await {
            Ok(token) => return Outcome::Found(Found::new(token, chain.evidence())),
            Err(failure) => failure,
        };
        let mut hint = failure.hint.unwrap_or_else(|| {
            "enable outbound web identity federation for the account (`aws iam \
             enable-outbound-web-identity-federation`) and allow this principal \
             `sts:GetWebIdentityToken`; the public Fulcio does not know the issuer, a private one \
             can"
            .to_owned()
        });
        if chain.is_in_cluster(self.host.env.as_ref()) {
            hint.push_str(&format!(
                "; in a cluster mount a projected service account token with the audience \
                 `{audience}` at /var/run/sigstore/cosign instead: EKS is an issuer that the \
                 public Fulcio knows, but the token that it mounts by itself is for \
                 `sts.amazonaws.com` alone"
            ));
        }
        // Credentials for AWS are in many places that have another identity.
        let broken = Broken::new(chain.evidence(), failure.reason);
        Outcome::Broken(broken.with_hint(hint).with_certain(false))
    }

    async fn fetch(
        &self,
        chain: Chain,
        audience: &Audience,
        min_ttl: Duration,
    ) -> Result<IdToken, Failure> {
        let host = &self.host;
        let region = chain.find_region(host).await?;
        let sts = aws::endpoint(host.env.as_ref(), &region)?;
        let credentials = chain.obtain(host).await?;
        let life = min_ttl.clamp(DEFAULT_LIFE, LONGEST_LIFE).as_secs().to_string();
        let parameters = [
            ("Audience.member.1", audience.as_str()),
            ("DurationSeconds", life.as_str()),
            ("SigningAlgorithm", "RS256"),
        ];
        let call = aws::call(&sts, "GetWebIdentityToken", &parameters);
        let (mut request, policy) = call.into_request()?;
        aws::sign(&mut request, &credentials, &region, "sts", host.clock.now())
            .map_err(|error| Failure::new(error.to_string()))?;
        let answer = fetch::send(host, &request, &policy).await?;
        let text = String::from_utf8_lossy(answer.body());
        let token = fetch::xml_text(&text, "WebIdentityToken")
            .ok_or_else(|| Failure::new("STS answered without a `WebIdentityToken`"))?;
        fetch::token(token)
    }
}

impl TokenSource for Aws {
    fn name(&self) -> &str {
        "aws"
    }

    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience, min_ttl))
    }
}

const DEFAULT_LIFE: Duration = Duration::from_secs(300);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use host::CallPolicy;
    use http::Method;

    use super::*;
    use crate::testing::{Fake, broken_of, found_of, jwt};

    const KEYS: [(&str, &str); 4] = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret"),
        ("AWS_SESSION_TOKEN", "aws-session"),
        ("AWS_REGION", "eu-central-1"),
    ];

    fn look(fake: &Fake) -> Outcome {
        crate::testing::look(&Aws::new(fake.host()))
    }

    fn token_xml() -> (String, String) {
        let token = jwt(r#"{"aud":"sigstore","sub":"arn:aws:iam::1:role/r"}"#);
        let xml = format!(
            "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>{token}\
             </WebIdentityToken><Expiration>2026-11-24T00:05:00Z</Expiration>\
             </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
        );
        (token, xml)
    }

    #[test]
    fn sts_of_the_region_is_asked_with_a_signed_request() {
        let (token, xml) = token_xml();
        let fake = Fake::new(&KEYS).answering(200, &xml);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(request.uri(), "https://sts.eu-central-1.amazonaws.com/");
        assert_eq!(
            request.body(),
            "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=sigstore\
             &DurationSeconds=300&SigningAlgorithm=RS256"
        );
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKID/19700101/eu-central-1/sts/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
            ),
            "{authorization}"
        );
        assert_eq!(request.headers()["x-amz-security-token"], "aws-session");
    }

    #[test]
    fn an_account_that_does_not_allow_it_is_told_how_to() {
        let error = "<ErrorResponse><Error><Type>Sender</Type>\
                     <Code>OutboundWebIdentityFederationDisabled</Code><Message>Not enabled\
                     </Message></Error></ErrorResponse>";
        let broken = broken_of(look(&Fake::new(&KEYS).answering(400, error)));
        assert!(!broken.certain);
        assert_eq!(
            broken.reason,
            "sts.eu-central-1.amazonaws.com answered 400 Bad Request: \
             `OutboundWebIdentityFederationDisabled: Not enabled`"
        );
        let hint = broken.hint.unwrap();
        assert!(hint.contains("enable-outbound-web-identity-federation"), "{hint}");
        assert!(hint.contains("private"), "{hint}");
    }

    #[test]
    fn without_a_region_nothing_is_sent() {
        let fake = Fake::new(&KEYS[..3]);
        let broken = broken_of(look(&fake));
        assert_eq!(broken.hint.as_deref(), Some("set AWS_REGION"));
        assert_eq!(fake.requests(), 0);
        let region = [KEYS[0], KEYS[1], ("AWS_REGION", "evil.example/")];
        let broken = broken_of(look(&Fake::new(&region)));
        assert!(broken.reason.contains("expected the name of a region"), "{}", broken.reason);
    }

    #[test]
    fn a_pod_trades_its_token_for_credentials_and_is_told_of_a_better_way() {
        let pod = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/irsa"),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let assumed = "<R><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                       <SessionToken>t</SessionToken></R>";
        let own = jwt(r#"{"aud":"sts.amazonaws.com"}"#);
        let (token, xml) = token_xml();
        let fake =
            Fake::new(&pod).with_file("/irsa", &own).answering(200, assumed).answering(200, &xml);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let body = String::from_utf8(fake.request(0).body().to_vec()).unwrap();
        assert!(
            body.starts_with(
                "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws"
            ),
            "{body}"
        );
        assert!(!fake.request(0).headers().contains_key("authorization"));
        assert_eq!(fake.request(1).headers()["x-amz-security-token"], "t");

        let fake = Fake::new(&pod).with_file("/irsa", &own).answering(403, "no");
        let hint = broken_of(look(&fake)).hint.unwrap();
        assert!(hint.contains("projected service account token with the audience `sigstore`"));
    }

    #[test]
    fn a_containers_endpoint_is_asked_with_its_own_token() {
        let env = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/pod"),
            ("AWS_REGION", "us-east-1"),
        ];
        let (token, xml) = token_xml();
        let given = r#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t"}"#;
        let fake = Fake::new(&env)
            .with_file("/pod", "pod-secret\n")
            .answering(200, given)
            .answering(200, &xml);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let request = fake.request(0);
        assert_eq!(request.uri(), "http://169.254.170.23/v1/credentials");
        assert_eq!(request.headers()["authorization"], "pod-secret");
        let env =
            [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"), ("AWS_REGION", "us-east-1")];
        let fake = Fake::new(&env).answering(200, given).answering(200, &xml);
        found_of(look(&fake));
        assert_eq!(fake.request(0).uri(), "http://169.254.170.2/v2/x");
    }

    #[test]
    fn a_container_url_that_leads_away_without_tls_is_not_followed() {
        let env = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        let fake = Fake::new(&env);
        assert!(
            broken_of(look(&fake)).reason.contains("plain http to http://evil.example is refused")
        );
        assert_eq!(fake.requests(), 0);
    }

    #[test]
    fn a_machine_opens_a_session_and_takes_its_role() {
        let (token, xml) = token_xml();
        let given = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t"}"#;
        let fake = Fake::new(&[])
            .with_file("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
            .answering(200, "session-1")
            .answering(200, "us-west-2")
            .answering(200, "session-2")
            .answering(200, "signer\n")
            .answering(200, given)
            .answering(200, &xml);
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        assert_eq!(fake.request(0).method(), Method::PUT);
        assert!(!fake.request(0).extensions().get::<CallPolicy>().unwrap().proxy);
        assert_eq!(
            fake.request(4).uri(),
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/signer"
        );
        assert_eq!(fake.request(4).headers()["x-aws-ec2-metadata-token"], "session-2");
        assert_eq!(fake.request(5).uri(), "https://sts.us-west-2.amazonaws.com/");
    }

    #[test]
    fn a_machine_with_ipv6_alone_is_asked_at_its_other_address() {
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6"), ("AWS_REGION", "us-west-2")];
        let fake = Fake::new(&env)
            .with_file("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
            .answering(404, "");
        drop(look(&fake));
        assert_eq!(fake.request(0).uri(), "http://[fd00:ec2::254]/latest/api/token");
        let policy = fake.request(0).extensions().get::<CallPolicy>().unwrap().clone();
        assert!(!policy.reconnect, "a metadata service that refuses is not there");
    }

    #[test]
    fn a_machine_without_a_role_is_told_so() {
        let fake = Fake::new(&[("AWS_REGION", "us-west-2")])
            .with_file("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
            .answering(200, "session")
            .answering(404, "<html>");
        let broken = broken_of(look(&fake));
        assert_eq!(broken.reason, "this virtual machine has no IAM role");
        assert!(broken.hint.unwrap().contains("instance profile"));
    }

    #[test]
    fn elsewhere_nothing_is_asked() {
        for env in [&[("AWS_ACCESS_KEY_ID", "half")][..], &[("AWS_EC2_METADATA_DISABLED", "true")]]
        {
            let fake = Fake::new(env);
            assert!(matches!(look(&fake), Outcome::Absent(_)));
            assert_eq!(fake.requests(), 0);
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for answer in ["{}", "aws-secret", r#"{"x":"aws-session"}"#] {
            let env = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"), ("AWS_REGION", "r-1")];
            let broken = broken_of(look(&Fake::new(&env).answering(200, answer)));
            assert!(!format!("{broken:?}").contains("aws-se"), "{broken:?}");
        }
    }
}
