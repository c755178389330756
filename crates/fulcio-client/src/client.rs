use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::{CallPolicy, Transport, TransportError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use id_token::{Audience, Claims, IdToken};
use keys::Sign;
use serde::Deserialize;
use url::Url;
use x509::Certificate;

use crate::configuration::Configuration;
use crate::error::Error;
use crate::{csr, issued, preflight};

/// One Fulcio instance.
#[derive(Clone)]
pub struct Fulcio {
    url: Url,
    http: Arc<dyn Transport>,
}

impl Fulcio {
    /// Talks to the instance whose base URL is `url`, through `http`. Sends nothing yet.
    pub fn new(url: Url, http: Arc<dyn Transport>) -> Self {
        Self { url, http }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for a certificate that binds `key` to the identity in `token`, and returns the chain,
    /// the new certificate first.
    ///
    /// Possession of the key is proved by a certificate request that it signs; its subject is
    /// empty, because the identity is the token's to say and some cannot be written there.
    ///
    /// The certificate is checked before it is returned: it is for `key`, it was valid at the time
    /// of the answer and lives for a day at most, and its subject and issuer are those that the
    /// token must give, where the token's issuer is known (for others see [`issued::compare`]). It
    /// is *not* checked against a trusted root, and need not carry a certificate timestamp: an
    /// instance without a certificate transparency log issues none.
    ///
    /// # Errors
    /// The instance cannot be reached or refuses. Where it does so without a reason, the token is
    /// looked at again with its own list of issuers and its own clock ([`Error::Token`]).
    pub async fn issue(&self, token: &IdToken, key: &dyn Sign) -> Result<Vec<Certificate>, Error> {
        let request = csr::pem(key)?;
        let body = serde_json::json!({ "certificateSigningRequest": STANDARD.encode(request) });
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| self.unusable("the token does not fit into a header".into()))?;
        bearer.set_sensitive(true);
        tracing::debug!(url = %self.shown(), "asking for a certificate");
        let path = ["api", "v2", "signingCert"];
        let response = self.send(Method::POST, &path, Some(bearer), body.to_string()).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(token, &response).await);
        }
        let chain = self.chain(response.body())?;
        let leaf = chain.first().ok_or_else(|| self.malformed("the chain is empty"))?;
        if leaf.public_key() != key.public_key() {
            return Err(Error::AnotherKey { url: self.shown() });
        }
        issued::check_validity(leaf, host::retry::answered_at(response.headers()))
            .map_err(|source| self.another(source))?;
        self.check_identity(leaf, token.claims()).await?;
        Ok(chain)
    }

    /// Refuses a certificate for another identity than that of a token whose issuer is known. An
    /// instance may treat a known issuer in its own way: then its configuration decides.
    async fn check_identity(&self, leaf: &Certificate, claims: &Claims) -> Result<(), Error> {
        let Some(Err(difference)) = issued::compare(leaf, claims, None) else { return Ok(()) };
        let configuration = self.configuration().await.ok();
        let configured =
            configuration.and_then(|known| issued::compare(leaf, claims, Some(&known)));
        configured.unwrap_or(Err(difference)).map_err(|source| self.another(source))
    }

    fn another(&self, source: issued::Difference) -> Error {
        Error::AnotherCertificate { url: self.shown(), source }
    }

    /// Which issuers this instance accepts, and what it wants of their tokens.
    ///
    /// # Errors
    /// It cannot be reached, does not tell, or what it tells cannot be read.
    pub async fn configuration(&self) -> Result<Configuration, Error> {
        let body = self.get("configuration").await?;
        Configuration::from_json(&body).map_err(|error| self.malformed(error.to_string()))
    }

    /// The instance's own certificates, each chain ending in its root. They come from whoever
    /// answers at this URL: a trusted root does not come from here.
    ///
    /// # Errors
    /// It cannot be reached, refuses, or what it answers cannot be read.
    pub async fn trust_bundle(&self) -> Result<Vec<Vec<Certificate>>, Error> {
        let body = self.get("trustBundle").await?;
        let bundle: TrustBundle =
            serde_json::from_slice(&body).map_err(|error| self.malformed(error.to_string()))?;
        bundle.chains.iter().flatten().map(|chain| self.certificates(chain)).collect()
    }

    async fn get(&self, what: &str) -> Result<Bytes, Error> {
        let response = self.send(Method::GET, &["api", "v2", what], None, String::new()).await?;
        if response.status() == StatusCode::OK {
            Ok(response.into_body())
        } else {
            Err(self.http_error(&response))
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        bearer: Option<HeaderValue>,
        body: String,
    ) -> Result<Response<Bytes>, Error> {
        let policy = CallPolicy::new()
            .with_attempt(Duration::from_secs(30))
            .with_total(Duration::from_secs(60))
            .with_body_cap(ANSWER_CAP)
            // A second certificate for the same key and identity is harmless.
            .with_idempotent(true);
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| self.unusable("it is not a base URL".into()))?
            .pop_if_empty()
            .extend(path);
        let mut request = Request::builder().method(method).uri(url.as_str());
        request = request.header(ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(Bytes::from(body)).map_err(|error| self.unusable(error.to_string()))?;
        self.http.send(request, &policy).await.map_err(Error::Transport)
    }

    /// Reads the answer of `signingCert`.
    fn chain(&self, body: &[u8]) -> Result<Vec<Certificate>, Error> {
        let answer: SigningCertificate =
            serde_json::from_slice(body).map_err(|error| self.malformed(error.to_string()))?;
        // A timestamp beside the certificate cannot be part of a bundle and is left out: whether
        // the certificate does without one is for the trusted root to say.
        let SigningCertificate { signed_certificate_embedded_sct, signed_certificate_detached_sct } =
            answer;
        match signed_certificate_embedded_sct.or(signed_certificate_detached_sct) {
            Some(Certified { chain }) => self.certificates(&chain),
            None => Err(self.malformed("there is no certificate in it")),
        }
    }

    fn certificates(&self, chain: &Chain) -> Result<Vec<Certificate>, Error> {
        let found = chain.certificates.len();
        if found > CHAIN_CAP {
            return Err(
                self.malformed(format!("{found} certificates, at most {CHAIN_CAP} are read"))
            );
        }
        chain
            .certificates
            .iter()
            .map(|pem| Certificate::from_pem(pem))
            .collect::<Result<_, _>>()
            .map_err(|error| self.malformed(error.to_string()))
    }

    /// What a refusal of `token` means. Fulcio has one sentence for every fault of a token, so it
    /// is looked for where it can be found.
    async fn refused(&self, token: &IdToken, response: &Response<Bytes>) -> Error {
        let error = self.http_error(response);
        if !matches!(&error, Error::Http { status: 400, message, .. } if message == OPAQUE) {
            return error;
        }
        let claims = token.claims();
        let now = host::retry::answered_at(response.headers())
            // Without the authority's clock, a time of the token's own leaves the other faults.
            .or_else(|| {
                let times = [claims.not_before(), claims.issued_at(), claims.expires_at()];
                times.into_iter().flatten().next()
            })
            .unwrap_or(UNIX_EPOCH);
        let configuration = self.configuration().await.ok();
        let audience = claims.audiences().join(", ");
        // Only the configuration can tell that it is another than this authority wants.
        let asked = Audience::new(claims.audiences().first().copied().unwrap_or_default());
        let asked = asked.unwrap_or_else(|_| Audience::sigstore());
        let source = preflight::check(token, &asked, configuration.as_ref(), now).err();
        let issuer = claims.issuer().map_or_else(|| "no issuer".into(), host::escape_remote);
        let audience = host::escape_remote(&audience);
        let source = source.map(Box::new);
        Error::Token { url: self.shown(), issuer, audience, source }
    }

    fn http_error(&self, response: &Response<Bytes>) -> Error {
        let body = response.body();
        // Nothing else is built of an answer that may be large.
        let explained = serde_json::from_slice::<Explanation>(body).ok();
        let message = match explained.and_then(|it| it.message) {
            Some(message) => host::escape_remote(&message),
            None if response.status().is_success() => "expected 200".into(),
            None if body.is_empty() => "no explanation".into(),
            None => host::escape_remote(&String::from_utf8_lossy(body)),
        };
        Error::Http { url: self.shown(), status: response.status().as_u16(), message }
    }

    fn malformed(&self, reason: impl Into<String>) -> Error {
        // A parser's words may hold a part of the answer.
        let reason = host::escape_remote(&reason.into());
        Error::Malformed { url: self.shown(), reason }
    }

    fn unusable(&self, reason: String) -> Error {
        Error::Transport(TransportError::Unusable { url: self.shown(), reason })
    }

    /// The URL without what may be secret in it.
    fn shown(&self) -> String {
        host::public_url(self.url.as_str())
    }
}

impl fmt::Debug for Fulcio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fulcio").field("url", &self.shown()).finish_non_exhaustive()
    }
}

/// What Fulcio says of every fault of a token.
const OPAQUE: &str = "There was an error processing the identity token";

/// The largest answer read: the public instance lists some forty issuers in ten thousand bytes.
const ANSWER_CAP: usize = 1 << 20;

/// The longest chain read.
const CHAIN_CAP: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningCertificate {
    signed_certificate_embedded_sct: Option<Certified>,
    signed_certificate_detached_sct: Option<Certified>,
}

/// An error as the service explains it.
#[derive(Deserialize)]
struct Explanation {
    message: Option<String>,
}

#[derive(Deserialize)]
struct Certified {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

#[derive(Deserialize)]
struct TrustBundle {
    chains: Option<Vec<Chain>>,
}
