//! An OCI registry without logins: the distribution protocol 1.1, with its referrers API or without.
//!
//! Without the API it behaves as docker-registry 2.8 does, so that clients fall back to the tag.

pub(crate) mod contents;
mod journal;
mod route;
mod store;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LINK, LOCATION, RANGE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use self::route::{Route, is_digest, is_repository, is_tag};
use self::store::{Store, StoreFull, digest_of, has_digest};
use crate::issuer::random;
use crate::service::{Service, answer, json_answer};
use crate::{Error, Fault, Faults};

/// The largest manifest, in bytes: the floor that the standard sets.
const MANIFEST_CAP: usize = 4 << 20;

/// The largest page of a list.
const PAGE_CAP: usize = 1000;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The largest blob that the registry takes, in bytes.
pub(crate) const BLOB_CAP: usize = 1 << 30;

/// A registry.
pub struct Registry {
    store: Mutex<Store>,
    referrers: bool,
    faults: Faults,
    /// The largest blob, in bytes, also when it comes in pieces.
    blob_cap: usize,
}

impl Registry {
    /// An empty registry in memory. `referrers` says whether it has the referrers API.
    pub fn in_memory(referrers: bool) -> Self {
        Self { store: Mutex::default(), referrers, faults: Faults::default(), blob_cap: BLOB_CAP }
    }

    /// A registry that keeps a copy of everything in `directory`, and has what is there already.
    ///
    /// # Errors
    /// The directory cannot be used, or holds something else.
    pub fn in_directory(directory: &Path, referrers: bool) -> Result<Self, Error> {
        let store = Mutex::new(Store::open(directory)?);
        Ok(Self { store, referrers, faults: Faults::default(), blob_cap: BLOB_CAP })
    }

