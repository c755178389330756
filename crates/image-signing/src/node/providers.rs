//! Credentials of a registry from the programs that kubelet asks for them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, FileError, Host, Invocation};
use oci_push::{Ambient, AmbientCredentials, Credentials};
use serde::Deserialize;
use serde_json::json;

use crate::image::Image;
use crate::node::credential_provider::{Config, Provider};
use crate::node::match_image::matches;

/// kubelet's credential providers, for one image: for
/// [`oci_push::Options::with_ambient_credentials`].
pub struct CredentialProviders {
    host: Host,
    config: PathBuf,
    programs: PathBuf,
    /// The registry, and the repository with it.
    registry: String,
    repository: String,
    otherwise: Arc<dyn AmbientCredentials>,
}

impl CredentialProviders {
    /// The programs of the directory `programs` that the file `config` names, as kubelet's flags
    /// `--image-credential-provider-config` and `--image-credential-provider-bin-dir` have them. A
    /// file that is missing names none. Where none is for `image`, `otherwise` is asked.
    pub fn new(
        host: &Host,
        config: &Path,
        programs: &Path,
        image: &Image,
        otherwise: Arc<dyn AmbientCredentials>,
    ) -> Self {
        let repository = image.reference().repository();
        Self {
            host: host.clone(),
            config: config.to_owned(),
            programs: programs.to_owned(),
            registry: repository.registry().to_owned(),
            repository: repository.to_string(),
            otherwise,
        }
    }

    async fn ask(&self, registry: &str) -> Result<Option<Ambient>, String> {
        let shown = self.config.display();
        let bytes = match self.host.env.read(&self.config, CONFIG_CAP).await {
            Err(FileError::NotFound { .. }) => return self.otherwise.find(registry).await,
            read => read.map_err(|error| host::with_causes(&error))?,
        };
        let config = Config::parse(&bytes).map_err(|reason| format!("{shown}: {reason}"))?;
        let is_for = |provider: &&Provider| {
            let mut patterns = provider.match_images.iter();
            registry == self.registry && patterns.any(|it| matches(it, &self.repository))
        };
        for provider in config.providers.iter().filter(is_for) {
            if let Some(credentials) = self.run(provider).await? {
                let (origin, lifetime) = (provider.name.clone(), LIFETIME);
                return Ok(Some(Ambient { credentials, origin, lifetime }));
            }
        }
        self.otherwise.find(registry).await
    }

    async fn run(&self, provider: &Provider) -> Result<Option<Credentials>, String> {
        let Provider { name, api_version, .. } = provider;
        if provider.token_attributes.is_some() {
            return Err(format!(
                "the credential provider {name} needs the token of a pod, which only kubelet has"
            ));
        }
        let request = json!({
            "apiVersion": api_version,
            "kind": "CredentialProviderRequest",
            "image": self.repository,
        });
        let variables = provider.env.iter().map(|it| (it.name.clone(), it.value.clone()));
        let run = Invocation::new(self.programs.join(name), &provider.args)
            .with_stdin(request.to_string())
            .without(id_token::SECRET_VARIABLES)
            .with_variables(variables)
            .with_deadline(DEADLINE)
            .with_output_cap(OUTPUT_CAP);
        let output = self.host.programs.run(run).await;
        let output = output.map_err(|error| {
            format!("the credential provider did not run: {}", host::with_causes(&error))
        })?;
        if output.code != Some(0) {
            let said = host::escape_remote(String::from_utf8_lossy(&output.stderr).trim());
            return Err(format!("the credential provider {name} failed: {said}"));
        }
        // The words of the parser may quote a secret.
        let response: Response = serde_json::from_slice(&output.stdout).map_err(|error| {
            format!(
                "the answer of the credential provider {name} cannot be read: column {}",
                error.column()
            )
        })?;
        // The last in order is the longest of those that begin alike, as kubelet has it.
        let auth = response.auth.unwrap_or_default();
        let found = auth.into_iter().rev().find(|(pattern, _)| matches(pattern, &self.repository));
        let given = found.map(|(_, auth)| auth).filter(|auth| !auth.password.is_empty());
        Ok(given.map(|auth| Credentials::basic(auth.username, auth.password)))
    }
}

impl AmbientCredentials for CredentialProviders {
    fn find<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Result<Option<Ambient>, String>> {
        Box::pin(self.ask(registry))
    }
}

impl fmt::Debug for CredentialProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialProviders").field("config", &self.config).finish_non_exhaustive()
    }
}

