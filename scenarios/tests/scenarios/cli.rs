//! The command line as a contract: exit codes, scenario errors, the schema, and closed pipes.

use crate::common::{BUILT_IN, command, folder, latent, reviewed, scenario_text, scratch, text};
use serde_json::Value;
use std::process::Stdio;

/// `quiet-week` with one mistake: the original text, and its replacement.
const MISTAKES: [(&str, &str, &str); 21] = [
    ("misspelt-field", r#""healing""#, r#""heeling""#),
    ("impossible-date", "2016-02-20T", "2016-02-31T"),
    ("zone-that-does-not-exist", "Asia/Tokyo", "Mars/Base"),
    (
        "more-acknowledgements-than-copies",
        r#""healing": "2d""#,
        r#""healing": "2d", "topology": { "ack_copies": 9 }"#,
    ),
    (
        "deploy-of-unknown-release",
        r#""healing": "2d""#,
        r#""healing": "2d",
  "deploys": [{ "at": "2016-02-21T00:00:00Z", "release": "2016-02-99", "to": "all" }]"#,
    ),
    (
        "fault-at-unknown-node",
        r#""healing": "2d""#,
        r#""healing": "2d",
  "faults": [{
    "trigger": { "at": "2016-02-21T00:00:00Z" },
    "action": { "kill": { "node": "disk-99", "restart_after_ms": 1000 } }
  }]"#,
    ),
    ("wrong-type", r#""requests_per_day": 14"#, r#""requests_per_day": "14""#),
    ("unknown-outcome", r#""expect": "clean""#, r#""expect": "cleen""#),
    ("cut-off", "\"zones\": [", "\"zones\": "),
    ("too-many-moments", r#""requests_per_day": 14"#, r#""requests_per_day": 999999999"#),
    ("no-number-at-all", r#""requests_per_day": 14"#, r#""requests_per_day": -1"#),
    (
        "shares-over-one-whole",
        r#""requests_per_day": 14"#,
        r#""requests_per_day": 14, "very_late_ppm": 500000"#,
    ),
    ("too-many-drills", r#""healing": "2d""#, r#""healing": "2d", "drills": 1000000"#),
    ("too-many-exports", r#""exports_per_project": 2"#, r#""exports_per_project": 2147483648"#),
    ("too-many-events", r#""events_per_day": [530, 660]"#, r#""events_per_day": [530, 65536]"#),
    ("one-acknowledging-copy", r#""healing": "2d""#, r#""healing": "2d", "topology": { "ack_copies": 1 }"#),
    ("grace-too-short", r#""healing": "2d""#, r#""healing": "2d", "compaction": { "grace": "59m" }"#),
    (
        "backups-too-often",
        r#""healing": "2d""#,
        r#""healing": "2d",
  "protection": { "backup": { "interval": "1m", "first_after": "18h", "retention": "9d" } }"#,
    ),
    (
        "first-backup-after-the-end",
        r#""healing": "2d""#,
        r#""healing": "2d",
  "protection": { "backup": { "interval": "1d", "first_after": "7d", "retention": "9d" } }"#,
    ),
    ("begins-too-late", "\"start\": \"2016", "\"start\": \"2290"),
    ("lasts-too-long", r#""healing": "2d""#, r#""healing": "20000d""#),
];

/// Each mistake is one error with file, line and column, the problem, and the fix; nothing is run.
#[test]
fn an_invalid_scenario_is_reported_with_position_and_fix() {
    let good = scenario_text("quiet-week");
    for (name, right, wrong) in MISTAKES {
        assert!(good.contains(right), "{name}: quiet-week no longer says {right}");
        let file = scratch(&format!("{name}.json"), &good.replacen(right, wrong, 1));
        let output = latent(&["run", file.to_str().expect("cargo's directories are UTF-8")]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty(), "{name}: nothing ran, so nothing is reported");
        let printed = text(&output.stderr).replace(file.to_str().expect("as above"), "FILE");
        assert!(
            printed.starts_with("error: FILE:") && printed.matches("error:").count() == 1,
            "{name}: {printed}"
        );
        reviewed().bind(|| insta::assert_snapshot!(format!("refused-{name}"), printed));
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_there_is() {
    for (arguments, says) in [
        (&["run", "no-such-scenario"][..], "built in: incident-2016"),
        (&["run", "quiet-week@x"], "invalid seed 'x'"),
        (&["run"], "<SCENARIO[@SEED]>"),
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&[], "Usage: latent [OPTIONS] <COMMAND>"),
    ] {
        let output = latent(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(text(&output.stderr).contains(says), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// A run that does not end as its scenario expects differs from one that could not run.
#[test]
fn exit_codes_tell_expected_from_unexpected() {
    let day = scenario_text("quiet-week").replace(r#""run_for": "7d""#, r#""run_for": "1d""#);
    let without_marks = replace_list(&day, "required_marks", "[]");
    let clean = scratch("one-day.json", &without_marks);
    let wrong = scratch(
        "one-day-wrong.json",
        &without_marks.replace(r#""expect": "clean""#, r#""expect": "recovered""#),
    );
    let missed = scratch("one-day-missed.json", &replace_list(&day, "required_marks", r#"["tee.expired"]"#));
    for (file, code, says) in [
        (&clean, 0, "clean, as expected"),
        (&wrong, 106, "clean, better than expected (recovered)"),
        (&missed, 103, "tee.expired"),
    ] {
        let output = latent(&["run", file.to_str().expect("cargo's directories are UTF-8")]);
        assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains(says), "{}", text(&output.stdout));
        assert!(output.stderr.is_empty(), "no progress and no colours without a terminal");
    }
    let help = text(&latent(&["--help"]).stdout);
    for (code, meaning) in latent_engine::exit::MEANINGS {
        assert!(help.contains(&format!("{code:<4} {meaning}")), "{code} {meaning}: {help}");
    }
}

/// Returns the scenario's text with another list in place of the one called `name`.
fn replace_list(text: &str, name: &str, list: &str) -> String {
    let start = text.find(&format!("\"{name}\": [")).expect("the scenario has this list");
    let end = start + text[start..].find(']').expect("a list ends");
    format!("{}\"{name}\": {list}{}", &text[..start], &text[end + 1..])
}

/// As `latent run … | head -1` does: the reader closes the pipe early.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let day = scenario_text("quiet-week").replace(r#""run_for": "7d""#, r#""run_for": "1d""#);
    let file = scratch("head.json", &replace_list(&day, "required_marks", "[]"));
    let file = file.to_str().expect("cargo's directories are UTF-8");
    for arguments in [&["run", file][..], &["run", "-v", file], &["schema"], &["scenarios"]] {
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo built the binary");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it is our child");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn the_schema_accepts_every_scenario_and_refuses_known_mistakes() {
    let schema: Value = serde_json::from_slice(&latent(&["schema"]).stdout).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).expect("the crate has its folder") {
        let path = entry.expect("a folder reads to its end").path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a listed file can be read");
        let value: Value = serde_json::from_str(&text).expect("a scenario is JSON");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
        assert!(
            BUILT_IN.contains(&value["name"].as_str().expect("a scenario has a name")),
            "{}",
            path.display()
        );
        files += 1;
    }
    assert_eq!(files, BUILT_IN.len(), "every file is built in, and every built-in scenario is a file");
    let good = scenario_text("quiet-week");
    for (name, right, wrong) in MISTAKES {
        // The schema cannot check rules of the calendar, the zones or the rest of the scenario.
        if !["misspelt-field", "wrong-type", "unknown-outcome"].contains(&name) {
            continue;
        }
        let value = serde_json::from_str(&good.replacen(right, wrong, 1)).expect("the mistake is still JSON");
        assert!(!validator.is_valid(&value), "{name}");
    }
}

#[test]
fn scenarios_are_listed() {
    let output = latent(&["scenarios"]);
    assert_eq!(output.status.code(), Some(0));
    let listed = text(&output.stdout);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let with_drawn: Vec<&str> = BUILT_IN.into_iter().chain(["generated", "wild"]).collect();
    assert_eq!(names, with_drawn);
    reviewed().bind(|| insta::assert_snapshot!("scenarios", listed));
}
