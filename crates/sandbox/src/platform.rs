//! What a job finds around itself: variables, files, programs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::github::Github;
use crate::platforms::ci::{AZURE_AUDIENCE, AZURE_CONNECTION, FORGEJO_PATH};
use crate::platforms::claims::{self, BUILDKITE_JOB, SIGNER};
use crate::platforms::{Platforms, UNTRUSTED_ISSUERS};
use crate::sandbox::Sandbox;
use crate::state::file_error;
use crate::{Error, Fault};

/// The names of the platforms that the sandbox can stand for.
pub const PLATFORMS: [&str; 27] = [
    "github",
    "forgejo",
    "gitlab",
    "buildkite",
    "buildkite-cli",
    "circleci",
    "codefresh",
    "buddy",
    "azure-pipelines",
    "bitbucket",
    "semaphore",
    "hcp-terraform",
    "vercel",
    "fly",
    "gce",
    "gke",
    "cloud-run",
    "google-impersonation",
    "google-adc",
    "kubernetes",
    "kubernetes-file",
    "aws",
    "azure-app-service",
    "spiffe",
    "chainguard",
    "env-token",
    "token-file",
];

/// The place that a job of a platform runs in. Tokens in it are good for some minutes.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// Its name among [`PLATFORMS`].
    pub name: &'static str,
    /// The variables of the job.
    pub env: Vec<(String, String)>,
    /// Files and sockets that the platform has at a fixed place: where a client looks for each,
    /// and where the sandbox keeps it. A test has to bring them together.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// The `iss` of the job's tokens.
    pub issuer: String,
    /// What they say beside the registered claims.
    pub claims: Map<String, Value>,
    /// Whether the sandbox's Fulcio certifies the holders of such tokens.
    pub trusted: bool,
}

/// Where things are.
pub(crate) struct Builder<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) platforms: &'a Platforms,
    /// What belongs to platforms is kept in here.
    pub(crate) directory: PathBuf,
    pub(crate) fly_socket: &'a Path,
    pub(crate) spiffe_uri: String,
    /// How long the tokens live that stand in variables and files, in seconds.
    pub(crate) life: u64,
}

