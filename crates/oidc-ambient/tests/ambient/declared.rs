//! The file of declared sources.

use std::path::Path;

use oidc_ambient::{Error, Sources};

use crate::fake::{FakeHost, block_on, every_source};

const PATH: &str = "/c/ambisign/identity.toml";

fn declare(fake: &FakeHost) -> Result<Sources, Error> {
    let host = fake.host();
    let mut sources = every_source(&host);
    block_on(sources.declare(&host, Path::new(PATH)))?;
    Ok(sources)
}

#[test]
fn a_named_file_must_be_there_and_the_usual_one_need_not() {
    let error = declare(&FakeHost::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("{PATH}: {PATH} does not exist"));
    let host = FakeHost::new(&[("XDG_CONFIG_HOME", "/c")]).host();
    let mut sources = every_source(&host);
    block_on(sources.declare_default(&host)).unwrap();
    assert_eq!(sources.names(), every_source(&host).names());
}

#[test]
fn a_mistake_in_the_usual_file_is_told_with_its_line_and_adds_nothing() {
    let text =
        "[[source]]\nname = \"a\"\nkind = \"env\"\nvariable = \"A\"\n\n[[source]]\nkind = 1\n";
    let host = FakeHost::new(&[("XDG_CONFIG_HOME", "/c")]).file(PATH, text).host();
    let mut sources = every_source(&host);
    let error = block_on(sources.declare_default(&host)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{PATH}, line 7: ")), "{error}");
    assert_eq!(sources.names(), every_source(&host).names());
}

#[test]
fn a_declared_source_can_be_named_and_is_then_final() {
    let text = "[[source]]\nname = \"mine\"\nkind = \"env\"\nvariable = \"MINE\"\n";
    let sources = declare(&FakeHost::default().file(PATH, text)).unwrap();
    let named = sources.named("mine").unwrap();
    let minute = std::time::Duration::from_secs(60);
    let audience = id_token::Audience::sigstore();
    let error = block_on(oidc_ambient::detect(&named, &audience, minute)).unwrap_err();
    assert_eq!(error.to_string(), "no identity from `mine` here: MINE is not set");
}

#[test]
fn the_file_of_the_readme_is_valid() {
    let readme = include_str!("../../README.md");
    let (_, text) = readme.split_once("```toml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let names = declare(&FakeHost::default().file(PATH, text)).unwrap().names();
    for name in ["vault", "mounted", "our-ci", "our-cloud"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
}

#[test]
fn a_built_in_name_cannot_be_taken() {
    let text = "[[source]]\nname = \"github-actions\"\nkind = \"env\"\nvariable = \"A\"\n";
    let error = declare(&FakeHost::default().file(PATH, text)).unwrap_err();
    assert!(error.to_string().ends_with("line 1: the name `github-actions` is taken already"));
}
