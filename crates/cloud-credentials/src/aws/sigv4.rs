//! AWS Signature Version 4.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use keys::{hmac_sha256, sha256};
use secrecy::{ExposeSecret as _, SecretString};

use oidc_ambient::fetch;

use crate::error::Error;

/// The credentials of a caller of AWS.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The identifier of the access key; not secret.
    pub access_key_id: String,
    /// The access key.
    pub secret_access_key: SecretString,
    /// Of temporary credentials.
    pub session_token: Option<SecretString>,
}

impl Credentials {
    /// Credentials of these parts.
    pub fn new(
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: Option<SecretString>,
    ) -> Self {
        Self { access_key_id, secret_access_key, session_token }
    }
}

/// Signs `request`, with all of its headers and its body, for `service` in `region`.
///
/// # Errors
/// The credentials hold characters that a header may not hold, or `now` is not a possible time.
pub fn sign(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: SystemTime,
) -> Result<(), Error> {
    let time = timestamp(now)?;
    let day = time.get(..8).unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert("x-amz-date", plain(&time)?);
    if let Some(session) = &credentials.session_token {
        let value = secret("the session token", session.expose_secret())?;
        headers.insert("x-amz-security-token", value);
    }
    let (canonical, signed) = canonical(request);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let first = format!("AWS4{}", credentials.secret_access_key.expose_secret());
    let key = [day, region, service, "aws4_request"]
        .into_iter()
        .fold(first.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()).to_vec());
    let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
    let id = &credentials.access_key_id;
    let value = format!(
        "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"
    );
    request.headers_mut().insert(AUTHORIZATION, secret("the access key's identifier", &value)?);
    Ok(())
}

/// The canonical request that both sides compute, and the names of its headers.
fn canonical(request: &Request<Bytes>) -> (String, String) {
    let headers = all_headers(request.headers(), request.uri());
    let names: Vec<&str> = headers.keys().map(String::as_str).collect();
    let signed = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut query: Vec<&str> = request.uri().query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let text = format!(
        "{}\n{}\n{}\n{lines}\n{signed}\n{}",
        request.method(),
        request.uri().path(),
        query.join("&"),
        hex(&sha256(request.body())),
    );
    (text, signed)
}

/// The headers by name; `host` is set from the URL when the request is sent.
fn all_headers(headers: &HeaderMap, uri: &http::Uri) -> BTreeMap<String, String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    let mut all: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let host = uri.authority().map_or("", |authority| authority.as_str());
    all.insert("host".to_owned(), host.to_owned());
    all
}

/// `20150830T123600Z`.
fn timestamp(now: SystemTime) -> Result<String, Error> {
    jiff::Timestamp::try_from(now)
        .map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
        .map_err(|_| unusable("the clock shows an impossible time"))
}

fn plain(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| unusable("the time cannot be a header"))
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn secret(what: &str, text: &str) -> Result<HeaderValue, Error> {
    fetch::secret(what, text).map_err(Error::unusable("AWS"))
}

fn unusable(reason: &str) -> Error {
    Error::Unusable { cloud: "AWS", reason: reason.to_owned(), hint: None }
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The worked example of AWS's own description of the procedure.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let mut request =
            Request::get("https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers")
                .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
                .body(Bytes::new())
                .unwrap();
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = Credentials::new("AKIDEXAMPLE".to_owned(), secret, None);
        let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        sign(&mut request, &credentials, "us-east-1", "iam", now).unwrap();
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
        assert_eq!(
            request.headers()[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn a_session_is_part_of_what_is_signed_and_secret() {
        let mut request = Request::post("https://h:8/").body(Bytes::new()).unwrap();
        let session = Some(SecretString::from("hunter2"));
        let credentials = Credentials::new("A".to_owned(), "s".into(), session);
        sign(&mut request, &credentials, "r", "s", UNIX_EPOCH).unwrap();
        assert!(request.headers()["x-amz-security-token"].is_sensitive());
        let value = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(value.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,"), "{value}");
    }
}
