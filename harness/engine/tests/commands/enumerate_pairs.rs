//! `enumerate --pairs`: a second fault after each first one.

use crate::common::{Test, tests};
use crate::enumerate::ran;
use crate::processes::{send, wait_for_lines};
use crate::scratch::{ProgramOutput, Scratch};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    a_pair_finds_the_bug_that_no_single_fault_finds,
    the_reproduce_line_of_a_pair_gives_the_same_failure,
    pairs_reach_related_nodes_and_are_counted_by_kind,
    a_second_fault_that_is_not_reached_is_no_failure,
    an_interrupted_enumeration_of_pairs_resumes,
    the_parts_of_an_enumeration_of_pairs_are_the_whole,
    pairs_that_cannot_be_run_are_refused,
    run_injects_several_faults_and_names_the_one_that_was_not_triggered,
];

/// A crash of the log, and one more within its recovery.
const CRASHES: [&str; 8] = [
    "enumerate",
    "rewrite",
    "--node",
    "log",
    "--fault=crash-nothing",
    "--pairs=8",
    "--second=crash-everything",
    "--jobs=2",
];

fn json(output: &ProgramOutput) -> Value {
    serde_json::from_str(&output.out).expect("it is JSON")
}

/// The last line's command, which reproduces the failure above it, without the program's name.
fn reproduce(screen: &str) -> Vec<&str> {
    let line = screen.lines().last().and_then(|line| line.split("reproduce   rewriting ").nth(1));
    line.expect("the last line reproduces a failure").split(' ').collect()
}

