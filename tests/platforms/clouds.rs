//! Clouds at their edges, and files of tokens that are no plain files.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::{HostileServer, Program, Reply, Setup, skip};

/// A token of a Google service account, as the public Fulcio takes it.
fn account_token(setup: &Setup) -> String {
    let claims =
        json!({ "sub": "1", "email": "s@p.iam.gserviceaccount.com", "email_verified": true });
    setup.sandbox.token("email", claims.as_object().unwrap()).unwrap()
}

/// Serves these paths on the IPv6 loopback address for as long as the tests run: what a path starts
/// with, and the answer. `None` where this machine has no IPv6.
fn on_ipv6(answers: Vec<(&'static str, String)>) -> Option<u16> {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        skip("this machine has no IPv6");
        return None;
    };
    let port = listener.local_addr().unwrap().port();
    serve(listener, answers);
    Some(port)
}

fn serve(listener: TcpListener, answers: Vec<(&'static str, String)>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let path = first.split(' ').nth(1).unwrap();
            let answer = answers.iter().find(|(start, _)| path.starts_with(start));
            let (status, body) = answer.map_or((404, ""), |(_, body)| (200, body));
            let head = "Metadata-Flavor: Google\r\nConnection: close\r\nContent-Length:";
            write!(stream, "HTTP/1.1 {status} X\r\n{head} {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
}

#[test]
fn a_metadata_service_with_ipv6_alone_identifies_a_machine_of_googles() {
    let setup = Setup::new();
    let identity = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let Some(port) = on_ipv6(vec![(identity, account_token(&setup))]) else { return };
    let machine = || setup.program().env("GCE_METADATA_HOST", format!("[::1]:{port}"));
    let (outcome, report) = machine().identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["provider"], "google-workload-identity");
    setup.certificate(machine());
}

#[test]
fn a_metadata_service_with_ipv6_alone_gives_the_role_of_a_machine_of_awss() {
    let setup = Setup::new();
    let aws = setup.platform("aws");
    let variable = |name: &str| aws.env.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let keys = json!({
        "AccessKeyId": variable("AWS_ACCESS_KEY_ID"),
        "SecretAccessKey": variable("AWS_SECRET_ACCESS_KEY"),
    });
    let answers = vec![
        ("/latest/api/token", "session".to_owned()),
        ("/latest/meta-data/iam/security-credentials/signer", keys.to_string()),
        ("/latest/meta-data/iam/security-credentials/", "signer\n".to_owned()),
        ("/latest/meta-data/placement/region", "eu-central-1".to_owned()),
    ];
    let Some(port) = on_ipv6(answers) else { return };
    let sts = aws.env.iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT"));
    let machine = setup
        .program()
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://[::1]:{port}"))
        .envs(sts);
    let (_, report) = machine.identity();
    assert_eq!(report["chosen"]["provider"], "aws", "{report:#}");
}

/// Whether this test runs in a network of its own, where a metadata service can have its address.
/// The first time it runs itself again in one, and is done with it.
fn is_in_a_network_of_its_own(test: &str) -> bool {
    const INSIDE: &str = "AMBISIGN_TEST_NETWORK";
    const NETWORK: &str = "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && \
                           ip addr add 169.254.169.254/32 dev lo && exec \"$@\"";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let again = |command: &[&OsStr]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net", "sh", "-c", NETWORK, "sh"]);
        unshare.args(command).env(INSIDE, "1").output()
    };
    if !again(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        skip("this machine does not allow network namespaces");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let output = again(&[program.as_os_str(), "--exact".as_ref(), test.as_ref()]).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    false
}

#[test]
fn a_metadata_service_outside_of_its_cloud_is_named_and_signs_only_when_it_is_asked_for() {
    let own = "clouds::a_metadata_service_outside_of_its_cloud_is_named_and_signs_only_when_it_is_asked_for";
    if !is_in_a_network_of_its_own(own) {
        return;
    }
    let firmware = std::fs::read_to_string("/sys/class/dmi/id/product_name").unwrap_or_default();
    if firmware.starts_with("Google") {
        return skip("this is a machine of Google's");
    }
    let setup = Setup::new();
    let identity = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let answers = vec![(identity, account_token(&setup)), ("/", "computeMetadata/".to_owned())];
    serve(TcpListener::bind("169.254.169.254:80").unwrap(), answers);
    let machine = || setup.program().env("NO_GCE_CHECK", "false");
    let texts = ["may not be a machine of Google's", "--oidc-provider google-workload-identity"];
    machine().sign().ends(1).says(&texts);
    let (outcome, report) = machine().identity();
    outcome.ends(1).says(&texts);
    assert_eq!(report["chosen"], Value::Null);
    let named = || machine().args(["--oidc-provider", "google-workload-identity"]);
    let job = || machine().env("CI", "true");
    for (_, report) in [named().identity(), job().identity()] {
        assert_eq!(report["chosen"]["provider"], "google-workload-identity", "{report:#}");
    }
    setup.certificate(named());
    setup.certificate(job());
}

/// Google's STS and IAM: the exchange gives an access token, which gives an identity token.
fn google(setup: &Setup) -> HostileServer {
    let token = json!({ "token": account_token(setup) }).to_string();
    let json = [("content-type", "application/json")];
    HostileServer::new(move |request| {
        if request.is("POST", "/sts") {
            return Reply::response(200, &json, r#"{"access_token":"federated"}"#);
        }
        if request.is("POST", ":generateIdToken")
            && request.header("authorization") == Some("Bearer federated")
        {
            return Reply::response(200, &json, &token);
        }
        Reply::refusal(403, "DENIED")
    })
}

/// A file of credentials whose subject token comes from `source`.
fn federated(setup: &Setup, google: &HostileServer, source: &Value) -> Program {
    let address = google.address();
    let account = "projects/-/serviceAccounts/s@p.iam.gserviceaccount.com";
    let file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("http://{address}/sts"),
        "service_account_impersonation_url":
            format!("http://{address}/v1/{account}:generateAccessToken"),
        "credential_source": source,
    });
    let path = setup.write("federated.json", file.to_string());
    setup.program().env("GOOGLE_APPLICATION_CREDENTIALS", path)
}

