//! Reads the command line: the clap types, the variables of each flag, and cosign's other flags.
//!
//! Every flag `--foo-bar` can also be given as `AMBISIGN_FOO_BAR` or, after that, `COSIGN_FOO_BAR`.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _};

use crate::cosign;
use crate::failure::Failure;
use crate::flags::{Flags, boolean};

/// What the command line says.
pub(crate) enum Parsed {
    /// The flags, and a notice for each outdated flag that was accepted.
    Flags(Box<Flags>, Vec<String>),
    /// A help text, or a syntax error in clap's words, and what else to say about it.
    Message(clap::Error, Vec<String>),
    /// Wrong usage in our words.
    Refused(Failure),
}

/// A variable that is set for a flag.
struct Variable {
    flag: String,
    name: String,
    is_text: bool,
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Reads `args`, the name of the program first, and the variables that belong to its flags.
pub(crate) fn parse(args: &[OsString], variables: Variables<'_>) -> Parsed {
    let set = RefCell::new(Vec::new());
    let parser = parser(args, variables, &set);
    let set = set.into_inner();
    if let Some(variable) = set.iter().find(|variable| !variable.is_text) {
        let problem = format!("the variable {} is not UTF-8", variable.name);
        return Parsed::Refused(
            Failure::usage(problem).hint(format!("unset it, or give --{} instead", variable.flag)),
        );
    }
    let matches = match parser.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return explain(error, args, &set),
    };
    let mut notices = Vec::new();
    if let Some((name, matches)) = matches.subcommand() {
        match cosign::judge(name, matches) {
            Ok(found) => notices = found,
            Err(failure) => return Parsed::Refused(failure),
        }
    }
    match Flags::from_arg_matches(&matches) {
        Ok(flags) => Parsed::Flags(Box::new(flags), notices),
        Err(error) => Parsed::Message(error, Vec::new()),
    }
}

/// The parser behind the help texts: with variables, `--flag=false` and cosign's outdated flags.
/// Only for the commands that `args` may name, because building it is most of a short run.
fn parser(
    args: &[OsString],
    variables: Variables<'_>,
    set: &RefCell<Vec<Variable>>,
) -> clap::Command {
    let enrich = |arg| enrich(arg, variables, set);
    let mut command = Flags::command().mut_args(enrich);
    let names: Vec<String> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names.into_iter().filter(|name| args.iter().any(|arg| arg == name.as_str())) {
        command = command.mut_subcommand(name, |command| {
            let command = cosign::add_flags(command).mut_args(enrich);
            command.mut_subcommands(|command| command.mut_args(enrich))
        });
    }
    command
}

fn enrich(arg: clap::Arg, variables: Variables<'_>, set: &RefCell<Vec<Variable>>) -> clap::Arg {
    let Some(flag) = arg.get_long().map(str::to_owned) else { return arg };
    if ["help", "json", "version"].contains(&flag.as_str()) {
        return arg;
    }
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    // The empty string of a variable that a job forgot to set must not select something else.
    let decides =
        matches!(arg.get_help_heading(), Some("Identity" | "Policy" | "Services" | "Trust"))
            && !is_switch;
    let suffix = flag.to_uppercase().replace('-', "_");
    let variable = ["AMBISIGN", "COSIGN"]
        .map(|prefix| format!("{prefix}_{suffix}"))
        .into_iter()
        .find_map(|name| {
            let value = variables(&name).filter(|value| decides || !value.is_empty())?;
            Some(Variable { flag: flag.clone(), name, is_text: value.to_str().is_some() })
        });
    let arg = match is_switch {
        true => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_parser(boolean)
            .value_name("BOOL"),
        false => arg,
    };
    let Some(variable) = variable else { return arg };
    let arg = arg.env(variable.name.clone()).hide_env(true).hide_env_values(true);
    set.borrow_mut().push(variable);
    arg
}

/// A help text, or what is wrong and where it was said.
fn explain(mut error: clap::Error, args: &[OsString], set: &[Variable]) -> Parsed {
    let path = command_names(args);
    if error.kind() == ErrorKind::DisplayHelp {
        return Parsed::Message(help(&path, args).unwrap_or(error), Vec::new());
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(instead) = cosign::command(name)
    {
        let problem = format!("ambisign has no command {name}");
        return Parsed::Refused(Failure::usage(problem).hint(instead));
    }
    // Otherwise the usage line repeats flags that variables set.
    if error.get(ContextKind::Usage).is_some() {
        let mut command = plain(&path);
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    let text = error.to_string();
    let named = |flag: &str| {
        let flag = format!("--{flag}");
        text.split([' ', '\'', '=', '[', '\n']).any(|word| word == flag)
            && !args.iter().any(|arg| {
                let arg = arg.to_string_lossy();
                arg == flag.as_str() || arg.starts_with(&format!("{flag}="))
            })
    };
    let mut hints: Vec<_> = set
        .iter()
        .filter(|variable| named(&variable.flag))
        .map(|it| format!("--{} is set by the variable {}", it.flag, it.name))
        .collect();
    if matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg.starts_with("--output "))
        && path.iter().any(|name| name.starts_with("sign"))
    {
        hints.push("to write the bundle to a file, use --bundle FILE".to_owned());
    }
    Parsed::Message(error, hints)
}

/// The help text of the command at `path`, as it is documented: without `=<BOOL>` and without
/// what variables change.
fn help(path: &[String], args: &[OsString]) -> Option<clap::Error> {
    let long = args.iter().any(|arg| arg == "--help" || arg == "help");
    let flag = if long { "--help" } else { "-h" };
    let words = std::iter::once("ambisign").chain(path.iter().map(String::as_str)).chain([flag]);
    // Two columns need room.
    let narrow = is_narrow();
    let each = |command: clap::Command| command.next_line_help(narrow);
    let command =
        each(Flags::command()).mut_subcommands(|command| each(command).mut_subcommands(each));
    command.try_get_matches_from(words).err()
}

/// Whether clap wraps texts to less than [`NARROW`] columns: of a terminal, or of `COLUMNS`.
fn is_narrow() -> bool {
    let mut probe = clap::Command::new("probe").max_term_width(NARROW).about("x ".repeat(NARROW));
    let text = probe.render_help().to_string();
    text.lines().map(str::len).max().unwrap_or_default() < NARROW - 2
}

/// The flags of the command at `path`.
pub(crate) fn flags_of(path: &[String]) -> Vec<String> {
    let command = plain(path);
    command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
}

/// All commands and flags as the help texts show them.
pub(crate) fn documented() -> clap::Command {
    Flags::command()
}

/// The documented command at `path`.
fn plain(path: &[String]) -> clap::Command {
    let mut command = Flags::command();
    command.build();
    for name in path {
        let Some(next) = command.find_subcommand(name) else { break };
        command = next.clone();
    }
    command
}

/// The names of the command and its subcommand among `args`.
pub(crate) fn command_names(args: &[OsString]) -> Vec<String> {
    let mut command = Flags::command();
    let mut path = Vec::new();
    for name in args.iter().filter_map(|arg| OsStr::to_str(arg)) {
        let Some(next) = command.find_subcommand(name) else { continue };
        path.push(name.to_owned());
        command = next.clone();
    }
    path
}

/// Below this width, descriptions stand under the flags and not beside them.
const NARROW: usize = 80;
