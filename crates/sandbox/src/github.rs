//! The endpoint at which a GitHub job asks for its identity token.

use std::sync::Arc;

use bytes::Bytes;
use host::Clock;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::issuer::{Issuer, random};
use crate::platforms::misbehaviour::Misbehaviour;
use crate::service::{Service, json_answer};
use crate::{Error, Fault, Faults, State};

/// A job of a workflow, as far as its token tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubJob {
    /// `owner/name`.
    pub repository: String,
    /// `refs/heads/main` for example.
    pub git_ref: String,
    /// The workflow's file below `.github/workflows`.
    pub workflow_file: String,
    /// The commit.
    pub sha: String,
    /// What started the workflow.
    pub event: String,
}

impl Default for GithubJob {
    fn default() -> Self {
        Self {
            repository: "octo-org/octo-repo".to_owned(),
            git_ref: "refs/heads/main".to_owned(),
            workflow_file: "release.yml".to_owned(),
            sha: "f6bd1f7a0c0e4a3c2d1b9e8f7a6b5c4d3e2f1a0b".to_owned(),
            event: "push".to_owned(),
        }
    }
}

impl GithubJob {
    /// The identity that Fulcio certifies for this job.
    pub fn identity(&self) -> String {
        format!("https://github.com/{}", self.workflow_ref())
    }

    fn workflow_ref(&self) -> String {
        format!("{}/.github/workflows/{}@{}", self.repository, self.workflow_file, self.git_ref)
    }

    pub(crate) fn claims(&self) -> Map<String, Value> {
        let workflow_ref = self.workflow_ref();
        let owner = self.repository.split('/').next().unwrap_or_default();
        let kind = if self.git_ref.starts_with("refs/tags/") { "tag" } else { "branch" };
        let name = self.workflow_file.split('.').next().unwrap_or_default();
        let claims = json!({
            "actor": "octocat",
            "actor_id": "12",
            "base_ref": "",
            "event_name": self.event,
            "head_ref": "",
            "job_workflow_ref": workflow_ref,
            "job_workflow_sha": self.sha,
            "ref": self.git_ref,
            "ref_protected": "true",
            "ref_type": kind,
            "repository": self.repository,
            "repository_id": "74",
            "repository_owner": owner,
            "repository_owner_id": "65",
            "repository_visibility": "public",
            "run_attempt": "2",
            "run_id": "87654",
            "run_number": "10",
            "runner_environment": "github-hosted",
            "sha": self.sha,
            "sub": format!("repo:{}:ref:{}", self.repository, self.git_ref),
            "workflow": name,
            "workflow_ref": workflow_ref,
            "workflow_sha": self.sha,
        });
        match claims {
            Value::Object(claims) => claims,
            _ => Map::new(),
        }
    }
}

/// The token endpoint of one job.
pub struct Github {
    issuer: Arc<Issuer>,
    job: GithubJob,
    request_token: String,
    misbehaviour: Misbehaviour,
    clock: Arc<dyn Clock>,
}

impl Github {
    /// An endpoint that hands out `issuer`'s tokens for `job`. Its request token is kept in
    /// `state`.
    ///
    /// # Errors
    /// The request token cannot be made or read.
    pub fn new(
        issuer: Arc<Issuer>,
        job: GithubJob,
        faults: &Faults,
        clock: Arc<dyn Clock>,
        state: &State,
    ) -> Result<Self, Error> {
        let request_token = state.secret("github-request-token", || {
            random::<20>().map(|bytes| base16ct::lower::encode_string(&bytes))
        })?;
        let misbehaviour = Misbehaviour::new(faults);
        Ok(Self { issuer, job, request_token, misbehaviour, clock })
    }

    /// What `ACTIONS_ID_TOKEN_REQUEST_TOKEN` holds.
    pub fn request_token(&self) -> &str {
        &self.request_token
    }

    /// The job.
    pub fn job(&self) -> &GithubJob {
        &self.job
    }

    /// What follows the endpoint's address in `ACTIONS_ID_TOKEN_REQUEST_URL`. It has a query
    /// already, as GitHub's has, which is what trips clients that append `?audience=`.
    pub const PATH: &str = "/token?api-version=2.0";

    fn token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let query = request.uri().query().unwrap_or_default();
        let asked = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        if asked("api-version").is_none() {
            return problem(StatusCode::BAD_REQUEST, "No api-version was supplied");
        }
        let owner = self.job.repository.split('/').next().unwrap_or_default();
        let audience = asked("audience").unwrap_or_else(|| format!("https://github.com/{owner}"));
        match self.issuer.mint(&audience.into(), &self.job.claims(), self.clock.now()) {
            Ok(token) => json_answer(StatusCode::OK, &json!({ "count": 1, "value": token })),
            Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

impl Service for Github {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if self.misbehaviour.has(Fault::GithubUnavailable) {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        }
        if request.uri().path() != "/token" {
            return problem(StatusCode::NOT_FOUND, "Not Found");
        }
        if request.method() != Method::GET {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        }
        let authorization = request.headers().get(AUTHORIZATION);
        let bearer = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        if bearer != Some(self.request_token.as_str()) {
            return problem(StatusCode::UNAUTHORIZED, "The request token is missing or wrong");
        }
        self.misbehaviour.instead(&request).unwrap_or_else(|| self.token(&request))
    }
}

fn problem(status: StatusCode, message: &str) -> Response<Bytes> {
    json_answer(status, &json!({ "message": message }))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use id_token::IdToken;

    use super::*;

    fn github(faults: &[Fault]) -> Github {
        let state = State::in_memory();
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let issuer = Arc::new(Issuer::new("http://localhost:9/github", "github", &state).unwrap());
        let faults = faults.iter().copied().collect();
        Github::new(issuer, GithubJob::default(), &faults, Arc::new(clock), &state).unwrap()
    }

    fn ask(github: &Github, query: &str, authorization: Option<&str>) -> Response<Bytes> {
        let mut request = Request::get(format!("{}{query}", Github::PATH));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        github.handle(request.body(Bytes::new()).unwrap())
    }

    fn token(response: &Response<Bytes>) -> IdToken {
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        IdToken::parse(answer["value"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn the_job_gets_a_token_for_the_audience_it_asks_for() {
        let github = github(&[]);
        for scheme in ["Bearer", "bearer"] {
            let authorization = format!("{scheme} {}", github.request_token());
            let answer = ask(&github, "&audience=sig%20store", Some(&authorization));
            let token = token(&answer);
            assert_eq!(token.claims().audiences(), ["sig store"]);
            assert_eq!(
                token.claims().text("job_workflow_ref"),
                Some("octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main")
            );
        }
    }

    #[test]
    fn without_an_audience_the_token_is_for_the_owner() {
        let github = github(&[]);
        let answer = ask(&github, "", Some(&format!("Bearer {}", github.request_token())));
        assert_eq!(token(&answer).claims().audiences(), ["https://github.com/octo-org"]);
    }

    #[test]
    fn no_other_caller_gets_a_token() {
        let github = github(&[]);
        for authorization in [None, Some("Bearer other"), Some("Basic other")] {
            let answer = ask(&github, "&audience=sigstore", authorization);
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }

    #[test]
    fn the_endpoint_can_be_unavailable() {
        let github = github(&[Fault::GithubUnavailable]);
        let authorization = format!("Bearer {}", github.request_token());
        let answer = ask(&github, "&audience=sigstore", Some(&authorization));
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
