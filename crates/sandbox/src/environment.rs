//! Variables for clients, as pairs and as a file to source.

/// Variables to set, and variables that must not be set beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    set: Vec<(String, String)>,
    unset: Vec<&'static str>,
}

impl Variables {
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn unset(mut self, name: &'static str) -> Self {
        self.unset.push(name);
        self
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.set.extend(other.set);
        self.unset.extend(other.unset);
        self
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.set
    }

    /// A file for a POSIX shell.
    pub(crate) fn to_shell(&self) -> String {
        let unset = self.unset.iter().map(|name| format!("unset {name}\n"));
        let set = self.set.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        unset.chain(set).collect()
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
