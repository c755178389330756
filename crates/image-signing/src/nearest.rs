//! Which name is meant by a mistyped one.

/// Which of `names` `text` may mean, as the end of an error; empty where none is like it.
///
/// ```
/// let names = ["spdx", "cyclonedx"];
/// assert_eq!(image_signing::did_you_mean("cyclondx", &names), "; did you mean cyclonedx?");
/// assert_eq!(image_signing::did_you_mean("jpeg", &names), "");
/// ```
pub fn did_you_mean(text: &str, names: &[&str]) -> String {
    let likeness = |name: &&&str| strsim::jaro_winkler(text, name);
    let most = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let close = most.filter(|name| likeness(name) > 0.8);
    close.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}
