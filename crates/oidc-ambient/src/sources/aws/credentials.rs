//! Where AWS keeps credentials for a workload, in the order in which its own programs look. Its
//! profile files belong to people and are not read.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, Env, Host, Redirects};
use http::{HeaderValue, Request, StatusCode};
use id_token::{IdToken, TOKEN_CAP};
use secrecy::SecretString;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::sigv4::Credentials;
use crate::fetch::{self, Fault};
use crate::outcome::with_causes;

/// A place that has credentials.
pub(crate) enum Origin {
    /// In variables.
    Variables,
    /// The service account's token of a pod, to be traded at STS (IRSA).
    WebIdentity,
    /// The endpoint of ECS, Fargate or EKS Pod Identity.
    Container,
    /// The metadata service of a virtual machine.
    Instance(&'static str),
}

impl Origin {
    /// What speaks for AWS here, without asking the network; or what was looked for.
    pub(crate) async fn find(env: &dyn Env) -> Result<Self, String> {
        let all = |names: &[&str]| names.iter().all(|name| env.var(name).is_some());
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
            return Err(format!("{KEY_ID} is not set and {NO_METADATA} is `true`"));
        }
        if all(&[METADATA_URL]) {
            return Ok(Self::Instance("AWS_EC2_METADATA_SERVICE_ENDPOINT is set"));
        }
        let firmware = async |path| env.read(Path::new(path), 256).await.unwrap_or_default();
        if firmware(VENDOR).await.starts_with(b"Amazon EC2") {
            return Ok(Self::Instance("/sys/class/dmi/id/sys_vendor says `Amazon EC2`"));
        }
        if firmware(HYPERVISOR).await.starts_with(b"ec2") {
            return Ok(Self::Instance("/sys/hypervisor/uuid starts with `ec2`"));
        }
        Err(format!("{KEY_ID} is not set and the firmware does not say `Amazon EC2`"))
    }

    pub(crate) fn evidence(&self) -> String {
        match self {
            Self::Variables => format!("{KEY_ID} and {KEY_SECRET} are set"),
            Self::WebIdentity => format!("{WEB_TOKEN_FILE} and {WEB_ROLE} are set"),
            Self::Container => format!("{CONTAINER_PATH} or {CONTAINER_URL} is set"),
            Self::Instance(why) => (*why).to_owned(),
        }
    }

    /// Whether this is a pod whose cluster can give a better token.
    pub(crate) fn in_cluster(&self, env: &dyn Env) -> bool {
        matches!(self, Self::WebIdentity) || env.var(CONTAINER_TOKEN_FILE).is_some()
    }

