//! The page as HTML. Everything that came from outside is escaped.

use super::report::Observed;
use crate::html::escape;

/// The page: a complete document.
pub(super) fn page(observed: &Observed) -> String {
    let (services, faults) = (services(observed), faults(observed));
    let (certificates, entries) = (certificates(observed), entries(observed));
    let manifests = manifests(observed);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Sigstore sandbox</title>\
         <link rel=\"stylesheet\" href=\"/sandbox/page.css\">\
         <script src=\"/sandbox/page.js\" defer></script></head><body>\
         <header><h1>Sigstore sandbox</h1><p>For tests only: every process that reaches these \
         ports gets any identity it asks for. The same as JSON: \
         <a href=\"/sandbox/state\">/sandbox/state</a>.</p></header>\n\
         <main>{services}{certificates}{entries}{manifests}{faults}</main></body></html>\n"
    )
}

fn services(observed: &Observed) -> String {
    let rows = observed.services.iter().map(|(name, url)| {
        // What is no URL (the registry) is not a link.
        let place = match url.starts_with("http://") || url.starts_with("https://") {
            true => format!("<a href=\"{0}\">{0}</a>", escape(url)),
            false => format!("<code>{}</code>", escape(url)),
        };
        row(&[escape(name), place])
    });
    section("services", "Services", &["service", "address"], &rows.collect::<Vec<_>>())
}

fn certificates(observed: &Observed) -> String {
    let rows = observed
        .certificates()
        .into_iter()
        .map(|it| row(&[escape(&it.not_before), escape(&it.subject), escape(&it.issuer)]));
    let headings = ["valid from", "subject", "issuer"];
    section("certificates", "Issued certificates", &headings, &rows.collect::<Vec<_>>())
}

fn entries(observed: &Observed) -> String {
    let rows = observed.log_entries().into_iter().map(|it| {
        let (time, digest) = (it.time.unwrap_or_default(), it.digest.unwrap_or_default());
        row(&[
            escape(it.log),
            it.index.to_string(),
            escape(&time),
            escape(&it.kind),
            format!("<code>{}</code>", escape(&digest)),
        ])
    });
    let headings = ["log", "index", "time", "kind", "SHA-256 of what was signed"];
    section("entries", "Log entries", &headings, &rows.collect::<Vec<_>>())
}

fn manifests(observed: &Observed) -> String {
    let rows = observed.manifests().into_iter().map(|it| {
        row(&[
            escape(it.repository()),
            escape(&it.tags().join(", ")),
            format!("<code>{}</code>", escape(it.digest())),
            escape(it.kind()),
            format!("<code>{}</code>", escape(it.subject().unwrap_or_default())),
            it.size().to_string(),
        ])
    });
    let headings = ["repository", "tags", "digest", "kind", "attached to", "bytes"];
    section("registry", "Registry", &headings, &rows.collect::<Vec<_>>())
}

fn faults(observed: &Observed) -> String {
    let rows = observed.faults().into_iter().map(|it| {
        let (name, state) = (escape(it.name), if it.on { "on" } else { "off" });
        let switch = match it.fixed_at_start {
            true => "<small>only with <code>--fault</code></small>".to_owned(),
            false => format!(
                "<form method=\"post\" action=\"/sandbox/faults\">\
                 <input type=\"hidden\" name=\"fault\" value=\"{name}\">\
                 <button id=\"{name}\" name=\"on\" value=\"{}\">switch {}</button></form>",
                !it.on,
                if it.on { "off" } else { "on" },
            ),
        };
        let mark = format!("<span class=\"{state}\">{state}</span>");
        row(&[format!("<code>{name}</code>"), escape(it.description), mark, switch])
    });
    section("faults", "Faults", &["name", "what happens", "now", ""], &rows.collect::<Vec<_>>())
}

fn row(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr>{cells}</tr>\n")
}

fn section(id: &str, title: &str, headings: &[&str], rows: &[String]) -> String {
    if rows.is_empty() {
        return format!("<section id=\"{id}\"><h2>{title}</h2><p>None yet.</p></section>\n");
    }
    let headings: String = headings.iter().map(|it| format!("<th>{it}</th>")).collect();
    format!(
        "<section id=\"{id}\"><h2>{title}</h2><div><table><thead><tr>{headings}</tr></thead>\
         <tbody>{}</tbody></table></div></section>\n",
        rows.concat()
    )
}
