//! `shrink`: from a failing seed to the smallest case that fails in the same way.

use crate::common::{Test, tests};
use crate::processes::{send, wait_for_words};
use crate::scratch::{ProgramOutput, Scratch};
use serde_json::Value;
use std::io::BufRead;

pub const TESTS: &[Test] = tests![
    a_shrunk_case_fails_with_the_same_fingerprint,
    a_case_can_be_shrunk_again_to_no_effect,
    a_passing_case_is_not_shrunk,
    a_release_is_part_of_the_case,
    an_interrupted_shrink_writes_its_smallest_case,
];

/// Three irrelevant faults in addition to the relevant one.
fn noisy(scratch: &Scratch) {
    let pause = |at: &str, ms: u64| {
        format!(
            r#"{{ "trigger": {{ "at": "2016-02-22T00:00:0{at}Z" }}, "action": {{ "pause": {{ "node": "log", "for_ms": {ms} }} }} }}"#
        )
    };
    let faults = [pause("0.033", 15), pause("5", 777), pause("7.5", 12)].join(",\n    ");
    scratch.write(
        "noisy.json",
        &format!(
            "{{\n  \"name\": \"noisy\", \"start\": \"2016-02-22T00:00:00Z\", \"run_for\": \"1m\",\n  \"records\": 40, \"missing_sync\": true,\n  \"faults\": [\n    {faults}\n  ]\n}}\n"
        ),
    );
}