    /// The region, which STS must be asked in.
    pub(crate) async fn region(&self, host: &Host) -> Result<String, Fault> {
        let unknown =
            || Fault::hinted("no region is known: AWS_REGION is not set", "set AWS_REGION");
        let named = REGIONS.into_iter().find_map(|name| host.env.var(name));
        let region = match (named, self) {
            (Some(region), _) => region,
            (None, Self::Instance(_)) => {
                let session = session(host).await?;
                instance(host, &session, "placement/region").await?
            }
            (None, _) => return Err(unknown()),
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || region.len() > 40 || !region.chars().all(fits) {
            return Err(Fault::hinted(
                format!("`{}` is no name of a region", host::escape_remote(&region)),
                "set AWS_REGION to one such as `eu-central-1`",
            ));
        }
        Ok(region)
    }

    pub(crate) async fn credentials(&self, host: &Host, sts: &Url) -> Result<Credentials, Fault> {
        match self {
            Self::Variables => variables(host),
            Self::WebIdentity => web_identity(host, sts).await,
            Self::Container => container(host).await,
            Self::Instance(_) => {
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

fn variables(host: &Host) -> Result<Credentials, Fault> {
    let var = |name: &str| host.env.var(name);
    let missing = || Fault::new(format!("{KEY_ID} and {KEY_SECRET} are not both set"));
    Ok(Credentials {
        id: var(KEY_ID).ok_or_else(missing)?,
        secret: var(KEY_SECRET).ok_or_else(missing)?.into(),
        session: var(KEY_SESSION).map(SecretString::from),
    })
}

/// `AssumeRoleWithWebIdentity`, which nobody signs.
async fn web_identity(host: &Host, sts: &Url) -> Result<Credentials, Fault> {
    let var = |name: &str| host.env.var(name).unwrap_or_default();
    let path = var(WEB_TOKEN_FILE);
    let token = host
        .env
        .read(Path::new(&path), TOKEN_CAP)
        .await
        .map_err(|error| Fault::new(with_causes(&error)))?;
    let token = IdToken::parse(&String::from_utf8_lossy(&token))
        .map_err(|error| Fault::new(format!("{path} holds no token: {error}")))?;
    let session = host.env.var(WEB_SESSION).unwrap_or_else(|| "ambisign".to_owned());
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", super::VERSION)
        .append_pair("RoleArn", &var(WEB_ROLE))
        .append_pair("RoleSessionName", &session)
        .append_pair("WebIdentityToken", token.reveal())
        .finish();
    let answer = fetch::send(host, &super::query(sts, body)?).await?;
    let text = String::from_utf8_lossy(answer.body());
    let part = |name| fetch::xml_text(&text, name).map(str::to_owned);
    match (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken")) {
        (Some(id), Some(secret), session) => {
            Ok(Credentials { id, secret: secret.into(), session: session.map(Into::into) })
        }
        _ => Err(Fault::new("STS answered without credentials")),
    }
}

async fn container(host: &Host) -> Result<Credentials, Fault> {
    let var = |name: &str| host.env.var(name);
    let url = match (var(CONTAINER_PATH), var(CONTAINER_URL)) {
        (Some(path), _) if path.starts_with('/') => format!("http://{CONTAINER_HOST}{path}"),
        (_, Some(url)) => url,
        _ => return Err(Fault::new(format!("{CONTAINER_PATH} does not start with `/`"))),
    };
    let url = fetch::endpoint(CONTAINER_URL, &url)?;
    if url.scheme() == "http" && !is_near(&url) {
        return Err(Fault::new(format!(
            "{CONTAINER_URL} leads off this machine without TLS; that is not followed"
        )));
    }
    let mut request = Request::get(url.as_str()).extension(near());
    let authorization = match var(CONTAINER_TOKEN_FILE) {
        Some(path) => {
            let bytes = host.env.read(Path::new(&path), TOKEN_CAP).await;
            let bytes = bytes.map_err(|error| Fault::new(with_causes(&error)))?;
            Some(String::from_utf8_lossy(&bytes).trim().to_owned())
        }
        None => var(CONTAINER_TOKEN),
    };
    if let Some(text) = authorization {
        request = request.header("authorization", fetch::secret(CONTAINER_TOKEN, &text)?);
    }
    let request = request
        .body(Bytes::new())
        .map_err(|_| Fault::new(format!("{CONTAINER_URL} is not a usable URL")))?;
    from_json(fetch::send(host, &request).await?.body())
}

/// Opens a session with the metadata service (version 2; version 1 is not spoken).
async fn session(host: &Host) -> Result<HeaderValue, Fault> {
    let request = Request::put(format!("{}/latest/api/token", metadata(host)?))
        .header("x-aws-ec2-metadata-token-ttl-seconds", HeaderValue::from_static("300"))
        .extension(near())
        .body(Bytes::new())
        .map_err(|_| Fault::new(format!("{METADATA_URL} is not a usable URL")))?;
    let answer = fetch::send(host, &request).await.map_err(|fault| Fault {
        hint: Some(
            "in a container raise the metadata service's hop limit \
             (`aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2`)"
                .to_owned(),
        ),
        ..fault
    })?;
    fetch::secret("the metadata session", String::from_utf8_lossy(answer.body()).trim())
}

async fn instance(host: &Host, session: &HeaderValue, what: &str) -> Result<String, Fault> {
    let request = Request::get(format!("{}/latest/meta-data/{what}", metadata(host)?))
        .header("x-aws-ec2-metadata-token", session)
        .extension(near())
        .body(Bytes::new())
        .map_err(|_| Fault::new(format!("{METADATA_URL} is not a usable URL")))?;
    let answer = fetch::send(host, &request).await?;
    Ok(String::from_utf8_lossy(answer.body()).trim().to_owned())
}

fn metadata(host: &Host) -> Result<String, Fault> {
    let Some(url) = host.env.var(METADATA_URL) else {
        return Ok(DEFAULT_METADATA.to_owned());
    };
    let url = fetch::endpoint(METADATA_URL, &url)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn no_role(fault: Fault) -> Fault {
    if fault.status == Some(StatusCode::NOT_FOUND) {
        return Fault::hinted(
            "this virtual machine has no IAM role",
            "attach an instance profile with a role",
        );
    }
    fault
}

/// As containers and machines hand them out. The answer's text is never shown.
fn from_json(body: &[u8]) -> Result<Credentials, Fault> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| Fault::new("expected credentials as JSON, found something else"))?;
    let part = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    match (part("AccessKeyId"), part("SecretAccessKey")) {
        (Some(id), Some(secret)) => Ok(Credentials {
            id,
            secret: secret.into(),
            session: part("Token").map(SecretString::from),
        }),
        _ => Err(Fault::new("the credentials lack `AccessKeyId` or `SecretAccessKey`")),
    }
}

/// This machine, or the addresses at which ECS and EKS keep their endpoints.
fn is_near(url: &Url) -> bool {
    let Some(name) = url.host_str() else { return false };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    loopback || bare == "localhost" || NEAR.contains(&bare)
}

fn near() -> CallPolicy {
    fetch::local_policy()
        .with_attempt(Duration::from_secs(2))
        .with_total(Duration::from_secs(5))
        .with_attempts(3)
        .with_redirects(Redirects::Never)
}

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
const NEAR: [&str; 3] = [CONTAINER_HOST, "169.254.170.23", "fd00:ec2::23"];
const METADATA_URL: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const NO_METADATA: &str = "AWS_EC2_METADATA_DISABLED";
const DEFAULT_METADATA: &str = "http://169.254.169.254";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const VENDOR: &str = "/sys/class/dmi/id/sys_vendor";
const HYPERVISOR: &str = "/sys/hypervisor/uuid";
