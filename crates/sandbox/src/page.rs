//! A page for a browser, and the same for programs: what runs here, what was issued, logged and
//! pushed, and the faults to switch.
//!
//! It is at the root of the first port, in front of the issuers. Only this machine may use it: a
//! browser sends other web sites' requests here as well, with their `Origin`, or with a `Host` that
//! was made to lead here.

mod render;
mod report;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, HOST, HeaderName, LOCATION, ORIGIN, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;
use url::{Host, Url};

pub(crate) use self::report::Observed;
use crate::Fault;
use crate::service::{Service, answer, json_answer};

const STATE: &str = "/sandbox/state";
const FAULTS: &str = "/sandbox/faults";

/// The page's own files and forms, and nothing of any other place.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The page, with the service that answers everything else at the same address.
pub(crate) struct Page {
    observed: Observed,
    others: Arc<dyn Service>,
}

impl Page {
    pub(crate) fn new(observed: Observed, others: Arc<dyn Service>) -> Self {
        Self { observed, others }
    }

    fn route(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let allowed = match path {
            FAULTS => "POST, OPTIONS",
            "/" | STATE | "/sandbox/page.css" | "/sandbox/page.js" => "GET, OPTIONS",
            _ if path.starts_with("/sandbox/faults/") => "PUT, DELETE, OPTIONS",
            _ => return answer(StatusCode::NOT_FOUND, "text/plain", "nothing is here\n"),
        };
        let method = request.method();
        if *method == Method::OPTIONS {
            let mut response = answer(StatusCode::NO_CONTENT, "text/plain", "");
            set(&mut response, ACCESS_CONTROL_ALLOW_METHODS, allowed);
            return response;
        }
        if !allowed.split(", ").any(|known| known == method.as_str()) {
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "");
            set(&mut response, ALLOW, allowed);
            return response;
        }
        match path {
            "/" => {
                let html = render::page(&self.observed);
                answer(StatusCode::OK, "text/html; charset=utf-8", html)
            }
            STATE => json_answer(StatusCode::OK, &self.observed.to_json()),
            "/sandbox/page.css" => {
                answer(StatusCode::OK, "text/css", include_str!("page/page.css"))
            }
            "/sandbox/page.js" => {
                answer(StatusCode::OK, "text/javascript", include_str!("page/page.js"))
            }
            FAULTS => self.switch_by_form(request.body()),
            _ => {
                let name = path.strip_prefix("/sandbox/faults/").unwrap_or_default();
                self.switch(name, *method == Method::PUT)
            }
        }
    }

    /// The page's buttons: afterwards the browser shows the page again.
    fn switch_by_form(&self, body: &[u8]) -> Response<Bytes> {
        let field = |wanted: &str| {
            let mut fields = url::form_urlencoded::parse(body);
            fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let on = match field("on").as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => return problem(StatusCode::BAD_REQUEST, "the field `on` is not true or false"),
        };
        let switched = self.switch(&field("fault").unwrap_or_default(), on);
        if switched.status() != StatusCode::OK {
            return switched;
        }
        let mut response = answer(StatusCode::SEE_OTHER, "text/plain", "");
        set(&mut response, LOCATION, "/#faults");
        response
    }

    fn switch(&self, name: &str, on: bool) -> Response<Bytes> {
        let fault = match name.parse::<Fault>() {
            Ok(fault) => fault,
            Err(error) => return problem(StatusCode::NOT_FOUND, &error.to_string()),
        };
        if fault.is_fixed_at_start() {
            let reason =
                format!("{fault} takes effect at the start only: start with --fault {fault}");
            return problem(StatusCode::CONFLICT, &reason);
        }
        self.observed.faults.switch(fault, on);
        json_answer(StatusCode::OK, &json!({ "fault": fault.name(), "on": on }))
    }
}

impl Service for Page {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path != "/" && path.split('/').nth(1) != Some("sandbox") {
            return self.others.handle(request);
        }
        let origin = match asker(&request) {
            Ok(origin) => origin,
            Err(reason) => return problem(StatusCode::FORBIDDEN, reason),
        };
        let mut response = self.route(&request);
        if let Some(origin) = origin {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        set(&mut response, VARY, "origin");
        set(&mut response, CACHE_CONTROL, "no-store");
        set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
        set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
        // Not `no-referrer`: the origin of the page's own forms would be `null`.
        set(&mut response, REFERRER_POLICY, "same-origin");
        response
    }
}

/// The web site that asks, if a browser does and this site may; an error if it may not.
fn asker(request: &Request<Bytes>) -> Result<Option<HeaderValue>, &'static str> {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    let own = Url::parse(&format!("http://{}", host.unwrap_or_default()))
        .map_err(|_| "the request names no host\n")?;
    // A name other than `localhost` may be anybody's, with this machine's address.
    if !is_address(&own) && own.host_str() != Some("localhost") {
        return Err("this page is at localhost or at an address, not at another name\n");
    }
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(None) };
    let asking = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    match asking {
        Some(asking) if asking.origin() == own.origin() || is_loopback(&asking) => {
            Ok(Some(origin.clone()))
        }
        _ => Err("another web site may not use this page\n"),
    }
}

fn is_address(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

fn is_loopback(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => return name == "localhost",
        None => return false,
    };
    address.is_loopback()
}

fn problem(status: StatusCode, reason: &str) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", format!("{}\n", reason.trim_end()))
}

fn set(response: &mut Response<Bytes>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
