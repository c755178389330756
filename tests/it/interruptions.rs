//! What is left when there is no time, or no patience.

use std::process::Command;
use std::time::Duration;

use sandbox::Fault;

use crate::harness::{Outcome, World};

#[test]
fn the_timeout_says_what_was_being_waited_for() {
    let world = World::with_fault(Fault::SlowLog);
    let image = world.image("demo/app");
    world.workload().args(["sign", "-t", "2s", &image]).run().ends(1).says(&[
        "not done within 2s",
        "waiting for the log",
        &format!("not finished: {image}"),
        "--timeout",
    ]);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_ends_as_the_signal_says_and_leaves_nothing_half_written() {
    let world = World::with_fault(Fault::SlowLog);
    let file = world.write("a", "content");
    for (signal, code, text) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let child = world.workload().args(["sign-blob"]).arg(&file).spawn();
        std::thread::sleep(Duration::from_millis(1500));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let outcome = Outcome::new(child.wait_with_output().unwrap());
        outcome.ends(code).says(&[text, "waiting for the log"]);
        let left = std::fs::read_dir(world.path("")).unwrap();
        assert_eq!(left.filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 1);
    }
}

#[cfg(unix)]
#[test]
fn an_endless_pipe_can_be_interrupted() {
    let world = World::new();
    let mut child = world.workload().args(["sign-blob", "-", "--bundle", "b.json"]).piped().spawn();
    let held_open = child.stdin.take();
    std::thread::sleep(Duration::from_millis(700));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    Outcome::new(child.wait_with_output().unwrap()).ends(130);
    drop(held_open);
}
