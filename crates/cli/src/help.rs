//! Help texts: the commands in groups (`data/commands.txt`), and the examples of each command
//! (`data/examples.txt`).

use clap::Command;

/// `command` as its help text shows it: the program with its commands by what a person wants to do,
/// any other with its examples.
pub(crate) fn documented(command: Command) -> Command {
    let header = *command.get_styles().get_header();
    if command.get_name() == "ambisign" {
        let (start, end) =
            ("{about-with-newline}\n{usage-heading} {usage}\n\n", "{options}{after-help}");
        let groups = groups(&command);
        return command.help_template(format!("{start}{groups}{header}Options:{header:#}\n{end}"));
    }
    // The commands of a command share its examples.
    let name = command.get_bin_name().and_then(|name| name.split(' ').nth(1));
    let heading = format!("[{}]", name.unwrap_or_else(|| command.get_name()));
    let below = include_str!("../data/examples.txt").lines().skip_while(|line| *line != heading);
    let lines = below.skip(1).take_while(|line| !line.is_empty());
    let examples: String = lines.map(|line| format!("\n  {line}")).collect();
    match examples.is_empty() {
        true => command,
        false => command.after_help(format!("{header}Examples:{header:#}{examples}")),
    }
}

fn groups(program: &Command) -> String {
    let header = *program.get_styles().get_header();
    let lines = include_str!("../data/commands.txt").lines().filter(|line| !line.starts_with('#'));
    let group = |line: &str| match line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(heading) => format!("{header}{heading}:{header:#}\n"),
        None => {
            let all = line.split(' ').filter_map(|name| program.find_subcommand(name).cloned());
            let group = Command::new("group").subcommands(all).disable_help_subcommand(true);
            let group = group.max_term_width(100).help_template("{subcommands}");
            let is_below = program.is_next_line_help_set();
            let text = group.next_line_help(is_below).render_help().ansi().to_string();
            format!("{}\n\n", text.trim_end())
        }
    };
    lines.map(group).collect()
}
