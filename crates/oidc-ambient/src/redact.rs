//! Secrets that were sent, taken out of what came back: a server that refuses a request may quote it.

use bytes::Bytes;
use host::Env;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use url::form_urlencoded;

/// `text` without `secrets`.
pub(crate) fn without(text: &str, secrets: impl IntoIterator<Item = String>) -> String {
    let secrets = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST);
    secrets.fold(text.to_owned(), |text, secret| text.replace(&secret, "[secret]"))
}

/// The secrets in the headers and in the form of `request`.
pub(crate) fn of_request(request: &Request<Bytes>) -> Vec<String> {
    let headers = request.headers().values().filter(|value| value.is_sensitive());
    // `Bearer SECRET`.
    let words = headers.filter_map(|value| value.to_str().ok()).flat_map(str::split_whitespace);
    let mut secrets: Vec<String> = words.map(str::to_owned).collect();
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind == Some(b"application/x-www-form-urlencoded") {
        let fields = form_urlencoded::parse(request.body());
        let secret = fields.filter(|(name, _)| FIELDS.contains(&name.as_ref()));
        secrets.extend(secret.map(|(_, value)| value.into_owned()));
    }
    secrets
}

/// What the variables `names` hold.
pub(crate) fn of_variables(env: &dyn Env, names: &[&str]) -> Vec<String> {
    names.iter().filter_map(|name| env.var(name)).collect()
}

/// What is shorter would be found everywhere.
const SHORTEST: usize = 8;
/// Fields of forms that are secret.
const FIELDS: [&str; 5] =
    ["assertion", "client_secret", "refresh_token", "subject_token", "WebIdentityToken"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_taken_out_of_what_came_back() {
        let mut bearer = HeaderValue::from_static("Bearer opaque-secret-1");
        bearer.set_sensitive(true);
        let request = Request::post("https://h/")
            .header("authorization", bearer)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from_static(b"grant_type=refresh_token&refresh_token=opaque%2Fsecret-2"))
            .unwrap();
        let answer = "refused: Authorization: Bearer opaque-secret-1 refresh_token opaque/secret-2";
        assert_eq!(
            without(answer, of_request(&request)),
            "refused: Authorization: Bearer [secret] refresh_token [secret]"
        );
    }
}
