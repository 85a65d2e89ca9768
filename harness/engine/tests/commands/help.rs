//! The help of each command.

use crate::common::{Test, tests};
use crate::scratch::Scratch;

pub const TESTS: &[Test] = tests![each_command_has_help];

fn each_command_has_help() {
    let scratch = Scratch::new("help");
    let help = |command: &str| scratch.wal(&[command, "-h"]).ends(0).out;
    insta::assert_snapshot!(help("sweep"), @"
    Run many seeds of some scenarios, each case in a process of its own

    Usage: wal sweep [OPTIONS] [SCENARIO]...

    Arguments:
      [SCENARIO]...  Built-in scenarios' names, files, or `generated`: scenarios that the seed draws
                     whole [default: generated]

    Options:
          --seeds <A..B>                Seeds, the end excluded [env: LATENT_SEEDS]
          --seeds-from <TEXT>           Draw the seeds from a text, such as a date: the same text, the
                                        same seeds
          --count <N>                   How many seeds to draw from the text
          --for <TIME>                  Begin cases for so long, such as 30m [env: LATENT_FOR=]
      -j, --jobs <N>                    Cases side by side [default: all cores] [env: LATENT_JOBS=]
          --partition <slice:I/N|auto>  Run one partition, such as slice:1/4; combine with `merge`.
                                        `auto` reads it from the variables of Slurm, Kubernetes, GitHub,
                                        GitLab or Buildkite [env: LATENT_PARTITION=]
          --release <NAME>              Put the whole system on this release: one of the scenario's, or
                                        `good` [env: LATENT_RELEASE=]
          --profile <NAME>              The settings of this profile in latent.toml [default: quick,
                                        where neither scenarios nor seeds are given] [env:
                                        LATENT_PROFILE=]
          --case-time <TIME>            The longest that a case may take, real time [default: 5m] [env:
                                        LATENT_CASE_TIME=]
          --case-memory-mb <MB>         The most that a case may hold, in megabytes [default: 4096]
                                        [env: LATENT_CASE_MEMORY_MB=]
          --no-cases <HOW>              What a sweep without a case ends with, as a slice of few seeds
                                        may be: `fail` with exit code 4, `warn` or `pass` with 0 [env:
                                        LATENT_NO_CASES=] [default: fail]
          --require <MARK>              A mark that some case must reach; may be given several times
          --json <FILE>                 Write results as JSON lines to this file, each as it comes; `-`
                                        is the standard output [default: .latent/sweep.jsonl]
          --junit <FILE>                Write results as JUnit XML to this file at the end; `-` is the
                                        standard output
          --force                       Overwrite a JUnit file even if it holds something else
          --max-items <N>               Allow scenarios that ask for so many items [env:
                                        LATENT_MAX_ITEMS=] [default: 1000000]
          --resume                      Go on with the interrupted sweep in the file of --json; without
                                        scenarios and seeds, with its own settings
          --resume-if-exists            Go on if the file of results is there, else start: for a
                                        scheduler that runs the same command again
          --annotate                    Write annotations and the job's summary as GitHub Actions shows
                                        them
      -v, --verbose                     Print every failure and every mark
      -h, --help                        Print help
    ");
    insta::assert_snapshot!(help("merge"), @"
    Put the slices of a sweep together, and judge it

    Usage: wal merge [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  The result files of all slices

    Options:
          --json           Print the summary as one JSON object
          --junit <FILE>   Write results as JUnit XML to this file; `-` is the standard output
          --force          Overwrite a JUnit file even if it holds something else
          --annotate       Write annotations and the job's summary as GitHub Actions shows them
      -v, --verbose        Print every failure and every mark
          --max-items <N>  Allow scenarios that ask for so many items [env: LATENT_MAX_ITEMS=] [default:
                           1000000]
      -h, --help           Print help
    ");
    insta::assert_snapshot!(help("repro"), @"
    Run a case again, to the bit, with as much of its log as wanted

    Usage: wal repro [OPTIONS] <NAME@SEED|CASE>

    Arguments:
      <NAME@SEED|CASE>  A scenario and seed, `generated@7`, or a case's file

    Options:
          --seed <N>             Use this seed; the same as NAME@SEED
          --log                  Print the event log to the standard output: what every node did, in
                                 order of virtual time
          --node <NAME>          Show only this node's log; may be given several times
          --from <T>             Show only the log from this time on, such as 2016-02-20T15:00:00Z
          --to <T>               Show only the log before this time
          --until <T>            Stop at this instant, without a verdict
          --case-time <TIME>     The longest that it may take, real time [default: no limit] [env:
                                 LATENT_CASE_TIME=]
          --case-memory-mb <MB>  The most that it may hold, in megabytes [default: 4096] [env:
                                 LATENT_CASE_MEMORY_MB=]
          --trace <HASH>         The trace hash that the run must have, or how it begins [default: what
                                 the case's file records]
          --release <NAME>       Put the whole system on this release: one of the scenario's, or `good`
          --json                 Print the report as one JSON object
      -v, --verbose              Print the choices, marks and nodes too
          --max-items <N>        Allow scenarios that ask for so many items [env: LATENT_MAX_ITEMS=]
                                 [default: 1000000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(help("shrink"), @"
    Make a failing case as small as it gets

    Usage: wal shrink [OPTIONS] <NAME@SEED|CASE>

    Arguments:
      <NAME@SEED|CASE>  A case that fails: `generated@7`, a scenario and seed, or a case's file

    Options:
          --seed <N>             Use this seed; the same as NAME@SEED
          --for <TIME>           For how long to go on [default: 5m] [env: LATENT_FOR=]
      -j, --jobs <N>             Candidates side by side [default: all cores] [env: LATENT_JOBS=]
          --release <NAME>       Put the whole system on this release: one of the scenario's, or `good`
          --case-time <TIME>     The longest that a candidate may take, real time [default: 2m] [env:
                                 LATENT_CASE_TIME=]
          --case-memory-mb <MB>  The most that a candidate may hold, in megabytes [default: 4096] [env:
                                 LATENT_CASE_MEMORY_MB=]
          --out <FILE>           Write the smaller case to this file; `-` is the standard output
                                 [default: NAME-SEED.case.json]
          --force                Overwrite the file even if it holds something else, or is the case
                                 itself
          --max-items <N>        Allow scenarios that ask for so many items [env: LATENT_MAX_ITEMS=]
                                 [default: 1000000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(help("corpus"), @"
    Replay, extend and tidy the cases that once failed

    Usage: wal corpus [OPTIONS] <COMMAND>

    Commands:
      run    Run every case: each must end as its scenario expects
      add    Keep a case
      list   List the cases
      seal   Add the checksum to cases of the format that had none
      prune  List cases that show nothing any more: unreadable, or of faults that never strike

    Options:
          --folder <FOLDER>  The corpus [default: corpus]
          --max-items <N>    Allow scenarios that ask for so many items [env: LATENT_MAX_ITEMS=]
                             [default: 1000000]
      -h, --help             Print help
    ");
    insta::assert_snapshot!(help("print"), @"
    Print a scenario as a file: a built-in one, or one that a seed draws whole

    Usage: wal print [OPTIONS] [SCENARIO[@SEED]]

    Arguments:
      [SCENARIO[@SEED]]  A built-in scenario's name, a file, or `generated@7`

    Options:
          --seed <N>        Use this seed; the same as SCENARIO@SEED
          --release <NAME>  Put the whole system on this release
          --bytes <FILE>    Generate the scenario from the bytes of a file, as a fuzzer gives them
          --max-items <N>   Allow scenarios that ask for so many items [env: LATENT_MAX_ITEMS=]
                            [default: 1000000]
      -h, --help            Print help
    ");
}