/// A program that answers as `answer` says, after it noted what it has in its environment.
fn executable(setup: &Setup, answer: &str) -> String {
    let script = format!(
        "#!/bin/sh\necho run $GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE ${{SIGSTORE_ID_TOKEN-none}} >> log\n\
         echo '{answer}' | tee \"$GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE\"\n"
    );
    let path = setup.write("give-token", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_program_of_a_google_file_gives_its_token_as_aip_4117_says() {
    let setup = Setup::new();
    let google = google(&setup);
    let job = |answer: &str| {
        let output = setup.path("output.json");
        let source = json!({ "executable": {
            "command": executable(&setup, answer), "timeout_millis": 20_000, "output_file": output,
        }});
        let by_name = ["--oidc-provider", "google-adc"];
        federated(&setup, &google, &source).env("SIGSTORE_ID_TOKEN", "secret").args(by_name)
    };
    let allowed = |answer: &str| job(answer).env("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1");
    let good = r#"{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"subject","expiration_time":4000000000}"#;
    job(good).sign().ends(1).says(&["ALLOW_EXECUTABLES is not `1`"]);
    let failed = r#"{"version":1,"success":false,"code":"401","message":"log in first"}"#;
    allowed(failed).sign().ends(1).says(&["the program of the file failed: `401 log in first`"]);
    let script = setup.path("give-token");
    for (end, told) in [("exit 3", "ended with code 3"), ("kill -9 $$", "was ended by a signal")] {
        let program = allowed(good);
        std::fs::write(&script, format!("#!/bin/sh\n{end}\n")).unwrap();
        program.sign().ends(1).says(&[&format!("the program of the file {told}")]);
    }
    let program = allowed(good);
    std::fs::remove_file(&script).unwrap();
    program.sign().ends(1).says(&["the program of the file was not found"]);
    for _ in 0..2 {
        let (outcome, report) = allowed(good).identity();
        outcome.ends(0);
        assert_eq!(report["chosen"]["provider"], "google-adc");
    }
    let log = std::fs::read_to_string(setup.path("log")).unwrap();
    let line = "run //iam.googleapis.com/pool none\n";
    assert_eq!(log, line.repeat(2), "the second good answer came from the output file");
    assert!(google.requests().iter().any(|request| request.is("POST", ":generateIdToken")));
}

#[test]
fn an_identity_of_aws_signs_as_a_google_account_and_an_unknown_environment_is_named() {
    let setup = Setup::new();
    let google = google(&setup);
    let keys = [
        ("AWS_ACCESS_KEY_ID".to_owned(), "AKID".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "aws-secret".to_owned()),
        ("AWS_REGION".to_owned(), "eu-central-1".to_owned()),
    ];
    let job = |environment: &str| {
        let source = json!({ "environment_id": environment });
        federated(&setup, &google, &source).envs(&keys).args(["--oidc-provider", "google-adc"])
    };
    let (outcome, report) = job("aws1").identity();
    outcome.ends(0);
    assert_eq!(report["certificate"]["subject"], "s@p.iam.gserviceaccount.com");
    job("aws2").sign().ends(1).says(&["expected the environment `aws1`", "found `aws2`"]);
}

#[test]
fn azure_arc_and_service_fabric_are_named_and_not_asked() {
    let setup = Setup::new();
    let endpoint = HostileServer::new(|_| Reply::Hang);
    let url = format!("http://{}/", endpoint.address());
    for (variable, name) in
        [("IMDS_ENDPOINT", "Azure Arc"), ("IDENTITY_SERVER_THUMBPRINT", "Service Fabric")]
    {
        let place = setup.program().env("IDENTITY_ENDPOINT", &url).env(variable, "x");
        let told = format!("the managed identity of {name} is not supported");
        place.env("IDENTITY_HEADER", "h").sign().ends(1).says(&[&told]);
    }
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn a_job_whose_audience_is_fixed_does_not_hide_what_else_is_there() {
    let setup = Setup::new();
    for (job, reason) in [
        ("azure-pipelines", "gives only those for"),
        ("semaphore", "acme.semaphoreci.com"),
        ("vercel", "vercel.com/acme"),
    ] {
        let job = setup.platform(job);
        for (place, provider) in [("spiffe", "spiffe"), ("gce", "google-workload-identity")] {
            let program = || setup.on(&setup.platform(place)).envs(&job.env);
            let (outcome, report) = program().identity();
            outcome.ends(0);
            assert_eq!(report["chosen"]["provider"], provider, "{}", job.name);
            let mut sources = report["sources"].as_array().unwrap().iter();
            let source = sources.find(|source| source["provider"] == job.name).unwrap();
            assert_eq!(source["state"], "broken");
            assert!(source["reason"].as_str().unwrap().contains(reason), "{source:#}");
            setup.certificate(program());
        }
    }
}

#[test]
fn stray_keys_of_aws_do_not_hide_a_google_identity_that_the_fulcio_lists() {
    let setup = Setup::new();
    let both = || setup.on(&setup.platform("gce")).envs(&setup.platform("aws").env);
    let (outcome, report) = both().identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["provider"], "google-workload-identity", "{report:#}");
    let mut sources = report["sources"].as_array().unwrap().iter();
    let aws = sources.find(|source| source["provider"] == "aws").unwrap();
    assert_eq!(aws["state"], "available");
    assert!(aws["reason"].as_str().unwrap().contains("does not list the issuer"), "{aws:#}");
    setup.certificate(both());
    let (_, report) = both().args(["--oidc-provider", "aws"]).identity();
    assert_eq!(report["chosen"]["provider"], "aws");
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_token_comes_from_a_fifo_or_from_stdin() {
    let setup = Setup::new();
    let token = account_token(&setup);
    let path = setup.path("pipe");
    fifo(&path);
    let (at, text) = (path.clone(), token.clone());
    let writer = std::thread::spawn(move || std::fs::write(at, text).unwrap());
    setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", &path).sign().ends(0);
    writer.join().unwrap();
    for stdin in ["/dev/stdin", "/dev/fd/0"] {
        let program = setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", stdin);
        let program = program.args(["/etc/passwd", "--bundle", "bundle.json"]).command("sign-blob");
        program.run_with_stdin(token.as_bytes()).ends(0);
    }
}

#[test]
fn a_file_that_never_answers_is_a_broken_source() {
    let setup = Setup::new();
    let path = setup.path("pipe");
    fifo(&path);
    let start = Instant::now();
    let outcome = setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", &path).sign();
    outcome.ends(1).says(&["SIGSTORE_OIDC_TOKEN_FILE", "took longer than 10 s"]);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(20), "{took:?}");
}

/// As Kubernetes renews a projected volume: a new directory, and a link to it that is replaced.
#[test]
fn a_projected_volume_is_read_while_it_is_renewed() {
    let setup = Setup::new();
    let token = account_token(&setup);
    let volume = setup.path("volume");
    let renew = Arc::new(move |number: u32| {
        let (directory, link) = (volume.join(format!("..{number}")), volume.join("..data"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("token"), &token).unwrap();
        symlink(directory.file_name().unwrap(), volume.join("..data_tmp")).unwrap();
        std::fs::rename(volume.join("..data_tmp"), link).unwrap();
        if let Some(old) = number.checked_sub(1) {
            std::fs::remove_dir_all(volume.join(format!("..{old}"))).unwrap();
        }
    });
    renew(0);
    symlink("..data/token", setup.path("volume").join("token")).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let renewing = Arc::clone(&renew);
    let kubelet = std::thread::spawn(move || {
        let mut number = 1;
        while stopped.try_recv().is_err() {
            renewing(number);
            number += 1;
        }
    });
    for _ in 0..10 {
        let path = setup.path("volume").join("token");
        let (outcome, report) = setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", path).identity();
        outcome.ends(0);
        assert_eq!(report["chosen"]["provider"], "filesystem");
    }
    stop.send(()).unwrap();
    kubelet.join().unwrap();
}
