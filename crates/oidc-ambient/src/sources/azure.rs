//! Azure: the file of a federated workload, and the managed identity of a machine. Neither gives
//! tokens for the audience `sigstore`; both say what would.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, Env, Host, Redirects};
use http::{HeaderValue, Request};
use id_token::{Audience, IdToken, Outcome, TOKEN_CAP, TokenSource};
use url::Url;

use crate::check::wrong_audience;
use crate::fetch::{self, Fault};
use crate::outcome::{doubtful, here, not_here, with_causes};

/// The file that `AZURE_FEDERATED_TOKEN_FILE` names: a service account's token whose audience is
/// Entra's.
pub(crate) struct AzureFile {
    env: Arc<dyn Env>,
}

impl AzureFile {
    pub(crate) fn new(env: Arc<dyn Env>) -> Self {
        Self { env }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let Some(path) = self.env.var(FILE) else {
            return not_here(format!("{FILE} is not set"));
        };
        let evidence = format!("{FILE} is set");
        let hint = format!(
            "mount a second projected service account token with the audience `{audience}` at \
             /var/run/sigstore/cosign: AKS with `--enable-oidc-issuer` is an issuer that the \
             public Fulcio knows"
        );
        let bytes = match self.env.read(Path::new(&path), TOKEN_CAP).await {
            Ok(bytes) => bytes,
            Err(error) => return doubtful(evidence, with_causes(&error), hint),
        };
        let token = match IdToken::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(token) => token,
            Err(error) => {
                return doubtful(evidence, format!("the file holds no token: {error}"), hint);
            }
        };
        match wrong_audience(token.claims(), audience) {
            Some(reason) => doubtful(evidence, reason, hint),
            None => here(token, evidence),
        }
    }
}