/// It holds secrets.
#[derive(Deserialize)]
struct Response {
    auth: Option<BTreeMap<String, Auth>>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// In bytes.
const CONFIG_CAP: usize = 1 << 20;
const OUTPUT_CAP: usize = 1 << 20;
const DEADLINE: Duration = Duration::from_secs(30);
/// One process asks about one image.
const LIFETIME: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use host::{FakeEnv, NoPrograms, ProgramError, ProgramOutput};
    use host::{bytes::Bytes, http};

    use super::*;

    const CONFIG: &str = r#"{"kind": "CredentialProviderConfig", "providers": [
        {"name": "ecr", "matchImages": ["*.example.com"], "args": ["get"],
         "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
         "env": [{"name": "REGION", "value": "x"}]}]}"#;

    #[derive(Debug)]
    struct Nothing;

    impl AmbientCredentials for Nothing {
        fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Ambient>, String>> {
            Box::pin(std::future::ready(Ok(None)))
        }
    }

    fn ask(
        programs: Arc<dyn host::Programs>,
        config: &str,
        image: &str,
        registry: &str,
    ) -> Result<Option<Ambient>, String> {
        let network = |_: http::Request<Bytes>| -> Result<http::Response<Bytes>, _> {
            Err(host::TransportError::Unusable { url: String::new(), reason: String::new() })
        };
        let clock = std::time::SystemTime::UNIX_EPOCH;
        let env = FakeEnv::new().with_file("/c.json", config);
        let host = Host::new(Arc::new(network), Arc::new(env), Arc::new(clock), programs);
        let (image, otherwise) = (Image::parse(image).unwrap(), Arc::new(Nothing));
        let (config, programs) = (Path::new("/c.json"), Path::new("/bin"));
        let providers = CredentialProviders::new(&host, config, programs, &image, otherwise);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(providers.find(registry))
    }

    fn answering(code: i32, stdout: &'static str) -> Arc<dyn host::Programs> {
        Arc::new(move |run: Invocation| -> Result<ProgramOutput, ProgramError> {
            assert_eq!(
                (run.program.to_str(), run.args.as_slice()),
                (Some("/bin/ecr"), &["get".to_owned()][..])
            );
            assert_eq!(run.variables, [("REGION".to_owned(), "x".to_owned())]);
            let request: serde_json::Value = serde_json::from_slice(&run.stdin).unwrap();
            assert_eq!(request["image"], "a.example.com/team/app");
            assert_eq!(request["kind"], "CredentialProviderRequest");
            let (stdout, stderr) = (stdout.into(), b"no identity".to_vec());
            Ok(ProgramOutput { code: Some(code), stdout, stderr })
        })
    }

    #[test]
    fn the_program_for_the_image_is_asked_and_its_longest_pattern_wins() {
        let answer = r#"{"kind":"CredentialProviderResponse","auth":{
            "*.example.com":{"username":"u","password":"hunter1"},
            "*.example.com/team":{"username":"v","password":"hunter2"}}}"#;
        let image = "a.example.com/team/app:v1";
        let found = ask(answering(0, answer), CONFIG, image, "a.example.com").unwrap().unwrap();
        assert_eq!(found.origin, "ecr");
        let Credentials::Basic { username, .. } = found.credentials else { panic!("not a pair") };
        assert_eq!(username, "v");
        let none = ask(answering(0, r#"{"auth":{}}"#), CONFIG, image, "a.example.com").unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn nothing_is_asked_for_another_registry_or_without_a_configuration() {
        let programs = || Arc::new(NoPrograms);
        let image = "a.example.com/team/app";
        assert!(ask(programs(), CONFIG, image, "b.example.com").unwrap().is_none());
        assert!(ask(programs(), CONFIG, "other.test/app", "other.test").unwrap().is_none());
    }

    #[test]
    fn a_program_that_fails_is_told_without_what_it_wrote_to_stdout() {
        let image = "a.example.com/team/app";
        let failed = ask(answering(1, "hunter2"), CONFIG, image, "a.example.com").unwrap_err();
        assert_eq!(failed, "the credential provider ecr failed: no identity");
        let broken = ask(answering(0, "hunter2"), CONFIG, image, "a.example.com").unwrap_err();
        assert!(!broken.contains("hunter2"), "{broken}");
        let missing = ask(Arc::new(NoPrograms), CONFIG, image, "a.example.com").unwrap_err();
        assert!(missing.contains("was not found"), "{missing}");
        let pods = CONFIG.replace("\"args\"", "\"tokenAttributes\": {}, \"args\"");
        let refused = ask(Arc::new(NoPrograms), &pods, image, "a.example.com").unwrap_err();
        assert!(refused.contains("needs the token of a pod"), "{refused}");
    }
}
