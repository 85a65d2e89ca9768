//! `--resume`: an interrupted sweep loses nothing, however it ended.

use crate::common::{Test, tests};
use crate::processes::{send, wait_for_lines, wait_for_words};
use crate::scratch::{ProgramOutput, Scratch};
use std::fs::OpenOptions;
use std::io::Write;

pub const TESTS: &[Test] = tests![
    a_sweep_that_is_killed_half_way_and_resumed_comes_to_the_same_as_an_undisturbed_one,
    what_was_being_written_when_it_ended_is_not_there,
    a_sweep_that_is_interrupted_is_130_and_goes_on_where_it_was,
    a_sweep_that_is_terminated_is_143_and_goes_on_where_it_was,
    a_sweep_that_came_to_its_end_can_be_resumed_to_no_effect,
    an_unfinished_sweep_is_put_aside_and_not_overwritten,
    only_the_same_sweep_is_resumed,
    a_resume_needs_something_to_resume_and_takes_its_settings_from_it,
    two_signals_within_a_moment_are_one,
];

const SWEEP: [&str; 6] = ["sweep", "missing-sync", "--seeds", "1..121", "--jobs", "2"];

fn a_sweep_that_is_killed_half_way_and_resumed_comes_to_the_same_as_an_undisturbed_one() {
    let here = Scratch::new("sigkill");
    let whole = here.wal(&[&SWEEP[..], &["--json", "whole.jsonl"]].concat()).ends(100);

    let cut = [&SWEEP[..], &["--json", "cut.jsonl"]].concat();
    let mut sweep = here.start("wal", &cut);
    wait_for_lines(&here.path("cut.jsonl"), 40);
    sweep.kill().expect("it still runs");
    assert_eq!(sweep.wait().expect("it is our child").code(), None, "SIGKILL leaves no exit code");
    let there = here.read("cut.jsonl").lines().count();
    assert!((40..120).contains(&there), "it was killed half-way: {there} lines");

    let resumed = here.wal(&[&cut[..], &["--resume"]].concat()).ends(100);
    assert_eq!(resumed.screen(), whole.screen().replace("whole.jsonl", "cut.jsonl"));
    assert_eq!(here.results("cut.jsonl"), here.results("whole.jsonl"));
    assert_eq!(here.read("cut.jsonl").lines().count(), 122, "120 cases, a header and a footer");
}

fn what_was_being_written_when_it_ended_is_not_there() {
    let here = Scratch::new("torn");
    let sweep = ["sweep", "correct", "--seeds", "1..9", "--jobs", "1", "--json"];
    here.wal(&[&sweep[..], &["whole.jsonl"]].concat()).ends(0);
    let whole = here.read("whole.jsonl");
    let header = whole.find('\n').expect("there is a header") + 1;
    // In the header, after it, in the middle of a case, before the last character; and within a multi-byte character.
    for cut in [0, 1, header - 1, header, header + 40, whole.len() - 1] {
        here.write("cut.jsonl", &whole[..cut]);
        here.wal(&[&sweep[..], &["cut.jsonl", "--resume"]].concat()).ends(0);
        assert_eq!(here.results("cut.jsonl"), here.results("whole.jsonl"), "cut after {cut} bytes");
    }
    here.write("cut.jsonl", &whole[..header]);
    let mut file = OpenOptions::new().append(true).open(here.path("cut.jsonl")).expect("it is there");
    file.write_all(&"{\"case\":{\"scenario\":\"…".as_bytes()[..22]).expect("it can be written");
    here.wal(&[&sweep[..], &["cut.jsonl", "--resume"]].concat()).ends(0);
    assert_eq!(here.results("cut.jsonl"), here.results("whole.jsonl"));
}

fn a_sweep_that_is_interrupted_is_130_and_goes_on_where_it_was() {
    interrupted("sigint", "-INT", 130);
}

fn a_sweep_that_is_terminated_is_143_and_goes_on_where_it_was() {
    interrupted("sigterm", "-TERM", 143);
}

