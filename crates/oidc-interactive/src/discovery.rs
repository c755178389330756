//! What the issuer says of itself (OpenID Connect Discovery 1.0).

use host::escape_remote;
use http::Uri;
use serde_json::{Map, Value};
use url::Url;

use crate::Error;
use crate::call::{Authentication, Caller};

/// The parts of the discovery document that a login needs.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    /// The `iss` that tokens must have, to the letter.
    pub(crate) issuer: String,
    pub(crate) token: Url,
    pub(crate) keys: Url,
    pub(crate) algorithms: Vec<String>,
    pub(crate) authentication: Authentication,
    /// Whether the browser's return must name the issuer (RFC 9207).
    pub(crate) names_itself: bool,
    authorization: Option<Url>,
    device: Option<Url>,
    challenges: Option<Vec<String>>,
}

impl Discovery {
    /// Fetches the document and checks that it speaks of the issuer that was asked for.
    pub(crate) async fn fetch(caller: &Caller<'_>) -> Result<Self, Error> {
        let base = caller.issuer.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/.well-known/openid-configuration"))
            .map_err(|error| caller.answer("URL", error.to_string()))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(caller.answer("URL", "expected a URL of https"));
        }
        let document = caller.get(WHAT, &url, DOCUMENT_CAP).await?;
        Self::read(caller, &url, &document)
    }

    fn read(caller: &Caller<'_>, at: &Url, document: &Map<String, Value>) -> Result<Self, Error> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let list = |name: &str| -> Option<Vec<String>> {
            let list = document.get(name)?.as_array()?;
            Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let issuer = text("issuer").unwrap_or_default();
        // Discovery 4.3: the same to the letter. Only a slash at the end, which URL libraries put
        // behind a bare host, is let pass: what tokens must say is what stands in the document.
        if issuer.trim_end_matches('/') != caller.issuer.trim_end_matches('/') || issuer.is_empty()
        {
            let found = escape_remote(issuer);
            let reason = format!("expected the issuer {}, found {found:?}", caller.issuer);
            return Err(caller.answer(WHAT, reason));
        }
        let endpoint = |name: &str| -> Result<Option<Url>, Error> {
            let Some(found) = text(name) else { return Ok(None) };
            // Nor does an issuer send a client secret or a code into a private network.
            let uri = |url: &Url| url.as_str().parse::<Uri>();
            let fits = |url: &Url| match (uri(at), uri(url)) {
                (Ok(base), Ok(target)) => host::check_target(&base, &target).is_ok(),
                _ => false,
            };
            let url = if found.len() > LONGEST_URL { None } else { Url::parse(found).ok() };
            match url.filter(fits) {
                Some(url) => Ok(Some(url)),
                None => {
                    let found = escape_remote(found);
                    let scheme = at.scheme();
                    let reason = format!(
                        "expected in {name} a URL of {scheme} on a host that this issuer may name, \
                         found {found:?}"
                    );
                    Err(caller.answer(WHAT, reason))
                }
            }
        };
        let needed = |name: &'static str| {
            endpoint(name)?.ok_or_else(|| caller.answer(WHAT, format!("it has no {name}")))
        };
        let authentication = match list("token_endpoint_auth_methods_supported") {
            Some(methods) if methods.iter().any(|method| method == "client_secret_post") => {
                Authentication::Form
            }
            _ => Authentication::Basic,
        };
        let names_itself = document.get("authorization_response_iss_parameter_supported");
        Ok(Self {
            issuer: issuer.to_owned(),
            token: needed("token_endpoint")?,
            keys: needed("jwks_uri")?,
            // Discovery 3: required, and RS256 always among them.
            algorithms: list("id_token_signing_alg_values_supported")
                .unwrap_or_else(|| vec!["RS256".to_owned()]),
            authentication,
            names_itself: names_itself.and_then(Value::as_bool).unwrap_or_default(),
            authorization: endpoint("authorization_endpoint")?,
            device: endpoint("device_authorization_endpoint")?,
            challenges: list("code_challenge_methods_supported"),
        })
    }

    /// Where a browser goes to log in.
    pub(crate) fn authorization(&self) -> Result<&Url, Error> {
        let lists = |methods: &Vec<String>| methods.iter().any(|method| method == "S256");
        // Some issuers do PKCE and do not say so; one that lists other methods does not do ours.
        if !self.challenges.as_ref().is_none_or(lists) {
            return Err(self.unsupported("PKCE with S256"));
        }
        self.authorization.as_ref().ok_or_else(|| self.unsupported("logins in a browser"))
    }

    /// Where a device gets its codes.
    pub(crate) fn device(&self) -> Result<&Url, Error> {
        self.device.as_ref().ok_or_else(|| self.unsupported("the device flow"))
    }

    fn unsupported(&self, what: &'static str) -> Error {
        Error::Unsupported { issuer: self.issuer.clone(), what }
    }
}

