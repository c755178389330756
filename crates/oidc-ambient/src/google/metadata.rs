//! The metadata service of Google's machines.

use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, CallPolicy, Host, Redirects};
use http::header::{HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::ci::ci_marker;
use crate::fetch::{self, Call, Failure};
use crate::files;
use crate::google::iam::SCOPE;

/// Where access tokens for Google's APIs come from.
pub trait Access: Send + Sync {
    /// An access token for [`SCOPE`].
    fn token(&self) -> BoxFuture<'_, Result<SecretString, Failure>>;
}

/// The metadata service as a source of access tokens.
#[derive(Clone, Debug)]
pub struct MetadataAccess(Host);

impl MetadataAccess {
    /// Of the machine that is `host`.
    pub fn new(host: Host) -> Self {
        Self(host)
    }
}

impl Access for MetadataAccess {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, Failure>> {
        Box::pin(access_token(&self.0))
    }
}

/// An access token of the machine's service account.
///
/// # Errors
/// This is not a machine of Google's, or it has no service account.
pub async fn access_token(host: &Host) -> Result<SecretString, Failure> {
    let answer = ask(host, "token", &[("scopes", SCOPE)]).await.map_err(|failure| {
        failure.with_hint(
            "run on a machine of Google's with an attached service account, or let \
             GOOGLE_APPLICATION_CREDENTIALS name credentials to impersonate with",
        )
    })?;
    // Such tokens are not shaped like a JWT, so nothing of the answer may be shown.
    let value: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let token = value.as_ref().and_then(|value| value.get("access_token")?.as_str());
    token
        .map(SecretString::from)
        .ok_or_else(|| Failure::new("the metadata service's answer has no string `access_token`"))
}

/// What says that this is a machine of Google's.
pub(crate) struct Presence {
    pub(crate) evidence: String,
    /// Nothing but the answer of the metadata service says so, and any server of a local network
    /// can have its address.
    pub(crate) doubt: Option<String>,
}

/// What says that this is a machine of Google's, or what was looked for.
pub(crate) async fn presence(host: &Host) -> Result<Presence, String> {
    let var = |name| host.env.var(name);
    let certain = |evidence| Ok(Presence { evidence, doubt: None });
    if let Some(name) = METADATA_VARIABLES.into_iter().find(|name| var(name).is_some()) {
        return certain(format!("{name} is set"));
    }
    if var(NO_CHECK).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(format!("{NO_CHECK} is `true`"));
    }
    let product = files::read(host, Path::new(FIRMWARE), 256).await;
    let product = product.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    if product.as_ref().is_ok_and(|product| product.starts_with("Google")) {
        return certain(format!("{FIRMWARE} says `Google`"));
    }
    if let Some(name) = RUNTIME_VARIABLES.into_iter().find(|name| var(name).is_some()) {
        return certain(format!("{name} is set"));
    }
    let absent = || format!("no metadata service of Google's answers at {DEFAULT_METADATA}");
    let url = Url::parse(&format!("http://{DEFAULT_METADATA}/")).map_err(|_| absent())?;
    match call(url, probe_policy()).send(host).await {
        Ok(answer) if is_google(&answer) => {
            let firmware = match product {
                Ok(product) => format!("{FIRMWARE} says `{}`", host::escape_remote(&product)),
                Err(_) => format!("{FIRMWARE} cannot be read"),
            };
            let is_workload = ci_marker(host.env.as_ref()).is_some() || var(CLUSTER).is_some();
            Ok(Presence {
                evidence: format!("{DEFAULT_METADATA} answers as Google's"),
                doubt: (!is_workload).then_some(firmware),
            })
        }
        _ => Err(absent()),
    }
}

/// Whether this is a machine of Google's. A network that is silent costs 150 milliseconds.
///
/// # Errors
/// What was looked for, where it is none.
pub async fn machine(host: &Host) -> Result<(), String> {
    presence(host).await.map(|_| ())
}

