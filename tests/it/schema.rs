//! The JSON that is printed, against its published schema.

use std::process::Command;

use serde_json::Value;

use harness::{Program, Setup};

/// What is wrong with `value` by `schema`, whose references lead into `root`. The keywords of the
/// published schema; any other fails the test. What is not described is wrong unless the schema
/// allows additional properties: what is printed must be documented.
fn judge(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else { return };
    let open = schema.get("additionalProperties");
    for (keyword, asked) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = asked.as_str().unwrap().strip_prefix('#').unwrap();
                judge(root, root.pointer(pointer).unwrap(), value, at, wrong);
                true
            }
            "type" => {
                let names =
                    asked.as_array().map_or_else(|| vec![asked], |all| all.iter().collect());
                names.iter().any(|name| is_of(name.as_str().unwrap(), value))
            }
            "const" => asked == value,
            "enum" => asked.as_array().unwrap().contains(value),
            "pattern" => {
                let is_hex = |text: &str| {
                    !text.is_empty() && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
                };
                value.as_str().is_none_or(|text| match asked.as_str().unwrap() {
                    "^[0-9a-f]+$" => is_hex(text),
                    "^sha(256|384|512):[0-9a-f]+$" => {
                        text.split_once(':').is_some_and(|(name, hex)| {
                            ["sha256", "sha384", "sha512"].contains(&name) && is_hex(hex)
                        })
                    }
                    other => panic!("the test does not know the pattern {other}"),
                })
            }
            "required" => value.as_object().is_none_or(|fields| {
                asked
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|name| fields.contains_key(name.as_str().unwrap()))
            }),
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(root, asked, item, &format!("{at}[{number}]"), wrong);
                }
                true
            }
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    let here = format!("{at}.{name}");
                    match (asked.get(name), open) {
                        (Some(schema), _) | (None, Some(schema)) => {
                            judge(root, schema, field, &here, wrong);
                        }
                        (None, None) => wrong.push(format!("{here} is not in the schema")),
                    }
                }
                true
            }
            "additionalProperties" => {
                let fields = value.as_object().filter(|_| !keywords.contains_key("properties"));
                for (name, field) in fields.into_iter().flatten() {
                    judge(root, asked, field, &format!("{at}.{name}"), wrong);
                }
                true
            }
            "description" => true,
            other => panic!("the test does not know the keyword {other}"),
        };
        if !holds {
            wrong.push(format!("{at}: expected {keyword} {asked}, found {value}"));
        }
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the test does not know the type {other}"),
    }
}

fn schema() -> Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/output.schema.json"));
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_every_command_prints_is_as_its_schema_says() {
    let (setup, schema) = (Setup::new(), schema());
    let image = setup.image("demo/app");
    let file = setup.write("a", "content");
    let file = file.to_str().unwrap();
    let policy = setup.by_job();
    let policy: Vec<&str> = policy.iter().map(String::as_str).collect();
    let mut seen = Vec::new();
    let mut check = |command: &str, program: Program, arguments: &[&str]| {
        let output = program.args([command, "-o", "json"]).args(arguments).run().ends(0);
        let own = &schema["$defs"][command];
        assert!(own.is_object(), "{command} has no schema");
        let documents = output.json();
        assert!(!documents.is_empty(), "{output:#?}");
        let mut wrong = Vec::new();
        documents.iter().for_each(|line| judge(&schema, own, line, command, &mut wrong));
        assert!(wrong.is_empty(), "{wrong:#?}: {}", output.stdout);
        seen.push(command.to_owned());
    };
    let openssl = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"];
    let made = Command::new("openssl").args(openssl).arg(setup.path("key.pem")).output();
    assert!(made.is_ok_and(|output| output.status.success()));
    check("version", setup.program(), &[]);
    check("env", setup.program(), &[]);
    check("sign", setup.job(), &[&image]);
    check("sign", setup.program(), &["--key", "key.pem", &image]);
    check("sign-blob", setup.job(), &[file]);
    check("attest", setup.job(), &["--predicate", file, &image]);
    check("attest-blob", setup.job(), &["--predicate", file, "--bundle", "a.att.json", file]);
    check("verify", setup.program(), &[&[image.as_str()], &*policy].concat());
    check("verify-blob", setup.program(), &[&[file], &*policy].concat());
    check("verify-attestation", setup.program(), &[&[image.as_str()], &*policy].concat());
    let attestation = [&["--bundle", "a.att.json", file], &*policy].concat();
    check("verify-blob-attestation", setup.program(), &attestation);
    check("identity", setup.job(), &[]);
    check("identity", setup.workload(), &[]);
    check("inspect", setup.program(), &[&image]);
    check("inspect", setup.program(), &["a.att.json", "a.sigstore.json"]);
    let copy = image.replace("demo/app", "copy/app");
    check("copy", setup.program(), &[&image, &copy]);
    check("save", setup.program(), &[&image, "--dir", "layout"]);
    check("load", setup.program(), &["--dir", "layout", &image.replace("demo/app", "load/app")]);
    check("tree", setup.program(), &[&copy]);
    setup.job().args(["sign", "--upload=false", "--bundle", "b.json", &image]).run().ends(0);
    check("attach", setup.program(), &["b.json", &image]);
    check("clean", setup.program(), &["-f", &image]);
    let root = setup.sandbox.tuf_root();
    let from = ["--mirror", setup.sandbox.tuf_url(), "--root", root.to_str().unwrap()];
    check("initialize", setup.program(), &from);
    // Every document of the schema was seen.
    let parts = ["attachment", "check", "digest", "facts", "hex", "number_or_null"];
    for name in schema["$defs"].as_object().unwrap().keys() {
        let is_part = parts.contains(&name.as_str()) || name.starts_with("text");
        assert!(is_part || seen.contains(name), "nothing printed {name}");
    }
}

#[test]
fn the_schema_is_not_satisfied_by_anything_else() {
    let schema = schema();
    let judged = |command: &str, text: &str| {
        let (mut wrong, value) = (Vec::new(), serde_json::from_str(text).unwrap());
        judge(&schema, &schema["$defs"][command], &value, command, &mut wrong);
        wrong.len()
    };
    let right = r#"{"name": "ambisign", "version": "1", "platform": "linux/x"}"#;
    assert_eq!(judged("version", right), 0);
    assert_eq!(judged("version", &right.replace("\"1\"", "1")), 1);
    assert_eq!(judged("version", &right.replace("ambisign", "other")), 1);
    assert_eq!(judged("version", "{}"), 1);
    assert_eq!(judged("version", &right.replace('{', "{\"more\": 1, ")), 1);
    assert_eq!(judged("verify", "[{}]"), 1);
}

/// Names of ours have one style; those that cosign and in-toto chose stay as they are.
#[test]
fn the_names_of_fields_are_in_snake_case_where_they_are_ours() {
    let theirs = ["docker-manifest-digest", "docker-reference", "payloadType"];
    let mut names = Vec::new();
    collect(&schema()["$defs"], &mut names);
    for name in names {
        let ours = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let is_fact = name.starts_with(|c: char| c.is_ascii_uppercase());
        assert!(ours || is_fact || theirs.contains(&name.as_str()), "{name}");
    }
}

fn collect(schema: &Value, names: &mut Vec<String>) {
    for (keyword, inside) in schema.as_object().into_iter().flatten() {
        if keyword == "properties" {
            names.extend(inside.as_object().unwrap().keys().cloned());
            inside.as_object().unwrap().values().for_each(|schema| collect(schema, names));
        } else if inside.is_object() {
            collect(inside, names);
        }
    }
}
