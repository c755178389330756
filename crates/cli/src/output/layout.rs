//! Lines that fit the width of the terminal.

use terminal_size::Width;

/// Lines of text, wrapped between words. A word that is longer than the line, such as a URL, is not
/// broken: it stays whole for copying.
pub(crate) struct Layout {
    width: usize,
    lines: Vec<String>,
}

impl Layout {
    /// As wide as the terminal of stdout, else as `COLUMNS` says, else without end.
    pub(crate) fn new(columns: Option<String>) -> Self {
        let terminal = terminal_size::terminal_size_of(std::io::stdout());
        let terminal = terminal.map(|(Width(columns), _)| usize::from(columns));
        let columns = terminal.or_else(|| columns?.parse().ok());
        Self { width: columns.unwrap_or(usize::MAX).max(NARROWEST), lines: Vec::new() }
    }

    /// A text that begins a paragraph.
    pub(crate) fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
        self.wrapped("", text, 0);
    }

    /// Where the values of these names begin; 0, below the names, where the line is too narrow.
    pub(crate) fn column<'a>(&self, names: impl Iterator<Item = &'a str>) -> usize {
        let column = names.map(|name| name.len() + 4).max().unwrap_or_default();
        if self.width.saturating_sub(column) < NARROWEST { 0 } else { column }
    }

    /// A name and its value, which begins at `column`, or below the name where it does not fit.
    pub(crate) fn field(&mut self, name: &str, value: &str, column: usize) {
        let longest = value.split(' ').map(str::len).max().unwrap_or_default();
        if column > 0 && column + longest <= self.width {
            return self.wrapped(&format!("  {name:0$}", column - 2), value, column);
        }
        if !name.is_empty() {
            self.lines.push(format!("  {name}"));
        }
        self.wrapped("    ", value, 4);
    }

    fn wrapped(&mut self, start: &str, text: &str, indent: usize) {
        let mut line = start.to_owned();
        let mut is_empty = true;
        for word in text.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > self.width {
                self.lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.lines.push(line);
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.lines
    }
}

const NARROWEST: usize = 40;