const WHAT: &str = "discovery document";

/// The longest URL that is taken from an issuer, in bytes: it is shown, and a browser gets it as an
/// argument.
pub(crate) const LONGEST_URL: usize = 2048;

/// The largest discovery document, in bytes.
const DOCUMENT_CAP: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use host::{Transport, TransportError};
    use http::Request;
    use serde_json::json;

    use super::*;

    const DEX: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/captures/dex/openid-configuration.json"
    ));

    fn read(issuer: &str, change: impl Fn(&mut Value)) -> Result<Discovery, Error> {
        let mut document: Value = serde_json::from_str(DEX).unwrap();
        change(&mut document);
        let nowhere = |_: Request<Bytes>| -> Result<_, TransportError> { unreachable!() };
        let caller = Caller {
            http: &nowhere as &dyn Transport,
            issuer,
            client_id: "sigstore",
            client_secret: None,
        };
        Discovery::read(&caller, &Url::parse(issuer).unwrap(), document.as_object().unwrap())
    }

    const ISSUER: &str = "http://127.0.0.1:5557/dex";

    #[test]
    fn dex_offers_all_flows() {
        let discovery = read(ISSUER, |_| {}).unwrap();
        assert_eq!(discovery.issuer, ISSUER);
        assert_eq!(discovery.authorization().unwrap().as_str(), format!("{ISSUER}/auth"));
        assert_eq!(discovery.device().unwrap().as_str(), format!("{ISSUER}/device/code"));
        assert_eq!(discovery.algorithms, ["RS256"]);
        assert_eq!(discovery.authentication, Authentication::Form);
    }

    #[test]
    fn a_document_of_another_issuer_is_refused() {
        let error = read("http://127.0.0.1:5557/other", |_| {}).unwrap_err().to_string();
        assert!(error.contains("expected the issuer http://127.0.0.1:5557/other"), "{error}");
        assert!(error.contains(ISSUER), "{error}");
        assert!(read(ISSUER, |document| document["issuer"] = json!("")).is_err());
        read(&format!("{ISSUER}/"), |_| {}).unwrap();
    }

    #[test]
    fn an_issuer_of_https_does_not_send_us_to_http() {
        let secure = |document: &mut Value| document["issuer"] = json!("https://issuer.test");
        let error = read("https://issuer.test", secure).unwrap_err().to_string();
        assert!(error.contains("expected in token_endpoint a URL of https"), "{error}");
    }

    #[test]
    fn an_issuer_does_not_send_a_secret_into_a_private_network() {
        for target in
            ["https://169.254.169.254/token", "https://10.0.0.1/token", "https://localhost/"]
        {
            let inside = |document: &mut Value| {
                *document = json!({ "issuer": "https://issuer.test", "token_endpoint": target,
                    "jwks_uri": "https://keys.test/keys" });
            };
            let error = read("https://issuer.test", inside).unwrap_err().to_string();
            assert!(error.contains("a host that this issuer may name"), "{error}");
        }
        let elsewhere = |document: &mut Value| {
            *document = json!({ "issuer": "https://issuer.test",
                "token_endpoint": "https://token.test/", "jwks_uri": "https://keys.test/keys",
                "id_token_signing_alg_values_supported": ["RS256"] });
        };
        read("https://issuer.test", elsewhere).unwrap();
    }

    #[test]
    fn what_is_missing_is_named_when_it_is_needed() {
        let without = |name: &str| {
            read(ISSUER, |document| drop(document.as_object_mut().unwrap().remove(name)))
        };
        assert!(without("token_endpoint").unwrap_err().to_string().contains("no token_endpoint"));
        let no_device = without("device_authorization_endpoint").unwrap();
        assert!(no_device.device().unwrap_err().to_string().contains("the device flow"));
        no_device.authorization().unwrap();
        without("code_challenge_methods_supported").unwrap().authorization().unwrap();
        let plain = |document: &mut Value| {
            document["code_challenge_methods_supported"] = json!(["plain"]);
        };
        let error = read(ISSUER, plain).unwrap().authorization().unwrap_err().to_string();
        assert!(error.contains("PKCE with S256"), "{error}");
    }
}
