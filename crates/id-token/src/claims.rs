//! What a token says of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// The payload of a token: unverified, and not secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Claims from a JSON object.
    pub fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `email`.
    pub fn email(&self) -> Option<&str> {
        self.text("email")
    }

    /// `aud`, which may be one string or a list of them.
    pub fn audiences(&self) -> Vec<&str> {
        match self.0.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// `exp`.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.time("exp")
    }

    /// `nbf`.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.time("nbf")
    }

    /// `iat`.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.time("iat")
    }

    /// The string claim `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The claim `name`, whatever its type.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A NumericDate (RFC 7519 section 2): seconds since the epoch, fractions allowed.
    fn time(&self, name: &str) -> Option<SystemTime> {
        let seconds = self.0.get(name)?.as_f64()?;
        UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }
}