impl Builder<'_> {
    pub(crate) fn build(&self, name: &str) -> Result<Platform, Error> {
        let name = PLATFORMS.into_iter().find(|known| *known == name).ok_or_else(|| {
            let known = PLATFORMS.join(", ");
            Error::Config { reason: format!("there is no platform {name:?}, only {known}") }
        })?;
        let (issuer, claims) = self.identity(name);
        let token = |audience: &Value| self.platforms.mint(issuer, audience, &claims, self.life);
        let (secret, base) = (self.platforms.secret(), self.sandbox.platforms_url());
        let metadata = base.strip_prefix("http://").unwrap_or(base);
        let mut env: Vec<(&str, String)> = Vec::new();
        let mut files = Vec::new();
        match name {
            "github" => env.extend([
                ("GITHUB_ACTIONS", "true".to_owned()),
                (
                    "ACTIONS_ID_TOKEN_REQUEST_URL",
                    format!("{}{}", self.sandbox.github_url(), Github::PATH),
                ),
                (
                    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
                    self.sandbox.github().request_token().to_owned(),
                ),
            ]),
            "forgejo" => env.extend([
                ("FORGEJO_ACTIONS", "true".to_owned()),
                ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{base}{FORGEJO_PATH}?placeholder=true")),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", secret.to_owned()),
            ]),
            "gitlab" => env.extend([
                ("GITLAB_CI", "true".to_owned()),
                ("SIGSTORE_ID_TOKEN", token(&json!("sigstore"))?),
            ]),
            "buildkite" => env.extend([
                ("BUILDKITE", "true".to_owned()),
                ("BUILDKITE_AGENT_ACCESS_TOKEN", secret.to_owned()),
                ("BUILDKITE_AGENT_ENDPOINT", format!("{base}/buildkite/v3")),
                ("BUILDKITE_JOB_ID", BUILDKITE_JOB.to_owned()),
            ]),
            "buildkite-cli" => env.extend([
                ("BUILDKITE", "true".to_owned()),
                (
                    "PATH",
                    self.program("buildkite-agent", BUILDKITE_AGENT, &token(&json!("sigstore"))?)?,
                ),
            ]),
            "circleci" => env.extend([
                ("CIRCLECI", "true".to_owned()),
                ("PATH", self.program("circleci", CIRCLECI, &token(&json!("sigstore"))?)?),
                ("CIRCLE_OIDC_TOKEN", token(&json!("3ed6f5b3-0000-4000-8000-000000000001"))?),
            ]),
            "codefresh" => env.extend([
                ("CF_BUILD_ID", "65e7ac21da5b1a2b3c4d5e6f".to_owned()),
                ("CF_OIDC_REQUEST_URL", format!("{base}/codefresh/token")),
                ("CF_OIDC_REQUEST_TOKEN", secret.to_owned()),
            ]),
            "buddy" => env.extend([
                ("BUDDY", "true".to_owned()),
                ("SIGSTORE_ID_TOKEN", token(&json!("sigstore"))?),
            ]),
            "azure-pipelines" => env.extend([
                ("TF_BUILD", "True".to_owned()),
                ("SYSTEM_OIDCREQUESTURI", format!("{base}/azure-pipelines/oidctoken")),
                ("SYSTEM_ACCESSTOKEN", secret.to_owned()),
                ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", AZURE_CONNECTION.to_owned()),
            ]),
            "bitbucket" => env.extend([
                ("BITBUCKET_BUILD_NUMBER", "61".to_owned()),
                ("BITBUCKET_STEP_OIDC_TOKEN", token(&json!(["sigstore"]))?),
            ]),
            "semaphore" => env.extend([
                ("SEMAPHORE", "true".to_owned()),
                ("SEMAPHORE_OIDC_TOKEN", token(&json!("https://acme.semaphoreci.com"))?),
            ]),
            "hcp-terraform" => env.extend([
                ("TFC_RUN_ID", "run-6f2c1e8b".to_owned()),
                ("TFC_WORKLOAD_IDENTITY_TOKEN", token(&json!("sigstore"))?),
            ]),
            "vercel" => env.extend([
                ("VERCEL", "1".to_owned()),
                ("VERCEL_OIDC_TOKEN", token(&json!("https://vercel.com/acme"))?),
            ]),
            "fly" => {
                env.push(("FLY_APP_NAME", "app".to_owned()));
                files.push((PathBuf::from("/.fly/api"), self.fly_socket.to_owned()));
            }
            "gce" | "gke" => env.push(("GCE_METADATA_HOST", metadata.to_owned())),
            "cloud-run" => env.extend([
                ("K_SERVICE", "app".to_owned()),
                ("K_REVISION", "app-00001".to_owned()),
                ("GCE_METADATA_HOST", metadata.to_owned()),
            ]),
            "google-impersonation" => env.extend([
                ("GCE_METADATA_HOST", metadata.to_owned()),
                ("GOOGLE_SERVICE_ACCOUNT_NAME", SIGNER.to_owned()),
                ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", format!("{base}/")),
            ]),
            "google-adc" => {
                let file = json!({
                    "type": "impersonated_service_account",
                    "service_account_impersonation_url": format!(
                        "{base}/v1/projects/-/serviceAccounts/{SIGNER}:generateAccessToken"
                    ),
                    "source_credentials": {
                        "type": "authorized_user",
                        "client_id": "sandbox",
                        "client_secret": "sandbox",
                        "refresh_token": secret,
                    },
                });
                let path = self.write(name, "credentials.json", &file.to_string())?;
                env.extend([
                    ("GOOGLE_APPLICATION_CREDENTIALS", path.display().to_string()),
                    ("CLOUDSDK_AUTH_TOKEN_HOST", format!("{base}/google/token")),
                ]);
            }
            "kubernetes" | "kubernetes-file" => {
                let cluster = self.sandbox.cluster_address();
                env.extend([
                    ("KUBERNETES_SERVICE_HOST", cluster.ip().to_string()),
                    ("KUBERNETES_SERVICE_PORT", cluster.port().to_string()),
                ]);
                let directory = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
                let api = self.sandbox.cluster();
                let (namespace, _) = claims::SERVICE_ACCOUNT;
                for (file, content) in [
                    ("token", api.own_token()?.as_str()),
                    ("ca.crt", self.sandbox.cluster_authority()),
                    ("namespace", namespace),
                ] {
                    files.push((directory.join(file), self.write(name, file, content)?));
                }
                if name == "kubernetes-file" {
                    let path = "/var/run/sigstore/cosign/oidc-token";
                    let projected = api.projected_token("sigstore")?;
                    files.push((path.into(), self.write(name, "oidc-token", &projected)?));
                }
            }
            "aws" => env.extend([
                ("AWS_REGION", "eu-central-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", "AKIASANDBOX".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
                ("AWS_ENDPOINT_URL_STS", format!("{base}/aws/")),
            ]),
            "azure-app-service" => env.extend([
                ("IDENTITY_ENDPOINT", format!("{base}/azure/msi/token")),
                ("IDENTITY_HEADER", secret.to_owned()),
            ]),
            "spiffe" => env.push(("SPIFFE_ENDPOINT_SOCKET", self.spiffe_uri.clone())),
            "token-file" => {
                let path = self.write(name, "token", &(token(&json!(["sigstore"]))? + "\n"))?;
                env.push(("SIGSTORE_OIDC_TOKEN_FILE", path.display().to_string()));
            }
            "chainguard" => {
                let directory = format!("{name}/cache/chainguard/sigstore");
                self.write(&directory, "oidc-token", &token(&json!("sigstore"))?)?;
                let cache = self.directory.join(name).join("cache");
                env.push(("XDG_CACHE_HOME", cache.display().to_string()));
            }
            _ => env.push(("SIGSTORE_ID_TOKEN", token(&json!("sigstore"))?)),
        }
        Ok(Platform {
            name,
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            files,
            issuer: self.sandbox.issuer_url(issuer),
            claims,
            trusted: !UNTRUSTED_ISSUERS.contains(&issuer),
        })
    }

    /// The issuer of a platform's tokens, and what they say.
    fn identity(&self, name: &str) -> (&'static str, Map<String, Value>) {
        match name {
            "github" => ("github", claims::github(self.sandbox.github().job())),
            "forgejo" => ("forgejo", claims::forgejo()),
            "gitlab" => ("gitlab", claims::gitlab()),
            "buildkite" | "buildkite-cli" => ("buildkite", claims::buildkite()),
            "circleci" => ("circleci", claims::circleci()),
            "codefresh" => ("codefresh", claims::codefresh()),
            "buddy" => ("buddy", claims::buddy()),
            "azure-pipelines" => ("azure", claims::subject("sc://acme/app/signing")),
            "azure-app-service" => {
                ("azure", claims::subject("6f2c1e8b-0000-4000-8000-00000000000b"))
            }
            "bitbucket" => ("bitbucket", claims::subject("{0b1c}:{2d3e}")),
            "semaphore" => ("semaphore", claims::subject("org:acme:project:1:repo:app")),
            "hcp-terraform" => (
                "terraform",
                claims::subject("organization:acme:project:p:workspace:app:run_phase:apply"),
            ),
            "vercel" => {
                ("vercel", claims::subject("owner:acme:project:app:environment:production"))
            }
            "fly" => ("fly", claims::subject("acme:app:builder")),
            "gce" | "gke" | "cloud-run" => ("email", claims::google(claims::MACHINE)),
            "google-impersonation" | "google-adc" => ("email", claims::google(SIGNER)),
            "kubernetes" | "kubernetes-file" | "token-file" => ("kubernetes", claims::kubernetes()),
            "aws" => ("aws", claims::subject("arn:aws:iam::123456789012:role/builder")),
            "spiffe" => {
                let registrations = self.sandbox.agent().registrations();
                let id = registrations.first().map(|first| first.spiffe_id.to_string());
                ("spiffe", claims::subject(&id.unwrap_or_default()))
            }
            "chainguard" => ("chainguard", claims::chainguard()),
            _ => ("email", claims::person()),
        }
    }

    /// A search path on which `program` is, which prints `token`.
    fn program(&self, program: &str, script: &str, token: &str) -> Result<String, Error> {
        let token = self.write(program, "token", token)?;
        let fails = if self.platforms.has(Fault::HelperFails) { "1" } else { "" };
        let script = script
            .replace("@FAILS@", fails)
            .replace("@TOKEN@", &token.display().to_string().replace('\'', r"'\''"));
        let path = self.write(&format!("{program}/bin"), program, &script)?;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).map_err(file_error(&path))?;
        let directory = path.parent().unwrap_or(&path).display();
        Ok(format!("{directory}:/usr/bin:/bin"))
    }

    fn write(&self, directory: &str, name: &str, content: &str) -> Result<PathBuf, Error> {
        let directory = self.directory.join(directory);
        std::fs::create_dir_all(&directory).map_err(file_error(&directory))?;
        let path = directory.join(name);
        std::fs::write(&path, content).map_err(file_error(&path))?;
        Ok(path)
    }
}

