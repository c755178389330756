//! The sandbox as a whole, reached over the network as its clients reach it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::{CallPolicy, Transport};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use http_client::{HttpClient, Settings};
use hyper_util::rt::{TokioExecutor, TokioIo};
use id_token::{Audience, IdToken};
use serde_json::{Value, json};
use sigstore_sandbox::{
    Config, Error, Fault, Registration, RekorVersion, Running, SampleImage, Sandbox,
};
use spiffe_workload_api::{Endpoint, SpiffeId, WorkloadApi};
use tempfile::TempDir;
use tokio::net::UnixStream;

async fn sandbox() -> (TempDir, Running) {
    sandbox_with(|_| ()).await
}

async fn sandbox_with(change: impl FnOnce(&mut Config)) -> (TempDir, Running) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::new(directory.path());
    change(&mut config);
    let running = Sandbox::start(config).await.unwrap();
    (directory, running)
}

fn client() -> Arc<dyn Transport> {
    Arc::new(HttpClient::new(&Settings::new()))
}

async fn send(request: http::request::Builder, body: &str) -> Response<Bytes> {
    send_with(request, body, &CallPolicy::new()).await
}

async fn send_with(
    request: http::request::Builder,
    body: &str,
    policy: &CallPolicy,
) -> Response<Bytes> {
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    client().send(request, policy).await.unwrap()
}

