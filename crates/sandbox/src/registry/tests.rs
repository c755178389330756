use super::*;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn send(registry: &Registry, method: Method, uri: &str, body: &[u8]) -> Response<Bytes> {
    send_as(registry, method, uri, "application/octet-stream", body)
}

fn send_as(
    registry: &Registry,
    method: Method,
    uri: &str,
    media_type: &str,
    body: &[u8],
) -> Response<Bytes> {
    let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, media_type);
    registry.handle(request.body(Bytes::copy_from_slice(body)).unwrap())
}

fn header(response: &Response<Bytes>, name: impl http::header::AsHeaderName) -> String {
    response.headers().get(name).map_or_else(String::new, |v| v.to_str().unwrap().to_owned())
}

fn code(response: &Response<Bytes>) -> (u16, String) {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let code = body["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
    (response.status().as_u16(), code)
}

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn push_blob(registry: &Registry, repository: &str, content: &[u8]) -> String {
    let started = send(registry, Method::POST, &format!("/v2/{repository}/blobs/uploads/"), b"");
    assert_eq!(started.status(), StatusCode::ACCEPTED);
    let digest = digest_of(content);
    let target = format!("{}&digest={digest}", header(&started, LOCATION));
    let done = send(registry, Method::PUT, &target, content);
    assert_eq!(done.status(), StatusCode::CREATED);
    assert_eq!(header(&done, CONTENT_DIGEST), digest);
    digest
}

fn image(registry: &Registry, subject: Option<&str>) -> Vec<u8> {
    let config = push_blob(registry, "demo/app", b"{}");
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": "application/vnd.example.config", "digest": config, "size": 2 },
        "layers": [],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({ "mediaType": MANIFEST_TYPE, "digest": subject, "size": 1 });
        manifest["artifactType"] = "application/vnd.example.signature".into();
        manifest["annotations"] = json!({ "made": "now" });
    }
    manifest.to_string().into_bytes()
}

fn put(registry: &Registry, reference: &str, manifest: &[u8]) -> Response<Bytes> {
    let uri = format!("/v2/demo/app/manifests/{reference}");
    send_as(registry, Method::PUT, &uri, MANIFEST_TYPE, manifest)
}

#[test]
fn what_was_pushed_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::in_memory(true);
    let manifest = image(&registry, None);
    let pushed = put(&registry, "v1", &manifest);
    assert_eq!(pushed.status(), StatusCode::CREATED);
    let digest = header(&pushed, CONTENT_DIGEST);
    assert_eq!(digest, digest_of(&manifest));
    for reference in ["v1", digest.as_str()] {
        let uri = format!("/v2/demo/app/manifests/{reference}");
        let pulled = send(&registry, Method::GET, &uri, b"");
        assert_eq!((pulled.body().as_ref(), pulled.status()), (&manifest[..], StatusCode::OK));
        assert_eq!(header(&pulled, CONTENT_TYPE), MANIFEST_TYPE);
        let head = send(&registry, Method::HEAD, &uri, b"");
        assert_eq!(header(&head, CONTENT_LENGTH), manifest.len().to_string());
        assert_eq!(header(&head, CONTENT_DIGEST), digest);
        assert!(head.body().is_empty());
    }
    let tags = send(&registry, Method::GET, "/v2/demo/app/tags/list", b"");
    assert_eq!(json_of(&tags), json!({ "name": "demo/app", "tags": ["v1"] }));
    let catalog = send(&registry, Method::GET, "/v2/_catalog", b"");
    assert_eq!(json_of(&catalog), json!({ "repositories": ["demo/app"] }));
}

#[test]
fn a_blob_arrives_in_chunks_in_one_request_or_from_another_repository() {
    let registry = Registry::in_memory(true);
    let started = send(&registry, Method::POST, "/v2/a/blobs/uploads/", b"");
    let place = header(&started, LOCATION);
    let chunk = |range: &str, body: &'static [u8]| {
        let request = Request::patch(&place).header(CONTENT_RANGE, range);
        registry.handle(request.body(Bytes::from_static(body)).unwrap())
    };
    assert_eq!(header(&chunk("0-2", b"abc"), RANGE), "0-2");
    assert_eq!(chunk("5-7", b"def").status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&chunk("3-5", b"def"), RANGE), "0-5");
    let digest = digest_of(b"abcdef");
    let done = send(&registry, Method::PUT, &format!("{place}&digest={digest}"), b"");
    assert_eq!(done.status(), StatusCode::CREATED);

    let uri = format!("/v2/a/blobs/uploads/?digest={}", digest_of(b"one"));
    assert_eq!(send(&registry, Method::POST, &uri, b"one").status(), StatusCode::CREATED);

    let uri = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
    assert_eq!(send(&registry, Method::POST, &uri, b"").status(), StatusCode::CREATED);
    let pulled = send(&registry, Method::GET, &format!("/v2/b/blobs/{digest}"), b"");
    assert_eq!(pulled.body().as_ref(), b"abcdef");
    let uri = format!("/v2/b/blobs/uploads/?mount={}&from=a", digest_of(b"none"));
    assert_eq!(send(&registry, Method::POST, &uri, b"").status(), StatusCode::ACCEPTED);
}

