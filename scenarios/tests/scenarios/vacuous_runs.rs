//! Vacuous runs, and runs that did not fulfil a request, are not clean.

use crate::common::{latent, scenario_text, scratch, text};

fn run(name: &str, scenario: &str, more: &[&str]) -> (Option<i32>, String) {
    let file = scratch(name, scenario);
    let file = file.to_str().expect("cargo's directories are UTF-8").to_owned();
    let output = latent(&[&["run", file.as_str()], more].concat());
    (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// `one-day` without the marks that a run without events cannot reach.
fn one_day(from: &str, to: &str) -> String {
    let day = scenario_text("one-day");
    assert!(day.contains(from), "one-day no longer says {from}");
    let start = day.find("\"required_marks\": [").expect("the scenario requires marks");
    let end = start + day[start..].find(']').expect("a list ends");
    format!("{}\"required_marks\": []{}", &day[..start], &day[end + 1..]).replacen(from, to, 1)
}

#[test]
fn a_run_without_acknowledged_events_is_vacuous() {
    let repeated = r#""repeated_ppm": 20000"#;
    let rejected = one_day(repeated, r#""repeated_ppm": 20000, "invalid_ppm": 1000000"#);
    let (code, printed) = run("all-rejected.json", &rejected, &[]);
    assert_eq!(code, Some(4), "{printed}");
    assert!(printed.contains("one-day@1: vacuous, 0 events acknowledged"), "{printed}");
    assert!(printed.contains("error: vacuous run: 0 events acknowledged"), "{printed}");
}

#[test]
fn an_injection_that_was_not_triggered_is_not_clean() {
    let day = one_day("\"expect\"", "\"expect\"");
    let strike = ["--inject", "crash-nothing@disk-1:999999999"];
    let (code, printed) = run("no-strike.json", &day, &strike);
    assert_eq!(code, Some(103), "{printed}");
    assert!(printed.contains("one-day@1: clean, requested fault not triggered"), "{printed}");
    assert!(
        printed.contains("error: fault not triggered: --inject crash-nothing@disk-1:999999999"),
        "{printed}"
    );
}

#[test]
fn a_drill_whose_mark_is_not_reached_is_shown_as_not_done() {
    // The run ends before the first local midnight, so nothing is compacted: the third drill waits for a compaction.
    let operations = r#""operations": [{ "at": "2016-02-21T07:00:00Z", "action": { "recover": {} } }],"#;
    let short = one_day(operations, r#""drills": 3,"#)
        .replace(r#""run_for": "42h""#, r#""run_for": "14h""#)
        .replace(r#""first_after": "18h""#, r#""first_after": "6h""#);
    let (code, printed) = run("no-compaction.json", &short, &[]);
    assert_eq!(code, Some(0), "{printed}");
    let row = printed.lines().find(|line| line.contains("not done"));
    let row = row.unwrap_or_else(|| panic!("no row says what was not done:\n{printed}"));
    assert!(
        row.contains("no drill ") && row.contains(" ms after the first compaction.merging from "),
        "{row}"
    );
}
