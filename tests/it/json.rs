//! The JSON that is printed, and the fields that the program's README says are in it.

use std::collections::BTreeSet;

use serde_json::Value;

use harness::{Program, Setup};

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

#[test]
fn the_fields_that_are_printed_are_those_that_are_documented() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let file = setup.write("a", "content");
    let file = file.to_str().unwrap();
    let policy = setup.by_job();
    let policy: Vec<&str> = policy.iter().map(String::as_str).collect();
    let check = |command: &str, program: Program, arguments: &[&str]| {
        let output = program.args([command, "-o", "json"]).args(arguments).run().ends(0);
        let [line] = output.json().try_into().unwrap();
        compare(command, &line);
    };
    check("sign", setup.job(), &[&image]);
    check("sign-blob", setup.job(), &[file]);
    check("verify", setup.program(), &[&[image.as_str()], &*policy].concat());
    check("verify-blob", setup.program(), &[&[file], &*policy].concat());
    check("identity", setup.job(), &[]);
    let attest = ["--predicate", file, "--bundle", "a.att.json", file];
    check("attest-blob", setup.job(), &attest);
    let copy = image.replace("demo/app", "copy/app");
    check("copy", setup.program(), &[&image, &copy]);
    check("tree", setup.program(), &[&copy]);
    let attach = setup.job().args(["sign", "--upload=false", "--bundle", "b.json", &image]);
    attach.run().ends(0);
    check("attach", setup.program(), &["b.json", &image]);
    check("clean", setup.program(), &["-f", &image]);
}

fn compare(command: &str, line: &Value) {
    let documented = documented(command);
    let open: Vec<&str> =
        documented.iter().filter_map(|(field, _)| field.strip_suffix('*')).collect();
    let named = |field: &str| documented.iter().any(|(name, _)| name == field);
    let mut printed = BTreeSet::new();
    flatten(line, String::new(), &mut printed);
    for field in &printed {
        let known = named(field) || open.iter().any(|prefix| field.starts_with(prefix));
        assert!(known, "{command} prints {field}, which is not documented");
    }
    for (field, meaning) in &documented {
        let always = !field.ends_with('*') && !meaning.starts_with("when ");
        assert!(!always || printed.contains(field), "{command} does not print {field}");
    }
}

/// The rows of the table below the command's heading.
fn documented(command: &str) -> Vec<(String, String)> {
    let (_, section) = README.split_once(&format!("### `{command}`\n")).unwrap();
    let section = section.split_once("\n###").map_or(section, |(section, _)| section);
    let rows = section.lines().filter_map(|line| {
        let (field, meaning) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((field.to_owned(), meaning.trim_end_matches('|').trim().to_owned()))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 5, "{command} has lost its table");
    rows
}

/// The ways to everything that is no object and no list of objects.
fn flatten(value: &Value, way: String, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if way.is_empty() { "" } else { "." };
                flatten(value, format!("{way}{dot}{name}"), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| flatten(item, format!("{way}[]"), into));
        }
        _ => drop(into.insert(way)),
    }
}
