//! What is refused, and what the program says of itself.

use super::common::{own_path, text};
use super::{scenario, stable, wal};
use serde_json::Value;
use std::process::{Command, Stdio};

pub fn a_bad_scenario_is_refused_with_its_place() {
    let file = scenario("misspelt", r#""record": 3"#);
    let output = wal(&["run", &file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    insta::assert_snapshot!(stable(&output.stderr, &file), @r#"
    error: FILE:5:3: unknown field `record` in the scenario
        5 |   "record": 3
          |   ^^^^^^^^
      did you mean `records`? known here: about, expect, faults, name, required_marks, run_for, seed, start, drawn_faults, missing_sync, records
    "#);
}

pub fn a_fault_at_a_node_that_is_not_there_is_refused() {
    let fault = r#"{ "trigger": { "at": "2016-02-22T00:00:01Z" }, "action": { "kill": { "node": "lgo" } } }"#;
    let file = scenario("no-such-node", &format!("\"records\": 3,\n  \"faults\": [\n    {fault}\n  ]"));
    let output = wal(&["run", &file]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(stable(&output.stderr, &file), @r#"
    error: FILE:7:82: a fault at node 'lgo', which wal does not have
        7 |     { "trigger": { "at": "2016-02-22T00:00:01Z" }, "action": { "kill": { "node": "lgo" } } }
          |                                                                                  ^^^^^
      did you mean 'log'? nodes: log
    "#);
}

pub fn wrong_usage_is_2() {
    for arguments in [&["run"][..], &["run", "correct", "--jsno"], &["run", "corect"], &["run", "correct@x"]]
    {
        let output = wal(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    let near = wal(&["run", "corect"]);
    insta::assert_snapshot!(stable(&near.stderr, ""), @"
    error: corect: no scenario of this name, and no such file
      did you mean correct? built in: correct, missing-sync, rough; generated: generated@7; or give the path of a JSON file
    ");
    let help = wal(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    insta::assert_snapshot!(stable(&help.stdout, ""), @"
    Usage: wal [OPTIONS] <COMMAND>

    Commands:
      run          Run one case: a scenario with a seed
      enumerate    Run one case repeatedly, with a crash or an error at each of its operations in turn
      sweep        Run many seeds of some scenarios, each case in its own process
      merge        Merge the slices of a sweep and judge it
      repro        Reproduce a run exactly, optionally with its event log
      shrink       Shrink a failing case
      corpus       Run and manage the regression cases
      bugs         Measure how soon each planted bug is caught
      compare      Compare protections over the same seeds
      explain      Explain a term of a verdict: an invariant, outcome, exit code, mark or fingerprint
      scenarios    List the built-in scenarios
      marks        List the marks that a scenario can require or a fault can wait for
      print        Print a built-in or generated scenario as a file
      schema       Print the JSON Schema of scenarios or reports
      doctor       Check this machine: determinism, memory, disk, terminal
      completions  Print a shell completion script
      man          Write the manual pages to a folder

    Options:
          --max-items <N>  Allow scenarios with up to this many items [env: LATENT_MAX_ITEMS=] [default:
                           1000000]
      -h, --help           Print help
      -V, --version        Print version

    Exit codes:
      0    clean, or as expected
      1    internal error
      2    wrong usage or invalid scenario
      4    0 cases ran, or the run was vacuous
      100  violation
      101  nondeterministic
      102  hung
      103  required mark not reached, or fault not triggered
      104  slices do not add up
      105  recoverable, but not restored or not detected
      106  better than expected
      130  interrupted, resumable
      143  terminated, resumable
    ");
}

pub fn scenarios_and_schema_are_listed() {
    insta::assert_snapshot!(text(&wal(&["scenarios"]).stdout), @"
    correct       clean                   1m  The power fails; nothing that was told safe is lost.
    missing-sync  clean                   1m  The same, with the planted bug.
    rough         clean                   1m  Faults of many kinds, and none that loses durable bytes.
    generated     clean               varies  Generated from the seed, as generated@7: up to 20 records, and one log in four has the bug. The default of `sweep`.
    ");
    let schema: Value = serde_json::from_slice(&wal(&["schema"]).stdout).expect("it is JSON");
    assert_eq!(schema["properties"]["records"]["minimum"], 0);
    assert!(schema["$defs"]["Fault"].is_object());
}

/// As `wal schema | head -1` does: the reader closes the pipe early.
pub fn a_reader_that_leaves_is_no_error() {
    for (arguments, code) in [(&["schema"][..], 0), (&["scenarios"], 0), (&["run", "missing-sync@12"], 100)] {
        let mut child = Command::new(own_path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it is our child");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", text(&output.stderr));
    }
}
