//! Outputs: files are written completely or not at all, foreign files are not lost, and vacuous runs are not clean.

use crate::common::{Test, tests};
use crate::processes::{send, wait_for_words};
use crate::scratch::{ProgramOutput, Scratch};
use std::io::Write;
use std::process::Stdio;

pub const TESTS: &[Test] = tests![
    two_sweeps_on_one_file_do_not_mix,
    a_foreign_file_is_not_overwritten,
    a_case_is_not_shrunk_over_itself,
    results_are_streamed_to_pipes_and_devices,
    a_signal_ends_the_program_while_a_write_blocks,
    a_scenario_is_read_from_the_standard_input,
    a_requested_fault_that_is_not_triggered_is_not_clean,
    a_run_without_acknowledged_items_is_vacuous,
    a_limit_of_milliseconds_holds,
];

fn two_sweeps_on_one_file_do_not_mix() {
    let scratch = Scratch::new("two-sweeps");
    scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "go" }"#);
    let sweep = ["sweep", "slow.json", "--seeds", "1..3", "--jobs", "1", "--json", "a.jsonl"];
    let mut first = scratch.start("odd", &sweep);
    let printed = wait_for_words(&mut first, "waiting");
    for more in [&[][..], &["--resume"]] {
        let second = scratch.odd(&[&sweep[..], more].concat()).ends(2);
        insta::allow_duplicates! {
            insta::assert_snapshot!(second.stderr_text(), @"
            error: a.jsonl: another process is writing this file
              wait until it ends, or name another file
            ");
        }
    }
    scratch.write("go", "");
    first.stderr = Some(printed.into_inner());
    ProgramOutput::of(first.wait_with_output().expect("it is our child")).ends(0);
    scratch.odd(&["merge", "a.jsonl"]).ends(0);
    scratch.odd(&sweep).ends(0);
    assert!(!scratch.path(".a.jsonl.lock").exists(), "nothing is left beside the file");
}

