//! SLSA provenance v1 (slsa.dev/spec/v1.0/provenance) of the job that signs.
//!
//! What is certified and what the job says of itself stand apart. Every field outside
//! `internalParameters.claimedByTheJob` and the caller's own parameters is taken from the
//! certificate: a verifier of the attestation can compare them.

use host::Env;
use serde_json::{Map, Value, json};
use x509::{Certificate, oid};

use crate::attestation::Attestation;
use crate::error::Error;

/// SLSA provenance v1 of the job that `certificate` was issued to.
///
/// `env` is the environment of the job, from which some facts are added as the job's own claims.
/// `parameters` are added to the external parameters of the build.
///
/// # Errors
/// [`Error::Statement`]: the certificate is malformed, or a parameter has the name of one that the
/// certificate gives.
pub fn provenance(
    certificate: &Certificate,
    env: &dyn Env,
    parameters: Map<String, Value>,
) -> Result<Attestation, Error> {
    let facts = Facts::of(certificate)?;
    let is_github = facts.get(oid::GITHUB_WORKFLOW_REPOSITORY).is_some();
    let (build_type, mut external, mut internal) = match is_github {
        true => (GITHUB_BUILD, facts.github_workflow(), facts.github_details()),
        false => (JOB_BUILD, facts.job(), facts.job_details()),
    };
    for (name, value) in parameters {
        if external.contains_key(&name) {
            let reason = "the certificate gives the parameter of this name; choose another one";
            return Err(wrong(&format!("the provenance parameter {name:?}"), reason));
        }
        external.insert(name, value);
    }
    let claimed = claimed(env);
    if !claimed.is_empty() {
        internal.insert("claimedByTheJob".to_owned(), claimed.into());
    }
    let mut run = json!({ "builder": { "id": facts.builder() } });
    if let Some(url) = facts.get(oid::RUN_INVOCATION_URI) {
        run["metadata"] = json!({ "invocationId": url });
    }
    let predicate = json!({
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": external,
            "internalParameters": internal,
            "resolvedDependencies": facts.source().into_iter().collect::<Vec<_>>(),
        },
        "runDetails": run,
    });
    Attestation::predicate(PREDICATE_TYPE, predicate.to_string().into_bytes())
}

/// What the certificate says.
struct Facts {
    subject: String,
    issuer: String,
    extensions: Vec<(String, String)>,
}

impl Facts {
    fn of(certificate: &Certificate) -> Result<Self, Error> {
        let malformed = |error: x509::Error| wrong("provenance", &host::with_causes(&error));
        let extensions = certificate.fulcio_extensions().map_err(malformed)?;
        Ok(Self {
            subject: certificate.subject_name().map_err(malformed)?.as_str().to_owned(),
            issuer: certificate.oidc_issuer().map_err(malformed)?.unwrap_or_default(),
            extensions: extensions.into_iter().map(|it| (it.oid, it.value)).collect(),
        })
    }

    fn get(&self, oid: &str) -> Option<&str> {
        let found = self.extensions.iter().find(|(other, _)| other == oid);
        // One platform's template writes two quotation marks for an absent claim.
        found.map(|(_, value)| value.as_str()).filter(|value| !["", "\"\""].contains(value))
    }

    /// The build instructions that signed, else the identity.
    fn builder(&self) -> String {
        match self.get(oid::BUILD_SIGNER_URI) {
            Some(url) => url.to_owned(),
            None if self.subject.contains("://") => self.subject.clone(),
            None => format!("{}#{}", self.issuer, self.subject),
        }
    }

    /// The source, as a resource descriptor.
    fn source(&self) -> Option<Value> {
        let repository = self.get(oid::SOURCE_REPOSITORY_URI);
        let commit = self.get(oid::SOURCE_REPOSITORY_DIGEST);
        let mut descriptor = Map::new();
        if let Some(repository) = repository {
            let scheme = if repository.contains("://") { "git+" } else { "git+https://" };
            let at = self.get(oid::SOURCE_REPOSITORY_REF).map(|it| format!("@{it}"));
            let uri = format!("{scheme}{repository}{}", at.unwrap_or_default());
            descriptor.insert("uri".to_owned(), uri.into());
        }
        if let Some(commit) = commit {
            descriptor.insert("digest".to_owned(), json!({ "gitCommit": commit }));
        }
        (!descriptor.is_empty()).then(|| descriptor.into())
    }

