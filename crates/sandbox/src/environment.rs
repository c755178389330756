//! Variables for clients, as pairs and as a file to source.

/// Variables to set, and variables that must not be set beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    set: Vec<(String, String)>,
    unset: Vec<String>,
    /// Comes first on the search path.
    programs: Option<String>,
    comments: Vec<String>,
}

impl Variables {
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    /// Puts the programs of `directory` before all others.
    pub(crate) fn programs(mut self, directory: &str) -> Self {
        self.programs = Some(directory.to_owned());
        self
    }

    /// A line for people at the head of the file.
    pub(crate) fn comment(mut self, text: &str) -> Self {
        self.comments.push(text.replace('\n', " "));
        self
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.set.extend(other.set);
        self.unset.extend(other.unset);
        self.programs = other.programs.or(self.programs);
        self.comments.extend(other.comments);
        self
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.set
    }

    /// A file for a POSIX shell. What an earlier such file put on the search path is taken off.
    pub(crate) fn to_shell(&self) -> String {
        let comments = self.comments.iter().map(|text| format!("# {text}\n"));
        let restore = "[ -z \"${SANDBOX_FORMER_PATH-}\" ] || PATH=$SANDBOX_FORMER_PATH\n\
                       unset SANDBOX_FORMER_PATH\n";
        let programs = self.programs.iter().map(|directory| {
            let directory = quoted(directory);
            format!("export SANDBOX_FORMER_PATH=\"$PATH\"\nexport PATH={directory}:\"$PATH\"\n")
        });
        let unset = self.unset.iter().map(|name| format!("unset {name}\n"));
        let set = self.set.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        let first = comments.chain([restore.to_owned()]);
        first.chain(unset).chain(set).chain(programs).collect()
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the shell is what reads it")]
    fn a_shell_reads_back_what_was_set() {
        let awkward = "a'b $HOME `x` \"y\"";
        let variables = Variables::default().unset("B").set("A", awkward);
        let script =
            format!("B=1; {}\nprintf '%s|%s' \"$A\" \"${{B-unset}}\"", variables.to_shell());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{awkward}|unset"));
    }
}