#[test]
fn referrers_are_listed_by_subject_and_filtered_by_type() {
    let registry = Registry::in_memory(true);
    let subject = digest_of(b"subject");
    let manifest = image(&registry, Some(&subject));
    let pushed = put(&registry, &digest_of(&manifest), &manifest);
    assert_eq!(header(&pushed, SUBJECT), subject);
    let list = send(&registry, Method::GET, &format!("/v2/demo/app/referrers/{subject}"), b"");
    assert_eq!(header(&list, CONTENT_TYPE), INDEX_TYPE);
    assert_eq!(
        json_of(&list)["manifests"],
        json!([{
            "mediaType": MANIFEST_TYPE,
            "digest": digest_of(&manifest),
            "size": manifest.len(),
            "artifactType": "application/vnd.example.signature",
            "annotations": { "made": "now" },
        }])
    );
    let filtered = format!("/v2/demo/app/referrers/{subject}?artifactType=other");
    let none = send(&registry, Method::GET, &filtered, b"");
    assert_eq!(json_of(&none)["manifests"], json!([]));
    assert_eq!(header(&none, FILTERS_APPLIED), "artifactType");
    let bad = send(&registry, Method::GET, "/v2/demo/app/referrers/latest", b"");
    assert_eq!(code(&bad), (400, "DIGEST_INVALID".to_owned()));
}

#[test]
fn without_the_referrers_api_there_is_no_such_page_and_no_subject_header() {
    let registry = Registry::in_memory(false);
    let subject = digest_of(b"subject");
    let manifest = image(&registry, Some(&subject));
    let pushed = put(&registry, "sig", &manifest);
    assert_eq!((pushed.status(), header(&pushed, SUBJECT)), (StatusCode::CREATED, String::new()));
    let list = send(&registry, Method::GET, &format!("/v2/demo/app/referrers/{subject}"), b"");
    assert_eq!(list.status(), StatusCode::NOT_FOUND);
}

#[test]
fn what_is_wrong_has_its_own_code() {
    let registry = Registry::in_memory(true);
    let manifest = image(&registry, None);
    let ask = |method: Method, uri: &str, body: &[u8]| {
        let (status, code) = code(&send(&registry, method, uri, body));
        format!("{status} {code}")
    };
    let other = digest_of(b"other");
    assert_eq!(ask(Method::GET, "/v2/UP/tags/list", b""), "400 NAME_INVALID");
    assert_eq!(ask(Method::GET, "/v2/nobody/tags/list", b""), "404 NAME_UNKNOWN");
    assert_eq!(ask(Method::GET, "/v2/demo/app/manifests/none", b""), "404 MANIFEST_UNKNOWN");
    assert_eq!(ask(Method::GET, &format!("/v2/demo/app/blobs/{other}"), b""), "404 BLOB_UNKNOWN");
    assert_eq!(ask(Method::GET, "/v2/demo/app/blobs/sha256:00", b""), "400 DIGEST_INVALID");
    assert_eq!(ask(Method::PATCH, "/v2/a/blobs/uploads/x", b""), "404 BLOB_UPLOAD_UNKNOWN");
    let uri = format!("/v2/a/blobs/uploads/?digest={other}");
    assert_eq!(ask(Method::POST, &uri, b"this"), "400 DIGEST_INVALID");
    let error = |reference: &str, manifest: &[u8]| code(&put(&registry, reference, manifest)).1;
    assert_eq!(error("v1", b"{"), "MANIFEST_INVALID");
    assert_eq!(error(&other, &manifest), "DIGEST_INVALID");
    assert_eq!(error("-", &manifest), "TAG_INVALID");
    assert_eq!(error("v1", &vec![b' '; MANIFEST_CAP + 1]), "SIZE_INVALID");
    let config = digest_of(b"{}");
    let torn = String::from_utf8(manifest.clone()).unwrap().replace(&config, &other);
    assert_eq!(error("v1", torn.as_bytes()), "MANIFEST_BLOB_UNKNOWN");
    let uri = "/v2/demo/app/manifests/v1";
    let mislabelled = send_as(&registry, Method::PUT, uri, INDEX_TYPE, &manifest);
    assert_eq!(code(&mislabelled).1, "MANIFEST_INVALID");
}

#[test]
fn manifests_tags_and_blobs_can_be_deleted() {
    let registry = Registry::in_memory(true);
    let manifest = image(&registry, None);
    put(&registry, "v1", &manifest);
    put(&registry, "v2", &manifest);
    let status = |method: Method, reference: &str| {
        send(&registry, method, &format!("/v2/demo/app/{reference}"), b"").status().as_u16()
    };
    assert_eq!(status(Method::DELETE, "manifests/v1"), 202);
    assert_eq!(status(Method::GET, "manifests/v1"), 404);
    assert_eq!(status(Method::GET, "manifests/v2"), 200);
    let digest = digest_of(&manifest);
    assert_eq!(status(Method::DELETE, &format!("manifests/{digest}")), 202);
    assert_eq!(status(Method::GET, "manifests/v2"), 404);
    assert_eq!(status(Method::DELETE, &format!("manifests/{digest}")), 404);
    let blob = format!("blobs/{}", digest_of(b"{}"));
    assert_eq!(status(Method::DELETE, &blob), 202);
    assert_eq!(status(Method::GET, &blob), 404);
}