/// Seed 4 waits for a file: a signal then finds the sweep with three cases done and one in progress.
fn interrupted(name: &str, signal: &str, code: i32) {
    let here = Scratch::new(name);
    here.misbehaving_scenario("slow", r#", "trouble": { "waits-for": "go" }, "only_with": 4"#);
    let sweep = ["sweep", "slow.json", "--seeds", "1..7", "--jobs", "1"];
    let mut stopped = here.start("odd", &sweep);
    let said = wait_for_words(&mut stopped, "waiting");
    send(signal, stopped.id());
    stopped.stderr = Some(said.into_inner());
    let stopped = ProgramOutput::of(stopped.wait_with_output().expect("it is our child")).ends(code);
    assert_eq!(stopped.out, "", "there is no verdict yet");
    assert_eq!(
        stopped.err,
        "stopped after 3 of 6 cases, all of them in .latent/sweep.jsonl\n  \
         continue: odd sweep slow.json --seeds 1..7 --jobs 1 --resume\n"
    );
    assert_eq!(here.read(".latent/sweep.jsonl").lines().count(), 4, "a header and three cases");

    here.write("go", "");
    let again = stopped.err.split("continue: odd ").nth(1).expect("it says how to go on").trim().to_owned();
    let resumed = here.odd(&again.split(' ').collect::<Vec<_>>()).ends(0);
    let whole = here.odd(&[&sweep[..], &["--json", "whole.jsonl"]].concat()).ends(0);
    assert_eq!(resumed.screen(), whole.screen().replace("whole.jsonl", ".latent/sweep.jsonl"));
    assert_eq!(here.results(".latent/sweep.jsonl"), here.results("whole.jsonl"));
}

fn a_sweep_that_came_to_its_end_can_be_resumed_to_no_effect() {
    let here = Scratch::new("resumed-again");
    let begin = ["sweep", "correct", "--seeds", "1..5", "--json", "a.jsonl"];
    let first = here.wal(&begin).ends(0);
    let sweep = [&begin[..], &["--resume"]].concat();
    let lines = here.results("a.jsonl");
    for _ in 0..2 {
        assert_eq!(here.wal(&sweep).ends(0).screen(), first.screen());
        assert_eq!(here.results("a.jsonl"), lines, "still one footer");
    }
    here.wal(&["merge", "a.jsonl"]).ends(0);
}

fn an_unfinished_sweep_is_put_aside_and_not_overwritten() {
    let here = Scratch::new("aside");
    let sweep = ["sweep", "correct", "--seeds", "1..4", "--jobs", "1", "--json", "a.jsonl"];
    here.wal(&sweep).ends(0);
    let unfinished: String = here.read("a.jsonl").split_inclusive('\n').take(3).collect();
    here.write("a.jsonl", &unfinished);
    let ran = here.wal(&sweep).ends(0);
    assert_eq!(
        ran.err,
        "a.jsonl held an unfinished sweep of 2 cases, which was moved to a.jsonl.unfinished\n"
    );
    assert_eq!(here.read("a.jsonl.unfinished"), unfinished);
    assert_eq!(here.read("a.jsonl").lines().count(), 5);
    // The next one gets another name.
    let other: String = unfinished.split_inclusive('\n').take(2).collect();
    here.write("a.jsonl", &other);
    let ran = here.wal(&sweep).ends(0);
    assert!(ran.err.ends_with(" of 1 cases, which was moved to a.jsonl.unfinished.2\n"), "{}", ran.err);
    assert_eq!(here.read("a.jsonl.unfinished"), unfinished);
    assert_eq!(here.read("a.jsonl.unfinished.2"), other);
}

fn a_resume_needs_something_to_resume_and_takes_its_settings_from_it() {
    let here = Scratch::new("resume-alone");
    let nothing =
        here.wal(&["sweep", "correct", "--seeds", "1..4", "--resume", "--json", "typo.jsonl"]).ends(2);
    insta::assert_snapshot!(nothing.stderr_text(), @"
    error: typo.jsonl: nothing to resume: no such file
      give --json the file of the sweep to continue, or omit --resume to start
    ");
    here.wal(&["sweep", "--resume"]).ends(2);
    assert!(!here.path("typo.jsonl").exists() && !here.path(".latent").exists(), "nothing began");

    let sweep = ["sweep", "correct", "--seeds", "10..15", "--release", "hasty", "--json", "a.jsonl"];
    here.wal(&[&sweep[..], &["--partition", "slice:1/2", "--case-time", "1m"]].concat()).ends(100);
    let whole = here.results("a.jsonl");
    let cut: String = here.read("a.jsonl").split_inclusive('\n').take(2).collect();
    here.write("a.jsonl", &cut);
    here.wal(&["sweep", "--resume", "--json", "a.jsonl"]).ends(100);
    assert_eq!(here.results("a.jsonl"), whole);
}

/// GNU `timeout` sends two at once.
fn two_signals_within_a_moment_are_one() {
    for _ in 0..3 {
        let here = Scratch::new("two-signals");
        here.misbehaving_scenario("slow", r#", "trouble": { "waits-for": "go" }, "only_with": 2"#);
        let mut sweep = here.start("odd", &["sweep", "slow.json", "--seeds", "1..4", "--jobs", "1"]);
        let said = wait_for_words(&mut sweep, "waiting");
        let id = sweep.id().to_string();
        let both = format!("kill -TERM {id}; kill -TERM {id} 2>/dev/null; true");
        std::process::Command::new("sh").args(["-c", &both]).status().expect("there is a shell");
        sweep.stderr = Some(said.into_inner());
        let ran = ProgramOutput::of(sweep.wait_with_output().expect("it is our child")).ends(143);
        assert!(ran.err.starts_with("stopped after 1 of 3 cases"), "{}", ran.err);
    }
}

fn only_the_same_sweep_is_resumed() {
    let here = Scratch::new("foreign");
    here.wal(&["sweep", "correct", "--seeds", "1..4", "--json", "a.jsonl"]).ends(0);
    let before = here.read("a.jsonl");
    let ran = here.wal(&["sweep", "correct", "--seeds", "1..5", "--json", "a.jsonl", "--resume"]).ends(2);
    insta::assert_snapshot!(ran.stderr_text(), @"
    error: a.jsonl: of another sweep, nothing to resume: seeds 1..4, not seeds 1..5
      give the original flags, or omit --resume to start again
    ");
    assert_eq!(here.read("a.jsonl"), before, "nothing of it is touched");
}
