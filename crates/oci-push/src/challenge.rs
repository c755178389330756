//! `WWW-Authenticate`, as registries really write it (RFC 9110 section 11.6.1).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// How a registry asks for credentials.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        /// Space-separated.
        scope: Option<String>,
        error: Option<String>,
    },
}

/// The first bearer challenge, else a basic one, among all headers of an answer.
pub(crate) fn pick(headers: &HeaderMap) -> Option<Challenge> {
    let challenges: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(parse)
        .collect();
    let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or_else(|| challenges.first()).cloned()
}

/// The scopes to ask a token service for: `needed`, a scope like `repository:a/b:pull,push`, spelled
/// as the challenge spells it where that means the same, and beside it what the challenge asks for
/// that names no resource (`aws`). Other repositories are not asked for: a token for them would be
/// obtained with the user's credentials and handed to the registry.
pub(crate) fn scopes(challenged: Option<&str>, needed: &str) -> Vec<String> {
    let (resource, actions) = needed.rsplit_once(':').unwrap_or((needed, ""));
    let mut own = needed.to_owned();
    let mut scopes: Vec<String> = Vec::new();
    for scope in challenged.unwrap_or_default().split_ascii_whitespace().take(MOST_SCOPES) {
        let same_actions = |stated: &str| sorted(stated) == sorted(actions);
        match scope.rsplit_once(':') {
            Some((other, stated)) if other == resource && same_actions(stated) => {
                own = scope.to_owned();
            }
            Some(_) => {}
            None if scopes.iter().any(|known| known == scope) => {}
            None => scopes.push(scope.to_owned()),
        }
    }
    scopes.push(own);
    scopes
}

fn sorted(actions: &str) -> Vec<&str> {
    let mut actions: Vec<&str> = actions.split(',').take(MOST_SCOPES).collect();
    actions.sort_unstable();
    actions
}

/// All challenges of one header value. What is neither basic nor bearer, or a bearer challenge
/// without a realm, is passed over.
fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut current: Option<(String, Vec<(String, String)>)> = None;
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let spaced = after.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            // Padding of a token68, as `Negotiate abc==` has it.
            Some(after) if word.is_empty() => rest = after,
            Some(after) => {
                let (text, after) = parameter_value(after.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = &mut current {
                    parameters.push((word.to_ascii_lowercase(), text));
                }
                rest = after;
            }
            None => {
                challenges.extend(current.take().and_then(finish));
                current = Some((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
    }
    challenges.extend(current.and_then(finish));
    challenges
}

/// A quoted string with its escapes taken out, or a bare word, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (word.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

fn finish((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let find = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: find("realm")?,
            service: find("service"),
            scope: find("scope"),
            error: find("error"),
        }),
        _ => None,
    }
}

const MOST_SCOPES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picked(values: &[&str]) -> Option<Challenge> {
        let headers = values.iter().map(|value| (WWW_AUTHENTICATE, value.parse().unwrap()));
        pick(&headers.collect())
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
            error: None,
        })
    }

    #[test]
    fn the_usual_challenge_is_read() {
        let value = concat!(
            r#"Bearer realm="https://auth.example/token",service="registry.example","#,
            r#"scope="repository:a/b:pull,push""#
        );
        let expected = (
            "https://auth.example/token",
            Some("registry.example"),
            Some("repository:a/b:pull,push"),
        );
        assert_eq!(picked(&[value]), bearer(expected.0, expected.1, expected.2));
    }

    #[test]
    fn case_spaces_bare_words_and_escapes_do_not_matter() {
        assert_eq!(
            picked(&[r#"  bEARER   Realm = "https://a/\"t\"" ,  SERVICE=x"#]),
            bearer("https://a/\"t\"", Some("x"), None)
        );
        assert_eq!(picked(&["basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn bearer_is_taken_before_basic_in_one_header_or_several() {
        let expected = bearer("https://a", None, None);
        assert_eq!(picked(&[r#"Basic realm="x", Bearer realm="https://a""#]), expected);
        assert_eq!(picked(&[r#"Basic realm="x""#, r#"Bearer realm="https://a""#]), expected);
        assert_eq!(picked(&[r#"Negotiate abc==, Bearer realm="https://a""#]), expected);
    }

    #[test]
    fn an_error_is_read() {
        let challenge = picked(&[r#"Bearer realm="https://a",error="insufficient_scope""#]);
        assert!(matches!(
            challenge,
            Some(Challenge::Bearer { error: Some(error), .. }) if error == "insufficient_scope"
        ));
    }

    #[test]
    fn what_cannot_be_met_is_passed_over() {
        for value in ["", "Negotiate", "Bearer", r#"Bearer realm="""#, "=", ",,,", "\"", "a=\""] {
            assert_eq!(picked(&[value]), None, "{value}");
        }
        assert_eq!(picked(&[]), None);
    }

    #[test]
    fn the_needed_scope_is_asked_for_in_the_spelling_of_the_challenge() {
        let needed = "repository:a/b:pull,push";
        assert_eq!(scopes(None, needed), [needed]);
        let swapped = "repository:a/b:push,pull";
        assert_eq!(scopes(Some(swapped), needed), [swapped]);
        assert_eq!(scopes(Some("repository:a/b:pull"), needed), [needed]);
        assert_eq!(scopes(Some("repository:a/b:pull,push,delete"), needed), [needed]);
        assert_eq!(scopes(Some("repository:a/b:pull,pull"), needed), [needed]);
        assert_eq!(scopes(Some("aws aws"), needed), ["aws", needed]);
    }

    #[test]
    fn scopes_of_other_repositories_are_not_asked_for() {
        let needed = "repository:a/b:pull";
        for foreign in [
            "repository:secret/x:pull",
            "repository:a/b:pull repository:c:pull,push registry:catalog:*",
            "repository:a/b:*",
            "repository:a/b/c:pull",
        ] {
            assert_eq!(scopes(Some(foreign), needed), [needed], "{foreign}");
        }
    }

    #[test]
    fn a_challenge_without_end_does_not_crowd_out_what_is_needed() {
        let needed = "repository:a/b:pull,push";
        let many: Vec<String> = (0..100_000).map(|n| format!("s{n}")).collect();
        let asked = scopes(Some(&many.join(" ")), needed);
        assert_eq!((asked.len(), asked.last().unwrap().as_str()), (MOST_SCOPES + 1, needed));
        assert_eq!(scopes(Some(&format!("x:{}", many.join(","))), needed), [needed]);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(value in r#"([a-z=", \\\\\t]|Bearer |realm=|é){0,60}"#) {
            prop_assert!(parse(&value).len() <= value.len());
        }

        #[test]
        fn what_is_quoted_is_read_as_it_was(realm in "\\PC{1,40}", scope in "\\PC{1,40}") {
            let quote = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#);
            let header = format!(
                r#"Negotiate abc==, Bearer realm="{}", scope="{}""#,
                quote(&realm),
                quote(&scope)
            );
            let expected = Challenge::Bearer {
                realm,
                service: None,
                scope: Some(scope),
                error: None,
            };
            prop_assert_eq!(parse(&header), [expected]);
        }
    }
}
