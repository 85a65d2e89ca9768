//! Runs the `latent` binary as a process: arguments, output and exit code.

use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;

/// The built-in scenarios, in listing order.
pub const BUILT_IN: [&str; 9] = [
    "incident-2016",
    "incident-2016-protected",
    "hostile",
    "quiet-week",
    "rough-week",
    "busy-week",
    "month",
    "year",
    "one-day",
];

/// Returns the command with these arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latent"));
    command.args(arguments).env("RUST_BACKTRACE", "0").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Runs the command to its end.
pub fn latent(arguments: &[&str]) -> Output {
    command(arguments).output().expect("cargo built the binary")
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the binary prints UTF-8")
}

/// The JSON report of `run <arguments> --json`, and the exit code.
pub fn report(arguments: &[&str]) -> (Value, Option<i32>) {
    report_of(command(&[&["run", "--json"], arguments].concat()))
}

/// The JSON report that a command prints, and its exit code.
pub fn report_of(mut command: Command) -> (Value, Option<i32>) {
    let output = command.output().expect("cargo built the binary");
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)));
    (value, output.status.code())
}

/// Number of times that a run reached a mark. A misspelt mark is never reached, so the name must exist.
pub fn marks(report: &Value, name: &str) -> u64 {
    assert!(
        latent_engine::explain::marks::<latent_world::Latent>().iter().any(|mark| mark == name),
        "{name}"
    );
    report["marks"][name].as_u64().unwrap_or(0)
}

/// The folder of the scenario files.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a built-in scenario's file.
pub fn scenario_text(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.json")))
        .expect("every built-in scenario has its file")
}

/// A file for this test, in cargo's directory for tests. Tests run side by side, so each names its own files.
pub fn scratch(name: &str, text: &str) -> PathBuf {
    static OWNERS: Mutex<BTreeMap<String, ThreadId>> = Mutex::new(BTreeMap::new());
    let own = std::thread::current().id();
    let owner = *OWNERS.lock().expect("no owner panicked").entry(name.to_owned()).or_insert(own);
    assert_eq!(owner, own, "another test writes {name} too");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("cargo's directory for tests can be written");
    path
}

/// Insta's settings for the reviewed texts in `reports/`.
pub fn reviewed() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../reports");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // Hashes are reviewed in one place: reports/hashes.txt.
    settings.add_filter(r"trace       [0-9a-f]{32}  [0-9,]+\s+records", "trace       […]");
    settings
}

/// The seeds that an environment variable such as `LATENT_ROUGH_SEEDS=1..1001` asks for, or `usual`: debug builds are
/// slow.
#[expect(clippy::disallowed_methods, reason = "the caller sets the number of seeds")]
pub fn seeds(variable: &str, usual: Range<u64>) -> Range<u64> {
    let Ok(asked) = std::env::var(variable) else { return usual };
    let range = asked.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    let range: Range<u64> = range.unwrap_or_else(|| panic!("{variable}={asked}: write it like 1..11"));
    assert!(!range.is_empty(), "{variable}={asked}: the range must not be empty");
    range
}

/// Checks every one of `all` on all cores; what was said of those that fail, in their order.
pub fn failures<T: Sync>(all: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, one)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    all.get(index).map(|one| (index, one))
                } {
                    if let Some(printed) = check(one) {
                        failed.lock().expect("no check panicked").insert(index, printed);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no check panicked").into_values().collect()
}
