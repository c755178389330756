//! Refusals in the shape of go-openapi servers.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::service::json_line;

/// Why there is no answer, as go-openapi servers tell it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// The status again, or from 600 on which rule of the schema.
    pub(super) code: u32,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn required(field: &str) -> Self {
        Self::invalid(602, &format!("{field} in body is required"))
    }

    pub(super) fn invalid(code: u32, message: &str) -> Self {
        Self { status: 422, code, message: message.to_owned() }
    }

    pub(super) fn internal(message: String) -> Self {
        Self { status: 500, code: 500, message }
    }

    pub(super) fn answer(&self) -> Response<Bytes> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        json_line(status, &json!({ "code": self.code, "message": self.message }))
    }
}