fn a_foreign_file_is_not_overwritten() {
    let scratch = Scratch::new("foreign-file");
    scratch.write("README.md", "# Read me\n");
    let sweep = ["sweep", "correct", "--seeds", "1..3", "--junit", "README.md"];
    insta::assert_snapshot!(scratch.wal(&sweep).ends(2).stderr_text(), @"
    error: README.md: this file is not JUnit XML, so it is not overwritten
      name another file, or give --force
    ");
    insta::assert_snapshot!(scratch.wal(&["shrink", "missing-sync@12", "--out", "README.md"]).ends(2).stderr_text(), @"
    error: README.md: this file is not a case, so it is not overwritten
      name another file, or give --force
    ");
    assert_eq!(scratch.read("README.md"), "# Read me\n");
    assert!(!scratch.path(".latent").exists(), "no case ran");
    scratch.wal(&[&sweep[..], &["--force"]].concat()).ends(0);
    scratch.wal(&sweep).ends(0);
    // The error comes before the minutes of work.
    scratch.wal(&["shrink", "missing-sync@12", "--out", "README.md/a.case.json"]).ends(2);
}

fn a_case_is_not_shrunk_over_itself() {
    let scratch = Scratch::new("itself");
    scratch.wal(&["shrink", "missing-sync@12"]).ends(0);
    let before = scratch.read("missing-sync-12.case.json");
    scratch.wal(&["shrink", "missing-sync-12.case.json"]).ends(0);
    assert!(scratch.path("missing-sync-12-shrunk.case.json").exists());
    let over = ["shrink", "missing-sync-12.case.json", "--out", "./missing-sync-12.case.json"];
    let refused = scratch.wal(&over).ends(2);
    assert!(refused.err.contains("this is the input itself"), "{}", refused.err);
    assert_eq!(scratch.read("missing-sync-12.case.json"), before);
    let piped = scratch.wal(&["shrink", "missing-sync@12", "--out", "-"]).ends(0);
    assert_eq!(piped.out, before, "the case and nothing else");
    assert!(piped.err.contains("missing-sync@12: unrecoverable-loss"), "{}", piped.err);
}

fn results_are_streamed_to_pipes_and_devices() {
    let scratch = Scratch::new("streams");
    let sweep = ["sweep", "correct", "--seeds", "1..4", "--json"];
    for to in ["-", "/dev/stdout"] {
        let ran = scratch.wal(&[&sweep[..], &[to]].concat()).ends(0);
        assert!(ran.out.lines().filter(|line| line.starts_with('{')).count() == 5, "{}", ran.out);
    }
    let ran = scratch.wal(&[&sweep[..], &["-"]].concat()).ends(0);
    scratch.write("a.jsonl", &ran.out);
    scratch.wal(&["merge", "a.jsonl"]).ends(0);
    assert!(ran.err.starts_with("correct: 3 cases as expected\n"), "the screen goes elsewhere: {}", ran.err);
    assert!(!scratch.path("-").exists());
    let full = scratch.wal(&[&sweep[..], &["/dev/full"]].concat()).ends(1);
    assert!(full.err.contains("/dev/full: "), "{}", full.err);
    let resumed = scratch.wal(&[&sweep[..], &["-", "--resume"]].concat()).ends(2);
    assert!(resumed.err.contains("this is a stream"), "{}", resumed.err);
}

/// A pipe that is never read: the sweep blocks once it is full, and ends on a signal.
fn a_signal_ends_the_program_while_a_write_blocks() {
    let scratch = Scratch::new("blocked");
    let sweep = ["sweep", "correct", "--seeds", "1..100000", "--jobs", "2", "--json", "-"];
    let sweep = scratch.start("wal", &sweep);
    // One worker has run when the first line of results arrives.
    let mut first = [0_u8; 1];
    let mut sweep = sweep;
    std::io::Read::read_exact(sweep.stdout.as_mut().expect("it is piped"), &mut first).expect("a line comes");
    let output = sweep.stdout.take();
    send("-TERM", sweep.id());
    let ran = sweep.wait_with_output().expect("it is our child");
    drop(output);
    assert_eq!(ran.status.code(), Some(143));
}

fn a_scenario_is_read_from_the_standard_input() {
    let scratch = Scratch::new("stdin");
    scratch.wal(&["shrink", "missing-sync@12", "--out", "a.case.json"]).ends(0);
    let mut run = scratch.command("wal", &["run", "-"]);
    run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = run.spawn().expect("this program can be started");
    let mut input = run.stdin.take().expect("it is piped");
    input.write_all(scratch.read("a.case.json").as_bytes()).expect("it reads");
    drop(input);
    let ran = ProgramOutput::of(run.wait_with_output().expect("it is our child")).ends(100);
    assert!(ran.out.starts_with("missing-sync@12: unrecoverable-loss"), "{}", ran.out);
}

fn a_requested_fault_that_is_not_triggered_is_not_clean() {
    let scratch = Scratch::new("not-triggered");
    scratch.wal(&["run", "correct@12", "--inject", "crash-nothing@log:3"]).ends(0);
    let ran = scratch.wal(&["run", "correct@12", "--inject", "crash-nothing@log:999999"]).ends(103);
    assert!(ran.out.starts_with("correct@12: clean, requested fault not triggered\n"), "{}", ran.out);
    assert!(
        ran.out.contains("  faults      not triggered: 1 of 2 faults (-v shows details): kill log\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.err.starts_with("error: fault not triggered: --inject crash-nothing@log:999999: log made "),
        "{}",
        ran.err
    );
}

fn a_run_without_acknowledged_items_is_vacuous() {
    let scratch = Scratch::new("nothing-shown");
    scratch.misbehaving_scenario("idle", r#", "misbehaviour": "idle""#);
    let ran = scratch.odd(&["run", "idle.json"]).ends(4);
    assert!(ran.out.starts_with("idle@1: vacuous, 0 files acknowledged\n"), "{}", ran.out);
    assert_eq!(ran.err, "error: vacuous run: 0 files acknowledged\n");
    scratch.odd(&["repro", "idle.json"]).ends(4);
    let ran = scratch.odd(&["shrink", "idle.json"]).ends(4);
    assert!(ran.err.contains("0 files acknowledged"), "{}", ran.err);
    let ran = scratch.odd(&["sweep", "idle.json", "--seeds", "1..4"]).ends(4);
    assert!(ran.out.starts_with("idle.json: 3 cases vacuous\n"), "{}", ran.out);
    scratch.misbehaving_scenario("once", r#", "misbehaviour": "idle", "only_with": 2"#);
    let ran = scratch.odd(&["sweep", "once.json", "--seeds", "1..4"]).ends(0);
    assert!(ran.out.contains("1 vacuous (clean, nothing acknowledged)\n"), "{}", ran.out);
}

fn a_limit_of_milliseconds_holds() {
    let scratch = Scratch::new("milliseconds");
    // It waits for half a second.
    scratch.misbehaving_scenario("late", r#", "misbehaviour": { "violates-late": "it is late" }"#);
    let ran = scratch.odd(&["sweep", "late.json", "--seeds", "1..2", "--case-time", "100ms"]).ends(102);
    assert!(ran.out.contains("the case was stopped after 100 ms of real time\n"), "{}", ran.out);
    assert!(ran.out.contains("odd repro late.json@1 --case-time 100ms\n"), "{}", ran.out);
}
