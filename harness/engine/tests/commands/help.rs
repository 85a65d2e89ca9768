//! The help of each command.

use crate::common::{Test, tests};
use crate::scratch::Scratch;

pub const TESTS: &[Test] = tests![each_command_has_help];

fn each_command_has_help() {
    let scratch = Scratch::new("help");
    let help = |command: &str| scratch.wal(&[command, "-h"]).ends(0).out;
    insta::assert_snapshot!(help("sweep"), @"
    Run many seeds of some scenarios, each case in its own process

    Usage: wal sweep [OPTIONS] [SCENARIO]...

    Arguments:
      [SCENARIO]...  Built-in scenarios' names, files, or `generated` for generated scenarios [default:
                     generated]

    Options:
          --seeds <A..B>                Run these seeds, the end excluded [env: LATENT_SEEDS]
          --seeds-from <TEXT>           Derive the seeds from a text, such as a date: the same text
                                        gives the same seeds
          --count <N>                   Derive this many seeds from the text
          --for <TIME>                  Stop starting new cases after this long, such as 30m [env:
                                        LATENT_FOR=]
      -j, --jobs <N>                    Run this many cases in parallel [default: all cores] [env:
                                        LATENT_JOBS=]
          --partition <slice:I/N|auto>  Run one partition, such as slice:1/4; combine with `merge`.
                                        `auto` reads it from the variables of Slurm, Kubernetes, GitHub,
                                        GitLab or Buildkite [env: LATENT_PARTITION=]
          --release <NAME>              Put the whole system on this release: one of the scenario's, or
                                        `good` [env: LATENT_RELEASE=]
          --profile <NAME>              Use this profile of latent.toml [default: quick, if neither
                                        scenarios nor seeds are given] [env: LATENT_PROFILE=]
          --case-time <TIME>            Stop a case after this much real time [default: 5m] [env:
                                        LATENT_CASE_TIME=]
          --case-memory-mb <MB>         Stop a case that exceeds this much memory, in megabytes
                                        [default: 4096] [env: LATENT_CASE_MEMORY_MB=]
          --no-cases <HOW>              Exit like this if no case ran, as in a slice of few seeds:
                                        `fail` with code 4, `warn` or `pass` with code 0 [env:
                                        LATENT_NO_CASES=] [default: fail]
          --require <MARK>              Require that some case reaches this mark; may be given several
                                        times
          --json <FILE>                 Write results as JSON lines to this file when each case ends;
                                        `-` is the standard output [default: .latent/sweep.jsonl]
          --junit <FILE>                Write results as JUnit XML to this file at the end; `-` is the
                                        standard output
          --force                       Overwrite a file that is not JUnit XML
          --resume                      Continue the interrupted sweep in the file of --json; without
                                        scenarios and seeds, with its own settings
          --resume-if-exists            Continue if the results file exists, else start: for a scheduler
                                        that repeats the same command
          --annotate                    Write annotations and the job summary for GitHub Actions
          --max-items <N>               Allow scenarios with up to this many items [env:
                                        LATENT_MAX_ITEMS=] [default: 1000000]
      -v, --verbose                     Print every failure and every mark
      -h, --help                        Print help
    ");
    insta::assert_snapshot!(help("merge"), @"
    Merge the slices of a sweep and judge it

    Usage: wal merge [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  The results files of all slices

    Options:
          --json           Print the summary as one JSON object
          --junit <FILE>   Write results as JUnit XML to this file; `-` is the standard output
          --force          Overwrite a file that is not JUnit XML
          --annotate       Write annotations and the job summary for GitHub Actions
      -v, --verbose        Print every failure and every mark
          --max-items <N>  Allow scenarios with up to this many items [env: LATENT_MAX_ITEMS=] [default:
                           1000000]
      -h, --help           Print help
    ");
    insta::assert_snapshot!(help("repro"), @"
    Reproduce a run exactly, optionally with its event log

    Usage: wal repro [OPTIONS] <NAME@SEED|CASE>

    Arguments:
      <NAME@SEED|CASE>  A scenario and seed, `generated@7`, or a case file

    Options:
          --seed <N>             Use this seed; the same as NAME@SEED
          --log                  Print the event log to the standard output, in order of virtual time
          --node <NAME>          Show only this node's log; may be given several times
          --from <T>             Show only the log from this time on, such as 2016-02-20T15:00:00Z
          --to <T>               Show only the log before this time
          --until <T>            Stop at this time, without a verdict
          --case-time <TIME>     Stop the run after this much real time [default: no limit] [env:
                                 LATENT_CASE_TIME=]
          --case-memory-mb <MB>  Stop the run if it exceeds this much memory, in megabytes [default:
                                 4096] [env: LATENT_CASE_MEMORY_MB=]
          --trace <HASH>         Require this trace hash, or a prefix of it [default: the hash in the
                                 case file]
          --release <NAME>       Put the whole system on this release: one of the scenario's, or `good`
          --checks <NAME>        Judge by this set of checks, not by all; a wrong name lists them
          --protection <NAME>    Replace the scenario's protection by this one; a wrong name lists them
          --json                 Print the report as one JSON object
      -v, --verbose              Print the choices, marks and nodes too
          --max-items <N>        Allow scenarios with up to this many items [env: LATENT_MAX_ITEMS=]
                                 [default: 1000000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(help("shrink"), @"
    Shrink a failing case

    Usage: wal shrink [OPTIONS] <NAME@SEED|CASE>

    Arguments:
      <NAME@SEED|CASE>  A failing case: `generated@7`, a scenario and seed, or a case file

    Options:
          --seed <N>             Use this seed; the same as NAME@SEED
          --for <TIME>           Stop the search after this long [default: 5m] [env: LATENT_FOR=]
      -j, --jobs <N>             Run this many candidates in parallel [default: all cores] [env:
                                 LATENT_JOBS=]
          --release <NAME>       Put the whole system on this release: one of the scenario's, or `good`
          --case-time <TIME>     Stop a candidate after this much real time [default: 2m] [env:
                                 LATENT_CASE_TIME=]
          --case-memory-mb <MB>  Stop a candidate that exceeds this much memory, in megabytes [default:
                                 4096] [env: LATENT_CASE_MEMORY_MB=]
          --out <FILE>           Write the shrunk case to this file; `-` is the standard output
                                 [default: NAME-SEED.case.json]
          --force                Overwrite a file that is not a case, or is the input itself
          --max-items <N>        Allow scenarios with up to this many items [env: LATENT_MAX_ITEMS=]
                                 [default: 1000000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(help("corpus"), @"
    Run and manage the regression cases

    Usage: wal corpus [OPTIONS] <COMMAND>

    Commands:
      run    Run every case; each must end as its scenario expects
      check  Prove that the cases can fail: each must under the patch that puts its former mistake back
      add    Add a case
      list   List the cases
      seal   Add checksums to cases of the format without them
      prune  List cases that are unreadable, or whose faults are not triggered

    Options:
          --folder <FOLDER>  Use this corpus [default: corpus]
          --max-items <N>    Allow scenarios with up to this many items [env: LATENT_MAX_ITEMS=]
                             [default: 1000000]
      -h, --help             Print help
    ");
    insta::assert_snapshot!(help("print"), @"
    Print a built-in or generated scenario as a file

    Usage: wal print [OPTIONS] [SCENARIO[@SEED]]

    Arguments:
      [SCENARIO[@SEED]]  A built-in scenario's name, a file, or `generated@7`; with --bytes, the name of
                         a generator

    Options:
          --seed <N>           Use this seed; the same as SCENARIO@SEED
          --release <NAME>     Put the whole system on this release
          --checks <NAME>      Judge by this set of checks, not by all; a wrong name lists them
          --protection <NAME>  Replace the scenario's protection by this one; a wrong name lists them
          --bytes <FILE>       Generate the scenario from the bytes of a file, such as a fuzzer's input
          --max-items <N>      Allow scenarios with up to this many items [env: LATENT_MAX_ITEMS=]
                               [default: 1000000]
      -h, --help               Print help
    ");
}
