//! The `latent` binary as whoever uses it runs it: as a process, by its arguments, output and exit code.

#![expect(dead_code, reason = "each test program uses its own part of this")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The built-in scenarios, in the order in which they are listed.
pub const BUILT_IN: [&str; 6] =
    ["incident-2016", "incident-2016-protected", "hostile", "quiet-week", "month", "one-day"];

/// The binary with these arguments, not yet started.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latent"));
    command.args(arguments).env("RUST_BACKTRACE", "0").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// The binary with these arguments, run to its end.
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

/// The folder of the scenario files.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a built-in scenario's file.
pub fn scenario_text(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.json")))
        .expect("every built-in scenario has its file")
}

/// A file of this test's own, in cargo's directory for tests.
pub fn scratch(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("cargo's directory for tests can be written");
    path
}

/// Insta's settings for the reviewed texts in `reports/`.
pub fn reviewed() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../reports");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}
