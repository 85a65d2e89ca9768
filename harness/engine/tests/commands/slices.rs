//! Slices: any partition of a sweep gives the same result; a missing or wrong slice is detected.

use crate::common::{Test, tests};
use crate::scratch::{ProgramOutput, Scratch};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    one_job_two_jobs_and_four_merged_slices_give_the_same_result,
    a_slice_leaves_the_marks_to_the_merge,
    slices_that_do_not_add_up_are_104_with_a_line_each,
    drawn_seeds_are_the_same_every_time,
    expectations_are_derived_and_not_read_from_the_file,
    each_scheduler_runs_the_slice_that_its_variables_name,
    a_restarted_task_resumes,
];

const SWEEP: [&str; 6] = ["sweep", "missing-sync", "correct", "--seeds", "1..17", "--json"];

fn one_job_two_jobs_and_four_merged_slices_give_the_same_result() {
    let scratch = Scratch::new("same");
    let one = scratch.wal(&[&SWEEP[..], &["one.jsonl", "--jobs", "1"]].concat()).ends(100);
    let two = scratch.wal(&[&SWEEP[..], &["two.jsonl", "--jobs", "2"]].concat()).ends(100);
    assert_eq!(two.screen().replace("two.jsonl", "one.jsonl"), one.screen());
    assert_eq!(scratch.results("two.jsonl"), scratch.results("one.jsonl"));

    let files = sliced(&scratch);
    let cases = |file: &str| -> Vec<String> {
        scratch.results(file).into_iter().filter(|line| line.starts_with("{\"case\"")).collect()
    };
    let mut of_slices: Vec<String> = files.iter().flat_map(|file| cases(file)).collect();
    of_slices.sort();
    assert_eq!(of_slices, cases("one.jsonl"));

    // One file is the only slice of its sweep: merged, it prints the same as the sweep.
    let merge = |files: &[&str], more: &[&str]| scratch.wal(&[&["merge"], files, more].concat()).ends(100);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let reversed: Vec<&str> = files.iter().rev().copied().collect();
    assert_eq!(merge(&files, &["--json"]).out, merge(&["one.jsonl"], &["--json"]).out);
    assert_eq!(merge(&reversed, &["--json"]).out, merge(&["one.jsonl"], &["--json"]).out);
    let screen = |ran: &ProgramOutput, file: &str| ran.screen().replace(file, "FILES");
    assert_eq!(
        screen(&merge(&files, &["-v"]), &files.join(" ")),
        screen(&merge(&["one.jsonl"], &["-v"]), "one.jsonl")
    );
    assert_eq!(screen(&merge(&files, &[]), &files.join(" ")), screen(&one, "one.jsonl"));
    let report: Value = serde_json::from_str(&merge(&files, &["--json"]).out).expect("it is JSON");
    let keys: Vec<&str> = report.as_object().expect("it is an object").keys().map(String::as_str).collect();
    insta::assert_snapshot!(keys.join(" "), @"cases determinism_checked failed failures marks marks_not_reached outcomes sim_ms strikes sweep without_items without_verdict");
    assert_eq!((&report["cases"], &report["failed"]), (&32.into(), &5.into()));
}

/// The sweep in four slices, one a file. One job, so that the cases in the files are in order.
fn sliced(scratch: &Scratch) -> Vec<String> {
    let files: Vec<String> = (1..=4).map(|index| format!("slice-{index}.jsonl")).collect();
    for (index, file) in (1..).zip(&files) {
        let slice = format!("slice:{index}/4");
        let ran = scratch.wal(&[&SWEEP[..], &[file, "--partition", &slice, "--jobs", "1"]].concat());
        assert!(matches!(ran.code, Some(0 | 100)), "{}{}", ran.out, ran.err);
    }
    files
}

