//! Clouds' registries, logged in to with nothing but what the cloud gives its machines.

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use harness::{HostileServer, Interop, Program, RawRequest, RegistryKind, Reply, Signer};
use sandbox::RekorVersion;
use serde_json::{Value, json};

use crate::guarded::Authority;

const ECR: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const GAR: &str = "europe-docker.pkg.dev";
const ACR: &str = "acme.azurecr.io";

const PASSWORD: &str = "hunter2-of-ecr";
const GOOGLE_TOKEN: &str = "ya29.access-token-of-the-machine";
const ENTRA_TOKEN: &str = "access-token-of-entra";

/// The services that clouds have for their machines, on this machine.
fn metadata(request: &RawRequest) -> Reply {
    let pair = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("AWS:{PASSWORD}"),
    );
    let path = request.target.split('?').next().unwrap_or_default();
    let answer = match path {
        "/credentials" => json!({
            "AccessKeyId": "AKIA", "SecretAccessKey": "s", "Token": "t",
            "Expiration": "2099-01-01T00:00:00Z",
        }),
        "/ecr/" => json!({ "authorizationData": [{ "authorizationToken": pair }] }),
        "/msi" => json!({ "access_token": ENTRA_TOKEN, "expires_on": "4102444800" }),
        path if path.ends_with("/service-accounts/default/token") => {
            json!({ "access_token": GOOGLE_TOKEN, "expires_in": 3599, "token_type": "Bearer" })
        }
        path if path.contains("/service-accounts/default/") => {
            json!({ "email": "s@p.iam.gserviceaccount.com", "scopes": [] })
        }
        _ => return Reply::response(404, &[("Metadata-Flavor", "Google")], "{}"),
    };
    let headers = [("Metadata-Flavor", "Google"), ("Content-Type", "application/json")];
    Reply::response(200, &headers, answer.to_string())
}

/// The registries of three clouds, and what their machines have.
struct Clouds {
    interop: Interop,
    services: HostileServer,
    front: Child,
    proxy: String,
}

impl Clouds {
    fn start() -> Self {
        let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
        let authority = Authority::new(&interop);
        authority.certify(&interop, "server", &[ECR, GAR, ACR]);
        let takes = json!({
            ECR: { "basic": format!("AWS:{PASSWORD}") },
            GAR: { "basic": format!("oauth2accesstoken:{GOOGLE_TOKEN}") },
            ACR: { "entra": ENTRA_TOKEN },
        });
        let script = harness::workspace().join("tests/interop/clouds.py");
        let front = interop.python().arg(script).arg(interop.path("server.pem"));
        let front = front.arg(interop.path("server.key")).arg(interop.registry());
        let mut front = front.arg(takes.to_string()).spawn();
        let mut port = String::new();
        BufReader::new(front.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let proxy = format!("http://127.0.0.1:{}", port.trim());
        Self { interop, services: HostileServer::new(metadata), front, proxy }
    }

    /// Our program on a machine of the cloud of `registry`.
    fn on_a_machine(&self, program: Program, registry: &str) -> Program {
        let services = self.services.address();
        let url = |path: &str| format!("http://{services}{path}");
        let program = program.env("HTTPS_PROXY", &self.proxy).env("PATH", "");
        let program = program.arg("--registry-cacert").arg(self.interop.path("ca.pem"));
        match registry {
            ECR => program
                .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", url("/credentials"))
                .env("AWS_ENDPOINT_URL_ECR", url("/ecr/"))
                .env("AWS_REGION", "us-east-1"),
            GAR => program.env("GCE_METADATA_HOST", services),
            _ => program.env("IDENTITY_ENDPOINT", url("/msi")).env("IDENTITY_HEADER", "secret"),
        }
    }
}

impl Drop for Clouds {
    fn drop(&mut self) {
        _ = self.front.kill();
        _ = self.front.wait();
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn an_image_in_a_clouds_registry_is_signed_with_nothing_configured_but_the_clouds_metadata() {
    let clouds = Clouds::start();
    let interop = &clouds.interop;
    let jane = interop.identity(Signer::Email);
    for registry in [ECR, GAR, ACR] {
        let repository = format!("team/{}", registry.split('.').next().unwrap());
        let here = interop.image(&repository);
        let image = here.replace(interop.registry(), registry);
        let sign = interop.ambisign_as(Signer::Email, "sign").arg(&image);
        clouds.on_a_machine(sign, registry).run().succeeds().hides(PASSWORD).hides("ya29");
        let verify = interop.ambisign("verify").args(jane.policy()).arg(&image);
        clouds.on_a_machine(verify, registry).run().succeeds();
        // Another program finds it where the image really is.
        interop.cosign("verify").args(jane.policy()).arg(&here).run().succeeds();
        // The same without the machine's identity.
        let verify = interop.ambisign("verify").args(jane.policy()).arg(&image);
        let verify = verify.env("HTTPS_PROXY", &clouds.proxy).env("NO_GCE_CHECK", "true");
        let verify = verify.arg("--registry-cacert").arg(interop.path("ca.pem"));
        let cloud = match registry {
            ECR => "no credentials for AWS",
            GAR => "no credentials for Google Cloud",
            _ => "no credentials for Azure",
        };
        verify.run().ends(1).says(&["requires credentials", cloud]);
    }
}

/// Who asks for a registry's password with what: a function of `vendors.py`, and what is compared.
const VENDORS: [(&str, &str, &str, &[&str]); 2] = [
    ("botocore_ecr", ECR, "/ecr/", &["x-amz-target", "content-type"]),
    ("google_auth_access", GAR, "/token", &["metadata-flavor"]),
];

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn the_clouds_own_clients_ask_for_a_registrys_password_as_we_do() {
    let clouds = Clouds::start();
    let interop = &clouds.interop;
    for (client, registry, path, headers) in VENDORS {
        let image = interop.image(client).replace(interop.registry(), registry);
        let ours = interop.ambisign("inspect").arg(&image);
        clouds.on_a_machine(ours, registry).run().ends(10);
        let script = harness::workspace().join("tests/interop/vendors.py");
        let theirs = interop.python().arg(script).args([client, "eu-central-1"]);
        let answer = on_their_machine(theirs, clouds.services.address()).run().succeeds();
        let answer: Value = serde_json::from_str(&answer.stdout).unwrap();
        let expected = if registry == ECR { PASSWORD } else { GOOGLE_TOKEN };
        assert_eq!(answer["token"], expected, "{answer}");
        let asked: Vec<_> = clouds.services.requests();
        let asked = asked
            .iter()
            .filter(|request| request.target.split('?').next().unwrap().ends_with(path));
        let [ours, theirs] = &asked.collect::<Vec<_>>()[..] else { panic!("not asked twice") };
        assert_eq!((&ours.method, &ours.body), (&theirs.method, &theirs.body), "{client}");
        for name in headers {
            assert_eq!(ours.header(name), theirs.header(name), "{client}: {name}");
        }
        let scope = |request: &RawRequest| {
            let value = request.header("authorization").unwrap_or_default().to_owned();
            let scope = value.split_once("Credential=").map(|(_, rest)| rest.to_owned());
            scope.and_then(|rest| Some(rest.split_once(',')?.0.to_owned()))
        };
        assert_eq!(scope(ours), scope(theirs), "{client}");
    }
}

fn on_their_machine(program: Program, services: &str) -> Program {
    program
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{services}/credentials"))
        .env("AWS_ENDPOINT_URL_ECR", format!("http://{services}/ecr/"))
        .env("GCE_METADATA_HOST", services)
}