impl TokenSource for AzureFile {
    fn name(&self) -> &str {
        "azure-workload-identity"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

/// The managed identity of a virtual machine, an App Service, a function or a container app.
pub(crate) struct AzureManaged {
    host: Host,
}

impl AzureManaged {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let env = self.host.env.as_ref();
        let service = env.var(ENDPOINT).zip(env.var(HEADER));
        let evidence = if service.is_some() {
            format!("{ENDPOINT} and {HEADER} are set")
        } else if env
            .read(Path::new(ASSET_TAG), 256)
            .await
            .unwrap_or_default()
            .starts_with(AZURE_TAG)
        {
            format!("{ASSET_TAG} is Azure's")
        } else {
            return not_here(format!("{ENDPOINT} is not set and {ASSET_TAG} is not Azure's"));
        };
        if !is_resource(audience) {
            return doubtful(
                evidence,
                format!(
                    "expected a token for the audience `{audience}`, Azure gives only those for \
                     an application registered in Entra (`api://...`)"
                ),
                "use a private Fulcio that trusts the tenant's issuer and whose client ID is the \
                 URI of such an application, or another token: on AKS a projected service account \
                 token, elsewhere one in SIGSTORE_ID_TOKEN",
            );
        }
        match self.fetch(service, audience).await {
            Ok(token) => here(token, evidence),
            Err(fault) => doubtful(
                evidence,
                fault.reason,
                "assign a managed identity (with several, name one in AZURE_CLIENT_ID), and see \
                 that an application with this URI is registered in its tenant; the public Fulcio \
                 does not know Entra as an issuer, a private one can",
            ),
        }
    }

    async fn fetch(
        &self,
        service: Option<(String, String)>,
        audience: &Audience,
    ) -> Result<IdToken, Fault> {
        let (url, header, version) = match service {
            Some((url, secret)) => {
                let url = fetch::endpoint(ENDPOINT, &url)?;
                (url, ("x-identity-header", fetch::secret(HEADER, &secret)?), "2019-08-01")
            }
            None => {
                let url = Url::parse(METADATA).map_err(|_| Fault::new("no metadata service"))?;
                (url, ("metadata", HeaderValue::from_static("true")), "2018-02-01")
            }
        };
        let mut url = url;
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", audience.as_str());
        if let Some(client) = self.host.env.var("AZURE_CLIENT_ID") {
            url.query_pairs_mut().append_pair("client_id", &client);
        }
        let request = Request::get(url.as_str())
            .header(header.0, header.1)
            .extension(fetch::local_policy().with_redirects(Redirects::Never))
            .body(Bytes::new())
            .map_err(|_| Fault::new(format!("{ENDPOINT} is not a usable URL")))?;
        fetch::json_token(&self.host, &request, "/access_token").await
    }
}

impl TokenSource for AzureManaged {
    fn name(&self) -> &str {
        "azure-managed-identity"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

/// What Entra can know: the URI of an application, or its identifier.
fn is_resource(audience: &Audience) -> bool {
    let text = audience.as_str();
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    text.contains(':') || parts == [8, 4, 4, 4, 12]
}

const FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const ASSET_TAG: &str = "/sys/class/dmi/id/chassis_asset_tag";
/// The same on every virtual machine of Azure's.
const AZURE_TAG: &[u8] = b"7783-7084-3265-9085-8269-3286-77";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    fn managed(world: &World, audience: &str) -> Outcome {
        let audience = Audience::new(audience).unwrap();
        block_on(AzureManaged::new(world.host()).look(&audience))
    }

    fn file(world: &World, audience: &str) -> Outcome {
        block_on(AzureFile::new(world.host().env).look(&Audience::new(audience).unwrap()))
    }

    #[test]
    fn the_audience_sigstore_is_refused_without_a_request_and_what_would_do_is_named() {
        let tag = String::from_utf8(AZURE_TAG.to_vec()).unwrap();
        for world in [
            World::new(&[]).with_file(ASSET_TAG, &tag),
            World::new(&[(ENDPOINT, "http://127.0.0.1/msi"), (HEADER, "x")]),
        ] {
            let broken = broken_of(managed(&world, "sigstore"));
            assert!(!broken.certain);
            assert!(broken.reason.contains("`sigstore`"), "{}", broken.reason);
            let hint = broken.hint.unwrap();
            assert!(hint.contains("private Fulcio") && hint.contains("SIGSTORE_ID_TOKEN"));
            assert_eq!(world.requests(), 0);
        }
    }

    #[test]
    fn a_registered_application_can_be_the_audience() {
        let token = jwt(r#"{"aud":"api://fulcio"}"#);
        let answer = format!(r#"{{"access_token":"{token}","expires_on":"1"}}"#);
        let world = World::new(&[("AZURE_CLIENT_ID", "c")])
            .with_file(ASSET_TAG, "7783-7084-3265-9085-8269-3286-77\n")
            .answering(200, &answer);
        assert_eq!(found_of(managed(&world, "api://fulcio")).token.reveal(), token);
        let request = world.only_request();
        assert_eq!(
            request.uri(),
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01\
             &resource=api%3A%2F%2Ffulcio&client_id=c"
        );
        assert_eq!(request.headers()["metadata"], "true");
        let env = [(ENDPOINT, "http://127.0.0.1:41/msi/token"), (HEADER, "app-secret")];
        let world = World::new(&env).answering(200, &answer);
        found_of(managed(&world, "api://fulcio"));
        let request = world.only_request();
        assert_eq!(request.headers()["x-identity-header"], "app-secret");
        assert_eq!(request.uri().path(), "/msi/token");
    }

    #[test]
    fn a_machine_without_an_identity_is_only_softly_broken() {
        let world = World::new(&[(ENDPOINT, "http://127.0.0.1/"), (HEADER, "x")]).answering(
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
        );
        let broken = broken_of(managed(&world, "api://x"));
        assert!(!broken.certain);
        assert!(broken.reason.ends_with("400 Bad Request: `Identity not found`"));
        assert!(broken.hint.unwrap().contains("managed identity"));
    }

    #[test]
    fn the_federated_file_is_for_entra_and_says_what_to_mount() {
        let token = jwt(r#"{"aud":["api://AzureADTokenExchange"]}"#);
        let world = World::new(&[(FILE, "/azure")]).with_file("/azure", &token);
        let broken = broken_of(file(&world, "sigstore"));
        assert_eq!(
            broken.reason,
            "expected a token for the audience `sigstore`, found `api://AzureADTokenExchange`"
        );
        assert!(broken.hint.unwrap().contains("second projected"));
        assert_eq!(found_of(file(&world, "api://AzureADTokenExchange")).token.reveal(), token);
        let world = World::new(&[(FILE, "/azure")]);
        assert_eq!(broken_of(file(&world, "sigstore")).reason, "/azure does not exist");
    }

    #[test]
    fn elsewhere_nothing_is_asked() {
        let world = World::new(&[(ENDPOINT, "http://x/")]).with_file(ASSET_TAG, "No Asset Tag");
        assert!(matches!(managed(&world, "api://x"), Outcome::Absent(_)));
        assert!(matches!(file(&world, "sigstore"), Outcome::Absent(_)));
        assert_eq!(world.requests(), 0);
    }
}
