//! The picture of a session at a terminal in docs/: what the program prints there, cell by cell.

use std::fmt::Write as _;

use harness::{Setup, target, workspace};

use crate::terminals::screen;

const COLUMNS: usize = 110;

/// The colour of a cell, as SVG has it.
fn colour(code: u8) -> Option<&'static str> {
    Some(match code {
        31 | 91 => "#f47067",
        32 | 92 => "#57ab5a",
        33 | 93 => "#daaa3f",
        34 | 94 => "#539bf5",
        35 | 95 => "#b083f0",
        36 | 96 => "#39c5cf",
        37 | 97 => "#cdd9e5",
        30 | 90 => "#768390",
        _ => return None,
    })
}

/// The cells of a screen, whose colours tmux gives as escape sequences, as a picture.
fn picture(screen: &str) -> String {
    let lines: Vec<_> = screen.trim_end().lines().collect();
    let (width, height) = (COLUMNS * 8 + 32, lines.len() * 18 + 32);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"13.3\">\n<title>ambisign at a terminal</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#22272e\"/>\n"
    );
    let (mut bold, mut ink) = (false, None);
    for (number, line) in lines.iter().enumerate() {
        let mut column = 0;
        for (index, part) in line.split("\u{1b}[").enumerate() {
            let text = match part.split_once('m').filter(|_| index > 0) {
                None => part,
                Some((codes, text)) => {
                    for code in codes.split(';').map(|code| code.parse().unwrap_or(0)) {
                        match code {
                            0 => (bold, ink) = (false, None),
                            1 => bold = true,
                            22 => bold = false,
                            39 => ink = None,
                            code => ink = colour(code).or(ink),
                        }
                    }
                    text
                }
            };
            let shown = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            if !shown.trim().is_empty() {
                let weight = if bold { " font-weight=\"bold\"" } else { "" };
                writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{}\" fill=\"{}\"{weight} textLength=\"{}\" \
                     xml:space=\"preserve\">{shown}</text>",
                    16 + column * 8,
                    30 + number * 18,
                    ink.unwrap_or("#adbac7"),
                    text.chars().count() * 8,
                )
                .unwrap();
            }
            column += text.chars().count();
        }
    }
    svg + "</svg>\n"
}

#[test]
fn a_session_at_a_terminal_is_drawn_with_its_colours() {
    let setup = Setup::new();
    setup.write("app.tar", "content");
    let image = setup.image("acme/app");
    let program = harness::ambisign();
    let pairs = setup.sandbox.trust_env().into_iter().chain(setup.sandbox.github_env());
    let exports: String = pairs.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let by = format!(
        "[[files]]\npatterns = [\"*.tar\"]\n[[files.identities]]\nidentity = \"{0}\"\n\
         issuer = \"{1}\"\n[[images]]\npatterns = [\"**\"]\n[[images.identities]]\n\
         identity = \"{0}\"\nissuer = \"{1}\"\n",
        setup.sandbox.github_identity(),
        setup.sandbox.github_issuer()
    );
    setup.write("policy.toml", by);
    let script = format!(
        "cd '{}'\n{exports}export PATH='{}':/usr/bin:/bin\n\
         run() {{ printf '\\033[1;32m$\\033[0m \\033[1m%s\\033[0m\\n' \"$*\"; \"$@\"; echo; }}\n\
         run ambisign identity\n\
         run ambisign sign {image}\n\
         run ambisign verify --output text --identity-policy policy.toml {image}\n\
         run ambisign sign-blob app.tar\n\
         run ambisign verify-blob --identity-policy policy.toml app.tar\n\
         run ambisign verify-blob --certificate-identity someone@example.com \
         --certificate-oidc-issuer https://accounts.google.com app.tar\n",
        setup.path("").display(),
        program.parent().unwrap().display(),
    );
    let Some(screen) = screen(&setup, COLUMNS, &script) else { return };
    let drawn = picture(&screen);
    for text in ["This identity would sign:", "signed ", "Verified OK", "error:", "hint:"] {
        assert!(drawn.contains(text), "{text} is missing in {screen}");
    }
    assert!(drawn.contains("fill=\"#f47067\" font-weight=\"bold\""), "no colour: {screen:?}");
    assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
    let screenshots = target().join("screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    std::fs::write(screenshots.join("terminal.svg"), &drawn).unwrap();
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        std::fs::write(workspace().join("docs/terminal.svg"), &drawn).unwrap();
    }
}
