//! Reads the command line: the clap types, the variables of each flag, and cosign's other flags.
//!
//! Every flag `--foo-bar` can also be given as `AMBISIGN_FOO_BAR` or, after that, `COSIGN_FOO_BAR`.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _};
use image_signing::is_text_variable;

use crate::cosign;
use crate::failure::Failure;
use crate::flags::{Flags, boolean};
use crate::help;
use crate::output::width;

/// Why the command line asks for nothing that can be done.
pub(crate) enum Refusal {
    /// A help text, or a syntax error in clap's words, and what else to say about it.
    Message(clap::Error, Vec<String>),
    /// Wrong usage in our words.
    Words(Failure),
}

/// The flags in `args`, whose first is the name of the program, and in the variables of flags; and
/// a notice for each outdated flag that was accepted.
pub(crate) fn parse(args: &[OsString]) -> Result<(Flags, Vec<String>), Refusal> {
    if let Some(name) = unreadable_variable() {
        let failure = Failure::usage(format!("the variable {name} is not UTF-8"));
        return Err(Refusal::Words(failure.hint("unset it")));
    }
    let (args, mut notices) = with_two_dashes(args);
    let matches =
        parser(&args).try_get_matches_from(&args).map_err(|error| explain(error, &args))?;
    if let Some((name, matches)) = matches.subcommand() {
        notices.extend(cosign::judge(name, matches).map_err(Refusal::Words)?);
    }
    let flags = Flags::from_arg_matches(&matches);
    Ok((flags.map_err(|error| Refusal::Message(error, Vec::new()))?, notices))
}

/// `-key` as `--key`, which cosign accepts as well, and a notice for each.
fn with_two_dashes(args: &[OsString]) -> (Vec<OsString>, Vec<String>) {
    let mut notices = Vec::new();
    let is_short = |arg: &&OsString| matches!(arg.as_encoded_bytes(), [b'-', second, _, ..] if *second != b'-');
    if !args.iter().any(|arg| is_short(&arg)) {
        return (args.to_vec(), notices);
    }
    let command = cosign::add_flags(named(args));
    let flags: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
    let mut with_two = |arg: &OsString| {
        let name = arg.to_str().filter(|_| is_short(&arg))?.trim_start_matches('-');
        let flag = name.split('=').next().filter(|flag| flags.contains(flag))?;
        notices.push(format!("-{flag} has one dash: write --{flag}"));
        Some(OsString::from(format!("--{name}")))
    };
    let args = args.iter().map(|arg| with_two(arg).unwrap_or_else(|| arg.clone())).collect();
    (args, notices)
}

/// The parser behind the help texts: with variables, `--flag=false` and cosign's outdated flags.
/// Only the commands that `args` may name have flags: to declare them is most of a short run.
fn parser(args: &[OsString]) -> clap::Command {
    let is_named = |command: &clap::Command| args.iter().any(|arg| arg == command.get_name());
    let complete = |command: clap::Command| match is_named(&command) {
        true => declared(cosign::add_flags(command)).mut_args(enrich),
        false => command,
    };
    Flags::command()
        .mut_args(enrich)
        .mut_subcommands(|command| complete(command).mut_subcommands(complete))
}

/// `command` with its flags, which clap would declare only while it parses.
fn declared(command: clap::Command) -> clap::Command {
    let mut built = command.clone();
    built.build();
    let is_declared = |arg: &&Arg| command.get_arguments().any(|it| it.get_id() == arg.get_id());
    let args = built.get_arguments().filter(|arg| arg.get_id() != "help" && !is_declared(arg));
    let args: Vec<_> = args.cloned().collect();
    command.defer(|command| command).args(args).groups(built.get_groups().cloned())
}

fn enrich(arg: Arg) -> Arg {
    let variable = variable(&arg);
    let arg = match arg.get_action() {
        ArgAction::SetTrue => {
            let default = arg.get_default_values().first().cloned();
            arg.action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_value(default.unwrap_or_else(|| "false".into()))
                .default_missing_value("true")
                .value_parser(boolean)
                .value_name("BOOL")
        }
        _ => arg,
    };
    match variable {
        Some(name) => arg.env(name).hide_env(true).hide_env_values(true),
        None => arg,
    }
}

/// The variables of the flag `--FLAG`.
pub(crate) fn variable_names(flag: &str) -> [String; 2] {
    let suffix = flag.to_uppercase().replace('-', "_");
    ["AMBISIGN", "COSIGN"].map(|prefix| format!("{prefix}_{suffix}"))
}

