//! What the browser shows when it comes back.

use bytes::Bytes;
use host::Page;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderValue, Response, StatusCode};

/// The login reached us. What becomes of it, the terminal tells.
pub(crate) fn returned() -> Page {
    page(
        StatusCode::OK,
        "Back to the terminal",
        "Your answer has arrived. You can close this window; the terminal says how it ends.",
        true,
    )
}

/// The issuer sent an error instead of a code.
pub(crate) fn failed() -> Page {
    page(
        StatusCode::BAD_REQUEST,
        "Not logged in",
        "The login was not completed. You can close this window; the terminal says why.",
        true,
    )
}

/// An answer to another login; `last` if it ends this one.
pub(crate) fn foreign(last: bool) -> Page {
    page(
        StatusCode::BAD_REQUEST,
        "Not this login",
        "This answer does not belong to the login that is waiting. Nothing was done with it.",
        last,
    )
}

/// The browser asks for something that is not the callback, such as an icon.
pub(crate) fn absent() -> Page {
    page(StatusCode::NOT_FOUND, "Nothing here", "There is no such page.", false)
}

/// The texts are ours: nothing from the request is shown.
fn page(status: StatusCode, title: &str, text: &str, last: bool) -> Page {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1><p>{text}</p></html>\n"
    );
    let mut response = Response::new(Bytes::from(html));
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        // The page's own address holds the code.
        (REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Page { response, last }
}
