//! A fault at each operation of a run in turn.

use crate::common::{Test, tests};
use crate::scratch::Scratch;
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    a_crash_at_each_operation_in_turn_finds_the_bug,
    an_enumeration_is_clean_where_there_is_no_bug,
    an_enumeration_of_nothing_is_refused,
];

fn a_crash_at_each_operation_in_turn_finds_the_bug() {
    let here = Scratch::new("enumerate");
    let found = here.wal(&["enumerate", "missing-sync@1", "--fault", "crash", "--jobs", "2"]).ends(100);
    let shown = found.screen();
    insta::assert_snapshot!(shown, @r"
    missing-sync@1: 17 of 43 runs not clean
      operations  17 on disks, 0 on the network, of 1 node
                  from 2016-02-22 00:00:00Z to 2016-02-22 00:00:01Z
                                 count           crashes            errors
                  open               1            3 good                 -
                  create             1            3 good                 -
                  append            10      17 of 30 bad                 -
                  truncate           1            3 good                 -
                  read               1            3 good                 -
                  len                1            3 good                 -
                  sync               1            3 good                 -
                  sync_dir           1            3 good                 -
      runs        43 for 51 faults, in …
      failures    unrecoverable-loss W1:missing:after-crash:loss  17 runs
                  2016-02-22 00:00:01Z append 'wal'
      again       wal run missing-sync@1 --strike crash-nothing@log:9
    ");
    // The line that it ends with shows the same.
    let again = shown.lines().last().and_then(|line| line.split("again       wal ").nth(1));
    let words: Vec<&str> = again.expect("the last line repeats one").split(' ').chain(["--json"]).collect();
    let report: Value = serde_json::from_str(&here.wal(&words).ends(100).out).expect("it is JSON");
    assert_eq!(report["violations"][0]["fingerprint"], "W1:missing:after-crash:loss");
}

fn an_enumeration_is_clean_where_there_is_no_bug() {
    let here = Scratch::new("enumerate-clean");
    let sound = here.wal(&["enumerate", "correct", "--fault", "crash", "--jobs", "1"]).ends(0);
    insta::assert_snapshot!(sound.screen(), @r"
    correct@1: clean whatever operation is struck
      operations  27 on disks, 0 on the network, of 1 node
                  from 2016-02-22 00:00:00Z to 2016-02-22 00:00:01Z
                                 count           crashes            errors
                  open               1            3 good                 -
                  create             1            3 good                 -
                  append            10           30 good                 -
                  truncate           1            3 good                 -
                  read               1            3 good                 -
                  len                1            3 good                 -
                  sync              11           33 good                 -
                  sync_dir           1            3 good                 -
      runs        73 for 81 faults, in …
      failures    none
      again       wal enumerate correct@1 --fault crash
    ");
    let json = here.wal(&["enumerate", "correct", "--fault", "crash", "--json"]).ends(0);
    let summary: Value = serde_json::from_str(&json.out).expect("the summary is JSON");
    assert_eq!((&summary["as_expected"], &summary["faults"]), (&Value::Bool(true), &81.into()));
}

fn an_enumeration_of_nothing_is_refused() {
    let here = Scratch::new("enumerate-nothing");
    for (arguments, said) in [
        (["enumerate", "correct", "--node", "nobody"], "no node is called 'nobody'; nodes: log"),
        (["enumerate", "correct", "--from", "2017-01-01T00:00:00Z"], "no operation is chosen by --from 2017"),
        (["enumerate", "correct", "--fault", "flood"], "possible values: crash, error"),
    ] {
        let refused = here.wal(&arguments).ends(2);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
}