#[test]
fn tags_come_in_pages() {
    let registry = Registry::in_memory(true);
    let manifest = image(&registry, None);
    for tag in ["a", "b", "c"] {
        put(&registry, tag, &manifest);
    }
    let page = send(&registry, Method::GET, "/v2/demo/app/tags/list?n=2", b"");
    assert_eq!(json_of(&page)["tags"], json!(["a", "b"]));
    assert_eq!(header(&page, LINK), "</v2/demo/app/tags/list?last=b&n=2>; rel=\"next\"");
    let page = send(&registry, Method::GET, "/v2/demo/app/tags/list?last=b&n=2", b"");
    assert_eq!(
        (json_of(&page)["tags"].clone(), header(&page, LINK)),
        (json!(["c"]), String::new())
    );
}

#[test]
fn a_registry_in_a_directory_is_the_same_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::in_directory(directory.path(), true).unwrap();
    let manifest = image(&registry, None);
    for tag in ["v1", "v2"] {
        put(&registry, tag, &manifest);
    }
    send(&registry, Method::DELETE, "/v2/demo/app/manifests/v2", b"");
    drop(registry);
    let restart = || Registry::in_directory(directory.path(), true).unwrap();
    let pulled = |registry: &Registry, tag| {
        let path = format!("/v2/demo/app/manifests/{tag}");
        send(registry, Method::GET, &path, b"").body().to_vec()
    };
    // The second time from what the first restart wrote, and from what a crash cut off.
    for _ in 0..2 {
        let registry = restart();
        assert_eq!(pulled(&registry, "v1"), manifest);
        assert_ne!(pulled(&registry, "v2"), manifest);
        drop(registry);
        std::fs::write(directory.path().join("changes.jsonl"), "{\"blob\":{\"reposi").unwrap();
    }
    put(&restart(), "v3", &manifest);
    assert_eq!(pulled(&restart(), "v3"), manifest);
}

#[test]
fn a_registry_that_denies_pushes_still_serves_pulls() {
    let faults = [Fault::RegistryDeniesPush].into();
    let registry = Registry::in_memory(true).with_faults(&faults);
    let denied = send(&registry, Method::POST, "/v2/demo/app/blobs/uploads/", b"");
    assert_eq!(code(&denied), (403, "DENIED".to_owned()));
    assert_eq!(send(&registry, Method::GET, "/v2/", b"").status(), StatusCode::OK);
}

#[test]
fn an_immutable_tag_stays_at_its_manifest() {
    let faults = [Fault::RegistryImmutableTags].into();
    let registry = Registry::in_memory(true).with_faults(&faults);
    let first = image(&registry, None);
    assert_eq!(put(&registry, "v1", &first).status(), StatusCode::CREATED);
    assert_eq!(put(&registry, "v1", &first).status(), StatusCode::CREATED);
    let other = image(&registry, Some(&digest_of(&first)));
    assert_eq!(code(&put(&registry, "v1", &other)), (400, "TAG_INVALID".to_owned()));
    assert_eq!(put(&registry, "v2", &other).status(), StatusCode::CREATED);
}

#[test]
fn a_registry_that_refuses_signatures_takes_everything_else() {
    let faults = [Fault::RegistryRefusesSignatures].into();
    let registry = Registry::in_memory(true).with_faults(&faults);
    let first = image(&registry, None);
    assert_eq!(put(&registry, "v1", &first).status(), StatusCode::CREATED);
    let signature = image(&registry, Some(&digest_of(&first)));
    let digest = digest_of(&signature);
    assert_eq!(code(&put(&registry, &digest, &signature)), (403, "DENIED".to_owned()));
    let list = put(&registry, &digest_of(&first).replace(':', "-"), &first);
    assert_eq!(code(&list), (403, "DENIED".to_owned()));
}

#[test]
fn a_blob_in_pieces_has_the_same_cap_as_a_whole_one() {
    let registry = Registry { blob_cap: 10, ..Registry::in_memory(true) };
    let started = send(&registry, Method::POST, "/v2/demo/app/blobs/uploads/", b"");
    let upload = header(&started, LOCATION);
    assert_eq!(send(&registry, Method::PATCH, &upload, b"12345678").status(), 202);
    assert_eq!(code(&send(&registry, Method::PATCH, &upload, b"123")).0, 413);
    let target = format!("{upload}&digest={}", digest_of(b"12345678123"));
    assert_eq!(code(&send(&registry, Method::PUT, &target, b"123")).0, 413);
}
