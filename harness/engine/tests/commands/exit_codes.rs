//! Exit codes, as a shell script sees them. The codes of slices are tested in `slices`, those of signals in `resume`.

use crate::common::{Test, tests};
use crate::processes::{only_worker_of, send, wait_for_words};
use crate::scratch::{ProgramOutput, Scratch};

pub const TESTS: &[Test] = tests![
    a_clean_sweep_is_0_and_prints_the_failure_rate_bound,
    a_worker_killed_from_outside_is_1_without_a_verdict,
    wrong_usage_is_2_with_one_error,
    a_sweep_that_ran_nothing_is_4,
    a_loss_is_100_with_commands_to_reproduce_and_shrink_it,
    a_panic_of_the_system_is_100_and_named_by_its_place,
    a_panic_of_the_tool_is_1_without_a_verdict,
    a_panic_of_the_program_itself_is_1_with_one_line,
    a_slice_without_cases_ends_as_configured,
    a_sweep_that_ends_better_than_expected_is_106,
    a_value_of_the_environment_is_called_by_its_variable,
    a_case_past_its_time_is_102_with_its_seed,
    a_case_past_its_memory_is_102_with_its_seed,
    a_required_mark_that_no_case_reached_is_103,
];

fn a_clean_sweep_is_0_and_prints_the_failure_rate_bound() {
    let scratch = Scratch::new("clean");
    let ran = scratch.wal(&["sweep", "correct", "--seeds", "1..27", "--jobs", "2", "-v"]).ends(0);
    insta::assert_snapshot!(ran.screen(), @"
    correct: 26 cases as expected
      cases       26 of seeds 1..27
      outcomes    26 clean
      simulated   26 m in …
      determinism 1 case checked
      marks       wal.recovered 19 in 19 cases
      struck      7 of 11 combinations of phase, operation and fault
                  boot: open 0/1, create 1/1, append 1/1, truncate 1/1, read 1/1, len 1/1, sync 1/1, sync_dir 1/1
                  wal.recovered: append 0/1, truncate 0/1, sync 0/1
      bound       failure rate below 11.54% (95% confidence)
      results     .latent/sweep.jsonl
    ");
    assert_eq!(ran.err, "", "there is no terminal and no news");
}

fn a_worker_killed_from_outside_is_1_without_a_verdict() {
    let scratch = Scratch::new("killed");
    scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "go" }, "only_with": 3"#);
    let mut sweep = scratch.start("odd", &["sweep", "slow.json", "--seeds", "1..5", "--jobs", "1"]);
    let _said = wait_for_words(&mut sweep, "waiting");
    send("-KILL", only_worker_of(sweep.id()));
    let ran = ProgramOutput::of(sweep.wait_with_output().expect("it is our child")).ends(1);
    insta::assert_snapshot!(ran.screen(), @"
    slow.json: 1 of 4 cases failed
      cases       4 of seeds 1..5
      outcomes    3 clean, 1 without a verdict
      simulated   3 m in …
      determinism 0 cases checked
      failures    no verdict died  1 case
                  the process of the case exited without a report: signal: 9 (SIGKILL)
      reproduce   odd repro slow.json@3
      results     .latent/sweep.jsonl
    ");
    // A resumed sweep runs the case again, because it has no verdict.
    scratch.write("go", "");
    let resumed = scratch.odd(&["sweep", "slow.json", "--seeds", "1..5", "--resume"]).ends(0);
    assert!(resumed.out.contains("outcomes    4 clean\n"), "{}", resumed.out);
    scratch.odd(&["merge", ".latent/sweep.jsonl"]).ends(0);
}

fn wrong_usage_is_2_with_one_error() {
    let scratch = Scratch::new("usage");
    scratch.write("other.json", "{}\n");
    let printed: Vec<String> = [
        "sweep corect",
        "sweep correct --seeds 5",
        "sweep correct --seeds 5..5",
        "sweep correct@5",
        "sweep correct correct",
        "sweep correct --seeds-from today",
        "sweep correct --release better",
        "sweep correct --partition 1/4",
        "sweep correct --profile weekly",
        "sweep correct --json other.json",
        "repro",
        "repro correct@7 --node log",
        "shrink correct@7",
        "corpus run --folder nowhere",
        "corpus add nothing.json",
        "print corect",
    ]
    .into_iter()
    .map(|line| {
        let ran = scratch.wal(&line.split(' ').collect::<Vec<_>>()).ends(2);
        assert_eq!(ran.out, "", "{line}");
        format!("$ wal {line}\n{}", ran.stderr_text())
    })
    .collect();
    let printed = printed.join("\n").replace(scratch.path("").to_str().expect("it is UTF-8"), "");
    insta::assert_snapshot!(printed, @"
    $ wal sweep corect
    error: corect: no scenario of this name, and no such file
      did you mean correct? built in: correct, missing-sync, rough; generated: generated@7; or give the path of a JSON file
    $ wal sweep correct --seeds 5
    error: invalid range of seeds '5': write it like 1..101, which ends before 101
    $ wal sweep correct --seeds 5..5
    error: empty range of seeds 5..5: the end is excluded
    $ wal sweep correct@5
    error: correct@5: a sweep has its own seeds
      give the scenario without a seed, and --seeds A..B
    $ wal sweep correct correct
    error: correct is given twice
    $ wal sweep correct --seeds-from today
    error: how many seeds? give --count N or --for TIME
    $ wal sweep correct --release better
    error: --release better: no release is called 'better'
      there are: good, hasty
    $ wal sweep correct --partition 1/4
    error: invalid value '1/4' for '--partition <slice:I/N|auto>': invalid slice '1/4': write it like slice:1/4, the first of four

    For more information, try '--help'.
    $ wal sweep correct --profile weekly
    error: latent.toml: no profile 'weekly'; there are: nothing
    $ wal sweep correct --json other.json
    error: other.json: not a sweep's results: its first line is not a header
      give --json another file, or remove it
    $ wal repro
    error: the following required arguments were not provided:
      <NAME@SEED|CASE>

    Usage: wal repro <NAME@SEED|CASE>

    For more information, try '--help'.
    $ wal repro correct@7 --node log
    error: the following required arguments were not provided:
      --log

    Usage: wal repro --log --node <NAME> <NAME@SEED|CASE>

    For more information, try '--help'.
    $ wal shrink correct@7
    error: correct@7 ends clean: nothing to shrink
      see: wal run correct@7
    $ wal corpus run --folder nowhere
    error: nowhere: cannot read the corpus: No such file or directory (os error 2)
      name its folder with --folder
    $ wal corpus add nothing.json
    error: nothing.json: cannot read it: No such file or directory (os error 2)
      built in: correct, missing-sync, rough; generated: generated@7; or give the path of a JSON file
    $ wal print corect
    error: corect: no scenario of this name, and no such file
      did you mean correct? built in: correct, missing-sync, rough; generated: generated@7; or give the path of a JSON file
    ");
}

fn a_sweep_that_ran_nothing_is_4() {
    let scratch = Scratch::new("nothing");
    let ran = scratch.wal(&["sweep", "correct", "--for", "0s", "--annotate"]).ends(4);
    insta::assert_snapshot!(ran.screen(), @"
    correct: 0 cases ran
      cases       0 of seeds from 1
      results     .latent/sweep.jsonl
    ::error title=sweep::correct: 0 cases ran
    ");
    let ran = scratch.wal(&["sweep", "correct", "--seeds", "1..101", "--for", "0s"]).ends(4);
    assert!(ran.out.contains("cases       0 of seeds 1..101, no time for 100 more\n"), "{}", ran.out);
    std::fs::create_dir(scratch.path("corpus")).expect("the scratch folder can be written");
    let ran = scratch.wal(&["corpus", "run"]).ends(4);
    insta::assert_snapshot!(ran.stderr_text(), @"corpus: no cases found");
}

fn a_loss_is_100_with_commands_to_reproduce_and_shrink_it() {
    let scratch = Scratch::new("loss");
    let ran = scratch.wal(&["sweep", "missing-sync", "correct", "--seeds", "1..17", "--jobs", "2"]).ends(100);
    insta::assert_snapshot!(ran.screen(), @"
    missing-sync, correct: 5 of 32 cases failed
      cases       32 of seeds 1..17
      outcomes    27 clean, 5 unrecoverable-loss
      simulated   32 m in …
      determinism 6 cases checked
      failures    unrecoverable-loss W1:missing:after-crash:loss  5 cases
      reproduce   wal repro missing-sync@12 --trace HASH
      shrink      wal shrink missing-sync@12
      struck      7 of 11 combinations of phase, operation and fault (-v shows each phase)
      results     .latent/sweep.jsonl
    ");
}

fn a_panic_of_the_system_is_100_and_named_by_its_place() {
    let scratch = Scratch::new("panic");
    scratch.misbehaving_scenario("nervous", r#", "misbehaviour": "panics", "only_with": 2"#);
    let ran = scratch.odd(&["sweep", "nervous.json", "--seeds", "1..4"]).ends(100);
    insta::assert_snapshot!(ran.screen(), @"
    nervous.json: 1 of 3 cases failed
      cases       3 of seeds 1..4
      outcomes    2 clean, 1 violated
      simulated   2 m in …
      determinism 1 case checked
      failures    violated panicked:tests/commands/misbehaving.rs:LINE  1 case
                  the code of clerk panicked: the clerk has had enough
      reproduce   odd repro nervous.json@2
      shrink      odd shrink nervous.json@2
      results     .latent/sweep.jsonl
    ");
}

fn a_panic_of_the_tool_is_1_without_a_verdict() {
    let scratch = Scratch::new("tool-panic");
    scratch.misbehaving_scenario("nervous", r#", "misbehaviour": "judge-panics", "only_with": 2"#);
    let sweep = ["sweep", "nervous.json", "--seeds", "1..4"];
    insta::assert_snapshot!(scratch.odd(&sweep).ends(1).screen(), @"
    nervous.json: 1 of 3 cases failed
      cases       3 of seeds 1..4
      outcomes    2 clean, 1 without a verdict
      simulated   2 m in …
      determinism 0 cases checked
      failures    no verdict internal-error:tests/commands/misbehaving.rs:LINE  1 case
                  internal error: judge panics, at harness/engine/tests/commands/misbehaving.rs:LINE
      reproduce   odd repro nervous.json@2
      results     .latent/sweep.jsonl
    ");
    insta::assert_snapshot!(scratch.odd(&["run", "nervous.json@2"]).ends(1).stderr_text(), @"error: internal error: judge panics, at harness/engine/tests/commands/misbehaving.rs:LINE (report it with: odd run nervous.json@2)");
    // Other findings of the same sweep take precedence.
    scratch.misbehaving_scenario("untidy", r#", "misbehaviour": { "violates": "a file lies about" }"#);
    scratch.odd(&["sweep", "nervous.json", "untidy.json", "--seeds", "2..3"]).ends(100);
}

fn a_panic_of_the_program_itself_is_1_with_one_line() {
    let scratch = Scratch::new("own-panic");
    scratch.misbehaving_scenario("shy", r#", "misbehaviour": "printing-panics""#);
    let ran = scratch.odd(&["run", "shy.json@3"]).ends(1);
    assert_eq!(ran.out, "");
    insta::assert_snapshot!(ran.stderr_text(), @"error: internal error: the printer has had enough, at harness/engine/tests/commands/misbehaving.rs:LINE (report it with: odd run shy.json@3)");
    let lines = |ran: &ProgramOutput| ran.err.lines().count();
    let mut traced = scratch.command("odd", &["run", "shy.json@3"]);
    let traced =
        ProgramOutput::of(traced.env("RUST_BACKTRACE", "1").output().expect("it can be started")).ends(1);
    assert!(lines(&ran) == 1 && lines(&traced) > 3, "{}", traced.err);
}

fn a_sweep_that_ends_better_than_expected_is_106() {
    let scratch = Scratch::new("better");
    scratch.misbehaving_scenario("calm", r#", "expect": "recovered""#);
    insta::assert_snapshot!(scratch.odd(&["sweep", "calm.json", "--seeds", "1..4"]).ends(106).screen(), @"
    calm.json: 3 of 3 cases failed
      cases       3 of seeds 1..4
      outcomes    3 clean
      simulated   3 m in …
      determinism 3 cases checked
      failures    better than expected: clean  3 cases
      reproduce   odd repro calm.json@1 --trace HASH
      results     .latent/sweep.jsonl
    ");
}

fn a_slice_without_cases_ends_as_configured() {
    let scratch = Scratch::new("no-cases");
    let sweep = |how: &[&str]| {
        let slice = ["sweep", "correct", "--seeds", "1..4", "--partition", "slice:9/10", "--json", "9.jsonl"];
        let _ = std::fs::remove_file(scratch.path("9.jsonl"));
        scratch.wal(&[&slice, how].concat())
    };
    insta::assert_snapshot!(sweep(&[]).ends(4).stderr_text(), @"error: 0 cases ran: slice:9/10 of seeds 1..4 has none; --no-cases warn lets it pass");
    insta::assert_snapshot!(sweep(&["--no-cases", "warn"]).ends(0).stderr_text(), @"warning: 0 cases ran: slice:9/10 of seeds 1..4 has none");
    assert_eq!(sweep(&["--no-cases", "pass"]).ends(0).err, "");
    sweep(&["--no-cases", "fail"]).ends(4);
}

fn a_value_of_the_environment_is_called_by_its_variable() {
    let scratch = Scratch::new("variables");
    let printed: Vec<String> = [
        ("LATENT_JOBS", "many", "sweep correct"),
        ("LATENT_SEEDS", "5", "sweep correct"),
        ("LATENT_PARTITION", "1/4", "sweep correct"),
        ("LATENT_CASE_TIME", "soon", "sweep correct"),
        ("LATENT_RELEASE", "better", "sweep correct"),
        ("LATENT_PROFILE", "weekly", "sweep correct"),
        ("LATENT_MAX_ITEMS", "-1", "run correct"),
        ("LATENT_JOBS", "many", "sweep correct --jobs few"),
    ]
    .into_iter()
    .map(|(variable, value, line)| {
        let mut command = scratch.command("wal", &line.split(' ').collect::<Vec<_>>());
        let ran =
            ProgramOutput::of(command.env(variable, value).output().expect("it can be started")).ends(2);
        format!("$ {variable}={value} wal {line}\n{}", ran.err.lines().next().unwrap_or_default())
    })
    .collect();
    let printed = printed.join("\n").replace(scratch.path("").to_str().expect("it is UTF-8"), "");
    insta::assert_snapshot!(printed, @"
    $ LATENT_JOBS=many wal sweep correct
    error: invalid value 'many' for 'LATENT_JOBS (--jobs <N>)': invalid number of jobs 'many': write 1 or more, or omit it for all cores
    $ LATENT_SEEDS=5 wal sweep correct
    error: LATENT_SEEDS: invalid range of seeds '5': write it like 1..101, which ends before 101
    $ LATENT_PARTITION=1/4 wal sweep correct
    error: invalid value '1/4' for 'LATENT_PARTITION (--partition <slice:I/N|auto>)': invalid slice '1/4': write it like slice:1/4, the first of four
    $ LATENT_CASE_TIME=soon wal sweep correct
    error: invalid value 'soon' for 'LATENT_CASE_TIME (--case-time <TIME>)': invalid duration 'soon'
    $ LATENT_RELEASE=better wal sweep correct
    error: LATENT_RELEASE better: no release is called 'better'
    $ LATENT_PROFILE=weekly wal sweep correct
    error: LATENT_PROFILE: latent.toml: no profile 'weekly'; there are: nothing
    $ LATENT_MAX_ITEMS=-1 wal run correct
    error: invalid value '-1' for 'LATENT_MAX_ITEMS (--max-items <N>)': invalid number of items '-1': write 1 or more
    $ LATENT_JOBS=many wal sweep correct --jobs few
    error: invalid value 'few' for '--jobs <N>': invalid number of jobs 'few': write 1 or more, or omit it for all cores
    ");
}

fn a_case_past_its_time_is_102_with_its_seed() {
    let scratch = Scratch::new("time");
    scratch.misbehaving_scenario("slow", r#", "misbehaviour": { "waits-for": "never" }, "only_with": 2"#);
    let ran = scratch.odd(&["sweep", "slow.json", "--seeds", "1..4", "--case-time", "1s"]).ends(102);
    insta::assert_snapshot!(ran.screen(), @"
    slow.json: 1 of 3 cases failed
      cases       3 of seeds 1..4
      outcomes    2 clean, 1 hung
      simulated   2 m in …
      determinism 0 cases checked
      failures    hung hung:real-time  1 case
                  the case was stopped after 1 s of real time
      reproduce   odd repro slow.json@2 --case-time 1s
      shrink      odd shrink slow.json@2 --case-time 1s
      results     .latent/sweep.jsonl
    ");
}

fn a_case_past_its_memory_is_102_with_its_seed() {
    let scratch = Scratch::new("memory");
    scratch.misbehaving_scenario("hungry", r#", "misbehaviour": "hungry", "only_with": 2"#);
    let ran = scratch.odd(&["sweep", "hungry.json", "--seeds", "1..4", "--case-memory-mb", "200"]).ends(102);
    insta::assert_snapshot!(ran.screen(), @"
    hungry.json: 1 of 3 cases failed
      cases       3 of seeds 1..4
      outcomes    2 clean, 1 hung
      simulated   2 m in …
      determinism 0 cases checked
      failures    hung hung:memory  1 case
                  the case was stopped: it used more than 200 MB
      reproduce   odd repro hungry.json@2 --case-memory-mb 200
      shrink      odd shrink hungry.json@2 --case-memory-mb 200
      results     .latent/sweep.jsonl
    ");
}

fn a_required_mark_that_no_case_reached_is_103() {
    let scratch = Scratch::new("marks");
    let few = ["--seeds", "1..3", "--jobs", "2"];
    scratch.misbehaving_scenario("plain", "");
    scratch.misbehaving_scenario("demanding", r#", "required_marks": ["odd.done", "odd.survived"]"#);
    scratch.write("latent.toml", "[profile.strict]\nrequired-marks = [\"odd.never\"]\n");

    let ran = scratch.odd(&[&["sweep", "demanding.json"][..], &few].concat()).ends(103);
    insta::assert_snapshot!(ran.screen(), @"
    demanding.json: 2 cases passed, required marks not reached
      cases       2 of seeds 1..3
      outcomes    2 clean
      simulated   2 m in …
      determinism 0 cases checked
      marks       odd.survived  not reached, required by scenario demanding.json
      results     .latent/sweep.jsonl
    ");
    let by_flag =
        [&["sweep", "plain.json", "--require", "odd.done", "--require", "odd.elsewhere"][..], &few].concat();
    let ran = scratch.odd(&by_flag).ends(103);
    assert!(ran.out.contains("odd.elsewhere  not reached, required by the sweep"), "{}", ran.out);
    let ran = scratch.odd(&[&["sweep", "plain.json", "--profile", "strict"][..], &few].concat()).ends(103);
    assert!(ran.out.contains("odd.never  not reached, required by the sweep"), "{}", ran.out);
    scratch.odd(&[&["sweep", "plain.json", "--require", "odd.done"][..], &few].concat()).ends(0);
}