    /// The external parameters of GitHub's build type.
    fn github_workflow(&self) -> Map<String, Value> {
        let repository = self.get(oid::SOURCE_REPOSITORY_URI).unwrap_or_default();
        let config = self.get(oid::BUILD_CONFIG_URI).unwrap_or_default();
        let file = config.strip_prefix(repository).unwrap_or(config).trim_start_matches('/');
        // The reference may contain an `@`, the path of a workflow does not.
        let (path, at) = file.split_once('@').unwrap_or((file, ""));
        let workflow = json!({ "repository": repository, "ref": at, "path": path });
        Map::from_iter([("workflow".to_owned(), workflow)])
    }

    /// The internal parameters of GitHub's build type.
    fn github_details(&self) -> Map<String, Value> {
        let details = self.all(&[
            ("event_name", oid::BUILD_TRIGGER),
            ("repository_id", oid::SOURCE_REPOSITORY_IDENTIFIER),
            ("repository_owner_id", oid::SOURCE_REPOSITORY_OWNER_IDENTIFIER),
            ("runner_environment", oid::RUNNER_ENVIRONMENT),
        ]);
        Map::from_iter([("github".to_owned(), details.into())])
    }

    /// The external parameters of any other job.
    fn job(&self) -> Map<String, Value> {
        self.all(&[
            ("repository", oid::SOURCE_REPOSITORY_URI),
            ("ref", oid::SOURCE_REPOSITORY_REF),
            ("config", oid::BUILD_CONFIG_URI),
        ])
    }

    /// The internal parameters of any other job.
    fn job_details(&self) -> Map<String, Value> {
        let mut details = self.all(&[
            ("trigger", oid::BUILD_TRIGGER),
            ("runnerEnvironment", oid::RUNNER_ENVIRONMENT),
            ("repositoryId", oid::SOURCE_REPOSITORY_IDENTIFIER),
            ("ownerId", oid::SOURCE_REPOSITORY_OWNER_IDENTIFIER),
            ("configDigest", oid::BUILD_CONFIG_DIGEST),
            ("deploymentEnvironment", oid::DEPLOYMENT_ENVIRONMENT),
            ("tokenSubject", oid::TOKEN_SUBJECT),
        ]);
        details.insert("identity".to_owned(), self.subject.clone().into());
        details.insert("issuer".to_owned(), self.issuer.clone().into());
        details
    }

    fn all(&self, names: &[(&str, &str)]) -> Map<String, Value> {
        let value = |(name, oid): &(&str, &str)| Some(((*name).to_owned(), self.get(oid)?.into()));
        names.iter().filter_map(value).collect()
    }
}

/// What the job says of itself. The certificate does not confirm it.
fn claimed(env: &dyn Env) -> Map<String, Value> {
    let platform = PLATFORMS.iter().find(|(marker, _)| env.var(marker).is_some());
    let names = platform.map_or(&[][..], |(_, names)| names);
    names.iter().filter_map(|name| Some(((*name).to_owned(), env.var(name)?.into()))).collect()
}

fn wrong(what: &str, reason: &str) -> Error {
    Error::Statement { what: what.to_owned(), reason: reason.to_owned() }
}

/// A variable that marks the platform, and variables that say something about the build. None of
/// them is a secret.
const PLATFORMS: [(&str, &[&str]); 5] = [
    (
        "GITHUB_ACTIONS",
        &[
            "GITHUB_ACTOR",
            "GITHUB_RUN_NUMBER",
            "GITHUB_JOB",
            "RUNNER_NAME",
            "RUNNER_OS",
            "RUNNER_ARCH",
        ],
    ),
    (
        "GITLAB_CI",
        &[
            "CI_JOB_NAME",
            "CI_JOB_IMAGE",
            "CI_JOB_STARTED_AT",
            "CI_PIPELINE_CREATED_AT",
            "CI_RUNNER_ID",
            "CI_RUNNER_DESCRIPTION",
            "CI_RUNNER_VERSION",
        ],
    ),
    (
        "BUILDKITE",
        &[
            "BUILDKITE_BUILD_NUMBER",
            "BUILDKITE_BUILD_URL",
            "BUILDKITE_BRANCH",
            "BUILDKITE_TAG",
            "BUILDKITE_REPO",
            "BUILDKITE_STEP_KEY",
            "BUILDKITE_AGENT_NAME",
        ],
    ),
    (
        "CIRCLECI",
        &[
            "CIRCLE_BUILD_NUM",
            "CIRCLE_BUILD_URL",
            "CIRCLE_JOB",
            "CIRCLE_BRANCH",
            "CIRCLE_TAG",
            "CIRCLE_SHA1",
            "CIRCLE_REPOSITORY_URL",
        ],
    ),
    // Cloud Build sets no variable by itself: these are what its documentation maps.
    (
        "BUILD_ID",
        &[
            "BUILD_ID",
            "PROJECT_ID",
            "LOCATION",
            "TRIGGER_NAME",
            "REPO_NAME",
            "REF_NAME",
            "COMMIT_SHA",
        ],
    ),
];