/// Asks the metadata service for `what` of the default service account.
pub(crate) async fn ask(
    host: &Host,
    what: &str,
    query: &[(&str, &str)],
) -> Result<Response<Bytes>, Failure> {
    if let Some(server) = METADATA_VARIABLES.into_iter().find_map(|name| host.env.var(name)) {
        return ask_at(host, &bracketed(server), what, query).await;
    }
    match ask_at(host, DEFAULT_METADATA, what, query).await {
        // A machine with IPv6 alone has its metadata service elsewhere.
        Err(failure) if failure.status.is_none() => {
            ask_at(host, METADATA_SIX, what, query).await.map_err(|_| failure)
        }
        answer => answer,
    }
}

/// An IPv6 address as it stands in a URL.
fn bracketed(server: String) -> String {
    if server.parse::<Ipv6Addr>().is_ok() { format!("[{server}]") } else { server }
}

async fn ask_at(
    host: &Host,
    server: &str,
    what: &str,
    query: &[(&str, &str)],
) -> Result<Response<Bytes>, Failure> {
    let path =
        format!("http://{server}/computeMetadata/v1/instance/service-accounts/default/{what}");
    let mut url = Url::parse(&path)
        .map_err(|_| Failure::new("the variable for the metadata service holds no host"))?;
    url.query_pairs_mut().extend_pairs(query);
    let answer = call(url, policy(host)).send(host).await?;
    if is_google(&answer) {
        return Ok(answer);
    }
    Err(Failure {
        status: Some(answer.status()),
        ..Failure::new(format!(
            "expected the metadata service at {}, found something else: its answer lacks \
             `Metadata-Flavor: Google`",
            host::escape_remote(server)
        ))
    })
}

fn call(url: Url, policy: CallPolicy) -> Call {
    Call::new(Method::GET, url).header(FLAVOR, HeaderValue::from_static("Google")).policy(policy)
}

/// What to do about a refusal.
pub(crate) fn hint_for(failure: &Failure) -> &'static str {
    match failure.status {
        Some(StatusCode::NOT_FOUND) => {
            "attach a service account to the virtual machine, let Cloud Build run as a service \
             account that you specify, link the Kubernetes service account to one of Google's, or \
             impersonate one with GOOGLE_SERVICE_ACCOUNT_NAME: this machine has none that can \
             identify itself"
        }
        Some(StatusCode::FORBIDDEN) => {
            "grant the service account `roles/iam.serviceAccountOpenIdTokenCreator` on itself, and \
             check that the metadata service is not concealed from this workload"
        }
        _ => {
            "check that the metadata service answers here (`curl -H 'Metadata-Flavor: Google' \
             http://169.254.169.254/`); if this is not a machine of Google's, set NO_GCE_CHECK=true"
        }
    }
}

fn is_google(answer: &Response<Bytes>) -> bool {
    answer.headers().get(FLAVOR).is_some_and(|value| value == "Google")
}

/// Without any sign of Google, a silent network must not cost more than a moment.
fn probe_policy() -> CallPolicy {
    fetch::local_policy()
        .with_attempt(Duration::from_millis(150))
        .with_total(Duration::from_millis(150))
        .with_attempts(1)
        .with_redirects(Redirects::Never)
}

/// GKE's metadata service is not ready in the first seconds of a pod, and refuses connections. One
/// that refuses elsewhere is not there.
fn policy(host: &Host) -> CallPolicy {
    fetch::local_policy()
        .with_attempt(Duration::from_secs(3))
        .with_total(Duration::from_secs(10))
        .with_attempts(8)
        .with_reconnect(host.env.var(CLUSTER).is_some())
        .with_redirects(Redirects::Never)
}

const METADATA_VARIABLES: [&str; 3] = ["GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"];
const RUNTIME_VARIABLES: [&str; 3] = ["K_SERVICE", "CLOUD_RUN_JOB", "GAE_ENV"];
/// Every pod has it.
const CLUSTER: &str = "KUBERNETES_SERVICE_HOST";
const NO_CHECK: &str = "NO_GCE_CHECK";
/// The address and not the name: it needs no resolver.
const DEFAULT_METADATA: &str = "169.254.169.254";
const METADATA_SIX: &str = "[fd20:ce::254]";
const FIRMWARE: &str = "/sys/class/dmi/id/product_name";
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
