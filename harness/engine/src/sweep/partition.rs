//! `--partition auto`: selects the slice of this process from the variables that a scheduler sets for each task of an
//! array.
//!
//! A scheduler numbers its tasks in one variable, the index, and counts them in others. A scheduler is detected by its
//! index, so a count alone (GitLab sets `CI_NODE_TOTAL=1` for every job) is ignored. Two schedulers at once, such as a
//! Buildkite agent inside a Slurm array, must agree: a guess would run one slice twice and skip another, and only
//! `merge` would detect it, hours later. For the same reason an array with gaps is refused, and a count of the
//! project's own, [`COUNT`], is compared with the scheduler's wherever it is set: `sbatch --array=3`, typed to repeat
//! one task of eight, is an array of one for Slurm, which would be the whole sweep.

use super::sweep_spec::Slice;
use std::fmt;
use std::str::FromStr;

/// Number of slices, for schedulers that do not pass a count to their tasks; compared with the count of those that do.
const COUNT: &str = "LATENT_PARTITION_COUNT";

/// Index of the slice, from 0, for schedulers that set no variable: GitHub's matrix passes it.
const INDEX: &str = "LATENT_PARTITION_INDEX";

const SLURM_INDEX: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_MIN: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_MAX: &str = "SLURM_ARRAY_TASK_MAX";
const SLURM_STEP: &str = "SLURM_ARRAY_TASK_STEP";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";

/// The argument of `--partition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    /// `slice:I/N`.
    Slice(Slice),
    /// `auto`: see [`of_environment`].
    Auto,
}

impl FromStr for Partition {
    type Err = String;
    fn from_str(text: &str) -> Result<Partition, String> {
        if text == "auto" { Ok(Partition::Auto) } else { text.parse().map(Partition::Slice) }
    }
}

/// A scheduler with one variable for the index and one for the count.
struct Scheduler {
    name: &'static str,
    index: &'static str,
    /// Index of the first task.
    first: u64,
    count: &'static str,
    /// How to set the variables in a job.
    hint: &'static str,
}

const SCHEDULERS: [Scheduler; 4] = [
    Scheduler {
        name: "Kubernetes Indexed Job",
        index: "JOB_COMPLETION_INDEX",
        first: 0,
        count: COUNT,
        hint: "the Job passes LATENT_PARTITION_COUNT, equal to its .spec.completions",
    },
    Scheduler {
        name: "GitHub Actions matrix",
        index: INDEX,
        first: 0,
        count: COUNT,
        hint: "the workflow passes ${{ strategy.job-index }} and ${{ strategy.job-total }}",
    },
    Scheduler {
        name: "GitLab CI",
        index: "CI_NODE_INDEX",
        first: 1,
        count: "CI_NODE_TOTAL",
        hint: "the job has `parallel: N`",
    },
    Scheduler {
        name: "Buildkite",
        index: "BUILDKITE_PARALLEL_JOB",
        first: 0,
        count: "BUILDKITE_PARALLEL_JOB_COUNT",
        hint: "the step has `parallelism: N`",
    },
];

/// A slice, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetectedPartition {
    pub slice: Slice,
    /// The scheduler, with the variables read and their values.
    source: String,
}

impl fmt::Display for DetectedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, from {}", self.slice, self.source)
    }
}

