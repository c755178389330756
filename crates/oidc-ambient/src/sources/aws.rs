//! AWS: the token that STS gives to any principal of an account that allows it
//! (`GetWebIdentityToken`).

mod credentials;
mod sigv4;

use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, Host};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use id_token::{Audience, IdToken, Outcome, TokenSource};
use url::{Url, form_urlencoded};

use crate::fetch::{self, Fault};
use crate::outcome::{doubtful, here, not_here};
use crate::sources::aws::credentials::Origin;

/// STS, asked with whatever credentials AWS has put here.
pub(crate) struct Aws {
    host: Host,
}

impl Aws {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience, min_ttl: Duration) -> Outcome {
        let env = self.host.env.as_ref();
        let origin = match Origin::find(env).await {
            Ok(origin) => origin,
            Err(absence) => return not_here(absence),
        };
        match self.fetch(&origin, audience, min_ttl).await {
            Ok(token) => here(token, origin.evidence()),
            // Credentials for AWS are in many places that have another identity.
            Err(fault) => {
                let hint = fault.hint.unwrap_or_else(|| {
                    "enable outbound web identity federation for the account (`aws iam \
                     enable-outbound-web-identity-federation`) and allow this principal \
                     `sts:GetWebIdentityToken`; the public Fulcio does not know the issuer, a \
                     private one can"
                        .to_owned()
                });
                let better = if origin.in_cluster(env) {
                    format!(
                        "; in a cluster mount a projected service account token with the audience \
                         `{audience}` at /var/run/sigstore/cosign instead: EKS is an issuer that \
                         the public Fulcio knows, but the token that it mounts by itself is for \
                         `sts.amazonaws.com` alone"
                    )
                } else {
                    String::new()
                };
                doubtful(origin.evidence(), fault.reason, hint + &better)
            }
        }
    }

    async fn fetch(
        &self,
        origin: &Origin,
        audience: &Audience,
        min_ttl: Duration,
    ) -> Result<IdToken, Fault> {
        let region = origin.region(&self.host).await?;
        let sts = self.sts(&region)?;
        let credentials = origin.credentials(&self.host, &sts).await?;
        let life = min_ttl.clamp(DEFAULT_LIFE, LONGEST_LIFE).as_secs();
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "GetWebIdentityToken")
            .append_pair("Version", VERSION)
            .append_pair("Audience.member.1", audience.as_str())
            .append_pair("DurationSeconds", &life.to_string())
            .append_pair("SigningAlgorithm", "RS256")
            .finish();
        let mut request = query(&sts, body)?;
        sigv4::sign(&mut request, &credentials, &region, "sts", self.host.clock.now())?;
        let answer = fetch::send(&self.host, &request).await?;
        let text = String::from_utf8_lossy(answer.body());
        let token = fetch::xml_text(&text, "WebIdentityToken")
            .ok_or_else(|| Fault::new("STS answered without a `WebIdentityToken`"))?;
        fetch::token(token)
    }

    /// The endpoint of the region: the global one gives no such tokens.
    fn sts(&self, region: &str) -> Result<Url, Fault> {
        for name in ENDPOINTS {
            if let Some(url) = self.host.env.var(name) {
                return fetch::endpoint(name, &url);
            }
        }
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        fetch::endpoint("the endpoint of STS", &format!("https://sts.{region}.{suffix}/"))
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

/// A request to STS, not yet signed.
fn query(sts: &Url, body: String) -> Result<Request<Bytes>, Fault> {
    Request::post(sts.as_str())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        // Keys for AWS are on many machines without a way to it: those must not wait for long.
        .extension(
            fetch::policy()
                .with_attempt(Duration::from_secs(5))
                .with_total(Duration::from_secs(10))
                .with_attempts(3),
        )
        .body(Bytes::from(body))
        .map_err(|_| Fault::new("the endpoint of STS has no usable URL"))
}

/// Of the STS API.
const VERSION: &str = "2011-06-15";
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    const KEYS: [(&str, &str); 4] = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret"),
        ("AWS_SESSION_TOKEN", "aws-session"),
        ("AWS_REGION", "eu-central-1"),
    ];

    fn look(world: &World) -> Outcome {
        block_on(Aws::new(world.host()).look(&Audience::sigstore(), Duration::from_secs(30)))
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
        let world = World::new(&KEYS).answering(200, &xml);
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        let request = world.only_request();
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
        let broken = broken_of(look(&World::new(&KEYS).answering(400, error)));
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
        let world = World::new(&KEYS[..3]);
        let broken = broken_of(look(&world));
        assert_eq!(broken.hint.as_deref(), Some("set AWS_REGION"));
        assert_eq!(world.requests(), 0);
        let region = [KEYS[0], KEYS[1], ("AWS_REGION", "evil.example/")];
        let broken = broken_of(look(&World::new(&region)));
        assert!(broken.reason.contains("no name of a region"), "{}", broken.reason);
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
        let world =
            World::new(&pod).with_file("/irsa", &own).answering(200, assumed).answering(200, &xml);
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        let body = String::from_utf8(world.request(0).body().to_vec()).unwrap();
        assert!(
            body.starts_with(
                "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws"
            ),
            "{body}"
        );
        assert!(!world.request(0).headers().contains_key("authorization"));
        assert_eq!(world.request(1).headers()["x-amz-security-token"], "t");

        let world = World::new(&pod).with_file("/irsa", &own).answering(403, "no");
        let hint = broken_of(look(&world)).hint.unwrap();
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
        let world = World::new(&env)
            .with_file("/pod", "pod-secret\n")
            .answering(200, given)
            .answering(200, &xml);
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        let request = world.request(0);
        assert_eq!(request.uri(), "http://169.254.170.23/v1/credentials");
        assert_eq!(request.headers()["authorization"], "pod-secret");
        let env =
            [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"), ("AWS_REGION", "us-east-1")];
        let world = World::new(&env).answering(200, given).answering(200, &xml);
        found_of(look(&world));
        assert_eq!(world.request(0).uri(), "http://169.254.170.2/v2/x");
    }

    #[test]
    fn a_container_url_that_leads_away_without_tls_is_not_followed() {
        let env = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        let world = World::new(&env);
        assert!(broken_of(look(&world)).reason.contains("without TLS"));
        assert_eq!(world.requests(), 0);
    }

    #[test]
    fn a_machine_opens_a_session_and_takes_its_role() {
        let (token, xml) = token_xml();
        let given = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t"}"#;
        let world = World::new(&[])
            .with_file("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
            .answering(200, "session-1")
            .answering(200, "us-west-2")
            .answering(200, "session-2")
            .answering(200, "signer\n")
            .answering(200, given)
            .answering(200, &xml);
        assert_eq!(found_of(look(&world)).token.reveal(), token);
        assert_eq!(world.request(0).method(), Method::PUT);
        assert!(!world.request(0).extensions().get::<host::CallPolicy>().unwrap().proxy);
        assert_eq!(
            world.request(4).uri(),
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/signer"
        );
        assert_eq!(world.request(4).headers()["x-aws-ec2-metadata-token"], "session-2");
        assert_eq!(world.request(5).uri(), "https://sts.us-west-2.amazonaws.com/");
    }

    #[test]
    fn a_machine_without_a_role_is_told_so() {
        let world = World::new(&[("AWS_REGION", "us-west-2")])
            .with_file("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
            .answering(200, "session")
            .answering(404, "<html>");
        let broken = broken_of(look(&world));
        assert_eq!(broken.reason, "this virtual machine has no IAM role");
        assert!(broken.hint.unwrap().contains("instance profile"));
    }

    #[test]
    fn elsewhere_nothing_is_asked() {
        for env in [&[("AWS_ACCESS_KEY_ID", "half")][..], &[("AWS_EC2_METADATA_DISABLED", "true")]]
        {
            let world = World::new(env);
            assert!(matches!(look(&world), Outcome::Absent(_)));
            assert_eq!(world.requests(), 0);
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for answer in ["{}", "aws-secret", r#"{"x":"aws-session"}"#] {
            let env = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"), ("AWS_REGION", "r-1")];
            let broken = broken_of(look(&World::new(&env).answering(200, answer)));
            assert!(!format!("{broken:?}").contains("aws-se"), "{broken:?}");
        }
    }
}
