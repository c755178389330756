//! Where AWS keeps credentials for a workload, in the order in which its own tools look. Its
//! profile files belong to people and are not read.

use std::path::Path;
use std::time::Duration;

use host::{CallPolicy, Env, Host, Redirects};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use id_token::{IdToken, TOKEN_CAP};
use oidc_ambient::fetch::{self, Call, Failure};
use oidc_ambient::files;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::aws::sigv4::Credentials;
use crate::aws::sts;
use crate::error::Error;

/// The credentials of this workload, wherever AWS has put them.
///
/// # Errors
/// There are none here, or they could not be obtained.
pub async fn credentials(host: &Host) -> Result<Credentials, Error> {
    let chain = Chain::find(host).await?;
    chain.obtain(host).await.map_err(Error::unusable(CLOUD))
}

/// The region of this workload: `AWS_REGION`, `AWS_DEFAULT_REGION`, or that of the machine.
///
/// # Errors
/// None is known.
pub async fn region(host: &Host) -> Result<String, Error> {
    let chain = Chain::find(host).await?;
    chain.find_region(host).await.map_err(Error::unusable(CLOUD))
}

/// The place in AWS's chain where this workload has its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chain {
    /// In variables.
    Variables,
    /// The service account's token of a pod, to be exchanged at STS (IRSA).
    WebIdentity,
    /// The endpoint of ECS, Fargate or EKS Pod Identity.
    Container,
    /// The metadata service of a virtual machine.
    Instance {
        /// What says that this is one.
        evidence: &'static str,
    },
}

impl Chain {
    /// The first place that there is here. The network is not asked.
    ///
    /// # Errors
    /// [`Error::Absent`] with what was looked for.
    pub async fn find(host: &Host) -> Result<Self, Error> {
        let env = host.env.as_ref();
        let firmware =
            async |path| files::read(host, Path::new(path), 256).await.unwrap_or_default();
        let all = |names: &[&str]| names.iter().all(|name| env.var(name).is_some());
        let absent = |evidence| Err(Error::Absent { cloud: CLOUD, evidence });
        if all(&[KEY_ID, KEY_SECRET]) {
            return Ok(Self::Variables);
        }
        if all(&[WEB_TOKEN_FILE, WEB_ROLE]) {
            return Ok(Self::WebIdentity);
        }
        if all(&[CONTAINER_PATH]) || all(&[CONTAINER_URL]) {
            return Ok(Self::Container);
        }
        if env.var(NO_METADATA).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return absent(format!("{KEY_ID} is not set and {NO_METADATA} is `true`"));
        }
        if all(&[METADATA_URL]) {
            return Ok(Self::Instance { evidence: "AWS_EC2_METADATA_SERVICE_ENDPOINT is set" });
        }
        if firmware(VENDOR).await.starts_with(b"Amazon EC2") {
            let evidence = "/sys/class/dmi/id/sys_vendor says `Amazon EC2`";
            return Ok(Self::Instance { evidence });
        }
        if firmware(HYPERVISOR).await.starts_with(b"ec2") {
            return Ok(Self::Instance { evidence: "/sys/hypervisor/uuid starts with `ec2`" });
        }
        absent(format!("{KEY_ID} is not set and the firmware does not say `Amazon EC2`"))
    }

    /// What says that there are credentials.
    pub fn evidence(self) -> String {
        match self {
            Self::Variables => format!("{KEY_ID} and {KEY_SECRET} are set"),
            Self::WebIdentity => format!("{WEB_TOKEN_FILE} and {WEB_ROLE} are set"),
            Self::Container => format!("{CONTAINER_PATH} or {CONTAINER_URL} is set"),
            Self::Instance { evidence } => evidence.to_owned(),
        }
    }

    /// Whether this is a pod whose cluster can give a better token.
    pub(crate) fn is_in_cluster(self, env: &dyn Env) -> bool {
        self == Self::WebIdentity || env.var(CONTAINER_TOKEN_FILE).is_some()
    }

    pub(crate) async fn find_region(self, host: &Host) -> Result<String, Failure> {
        let named = REGIONS.into_iter().find_map(|name| host.env.var(name));
        let region = match (named, self) {
            (Some(region), _) => region,
            (None, Self::Instance { .. }) => {
                let session = session(host).await?;
                instance(host, &session, "placement/region").await?
            }
            (None, _) => {
                return Err(Failure::new("no region is known: AWS_REGION is not set")
                    .with_hint("set AWS_REGION"));
            }
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || region.len() > 40 || !region.chars().all(fits) {
            return Err(Failure::new(format!(
                "expected the name of a region, found `{}`",
                host::escape_remote(&region)
            ))
            .with_hint("set AWS_REGION to one such as `eu-central-1`"));
        }
        Ok(region)
    }

    pub(crate) async fn obtain(self, host: &Host) -> Result<Credentials, Failure> {
        match self {
            Self::Variables => variables(host.env.as_ref()),
            Self::WebIdentity => web_identity(host, &self.find_region(host).await?).await,
            Self::Container => container(host).await,
            Self::Instance { .. } => {
                let session = session(host).await?;
                let roles = instance(host, &session, "iam/security-credentials/").await;
                let roles = roles.map_err(no_role)?;
                let role = roles.lines().next().unwrap_or_default().trim();
                let path = format!("iam/security-credentials/{role}");
                from_json(instance(host, &session, &path).await?.as_bytes())
            }
        }
    }
}

