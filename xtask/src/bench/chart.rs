//! Charts as SVG.

use std::fmt::Write as _;

/// One bar.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) milliseconds: f64,
    /// Drawn in another colour.
    pub(crate) ours: bool,
}

/// A bar for each program, the shorter the better.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.milliseconds).fold(f64::MIN_POSITIVE, f64::max);
    let height = 44 + bars.len() * 26;
    let mut svg = head(640, height, title);
    for (number, bar) in bars.iter().enumerate() {
        let y = 38 + number * 26;
        let length = (bar.milliseconds / longest * 380.0).max(1.0);
        let colour = if bar.ours { "#1a7f5a" } else { "#9aa5b1" };
        let after = 140.0 + length + 8.0;
        let (name, time) = (escape(&bar.name), time(bar.milliseconds));
        let _ = writeln!(
            svg,
            "<text x=\"132\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"140\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" rx=\"2\" fill=\"{colour}\"/>\
             <text x=\"{after:.1}\" y=\"{}\">{time}</text>",
            y + 14,
            y + 14,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn head(width: usize, height: usize, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    )
}

fn time(milliseconds: f64) -> String {
    match milliseconds {
        long if long >= 10_000.0 => format!("{:.1} s", long / 1e3),
        long if long >= 1000.0 => format!("{:.2} s", long / 1e3),
        middle if middle >= 10.0 => format!("{middle:.0} ms"),
        short => format!("{short:.1} ms"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_program_has_the_longest_bar() {
        let bar =
            |name: &str, milliseconds| Bar { name: name.to_owned(), milliseconds, ours: false };
        let svg = bars("a < b", &[bar("quick", 10.0), bar("slow", 40.0)]);
        assert!(svg.contains("width=\"95.0\"") && svg.contains("width=\"380.0\""), "{svg}");
        assert!(svg.contains("a &lt; b"), "{svg}");
    }
}