fn a_pair_finds_the_bug_that_no_single_fault_finds() {
    let scratch = Scratch::new("pairs-bug");
    scratch.rewriting(&["enumerate", "rewrite"]).ends(0);
    let found = scratch.rewriting(&CRASHES).ends(100);
    insta::assert_snapshot!(found.screen(), @r"
    rewrite@1: 5 of 240 runs not clean
      operations  11 on disks, 4 on the network, of 1 node
                  from 2016-02-22 00:00:00Z to 2016-02-22 00:00:00Z
      pairs       a second fault within 8 operations of the first
                  failed/pairs      then crash  then error   then lost   not reached
                  crash append            1/48           -           -             0
                  crash sync              1/48           -           -             0
                  crash receive           1/32           -           -             0
                  crash answer            2/32           -           -             9
                  crash create            0/16           -           -             0
                  crash truncate          0/16           -           -             0
                  crash read              0/16           -           -             0
                  crash len               0/16           -           -             0
                  crash sync_dir          0/16           -           -             0
      runs        240 for 240 pairs, in …
      failures    unrecoverable-loss R1:missing:after-recovery:loss  5 runs
                  2016-02-22 00:00:00Z answer
      reproduce   rewriting run rewrite@1 --inject crash-nothing@log:11 --inject crash-everything@log:16
    ");
    // An error after an error is enough, too: the log recovers after each.
    let errors =
        ["enumerate", "rewrite", "--node=log", "--fault=error", "--pairs=8", "--second=error", "--json"];
    let found = json(&scratch.rewriting(&errors).ends(100));
    assert_eq!(found["failures"][0]["what"], "unrecoverable-loss R1:missing:after-recovery:loss");
}

fn the_reproduce_line_of_a_pair_gives_the_same_failure() {
    let scratch = Scratch::new("pairs-reproduce");
    let shown = scratch.rewriting(&CRASHES).ends(100).screen();
    let words = reproduce(&shown);
    let report = json(&scratch.rewriting(&[&words[..], &["--json"]].concat()).ends(100));
    assert_eq!(report["violations"][0]["fingerprint"], "R1:missing:after-recovery:loss");
    // The first fault alone is harmless; the second one needs the operations of the recovery from it.
    let [_, _, _, first, _, second] = words[..] else { panic!("{words:?}") };
    scratch.rewriting(&["run", "rewrite@1", "--inject", first]).ends(0);
    scratch.rewriting(&["run", "rewrite@1", "--inject", second]).ends(103);
}

/// Sum of a count over all kinds of pairs.
fn sum(summary: &Value, count: &str) -> u64 {
    let kinds = summary["pairs"]["by_kind"].as_array().expect("it lists kinds");
    kinds.iter().map(|kind| kind[count].as_u64().expect("it counts")).sum()
}

fn pairs_reach_related_nodes_and_are_counted_by_kind() {
    let scratch = Scratch::new("pairs-related");
    let all = ["enumerate", "rewrite", "--node=log", "--fault=crash-nothing,error", "--pairs=2", "--json"];
    let summary = json(&scratch.rewriting(&all));
    assert_eq!(summary["pairs"]["distance"], 2);
    let failures = summary["failures"].as_array().expect("it lists failures").len() as u64;
    assert_eq!(sum(&summary, "pairs") - sum(&summary, "as_expected"), failures);
    assert_eq!(Some(sum(&summary, "pairs")), summary["faults"].as_u64());
    let runs = ran(&scratch, ".latent/enumerate.jsonl");
    // The writer has no disk, and the log makes no call.
    for (point, is_there) in [
        ("crash-drawn@log", true),
        ("error@log", true),
        ("request-lost@log", false),
        ("crash-drawn@writer", true),
        ("request-lost@writer", true),
        ("answer-lost@writer", true),
        ("error@writer", false),
    ] {
        let found = runs.iter().any(|run| run.contains(&format!("\"second\":{{\"point\":\"{point}:")));
        assert_eq!(found, is_there, "{point}");
    }
}

fn a_second_fault_that_is_not_reached_is_no_failure() {
    let scratch = Scratch::new("pairs-not-reached");
    let pairs = ["enumerate", "correct", "--fault=crash-nothing", "--pairs=20", "--second=crash-nothing"];
    let from = ["--from", "2016-02-22T00:00:01.090Z"];
    let shown = scratch.wal(&[&pairs[..], &from[..]].concat()).ends(0);
    insta::assert_snapshot!(shown.screen(), @r"
    correct@1: clean after every pair
      operations  6 on disks, 0 on the network, of 1 node
                  from 2016-02-22 00:00:01Z to 2016-02-22 00:00:01Z
      pairs       a second fault within 20 operations of the first
                  failed/pairs      then crash  then error   then lost   not reached
                  crash append            0/60           -           -            30
                  crash sync              0/60           -           -            30
      runs        120 for 120 pairs, in …
      failures    none
      reproduce   wal enumerate correct@1 --fault crash-nothing --from 2016-02-22T00:00:01.09Z --pairs=20 --second crash-nothing
    ");
    let summary = json(&scratch.wal(&[&pairs[..], &from[..], &["--json"]].concat()).ends(0));
    let not_reached = sum(&summary, "second_not_reached");
    assert!(not_reached > 0 && not_reached < sum(&summary, "pairs"), "{not_reached}");
    let runs = ran(&scratch, ".latent/enumerate.jsonl");
    assert_eq!(
        runs.iter().filter(|run| run.contains("\"fate\":\"not-reached\"")).count() as u64,
        not_reached
    );
}

fn an_interrupted_enumeration_of_pairs_resumes() {
    let scratch = Scratch::new("pairs-interrupted");
    let to = |file| [&CRASHES[..], &["--results", file]].concat();
    let running = scratch.start("rewriting", &to("cut.jsonl"));
    wait_for_lines(&scratch.path("cut.jsonl"), 4);
    send("-INT", running.id());
    let cut = ProgramOutput::of(running.wait_with_output().expect("it is our child")).ends(130);
    let again = cut.err.split("continue: rewriting ").nth(1).expect("it says how to continue").trim();
    let options = "--fault crash-nothing --node log --pairs=8 --second crash-everything";
    assert_eq!(again, format!("enumerate rewrite@1 {options} --results cut.jsonl --resume"));
    let before = ran(&scratch, "cut.jsonl").len();
    let resumed = scratch.rewriting(&again.split(' ').collect::<Vec<_>>()).ends(100);
    let whole = scratch.rewriting(&to("whole.jsonl")).ends(100);
    assert!(before >= 3 && before < ran(&scratch, "whole.jsonl").len(), "it was interrupted half-way");
    assert_eq!(ran(&scratch, "cut.jsonl"), ran(&scratch, "whole.jsonl"));
    // The table, too, counts the runs of both parts.
    let rows = |screen: &str| -> Vec<String> {
        screen.lines().filter(|line| line.contains(" crash ")).map(str::to_owned).collect()
    };
    assert_eq!(rows(&resumed.out), rows(&whole.out));
    let single = ["enumerate", "rewrite", "--node", "log", "--results", "cut.jsonl", "--resume"];
    let other = scratch.rewriting(&single).ends(2);
    assert!(other.err.contains("of another enumeration"), "{}", other.err);
}

fn the_parts_of_an_enumeration_of_pairs_are_the_whole() {
    let scratch = Scratch::new("pairs-parts");
    scratch.rewriting(&[&CRASHES[..], &["--results", "whole.jsonl"]].concat()).ends(100);
    let mut parts = Vec::new();
    for part in 1..=3 {
        let (slice, file) = (format!("slice:{part}/3"), format!("{part}.jsonl"));
        let shown = scratch.rewriting(&[&CRASHES[..], &["--partition", &slice, "--results", &file]].concat());
        assert!(shown.out.contains(&format!("{slice}: the enumeration is clean if every partition")));
        parts.extend(ran(&scratch, &file));
    }
    parts.sort();
    assert_eq!(parts, ran(&scratch, "whole.jsonl"));
}

fn pairs_that_cannot_be_run_are_refused() {
    let scratch = Scratch::new("pairs-refused");
    let many = r#"{ "name": "many", "start": "2016-02-22T00:00:00Z", "run_for": "1m", "records": 300 }"#;
    scratch.write("many.json", many);
    let refused = scratch.wal(&["enumerate", "many.json", "--pairs=200"]).ends(2);
    insta::assert_snapshot!(refused.err, @r"
    error: 968,000 runs of pairs, and at most 200,000 are allowed
      --fault, --node, --from and --to choose fewer first faults, --second and --pairs=K fewer second ones; or run parts: --partition slice:1/5
    ");
    for (arguments, printed) in [
        (
            &["enumerate", "correct", "--pairs", "--second=lost"][..],
            "no second faults selected by --pairs=20",
        ),
        (&["enumerate", "correct", "--pairs=0"], "0 is not in 1..=200"),
        (&["enumerate", "correct", "--pairs=201"], "201 is not in 1..=200"),
        (&["enumerate", "correct", "--second=error"], "--pairs"),
        (&["enumerate", "correct", "--pairs", "--second=flood"], "no fault is called 'flood'"),
        (&["enumerate", "correct", "--pairs", "--from=2017-01-01T00:00:00Z"], "no operations selected by"),
    ] {
        let refused = scratch.wal(arguments).ends(2);
        assert!(refused.err.contains(printed), "{arguments:?}: {}", refused.err);
    }
}

fn run_injects_several_faults_and_names_the_one_that_was_not_triggered() {
    let scratch = Scratch::new("pairs-run");
    let faults = ["--inject", "crash-nothing@log:9", "--inject", "error@log:999999"];
    let ran = scratch.rewriting(&[&["run", "rewrite"], &faults[..]].concat()).ends(103);
    assert!(
        ran.out.contains(
            "reproduce   rewriting run rewrite@1 --inject crash-nothing@log:9 --inject error@log:999999"
        ),
        "{}",
        ran.out
    );
    assert_eq!(ran.err.matches("fault not triggered").count(), 1, "{}", ran.err);
    assert!(ran.err.contains("fault not triggered: --inject error@log:999999: log made "), "{}", ran.err);
}
