//! Azure: the file of a federated workload, and the managed identity of a machine. Neither gives
//! tokens for the audience `sigstore`; both say what would.

use std::path::Path;
use std::time::Duration;

use host::Host;
use id_token::{Audience, Outcome};

use crate::azure;
use crate::check::wrong_audience;
use crate::files::{self, Problem};
use crate::outcome::{absent, found, other_audience, soft};

/// The file that `AZURE_FEDERATED_TOKEN_FILE` names: a service account's token whose audience is
/// Entra's.
pub struct AzureFederatedFile {
    host: Host,
}

token_source!(AzureFederatedFile, "azure-workload-identity");

impl AzureFederatedFile {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let Some(path) = self.host.env.var(FILE) else {
            return absent(format!("{FILE} is not set"));
        };
        let evidence = format!("{FILE} is set");
        let hint = format!(
            "mount a second projected service account token with the audience `{audience}` at \
             /var/run/sigstore/cosign: AKS with `--enable-oidc-issuer` is an issuer that the \
             public Fulcio knows"
        );
        let token = match files::token(&self.host, Path::new(&path)).await {
            Ok(token) => token,
            Err(Problem::Missing) => {
                let path = files::shown(Path::new(&path));
                return soft(evidence, format!("{path} does not exist"), hint);
            }
            Err(Problem::Unusable(reason)) => return soft(evidence, reason, hint),
        };
        match wrong_audience(token.claims(), audience) {
            Some(reason) => other_audience(evidence, reason, hint, false),
            None => found(token, evidence),
        }
    }
}

/// The managed identity of a virtual machine, an App Service, a function or a container app.
pub struct AzureManagedIdentity {
    host: Host,
}

token_source!(AzureManagedIdentity, "azure-managed-identity");

impl AzureManagedIdentity {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let service = match azure::Service::find(&self.host).await {
            Ok(service) => service,
            Err(absence) => return absent(absence),
        };
        let evidence = service.evidence();
        if let azure::Service::Unsupported(name, _) = service {
            return soft(
                evidence,
                format!("the managed identity of {name} is not supported"),
                "put a token of another identity into SIGSTORE_ID_TOKEN",
            );
        }
        if !is_resource(audience) {
            return other_audience(
                evidence,
                format!(
                    "expected a token for the audience `{audience}`, Azure gives only those for \
                     an application registered in Entra (`api://...`)"
                ),
                "use a private Fulcio that trusts the tenant's issuer and whose client ID is the \
                 URI of such an application, or another token: on AKS a projected service account \
                 token, elsewhere one in SIGSTORE_ID_TOKEN",
                false,
            );
        }
        match service.id_token(&self.host, audience).await {
            Ok(token) => found(token, evidence),
            Err(failure) => soft(
                evidence,
                failure.reason,
                failure.hint.unwrap_or_else(|| {
                    "assign a managed identity (with several, name one in AZURE_CLIENT_ID), and \
                     check that an application with this URI is registered in its tenant; the \
                     public Fulcio does not know Entra as an issuer, a private one can"
                        .to_owned()
                }),
            ),
        }
    }
}

/// What Entra can know: the URI of an application, or its identifier.
fn is_resource(audience: &Audience) -> bool {
    let text = audience.as_str();
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    text.contains(':') || parts == [8, 4, 4, 4, 12]
}

const FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt, look};

    const ENDPOINT: &str = "IDENTITY_ENDPOINT";
    const HEADER: &str = "IDENTITY_HEADER";
    const ASSET_TAG: &str = "/sys/class/dmi/id/chassis_asset_tag";
    const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

    fn managed(fake: &FakeHost, audience: &str) -> Outcome {
        look(&AzureManagedIdentity::new(fake.host()), audience)
    }

    fn file(fake: &FakeHost, audience: &str) -> Outcome {
        look(&AzureFederatedFile::new(fake.host()), audience)
    }

    #[test]
    fn the_audience_sigstore_is_refused_without_a_request_and_what_would_do_is_named() {
        for fake in [
            FakeHost::new(&[]).with_file(ASSET_TAG, AZURE_TAG),
            FakeHost::new(&[(ENDPOINT, "http://127.0.0.1/msi"), (HEADER, "x")]),
        ] {
            let broken = broken_of(managed(&fake, "sigstore"));
            assert!(!broken.certain);
            assert!(broken.reason.contains("`sigstore`"), "{}", broken.reason);
            let hint = broken.hint.unwrap();
            assert!(hint.contains("private Fulcio") && hint.contains("SIGSTORE_ID_TOKEN"));
            assert_eq!(fake.requests(), 0);
        }
    }

    #[test]
    fn a_registered_application_can_be_the_audience() {
        let token = jwt(r#"{"aud":"api://fulcio"}"#);
        let answer = format!(r#"{{"access_token":"{token}","expires_on":"1"}}"#);
        let fake = FakeHost::new(&[("AZURE_CLIENT_ID", "c")])
            .with_file(ASSET_TAG, "7783-7084-3265-9085-8269-3286-77\n")
            .answering(200, &answer);
        assert_eq!(found_of(managed(&fake, "api://fulcio")).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(
            request.uri(),
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01\
             &resource=api%3A%2F%2Ffulcio&client_id=c"
        );
        assert_eq!(request.headers()["metadata"], "true");
        let env = [(ENDPOINT, "http://127.0.0.1:41/msi/token"), (HEADER, "app-secret")];
        let fake = FakeHost::new(&env).answering(200, &answer);
        found_of(managed(&fake, "api://fulcio"));
        let request = fake.only_request();
        assert_eq!(request.headers()["x-identity-header"], "app-secret");
        assert_eq!(request.uri().path(), "/msi/token");
    }

    #[test]
    fn a_machine_without_an_identity_is_only_softly_broken() {
        let fake = FakeHost::new(&[(ENDPOINT, "http://127.0.0.1/"), (HEADER, "x")]).answering(
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
        );
        let broken = broken_of(managed(&fake, "api://x"));
        assert!(!broken.certain);
        assert!(broken.reason.ends_with("400 Bad Request: `Identity not found`"));
        assert!(broken.hint.unwrap().contains("managed identity"));
    }

    #[test]
    fn the_federated_file_is_for_entra_and_says_what_to_mount() {
        let token = jwt(r#"{"aud":["api://AzureADTokenExchange"]}"#);
        let fake = FakeHost::new(&[(FILE, "/azure")]).with_file("/azure", &token);
        let broken = broken_of(file(&fake, "sigstore"));
        assert_eq!(
            broken.reason,
            "expected a token for the audience `sigstore`, found `api://AzureADTokenExchange`"
        );
        assert!(broken.hint.unwrap().contains("second projected"));
        assert_eq!(found_of(file(&fake, "api://AzureADTokenExchange")).token.reveal(), token);
        let fake = FakeHost::new(&[(FILE, "/azure")]);
        assert_eq!(broken_of(file(&fake, "sigstore")).reason, "/azure does not exist");
    }

    #[test]
    fn azure_arc_and_service_fabric_are_told_by_their_names_and_not_asked() {
        let endpoint = (ENDPOINT, "http://localhost:40342/metadata/identity/oauth2/token");
        for (variables, name) in [
            (vec![endpoint, ("IMDS_ENDPOINT", "http://localhost:40342")], "Azure Arc"),
            (vec![endpoint, (HEADER, "x"), ("IDENTITY_SERVER_THUMBPRINT", "A1")], "Service Fabric"),
        ] {
            let fake = FakeHost::new(&variables);
            for audience in ["api://x", "sigstore"] {
                let broken = broken_of(managed(&fake, audience));
                let told = format!("the managed identity of {name} is not supported");
                assert_eq!(broken.reason, told);
                assert!(!broken.certain && fake.requests() == 0);
            }
        }
    }

    #[test]
    fn elsewhere_nothing_is_asked() {
        let fake = FakeHost::new(&[(ENDPOINT, "http://x/")]).with_file(ASSET_TAG, "No Asset Tag");
        assert!(matches!(managed(&fake, "api://x"), Outcome::Absent(_)));
        assert!(matches!(file(&fake, "sigstore"), Outcome::Absent(_)));
        assert_eq!(fake.requests(), 0);
    }
}
