//! What people see.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::progress::LOGIN_EMAIL;
use crate::html::escape;
use crate::service::answer;

/// The login form. `name` and `value` are what it carries along; a code to enter is shown.
pub(super) fn login(action: &str, name: &str, value: &str, itself: bool) -> Response<Bytes> {
    let (action, value) = (escape(action), escape(value));
    let shown = if name == "user_code" { "text" } else { "hidden" };
    let script = if itself {
        // Not `form.submit()`: that leaves out which button was pressed.
        "<script>document.getElementById('approve').click()</script>"
    } else {
        ""
    };
    page(
        StatusCode::OK,
        "Log in to the sandbox",
        &format!(
            "<form id=\"login\" method=\"post\" action=\"{action}\">\
             <input type=\"{shown}\" name=\"{name}\" value=\"{value}\">\
             <label>E-mail <input name=\"email\" type=\"email\" value=\"{LOGIN_EMAIL}\"></label>\
             <button id=\"approve\" name=\"approval\" value=\"approve\">Grant access</button>\
             <button id=\"reject\" name=\"approval\" value=\"reject\">Cancel</button>\
             </form>{script}"
        ),
    )
}

/// The code to copy.
pub(super) fn code(code: &str) -> Response<Bytes> {
    page(
        StatusCode::OK,
        "Login successful",
        &format!(
            "<p>Please copy this code, switch to your application and paste it there:</p>\
             <input id=\"code\" type=\"text\" readonly value=\"{}\">",
            escape(code)
        ),
    )
}

/// The device is let in, or not.
pub(super) fn done() -> Response<Bytes> {
    page(StatusCode::OK, "Done", "<p>Return to your device to continue.</p>")
}

/// What is wrong with a request of a browser.
pub(super) fn problem(text: &str) -> Response<Bytes> {
    page(StatusCode::BAD_REQUEST, "Bad Request", &format!("<p>{}</p>", escape(text)))
}

fn page(status: StatusCode, title: &str, content: &str) -> Response<Bytes> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1>{content}</html>\n"
    );
    answer(status, "text/html; charset=utf-8", html)
}