fn variables(env: &dyn Env) -> Result<Credentials, Failure> {
    let missing = || Failure::new(format!("{KEY_ID} and {KEY_SECRET} are not both set"));
    let id = env.var(KEY_ID).ok_or_else(missing)?;
    let secret = env.var(KEY_SECRET).ok_or_else(missing)?;
    Ok(Credentials::new(id, secret.into(), env.var(KEY_SESSION).map(SecretString::from)))
}

/// `AssumeRoleWithWebIdentity`, which is not signed.
async fn web_identity(host: &Host, region: &str) -> Result<Credentials, Failure> {
    let var = |name: &str| host.env.var(name).unwrap_or_default();
    let path = var(WEB_TOKEN_FILE);
    let token = files::read(host, Path::new(&path), TOKEN_CAP).await?;
    let token = IdToken::parse(&String::from_utf8_lossy(&token)).map_err(|error| {
        let path = files::shown(Path::new(&path));
        Failure::new(format!("{path} does not hold an identity token: {error}"))
    })?;
    let session = host.env.var(WEB_SESSION).unwrap_or_else(|| "ambisign".to_owned());
    let sts = sts::endpoint(host.env.as_ref(), region)?;
    let parameters = [
        ("RoleArn", var(WEB_ROLE)),
        ("RoleSessionName", session),
        ("WebIdentityToken", token.reveal().to_owned()),
    ];
    let parameters: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = sts::call(&sts, "AssumeRoleWithWebIdentity", &parameters).send(host).await?;
    let text = String::from_utf8_lossy(answer.body());
    let part = |name| fetch::xml_text(&text, name).map(str::to_owned);
    match (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken")) {
        (Some(id), Some(secret), session) => {
            Ok(Credentials::new(id, secret.into(), session.map(Into::into)))
        }
        _ => Err(Failure::new("STS answered without credentials")),
    }
}

async fn container(host: &Host) -> Result<Credentials, Failure> {
    let var = |name: &str| host.env.var(name);
    let url = match (var(CONTAINER_PATH), var(CONTAINER_URL)) {
        (Some(path), _) if path.starts_with('/') => format!("http://{CONTAINER_HOST}{path}"),
        (_, Some(url)) => url,
        _ => return Err(Failure::new(format!("{CONTAINER_PATH} does not start with `/`"))),
    };
    let mut call = Call::get(fetch::endpoint(CONTAINER_URL, &url)?).policy(near());
    let authorization = match var(CONTAINER_TOKEN_FILE) {
        Some(path) => {
            let bytes = files::read(host, Path::new(&path), TOKEN_CAP).await?;
            Some(String::from_utf8_lossy(&bytes).trim().to_owned())
        }
        None => var(CONTAINER_TOKEN),
    };
    if let Some(text) = authorization {
        call = call.header(AUTHORIZATION, fetch::secret(CONTAINER_TOKEN, &text)?);
    }
    from_json(call.send(host).await?.body())
}

