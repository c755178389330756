//! `version`, `completion` and `env`, which need no runtime, no file and no network.

use clap::{Arg, ArgAction};
use clap_complete::Shell;
use image_signing::variables;
use serde_json::json;

use crate::command_line::{program, variable_names};
use crate::flags::{Command, EnvFlags, Output, version as text};
use crate::output::Console;

/// Carries out a command of this kind; whether it was one.
pub(crate) fn about(command: &Command, console: &Console) -> bool {
    match command {
        Command::Version { json, output } => {
            version(if *json { Output::Json } else { *output }, console);
        }
        Command::Completion { shell } => completion(*shell, console),
        Command::Env(flags) => env(flags, console),
        _ => return false,
    }
    true
}

fn version(output: Output, console: &Console) {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    let report = json!({ "name": "ambisign", "version": version, "platform": platform });
    console.result(output, &report, &format!("ambisign {}", text()));
}

/// Completions of all commands and flags.
fn completion(shell: Shell, console: &Console) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program(), "ambisign", &mut script);
    console.script(&script);
}

/// The variables of flags, and then the others. Whether they are set is told, and never a value.
fn env(flags: &EnvFlags, console: &Console) {
    let mut rows = Vec::new();
    of_flags(&program(), &mut rows);
    rows.sort();
    rows.dedup_by(|(name, ..), (before, ..)| name == before);
    rows.extend(variables().map(|(name, meaning)| (name.to_owned(), None, meaning.to_owned())));
    for (name, flag, meaning) in rows {
        let is_set = std::env::var_os(&name).is_some_and(|value| !value.is_empty());
        if flags.set && !is_set {
            continue;
        }
        let report = json!({ "name": name, "flag": flag, "meaning": meaning, "is_set": is_set });
        let (mark, of) = (if is_set { " (set)" } else { "" }, flag.map(|it| format!("--{it}: ")));
        let text = format!("{name}{mark}  {}{meaning}", of.unwrap_or_default());
        console.result(flags.output, &report, &text);
    }
}

/// The variables of the flags of `command` and of its commands.
fn of_flags(command: &clap::Command, rows: &mut Vec<(String, Option<String>, String)>) {
    let takes = |arg: &&Arg| {
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        !arg.is_hide_set() && (is_switch || arg.get_action().takes_values())
    };
    for arg in command.get_arguments().filter(takes) {
        let Some(flag) = arg.get_long() else { continue };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let names = variable_names(flag).into_iter();
        rows.extend(names.map(|name| (name, Some(flag.to_owned()), help.clone())));
    }
    command.get_subcommands().for_each(|command| of_flags(command, rows));
}
