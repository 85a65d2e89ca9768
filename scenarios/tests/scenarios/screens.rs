//! Every screen at 60, 80 and 120 columns, without a terminal, and with NO_COLOR; reviewed in `reports/screen-*.snap`.
//!
//! Real time, paths and the build are taken out. The screens of `shrink`, of long sweeps and of the incident are reviewed in
//! sweep.rs and reports.rs.

use crate::common::{command, reviewed, scenario_text, scratch, text};
use std::path::Path;
use std::process::Output;

const WIDTHS: [usize; 3] = [60, 80, 120];

fn run(arguments: &[&str], columns: Option<usize>) -> Output {
    let mut command = command(arguments);
    command.env("NO_COLOR", "1").env_remove("COLUMNS");
    if let Some(columns) = columns {
        command.env("COLUMNS", columns.to_string());
    }
    command.output().expect("cargo built the binary")
}

/// Both streams, without variable parts. Lines with real time are removed: their wrapping depends on it.
fn screen(output: &Output) -> String {
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(!shown.contains('\u{1b}'), "NO_COLOR: {shown:?}");
    let shown =
        shown.replace(env!("CARGO_BIN_EXE_latent"), "latent").replace(env!("CARGO_TARGET_TMPDIR"), "TMP");
    let mut is_timed = false;
    let mut kept = String::new();
    for line in shown.lines() {
        let label = line.get(2..14).filter(|_| line.starts_with("  ")).map(str::trim_end);
        is_timed = match label {
            Some("simulated" | "runs") => true,
            Some("") => is_timed,
            _ => line.contains(" passed, in "),
        };
        if !is_timed {
            kept.push_str(&format!("{}\n", line.trim_end()));
        }
    }
    kept
}

/// Pins the screen of a command at each width and without a terminal, as one text. No prose line is wider than its
/// terminal; command lines for pasting are not wrapped.
fn pin(name: &str, arguments: &[&str], code: i32) {
    let mut all = String::new();
    for columns in WIDTHS.map(Some).into_iter().chain([None]) {
        let output = run(arguments, columns);
        let shown = screen(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {shown}");
        let limit = columns.unwrap_or(usize::MAX);
        for line in shown.lines().filter(|line| line.chars().count() > limit) {
            let is_for_pasting = ["latent ", "TMP/", "  trace "].iter().any(|word| line.contains(word));
            assert!(is_for_pasting || code == 2, "wider than {limit} columns: {line}");
        }
        let heading = columns.map_or("no terminal".to_owned(), |columns| format!("{columns} columns"));
        all.push_str(&format!("=== {heading}\n{shown}"));
    }
    reviewed().bind(|| insta::assert_snapshot!(format!("screen-{name}"), all));
}

fn path(name: &str) -> String {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).to_str().expect("cargo's paths are UTF-8").to_owned()
}

#[test]
fn verdicts() {
    pin("run-clean", &["run", "one-day"], 0);
    pin("run-loss", &["run", "one-day", "--release", "recompaction-overwrites"], 105);
    let day = scenario_text("one-day").replace(r#""expect": "clean""#, r#""expect": "recovered""#);
    let file = scratch("screen-better.json", &day);
    let file = file.to_str().expect("cargo's paths are UTF-8");
    pin("run-better", &["run", file], 106);
    pin("run-release", &["run", file, "--release", "good"], 0);
    pin("repro-until", &["repro", "one-day", "--until", "2016-02-20T06:00:00Z"], 0);
}

#[test]
fn an_enumeration() {
    let results = path("screen-enumerate.jsonl");
    let part = ["--node", "operator", "--from", "2016-02-21T06:59:00Z", "--to", "2016-02-21T07:00:01Z"];
    pin(
        "enumerate",
        &[&["enumerate", "one-day", "--fault", "lost", "--results", &results], &part[..]].concat(),
        0,
    );
}

#[test]
fn a_sweep_and_its_merge() {
    let results = path("screen-sweep.jsonl");
    pin("sweep-clean", &["sweep", "one-day", "--seeds", "1..3", "-j", "2", "--json", &results], 0);
    pin("merge", &["merge", &results], 0);
}

#[test]
fn lists_and_explanations() {
    pin("scenarios", &["scenarios"], 0);
    pin("marks", &["marks", "compaction"], 0);
    pin("explain-invariant", &["explain", "I10"], 0);
    pin("explain-fingerprint", &["explain", "I1:missing:after-healing:loss"], 0);
    pin("explain-mark", &["explain", "compaction.second-run"], 0);
    pin("explain-list", &["explain"], 0);
    pin("help", &["--help"], 0);
    pin("help-run", &["run", "-h"], 0);
    pin("help-enumerate", &["enumerate", "-h"], 0);
}

#[test]
fn errors() {
    pin("error-name", &["run", "one-dya"], 2);
    pin("error-list", &["list"], 2);
    pin("error-release", &["run", "one-day", "--release", "god"], 2);
    pin("error-explain", &["explain", "recoverd"], 2);
}

/// With colours forced the text is the same, and without a terminal there are none.
#[test]
fn colours_change_no_text() {
    let arguments = ["explain", "I1"];
    let forced =
        command(&arguments).env("CLICOLOR_FORCE", "1").env("COLUMNS", "80").output().expect("cargo built it");
    let forced = text(&forced.stdout);
    assert!(forced.contains('\u{1b}'), "colours are forced");
    let mut bare = String::new();
    let mut rest = forced.as_str();
    while let Some(start) = rest.find('\u{1b}') {
        bare.push_str(&rest[..start]);
        rest = &rest[start..];
        rest = &rest[rest.find('m').expect("a colour ends with m") + 1..];
    }
    bare.push_str(rest);
    assert_eq!(bare, text(&run(&arguments, Some(80)).stdout));
    let piped = command(&arguments).env_remove("COLUMNS").output().expect("cargo built it");
    assert!(!text(&piped.stdout).contains('\u{1b}'), "a pipe gets no colours");
}
