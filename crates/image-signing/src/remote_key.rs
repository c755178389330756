//! Public keys that a web server or the cluster of this pod has.

use std::path::Path;

use bundle::proto_json::decode_base64;
use host::bytes::Bytes;
use host::http::header::AUTHORIZATION;
use host::http::{HeaderValue, Request};
use host::{CallPolicy, Host, Redirects};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::public_key_error::PublicKeyError;

/// Whether the key that `name` names comes over the network.
pub fn is_remote_key(name: &str) -> bool {
    ["https://", "http://", "k8s://"].iter().any(|scheme| name.starts_with(scheme))
}

/// What a web server answers, which is text.
pub(crate) async fn from_web(url: &str, host: &Host) -> Result<String, PublicKeyError> {
    let request = Request::get(url).body(Bytes::new());
    let request = request.map_err(|_| wrong("the URL cannot be requested"))?;
    let policy = CallPolicy::new().with_body_cap(CAP);
    text(get(request, &policy, host).await?.to_vec())
}

/// The public key in the secret `NAMESPACE/NAME` of the cluster that this pod runs in, where cosign
/// stores it.
pub(crate) async fn from_cluster(secret: &str, host: &Host) -> Result<String, PublicKeyError> {
    let parts = secret.split_once('/').filter(|(namespace, name)| {
        let is_name = |text: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            !text.is_empty() && text.chars().all(fits)
        };
        is_name(namespace) && is_name(name)
    });
    let (namespace, name) = parts.ok_or_else(|| wrong("expected k8s://NAMESPACE/NAME"))?;
    let server = host.env.var("KUBERNETES_SERVICE_HOST").ok_or_else(|| {
        wrong("KUBERNETES_SERVICE_HOST is not set: secrets are read only in a pod of the cluster")
    })?;
    let port = host.env.var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    let server = if server.contains(':') { format!("[{server}]") } else { server };
    let url = format!("https://{server}:{port}/api/v1/namespaces/{namespace}/secrets/{name}");
    let url = Url::parse(&url).map_err(|_| wrong("the variables of the cluster name no server"))?;
    let read = async |name: &str, cap| {
        let path = Path::new(SERVICE_ACCOUNT).join(name);
        host.env.read(&path, cap).await.map_err(PublicKeyError::File)
    };
    let token = Zeroizing::new(read("token", CAP).await?);
    let bearer = [b"Bearer ", token.trim_ascii()].concat();
    let mut bearer = HeaderValue::from_maybe_shared(Bytes::from(bearer))
        .map_err(|_| wrong("the token of the pod cannot be sent"))?;
    bearer.set_sensitive(true);
    let authorities = read("ca.crt", AUTHORITIES_CAP).await?;
    let request = Request::get(url.as_str()).header(AUTHORIZATION, bearer).body(Bytes::new());
    let request = request.map_err(|_| wrong("the URL cannot be requested"))?;
    let policy = CallPolicy::new()
        .with_body_cap(SECRET_CAP)
        .with_proxy(false)
        .with_redirects(Redirects::Never)
        .with_trust_only(authorities);
    // The answer holds the private key as well.
    let answer = Zeroizing::new(get(request, &policy, host).await?.to_vec());
    let secret: Secret<'_> =
        serde_json::from_slice(&answer).map_err(|_| wrong("the answer is not a secret"))?;
    let key = secret.data.public_key.ok_or_else(|| wrong("the secret has no `cosign.pub`"))?;
    text(decode_base64(key).ok_or_else(|| wrong("`cosign.pub` is not base64"))?)
}

/// Of a secret, what is read: its private key is passed over.
#[derive(Deserialize)]
struct Secret<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "cosign.pub")]
    public_key: Option<&'a str>,
}

async fn get(
    request: Request<Bytes>,
    policy: &CallPolicy,
    host: &Host,
) -> Result<Bytes, PublicKeyError> {
    let answer = host.http.send(request, policy).await.map_err(PublicKeyError::Unreachable)?;
    match answer.status() {
        status if status.is_success() => Ok(answer.into_body()),
        status => Err(wrong(&format!("the server answered {status}"))),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, PublicKeyError> {
    String::from_utf8(bytes).map_err(|_| PublicKeyError::NotText)
}

fn wrong(reason: &str) -> PublicKeyError {
    PublicKeyError::Unavailable { reason: reason.to_owned() }
}

/// Where a pod finds its own token and the authorities of its cluster.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The largest key and the largest token, in bytes.
const CAP: usize = 64 << 10;
/// The largest secret, in bytes: Kubernetes has no larger ones, and base64 adds a third.
const SECRET_CAP: usize = 2 << 20;
const AUTHORITIES_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use host::http::{Request, Response};
    use host::{FakeEnv, NoPrograms, TransportError};

    use super::*;

    fn host(status: u16, body: &'static str, wanted: &'static str) -> Host {
        let network = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
            assert_eq!(request.uri().to_string(), wanted);
            let answer =
                Response::builder().status(status).body(Bytes::from_static(body.as_bytes()));
            Ok(answer.unwrap())
        };
        let file = |name: &str| format!("{SERVICE_ACCOUNT}/{name}");
        let env = FakeEnv::new()
            .with_var("KUBERNETES_SERVICE_HOST", "10.0.0.1")
            .with_file(file("token"), "token\n")
            .with_file(file("ca.crt"), "authorities");
        Host::new(
            Arc::new(network),
            Arc::new(env),
            Arc::new(std::time::SystemTime::UNIX_EPOCH),
            Arc::new(NoPrograms),
        )
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, PublicKeyError>) -> String {
        host::with_causes(&result.unwrap_err())
    }

    #[tokio::test]
    async fn a_key_in_a_secret_of_the_cluster_is_read_beside_its_private_key() {
        let url = "https://10.0.0.1/api/v1/namespaces/chains/secrets/signing";
        let secret =
            r#"{"kind":"Secret","data":{"cosign.key":"c2VjcmV0","cosign.pub":"cHVibGlj"}}"#;
        let read = from_cluster("chains/signing", &host(200, secret, url)).await;
        assert_eq!(read.unwrap(), "public");
        for (status, body, expected) in [
            (403, "", "403 Forbidden"),
            (200, "[]", "not a secret"),
            (200, r#"{"data":{}}"#, "no `cosign.pub`"),
        ] {
            let refused = refusal(from_cluster("chains/signing", &host(status, body, url)).await);
            assert!(refused.contains(expected), "{refused}");
        }
        for name in ["signing", "a/../b", "a/B", "/a"] {
            let refused = refusal(from_cluster(name, &host(200, "", "")).await);
            assert!(refused.contains("k8s://NAMESPACE/NAME"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_key_on_the_web_is_read_over_https_only() {
        let url = "https://keys.test/cosign.pub";
        assert_eq!(from_web(url, &host(200, "public", url)).await.unwrap(), "public");
        let refused = refusal(from_web(url, &host(404, "", url)).await);
        assert!(refused.contains("404 Not Found"), "{refused}");
        let plain = "http://keys.test/cosign.pub";
        let refused = refusal(from_web(plain, &host(200, "", plain)).await);
        assert!(refused.contains("http://keys.test"), "{refused}");
    }
}