    /// Lets the registry misbehave in those of these ways that are its own.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// Its first `most` manifests.
    pub(crate) fn contents(&self, most: usize) -> Vec<contents::HeldManifest> {
        contents::list(&self.store(), most)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Problem> {
        let Some(route) = Route::parse(request.uri().path()) else {
            return Ok(answer(StatusCode::NOT_FOUND, "text/plain", "404 page not found\n"));
        };
        if route.repository().is_some_and(|repository| !is_repository(repository)) {
            return Err(Problem::NAME_INVALID);
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if self.faults.contains(&Fault::RegistryDeniesPush) && !reads {
            return Err(Problem::DENIED);
        }
        match (request.method(), route) {
            (&Method::GET | &Method::HEAD, Route::Root) => {
                Ok(json_answer(StatusCode::OK, &json!({})))
            }
            (&Method::GET, Route::Catalog) => {
                let names: Vec<String> = self.store().repositories().cloned().collect();
                Ok(list("repositories", &names, None, request))
            }
            (&Method::GET, Route::Tags { repository }) => self.tags(repository, request),
            (&Method::GET, Route::Referrers { repository, digest }) if self.referrers => {
                self.referrers(repository, digest, request)
            }
            (_, Route::Referrers { .. }) => {
                Ok(answer(StatusCode::NOT_FOUND, "text/plain", "404 page not found\n"))
            }
            (&Method::GET | &Method::HEAD, Route::Manifest { repository, reference }) => {
                let store = self.store();
                let manifest = store.manifest(repository, reference);
                let manifest = manifest.ok_or(Problem::MANIFEST_UNKNOWN)?;
                content(manifest.media_type, manifest.digest, manifest.content, request)
            }
            (&Method::PUT, Route::Manifest { repository, reference }) => {
                self.put_manifest(repository, reference, request)
            }
            (&Method::DELETE, Route::Manifest { repository, reference }) => {
                match self.store().drop_manifest(repository, reference)? {
                    true => Ok(empty(StatusCode::ACCEPTED)),
                    false => Err(Problem::MANIFEST_UNKNOWN),
                }
            }
            (&Method::GET | &Method::HEAD, Route::Blob { repository, digest }) => {
                require_digest(digest)?;
                let store = self.store();
                let blob = store.blob(repository, digest).ok_or(Problem::BLOB_UNKNOWN)?;
                content("application/octet-stream", digest, blob, request)
            }
            (&Method::DELETE, Route::Blob { repository, digest }) => {
                match self.store().drop_blob(repository, digest)? {
                    true => Ok(empty(StatusCode::ACCEPTED)),
                    false => Err(Problem::BLOB_UNKNOWN),
                }
            }
            (&Method::POST, Route::Uploads { repository }) => {
                self.start_upload(repository, request)
            }
            (method, Route::Upload { repository, id }) => {
                self.go_on_with_upload(method, repository, id, request)
            }
            _ => Err(Problem::UNSUPPORTED),
        }
    }

    fn tags(&self, repository: &str, request: &Request<Bytes>) -> Result<Response<Bytes>, Problem> {
        let store = self.store();
        let found = store.repository(repository).ok_or(Problem::NAME_UNKNOWN)?;
        let tags: Vec<String> = found.tags.keys().cloned().collect();
        Ok(list("tags", &tags, Some(repository), request))
    }

    fn referrers(
        &self,
        repository: &str,
        digest: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, Problem> {
        require_digest(digest)?;
        let filter = parameter(request, "artifactType");
        let store = self.store();
        let manifests = store.repository(repository).into_iter().flat_map(|r| r.manifests.keys());
        let descriptors: Vec<Value> = manifests
            .filter_map(|candidate| {
                let manifest = store.manifest(repository, candidate)?;
                let document: Value = serde_json::from_slice(manifest.content).ok()?;
                (document["subject"]["digest"] == digest).then_some(())?;
                let artifact_type = document["artifactType"]
                    .as_str()
                    .or_else(|| document["config"]["mediaType"].as_str())
                    .unwrap_or_default();
                (filter.as_deref().is_none_or(|wanted| wanted == artifact_type)).then_some(())?;
                let mut descriptor = json!({
                    "mediaType": manifest.media_type,
                    "digest": manifest.digest,
                    "size": manifest.content.len(),
                    "artifactType": artifact_type,
                });
                if document["annotations"].is_object() {
                    descriptor["annotations"] = document["annotations"].clone();
                }
                Some(descriptor)
            })
            .collect();
        let index =
            json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": descriptors });
        let mut response = answer(StatusCode::OK, INDEX_TYPE, index.to_string());
        if filter.is_some() {
            set(&mut response, FILTERS_APPLIED, "artifactType")?;
        }
        Ok(response)
    }

    fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, Problem> {
        let body = request.body();
        if body.len() > MANIFEST_CAP {
            return Err(Problem::SIZE_INVALID);
        }
        let (digest, tag) = if reference.contains(':') {
            require_digest(reference)?;
            if !has_digest(body, reference) {
                return Err(Problem::DIGEST_INVALID);
            }
            (reference.to_owned(), None)
        } else if is_tag(reference) {
            (digest_of(body), Some(reference))
        } else {
            return Err(Problem::TAG_INVALID);
        };
        let document: Value =
            serde_json::from_slice(body).map_err(|_| Problem::MANIFEST_INVALID)?;
        let media_type = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(str::trim)
            .filter(|media_type| !media_type.is_empty())
            .ok_or(Problem::MANIFEST_INVALID)?;
        if document["mediaType"].as_str().is_some_and(|inner| inner != media_type) {
            return Err(Problem::MANIFEST_INVALID);
        }
        let refuses = self.faults.contains(&Fault::RegistryRefusesSignatures);
        let is_list = tag.is_some_and(|tag| tag.starts_with("sha256-"));
        if refuses && (document["subject"].is_object() || is_list) {
            return Err(Problem::DENIED);
        }
        let mut store = self.store();
        if self.faults.contains(&Fault::RegistryImmutableTags)
            && let Some(old) = tag.and_then(|tag| store.manifest(repository, tag))
            && *old.digest != digest
        {
            return Err(Problem::TAG_IMMUTABLE);
        }
        check_references(&store, repository, &document)?;
        store.keep_manifest(repository, tag, &digest, media_type, body.clone())?;
        let mut response = empty(StatusCode::CREATED);
        set(&mut response, LOCATION, &format!("/v2/{repository}/manifests/{digest}"))?;
        set(&mut response, CONTENT_DIGEST, &digest)?;
        if let Some(subject) = document["subject"]["digest"].as_str().filter(|_| self.referrers) {
            set(&mut response, SUBJECT, subject)?;
        }
        Ok(response)
    }

    fn start_upload(
        &self,
        repository: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, Problem> {
        if let (Some(mount), Some(from)) = (parameter(request, "mount"), parameter(request, "from"))
        {
            require_digest(&mount)?;
            if self.store().mount(repository, &mount, &from)? {
                return blob_created(repository, &mount);
            }
        } else if let Some(digest) = parameter(request, "digest") {
            return self.keep_blob(repository, &digest, request.body().clone());
        }
        let id = base16ct::lower::encode_string(&random::<16>().map_err(|_| Problem::UNKNOWN)?);
        self.store().start_upload(&id, repository);
        upload_state(StatusCode::ACCEPTED, repository, &id, 0)
    }

    fn go_on_with_upload(
        &self,
        method: &Method,
        repository: &str,
        id: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, Problem> {
        let mut store = self.store();
        let upload = store.upload(repository, id).ok_or(Problem::BLOB_UPLOAD_UNKNOWN)?;
        if upload.bytes.len().saturating_add(request.body().len()) > self.blob_cap {
            return Err(Problem::SIZE_INVALID);
        }
        match *method {
            Method::GET => upload_state(StatusCode::NO_CONTENT, repository, id, upload.bytes.len()),
            Method::PATCH => {
                let range = request.headers().get(CONTENT_RANGE);
                if range.is_some_and(|range| !continues(range, upload.bytes.len(), request.body()))
                {
                    let received = upload.bytes.len();
                    let status = StatusCode::RANGE_NOT_SATISFIABLE;
                    return upload_state(status, repository, id, received);
                }
                upload.bytes.extend_from_slice(request.body());
                upload_state(StatusCode::ACCEPTED, repository, id, upload.bytes.len())
            }
            Method::PUT => {
                let digest = parameter(request, "digest").ok_or(Problem::DIGEST_INVALID)?;
                let Some(mut upload) = store.end_upload(repository, id) else {
                    return Err(Problem::BLOB_UPLOAD_UNKNOWN);
                };
                drop(store);
                upload.bytes.extend_from_slice(request.body());
                self.keep_blob(repository, &digest, upload.bytes.into())
            }
            Method::DELETE => {
                store.end_upload(repository, id);
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Problem::UNSUPPORTED),
        }
    }

    fn keep_blob(
        &self,
        repository: &str,
        digest: &str,
        content: Bytes,
    ) -> Result<Response<Bytes>, Problem> {
        require_digest(digest)?;
        if !has_digest(&content, digest) {
            return Err(Problem::DIGEST_INVALID);
        }
        self.store().keep_blob(repository, digest, content)?;
        blob_created(repository, digest)
    }
}

impl Service for Registry {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let mut response = match self.answer(&request) {
            Ok(response) => response,
            Err(problem) => problem.answer(request.method()),
        };
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        response
    }
}

/// Everything that a manifest refers to must be there, except its subject.
fn check_references(store: &Store, repository: &str, manifest: &Value) -> Result<(), Problem> {
    let digest = |descriptor: &Value| descriptor["digest"].as_str().map(str::to_owned);
    let many = |name: &str| manifest[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let blobs = many("layers").iter().chain(manifest.get("config"));
    for blob in blobs {
        let digest = digest(blob).ok_or(Problem::MANIFEST_INVALID)?;
        store.blob(repository, &digest).ok_or(Problem::MANIFEST_BLOB_UNKNOWN)?;
    }
    for child in many("manifests") {
        let digest = digest(child).ok_or(Problem::MANIFEST_INVALID)?;
        store.manifest(repository, &digest).ok_or(Problem::MANIFEST_BLOB_UNKNOWN)?;
    }
    Ok(())
}

/// Whether `Content-Range: FROM-TO` starts where the upload stands and fits its body.
fn continues(range: &HeaderValue, received: usize, body: &Bytes) -> bool {
    let bounds = range.to_str().ok().and_then(|range| range.split_once('-'));
    let Some((from, to)) = bounds else { return false };
    let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else { return false };
    from == received && to.checked_sub(from).is_some_and(|last| last + 1 == body.len())
}

fn require_digest(digest: &str) -> Result<(), Problem> {
    if is_digest(digest) { Ok(()) } else { Err(Problem::DIGEST_INVALID) }
}

fn parameter(request: &Request<Bytes>, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// One page of a sorted list, with a link to the next.
fn list(
    name: &str,
    items: &[String],
    repository: Option<&str>,
    request: &Request<Bytes>,
) -> Response<Bytes> {
    let last = parameter(request, "last").unwrap_or_default();
    let size = parameter(request, "n").and_then(|n| n.parse().ok()).unwrap_or(PAGE_CAP);
    let rest: Vec<&String> = items.iter().filter(|item| **item > last).collect();
    let page = rest.get(..size.min(PAGE_CAP)).unwrap_or(&rest);
    let mut body = json!({ name: page });
    if let Some(repository) = repository {
        body["name"] = repository.into();
    }
    let mut response = json_answer(StatusCode::OK, &body);
    if let Some(last) = page.last().filter(|_| page.len() < rest.len()) {
        let path = request.uri().path();
        let link = format!("<{path}?last={last}&n={size}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    response
}

fn content(
    media_type: &str,
    digest: &str,
    bytes: &Bytes,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, Problem> {
    let body = if request.method() == Method::HEAD { Bytes::new() } else { bytes.clone() };
    let mut response = Response::new(body);
    set(&mut response, CONTENT_TYPE, media_type)?;
    set(&mut response, CONTENT_LENGTH, &bytes.len().to_string())?;
    set(&mut response, CONTENT_DIGEST, digest)?;
    Ok(response)
}

fn blob_created(repository: &str, digest: &str) -> Result<Response<Bytes>, Problem> {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{repository}/blobs/{digest}"))?;
    set(&mut response, CONTENT_DIGEST, digest)?;
    Ok(response)
}

/// Where the upload goes on, as a path with a query: clients must keep both.
fn upload_state(
    status: StatusCode,
    repository: &str,
    id: &str,
    received: usize,
) -> Result<Response<Bytes>, Problem> {
    let mut response = empty(status);
    let location = format!("/v2/{repository}/blobs/uploads/{id}?_state={received}");
    set(&mut response, LOCATION, &location)?;
    set(&mut response, RANGE, &format!("0-{}", received.saturating_sub(1)))?;
    set(&mut response, UPLOAD_ID, id)?;
    Ok(response)
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn set(response: &mut Response<Bytes>, name: HeaderName, value: &str) -> Result<(), Problem> {
    let value = HeaderValue::try_from(value).map_err(|_| Problem::MANIFEST_INVALID)?;
    response.headers_mut().insert(name, value);
    Ok(())
}

/// An error of the distribution protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Problem {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl Problem {
    const BLOB_UNKNOWN: Self = Self::new(404, "BLOB_UNKNOWN", "blob unknown to registry");
    const BLOB_UPLOAD_UNKNOWN: Self =
        Self::new(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    const DENIED: Self = Self::new(403, "DENIED", "requested access to the resource is denied");
    const DIGEST_INVALID: Self =
        Self::new(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    const MANIFEST_BLOB_UNKNOWN: Self =
        Self::new(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
    const MANIFEST_INVALID: Self = Self::new(400, "MANIFEST_INVALID", "manifest invalid");
    const MANIFEST_UNKNOWN: Self = Self::new(404, "MANIFEST_UNKNOWN", "manifest unknown");
    const NAME_INVALID: Self = Self::new(400, "NAME_INVALID", "invalid repository name");
    const NAME_UNKNOWN: Self = Self::new(404, "NAME_UNKNOWN", "repository name not known");
    const SIZE_INVALID: Self = Self::new(413, "SIZE_INVALID", "content too large");
    const TAG_IMMUTABLE: Self = Self::new(400, "TAG_INVALID", "the tag is immutable");
    const TAG_INVALID: Self = Self::new(400, "TAG_INVALID", "manifest tag did not match");
    const UNKNOWN: Self = Self::new(500, "UNKNOWN", "unknown error");
    const UNSUPPORTED: Self = Self::new(405, "UNSUPPORTED", "the operation is unsupported");

    const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        let status = match status {
            400 => StatusCode::BAD_REQUEST,
            403 => StatusCode::FORBIDDEN,
            404 => StatusCode::NOT_FOUND,
            405 => StatusCode::METHOD_NOT_ALLOWED,
            413 => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, code, message }
    }

    fn answer(self, method: &Method) -> Response<Bytes> {
        if method == Method::HEAD {
            return empty(self.status);
        }
        let error = json!({ "code": self.code, "message": self.message, "detail": null });
        json_answer(self.status, &json!({ "errors": [error] }))
    }
}

impl From<StoreFull> for Problem {
    fn from(StoreFull: StoreFull) -> Self {
        Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests;
