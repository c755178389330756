//! What the tasks of a program wait for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

tokio::task_local! {
    /// What the running future works on, of several at once.
    static TASK: String;
}

/// What a program works on, and what each task waits for: told when its time is up.
#[derive(Debug, Default)]
pub struct Waits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What was waited for last, by whichever task.
    last: Option<String>,
    /// What is worked on, and what it waits for where that is known.
    unfinished: BTreeMap<String, Option<String>>,
}

impl Waits {
    /// Work on `name` begins.
    pub fn begin(&self, name: &str) {
        self.state().unfinished.insert(name.to_owned(), None);
    }

    /// Work on `name` has ended.
    pub fn end(&self, name: &str) {
        self.state().unfinished.remove(name);
    }

    /// Does `work` on `name`, which began: what it waits for is kept apart from that of others.
    pub async fn task<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        TASK.scope(name.to_owned(), work).await
    }

    /// Records that the running task waits for `what`. Outside of a task, the program waits for it.
    pub fn wait_for(&self, what: &str) {
        let mut state = self.state();
        if let Ok(Some(waiting)) = TASK.try_with(|task| state.unfinished.get_mut(task)) {
            *waiting = Some(what.to_owned());
        }
        state.last = Some(what.to_owned());
    }

    /// What was waited for last.
    pub fn last(&self) -> Option<String> {
        self.state().last.clone()
    }

    /// What is being waited for, in one text for each wait, and the names of what is not finished.
    pub fn unfinished(&self) -> (Vec<String>, Vec<String>) {
        let state = self.state();
        let mut waits: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, wait) in &state.unfinished {
            wait.iter().for_each(|wait| waits.entry(wait).or_default().push(name));
        }
        let several = waits.len() > 1;
        let text = |(wait, names): (&str, Vec<&str>)| match several {
            true => format!("it was {wait}: {}", names.join(", ")),
            false => format!("it was {wait}"),
        };
        if let (true, Some(last)) = (waits.is_empty(), &state.last) {
            waits.insert(last, Vec::new());
        }
        (waits.into_iter().map(text).collect(), state.unfinished.keys().cloned().collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_task_is_told_with_what_it_waits_for() {
        let waits = Waits::default();
        waits.wait_for("reading the list");
        assert_eq!(waits.unfinished(), (vec!["it was reading the list".to_owned()], Vec::new()));
        for (name, wait) in [("a", "asking the log"), ("b", "asking the log"), ("c", "hashing")] {
            waits.begin(name);
            waits.task(name, async { waits.wait_for(wait) }).await;
        }
        waits.begin("d");
        let (told, names) = waits.unfinished();
        assert_eq!(told, ["it was asking the log: a, b", "it was hashing: c"]);
        assert_eq!(names, ["a", "b", "c", "d"]);
        ["a", "b", "d"].iter().for_each(|name| waits.end(name));
        assert_eq!(waits.unfinished().0, ["it was hashing"]);
    }
}
