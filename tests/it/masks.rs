//! What is written of tokens: nothing, unless a GitHub job asks to have its own hidden.

use id_token::IdToken;

use harness::{Outcome, Setup};

const COMMAND: &str = "::add-mask::";

/// The tokens that GitHub's runner is told of in `text`.
fn masked(text: &str) -> Vec<IdToken> {
    let tokens = text.lines().filter_map(|line| line.strip_prefix(COMMAND));
    tokens.map(|token| IdToken::parse(token).unwrap()).collect()
}

#[track_caller]
fn is_the_jobs(tokens: &[IdToken], setup: &Setup) {
    let [token] = tokens else { panic!("{tokens:?}") };
    assert_eq!(token.claims().issuer(), Some(setup.sandbox.github_issuer().as_str()));
}

#[test]
fn a_job_that_asks_for_it_has_its_token_hidden_before_anything_else_is_said() {
    let setup = Setup::new();
    let file = setup.write("a.txt", "a");
    let job = setup.job().args(["sign-blob", "-o", "text", "--github-mask"]).arg(&file);
    let outcome = job.run().ends(0).hides("error");
    assert!(outcome.stdout.starts_with(COMMAND), "{outcome:#?}");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:#?}");
    is_the_jobs(&masked(&outcome.stdout), &setup);
    let variable = setup.job().env("AMBISIGN_GITHUB_MASK", "true").args(["identity"]);
    is_the_jobs(&masked(&variable.run().ends(0).stdout), &setup);
}

#[test]
fn beside_json_and_bundles_the_runner_is_told_on_the_other_stream() {
    let setup = Setup::new();
    let file = setup.write("a.txt", "a");
    let both = |outcome: Outcome| {
        let outcome = outcome.ends(0);
        assert_eq!(outcome.json().len(), 1);
        is_the_jobs(&masked(&outcome.stderr), &setup);
    };
    both(setup.job().args(["sign-blob", "--github-mask", "-o", "json"]).arg(&file).run());
    both(setup.job().args(["identity", "--github-mask", "-o", "json"]).run());
    // Nor is a bundle on stdout disturbed.
    both(setup.job().args(["sign-blob", "--github-mask", "--bundle", "-"]).arg(&file).run());
}

#[test]
fn where_no_runner_reads_it_nothing_is_shown() {
    let setup = Setup::new();
    let file = setup.write("a.txt", "a");
    let workload = setup.workload().args(["sign-blob", "-o", "text", "--github-mask"]).arg(&file);
    workload.run().ends(2).says(&["--github-mask", "GITHUB_ACTIONS"]).hides("eyJ");
    setup.workload().args(["identity", "--github-mask"]).run().ends(2).hides("eyJ");
}

#[test]
fn unasked_no_token_is_written_at_all() {
    let setup = Setup::new();
    let file = setup.write("a.txt", "a");
    for program in [
        setup.job().args(["sign-blob", "-d"]).arg(&file),
        setup.job().args(["identity", "-d"]),
        setup.job().args(["identity", "-d", "-o", "json"]),
    ] {
        program.run().ends(0).hides("eyJ").hides(COMMAND);
    }
}
