//! A part of many images, for one of several processes.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use host::Env;

/// One of `total` parts of a list.
///
/// The split is by position: of the distinct things in a list, the part `I` of `N` has those whose
/// position, counted from 0, leaves the remainder `I` when it is divided by `N`. Processes that are
/// given the same list and different parts work on everything once.
///
/// ```
/// use image_signing::Shard;
///
/// let shard: Shard = "1/3".parse()?;
/// assert_eq!(shard.part_of(vec!["a", "b", "a", "c", "d", "e"]), ["b", "e"]);
/// # Ok::<(), image_signing::ShardError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shard {
    index: u32,
    total: u32,
}

/// Why a text or an environment is not a [`Shard`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// No variable says which part this process has.
    #[error("no variable says which part this process works on: expected one of {}", names())]
    NoIndex,
    /// A variable says which part this is, and nothing says of how many.
    #[error("{index} says which part this process works on, and nothing says of how many")]
    NoTotal {
        /// The variable.
        index: &'static str,
    },
    /// It is not a part of a whole.
    #[error("{what} is not a part of a whole: {reason}")]
    Wrong {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Variables of a platform that runs the same job several times.
struct Variables {
    index: &'static str,
    total: &'static str,
    /// The number of the first job.
    first: u32,
}

impl Shard {
    /// The part `index`, counted from 0, of `total`.
    ///
    /// # Errors
    /// [`ShardError::Wrong`]: there is no such part.
    pub fn new(index: u32, total: u32) -> Result<Self, ShardError> {
        if index < total {
            return Ok(Self { index, total });
        }
        let reason = match total {
            0 => "there are no parts".to_owned(),
            _ => format!("the last part is {}/{total}, they are counted from 0", total - 1),
        };
        Err(ShardError::Wrong { what: format!("{index}/{total}"), reason })
    }

    /// Reads `I/N`; `auto`, for what the environment says; or `auto/N`, where it says only which part
    /// this is.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`from_env`](Self::from_env).
    pub fn read(text: &str, env: &dyn Env) -> Result<Self, ShardError> {
        match text.split_once('/') {
            None if text == "auto" => Self::from_env(env, None),
            Some(("auto", total)) => {
                let expected = "expected I/N, auto or auto/N";
                let total = total.parse().map_err(|_| wrong(format!("{text:?}"), expected))?;
                Self::from_env(env, Some(total))
            }
            _ => text.parse(),
        }
    }

    /// What the environment says: the variables of Buildkite's parallel jobs, of `parallel` jobs of
    /// GitLab (counted from 1), or of an Indexed Job of Kubernetes. Kubernetes sets
    /// `JOB_COMPLETION_INDEX` alone: the number of parts is then `total`, or in
    /// `JOB_COMPLETION_TOTAL`.
    ///
    /// # Errors
    /// There are no such variables, or they do not fit together or to `total`.
    pub fn from_env(env: &dyn Env, total: Option<u32>) -> Result<Self, ShardError> {
        let found = VARIABLES.iter().find_map(|names| Some((names, env.var(names.index)?)));
        let (names, text) = found.ok_or(ShardError::NoIndex)?;
        let number = |name: &str, text: &str| {
            let expected = || format!("expected a number, found {text:?}");
            text.trim().parse::<u32>().map_err(|_| wrong(name, expected()))
        };
        let index = number(names.index, &text)?.checked_sub(names.first);
        let index = index.ok_or_else(|| wrong(names.index, "its jobs are counted from 1"))?;
        let said = env.var(names.total).map(|text| number(names.total, &text)).transpose()?;
        let total = match (total, said) {
            (Some(total), Some(said)) if total != said => {
                return Err(wrong(names.total, format!("it is {said}, and --shard says {total}")));
            }
            (total, said) => total.or(said).ok_or(ShardError::NoTotal { index: names.index })?,
        };
        // In the platform's own way to count.
        let beyond = || format!("it is {}, and there are {total} jobs", text.trim());
        Self::new(index, total).map_err(|_| wrong(names.index, beyond()))
    }

    /// The part of `items` that `text` names, as [`read`](Self::read) reads it. Without a text all of
    /// them, and where they are `a_list` each once.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn select<T: Clone + Eq + Hash>(
        text: Option<&str>,
        a_list: bool,
        env: &dyn Env,
        items: Vec<T>,
    ) -> Result<Vec<T>, ShardError> {
        match text {
            Some(text) => Ok(Self::read(text, env)?.part_of(items)),
            None if a_list => Ok(Self::default().part_of(items)),
            None => Ok(items),
        }
    }

    /// The distinct ones of `items` that this part has, in their order.
    pub fn part_of<T: Clone + Eq + Hash>(self, items: Vec<T>) -> Vec<T> {
        let mut known = HashSet::new();
        let distinct = items.into_iter().filter(|item| known.insert(item.clone()));
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        distinct.skip(number(self.index)).step_by(number(self.total)).collect()
    }
}

