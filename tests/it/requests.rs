//! How many requests the program makes, and how many of them one after another: a registry and
//! services behind proxies that delay and count.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{HostileServer, Program, Reply, Setup};
use sandbox::RekorVersion;

/// A request: where it went, and when it was on its way.
struct Call {
    to: &'static str,
    line: String,
    start: Instant,
    end: Instant,
}

/// A sandbox behind proxies.
struct Lab {
    setup: Setup,
    registry: HostileServer,
    calls: Arc<Mutex<Vec<Call>>>,
    token_url: String,
    /// They serve until the test ends.
    _services: Vec<HostileServer>,
}

impl Lab {
    fn new(referrers: bool, log: RekorVersion, registry: u64, services: u64) -> Self {
        let setup = Setup::with(|config| {
            config.referrers = referrers;
            config.checkpoint_interval = Duration::from_secs(2);
        });
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let front = |to: &'static str, behind: &str, delay: u64| {
            let calls = Arc::clone(&calls);
            HostileServer::before(behind, move |request| {
                let (start, line) =
                    (Instant::now(), format!("{} {}", request.method, request.target));
                std::thread::sleep(Duration::from_millis(delay));
                calls.lock().unwrap().push(Call { to, line, start, end: Instant::now() });
                Reply::Forward
            })
        };
        let endpoints = setup.sandbox.endpoints();
        let mut config = std::fs::read_to_string(setup.sandbox.signing_config(log)).unwrap();
        let mut servers = Vec::new();
        for (to, url) in [
            ("Fulcio", &endpoints.fulcio),
            ("Rekor", &endpoints.rekor_v1),
            ("Rekor", &endpoints.rekor_v2),
            ("the TSA", &endpoints.tsa),
        ] {
            let address = host_of(url);
            let server = front(to, &address, services);
            config = config.replace(&address, server.address());
            servers.push(server);
        }
        setup.write("config.json", config);
        let env = setup.sandbox.github_env();
        let (_, url) = env.iter().find(|(name, _)| name == "ACTIONS_ID_TOKEN_REQUEST_URL").unwrap();
        let issuer = front("the issuer", &host_of(url), services);
        let token_url = url.replace(&host_of(url), issuer.address());
        servers.push(issuer);
        let registry = front("the registry", setup.sandbox.registry(), registry);
        Self { setup, registry, calls, token_url, _services: servers }
    }

    fn sign(&self) -> Program {
        let job = self.setup.job().env("ACTIONS_ID_TOKEN_REQUEST_URL", &self.token_url);
        job.args(["sign", "--signing-config", "config.json"])
    }

    fn count(&self, to: &str, part: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.to == to && call.line.contains(part)).count()
    }

    /// The longest chain of requests each of which began when the one before it had ended.
    fn round_trips(&self) -> (usize, String) {
        let mut calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.sort_by_key(|call| call.start);
        let (mut depths, mut shown) = (Vec::<(Instant, usize)>::new(), String::new());
        for call in &calls {
            let before = depths.iter().filter(|(end, _)| *end <= call.start);
            let depth = before.map(|(_, depth)| *depth).max().unwrap_or(0) + 1;
            shown.push_str(&format!("{depth:>3} {} {}\n", call.to, call.line));
            depths.push((call.end, depth));
        }
        (depths.into_iter().map(|(_, depth)| depth).max().unwrap_or(0), shown)
    }
}

/// `HOST:PORT` of a URL.
fn host_of(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

#[test]
fn one_image_is_signed_in_seven_round_trips_and_verified_by_digest_in_three() {
    for referrers in [true, false] {
        let lab = Lab::new(referrers, RekorVersion::V1, 200, 200);
        lab.setup.image("demo/app");
        let image = format!("{}/demo/app", lab.registry.address());
        lab.sign().arg(format!("{image}:v1")).run().ends(0);
        let (trips, shown) = lab.round_trips();
        assert!(trips <= 7, "{trips} round trips, referrers API {referrers}\n{shown}");
        let digest = format!("{image}@{}", lab.setup.digest("demo/app"));
        let verify = lab.setup.program().args(["verify", &digest]).args(lab.setup.by_job());
        verify.run().ends(0);
        let (trips, shown) = lab.round_trips();
        assert!(trips <= 3, "{trips} round trips, referrers API {referrers}\n{shown}");
    }
}

/// A registry after 20 ms, services after 100 ms, a log that publishes every two seconds; the images
/// in one repository, or each in its own.
#[test]
fn a_hundred_images_cost_one_token_one_certificate_and_few_requests_each() {
    for (referrers, log, apart) in [
        (true, RekorVersion::V1, true),
        (true, RekorVersion::V2, false),
        (false, RekorVersion::V1, true),
        (false, RekorVersion::V1, false),
    ] {
        let lab = Lab::new(referrers, log, 20, 100);
        let images = match apart {
            true => (0..100).map(|number| lab.setup.image(&format!("demo/app{number}"))).collect(),
            false => lab.setup.images("demo/app", 100),
        };
        let list: Vec<_> = images
            .iter()
            .map(|image| image.replace(lab.setup.sandbox.registry(), lab.registry.address()))
            .collect();
        lab.setup.write("list", list.join("\n"));
        let start = Instant::now();
        lab.sign().args(["--from-file", "list"]).run().ends(0).says(&["signed 100, "]);
        let took = start.elapsed();
        let requests = lab.count("the registry", "");
        assert_eq!((lab.count("the issuer", ""), lab.count("Fulcio", "signingCert")), (1, 1));
        println!("referrers API {referrers}, apart {apart}: {requests} requests in {took:?}");
        // With what is asked once of the registry.
        assert!(requests <= 100 * if referrers { 5 } else { 8 }, "{requests} requests");
        assert!(took < Duration::from_secs(30), "{took:?}; an optimised program takes a third");
    }
}

/// What is public for ever is not made for an image that does not exist or may not be written.
#[test]
fn nothing_is_certified_stamped_or_logged_for_an_image_that_cannot_be_signed() {
    let lab = Lab::new(true, RekorVersion::V1, 0, 0);
    lab.setup.image("demo/app");
    let there = format!("{}/demo/app", lab.registry.address());
    let (tag, repository) = (format!("{there}:v2"), there.replace("demo/app", "demo/none:v1"));
    let denied =
        lab.setup.hostile_registry(|request| match request.is("POST", "/blobs/uploads/") {
            true => Reply::refusal(403, "DENIED"),
            false => Reply::Forward,
        });
    let denied = format!("{}/demo/app:v1", denied.address());
    let unknown = lab.setup.hostile_registry(|_| Reply::refusal(401, "UNAUTHORIZED"));
    let unknown = format!("{}/demo/app:v1", unknown.address());
    for (image, code) in [(tag, 11), (repository, 11), (denied, 1), (unknown, 1)] {
        lab.sign().arg(&image).run().ends(code);
        for service in ["Fulcio", "Rekor", "the TSA"] {
            assert_eq!(lab.count(service, "POST"), 0, "{service}, {image}");
        }
    }
    assert_eq!(lab.setup.logged(), 0);
}
