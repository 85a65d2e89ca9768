//! `--resume`: an interrupted sweep loses nothing, however it ended.

use crate::common::{Test, tests};
use crate::processes::{send, wait_for_lines, wait_for_words};
use crate::scratch::{ProgramOutput, Scratch};
use std::fs::OpenOptions;
use std::io::Write;

pub const TESTS: &[Test] = tests![
    a_killed_and_resumed_sweep_gives_the_same_result_as_an_uninterrupted_one,
    a_truncated_last_line_is_ignored,
    an_interrupted_sweep_is_130_and_resumes,
    a_terminated_sweep_is_143_and_resumes,
    resuming_a_completed_sweep_has_no_effect,
    an_unfinished_sweep_is_put_aside_and_not_overwritten,
    only_the_same_sweep_is_resumed,
    a_resume_needs_something_to_resume_and_takes_its_settings_from_it,
    two_signals_within_a_moment_are_one,
];

const SWEEP: [&str; 6] = ["sweep", "missing-sync", "--seeds", "1..121", "--jobs", "2"];

fn a_killed_and_resumed_sweep_gives_the_same_result_as_an_uninterrupted_one() {
    let scratch = Scratch::new("sigkill");
    let whole = scratch.wal(&[&SWEEP[..], &["--json", "whole.jsonl"]].concat()).ends(100);

    let cut = [&SWEEP[..], &["--json", "cut.jsonl"]].concat();
    let mut sweep = scratch.start("wal", &cut);
    wait_for_lines(&scratch.path("cut.jsonl"), 40);
    sweep.kill().expect("it still runs");
    assert_eq!(sweep.wait().expect("it is our child").code(), None, "SIGKILL leaves no exit code");
    let there = scratch.read("cut.jsonl").lines().count();
    assert!((40..120).contains(&there), "it was killed half-way: {there} lines");

    let resumed = scratch.wal(&[&cut[..], &["--resume"]].concat()).ends(100);
    assert_eq!(resumed.screen(), whole.screen().replace("whole.jsonl", "cut.jsonl"));
    assert_eq!(scratch.results("cut.jsonl"), scratch.results("whole.jsonl"));
    assert_eq!(scratch.read("cut.jsonl").lines().count(), 122, "120 cases, a header and a footer");
}

fn a_truncated_last_line_is_ignored() {
    let scratch = Scratch::new("torn");
    let sweep = ["sweep", "correct", "--seeds", "1..9", "--jobs", "1", "--json"];
    scratch.wal(&[&sweep[..], &["whole.jsonl"]].concat()).ends(0);
    let whole = scratch.read("whole.jsonl");
    let header = whole.find('\n').expect("there is a header") + 1;
    // In the header, after it, in the middle of a case, before the last character; and within a multi-byte character.
    for cut in [0, 1, header - 1, header, header + 40, whole.len() - 1] {
        scratch.write("cut.jsonl", &whole[..cut]);
        scratch.wal(&[&sweep[..], &["cut.jsonl", "--resume"]].concat()).ends(0);
        assert_eq!(scratch.results("cut.jsonl"), scratch.results("whole.jsonl"), "cut after {cut} bytes");
    }
    scratch.write("cut.jsonl", &whole[..header]);
    let mut file = OpenOptions::new().append(true).open(scratch.path("cut.jsonl")).expect("it is there");
    file.write_all(&"{\"case\":{\"scenario\":\"…".as_bytes()[..22]).expect("it can be written");
    scratch.wal(&[&sweep[..], &["cut.jsonl", "--resume"]].concat()).ends(0);
    assert_eq!(scratch.results("cut.jsonl"), scratch.results("whole.jsonl"));
}

fn an_interrupted_sweep_is_130_and_resumes() {
    interrupted("sigint", "-INT", 130);
}

fn a_terminated_sweep_is_143_and_resumes() {
    interrupted("sigterm", "-TERM", 143);
}

/// Seed 4 waits for a file: a signal then finds the sweep with three cases done and one in progress.
fn interrupted(name: &str, signal: &str, code: i32) {
    let scratch = Scratch::new(name);
    scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "go" }, "only_with": 4"#);
    let sweep = ["sweep", "slow.json", "--seeds", "1..7", "--jobs", "1"];
    let mut stopped = scratch.start("odd", &sweep);
    let printed = wait_for_words(&mut stopped, "waiting");
    send(signal, stopped.id());
    stopped.stderr = Some(printed.into_inner());
    let stopped = ProgramOutput::of(stopped.wait_with_output().expect("it is our child")).ends(code);
    assert_eq!(stopped.out, "", "there is no verdict yet");
    assert_eq!(
        stopped.err,
        "stopped after 3 of 6 cases, all of them in .latent/sweep.jsonl\n  \
         continue: odd sweep slow.json --seeds 1..7 --jobs 1 --resume\n"
    );
    assert_eq!(scratch.read(".latent/sweep.jsonl").lines().count(), 4, "a header and three cases");

    scratch.write("go", "");
    let again = stopped.err.split("continue: odd ").nth(1).expect("it says how to go on").trim().to_owned();
    let resumed = scratch.odd(&again.split(' ').collect::<Vec<_>>()).ends(0);
    let whole = scratch.odd(&[&sweep[..], &["--json", "whole.jsonl"]].concat()).ends(0);
    assert_eq!(resumed.screen(), whole.screen().replace("whole.jsonl", ".latent/sweep.jsonl"));
    assert_eq!(scratch.results(".latent/sweep.jsonl"), scratch.results("whole.jsonl"));
}