/// Opens a session with the metadata service (version 2; version 1 is not used).
async fn session(host: &Host) -> Result<HeaderValue, Failure> {
    let url = metadata(host.env.as_ref(), "latest/api/token")?;
    let life = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
    let call = Call::new(Method::PUT, url).header(life, HeaderValue::from_static("300"));
    let answer = call.policy(near()).send(host).await.map_err(|failure| {
        failure.with_hint(
            "in a container raise the metadata service's hop limit \
             (`aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2`)",
        )
    })?;
    fetch::secret("the metadata session", String::from_utf8_lossy(answer.body()).trim())
}

async fn instance(host: &Host, session: &HeaderValue, what: &str) -> Result<String, Failure> {
    let url = metadata(host.env.as_ref(), &format!("latest/meta-data/{what}"))?;
    let header = HeaderName::from_static("x-aws-ec2-metadata-token");
    let call = Call::new(Method::GET, url).header(header, session.clone()).policy(near());
    let answer = call.send(host).await?;
    Ok(String::from_utf8_lossy(answer.body()).trim().to_owned())
}

/// Where `path` of the metadata service is.
fn metadata(env: &dyn Env, path: &str) -> Result<Url, Failure> {
    let six = env.var(METADATA_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let default = if six { METADATA_SIX } else { METADATA_FOUR };
    let base = env.var(METADATA_URL).unwrap_or_else(|| default.to_owned());
    fetch::endpoint(METADATA_URL, &format!("{}/{path}", base.trim_end_matches('/')))
}

fn no_role(failure: Failure) -> Failure {
    if failure.status == Some(StatusCode::NOT_FOUND) {
        return Failure::new("this virtual machine has no IAM role")
            .with_hint("attach an instance profile with a role");
    }
    failure
}

/// As containers and machines give them. The answer's text is never shown.
fn from_json(body: &[u8]) -> Result<Credentials, Failure> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| Failure::new("expected credentials as JSON, found something else"))?;
    let part = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    match (part("AccessKeyId"), part("SecretAccessKey")) {
        (Some(id), Some(secret)) => {
            Ok(Credentials::new(id, secret.into(), part("Token").map(SecretString::from)))
        }
        _ => Err(Failure::new("the credentials lack `AccessKeyId` or `SecretAccessKey`")),
    }
}

fn near() -> CallPolicy {
    fetch::local_policy()
        .with_attempt(Duration::from_secs(2))
        .with_total(Duration::from_secs(5))
        .with_attempts(3)
        .with_reconnect(false)
        .with_redirects(Redirects::Never)
}

const CLOUD: &str = "AWS";
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const KEY_SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const KEY_SESSION: &str = "AWS_SESSION_TOKEN";
const WEB_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const WEB_ROLE: &str = "AWS_ROLE_ARN";
const WEB_SESSION: &str = "AWS_ROLE_SESSION_NAME";
const CONTAINER_PATH: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const CONTAINER_URL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const CONTAINER_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const CONTAINER_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const CONTAINER_HOST: &str = "169.254.170.2";
const METADATA_URL: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const METADATA_MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const METADATA_FOUR: &str = "http://169.254.169.254";
const METADATA_SIX: &str = "http://[fd00:ec2::254]";
const NO_METADATA: &str = "AWS_EC2_METADATA_DISABLED";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const VENDOR: &str = "/sys/class/dmi/id/sys_vendor";
const HYPERVISOR: &str = "/sys/hypervisor/uuid";
