//! Registries that misbehave on the wire.

use std::time::{Duration, Instant};

use harness::{HostileServer, RawRequest, Reply, Setup};

/// A signed image behind a registry that answers by `rule`, and its reference there.
fn signed_behind(
    rule: impl Fn(&RawRequest) -> Reply + Send + Sync + 'static,
) -> (Setup, HostileServer, String) {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let registry = setup.hostile_registry(rule);
    let image = format!("{}/demo/app:v1", registry.address());
    (setup, registry, image)
}

#[test]
fn a_manifest_that_never_ends_is_cut_at_the_cap() {
    let (setup, _registry, image) = signed_behind(|request| {
        if request.is("GET", "/manifests/") {
            return Reply::endless("application/vnd.oci.image.manifest.v1+json", [b' '; 1 << 16]);
        }
        Reply::Forward
    });
    let start = Instant::now();
    let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
    verify.limited_to(1 << 30).run().ends(1).says(&["could not be verified"]);
    setup.workload().args(["sign", &image]).limited_to(1 << 30).run().ends(1);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_manifest_that_drips_ends_at_the_deadline() {
    let (setup, _registry, image) = signed_behind(|request| {
        if request.is("GET", "/manifests/") {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            return Reply::dripping(media_type, [b' '; 1000], Duration::from_millis(300));
        }
        Reply::Forward
    });
    let start = Instant::now();
    let verify = setup.program().args(["verify", "-t", "3s", &image]).args(setup.by_workload());
    verify.run().ends(1).says(&["not done within 3s"]);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}

#[test]
fn a_registry_that_hangs_ends_at_the_deadline_and_is_named() {
    let (setup, _registry, image) = signed_behind(|_| Reply::Hang);
    let start = Instant::now();
    let verify = setup.program().args(["verify", "-t", "2s", &image]).args(setup.by_workload());
    verify.run().ends(1).says(&["not done within 2s", &image]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_refused_candidate_is_not_an_unsigned_image() {
    for (status, text) in [(403, "not permitted to pull"), (503, "503")] {
        let (setup, _registry, image) = signed_behind(move |request| {
            if request.is("GET", "/blobs/") {
                Reply::refusal(status, "DENIED")
            } else {
                Reply::Forward
            }
        });
        let verify = setup.program().args(["verify", "-t", "20s", &image]);
        let verify = verify.args(setup.by_workload()).run();
        assert!([1, 12].contains(&verify.code), "{verify:#?}");
        verify.says(&[text]);
    }
}

/// A proxy in front of the registry has words of its own: a page, or bytes that are compressed.
#[test]
fn the_page_of_a_proxy_is_an_outage_and_its_bytes_do_not_reach_the_terminal() {
    const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x1b[31m\x07\xff\xfe";
    for (kind, encoding, body) in [
        ("application/json", "gzip", GZIP),
        ("text/html", "identity", b"<html><h1>Bad gateway</h1>\x1b]0;title\x07".as_slice()),
    ] {
        let (setup, _registry, image) = signed_behind(move |_| {
            let headers = [("content-type", kind), ("content-encoding", encoding)];
            Reply::response(502, &headers, body)
        });
        let verify = setup.program().args(["verify", "-t", "20s", &image]);
        let verify = verify.args(setup.by_workload()).run().ends(1).says(&["502"]);
        assert!(!verify.stderr.contains(['\x1b', '\x07']), "{verify:#?}");
    }
}

#[test]
fn an_upload_is_not_sent_to_an_address_inside_that_the_registry_names() {
    for target in ["169.254.169.254", "10.0.0.1:8080", "registry.example"] {
        let setup = Setup::new();
        setup.image("demo/app");
        let location = format!("http://{target}/upload");
        let registry = setup.hostile_registry(move |request| {
            if request.is("POST", "/blobs/uploads/") {
                return Reply::response(202, &[("location", &location)], "");
            }
            Reply::Forward
        });
        let image = format!("{}/demo/app:v1", registry.address());
        let logged = setup.logged();
        let sign = setup.workload().args(["sign", "-t", "20s", &image]).run().ends(1);
        sign.says(&[&format!("http://{target}/upload")]).hides("not done within");
        assert_eq!(setup.logged(), logged);
    }
}

#[test]
fn a_redirect_to_the_metadata_service_is_not_followed() {
    let (setup, _registry, image) = signed_behind(|request| {
        if request.is("GET", "/blobs/") {
            return Reply::redirect(307, "http://169.254.169.254/latest/meta-data/");
        }
        Reply::Forward
    });
    let verify = setup.program().args(["verify", "-t", "10s", &image]).args(setup.by_workload());
    let verify = verify.run();
    assert!([1, 12].contains(&verify.code), "{verify:#?}");
    verify.says(&["169.254.169.254"]).hides("not done within");
}