fn resuming_a_completed_sweep_has_no_effect() {
    let scratch = Scratch::new("resumed-again");
    let begin = ["sweep", "correct", "--seeds", "1..5", "--json", "a.jsonl"];
    let first = scratch.wal(&begin).ends(0);
    let sweep = [&begin[..], &["--resume"]].concat();
    let lines = scratch.results("a.jsonl");
    for _ in 0..2 {
        assert_eq!(scratch.wal(&sweep).ends(0).screen(), first.screen());
        assert_eq!(scratch.results("a.jsonl"), lines, "still one footer");
    }
    scratch.wal(&["merge", "a.jsonl"]).ends(0);
}

fn an_unfinished_sweep_is_put_aside_and_not_overwritten() {
    let scratch = Scratch::new("aside");
    let sweep = ["sweep", "correct", "--seeds", "1..4", "--jobs", "1", "--json", "a.jsonl"];
    scratch.wal(&sweep).ends(0);
    let unfinished: String = scratch.read("a.jsonl").split_inclusive('\n').take(3).collect();
    scratch.write("a.jsonl", &unfinished);
    let ran = scratch.wal(&sweep).ends(0);
    assert_eq!(
        ran.err,
        "a.jsonl held an unfinished sweep of 2 cases, which was moved to a.jsonl.unfinished\n"
    );
    assert_eq!(scratch.read("a.jsonl.unfinished"), unfinished);
    assert_eq!(scratch.read("a.jsonl").lines().count(), 5);
    // The next one gets another name.
    let other: String = unfinished.split_inclusive('\n').take(2).collect();
    scratch.write("a.jsonl", &other);
    let ran = scratch.wal(&sweep).ends(0);
    assert!(ran.err.ends_with(" of 1 cases, which was moved to a.jsonl.unfinished.2\n"), "{}", ran.err);
    assert_eq!(scratch.read("a.jsonl.unfinished"), unfinished);
    assert_eq!(scratch.read("a.jsonl.unfinished.2"), other);
}

fn a_resume_needs_something_to_resume_and_takes_its_settings_from_it() {
    let scratch = Scratch::new("resume-alone");
    let nothing =
        scratch.wal(&["sweep", "correct", "--seeds", "1..4", "--resume", "--json", "typo.jsonl"]).ends(2);
    insta::assert_snapshot!(nothing.stderr_text(), @"
    error: typo.jsonl: nothing to resume: no such file
      give --json the file of the sweep to continue, or omit --resume to start
    ");
    scratch.wal(&["sweep", "--resume"]).ends(2);
    assert!(!scratch.path("typo.jsonl").exists() && !scratch.path(".latent").exists(), "nothing began");

    let sweep = ["sweep", "correct", "--seeds", "10..15", "--release", "hasty", "--json", "a.jsonl"];
    scratch.wal(&[&sweep[..], &["--partition", "slice:1/2", "--case-time", "1m"]].concat()).ends(100);
    let whole = scratch.results("a.jsonl");
    let cut: String = scratch.read("a.jsonl").split_inclusive('\n').take(2).collect();
    scratch.write("a.jsonl", &cut);
    scratch.wal(&["sweep", "--resume", "--json", "a.jsonl"]).ends(100);
    assert_eq!(scratch.results("a.jsonl"), whole);
}

/// GNU `timeout` sends two at once.
fn two_signals_within_a_moment_are_one() {
    for _ in 0..3 {
        let scratch = Scratch::new("two-signals");
        scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "go" }, "only_with": 2"#);
        let mut sweep = scratch.start("odd", &["sweep", "slow.json", "--seeds", "1..4", "--jobs", "1"]);
        let printed = wait_for_words(&mut sweep, "waiting");
        let id = sweep.id().to_string();
        let both = format!("kill -TERM {id}; kill -TERM {id} 2>/dev/null; true");
        std::process::Command::new("sh").args(["-c", &both]).status().expect("there is a shell");
        sweep.stderr = Some(printed.into_inner());
        let ran = ProgramOutput::of(sweep.wait_with_output().expect("it is our child")).ends(143);
        assert!(ran.err.starts_with("stopped after 1 of 3 cases"), "{}", ran.err);
    }
}

fn only_the_same_sweep_is_resumed() {
    let scratch = Scratch::new("foreign");
    scratch.wal(&["sweep", "correct", "--seeds", "1..4", "--json", "a.jsonl"]).ends(0);
    let before = scratch.read("a.jsonl");
    let ran = scratch.wal(&["sweep", "correct", "--seeds", "1..5", "--json", "a.jsonl", "--resume"]).ends(2);
    insta::assert_snapshot!(ran.stderr_text(), @"
    error: a.jsonl: of another sweep, nothing to resume: seeds 1..4, not seeds 1..5
      give the original flags, or omit --resume to start again
    ");
    assert_eq!(scratch.read("a.jsonl"), before, "nothing of it is touched");
}