impl Platform {
    /// The audience of its tokens where it is fixed.
    pub fn fixed_audience(&self) -> Option<&'static str> {
        match self.name {
            "azure-pipelines" => Some(AZURE_AUDIENCE),
            "semaphore" => Some("https://acme.semaphoreci.com"),
            "vercel" => Some("https://vercel.com/acme"),
            _ => None,
        }
    }
}

/// Since version 3.104 the agent wants to keep the token out of the job's log first.
const BUILDKITE_AGENT: &str = r#"#!/bin/sh
# Stands for the program that Buildkite puts into its jobs.
if [ -n '@FAILS@' ]; then
    echo 'fatal: could not obtain OIDC token: POST /oidc/tokens: 403 Forbidden' >&2
    exit 1
fi
case "$*" in
    'oidc request-token --audience sigstore')
        if [ -z "$BUILDKITE_AGENT_JOB_API_SOCKET" ]; then
            echo 'fatal: failed to redact the token: BUILDKITE_AGENT_JOB_API_SOCKET is empty' >&2
            exit 1
        fi
        ;;
    'oidc request-token --audience sigstore --skip-redaction') ;;
    *)
        echo "fatal: unexpected arguments: $*" >&2
        exit 1
        ;;
esac
cat '@TOKEN@'
echo
"#;

const CIRCLECI: &str = r#"#!/bin/sh
# Stands for the program that CircleCI puts into its jobs.
if [ -n '@FAILS@' ]; then
    echo 'Error: unknown command "oidc" for "circleci run"' >&2
    exit 255
fi
# Flags come in any order, and JSON with or without spaces.
case " $(printf %s "$*" | tr -d ' ') " in
    ' runoidcget--root-issuer--claims{"aud":"sigstore"} ' | \
        ' runoidcget--claims{"aud":"sigstore"}--root-issuer ') ;;
    *)
        echo "Error: unexpected arguments: $*" >&2
        exit 255
        ;;
esac
cat '@TOKEN@'
echo
"#;
