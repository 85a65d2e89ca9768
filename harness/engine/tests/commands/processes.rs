//! Running processes: waiting for their output, and sending signals.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command};

/// Reads the standard error up to the first line with these words. Returns the rest, which keeps the pipe open.
pub fn wait_for_words(child: &mut Child, words: &str) -> BufReader<ChildStderr> {
    let mut printed = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(printed.read_line(&mut line).expect("it is UTF-8") > 0, "it ended without saying '{words}'");
    }
    printed
}

/// Waits until a file has this many lines.
pub fn wait_for_lines(file: &Path, lines: usize) {
    for _ in 0..10_000_000 {
        let there = std::fs::read_to_string(file).unwrap_or_default();
        if there.matches('\n').count() >= lines {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{} never had {lines} lines", file.display());
}

/// Returns the only child of a program with one job, on Linux.
pub fn only_worker_of(parent: u32) -> u32 {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).expect("it still runs");
    let children: String = tasks
        .map(|task| task.expect("it still runs").path().join("children"))
        .map(|children| std::fs::read_to_string(children).unwrap_or_default())
        .collect();
    let [worker] = children.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("one worker was to run, not '{children}'")
    };
    worker.parse().expect("processes have numbers")
}

/// Sends a signal, named as kill(1) names it.
pub fn send(signal: &str, process: u32) {
    let killed = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(killed.expect("kill can be started").success());
}