async fn get(url: &str) -> Value {
    let response = send(Request::get(url), "").await;
    assert_eq!(response.status(), StatusCode::OK, "{url}");
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn discovery_leads_to_the_keys_of_each_issuer() {
    let (_directory, running) = sandbox().await;
    for issuer in [running.github_issuer(), running.spiffe_issuer()] {
        let discovery = get(&format!("{issuer}/.well-known/openid-configuration")).await;
        assert_eq!(discovery["issuer"], issuer.as_str());
        let keys = get(discovery["jwks_uri"].as_str().unwrap()).await;
        assert_eq!(keys["keys"][0]["alg"], "ES256");
    }
}

#[tokio::test]
async fn fulcio_lists_every_issuer_that_the_sandbox_runs() {
    let (_directory, running) = sandbox().await;
    let configuration = get(&format!("{}/api/v2/configuration", running.endpoints().fulcio)).await;
    let issuers = configuration["issuers"].as_array().unwrap();
    assert_eq!(issuers.len(), sigstore_sandbox::ISSUERS.len());
    let spiffe = issuers.iter().find(|it| it["issuerUrl"] == running.spiffe_issuer()).unwrap();
    assert_eq!(spiffe["spiffeTrustDomain"], "example.org");
}

#[tokio::test]
async fn the_github_job_gets_a_token_with_its_variables() {
    let (_directory, running) = sandbox().await;
    let variables = running.github_env();
    let variable = |name: &str| variables.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let url = format!("{}&audience=sigstore", variable("ACTIONS_ID_TOKEN_REQUEST_URL"));
    let bearer = format!("Bearer {}", variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
    let response = send(Request::get(&url).header("authorization", bearer), "").await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    let token = IdToken::parse(answer["value"].as_str().unwrap()).unwrap();
    assert_eq!(token.claims().issuer(), Some(running.github_issuer().as_str()));
    let refused = send(Request::get(&url), "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_image_is_pushed_and_found_again_after_a_restart() {
    let (directory, running) = sandbox_with(|config| config.keep_images = true).await;
    let image = SampleImage::new("hello");
    let base = format!("http://{}", running.registry()).parse().unwrap();
    image.push(&client(), &base, "demo/app", "v1").await.unwrap();
    running.stop().await;

    let config = Config { keep_images: true, ..Config::new(directory.path()) };
    let running = Sandbox::start(config).await.unwrap();
    let url = format!("http://{}/v2/demo/app/manifests/v1", running.registry());
    let head = send(Request::head(&url), "").await;
    assert_eq!(head.headers()["docker-content-digest"], image.digest());
    assert_eq!(head.headers()["content-length"], image.index.1.len().to_string());
    assert!(head.body().is_empty());
}

#[tokio::test]
async fn keys_and_the_trusted_root_s_start_survive_a_restart() {
    let (directory, running) = sandbox().await;
    let root = |running: &Running| {
        let mut root: Value =
            serde_json::from_slice(&std::fs::read(running.trusted_root()).unwrap()).unwrap();
        // Ports were chosen anew.
        for log in root["tlogs"].as_array_mut().unwrap() {
            log["baseUrl"] = Value::Null;
        }
        for part in ["certificateAuthorities", "timestampAuthorities"] {
            root[part][0]["uri"] = Value::Null;
        }
        root["ctlogs"][0]["baseUrl"] = Value::Null;
        root
    };
    let first = root(&running);
    running.stop().await;
    let running = Sandbox::start(Config::new(directory.path())).await.unwrap();
    assert_eq!(root(&running), first);
}

#[tokio::test]
async fn the_files_are_written_and_the_env_files_name_them() {
    let (_directory, running) = sandbox().await;
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        assert!(running.signing_config(rekor).is_file());
        assert!(running.client_trust_config(rekor).is_file());
    }
    let read = |name: &str| std::fs::read_to_string(running.directory().join(name)).unwrap();
    let (github, spiffe) = (read("env"), read("env.spiffe"));
    let trust = format!("export COSIGN_TRUSTED_ROOT='{}'\n", running.trusted_root().display());
    assert!(github.contains(&trust) && spiffe.contains(&trust));
    assert!(github.contains("export GITHUB_ACTIONS='true'\n"));
    assert!(github.contains("unset SPIFFE_ENDPOINT_SOCKET\n"));
    assert!(spiffe.contains("unset ACTIONS_ID_TOKEN_REQUEST_URL\n"));
    let socket = format!("SPIFFE_ENDPOINT_SOCKET='unix://{}'", running.spiffe_socket().display());
    assert!(spiffe.contains(&socket));
}

#[tokio::test]
async fn a_fixed_port_is_the_first_of_ten_and_a_taken_one_is_named() {
    // Of ten ports in a row one may be in use; another start is tried then.
    let mut first = 21_000;
    let (_directory, running) = loop {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { port: first, ..Config::new(directory.path()) };
        match Sandbox::start(config).await {
            Ok(running) => break (directory, running),
            Err(Error::Listen { .. }) if first < 22_000 => first += 10,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(running.endpoints().fulcio, format!("http://localhost:{}", first + 2));
    assert_eq!(running.registry(), format!("127.0.0.1:{}", first + 6));
    let other = tempfile::tempdir().unwrap();
    let config = Config { port: first, ..Config::new(other.path()) };
    let error = Sandbox::start(config).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{first}"));
}

#[tokio::test]
async fn the_socket_goes_with_the_sandbox_and_one_that_a_crash_left_is_replaced() {
    let (directory, running) = sandbox().await;
    let socket = running.spiffe_socket().to_owned();
    assert!(socket.exists());
    let error = Sandbox::start(Config::new(directory.path())).await.err().unwrap();
    assert!(matches!(error, Error::Listen { .. }), "another program listens: {error}");
    running.stop().await;
    assert!(!socket.exists());
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let running = Sandbox::start(Config::new(directory.path())).await.unwrap();
    assert!(UnixStream::connect(running.spiffe_socket()).await.is_ok());
}

#[tokio::test]
async fn the_workload_api_issues_svids_that_the_client_takes() {
    let (_directory, running) = sandbox().await;
    let api = workload_api(&running).await;
    let svid = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), "spiffe://example.org/ns/ci/sa/builder");
    assert_eq!(svid.token.claims().issuer(), Some(running.spiffe_issuer().as_str()));
    let x509 = api.fetch_x509_svid(Some(&svid.spiffe_id)).await.unwrap();
    assert_eq!((x509.chain.len(), x509.bundle.len()), (1, 1));
    let leaf = x509::Certificate::from_der(&x509.chain[0]).unwrap();
    assert_eq!(leaf.subject_name().unwrap().as_str(), svid.spiffe_id.as_str());
    let key = keys::KeyPair::from_pkcs8_der(&x509.private_key).unwrap();
    assert_eq!(leaf.public_key(), keys::Sign::public_key(&key));
}

#[tokio::test]
async fn several_registrations_come_in_one_answer_with_their_hints() {
    let registration = |id: &str, hint: &str| Registration {
        spiffe_id: SpiffeId::parse(id).unwrap(),
        hint: hint.to_owned(),
    };
    let registrations = vec![
        registration("spiffe://example.com/a", "internal"),
        registration("spiffe://example.com/b", ""),
    ];
    let (_directory, running) = sandbox_with(|it| it.registrations = registrations).await;
    let api = workload_api(&running).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err().to_string();
    assert!(error.ends_with("/a (hint \"internal\"), spiffe://example.com/b"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::new(directory.path());
    config.registrations.push(registration("spiffe://example.com/a", ""));
    let error = Sandbox::start(config).await.err().unwrap().to_string();
    assert!(error.contains("spiffe://example.com/a is not of the trust domain"), "{error}");
}

/// Every recorded call to SPIRE's agent gets the same status and, where it is a refusal, a
/// message that starts alike. Keys and times differ, and SPIRE quotes its libraries.
#[tokio::test]
async fn the_workload_api_answers_the_recorded_requests_as_spire_did() {
    let registration = |id: &str, hint: &str| Registration {
        spiffe_id: SpiffeId::parse(id).unwrap(),
        hint: hint.to_owned(),
    };
    let builder = registration("spiffe://example.org/ns/ci/sa/builder", "");
    let a_first = registration("spiffe://example.org/a-first", "internal");
    let (_one, one) = sandbox_with(|it| it.registrations = vec![builder.clone()]).await;
    let (_two, two) = sandbox_with(|it| it.registrations = vec![a_first, builder]).await;
    let (_none, none) = sandbox_with(|it| it.registrations = Vec::new()).await;
    let mut count = 0;
    for case in recordings() {
        let name = case["case"].as_str().unwrap();
        let Some(method) = case["method"].as_str() else { continue };
        // A token of SPIRE is none of ours: its audience, form and signature can be judged.
        if name == "validate a good JWT-SVID" {
            continue;
        }
        let sandbox = match name {
            _ if name.contains("without a registration") => &none,
            _ if name.contains("several") || name.contains("two registrations") => &two,
            _ => &one,
        };
        let header = case["metadata"]["workload.spiffe.io"].as_str();
        let message = STANDARD.decode(case["request_b64"].as_str().unwrap()).unwrap();
        let (code, text, answered) = call(sandbox.spiffe_socket(), method, header, &message).await;
        let expected = status_code(case["status"].as_str().unwrap());
        assert_eq!(code, expected, "{name}: {text}");
        let recorded = case["message"].as_str().unwrap_or_default();
        let kind = |text: &str| text.split(':').next().unwrap_or_default().trim().to_owned();
        let own_words = ["INTERNAL", "UNIMPLEMENTED"].contains(&case["status"].as_str().unwrap())
            || recorded.starts_with("go-jose")
            || name == "validate a broken signature";
        if !own_words {
            assert_eq!(kind(&text), kind(recorded), "{name}");
        }
        assert_eq!(answered, expected == 0, "{name}");
        count += 1;
    }
    assert!(count >= 27, "{count}");
}

#[tokio::test]
async fn faults_show_where_they_were_injected() {
    let faults = [Fault::FulcioError, Fault::NoIdentity, Fault::RegistryDeniesPush];
    let (_directory, running) = sandbox_with(|it| it.faults = faults.into()).await;
    let url = format!("{}/api/v2/signingCert", running.endpoints().fulcio);
    let once = CallPolicy::new().with_attempts(1);
    let answer = send_with(Request::post(url), "{}", &once).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let api = workload_api(&running).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err();
    assert!(error.to_string().ends_with("no identity issued"), "{error}");
    let url = format!("http://{}/v2/demo/blobs/uploads/", running.registry());
    let answer = send_with(Request::post(url), "", &once).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rekor_v2_answers_when_its_checkpoint_is_due() {
    let interval = Duration::from_millis(700);
    let (_directory, running) = sandbox_with(|it| it.checkpoint_interval = interval).await;
    let key = keys::KeyPair::generate().unwrap();
    let digest = keys::Digest::sha256(b"artifact");
    let signature = keys::Sign::sign(&key, keys::Payload::Digest(&digest)).unwrap();
    let spki = STANDARD.encode(keys::Sign::public_key(&key).spki());
    let entry = json!({ "hashedRekordRequestV002": {
        "digest": STANDARD.encode(digest.as_bytes()),
        "signature": {
            "content": STANDARD.encode(signature),
            "verifier": {
                "publicKey": { "rawBytes": spki },
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            },
        },
    } });
    let url = format!("{}/api/v2/log/entries", running.endpoints().rekor_v2);
    let start = Instant::now();
    let answer = send(Request::post(&url), &entry.to_string()).await;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert_eq!(answer.status(), StatusCode::CREATED, "{text}");
    assert!(start.elapsed() <= interval + Duration::from_secs(5));
    assert!(text.contains("checkpoint"));
}

#[tokio::test]
async fn every_platform_has_a_place_whose_tokens_say_who_runs_there() {
    let (_directory, running) = sandbox().await;
    for name in sigstore_sandbox::PLATFORMS {
        let platform = running.platform(name).unwrap();
        assert!(!platform.env.is_empty() && !platform.claims.is_empty(), "{name}");
        for (_, kept) in &platform.files {
            assert!(kept.exists(), "{name}: {}", kept.display());
        }
        let tokens = platform.env.iter().filter_map(|(_, value)| IdToken::parse(value).ok());
        for token in tokens {
            assert_eq!(token.claims().issuer(), Some(platform.issuer.as_str()), "{name}");
            for (claim, value) in &platform.claims {
                assert_eq!(token.claims().get(claim), Some(value), "{name}");
            }
        }
    }
    assert!(running.platform("moon").unwrap_err().to_string().contains("circleci"));
}

#[tokio::test]
async fn a_pod_gets_its_token_from_the_api_server_that_its_authority_certifies() {
    let (_directory, running) = sandbox().await;
    let pod = running.platform("kubernetes").unwrap();
    let file = |name: &str| {
        let (_, kept) = pod.files.iter().find(|(place, _)| place.ends_with(name)).unwrap();
        std::fs::read_to_string(kept).unwrap()
    };
    let variable = |name: &str| &pod.env.iter().find(|(key, _)| key == name).unwrap().1;
    let url = format!(
        "https://{}:{}/api/v1/namespaces/{}/serviceaccounts/signer/token",
        variable("KUBERNETES_SERVICE_HOST"),
        variable("KUBERNETES_SERVICE_PORT"),
        file("namespace"),
    );
    let ask = async |bearer: &str, life: u64| {
        let request = Request::post(&url).header("authorization", format!("Bearer {bearer}"));
        let policy = CallPolicy::new().with_trust_only(file("ca.crt"));
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": ["sigstore"], "expirationSeconds": life },
        });
        send_with(request, &body.to_string(), &policy).await
    };
    let answer = ask(&file("token"), 600).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    let token = IdToken::parse(answer["status"]["token"].as_str().unwrap()).unwrap();
    assert_eq!(token.claims().audiences(), ["sigstore"]);
    assert_eq!(token.claims().subject(), Some("system:serviceaccount:build:signer"));
    assert_eq!(ask(&file("token"), 60).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask("other", 600).await.status(), StatusCode::UNAUTHORIZED);
}

async fn workload_api(running: &Running) -> WorkloadApi {
    let endpoint = Endpoint::unix(running.spiffe_socket()).unwrap();
    WorkloadApi::connect(&endpoint).await.unwrap()
}

/// The number of a gRPC status.
fn status_code(name: &str) -> u16 {
    let is_called =
        |code: &tonic::Code| format!("{code:?}").eq_ignore_ascii_case(&name.replace('_', ""));
    let code = (0..=16).map(tonic::Code::from).find(is_called).unwrap();
    code as u16
}

fn recordings() -> Vec<Value> {
    let recorded = include_str!("../../../tests/fixtures/captures/spire/workload-api.json");
    serde_json::from_str(recorded).unwrap()
}

/// One gRPC call with these very bytes: the status, its message, and whether a message came.
/// A stream is left after its first message.
async fn call(
    socket: &Path,
    method: &str,
    header: Option<&str>,
    message: &[u8],
) -> (u16, String, bool) {
    let stream = TokioIo::new(UnixStream::connect(socket).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let mut request = Request::post(format!("http://localhost{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // An agent tries until then what cannot succeed.
        .header("grpc-timeout", "500m");
    if let Some(header) = header {
        request = request.header("workload.spiffe.io", header);
    }
    let request = request.body(Full::new(Bytes::from(frame))).unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    let status = |headers: &HeaderMap| {
        let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap().to_owned());
        let code = text("grpc-status")?.parse::<u16>().unwrap();
        let message = text("grpc-message").unwrap_or_default();
        // Percent-encoded, as query parameters are.
        let pair = format!("m={}", message.replace('+', "%2B"));
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned();
        Some((code, decoded))
    };
    let refused = status(response.headers());
    let mut answered = false;
    let outcome = loop {
        if let Some(refused) = refused.clone() {
            break refused;
        }
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        match frame.into_trailers() {
            Ok(trailers) => break status(&trailers).unwrap(),
            Err(frame) if frame.is_data() => answered = true,
            Err(_) => {}
        }
        // A stream stays open: its first message is the answer.
        if answered && (method.contains("X509") || method.contains("Bundles")) {
            break (0, String::new());
        }
    };
    connection.abort();
    (outcome.0, outcome.1, answered)
}