/// The variable that is set for `arg`.
fn variable(arg: &Arg) -> Option<String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let flag = arg.get_long().filter(|_| is_switch || arg.get_action().takes_values())?;
    let aliases = arg.get_all_aliases().unwrap_or_default();
    let heading = arg.get_help_heading().unwrap_or_default();
    // The empty string of a variable that a job forgot to set must not select something else.
    let decides = !is_switch && ["Identity", "Policy", "Services", "Trust"].contains(&heading);
    let names = std::iter::once(flag).chain(aliases).flat_map(variable_names);
    let is_set = |name: &String| std::env::var_os(name).is_some_and(|it| decides || !it.is_empty());
    names.into_iter().find(is_set)
}

/// A help text, or what is wrong and where it was said.
fn explain(mut error: clap::Error, args: &[OsString]) -> Refusal {
    if error.kind() == ErrorKind::DisplayVersion {
        return Refusal::Message(error, Vec::new());
    }
    let mut command = named(args);
    if error.kind() == ErrorKind::DisplayHelp {
        return Refusal::Message(help_text(command, args).unwrap_or(error), Vec::new());
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) {
        let group = command.get_bin_name().and_then(|group| group.split_once(' '));
        let inside = group.map(|(_, group)| format!("{group} {name}"));
        for words in [name].into_iter().chain(&inside) {
            if let Some(instead) = cosign::command(words) {
                let failure = Failure::usage(format!("ambisign has no command {words}"));
                return Refusal::Words(failure.hint(instead));
            }
        }
    }
    if let Some(failure) = cosign::refusal(command.get_name(), args) {
        return Refusal::Words(failure);
    }
    let mut hints = Vec::from_iter(flag_of_others(&mut error));
    // Otherwise the usage line repeats flags that variables set.
    if error.get(ContextKind::Usage).is_some() {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    let text = error.to_string();
    for arg in cosign::add_flags(command.clone()).get_arguments() {
        let flag = format!("--{}", arg.get_long().unwrap_or_default());
        let is_named = text.split([' ', '\'', '=', '[', '\n']).any(|word| word == flag);
        let is_given = |arg: &OsString| arg.to_string_lossy().split('=').next() == Some(&flag);
        if is_named && !args.iter().any(is_given) {
            hints.extend(variable(arg).map(|name| format!("{flag} is set by the variable {name}")));
        }
    }
    if text.contains("'--output ") && command.get_name().starts_with("sign") {
        hints.push("to write the bundle to a file, use --bundle FILE".to_owned());
    }
    Refusal::Message(error, hints)
}

/// Which commands have the flag that the running one has not, however it is spelled.
fn flag_of_others(error: &mut clap::Error) -> Option<String> {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(named)) if named.starts_with("--") => plain(named),
        _ => return None,
    };
    // It would offer to pass the flag as a file.
    error.remove(ContextKind::Suggested);
    let program = program();
    let flag = |of: &clap::Command| {
        of.get_arguments()
            .filter_map(Arg::get_long)
            .find(|flag| plain(flag) == named)
            .map(str::to_owned)
    };
    let found: Vec<_> =
        program.get_subcommands().filter_map(|of| Some((flag(of)?, of.get_name()))).collect();
    let commands: Vec<_> = found.iter().map(|(_, name)| *name).collect();
    let (flag, _) = found.first()?;
    Some(format!("leave it out, or use a command that has --{flag}: {}", commands.join(", ")))
}

/// A flag without dashes and capitals.
fn plain(flag: &str) -> String {
    flag.replace('-', "").to_ascii_lowercase()
}

/// The help text of `command` as it is documented: without `=<BOOL>` and what variables change.
fn help_text(command: clap::Command, args: &[OsString]) -> Option<clap::Error> {
    let is_long = args.iter().any(|arg| arg == "--help" || arg == "help");
    let flag = if is_long { "--help" } else { "-h" };
    // Two columns need room.
    let command = command.next_line_help(width(std::env::var("COLUMNS").ok()) < NARROW);
    let command = help::documented(command);
    command.no_binary_name(true).try_get_matches_from([flag]).err()
}

/// All commands with all flags, as they are documented.
pub(crate) fn program() -> clap::Command {
    let mut program = Flags::command();
    program.build();
    program
}

/// The command that `args` name, as it is documented.
pub(crate) fn named(args: &[OsString]) -> clap::Command {
    let mut command = program();
    for name in args.iter().filter_map(|arg| OsStr::to_str(arg)).filter(|name| *name != "help") {
        if let Some(next) = command.find_subcommand(name) {
            command = next.clone();
        }
    }
    command
}

/// The name of a variable that is read as text and whose value is not UTF-8.
fn unreadable_variable() -> Option<String> {
    let mut unreadable = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
    unreadable.find_map(|(name, _)| name.into_string().ok().filter(|it| is_text_variable(it)))
}

/// Below this width, descriptions stand under the flags and not beside them.
const NARROW: usize = 80;
