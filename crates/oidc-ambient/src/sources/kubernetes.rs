//! Kubernetes: asking the API server for a token (TokenRequest) where none is mounted.

use std::path::Path;
use std::time::Duration;

use host::{Host, Redirects};
use id_token::{Audience, IdToken, Outcome};
use serde_json::json;
use url::Url;

use crate::check::wrong_audience;
use crate::fetch::{self, Call, Failure};
use crate::files::{self, Problem};
use crate::outcome::{absent, found, soft};

/// The API server of the cluster that this pod runs in.
pub struct Kubernetes {
    host: Host,
}

token_source!(Kubernetes, "kubernetes");

impl Kubernetes {
    async fn look(&self, audience: &Audience, min_ttl: Duration) -> Outcome {
        let Some(server) = self.host.env.var(SERVER) else {
            return absent(format!("{SERVER} is not set"));
        };
        let own = match files::token(&self.host, Path::new(TOKEN_PATH)).await {
            Ok(own) => own,
            Err(Problem::Missing) => return absent(format!("{TOKEN_PATH} does not exist")),
            Err(Problem::Unusable(reason)) => return unusable(reason, audience),
        };
        let Some(other) = wrong_audience(own.claims(), audience) else {
            return found(own, format!("{TOKEN_PATH} is for this audience"));
        };
        match self.request(&server, &own, audience, min_ttl).await {
            Ok(token) => found(token, evidence()),
            Err(failure) => {
                unusable(format!("{}; the pod's own token: {other}", failure.reason), audience)
            }
        }
    }

    async fn request(
        &self,
        server: &str,
        own: &IdToken,
        audience: &Audience,
        min_ttl: Duration,
    ) -> Result<IdToken, Failure> {
        let (namespace, account) = own
            .claims()
            .subject()
            .and_then(|subject| subject.strip_prefix("system:serviceaccount:")?.split_once(':'))
            .ok_or_else(|| {
                Failure::new(format!("{TOKEN_PATH} does not name a service account as its subject"))
            })?;
        let port = self.host.env.var(PORT).unwrap_or_else(|| "443".to_owned());
        let url = token_url(server, &port, namespace, account)
            .ok_or_else(|| Failure::new(format!("{SERVER} and {PORT} do not name a server")))?;
        let authorities = files::read(&self.host, Path::new(CA_PATH), CA_CAP).await?;
        let life = min_ttl.max(SHORTEST_LIFE).as_secs();
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": [audience.as_str()], "expirationSeconds": life },
        });
        let policy =
            fetch::local_policy().with_redirects(Redirects::Never).with_trust_only(authorities);
        Call::post_json(url, &body)
            .bearer(TOKEN_PATH, own.reveal())?
            .policy(policy)
            .token(&self.host, "/status/token")
            .await
    }
}

/// Every pod has the marker and few may ask for tokens, so this never ends the search.
fn unusable(reason: String, audience: &Audience) -> Outcome {
    soft(evidence(), reason, mount_hint(audience))
}

fn evidence() -> String {
    format!("{SERVER} is set and {TOKEN_PATH} exists")
}

fn mount_hint(audience: &Audience) -> String {
    format!(
        "mount a projected token at /var/run/sigstore/cosign (volume `projected: sources: \
         [serviceAccountToken: {{audience: {audience}, expirationSeconds: 600, path: \
         oidc-token}}]`), or allow the service account to `create` on `serviceaccounts/token`"
    )
}

fn token_url(server: &str, port: &str, namespace: &str, account: &str) -> Option<Url> {
    let server = if server.contains(':') { format!("[{server}]") } else { server.to_owned() };
    let mut url = Url::parse(&format!("https://{server}:{port}")).ok()?;
    let path = ["api", "v1", "namespaces", namespace, "serviceaccounts", account, "token"];
    url.path_segments_mut().ok()?.extend(path);
    Some(url)
}

const SERVER: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const CA_CAP: usize = 1 << 20;
/// The API server grants no less.
const SHORTEST_LIFE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn pod() -> FakeHost {
        let own = jwt(
            r#"{"aud":["https://kubernetes.default.svc"],"sub":"system:serviceaccount:build:signer"}"#,
        );
        FakeHost::new(&[(SERVER, "fd00::1"), (PORT, "6443")])
            .with_file(TOKEN_PATH, &own)
            .with_file(CA_PATH, "PEM")
    }

    fn look(fake: &FakeHost) -> Outcome {
        crate::testing::look(&Kubernetes::new(fake.host()), "sigstore")
    }

    #[test]
    fn the_clusters_own_authority_is_asked_over_its_own_ca() {
        let token = jwt(r#"{"aud":["sigstore"]}"#);
        let fake = pod().answering(201, &format!(r#"{{"status":{{"token":"{token}"}}}}"#));
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(
            request.uri(),
            "https://[fd00::1]:6443/api/v1/namespaces/build/serviceaccounts/signer/token"
        );
        let policy = request.extensions().get::<host::CallPolicy>().unwrap();
        assert_eq!(policy.trust_only.as_deref(), Some(&b"PEM"[..]));
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["spec"], json!({ "audiences": ["sigstore"], "expirationSeconds": 600 }));
    }

    #[test]
    fn a_pod_that_may_not_ask_is_shown_what_to_mount() {
        let broken = broken_of(look(&pod().answering(403, r#"{"message":"forbidden: x"}"#)));
        assert!(!broken.certain);
        assert!(broken.reason.contains("forbidden: x"), "{}", broken.reason);
        let own =
            "expected a token for the audience `sigstore`, found `https://kubernetes.default.svc`";
        assert!(broken.reason.ends_with(own), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("audience: sigstore"));
    }

    #[test]
    fn a_default_token_that_is_for_us_already_is_taken() {
        let own = jwt(r#"{"aud":["api","sigstore"]}"#);
        let fake = FakeHost::new(&[(SERVER, "10.0.0.1")]).with_file(TOKEN_PATH, &own);
        assert_eq!(found_of(look(&fake)).token.reveal(), own);
        assert_eq!(fake.requests(), 0);
    }

    #[test]
    fn outside_of_a_cluster_or_without_a_token_there_is_nothing() {
        assert!(matches!(look(&FakeHost::new(&[])), Outcome::Absent(_)));
        assert!(matches!(look(&FakeHost::new(&[(SERVER, "10.0.0.1")])), Outcome::Absent(_)));
    }
}