/// The whole.
impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, total: 1 }
    }
}

/// Reads `I/N`.
impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(index, total)| {
            Some((index.parse::<u32>().ok()?, total.parse::<u32>().ok()?))
        });
        match numbers {
            Some((index, total)) => Self::new(index, total),
            None => Err(wrong(format!("{text:?}"), "expected I/N, such as 0/4")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.total)
    }
}

fn wrong(what: impl Into<String>, reason: impl Into<String>) -> ShardError {
    ShardError::Wrong { what: what.into(), reason: reason.into() }
}

fn names() -> String {
    VARIABLES.map(|names| names.index).join(", ")
}

/// The job comes before the cluster that it runs in.
const VARIABLES: [Variables; 3] = [
    Variables { index: "BUILDKITE_PARALLEL_JOB", total: "BUILDKITE_PARALLEL_JOB_COUNT", first: 0 },
    Variables { index: "CI_NODE_INDEX", total: "CI_NODE_TOTAL", first: 1 },
    Variables { index: "JOB_COMPLETION_INDEX", total: "JOB_COMPLETION_TOTAL", first: 0 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thing_is_in_one_part_however_many_parts_there_are() {
        let items: Vec<u32> = (0..23).chain(3..9).collect();
        for total in [1, 2, 4, 23, 100] {
            let parts = (0..total).map(|index| Shard::new(index, total).unwrap());
            let mut all: Vec<u32> = parts.flat_map(|it| it.part_of(items.clone())).collect();
            all.sort_unstable();
            assert_eq!(all, (0..23).collect::<Vec<_>>(), "{total}");
        }
    }

    #[test]
    fn a_part_that_does_not_exist_is_refused() {
        assert_eq!("0/1".parse::<Shard>().unwrap().to_string(), "0/1");
        for text in ["4/4", "0/0", "1", "a/2", "-1/2", "1/2/3", "", "0/4294967296"] {
            text.parse::<Shard>().unwrap_err();
        }
        let error = "4/4".parse::<Shard>().unwrap_err().to_string();
        assert_eq!(
            error,
            "4/4 is not a part of a whole: the last part is 3/4, they are counted from 0"
        );
    }

    #[test]
    fn platforms_say_which_part_a_job_has() {
        let read = |env: &[(&str, &str)], total| {
            let env: host::FakeEnv = env.iter().copied().collect();
            Shard::from_env(&env, total).map(|shard| shard.to_string())
        };
        let gitlab = [("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "4")];
        assert_eq!(read(&gitlab, None).unwrap(), "0/4");
        let buildkite = [("BUILDKITE_PARALLEL_JOB", "3"), ("BUILDKITE_PARALLEL_JOB_COUNT", "4")];
        assert_eq!(read(&buildkite, Some(4)).unwrap(), "3/4");
        let kubernetes = [("JOB_COMPLETION_INDEX", "2")];
        assert_eq!(read(&kubernetes, Some(3)).unwrap(), "2/3");
        let index = "JOB_COMPLETION_INDEX";
        assert_eq!(read(&kubernetes, None).unwrap_err(), ShardError::NoTotal { index });
        assert_eq!(read(&[], Some(3)).unwrap_err(), ShardError::NoIndex);
        assert!(matches!(read(&gitlab, Some(5)).unwrap_err(), ShardError::Wrong { .. }));
        read(&[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "4")], None).unwrap_err();
        read(&[("JOB_COMPLETION_INDEX", "3")], Some(3)).unwrap_err();
        let beyond = read(&[("CI_NODE_INDEX", "5"), ("CI_NODE_TOTAL", "4")], None).unwrap_err();
        assert!(beyond.to_string().ends_with("it is 5, and there are 4 jobs"), "{beyond}");

        let env = [("JOB_COMPLETION_INDEX", "2")];
        assert_eq!(Shard::read("auto/3", &env).unwrap().to_string(), "2/3");
        assert_eq!(Shard::read("1/3", &env).unwrap().to_string(), "1/3");
        for text in ["auto", "auto/", "auto/x", "automatic"] {
            Shard::read(text, &env).unwrap_err();
        }
    }
}
