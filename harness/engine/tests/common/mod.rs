//! Support for a test program that is also the program under test.
//!
//! A worker is the same program, so such a test has its own `main`: called with a command of the program it is the
//! program, otherwise it runs the tests, each of which starts the program.

use std::path::PathBuf;
use std::process::ExitCode;

/// A test: its name and its function.
pub type Test = (&'static str, fn());

/// Tests by the names of their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
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

/// Runs the program or the tests. Supports the part of libtest's command line that cargo and nextest use: filters,
/// `--exact`, `--list`.
pub fn main(program: fn() -> ExitCode, tests: &[&[Test]]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| COMMANDS.contains(&first.as_str())) {
        return program();
    }
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |name: &str| {
        let hit = |filter: &&String| if exact { *filter == name } else { name.contains(filter.as_str()) };
        filters.is_empty() || filters.iter().any(hit)
    };
    let ignored = arguments.iter().any(|argument| argument == "--ignored");
    for (name, test) in tests.iter().copied().flatten().filter(|(name, _)| chosen(name) && !ignored) {
        if arguments.iter().any(|argument| argument == "--list") {
            println!("{name}: test");
        } else {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// This program.
pub fn own_path() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program prints UTF-8")
}
