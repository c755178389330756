//! Lines that fit the width of the terminal.

use image_signing::Section;
use terminal_size::Width;

/// `sections` as lines, as wide as the terminal of stdout, else as `columns` says, else without
/// end. Names stand in a column of their own where that leaves room.
pub(crate) fn lay_out(sections: &[Section], columns: Option<String>) -> Vec<String> {
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    let terminal = terminal.map(|(Width(columns), _)| usize::from(columns));
    let width = terminal.or_else(|| columns?.parse().ok()).unwrap_or(usize::MAX).max(NARROWEST);
    let mut lines = Vec::new();
    for Section { heading, rows, .. } in sections {
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
