//! `enumerate`: a fault at each operation of a run in turn.

use crate::common::{Test, tests};
use crate::processes::{send, wait_for_lines};
use crate::scratch::{ProgramOutput, Scratch};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    a_crash_at_each_operation_in_turn_finds_the_bug,
    an_enumeration_is_clean_where_there_is_no_bug,
    an_enumeration_of_nothing_is_refused,
    an_interrupted_enumeration_reports_its_progress_and_resumes,
    the_parts_of_an_enumeration_are_the_whole,
    fault_and_inject_use_the_same_names,
    an_enumeration_on_another_release,
    the_runs_of_an_enumeration_are_streamed_to_pipes_and_devices,
];

fn a_crash_at_each_operation_in_turn_finds_the_bug() {
    let scratch = Scratch::new("enumerate");
    let found = scratch.wal(&["enumerate", "missing-sync@1", "--fault", "crash", "--jobs", "2"]).ends(100);
    let shown = found.screen();
    insta::assert_snapshot!(shown, @r"
    missing-sync@1: 17 of 43 runs not clean
      operations  17 on disks, 0 on the network, of 1 node
                  from 2016-02-22 00:00:00Z to 2016-02-22 00:00:01Z
                                 count           crashes            errors
                  open               1          3 passed                 -
                  create             1          3 passed                 -
                  append            10   17 of 30 failed                 -
                  truncate           1          3 passed                 -
                  read               1          3 passed                 -
                  len                1          3 passed                 -
                  sync               1          3 passed                 -
                  sync_dir           1          3 passed                 -
      runs        43 for 51 faults, in …
      failures    unrecoverable-loss W1:missing:after-crash:loss  17 runs
                  2016-02-22 00:00:01Z append 'wal'
      reproduce   wal run missing-sync@1 --inject crash-nothing@log:9
    ");
    // The last line reproduces the failure.
    let again = shown.lines().last().and_then(|line| line.split("reproduce   wal ").nth(1));
    let words: Vec<&str> = again.expect("the last line repeats one").split(' ').chain(["--json"]).collect();
    let report: Value = serde_json::from_str(&scratch.wal(&words).ends(100).out).expect("it is JSON");
    assert_eq!(report["violations"][0]["fingerprint"], "W1:missing:after-crash:loss");
}

fn an_enumeration_is_clean_where_there_is_no_bug() {
    let scratch = Scratch::new("enumerate-clean");
    let sound = scratch.wal(&["enumerate", "correct", "--fault", "crash", "--jobs", "1"]).ends(0);
    insta::assert_snapshot!(sound.screen(), @r"
    correct@1: clean after every injection
      operations  27 on disks, 0 on the network, of 1 node
                  from 2016-02-22 00:00:00Z to 2016-02-22 00:00:01Z
                                 count           crashes            errors
                  open               1          3 passed                 -
                  create             1          3 passed                 -
                  append            10         30 passed                 -
                  truncate           1          3 passed                 -
                  read               1          3 passed                 -
                  len                1          3 passed                 -
                  sync              11         33 passed                 -
                  sync_dir           1          3 passed                 -
      runs        73 for 81 faults, in …
      failures    none
      reproduce   wal enumerate correct@1 --fault crash
    ");
    let json = scratch.wal(&["enumerate", "correct", "--fault", "crash", "--json"]).ends(0);
    let summary: Value = serde_json::from_str(&json.out).expect("the summary is JSON");
    assert_eq!((&summary["as_expected"], &summary["faults"]), (&Value::Bool(true), &81.into()));
}

fn an_enumeration_of_nothing_is_refused() {
    let scratch = Scratch::new("enumerate-nothing");
    for (arguments, printed) in [
        (
            ["enumerate", "correct", "--node", "no-such-node"],
            "--node no-such-node: no node is called 'no-such-node'\n  nodes: log",
        ),
        (["enumerate", "correct", "--from", "2017-01-01T00:00:00Z"], "no operations selected by --from 2017"),
        (["enumerate", "correct", "--fault", "flood"], "no fault is called 'flood'; faults: crash-nothing, "),
    ] {
        let refused = scratch.wal(&arguments).ends(2);
        assert!(refused.err.contains(printed), "{}", refused.err);
    }
}

/// The runs in a results file, sorted.
pub fn ran(scratch: &Scratch, file: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        scratch.read(file).lines().filter(|line| line.starts_with("{\"run\"")).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn an_interrupted_enumeration_reports_its_progress_and_resumes() {
    let scratch = Scratch::new("enumerate-interrupted");
    let enumerate = ["enumerate", "missing-sync@1", "--jobs", "1", "--results", "cut.jsonl"];
    let running = scratch.start("wal", &enumerate);
    wait_for_lines(&scratch.path("cut.jsonl"), 4);
    send("-INT", running.id());
    let cut = ProgramOutput::of(running.wait_with_output().expect("it is our child")).ends(130);
    assert!(cut.out.starts_with("missing-sync@1: interrupted, "), "{}", cut.out);
    let again = cut.err.split("continue: wal ").nth(1).expect("it says how to continue").trim().to_owned();
    assert_eq!(again, "enumerate missing-sync@1 --results cut.jsonl --resume");
    let before = ran(&scratch, "cut.jsonl").len();

    let resumed = scratch.wal(&again.split(' ').collect::<Vec<_>>()).ends(100);
    let whole = scratch.wal(&["enumerate", "missing-sync@1", "--results", "whole.jsonl"]).ends(100);
    assert!(before >= 3 && before < ran(&scratch, "whole.jsonl").len(), "it was interrupted half-way");
    assert_eq!(ran(&scratch, "cut.jsonl"), ran(&scratch, "whole.jsonl"));
    let heading = |screen: &str| screen.lines().next().map(str::to_owned);
    assert_eq!(heading(&resumed.out), heading(&whole.out));
    // Another enumeration is refused, and an unfinished one is not overwritten.
    let other = scratch.wal(&["enumerate", "correct@1", "--results", "cut.jsonl", "--resume"]).ends(2);
    assert!(other.err.contains("of another enumeration"), "{}", other.err);
    scratch.write(
        "cut.jsonl",
        scratch.read("whole.jsonl").lines().next().map(|line| format!("{line}\n")).as_deref().unwrap_or(""),
    );
    let again = scratch.wal(&enumerate).ends(100);
    assert!(again.err.contains("which was moved to cut.jsonl.unfinished"), "{}", again.err);
    scratch.wal(&["enumerate", "correct@1", "--results", "nowhere.jsonl", "--resume"]).ends(2);
}

fn the_parts_of_an_enumeration_are_the_whole() {
    let scratch = Scratch::new("enumerate-parts");
    scratch.wal(&["enumerate", "correct", "--fault", "crash", "--results", "whole.jsonl"]).ends(0);
    let mut parts = Vec::new();
    for part in 1..=3 {
        let (slice, file) = (format!("slice:{part}/3"), format!("{part}.jsonl"));
        let part = ["enumerate", "correct", "--fault", "crash", "--partition", &slice, "--results", &file];
        let shown = scratch.wal(&part).ends(0);
        assert!(
            shown.out.contains(&format!("{slice}: the enumeration is clean if every partition")),
            "{}",
            shown.out
        );
        parts.extend(ran(&scratch, &file));
    }
    parts.sort();
    assert_eq!(parts, ran(&scratch, "whole.jsonl"));
}

fn fault_and_inject_use_the_same_names() {
    let scratch = Scratch::new("enumerate-faults");
    for fault in ["crash-nothing", "crash-everything", "crash-drawn", "error"] {
        let json = scratch.wal(&["enumerate", "correct", "--fault", fault, "--json"]).ends(0);
        let summary: Value = serde_json::from_str(&json.out).expect("the summary is JSON");
        assert!(summary["runs"].as_u64().is_some_and(|runs| runs > 0), "{fault}: {summary}");
        let all = ran(&scratch, ".latent/enumerate.jsonl");
        assert!(all.iter().all(|line| line.contains(&format!("\"{fault}@log:"))), "{fault}: {}", all[0]);
    }
}

fn an_enumeration_on_another_release() {
    let scratch = Scratch::new("enumerate-release");
    let found =
        scratch.wal(&["enumerate", "correct@1", "--release", "hasty", "--fault", "crash-nothing"]).ends(100);
    assert!(
        found.out.contains("wal run correct@1 --release hasty --inject crash-nothing@log:"),
        "{}",
        found.out
    );
}

fn the_runs_of_an_enumeration_are_streamed_to_pipes_and_devices() {
    let scratch = Scratch::new("enumerate-streams");
    let enumerate = ["enumerate", "correct", "--fault", "crash-nothing", "--results"];
    scratch.wal(&[&enumerate[..], &["to-file.jsonl"]].concat()).ends(0);
    let runs = ran(&scratch, "to-file.jsonl");
    for to in ["-", "/dev/stdout"] {
        let streamed = scratch.wal(&[&enumerate[..], &[to]].concat()).ends(0);
        scratch.write("streamed.jsonl", &streamed.out);
        assert_eq!(ran(&scratch, "streamed.jsonl"), runs, "{to}");
    }
    let streamed = scratch.wal(&[&enumerate[..], &["-"]].concat()).ends(0);
    let lines: Vec<&str> = streamed.out.lines().collect();
    assert!(lines[0].starts_with("{\"enumeration\":") && lines.len() == runs.len() + 2, "{}", streamed.out);
    assert!(streamed.err.contains("correct@1: clean after every injection"), "the screen: {}", streamed.err);
    assert!(!scratch.path("-").exists());
    let full = scratch.wal(&[&enumerate[..], &["/dev/full"]].concat()).ends(1);
    assert!(full.err.contains("/dev/full: "), "{}", full.err);
    let resumed = scratch.wal(&[&enumerate[..], &["-", "--resume"]].concat()).ends(2);
    assert!(resumed.err.contains("this is a stream"), "{}", resumed.err);
    let both = scratch.wal(&[&enumerate[..], &["-", "--json"]].concat()).ends(2);
    assert!(both.err.contains("both write to the standard output"), "{}", both.err);
}
