//! The platforms' own clients beside ours: for what they ask we ask, what they read we read, and
//! where they are refused so are we.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use harness::{HostileServer, Interop, RawRequest, RegistryKind, Reply};
use host::{Host, NoPrograms};
use http_client::{HttpClient, Settings, SystemClock};
use id_token::{Audience, IdToken, Outcome};
use image_signing::IdentitySearch;
use sandbox::{Platform, RekorVersion};
use serde_json::{Map, Value};

/// A client of a vendor, in the place that it is made for.
struct Vendor {
    /// A function of `vendors.py`, or [`GITHUB`].
    client: &'static str,
    platform: &'static str,
    /// The name of our source.
    source: &'static str,
    audience: &'static str,
    /// A part of the URL that the token is requested at.
    asks: &'static str,
    /// Headers that must be the same in both requests.
    headers: &'static [&'static str],
}

/// The one client that is a program of node.
const GITHUB: &str = "@actions/core";

const VENDORS: [Vendor; 6] = [
    Vendor {
        client: GITHUB,
        platform: "github",
        source: "github-actions",
        audience: "sigstore",
        asks: "/token?",
        headers: &["authorization"],
    },
    Vendor {
        client: "id",
        platform: "github",
        source: "github-actions",
        audience: "sigstore",
        asks: "/token?",
        headers: &["authorization"],
    },
    Vendor {
        client: "botocore",
        platform: "aws",
        source: "aws",
        audience: "sigstore",
        asks: "/aws/",
        headers: &["authorization", "content-type"],
    },
    Vendor {
        client: "azure_identity",
        platform: "azure-app-service",
        source: "azure-managed-identity",
        audience: "api://AzureADTokenExchange",
        asks: "/azure/msi/token",
        headers: &["x-identity-header"],
    },
    Vendor {
        client: "google_auth",
        platform: "gce",
        source: "google-workload-identity",
        audience: "sigstore",
        asks: "/identity?",
        headers: &["metadata-flavor"],
    },
    Vendor {
        client: "google_auth_impersonation",
        platform: "google-impersonation",
        source: "google-impersonate",
        audience: "sigstore",
        asks: ":generateIdToken",
        headers: &["authorization", "content-type"],
    },
];

/// What a client has in the end: a token, or the reason why it has none.
type Answer = Result<IdToken, String>;

/// Everything in a request that decides what is answered.
#[derive(Debug, PartialEq)]
struct Asked {
    method: String,
    path: String,
    query: BTreeSet<(String, String)>,
    headers: Vec<Option<String>>,
    body: Body,
}

#[derive(Debug, PartialEq)]
enum Body {
    Form(BTreeSet<(String, String)>),
    /// Without members that are empty.
    Json(Map<String, Value>),
}

impl Asked {
    fn new(request: &RawRequest, headers: &[&str]) -> Self {
        let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect();
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let body = match serde_json::from_slice(&request.body) {
            Ok(Value::Object(mut members)) => {
                members.retain(|_, value| !value.is_null() && value.as_array() != Some(&vec![]));
                Body::Json(members)
            }
            _ => Body::Form(pairs(&request.body)),
        };
        Self {
            method: request.method.clone(),
            path: path.replace("%40", "@"),
            query: pairs(query.as_bytes()),
            headers: headers.iter().map(|name| request.header(name).map(comparable)).collect(),
            body,
        }
    }
}

/// A header's value without what may differ: the case of a scheme, the parameters of a media type,
/// which headers a signature of AWS covers.
fn comparable(value: &str) -> String {
    let value = value.split([';', ',']).next().unwrap_or_default();
    let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
    format!("{} {rest}", scheme.to_ascii_lowercase())
}

fn interop() -> Interop {
    Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1)
}

/// The platform with a server before its endpoints, which does as `rule` says with requests for a
/// token.
fn behind(
    place: &Platform,
    asks: &'static str,
    rule: fn() -> Reply,
) -> (BTreeMap<String, String>, HostileServer) {
    let (_, after) =
        place.env.iter().find_map(|(_, value)| value.split_once("localhost:")).unwrap();
    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
    let endpoint = format!("localhost:{port}");
    let server = HostileServer::before(&endpoint, move |request| {
        if request.target.contains(asks) { rule() } else { Reply::Forward }
    });
    let moved = |(name, value): &(String, String)| {
        (name.clone(), value.replace(&endpoint, server.address()))
    };
    (place.env.iter().map(moved).collect(), server)
}

