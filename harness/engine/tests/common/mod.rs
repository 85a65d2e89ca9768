//! Support for a test program that is also the program under test.
//!
//! A worker is the same program, so such a test has its own `main`: called with a command of the program it is the
//! program, otherwise it runs the tests, each of which starts the program.

use libtest_mimic::{Arguments, Trial};
use std::path::PathBuf;
use std::process::ExitCode;

/// A test: its name and its function.
pub type Test = (&'static str, fn());

/// Tests by the names of their functions.
macro_rules! tests {
    ($($name:path),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}
pub(crate) use tests;

/// The commands of the engine, and the worker's hidden argument.
const COMMANDS: [&str; 17] = [
    "run",
    "enumerate",
    "sweep",
    "merge",
    "repro",
    "shrink",
    "corpus",
    "print",
    "scenarios",
    "schema",
    "explain",
    "marks",
    "doctor",
    "completions",
    "man",
    "--help",
    "__worker",
];

/// Runs the program or the tests, one test at a time unless `--test-threads` says otherwise: some of them limit the real
/// time of their cases.
pub fn main(program: fn() -> ExitCode, tests: &[&[Test]]) -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| COMMANDS.contains(&first.as_str())) {
        return program();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let trial = |(name, test): &Test| {
        let test = *test;
        Trial::test(*name, move || {
            test();
            Ok(())
        })
    };
    let trials = tests.iter().copied().flatten().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// This program.
pub fn own_path() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program prints UTF-8")
}
