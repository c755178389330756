//! What Google's STS takes of a workload on AWS: a request that AWS answers with who signed it.

use bytes::Bytes;
use host::Host;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request};
use oidc_ambient::fetch::{self, Call, Failure};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::aws::{Chain, sign};
use crate::error::Error;

/// The signed request, as text. `url` may hold `{region}`; `audience` names the pool's provider, for
/// which alone the request is then good.
pub(crate) async fn subject_token(
    host: &Host,
    url: &str,
    audience: &str,
) -> Result<String, Failure> {
    let chain = Chain::find(host).await.map_err(reason)?;
    let region = chain.find_region(host).await?;
    let credentials = chain.obtain(host).await?;
    let url = url.replace("{region}", &region);
    let url = fetch::endpoint("`regional_cred_verification_url`", &url)?;
    let target = HeaderValue::from_str(audience)
        .map_err(|_| Failure::new("`audience` holds characters that no header may hold"))?;
    let call = Call::new(Method::POST, url).header(TARGET, target);
    let (mut request, _) = call.into_request()?;
    sign(&mut request, &credentials, &region, "sts", host.clock.now()).map_err(reason)?;
    let text = serialized(&request).to_string();
    Ok(form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

/// The request as Google's STS reads it.
fn serialized(request: &Request<Bytes>) -> Value {
    let header = |name: &str, value: &[u8]| -> Value {
        json!({ "key": name, "value": String::from_utf8_lossy(value) })
    };
    let host = request.uri().authority().map_or("", |authority| authority.as_str());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| header(name.as_str(), value.as_bytes()));
    json!({
        "url": request.uri().to_string(),
        "method": request.method().as_str(),
        "headers": headers.chain([header("host", host.as_bytes())]).collect::<Vec<_>>(),
    })
}

fn reason(error: Error) -> Failure {
    match error {
        Error::Absent { .. } => Failure::new(error.to_string()).with_hint(
            "run where AWS gives credentials, or let GOOGLE_APPLICATION_CREDENTIALS name another \
             file: this one federates an identity of AWS",
        ),
        Error::Unusable { reason, hint, .. } => {
            let failure = Failure::new(reason);
            match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
    }
}

const TARGET: HeaderName = HeaderName::from_static("x-goog-cloud-target-resource");