impl Vendor {
    fn theirs(&self, interop: &Interop, env: &BTreeMap<String, String>) -> Answer {
        let directory = harness::workspace().join("tests/interop");
        let client = match self.client {
            GITHUB => interop.node().arg(directory.join("vendors.js")).arg(interop.modules()),
            name => interop.python().arg(directory.join("vendors.py")).arg(name),
        };
        let mut client = client.arg(self.audience);
        if let Some(address) = env.get("GCE_METADATA_HOST") {
            // It asks an address, not a name, whether this is Google's.
            client = client.env("GCE_METADATA_IP", address);
        }
        let client = env.iter().fold(client, |client, (name, value)| client.env(name, value));
        let printed = client.run().succeeds().stdout;
        let answer: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
        match answer["token"].as_str() {
            // A text that is not a token is not read by anything that a token is given to.
            Some(token) => IdToken::parse(token).map_err(|error| error.to_string()),
            None => Err(answer["refused"].as_str().unwrap().to_owned()),
        }
    }

    fn ours(&self, interop: &Interop, env: &BTreeMap<String, String>) -> Answer {
        let host = Host::new(
            Arc::new(HttpClient::new(&Settings::new())),
            Arc::new(env.clone()),
            Arc::new(SystemClock),
            Arc::new(NoPrograms),
        );
        let audience = Audience::new(self.audience).unwrap();
        let search = IdentitySearch::new(&host).only(self.source).unwrap();
        let search = search.with_audience(audience.clone());
        interop.setup.block_on(async {
            let found = search.find(std::future::ready(None)).await;
            let found = found.map_err(|error| host::with_causes(&error))?;
            match found.source.find(&audience, Duration::ZERO).await {
                Outcome::Found(found) => Ok(found.token),
                other => Err(format!("{other:?}")),
            }
        })
    }

    /// The request for a token, as `server` saw it.
    fn asked(&self, server: &HostileServer) -> Asked {
        let requests = server.requests();
        let asked = requests.iter().rev().find(|request| request.target.contains(self.asks));
        Asked::new(asked.unwrap(), self.headers)
    }
}

/// What a token says but for its times and its serial number.
fn lasting_claims(token: &IdToken) -> Map<String, Value> {
    let mut claims = token.claims().as_object().clone();
    claims.retain(|name, _| !["exp", "iat", "nbf", "jti"].contains(&name.as_str()));
    claims
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_ask_for_what_the_vendors_client_asks_for_and_read_what_it_reads() {
    let interop = interop();
    for vendor in VENDORS {
        let (name, place) = (vendor.client, interop.setup.platform(vendor.platform));
        let (env, server) = behind(&place, vendor.asks, || Reply::Forward);
        let theirs = vendor.theirs(&interop, &env).expect(name);
        let asked = vendor.asked(&server);
        let (env, server) = behind(&place, vendor.asks, || Reply::Forward);
        let ours = vendor.ours(&interop, &env).expect(name);
        assert_eq!(vendor.asked(&server), asked, "{name}");
        assert_eq!(lasting_claims(&ours), lasting_claims(&theirs), "{name}");
        assert_eq!(ours.claims().audiences(), [vendor.audience], "{name}");
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn where_the_vendors_client_is_refused_so_are_we() {
    let interop = interop();
    let answers: [fn() -> Reply; 4] = [
        || Reply::response(401, &[("content-type", "application/json")], "{}"),
        || Reply::response(403, &[("content-type", "application/json")], r#"{"error":"denied"}"#),
        || Reply::response(200, &[("content-type", "text/html")], "<!doctype html>\n<p>Log in"),
        || Reply::response(200, &[("content-type", "application/json")], "{}"),
    ];
    for vendor in VENDORS {
        let place = interop.setup.platform(vendor.platform);
        for (number, answer) in answers.into_iter().enumerate() {
            let (env, _server) = behind(&place, vendor.asks, answer);
            let what = format!("{}, answer {number}", vendor.client);
            let theirs = vendor.theirs(&interop, &env).map(|token| lasting_claims(&token));
            theirs.expect_err(&what);
            let ours = vendor.ours(&interop, &env).map(|token| lasting_claims(&token));
            ours.expect_err(&what);
        }
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn without_the_variables_of_its_platform_neither_finds_a_token() {
    let interop = interop();
    for vendor in VENDORS.iter().filter(|vendor| vendor.platform == "github") {
        let (mut env, _server) =
            behind(&interop.setup.platform(vendor.platform), vendor.asks, || Reply::Forward);
        env.retain(|name, _| name == "GITHUB_ACTIONS");
        vendor.theirs(&interop, &env).map(drop).expect_err(vendor.client);
        let refused = vendor.ours(&interop, &env).map(drop).expect_err(vendor.client);
        assert!(refused.contains("id-token"), "{refused}");
    }
}
