//! What the registry in memory answers.

use bytes::Bytes;
use http::{Method, Request, Response};
use oci_push::Digest;
use serde_json::{Value, json};

use crate::fake::{Auth, State, TagListing};
use crate::helpers::{INDEX_TYPE, plain, refusal};

impl State {
    pub(crate) fn serve(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/token" {
            return self.token(request);
        }
        if let Some(challenge) = self.challenge(request) {
            return challenge;
        }
        if path == "/v2/" {
            return plain(200, "{}");
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return plain(404, "404 page not found");
        };
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return self.list_tags(request, name);
        }
        for kind in ["/manifests/", "/blobs/uploads/", "/blobs/", "/referrers/"] {
            if let Some((name, reference)) = rest.split_once(kind) {
                let mut answer = match kind {
                    "/manifests/" => self.manifests(request, name, reference),
                    "/blobs/uploads/" => self.uploads(request, name),
                    "/blobs/" => self.blobs(request, name, reference),
                    _ => self.list_referrers(request, name, reference),
                };
                for header in &self.silent_about {
                    answer.headers_mut().remove(*header);
                }
                return answer;
            }
        }
        plain(404, "404 page not found")
    }

    fn list_tags(&self, request: &Request<Bytes>, name: &str) -> Response<Bytes> {
        let Some(repository) = self.repositories.get(name) else {
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let mut tags: Vec<&str> = repository.tags.keys().map(String::as_str).collect();
        let query = request.uri().query().unwrap_or_default();
        let pairs: Vec<(&str, &str)> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let get = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        let mut answer = Response::builder().status(200);
        match self.tag_listing {
            TagListing::AllUnsorted => tags.reverse(),
            TagListing::Pages { linked } => {
                let last = get("last").unwrap_or_default();
                tags.retain(|tag| *tag > last);
                let most = get("n").map_or(usize::MAX, |n| n.parse().unwrap()).min(self.page);
                if tags.len() > most && linked {
                    let last = tags[most - 1];
                    answer = answer.header(
                        "link",
                        format!("</v2/{name}/tags/list?last={last}&n={most}>; rel=\"next\""),
                    );
                }
                tags.truncate(most);
            }
            TagListing::FromKnownTags => {
                let last = get("last").unwrap_or_default();
                let known = last.is_empty() || tags.contains(&last);
                tags.retain(|tag| known && *tag > last);
            }
            TagListing::Nothing => return refusal(404, "PAGE", "404 page not found"),
        }
        let body = json!({"name": name, "tags": tags}).to_string();
        answer.body(Bytes::from(body)).unwrap()
    }

    fn challenge(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let given = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let name = request.uri().path().strip_prefix("/v2/")?;
        let name = name.split("/manifests").next()?.split("/blobs").next()?;
        let name = name.split("/referrers").next()?;
        let name = name.split("/tags").next()?;
        let (expected, challenge) = match &self.auth {
            Auth::None => return None,
            Auth::Basic { pair } => (format!("Basic {pair}"), r#"Basic realm="fake""#.to_owned()),
            Auth::Bearer { realm, .. } => {
                let action = if writes { "pull,push" } else { "pull" };
                let challenge = format!(
                    r#"Bearer realm="{realm}",service="fake",scope="repository:{name}:{action}""#
                );
                (format!("Bearer {name}:{action}"), challenge)
            }
        };
        let all = format!("Bearer {name}:pull,push");
        if given == Some(expected.as_str()) || given == Some(all.as_str()) {
            return None;
        }
        let error = match given {
            Some(value) if value.starts_with("Bearer") => r#",error="insufficient_scope""#,
            _ => "",
        };
        let mut answer = refusal(401, "UNAUTHORIZED", "authentication required");
        let challenge = format!("{challenge}{error}").parse().unwrap();
        answer.headers_mut().insert("www-authenticate", challenge);
        Some(answer)
    }

    /// A token is `<name>:<actions>`.
    fn token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let Auth::Bearer { pair, identity, anonymous_pull, .. } = &self.auth else {
            return plain(404, "");
        };
        let posted = *request.method() == Method::POST;
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let query =
            if posted { body } else { request.uri().query().unwrap_or_default().to_owned() };
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let get = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let basic = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let known = match (posted, identity) {
            (true, Some(identity)) => get("refresh_token").as_deref() == Some(*identity),
            (true, None) => return plain(404, ""),
            (false, _) => {
                basic.is_some() && basic == pair.map(|pair| format!("Basic {pair}")).as_deref()
            }
        };
        if !known && (basic.is_some() || posted || !anonymous_pull) {
            return refusal(401, "UNAUTHORIZED", "incorrect username or password");
        }
        let scope = get("scope").unwrap_or_default();
        let (resource, actions) = scope.rsplit_once(':').unwrap();
        let name = resource.strip_prefix("repository:").unwrap();
        let actions = if known { actions } else { "pull" };
        let token = json!({"token": format!("{name}:{actions}"), "expires_in": 300});
        plain(200, &token.to_string())
    }

    fn manifests(
        &mut self,
        request: &Request<Bytes>,
        name: &str,
        reference: &str,
    ) -> Response<Bytes> {
        if *request.method() == Method::PUT {
            return self.put_manifest(request, name, reference);
        }
        let Some(repository) = self.repositories.get(name) else {
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let mut digest =
            repository.tags.get(reference).map_or(reference, String::as_str).to_owned();
        if self.tag_is_digest {
            digest = digest.replace("sha256-", "sha256:");
        }
        let Some((media_type, bytes)) = repository.manifests.get(&digest) else {
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        let accepts = request.headers().get("accept").map(|value| value.to_str().unwrap());
        if !accepts.is_some_and(|accepts| accepts.contains(media_type.as_str())) {
            return refusal(
                404,
                "MANIFEST_UNKNOWN",
                "OCI index found, but accept header does not support OCI indexes",
            );
        }
        let head = *request.method() == Method::HEAD;
        let weak = if self.weak_etags { "W/" } else { "" };
        Response::builder()
            .header("content-type", media_type)
            .header("content-length", bytes.len())
            .header("docker-content-digest", &digest)
            .header("etag", format!("{weak}\"{digest}\""))
            .body(if head { Bytes::new() } else { bytes.clone() })
            .unwrap()
    }

    fn put_manifest(
        &mut self,
        request: &Request<Bytes>,
        name: &str,
        reference: &str,
    ) -> Response<Bytes> {
        let conditional = self.conditional;
        let repository = self.repositories.entry(name.to_owned()).or_default();
        let bytes = request.body().clone();
        let digest = Digest::sha256(&bytes).to_string();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        for blob in document["layers"].as_array().into_iter().flatten().chain([&document["config"]])
        {
            if blob["digest"].as_str().is_some_and(|digest| !repository.blobs.contains_key(digest))
            {
                return refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        if reference.contains(':') {
            assert_eq!(reference, digest, "a manifest is stored under its own digest");
        } else {
            let now = repository.tags.get(reference).cloned();
            if conditional {
                let header = |name| {
                    request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
                };
                let matches = header("if-match").is_none_or(|etag| {
                    now.as_ref().is_some_and(|now| etag == format!("\"{now}\""))
                });
                if !matches || header("if-none-match").is_some() && now.is_some() {
                    return refusal(412, "PRECONDITION", "the tag has changed");
                }
            }
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        let media_type = request.headers()["content-type"].to_str().unwrap().to_owned();
        repository.manifests.insert(digest.clone(), (media_type, bytes));
        let mut answer = Response::builder().status(201).header("docker-content-digest", &digest);
        if let (true, Some(subject)) =
            (self.acknowledges_subject, document["subject"]["digest"].as_str())
        {
            answer = answer.header("oci-subject", subject);
        }
        answer.body(Bytes::new()).unwrap()
    }

    fn uploads(&mut self, request: &Request<Bytes>, name: &str) -> Response<Bytes> {
        match *request.method() {
            Method::POST => {
                let query = request.uri().query().unwrap_or_default();
                if let Some((digest, from)) =
                    query.strip_prefix("mount=").and_then(|rest| rest.split_once("&from="))
                    && self.mounts
                    && let Some(blob) =
                        self.repositories.get(from).and_then(|it| it.blobs.get(digest))
                {
                    let blob = blob.clone();
                    let repository = self.repositories.entry(name.to_owned()).or_default();
                    repository.blobs.insert(digest.to_owned(), blob);
                    return plain(201, "");
                }
                if let Some(digest) = query.strip_prefix("digest=")
                    && self.takes_content
                {
                    assert_eq!(digest, Digest::sha256(request.body()).as_str());
                    let repository = self.repositories.entry(name.to_owned()).or_default();
                    repository.blobs.insert(digest.to_owned(), request.body().clone());
                    return plain(201, "");
                }
                self.uploads += 1;
                let location = format!(
                    "{}/v2/{name}/blobs/uploads/{}?_state=a%2Fb",
                    self.upload_origin, self.uploads
                );
                Response::builder()
                    .status(202)
                    .header("location", location)
                    .body(Bytes::new())
                    .unwrap()
            }
            Method::PUT => {
                let query = request.uri().query().unwrap();
                assert!(query.starts_with("_state=a%2Fb&digest="), "{query}");
                let digest = Digest::sha256(request.body()).to_string();
                assert!(query.ends_with(&digest), "{query}");
                let repository = self.repositories.entry(name.to_owned()).or_default();
                repository.blobs.insert(digest, request.body().clone());
                plain(201, "")
            }
            Method::DELETE => plain(204, ""),
            _ => plain(405, ""),
        }
    }

    fn blobs(&self, request: &Request<Bytes>, name: &str, digest: &str) -> Response<Bytes> {
        let blob = self.repositories.get(name).and_then(|repository| repository.blobs.get(digest));
        match blob {
            None => refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            Some(bytes) => {
                let head = *request.method() == Method::HEAD;
                Response::new(if head { Bytes::new() } else { bytes.clone() })
            }
        }
    }

    fn list_referrers(
        &self,
        request: &Request<Bytes>,
        name: &str,
        digest: &str,
    ) -> Response<Bytes> {
        if !self.referrers {
            return plain(404, "404 page not found");
        }
        let manifests =
            self.repositories.get(name).into_iter().flat_map(|repository| &repository.manifests);
        let listed: Vec<Value> = manifests
            .filter_map(|(own, (media_type, bytes))| {
                let document: Value = serde_json::from_slice(bytes).ok()?;
                (document["subject"]["digest"] == digest).then(|| {
                    json!({"mediaType": media_type, "size": bytes.len(), "digest": own,
                           "artifactType": document["artifactType"], "annotations": document["annotations"]})
                })
            })
            .collect();
        let from: usize = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("from=")?.parse().ok())
            .unwrap_or(0);
        let page: Vec<&Value> = listed.iter().skip(from).take(self.page).collect();
        let mut answer = Response::builder().header("content-type", INDEX_TYPE);
        if from + self.page < listed.len() {
            let next =
                format!("</v2/{name}/referrers/{digest}?from={}>; rel=\"next\"", from + self.page);
            answer = answer.header("link", next);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": page});
        answer.body(Bytes::from(index.to_string())).unwrap()
    }
}
