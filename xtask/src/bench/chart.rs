//! Charts as SVG: bars for programs, lines for growth.

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

/// Points of (number, seconds) on logarithmic axes, joined by a line.
pub(crate) fn growth(title: &str, points: &[(f64, f64)]) -> String {
    let mut svg = head(640, 260, title);
    let range = |values: Vec<f64>| {
        let low = values.iter().copied().fold(f64::MAX, f64::min).log10().floor();
        let high = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
        (low, (high - low).max(1.0))
    };
    let (left, width) = range(points.iter().map(|point| point.0).collect());
    let (low, height) = range(points.iter().map(|point| point.1).collect());
    let x = |value: f64| 70.0 + (value.log10() - left) / width * 530.0;
    let y = |value: f64| 220.0 - (value.log10() - low) / height * 170.0;
    svg.push_str("<path d=\"M70 50V220H600\" fill=\"none\" stroke=\"#9aa5b1\"/>\n");
    let mut line = String::new();
    for (number, &(count, seconds)) in points.iter().enumerate() {
        let (x, y) = (x(count), y(seconds));
        let _ = write!(line, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
        let time = time(seconds * 1e3);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#1a7f5a\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{time}</text>\
             <text x=\"{x:.1}\" y=\"238\" text-anchor=\"middle\">{count:.0}</text>",
            y - 10.0,
        );
    }
    let _ =
        writeln!(svg, "<path d=\"{line}\" fill=\"none\" stroke=\"#1a7f5a\" stroke-width=\"2\"/>");
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

    #[test]
    fn growth_is_drawn_upwards() {
        let svg = growth("images", &[(1.0, 0.01), (1000.0, 10.0)]);
        assert!(svg.contains("M70.0 220.0L600.0 50.0"), "{svg}");
    }
}