/// Only one seed reaches the mark, so three of the four slices never reach it.
fn a_slice_leaves_the_marks_to_the_merge() {
    let scratch = Scratch::new("slice-marks");
    scratch.misbehaving_scenario(
        "rare",
        r#", "misbehaviour": { "waits-for": "rare.json" }, "only_with": 2, "required_marks": ["odd.survived"]"#,
    );
    let slice = |index: u64, seeds: &str| {
        let (file, slice) = (format!("{index}.jsonl"), format!("slice:{index}/4"));
        scratch.odd(&["sweep", "rare.json", "--seeds", seeds, "--json", &file, "--partition", &slice]).ends(0)
    };
    let slices: Vec<ProgramOutput> = (1..=4).map(|index| slice(index, "1..9")).collect();
    insta::assert_snapshot!(slices[0].screen(), @"
    rare.json: 2 cases as expected
      cases       2 of seeds 1..9, slice:1/4
      outcomes    2 clean
      simulated   2 m in …
      determinism 0 cases checked
      results     1.jsonl
                  slice:1/4: merge it with the others by 'odd merge FILES'
    ");
    scratch.odd(&["merge", "1.jsonl", "2.jsonl", "3.jsonl", "4.jsonl"]).ends(0);
    for index in 1..=4 {
        slice(index, "3..9");
    }
    let merged = scratch.odd(&["merge", "1.jsonl", "2.jsonl", "3.jsonl", "4.jsonl"]).ends(103);
    assert!(
        merged.out.contains("odd.survived  not reached, required by scenario rare.json"),
        "{}",
        merged.out
    );
}

fn slices_that_do_not_add_up_are_104_with_a_line_each() {
    let scratch = Scratch::new("wrong-slices");
    let files = sliced(&scratch);
    let second = scratch.read("slice-2.jsonl");
    let lines: Vec<&str> = second.split_inclusive('\n').collect();
    scratch.write("copy.jsonl", &second);
    scratch.write("cut.jsonl", &lines[..lines.len() - 1].concat());
    scratch.write("torn.jsonl", &second[..second.len() - 9]);
    scratch.write("short.jsonl", &[&lines[..3], &lines[4..]].concat().concat());
    scratch.write("damaged.jsonl", &second.replacen("\"seed\":", "\"seed\"", 3));
    scratch.write("twice.jsonl", &[&lines[..3], &lines[2..3], &lines[4..]].concat().concat());
    scratch.write("other-seed.jsonl", &second.replacen("\"seed\":3", "\"seed\":300", 1));
    scratch.write("empty.jsonl", "");
    scratch.write("newer.jsonl", &second.replacen("\"format\":3", "\"format\":4", 1));
    scratch
        .wal(&["sweep", "correct", "--seeds", "1..17", "--json", "other.jsonl", "--partition", "slice:2/4"])
        .ends(0);
    let rebuilt = second.replacen("\"build\":\"wal ", "\"build\":\"another wal ", 1);
    scratch.write("rebuilt.jsonl", &rebuilt);

    let with = |place: &[&str]| {
        let merge = [&["merge", &files[0]], place, &[&files[2], &files[3]]].concat();
        let ran = scratch.wal(&merge).ends(104);
        assert_eq!(ran.out, "", "{merge:?}");
        format!("$ wal {}\n{}\n", merge.join(" "), ran.stderr_text())
    };
    let printed: String = [
        &[][..],
        &["slice-2.jsonl", "copy.jsonl"],
        &["cut.jsonl"],
        &["torn.jsonl"],
        &["short.jsonl"],
        &["damaged.jsonl"],
        &["twice.jsonl"],
        &["other-seed.jsonl"],
        &["empty.jsonl"],
        &["newer.jsonl"],
        &["other.jsonl"],
        &["rebuilt.jsonl"],
        &["nowhere.jsonl"],
    ]
    .into_iter()
    .map(with)
    .collect();
    insta::assert_snapshot!(printed, @"
    $ wal merge slice-1.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      of 4 slices, number 2 is missing
    $ wal merge slice-1.jsonl slice-2.jsonl copy.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      copy.jsonl: slice 2 is also in slice-2.jsonl
    $ wal merge slice-1.jsonl cut.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      cut.jsonl: truncated after 8 cases: resume it first
    $ wal merge slice-1.jsonl torn.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      torn.jsonl: truncated after 8 cases: resume it first
    $ wal merge slice-1.jsonl short.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      short.jsonl: 7 cases, but its footer counts 8
    $ wal merge slice-1.jsonl damaged.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      damaged.jsonl:2: a damaged line: expected `:` at column 37
    $ wal merge slice-1.jsonl twice.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      twice.jsonl: correct@3 appears twice
    $ wal merge slice-1.jsonl other-seed.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      other-seed.jsonl: its cases are not those of its header
    $ wal merge slice-1.jsonl empty.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      empty.jsonl: only a partial header: the sweep was ended at its start
    $ wal merge slice-1.jsonl newer.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      newer.jsonl: not a sweep's results: format 4, this program reads format 3
    $ wal merge slice-1.jsonl other.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      other.jsonl: of another sweep than slice-1.jsonl: scenarios correct, not missing-sync, correct
      of 4 slices, number 2 is missing
    $ wal merge slice-1.jsonl rebuilt.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      rebuilt.jsonl: of another sweep than slice-1.jsonl: program another wal 0.1.0, not wal 0.1.0
      of 4 slices, number 2 is missing
    $ wal merge slice-1.jsonl nowhere.jsonl slice-3.jsonl slice-4.jsonl
    error: the slices do not add up
      nowhere.jsonl: No such file or directory (os error 2)
    ");
}

/// Whether a case ended as expected is derived from its outcome and the header, and an impossible header is refused.
fn expectations_are_derived_and_not_read_from_the_file() {
    let scratch = Scratch::new("claims");
    scratch.wal(&["sweep", "missing-sync", "--seeds", "12..13", "--json", "a.jsonl"]).ends(100);
    let text = scratch.read("a.jsonl");
    assert!(!text.contains("as_expected"), "what can be derived is not written");
    scratch.wal(&["merge", "a.jsonl"]).ends(100);
    let claims = [
        ("\"seed\":12", "\"seed\":12,\"as_expected\":true"),
        ("\"unrecoverable-loss\"", "\"clean\""),
        ("\"of\":1", "\"of\":0"),
    ];
    for (from, to) in claims {
        assert!(text.contains(from), "{from}");
        scratch.write("b.jsonl", &text.replacen(from, to, 1));
        let ran = scratch.wal(&["merge", "b.jsonl"]).ends(104);
        assert!(ran.err.contains("b.jsonl"), "{}", ran.err);
    }
}

/// One slice each by a Slurm array, a Kubernetes Indexed Job, a GitHub matrix and GitLab: together they are the sweep.
fn each_scheduler_runs_the_slice_that_its_variables_name() {
    let scratch = Scratch::new("schedulers");
    let task = |file: &str, environment: &[(&str, &str)]| {
        let sweep = ["sweep", "correct", "--seeds", "1..9", "--partition", "auto", "--json", file];
        let mut command = scratch.command("wal", &sweep);
        for name in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "CI_NODE_INDEX", "BUILDKITE_PARALLEL_JOB"]
        {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        ProgramOutput::of(command.output().expect("this program can be started"))
    };
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "1"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "4"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
    ];
    let count = ("LATENT_PARTITION_COUNT", "4");
    let ran = [
        task("1.jsonl", &slurm),
        task("2.jsonl", &[("JOB_COMPLETION_INDEX", "1"), count]),
        task("3.jsonl", &[("LATENT_PARTITION_INDEX", "2"), count]),
        task("4.jsonl", &[("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "4")]),
    ];
    let printed: Vec<String> = ran.into_iter().map(|ran| ran.ends(0).err).collect();
    insta::assert_snapshot!(printed.concat(), @"
    partition slice:1/4, from Slurm array (SLURM_ARRAY_TASK_ID=1, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_MAX=4, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=4)
    partition slice:2/4, from Kubernetes Indexed Job (JOB_COMPLETION_INDEX=1, LATENT_PARTITION_COUNT=4)
    partition slice:3/4, from GitHub Actions matrix (LATENT_PARTITION_INDEX=2, LATENT_PARTITION_COUNT=4)
    partition slice:4/4, from GitLab CI (CI_NODE_INDEX=4, CI_NODE_TOTAL=4)
    ");
    scratch.wal(&["merge", "1.jsonl", "2.jsonl", "3.jsonl", "4.jsonl"]).ends(0);

    let nowhere = task("5.jsonl", &[]).ends(2);
    insta::assert_snapshot!(nowhere.err, @"
    error: --partition auto: no scheduler found; not set:
      SLURM_ARRAY_TASK_ID (Slurm array: sbatch --array=1-N)
      JOB_COMPLETION_INDEX (Kubernetes Indexed Job: the Job passes LATENT_PARTITION_COUNT, equal to its .spec.completions)
      LATENT_PARTITION_INDEX (GitHub Actions matrix: the workflow passes ${{ strategy.job-index }} and ${{ strategy.job-total }})
      CI_NODE_INDEX (GitLab CI: the job has `parallel: N`)
      BUILDKITE_PARALLEL_JOB (Buildkite: the step has `parallelism: N`)
      elsewhere, give --partition slice:I/N
    ");
    assert!(!scratch.path("5.jsonl").exists(), "nothing ran");
}

/// A scheduler repeats the same command, whether or not it ran before.
fn a_restarted_task_resumes() {
    let scratch = Scratch::new("started-again");
    let sweep =
        ["sweep", "correct", "--seeds", "1..9", "--jobs", "1", "--json", "task.jsonl", "--resume-if-exists"];
    let task = || {
        scratch.wal(&sweep).ends(0);
        scratch.read("task.jsonl")
    };
    let first = task();
    let lines: Vec<&str> = first.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 10, "a header, eight cases and an end");

    let stopped = lines[..4].concat();
    scratch.write("task.jsonl", &stopped);
    let again = task();
    // With the real times of the first run: those cases did not run again.
    assert!(again.starts_with(&stopped), "{again}");
    assert_eq!(again.lines().count(), lines.len());

    scratch.write("task.jsonl", "");
    assert_eq!(task().lines().count(), lines.len(), "a file that was only created is not an obstacle");
}

fn drawn_seeds_are_the_same_every_time() {
    let scratch = Scratch::new("drawn");
    let drawn = |file: &str, text: &str| {
        let sweep = ["sweep", "correct", "--seeds-from", text, "--count", "5", "--jobs", "2", "--json", file];
        let ran = scratch.wal(&sweep).ends(0);
        (ran.screen().replace(file, "FILE"), scratch.results(file))
    };
    let (screen, results) = drawn("a.jsonl", "2026-11-25");
    insta::assert_snapshot!(screen, @"
    correct: 5 cases as expected
      cases       5 of 5 seeds from '2026-11-25'
      outcomes    5 clean
      simulated   5 m in …
      determinism 0 cases checked
      struck      2 of 10 combinations of phase, operation and fault (-v shows each phase)
      bound       failure rate below 60% (95% confidence)
      results     FILE
    ");
    assert_eq!(drawn("b.jsonl", "2026-11-25"), (screen, results.clone()));
    let others = drawn("c.jsonl", "2026-11-26").1;
    let case = |line: &&String| line.starts_with("{\"case\"");
    assert!(others.iter().filter(case).all(|line| !results.contains(line)));
}
