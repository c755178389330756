//! Reports as text that fits the width of a terminal.

/// A part of a report for people.
pub(crate) struct Section {
    heading: String,
    /// Names and their values. A row without a name belongs to the one before.
    rows: Vec<(String, String)>,
}

impl Section {
    pub(crate) fn new(heading: impl Into<String>, rows: Vec<(String, String)>) -> Self {
        Self { heading: heading.into(), rows }
    }
}

/// `sections` as lines of at most `width` characters. Names stand in a column of their own where
/// that leaves room.
pub(crate) fn lay_out(sections: &[Section], width: usize) -> Vec<String> {
    let width = width.max(NARROWEST);
    let mut lines = Vec::new();
    for Section { heading, rows } in sections {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        wrap(&mut lines, "", heading, 0, width);
        let column = rows.iter().map(|(name, _)| name.len() + 4).max().unwrap_or_default();
        for (name, value) in rows {
            let longest = value.split(' ').map(str::len).max().unwrap_or_default();
            if column + longest.max(NARROWEST) <= width {
                wrap(&mut lines, &format!("  {name:0$}", column - 2), value, column, width);
                continue;
            }
            if !name.is_empty() {
                lines.push(format!("  {name}"));
            }
            wrap(&mut lines, "    ", value, 4, width);
        }
    }
    lines
}

/// Adds `start` and `text`, wrapped between words. A word that is longer than the line, such as a
/// URL, is not broken: it stays whole for copying.
fn wrap(lines: &mut Vec<String>, start: &str, text: &str, indent: usize, width: usize) {
    let mut line = start.to_owned();
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if index > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}

const NARROWEST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_beside_their_names_where_there_is_room_and_long_words_stay_whole() {
        let url = format!("https://{}", "x".repeat(60));
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let rows = vec![row("identity", "one two"), row("issuer", &url)];
        let sections = [Section::new("Heading", rows)];
        let wide = lay_out(&sections, usize::MAX);
        assert_eq!(wide, ["Heading", "  identity  one two", &format!("  issuer    {url}")]);
        let narrow = lay_out(&sections, 60);
        let expected = ["Heading", "  identity  one two", "  issuer", &format!("    {url}")];
        assert_eq!(narrow, expected);
    }
}