const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// GitHub's own build type for a workflow.
const GITHUB_BUILD: &str = "https://actions.github.io/buildtypes/workflow/v1";

/// Described in docs/provenance.md.
const JOB_BUILD: &str =
    "https://github.com/ambisign/ambisign/blob/main/docs/provenance.md#a-job-v1";

#[cfg(test)]
mod tests {
    use super::*;

    /// What Fulcio issued for the recorded `case`, and the claims of its token.
    fn recorded(case: &str) -> (Certificate, Value) {
        let all = include_str!("../../../tests/fixtures/captures/fulcio/issued.json");
        let all: Vec<Value> = serde_json::from_str(all).unwrap();
        let found = all.into_iter().find(|it| it["case"] == case).unwrap();
        let pem = found["pem"].as_str().unwrap();
        (Certificate::from_pem(pem).unwrap(), found["claims"].clone())
    }

    fn predicate<const N: usize>(
        case: &str,
        env: [(&str, &str); N],
        parameters: Value,
    ) -> (Value, Value) {
        let (certificate, claims) = recorded(case);
        let Value::Object(parameters) = parameters else { panic!() };
        let made = provenance(&certificate, &env, parameters).unwrap();
        assert_eq!(made.predicate_type(), PREDICATE_TYPE);
        let statement = made.statement(vec![bundle::Subject::default()]).unwrap();
        let predicate = statement.predicate();
        let schema = include_str!("../../../tests/fixtures/slsa/provenance.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        conforms(&predicate, ".in_toto_attestation.predicates.provenance.v1.Provenance", &schema);
        (predicate, claims)
    }

    /// Demands that `value` is a message of the type `name`: known fields with values of their types.
    fn conforms(value: &Value, name: &str, schema: &Value) {
        let message = match name {
            ".google.protobuf.Struct" => return assert!(value.is_object(), "{value}"),
            ".google.protobuf.Timestamp" => return assert!(value.is_string(), "{value}"),
            name => message(name, schema).unwrap_or_else(|| panic!("{name} is not in the schema")),
        };
        let fields = message["field"].as_array().unwrap();
        let Value::Object(members) = value else { panic!("{name}: {value}") };
        if message["options"]["mapEntry"] == true {
            return assert!(members.values().all(Value::is_string), "{value}");
        }
        for (member, value) in members {
            let camel = |field: &&Value| {
                let mut words = field["name"].as_str().unwrap().split('_');
                let first = words.next().unwrap().to_owned();
                words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
                    == *member
            };
            let field = fields.iter().find(camel);
            let field = field.unwrap_or_else(|| panic!("{name} has no field {member}"));
            let Some(of) = field["typeName"].as_str() else {
                assert!(value.is_string(), "{name}.{member}: {value}");
                continue;
            };
            let is_map = message_is_map(of, schema);
            match (field["label"] == "LABEL_REPEATED" && !is_map, value) {
                (true, Value::Array(all)) => all.iter().for_each(|it| conforms(it, of, schema)),
                (false, value) => conforms(value, of, schema),
                (true, value) => panic!("{name}.{member}: {value}"),
            }
        }
    }

    fn message_is_map(name: &str, schema: &Value) -> bool {
        message(name, schema).is_some_and(|message| message["options"]["mapEntry"] == true)
    }

    fn message<'a>(name: &str, schema: &'a Value) -> Option<&'a Value> {
        schema.as_array()?.iter().find_map(|file| {
            let rest = name.strip_prefix(&format!(".{}.", file["package"].as_str()?))?;
            let mut names = rest.split('.');
            let named = |list: &'a Value, name: &str| {
                list.as_array()?.iter().find(|message| message["name"] == name)
            };
            let first = named(&file["messageType"], names.next()?);
            names.fold(first, |found, name| named(&found?["nestedType"], name))
        })
    }

    #[test]
    fn the_provenance_of_a_github_job_is_what_its_token_claims() {
        let env = [("GITHUB_ACTIONS", "true"), ("RUNNER_OS", "Linux"), ("GITHUB_TOKEN", "ghs_x")];
        let (made, claims) = predicate("github", env, json!({ "variant": "full" }));
        let claim = |name: &str| claims[name].as_str().unwrap().to_owned();
        let definition = &made["buildDefinition"];
        let workflow = &definition["externalParameters"]["workflow"];
        let repository = format!("https://github.com/{}", claim("repository"));
        assert_eq!(workflow["repository"], repository.as_str());
        assert_eq!(workflow["ref"], claim("ref").as_str());
        assert_eq!(workflow["path"], ".github/workflows/release.yml");
        assert_eq!(definition["externalParameters"]["variant"], "full");
        let github = &definition["internalParameters"]["github"];
        for name in ["event_name", "repository_id", "repository_owner_id", "runner_environment"] {
            assert_eq!(github[name], claims[name], "{name}");
        }
        assert_eq!(
            definition["resolvedDependencies"],
            json!([{
                "uri": format!("git+{repository}@{}", claim("ref")),
                "digest": { "gitCommit": claim("sha") },
            }])
        );
        let builder = format!("https://github.com/{}", claim("job_workflow_ref"));
        assert_eq!(made["runDetails"]["builder"]["id"], builder.as_str());
        let run = format!(
            "{repository}/actions/runs/{}/attempts/{}",
            claim("run_id"),
            claim("run_attempt")
        );
        assert_eq!(made["runDetails"]["metadata"]["invocationId"], run.as_str());
        // What the job says of itself stands apart, and no secret is among it.
        let claimed = &definition["internalParameters"]["claimedByTheJob"];
        assert_eq!(claimed, &json!({ "RUNNER_OS": "Linux" }));
    }

    #[test]
    fn the_provenance_of_other_jobs_is_what_their_tokens_claim() {
        let (gitlab, claims) =
            predicate("gitlab", [("GITLAB_CI", "true"), ("CI_RUNNER_ID", "7")], json!({}));
        let definition = &gitlab["buildDefinition"];
        assert_eq!(definition["buildType"], JOB_BUILD);
        assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], claims["sha"]);
        let config = format!("https://{}", claims["ci_config_ref_uri"].as_str().unwrap());
        assert_eq!(gitlab["runDetails"]["builder"]["id"], config.as_str());
        assert_eq!(definition["internalParameters"]["repositoryId"], claims["project_id"]);
        assert_eq!(
            definition["internalParameters"]["claimedByTheJob"],
            json!({ "CI_RUNNER_ID": "7" })
        );

        let (buildkite, claims) = predicate("buildkite", [], json!({}));
        let dependency = &buildkite["buildDefinition"]["resolvedDependencies"][0];
        assert_eq!(dependency, &json!({ "digest": { "gitCommit": claims["build_commit"] } }));
        let pipeline = format!(
            "https://buildkite.com/{}/{}",
            claims["organization_slug"].as_str().unwrap(),
            claims["pipeline_slug"].as_str().unwrap()
        );
        assert_eq!(buildkite["runDetails"]["builder"]["id"], pipeline.as_str());

        let (circleci, claims) = predicate("circleci", [], json!({}));
        let origin = claims["oidc.circleci.com/vcs-origin"].as_str().unwrap();
        let dependency = &circleci["buildDefinition"]["resolvedDependencies"][0];
        assert_eq!(dependency, &json!({ "uri": format!("git+https://{origin}@refs/heads/main") }));
        assert!(circleci["buildDefinition"]["internalParameters"]["runnerEnvironment"].is_null());

        let env = [("BUILD_ID", "b1"), ("COMMIT_SHA", "c0ffee")];
        let (cloud_build, claims) = predicate("email-google-sa", env, json!({}));
        let builder =
            format!("{}#{}", claims["iss"].as_str().unwrap(), claims["email"].as_str().unwrap());
        assert_eq!(cloud_build["runDetails"]["builder"]["id"], builder.as_str());
        assert_eq!(
            cloud_build["buildDefinition"]["internalParameters"]["claimedByTheJob"]["COMMIT_SHA"],
            "c0ffee"
        );
        assert_eq!(cloud_build["buildDefinition"]["resolvedDependencies"], json!([]));
    }

    #[test]
    #[should_panic(expected = "BuildDefinition has no field buildTypo")]
    fn what_the_schema_does_not_know_is_noticed() {
        let schema = include_str!("../../../tests/fixtures/slsa/provenance.json");
        let schema = serde_json::from_str(schema).unwrap();
        let wrong = json!({ "buildDefinition": { "buildTypo": "x" } });
        conforms(&wrong, ".in_toto_attestation.predicates.provenance.v1.Provenance", &schema);
    }

    #[test]
    fn a_parameter_does_not_replace_what_is_certified() {
        let (certificate, _) = recorded("github");
        let parameters = Map::from_iter([("workflow".to_owned(), Value::Null)]);
        let env: [(&str, &str); 0] = [];
        let error = provenance(&certificate, &env, parameters).unwrap_err().to_string();
        assert!(
            error.starts_with("the provenance parameter \"workflow\" cannot be signed"),
            "{error}"
        );
    }
}
