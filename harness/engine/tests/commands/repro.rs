//! `repro`: exact reproduction of a run, and the warning if it differs.

use crate::common::{Test, tests};
use crate::processes::{only_worker_of, send, wait_for_words};
use crate::scratch::{ProgramOutput, Scratch};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    a_run_that_differs_between_processes_is_101_with_the_first_differing_line,
    findings_that_differ_are_101_even_where_the_traces_agree,
    a_second_run_that_is_ended_from_outside_makes_no_case_nondeterministic,
    a_failing_seed_fails_again_with_the_same_hash,
    a_run_that_differs_from_the_recorded_one_prints_a_warning,
    a_recorded_run_is_recognised_and_an_edited_case_is_a_new_case,
    a_trace_that_compares_nothing_is_wrong_usage,
    the_log_is_filtered_by_node_and_time,
    a_run_can_be_stopped_at_an_instant,
    a_case_past_its_limits_is_102_again,
    a_drawn_scenario_is_printed_as_a_file_that_runs_the_same,
];

fn a_run_that_differs_between_processes_is_101_with_the_first_differing_line() {
    let scratch = Scratch::new("differs");
    scratch.misbehaving_scenario("moody", r#", "misbehaviour": "process-in-trace""#);
    // With this many seeds, at least one passing case is checked for determinism.
    let ran = scratch.odd(&["sweep", "moody.json", "--seeds", "1..201", "--jobs", "2", "-v"]).ends(101);
    let found = ran.screen();
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    let numbers: Vec<String> = found.split("'of-").skip(1).map(number).collect();
    assert_eq!(numbers.len(), 2, "two processes, two names: {found}");
    let named = |number: &str| format!("of-{number}'");
    let shown = found.replace(&named(&numbers[0]), "of-ONE'").replace(&named(&numbers[1]), "of-OTHER'");
    insta::assert_snapshot!(shown, @"
    moody.json: 2 of 200 cases failed
      cases       200 of seeds 1..201
      outcomes    198 clean, 2 nondeterministic
      simulated   3 h 20 m in …
      determinism 2 cases checked
      failures    nondeterministic  2 cases
                  first difference: 0.000000064 clerk        Open 'of-ONE'
                  the other run:    0.000000064 clerk        Open 'of-OTHER'
      reproduce   odd repro moody.json@10 --trace HASH
      others      moody.json@159
      marks       odd.done 200 in 200 cases
                  odd.survived 200 in 200 cases
      results     .latent/sweep.jsonl
    ");
}

fn findings_that_differ_are_101_even_where_the_traces_agree() {
    let scratch = Scratch::new("differs-in-findings");
    scratch.misbehaving_scenario("moody", r#", "misbehaviour": "process-in-findings", "expect": "hung""#);
    let ran = scratch.odd(&["sweep", "moody.json", "--seeds", "1..2"]).ends(101);
    let process = |line: &str| match line.split_once("{\"process\":") {
        Some((before, _)) => format!("{before}{{\"process\":ITS-NUMBER}}"),
        None => line.to_owned(),
    };
    let shown: Vec<String> = ran.screen().lines().map(process).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    moody.json: 1 of 1 case failed
      cases       1 of seeds 1..2
      outcomes    1 nondeterministic
      simulated   1 m in …
      determinism 1 case checked
      failures    nondeterministic  1 case
                  the same trace, but clean with {"process":ITS-NUMBER}
                  the other run:  clean with {"process":ITS-NUMBER}
      reproduce   odd repro moody.json@1 --trace HASH
      results     .latent/sweep.jsonl
    "#);
}

fn a_second_run_that_is_ended_from_outside_makes_no_case_nondeterministic() {
    let scratch = Scratch::new("second-ended");
    // It fails, so it runs twice.
    scratch.misbehaving_scenario(
        "tired",
        r#", "misbehaviour": { "waits-if-there": "been-here" }, "expect": "hung""#,
    );
    let sweep = ["sweep", "tired.json", "--seeds", "1..2", "--jobs", "1"];
    let mut killed = scratch.start("odd", &sweep);
    let _said = wait_for_words(&mut killed, "waiting");
    send("-KILL", only_worker_of(killed.id()));
    let killed = ProgramOutput::of(killed.wait_with_output().expect("it is our child")).ends(1);
    assert!(killed.out.contains("outcomes    1 without a verdict\n"), "{}", killed.out);

    std::fs::remove_file(scratch.path("been-here")).expect("the first run left it");
    let late = scratch.odd(&[&sweep[..], &["--case-time", "1s"]].concat()).ends(0);
    assert!(late.out.contains("outcomes    1 hung\n"), "{}", late.out);
}

/// The printed command is pasted unchanged.
fn a_failing_seed_fails_again_with_the_same_hash() {
    let scratch = Scratch::new("again");
    let ran = scratch.wal(&["sweep", "missing-sync", "--seeds", "12..13"]).ends(100);
    let line = ran
        .out
        .lines()
        .find_map(|line| line.trim().strip_prefix("reproduce"))
        .expect("it prints the command");
    let words: Vec<&str> =
        line.trim().strip_prefix("wal ").expect("with the program it was called by").split(' ').collect();
    assert_eq!(words[..3], ["repro", "missing-sync@12", "--trace"]);
    let again = scratch.wal(&words).ends(100);
    assert_eq!(again.err, "", "it is the recorded run");
    insta::assert_snapshot!(again.screen(), @"
    missing-sync@12: unrecoverable-loss, expected clean
      simulated   1 m from 2016-02-22 00:00:00Z in …
      records     10 told safe, 5 kept
      detected by nothing
      violated    W1:missing:after-crash:loss  once, 5 records, first 2016-02-22 00:01:00Z
                  wal: 0, 1, 2, 3, 4
      trace       HASH  28 records
      reproduce   wal repro missing-sync@12
      explain     wal explain W1:missing:after-crash:loss
      recorded    the trace matches --trace
    ");
    let json = scratch.wal(&["repro", "missing-sync@12", "--json"]).ends(100);
    let report: Value = serde_json::from_str(&json.out).expect("it is JSON");
    assert!(report["trace_hash"].as_str().is_some_and(|hash| hash.starts_with(words[3])));
    scratch.wal(&["repro", "correct@12"]).ends(0);
}

fn a_run_that_differs_from_the_recorded_one_prints_a_warning() {
    let scratch = Scratch::new("not-recorded");
    let ran = scratch.wal(&["repro", "missing-sync@12", "--trace", "0badcafe"]).ends(101);
    insta::assert_snapshot!(ran.stderr_text().trim(), @"
    THIS IS NOT THE RECORDED RUN
      recorded    HASH
      this run    HASH, by wal 0.1.0
      With the program that recorded it, the run is nondeterministic; with another one, the code has changed.
    ");
}

fn a_recorded_run_is_recognised_and_an_edited_case_is_a_new_case() {
    let scratch = Scratch::new("recorded");
    scratch.wal(&["shrink", "missing-sync@12", "--out", "a.case.json"]).ends(0);
    let ran = scratch.wal(&["repro", "a.case.json"]).ends(100);
    assert!(ran.out.ends_with("  recorded    this is the recorded run\n"), "{}", ran.out);
    let text = scratch.read("a.case.json");
    let case: Value = serde_json::from_str(&text).expect("it is JSON");
    let hash = case["case"]["trace_hash"].as_str().expect("it records one");
    for (from, to) in [(hash, "0".repeat(32).as_str()), ("\"records\": ", "\"records\": 1")] {
        scratch.write("b.case.json", &text.replacen(from, to, 1));
        let ran = scratch.wal(&["repro", "b.case.json"]).ends(100);
        assert!(ran.out.contains("  recorded    edited since it was recorded"), "{}", ran.out);
        let ran = scratch.wal(&["repro", "b.case.json", "--json"]).ends(100);
        assert!(ran.err.contains("  recorded    edited since it was recorded"), "{}", ran.err);
    }
    for wrong in ["", "xyz"] {
        scratch.write("c.case.json", &text.replace(hash, wrong));
        let ran = scratch.wal(&["repro", "c.case.json"]).ends(2);
        assert!(ran.err.contains("a damaged case: ") && ran.err.contains("trace_hash"), "{}", ran.err);
    }
}

fn a_trace_that_compares_nothing_is_wrong_usage() {
    let scratch = Scratch::new("no-trace");
    for wrong in ["", "xyz", "0badcaf", "0badcafe0badcafe0badcafe0badcafe0"] {
        let ran = scratch.wal(&["repro", "missing-sync@12", "--trace", wrong]).ends(2);
        assert_eq!(ran.out, "", "nothing ran");
        assert!(ran.err.contains("first 8 hexadecimal digits"), "{}", ran.err);
    }
}

fn the_log_is_filtered_by_node_and_time() {
    let scratch = Scratch::new("log");
    let whole = scratch.wal(&["repro", "correct@9", "--log"]).ends(0);
    let log = |out: &str| -> Vec<String> {
        out.lines().filter(|line| line.starts_with("2016-")).map(str::to_owned).collect()
    };
    let all = log(&whole.out);
    insta::assert_snapshot!(all[..16].join("\n"), @r#"
    2016-02-22T00:00:00.000000Z log          boot
    2016-02-22T00:00:00.000000Z log          Open 'wal'
    2016-02-22T00:00:00.001429Z log          SyncDir ''
    2016-02-22T00:00:00.001429Z log          Len 'wal'
    2016-02-22T00:00:00.001429Z log          Read 'wal'
    2016-02-22T00:00:00.001429Z log          Truncate 'wal'
    2016-02-22T00:00:00.005298Z log          Sync 'wal'
    2016-02-22T00:00:00.005298Z log          Append 'wal' at 0, 16 bytes #91de7409
    2016-02-22T00:00:00.008185Z log          Sync 'wal'
    2016-02-22T00:00:00.018185Z log          Append 'wal' at 16, 16 bytes #12d734a2
    2016-02-22T00:00:00.018185Z world        fault {"kill":{"node":"log","restart_after_ms":1000}}
    2016-02-22T00:00:00.018185Z log          killed, un-synced disk operations: Drawn
    2016-02-22T00:00:01.018185Z world        end of fault {"kill":{"node":"log","restart_after_ms":1000}}
    2016-02-22T00:00:01.018185Z log          boot
    2016-02-22T00:00:01.018185Z log          Open 'wal'
    2016-02-22T00:00:01.019614Z log          SyncDir ''
    "#);
    let of_world = log(&scratch.wal(&["repro", "correct@9", "--log", "--node", "world"]).ends(0).out);
    let of_log = log(&scratch.wal(&["repro", "correct@9", "--log", "--node", "log"]).ends(0).out);
    assert!(of_log.iter().all(|line| line.contains("Z log ")) && !of_log.is_empty());
    assert_eq!(of_log.len() + of_world.len(), all.len());

    let (from, to) = ("2016-02-22T00:00:01Z", "2016-02-22T00:00:01.05Z");
    let part = log(&scratch.wal(&["repro", "correct@9", "--log", "--from", from, "--to", to]).ends(0).out);
    let within =
        |line: &&String| ("2016-02-22T00:00:01.000".."2016-02-22T00:00:01.050").contains(&&line[..23]);
    assert_eq!(part, all.iter().filter(within).cloned().collect::<Vec<_>>());
    assert!(!part.is_empty() && part.len() < all.len());
    let unknown = scratch.wal(&["repro", "correct@9", "--log", "--node", "lgo"]).ends(2);
    insta::assert_snapshot!(unknown.stderr_text(), @"
    error: --node lgo: no node is called 'lgo'
      did you mean 'log'? nodes: log, world
    ");
}

fn a_run_can_be_stopped_at_an_instant() {
    let scratch = Scratch::new("until");
    let stop = ["repro", "missing-sync@12", "--until", "2016-02-22T00:00:00.5Z"];
    let ran = scratch.wal(&stop).ends(0);
    insta::assert_snapshot!(ran.screen(), @"
    stopped at 2016-02-22T00:00:00.5Z
      trace       HASH after 16 records
      reproduce   wal repro missing-sync@12 --until 2016-02-22T00:00:00.5Z
    ");
    assert_eq!(scratch.wal(&stop).ends(0).out, ran.out, "the same hash half-way");
    // A time past the end has no effect: there is a verdict.
    scratch.wal(&["repro", "missing-sync@12", "--until", "2017-01-01T00:00:00Z"]).ends(100);
}

fn a_case_past_its_limits_is_102_again() {
    let scratch = Scratch::new("limits-again");
    scratch.misbehaving_scenario("hungry", r#", "misbehaviour": "hungry""#);
    let ran = scratch.odd(&["sweep", "hungry.json", "--seeds", "1..2", "--case-memory-mb", "100"]).ends(102);
    assert!(ran.out.contains("reproduce   odd repro hungry.json@1 --case-memory-mb 100\n"), "{}", ran.out);
    let ran = scratch.odd(&["repro", "hungry.json@1", "--case-memory-mb", "100"]).ends(102);
    insta::assert_snapshot!(ran.stderr_text(), @"
    error: the case was stopped: it used more than 100 MB
      reproduce: odd repro hungry.json@1 --case-memory-mb 100
    ");
    scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "never" }"#);
    let ran = scratch.odd(&["repro", "slow.json@1", "--case-time", "1s"]).ends(102);
    insta::assert_snapshot!(ran.stderr_text(), @"
    waiting
    error: the case was stopped after 1 s of real time
      reproduce: odd repro slow.json@1 --case-time 1s
    ");
}

fn a_drawn_scenario_is_printed_as_a_file_that_runs_the_same() {
    let scratch = Scratch::new("print");
    let printed = scratch.wal(&["print", "generated@7"]).ends(0).out;
    insta::assert_snapshot!(printed, @r#"
    {
      "name": "generated",
      "about": "Drawn by a seed.",
      "seed": 7,
      "start": "2016-02-22T00:00:00Z",
      "run_for": "1m",
      "records": 16,
      "missing_sync": true,
      "expect": "clean"
    }
    "#);
    scratch.write("drawn.json", &printed);
    let hash = |target: &str| {
        let json = scratch.wal(&["repro", target, "--json"]);
        serde_json::from_str::<Value>(&json.out).expect("it is JSON")["trace_hash"].to_string()
    };
    assert_eq!(hash("drawn.json"), hash("generated@7"));
    assert_ne!(hash("generated@8"), hash("generated@7"));
    scratch.write("bytes", "\u{9}\u{3}");
    let of_bytes: Value =
        serde_json::from_str(&scratch.wal(&["print", "--bytes", "bytes"]).ends(0).out).expect("it is JSON");
    assert_eq!((&of_bytes["records"], &of_bytes["missing_sync"]), (&10.into(), &true.into()));
    let set_release = scratch.wal(&["print", "correct@3", "--release", "hasty"]).ends(0).out;
    assert!(
        set_release.contains("\"seed\": 3") && set_release.contains("\"missing_sync\": true"),
        "{set_release}"
    );
    let none = scratch.odd(&["print", "generated@7"]).ends(2);
    insta::assert_snapshot!(none.stderr_text(), @"
    error: generated: odd has no generated scenarios
      give the path of a JSON file
    ");
}
