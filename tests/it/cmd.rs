//! Help texts, usage errors and the version, word for word.

#[test]
fn what_needs_no_network_is_said_word_for_word() {
    trycmd::TestCases::new()
        .register_bin("ambisign", harness::ambisign())
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cmd/*.trycmd"));
}
