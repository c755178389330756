//! Compatibility with cosign: its flags and commands that ambisign does not have.
//!
//! A flag without effect is accepted with a notice, so that scripts written for cosign go on
//! working. A flag that would change the result is refused, and its replacement is named.
//! `data/cosign.txt` is the table.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::failure::{Failure, Result};
use crate::flags::boolean;

/// A flag of cosign's. It counts only when it is given.
struct Flag {
    name: &'static str,
    alias: Option<&'static str>,
    is_switch: bool,
    /// The value that asks for what ambisign does anyway.
    accepted: Option<&'static str>,
    effect: &'static str,
    /// Why it has no effect, or what to do instead.
    text: &'static str,
}

pub(crate) fn add_flags(command: Command) -> Command {
    let flags = flags_of(command.get_name());
    command.args(flags.into_iter().map(|flag| {
        let arg = Arg::new(flag.name).long(flag.name).hide(true).aliases(flag.alias);
        match flag.is_switch {
            false => arg.value_name("VALUE").action(ArgAction::Append),
            true => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(|text: &str| boolean(text).map(|value| value.to_string())),
        }
    }))
}

/// The notices about the flags that were given, or the refusal of the first that cannot be
/// accepted.
pub(crate) fn judge(command: &str, matches: &ArgMatches) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    let new_format = matches.try_get_one::<bool>("new_bundle_format");
    let makes_earlier = matches!(new_format, Ok(Some(false)));
    for flag in flags_of(command) {
        let Ok(Some(mut values)) = matches.try_get_many::<String>(flag.name) else { continue };
        let name = match matches.value_source(flag.name) {
            Some(ValueSource::EnvVariable) => format!("--{} (set by the environment)", flag.name),
            _ => format!("--{}", flag.name),
        };
        let is_accepted = values.all(|value| flag.accepted == Some(value));
        notices.push(match flag.effect {
            "refuse" if is_accepted => format!("{name} has no effect: ambisign always does this"),
            "refuse" => return Err(unsupported(&name).hint(flag.text)),
            "earlier" if makes_earlier => {
                let leave_out = format!("leave it out: {}", flag.text);
                return Err(unsupported(&name).hint(leave_out));
            }
            _ => format!("{name} has no effect: {}", flag.text),
        });
    }
    Ok(notices)
}

/// The refusal of the first flag in `args` that is refused whatever its value: it explains more than
/// a syntax error beside it.
pub(crate) fn refusal(command: &str, args: &[OsString]) -> Option<Failure> {
    let is_given = |name: &str| {
        let flag = format!("--{name}");
        args.iter().any(|arg| arg.to_string_lossy().split('=').next() == Some(&flag))
    };
    let refused = |it: &Flag| it.effect == "refuse" && it.accepted.is_none() && is_given(it.name);
    let flag = flags_of(command).into_iter().find(refused)?;
    Some(unsupported(&format!("--{}", flag.name)).hint(flag.text))
}

fn unsupported(name: &str) -> Failure {
    Failure::usage(format!("{name} is not supported"))
}

/// What to do instead of a command that only cosign has, such as `triangulate` or `bundle inspect`.
pub(crate) fn command(words: &str) -> Option<&'static str> {
    let name = words.replace(' ', "-");
    let mut rows = rows().filter(|(effect, ..)| *effect == "command");
    rows.find(|(.., line)| line.split(' ').any(|it| it == name)).map(|(_, text, _)| text)
}

fn flags_of(command: &str) -> Vec<Flag> {
    // The words that stand for the command. A kind may have others in it, which stand before it.
    let (mut words, mut flags) = (vec![command], Vec::new());
    for (effect, text, line) in rows() {
        let Some((names, written)) = line.split_once(": ") else { continue };
        if effect == "kind" {
            words.extend(written.split(' ').any(|name| words.contains(&name)).then_some(names));
        } else if names.split(' ').any(|word| words.contains(&word)) {
            flags.extend(written.split(' ').map(|flag| {
                let (flag, accepted) = split(flag, '~');
                let (names, value) = split(flag, '=');
                let (name, alias) = split(names, '|');
                let is_switch = value.is_none() && accepted.is_none_or(|it| boolean(it).is_ok());
                Flag { name, alias, is_switch, accepted, effect, text }
            }));
        }
    }
    flags
}

/// `text`, and what stands in it after `mark`.
fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(text, rest)| (text, Some(rest)))
}

/// The lines of the table below each line in brackets: the word in brackets, the text after it,
/// and the line.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let (mut effect, mut text) = ("", "");
    let lines = include_str!("../data/cosign.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(move |line| {
        if let Some((word, rest)) = line.strip_prefix('[').and_then(|it| it.split_once("] ")) {
            (effect, text) = (word, rest);
            return None;
        }
        Some((effect, text, line))
    })
}
