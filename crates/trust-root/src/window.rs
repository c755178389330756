use std::time::SystemTime;

use bundle::proto_json::Message;
use jiff::Timestamp;

use crate::document::{in_document, quote};
use crate::error::Error;

/// A period of validity: from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// The first moment.
    pub start: SystemTime,
    /// The last moment; `None` means no end is known.
    pub end: Option<SystemTime>,
}

impl Window {
    /// From `start` to `end`.
    ///
    /// # Errors
    ///
    /// When it ends before it starts.
    pub fn new(start: SystemTime, end: Option<SystemTime>) -> Result<Self, Error> {
        if end.is_some_and(|end| end < start) {
            return Err(Error::entry("validFor", "the window ends before it starts"));
        }
        Ok(Self { start, end })
    }

    /// From `start` on.
    pub fn since(start: SystemTime) -> Self {
        Self { start, end: None }
    }

    /// Whether `time` lies in the window, its two ends included.
    pub fn contains(&self, time: SystemTime) -> bool {
        self.start <= time && self.end.is_none_or(|end| time <= end)
    }

    /// Reads the field `validFor` of `message`, which must name a start.
    pub(crate) fn read(message: &mut Message<'_>, what: &'static str) -> Result<Self, Error> {
        let path = message.path_of("validFor");
        let mut range = message
            .message("validFor")
            .map_err(in_document(what))?
            .ok_or_else(|| Error::entry(&path, "missing"))?;
        let start = time(&mut range, "start", what)?;
        let end = time(&mut range, "end", what)?;
        // Without a start an entry would be good for every past, before its key even existed.
        let start = start.ok_or_else(|| Error::entry(format!("{path}.start"), "missing"))?;
        Ok(Self { start, end })
    }

    pub(crate) fn to_json(self) -> serde_json::Value {
        let mut json = serde_json::Map::new();
        json.insert("start".into(), rfc3339(self.start).into());
        if let Some(end) = self.end {
            json.insert("end".into(), rfc3339(end).into());
        }
        json.into()
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.end {
            Some(end) => write!(f, "{} to {}", rfc3339(self.start), rfc3339(end)),
            None => write!(f, "{} on", rfc3339(self.start)),
        }
    }
}

fn time(
    range: &mut Message<'_>,
    name: &'static str,
    what: &'static str,
) -> Result<Option<SystemTime>, Error> {
    let Some(text) = range.string(name).map_err(in_document(what))? else { return Ok(None) };
    let parsed: Result<Timestamp, _> = text.parse();
    match parsed {
        Ok(timestamp) => Ok(Some(SystemTime::from(timestamp))),
        Err(_) => Err(Error::entry(
            range.path_of(name),
            format!("expected an RFC 3339 time, found {}", quote(&text)),
        )),
    }
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "(out of range)".to_owned(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn window(json: &str) -> Result<Window, Error> {
        let json = format!(r#"{{"validFor":{json}}}"#);
        Window::read(&mut Message::parse(json.as_bytes(), 1000).unwrap(), "test")
    }

    #[test]
    fn both_ends_belong_to_the_window() {
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        let window = Window { start: at(10), end: Some(at(20)) };
        for (second, inside) in [(9, false), (10, true), (20, true), (21, false)] {
            assert_eq!(window.contains(at(second)), inside, "{second}");
        }
        assert!(!window.contains(at(20) + Duration::from_nanos(1)));
        assert!(Window::since(at(10)).contains(at(1 << 40)));
    }

    #[test]
    fn times_may_have_fractions_and_offsets() {
        let a = window(r#"{"start":"2022-12-31T23:59:59.999Z"}"#).unwrap();
        let b = window(r#"{"start":"2023-01-01T01:59:59.999+02:00","end":null}"#).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.start.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_millis(), 999);
        assert_eq!(a.to_string(), "2022-12-31T23:59:59.999Z on");
    }

    #[test]
    fn a_window_without_a_start_is_refused() {
        for json in ["{}", r#"{"end":"2022-12-31T23:59:59Z"}"#, "null", r#"{"start":"yesterday"}"#]
        {
            assert!(matches!(window(json), Err(Error::Entry { .. })), "{json}");
        }
    }
}