fn a_shrunk_case_fails_with_the_same_fingerprint() {
    let scratch = Scratch::new("shrink");
    noisy(&scratch);
    let before = scratch.wal(&["repro", "noisy.json@20", "--json"]).ends(100);
    let ran = scratch.wal(&["shrink", "noisy.json@20", "--jobs", "2"]).ends(0);
    let runs =
        |line: &str| if line.contains("  runs  ") { "  runs        …".to_owned() } else { line.to_owned() };
    insta::assert_snapshot!(ran.screen().lines().map(runs).collect::<Vec<_>>().join("\n"), @"
    noisy.json@20: unrecoverable-loss W1:missing:after-crash:loss
      shrunk      faults 4 -> 1, records 40 -> 14
      runs        …
      case        noisy-20.case.json
      reproduce   wal repro noisy-20.case.json
      save        wal corpus add noisy-20.case.json
    ");
    let text = scratch.read("noisy-20.case.json");
    let hash = |line: &str| match line.split_once(": ") {
        Some((name, _)) if name.ends_with("trace_hash\"") || name.ends_with("checksum\"") => {
            format!("{name}: HASH,")
        }
        _ => line.to_owned(),
    };
    insta::assert_snapshot!(text.lines().map(hash).collect::<Vec<_>>().join("\n"), @r#"
    {
      "case": {
        "format": 3,
        "checksum": HASH,
        "about": "Once W1:missing:after-crash:loss, 13 records",
        "found": "noisy.json@20",
        "outcome": "unrecoverable-loss",
        "fingerprint": "W1:missing:after-crash:loss",
        "trace_hash": HASH,
        "build": "wal 0.1.0"
      },
      "scenario": {
        "name": "noisy",
        "seed": 20,
        "start": "2016-02-22T00:00:00Z",
        "run_for": "1m",
        "records": 14,
        "missing_sync": true,
        "expect": "clean"
      },
      "plan": {
        "scheduler_seed": 14603466118266262113,
        "draw_seed": 6120110453187517797,
        "faults": [
          {
            "trigger": {
              "nth_op": {
                "node": "log",
                "op": "disk",
                "path_prefix": "",
                "n": 20,
                "after_ms": 0
              }
            },
            "action": {
              "kill": {
                "node": "log",
                "restart_after_ms": 1000,
                "keeps": null,
                "tear_bytes": null
              }
            }
          }
        ],
        "system": {
          "drawn": [
            {
              "trigger": {
                "nth_op": {
                  "node": "log",
                  "op": "disk",
                  "path_prefix": "",
                  "n": 20,
                  "after_ms": 0
                }
              },
              "action": {
                "kill": {
                  "node": "log",
                  "restart_after_ms": 1000,
                  "keeps": null,
                  "tear_bytes": null
                }
              }
            }
          ]
        }
      }
    }
    "#);

    let again = scratch.wal(&["repro", "noisy-20.case.json", "--json"]).ends(100);
    assert_eq!(again.err, "", "it is the recorded run");
    let fingerprint = |out: &str| {
        let report: Value = serde_json::from_str(out).expect("it is JSON");
        report["violations"][0]["fingerprint"].as_str().map(str::to_owned)
    };
    assert_eq!(fingerprint(&again.out), fingerprint(&before.out));
    assert_eq!(fingerprint(&again.out).as_deref(), Some("W1:missing:after-crash:loss"));
}

fn a_case_can_be_shrunk_again_to_no_effect() {
    let scratch = Scratch::new("shrink-again");
    scratch.wal(&["shrink", "missing-sync@12", "--out", "one.json"]).ends(0);
    scratch.wal(&["shrink", "one.json", "--out", "two.json"]).ends(0);
    assert_eq!(scratch.read("one.json"), scratch.read("two.json"));
}

fn a_passing_case_is_not_shrunk() {
    let scratch = Scratch::new("shrink-nothing");
    let ran = scratch.wal(&["shrink", "correct@12"]).ends(2);
    assert_eq!(ran.out, "");
    insta::assert_snapshot!(ran.stderr_text(), @"
    error: correct@12 ends clean: nothing to shrink
      see: wal run correct@12
    ");
    assert!(!scratch.path("correct-12.case.json").exists());
}

fn a_release_is_part_of_the_case() {
    let scratch = Scratch::new("shrink-release");
    let ran = scratch.wal(&["sweep", "correct", "--seeds", "12..13", "--release", "hasty"]).ends(100);
    assert!(ran.out.contains("shrink      wal shrink correct@12 --release hasty\n"), "{}", ran.out);
    scratch.wal(&["shrink", "correct@12", "--release", "hasty", "--out", "a.case.json"]).ends(0);
    scratch.wal(&["repro", "a.case.json"]).ends(100);
    // Without the bug, the same case holds.
    scratch.wal(&["repro", "a.case.json", "--release", "good"]).ends(0);
}

/// Each run takes half a second, so that the signal arrives during the first candidates.
fn an_interrupted_shrink_writes_its_smallest_case() {
    let scratch = Scratch::new("shrink-interrupted");
    let pause = |second: u64| {
        format!(
            r#"{{ "trigger": {{ "at": "2016-02-22T00:00:{second}Z" }}, "action": {{ "pause": {{ "node": "clerk", "for_ms": 7 }} }} }}"#
        )
    };
    let faults: Vec<String> = (10..30).map(pause).collect();
    let misbehaviour = r#""misbehaviour": { "violates-late": "it is late" }"#;
    scratch.misbehaving_scenario("late", &format!(", {misbehaviour}, \"faults\": [{}]", faults.join(", ")));
    let mut shrink = scratch.start("odd", &["shrink", "late.json", "--jobs", "1", "--out", "late.case.json"]);
    let mut printed = wait_for_words(&mut shrink, "waiting");
    let mut line = String::new();
    printed.read_line(&mut line).expect("it is UTF-8");
    assert_eq!(line, "waiting\n", "the first candidate is under way");
    send("-INT", shrink.id());
    shrink.stderr = Some(printed.into_inner());
    let ran = ProgramOutput::of(shrink.wait_with_output().expect("it is our child")).ends(130);
    assert!(ran.out.contains("  case        late.case.json\n"), "{}", ran.out);
    assert!(ran.err.contains("interrupted: this is the smallest case so far"), "{}", ran.err);
    let case: Value = serde_json::from_str(&scratch.read("late.case.json")).expect("it is JSON");
    let left = case["plan"]["faults"].as_array().map_or(0, Vec::len);
    assert!(left < 20, "the candidate that was under way counts: {left} faults");
    scratch.odd(&["repro", "late.case.json"]).ends(100);
}