/// Returns the slice that the environment of this process names.
///
/// # Errors
/// No scheduler's variables are set, or some that contradict each other: the message names them and their values.
pub(crate) fn of_environment() -> Result<DetectedPartition, String> {
    detect(&|name| {
        // Text that is not UTF-8 is not a number either: the error shows it.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}

type VariableReader<'a> = &'a dyn Fn(&str) -> Option<String>;

fn detect(read: VariableReader<'_>) -> Result<DetectedPartition, String> {
    let mut found = Vec::new();
    if is_set(read, SLURM_INDEX) {
        found.push(slurm(read)?);
    }
    for scheduler in &SCHEDULERS {
        if is_set(read, scheduler.index) {
            found.push(indexed(scheduler, read)?);
        }
    }
    let Some((first, others)) = found.split_first() else { return Err(none_found(read)) };
    if others.iter().any(|other| other.slice != first.slice) {
        let lines: String = found.iter().map(|one| format!("\n  {one}")).collect();
        return Err(format!(
            "--partition auto: two schedulers contradict each other{lines}\n  {MANUAL_HINT}"
        ));
    }
    if is_set(read, COUNT) {
        let count = number(read, COUNT)?;
        if count != first.slice.of {
            return Err(format!(
                "--partition auto: {COUNT}={count}, but {} from {}\n  to repeat one slice of {count}, give --partition slice:I/{count}",
                first.slice.of, first.source
            ));
        }
    }
    let sources: Vec<&str> = found.iter().map(|one| one.source.as_str()).collect();
    Ok(DetectedPartition { slice: first.slice, source: sources.join(" and ") })
}

const MANUAL_HINT: &str = "give the slice by hand, --partition slice:I/N, or unset what does not apply";

/// The indices of a Slurm array are MIN, MIN + STEP, ... MAX, of which this task is one.
fn slurm(read: VariableReader<'_>) -> Result<DetectedPartition, String> {
    let index = number(read, SLURM_INDEX)?;
    let (min, max) = (number(read, SLURM_MIN)?, number(read, SLURM_MAX)?);
    let count = number(read, SLURM_COUNT)?;
    let step = if is_set(read, SLURM_STEP) { number(read, SLURM_STEP)? } else { 1 };
    let source = format!(
        "Slurm array ({SLURM_INDEX}={index}, {SLURM_MIN}={min}, {SLURM_MAX}={max}, {SLURM_STEP}={step}, {SLURM_COUNT}={count})"
    );
    let place = index.checked_sub(min).filter(|_| index <= max);
    let steps = |distance: u64| distance.checked_rem(step).filter(|rest| *rest == 0).map(|_| distance / step);
    let of = max.checked_sub(min).and_then(steps).and_then(|steps| steps.checked_add(1));
    match (place.and_then(steps), of) {
        (Some(place), Some(of)) if of == count => {
            Ok(DetectedPartition { slice: Slice { index: place + 1, of }, source })
        }
        _ => Err(format!(
            "--partition auto: the array's indices are not evenly spaced, or its variables contradict each other: {source}\n  submit it as --array=1-N, or give --partition slice:I/N"
        )),
    }
}

fn indexed(scheduler: &Scheduler, read: VariableReader<'_>) -> Result<DetectedPartition, String> {
    let Scheduler { name, index: index_name, first, count: count_name, hint } = scheduler;
    let index = number(read, index_name)?;
    if !is_set(read, count_name) {
        return Err(format!("--partition auto: {index_name}={index}, but {count_name} is not set\n  {hint}"));
    }
    let count = number(read, count_name)?;
    let source = format!("{name} ({index_name}={index}, {count_name}={count})");
    match index.checked_sub(*first).filter(|place| *place < count) {
        Some(place) => Ok(DetectedPartition { slice: Slice { index: place + 1, of: count }, source }),
        None => {
            let last = count.checked_sub(1).and_then(|count| count.checked_add(*first));
            let why = last.map_or("the count must not be 0".to_owned(), |last| {
                format!("the index must be from {first} to {last}")
            });
            Err(format!("--partition auto: {source}: {why}\n  {hint}"))
        }
    }
}

fn none_found(read: VariableReader<'_>) -> String {
    let mut message = format!(
        "--partition auto: no scheduler found; not set:\n  {SLURM_INDEX} (Slurm array: sbatch --array=1-N)"
    );
    for Scheduler { name, index, hint, .. } in &SCHEDULERS {
        message.push_str(&format!("\n  {index} ({name}: {hint})"));
    }
    let counts = SCHEDULERS.iter().map(|scheduler| scheduler.count).chain([SLURM_COUNT]);
    let mut alone: Vec<String> = counts
        .filter_map(|name| {
            read(name).filter(|value| !value.is_empty()).map(|value| format!("{name}={value}"))
        })
        .collect();
    alone.dedup();
    if !alone.is_empty() {
        message.push_str(&format!("\n  set, but a count without an index: {}", alone.join(", ")));
    }
    message.push_str("\n  elsewhere, give --partition slice:I/N");
    message
}

/// Whether a variable has a value. An empty one counts as not set: that is how containers and workflows unset it.
fn is_set(read: VariableReader<'_>, name: &str) -> bool {
    read(name).is_some_and(|value| !value.is_empty())
}

fn number(read: VariableReader<'_>, name: &str) -> Result<u64, String> {
    let Some(value) = read(name).filter(|value| !value.is_empty()) else {
        return Err(format!(
            "--partition auto: {name} is not set, though others of its scheduler are\n  {MANUAL_HINT}"
        ));
    };
    value
        .parse()
        .map_err(|_| format!("--partition auto: {name}={value:?} is not a number from 0\n  {MANUAL_HINT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(environment: &[(&str, &str)]) -> Result<DetectedPartition, String> {
        detect(&|name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// The environment of task `index` of `sbatch --array=MIN-MAX:STEP`.
    fn array(index: &str, [min, max, step, count]: [&'static str; 4]) -> Result<DetectedPartition, String> {
        detected(&[
            (SLURM_INDEX, index),
            (SLURM_MIN, min),
            (SLURM_MAX, max),
            (SLURM_STEP, step),
            (SLURM_COUNT, count),
        ])
    }

    fn slice(found: &Result<DetectedPartition, String>) -> String {
        found.as_ref().map_or_else(String::clone, |found| found.slice.to_string())
    }

    #[test]
    fn each_scheduler_names_its_slice() {
        let found = [
            array("3", ["1", "4", "1", "4"]),
            detected(&[("JOB_COMPLETION_INDEX", "2"), (COUNT, "4")]),
            detected(&[(INDEX, "2"), (COUNT, "4")]),
            detected(&[("CI_NODE_INDEX", "3"), ("CI_NODE_TOTAL", "4")]),
            detected(&[("BUILDKITE_PARALLEL_JOB", "2"), ("BUILDKITE_PARALLEL_JOB_COUNT", "4")]),
        ];
        let message: Vec<String> = found.into_iter().map(|found| found.unwrap().to_string()).collect();
        insta::assert_snapshot!(message.join("\n"), @"
        partition slice:3/4, from Slurm array (SLURM_ARRAY_TASK_ID=3, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_MAX=4, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=4)
        partition slice:3/4, from Kubernetes Indexed Job (JOB_COMPLETION_INDEX=2, LATENT_PARTITION_COUNT=4)
        partition slice:3/4, from GitHub Actions matrix (LATENT_PARTITION_INDEX=2, LATENT_PARTITION_COUNT=4)
        partition slice:3/4, from GitLab CI (CI_NODE_INDEX=3, CI_NODE_TOTAL=4)
        partition slice:3/4, from Buildkite (BUILDKITE_PARALLEL_JOB=2, BUILDKITE_PARALLEL_JOB_COUNT=4)
        ");
    }

    #[test]
    fn a_slurm_array_counts_from_its_first_index_in_its_steps() {
        let indices = |all: [&str; 3], shape| all.map(|index| slice(&array(index, shape))).join(" ");
        assert_eq!(indices(["0", "1", "2"], ["0", "2", "1", "3"]), "slice:1/3 slice:2/3 slice:3/3");
        assert_eq!(indices(["5", "7", "9"], ["5", "9", "2", "3"]), "slice:1/3 slice:2/3 slice:3/3");
        // Without a step, it is 1.
        let no_step =
            [(SLURM_INDEX, "2"), (SLURM_MIN, "1"), (SLURM_MAX, "3"), (SLURM_COUNT, "3"), (SLURM_STEP, "")];
        assert_eq!(slice(&detected(&no_step)), "slice:2/3");
    }

    #[test]
    fn two_schedulers_that_agree_are_both_named() {
        let both = detected(&[
            ("CI_NODE_INDEX", "1"),
            ("CI_NODE_TOTAL", "2"),
            ("BUILDKITE_PARALLEL_JOB", "0"),
            ("BUILDKITE_PARALLEL_JOB_COUNT", "2"),
        ]);
        insta::assert_snapshot!(both.unwrap(), @"partition slice:1/2, from GitLab CI (CI_NODE_INDEX=1, CI_NODE_TOTAL=2) and Buildkite (BUILDKITE_PARALLEL_JOB=0, BUILDKITE_PARALLEL_JOB_COUNT=2)");
    }

    #[test]
    fn missing_or_contradictory_variables_are_named() {
        let wrong = [
            detected(&[]),
            detected(&[("CI_NODE_TOTAL", "1"), (COUNT, "4"), ("JOB_COMPLETION_INDEX", "")]),
            detected(&[("JOB_COMPLETION_INDEX", "0")]),
            detected(&[("JOB_COMPLETION_INDEX", "4"), (COUNT, "4")]),
            detected(&[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "4")]),
            detected(&[("CI_NODE_INDEX", "five"), ("CI_NODE_TOTAL", "4")]),
            detected(&[("BUILDKITE_PARALLEL_JOB", "0"), ("BUILDKITE_PARALLEL_JOB_COUNT", "0")]),
            detected(&[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "2"), (INDEX, "1"), (COUNT, "2")]),
            detected(&[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "2"), (COUNT, "4")]),
            detected(&[(SLURM_INDEX, "1")]),
            // --array=1,3,7
            array("3", ["1", "7", "1", "3"]),
            array("8", ["1", "7", "1", "7"]),
            array("2", ["1", "7", "2", "4"]),
            array("1", ["1", "7", "0", "7"]),
            array("1", ["0", "18446744073709551615", "1", "4"]),
        ];
        let message: Vec<String> = wrong.into_iter().map(|found| found.unwrap_err()).collect();
        insta::assert_snapshot!(message.join("\n"), @r#"
        --partition auto: no scheduler found; not set:
          SLURM_ARRAY_TASK_ID (Slurm array: sbatch --array=1-N)
          JOB_COMPLETION_INDEX (Kubernetes Indexed Job: the Job passes LATENT_PARTITION_COUNT, equal to its .spec.completions)
          LATENT_PARTITION_INDEX (GitHub Actions matrix: the workflow passes ${{ strategy.job-index }} and ${{ strategy.job-total }})
          CI_NODE_INDEX (GitLab CI: the job has `parallel: N`)
          BUILDKITE_PARALLEL_JOB (Buildkite: the step has `parallelism: N`)
          elsewhere, give --partition slice:I/N
        --partition auto: no scheduler found; not set:
          SLURM_ARRAY_TASK_ID (Slurm array: sbatch --array=1-N)
          JOB_COMPLETION_INDEX (Kubernetes Indexed Job: the Job passes LATENT_PARTITION_COUNT, equal to its .spec.completions)
          LATENT_PARTITION_INDEX (GitHub Actions matrix: the workflow passes ${{ strategy.job-index }} and ${{ strategy.job-total }})
          CI_NODE_INDEX (GitLab CI: the job has `parallel: N`)
          BUILDKITE_PARALLEL_JOB (Buildkite: the step has `parallelism: N`)
          set, but a count without an index: LATENT_PARTITION_COUNT=4, CI_NODE_TOTAL=1
          elsewhere, give --partition slice:I/N
        --partition auto: JOB_COMPLETION_INDEX=0, but LATENT_PARTITION_COUNT is not set
          the Job passes LATENT_PARTITION_COUNT, equal to its .spec.completions
        --partition auto: Kubernetes Indexed Job (JOB_COMPLETION_INDEX=4, LATENT_PARTITION_COUNT=4): the index must be from 0 to 3
          the Job passes LATENT_PARTITION_COUNT, equal to its .spec.completions
        --partition auto: GitLab CI (CI_NODE_INDEX=0, CI_NODE_TOTAL=4): the index must be from 1 to 4
          the job has `parallel: N`
        --partition auto: CI_NODE_INDEX="five" is not a number from 0
          give the slice by hand, --partition slice:I/N, or unset what does not apply
        --partition auto: Buildkite (BUILDKITE_PARALLEL_JOB=0, BUILDKITE_PARALLEL_JOB_COUNT=0): the count must not be 0
          the step has `parallelism: N`
        --partition auto: two schedulers contradict each other
          partition slice:2/2, from GitHub Actions matrix (LATENT_PARTITION_INDEX=1, LATENT_PARTITION_COUNT=2)
          partition slice:1/2, from GitLab CI (CI_NODE_INDEX=1, CI_NODE_TOTAL=2)
          give the slice by hand, --partition slice:I/N, or unset what does not apply
        --partition auto: LATENT_PARTITION_COUNT=4, but 2 from GitLab CI (CI_NODE_INDEX=1, CI_NODE_TOTAL=2)
          to repeat one slice of 4, give --partition slice:I/4
        --partition auto: SLURM_ARRAY_TASK_MIN is not set, though others of its scheduler are
          give the slice by hand, --partition slice:I/N, or unset what does not apply
        --partition auto: the array's indices are not evenly spaced, or its variables contradict each other: Slurm array (SLURM_ARRAY_TASK_ID=3, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_MAX=7, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=3)
          submit it as --array=1-N, or give --partition slice:I/N
        --partition auto: the array's indices are not evenly spaced, or its variables contradict each other: Slurm array (SLURM_ARRAY_TASK_ID=8, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_MAX=7, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=7)
          submit it as --array=1-N, or give --partition slice:I/N
        --partition auto: the array's indices are not evenly spaced, or its variables contradict each other: Slurm array (SLURM_ARRAY_TASK_ID=2, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_MAX=7, SLURM_ARRAY_TASK_STEP=2, SLURM_ARRAY_TASK_COUNT=4)
          submit it as --array=1-N, or give --partition slice:I/N
        --partition auto: the array's indices are not evenly spaced, or its variables contradict each other: Slurm array (SLURM_ARRAY_TASK_ID=1, SLURM_ARRAY_TASK_MIN=1, SLURM_ARRAY_TASK_MAX=7, SLURM_ARRAY_TASK_STEP=0, SLURM_ARRAY_TASK_COUNT=7)
          submit it as --array=1-N, or give --partition slice:I/N
        --partition auto: the array's indices are not evenly spaced, or its variables contradict each other: Slurm array (SLURM_ARRAY_TASK_ID=1, SLURM_ARRAY_TASK_MIN=0, SLURM_ARRAY_TASK_MAX=18446744073709551615, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=4)
          submit it as --array=1-N, or give --partition slice:I/N
        "#);
    }

    #[test]
    fn one_task_of_an_array_that_is_submitted_again_alone_is_not_the_whole_sweep() {
        let alone =
            [(SLURM_INDEX, "3"), (SLURM_MIN, "3"), (SLURM_MAX, "3"), (SLURM_COUNT, "1"), (COUNT, "8")];
        insta::assert_snapshot!(detected(&alone).unwrap_err(), @"
        --partition auto: LATENT_PARTITION_COUNT=8, but 1 from Slurm array (SLURM_ARRAY_TASK_ID=3, SLURM_ARRAY_TASK_MIN=3, SLURM_ARRAY_TASK_MAX=3, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=1)
          to repeat one slice of 8, give --partition slice:I/8
        ");
    }

    #[test]
    fn an_argument_is_a_slice_or_auto() {
        assert_eq!("auto".parse(), Ok(Partition::Auto));
        assert_eq!("slice:2/4".parse(), Ok(Partition::Slice(Slice { index: 2, of: 4 })));
        "Auto".parse::<Partition>().unwrap_err();
    }
}
