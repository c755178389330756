//! The part of YAML in which kubelet's credential providers are configured: mappings, sequences and
//! scalars of one line, and sequences in brackets. Everything else is refused by name: what is read
//! must be what kubelet reads.
//!
//! Ours, because no library fits this small need today: serde-saphyr asks for a newer Rust than this
//! workspace, serde_norway and serde_yaml_ng are libyaml in unsafe Rust, and saphyr-parser gives events
//! of YAML 1.2, whose scalars kubelet's YAML 1.1 may read as something else.

use serde_json::{Map, Value};

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = without_comment(line).trim_end();
        if content.trim().is_empty() || (content == "---" && lines.is_empty()) {
            continue;
        }
        let indent = content.len() - content.trim_start_matches(' ').len();
        let content = content.trim_start_matches(' ');
        if content.starts_with('\t') {
            return Err(format!("line {}: a tab cannot indent", index + 1));
        }
        lines.push(Line { number: index + 1, indent, content: content.to_owned() });
    }
    let mut reader = Reader { lines, next: 0 };
    let indent = reader.lines.first().map_or(0, |line| line.indent);
    let value = reader.block(indent, DEEPEST)?;
    match reader.lines.get(reader.next) {
        Some(line) => Err(line.wrong("it is indented like no line above it")),
        None => Ok(value),
    }
}

struct Line {
    number: usize,
    indent: usize,
    content: String,
}

impl Line {
    fn wrong(&self, reason: &str) -> String {
        format!("line {}: {reason}", self.number)
    }
}

struct Reader {
    lines: Vec<Line>,
    next: usize,
}

impl Reader {
    /// The mapping, sequence or scalar whose lines are indented by `indent`.
    fn block(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let Some(line) = self.lines.get(self.next) else { return Ok(Value::Null) };
        if depth == 0 {
            return Err(line.wrong("it is nested too deeply"));
        }
        match is_item(&line.content) {
            true => self.sequence(indent, depth),
            false => self.mapping(indent, depth),
        }
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        while let Some(line) = self.lines.get_mut(self.next) {
            if line.indent != indent || !is_item(&line.content) {
                break;
            }
            let rest = line.content.get(1..).unwrap_or_default();
            let content = rest.trim_start_matches(' ').to_owned();
            if content.is_empty() {
                self.next += 1;
                items.push(self.nested(indent + 1, depth)?);
            } else if entry(&content).is_some() || is_item(&content) {
                // What follows the dash is the first line of a block that is indented further.
                let inner = indent + 1 + (rest.len() - content.len());
                (line.indent, line.content) = (inner, content);
                items.push(self.block(inner, depth - 1)?);
            } else {
                let value = scalar(&content).map_err(|reason| line.wrong(&reason))?;
                self.next += 1;
                items.push(value);
            }
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        while let Some(line) = self.lines.get(self.next).filter(|line| line.indent == indent) {
            let Some((key, rest)) = entry(&line.content) else {
                return Err(line.wrong("expected `key: value`"));
            };
            let Value::String(key) = scalar(key).map_err(|reason| line.wrong(&reason))? else {
                return Err(line.wrong("expected a key that is a text"));
            };
            let twice = line.wrong(&format!("the key {key:?} is given twice"));
            let value = match rest {
                "" => None,
                rest => Some(scalar(rest).map_err(|reason| line.wrong(&reason))?),
            };
            self.next += 1;
            let value = match value {
                Some(value) => value,
                // A sequence may be indented as its key is.
                None => self.nested(indent, depth)?,
            };
            if map.insert(key, value).is_some() {
                return Err(twice);
            }
        }
        Ok(Value::Object(map))
    }

    /// What belongs to the line before: lines that are indented further, or items that are indented
    /// by `least` at least.
    fn nested(&mut self, least: usize, depth: usize) -> Result<Value, String> {
        let Some(line) = self.lines.get(self.next) else { return Ok(Value::Null) };
        let indent = line.indent;
        let belongs = indent > least || (indent == least && is_item(&line.content));
        if belongs { self.block(indent, depth - 1) } else { Ok(Value::Null) }
    }
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// The key and the value of a line of a mapping.
fn entry(content: &str) -> Option<(&str, &str)> {
    let start = match content.chars().next() {
        Some(quote @ ('"' | '\'')) => content.get(1..)?.find(quote)? + 2,
        Some('[' | '{') => return None,
        _ => 0,
    };
    let colon = content.get(start..)?.find(": ").map(|at| at + start);
    let colon = colon.or_else(|| content.ends_with(':').then(|| content.len() - 1))?;
    Some((content.get(..colon)?.trim_end(), content.get(colon + 1..)?.trim_start()))
}

fn scalar(text: &str) -> Result<Value, String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("expected `]` in the same line")?;
        let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items.map(scalar).collect();
    }
    if let Some(quoted) = text.strip_prefix('"') {
        let inner = quoted.strip_suffix('"').ok_or("expected `\"` at the end of the line")?;
        let json = format!("\"{inner}\"");
        return serde_json::from_str(&json)
            .map_err(|_| "the quoted text cannot be read".to_owned());
    }
    if let Some(quoted) = text.strip_prefix('\'') {
        let inner = quoted.strip_suffix('\'').ok_or("expected `'` at the end of the line")?;
        return Ok(Value::String(inner.replace("''", "'")));
    }
    if text.starts_with(['&', '*', '!', '|', '>', '{', '%', '@', '`', '?', ',']) {
        return Err(format!(
            "{:?} is a part of YAML that is not supported: write the value in quotes in one line",
            text.chars().take(1).collect::<String>()
        ));
    }
    Ok(match text {
        "null" | "~" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::String(text.to_owned()),
        },
    })
}

/// The line up to a `#` that begins a comment: at its start or after a blank, outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => return line.get(..at).unwrap_or(line),
            (None, '"' | '\'') if matches!(before, ' ' | '[' | ',') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => (),
        }
        before = c;
    }
    line
}

/// kubelet's configuration is five deep.
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mappings_sequences_and_scalars_are_read() {
        for (text, value) in [
            (
                "a: 1\nb: x # not y\nc:\n- d\n- e: 'f: g'\n  h: \"i\\n\"",
                json!({"a": 1, "b": "x", "c": ["d", {"e": "f: g", "h": "i\n"}]}),
            ),
            (
                "---\na: [b, 'c', \"d\"]\ne:\n  f: true\n  g:\nh: []",
                json!({"a": ["b", "c", "d"], "e": {"f": true, "g": null}, "h": []}),
            ),
            ("-\n  a: b\n- - c", json!([{"a": "b"}, ["c"]])),
            ("a: http://x/#y\n'b c': d", json!({"a": "http://x/#y", "b c": "d"})),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_line() {
        for (text, said) in [
            ("a: |\n  b", "line 1"),
            ("a: *b", "line 1"),
            ("a: {b: c}", "line 1"),
            ("a: [b,\n  c]", "line 1"),
            ("a: 1\na: 2", "line 2: the key \"a\" is given twice"),
            ("a: 1\n  b: 2", "line 2"),
            ("a", "line 1: expected `key: value`"),
            ("\ta: b", "line 1: a tab"),
            ("a: \"b", "line 1"),
            ("a: 1\n---\nb: 2", "line 2"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.starts_with(said), "{text}: {refused}");
        }
        let deep: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse(&deep).unwrap_err().contains("nested too deeply"));
    }
}
