//! Compatibility with cosign: its flags and commands that ambisign does not have.
//!
//! A flag without effect is accepted with a notice, so that scripts written for cosign go on
//! working. A flag that would change the result is refused, and its replacement is named.
//! `data/cosign.txt` is the table.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::failure::Failure;
use crate::flags::boolean;

/// A flag of cosign's. It counts only when it is given.
struct Flag {
    name: &'static str,
    alias: Option<&'static str>,
    /// Its value as the table writes it; a switch has none.
    value: Option<&'static str>,
    refused: bool,
    /// Why it has no effect, or what to do instead.
    text: &'static str,
}

impl Flag {
    fn is_switch(&self) -> bool {
        matches!(self.value, None | Some("true" | "false"))
    }

    /// Whether it asks for what ambisign does anyway.
    fn is_idle(&self, matches: &ArgMatches) -> bool {
        match self.value {
            Some(refused @ ("true" | "false")) => {
                matches.get_one::<bool>(self.name).is_none_or(|value| value.to_string() != refused)
            }
            Some(value) => value.strip_prefix('~').is_some_and(|accepted| {
                let mut values = matches.get_many::<String>(self.name).into_iter().flatten();
                values.all(|value| value == accepted)
            }),
            None => false,
        }
    }
}

pub(crate) fn add_flags(mut command: Command) -> Command {
    for flag in flags_of(command.get_name()) {
        let arg = Arg::new(flag.name).long(flag.name).hide(true).aliases(flag.alias);
        command = command.arg(match flag.is_switch() {
            false => arg.value_name("VALUE").num_args(1).action(ArgAction::Append),
            true => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(boolean),
        });
    }
    command
}

/// The notices about the flags that were given, or the refusal of the first that cannot be
/// accepted.
pub(crate) fn judge(command: &str, matches: &ArgMatches) -> Result<Vec<String>, Failure> {
    let mut notices = Vec::new();
    for flag in flags_of(command) {
        let name = match matches.try_contains_id(flag.name) {
            Ok(true) if matches.value_source(flag.name) == Some(ValueSource::EnvVariable) => {
                format!("--{} (set by the environment)", flag.name)
            }
            Ok(true) => format!("--{}", flag.name),
            _ => continue,
        };
        notices.push(match flag.refused {
            false => format!("{name} has no effect: {}", flag.text),
            true if flag.is_idle(matches) => {
                format!("{name} has no effect: ambisign always does this")
            }
            true => {
                let problem = format!("{name} is not supported");
                return Err(Failure::usage(problem).hint(flag.text));
            }
        });
    }
    Ok(notices)
}

/// What to do instead of a command that only cosign has.
pub(crate) fn command(name: &str) -> Option<&'static str> {
    let mut rows = rows().filter(|row| row.effect == "command");
    rows.find(|row| row.line.split(' ').any(|it| it == name)).map(|row| row.text)
}

fn flags_of(command: &str) -> Vec<Flag> {
    let mut flags = Vec::new();
    for row in rows().filter(|row| row.effect != "command") {
        let Some((commands, names)) = row.line.split_once(": ") else { continue };
        if !commands.split(' ').any(|word| is_of(command, word)) {
            continue;
        }
        flags.extend(names.split(' ').map(|written| {
            let (names, value) = match written.split_once('=') {
                Some((names, value)) => (names, Some(value)),
                None => (written, None),
            };
            let (name, alias) = match names.split_once('|') {
                Some((name, alias)) => (name, Some(alias)),
                None => (names, None),
            };
            Flag { name, alias, value, refused: row.effect == "refuse", text: row.text }
        }));
    }
    flags
}

/// Whether the table's `word` stands for `command`.
fn is_of(command: &str, word: &str) -> bool {
    let signing = ["sign", "sign-blob", "attest", "attest-blob"].contains(&command);
    let verifying = command.starts_with("verify");
    match word {
        "every" => !["trusted-root", "signing-config"].contains(&command),
        "all" => signing || verifying,
        "signing" => signing,
        "verifying" => verifying,
        "images" => ["verify", "verify-attestation"].contains(&command),
        "registry" => {
            ["sign", "attest", "verify", "verify-attestation", "inspect"].contains(&command)
        }
        name => name == command,
    }
}

/// A line below a line in brackets.
struct Row {
    effect: &'static str,
    text: &'static str,
    line: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let (mut effect, mut text) = ("", "");
    TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(
        move |line| {
            if let Some((word, rest)) = line.strip_prefix('[').and_then(|it| it.split_once("] ")) {
                (effect, text) = (word, rest);
                return None;
            }
            Some(Row { effect, text, line })
        },
    )
}

const TABLE: &str = include_str!("../data/cosign.txt");
