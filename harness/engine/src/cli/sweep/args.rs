//! Flags of `sweep`.

use crate::case::pool;
use crate::scenario::Span;
use crate::sweep::partition::Partition;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Built-in scenarios' names, files, or `generated` for generated scenarios [default: generated]
    #[arg(value_name = "SCENARIO")]
    pub(super) scenarios: Vec<String>,
    /// Run these seeds, the end excluded [env: LATENT_SEEDS]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    pub(super) seeds: Option<String>,
    /// Derive the seeds from a text, such as a date: the same text gives the same seeds
    #[arg(long, value_name = "TEXT", conflicts_with = "seeds")]
    pub(super) seeds_from: Option<String>,
    /// Derive this many seeds from the text
    #[arg(long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Stop starting new cases after this long, such as 30m
    #[arg(long = "for", value_name = "TIME", env = "LATENT_FOR")]
    pub(super) duration: Option<Span>,
    /// Run this many cases in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    pub(super) jobs: Option<usize>,
    /// Run one partition, such as slice:1/4; combine with `merge`. `auto` reads it from the variables of Slurm,
    /// Kubernetes, GitHub, GitLab or Buildkite
    #[arg(long, value_name = "slice:I/N|auto", env = "LATENT_PARTITION")]
    pub(super) partition: Option<Partition>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME", env = "LATENT_RELEASE")]
    pub(super) release: Option<String>,
    /// Use this profile of latent.toml [default: quick, if neither scenarios nor seeds are given]
    #[arg(long, value_name = "NAME", env = "LATENT_PROFILE")]
    pub(super) profile: Option<String>,
    /// Stop a case after this much real time [default: 5m]
    #[arg(long, value_name = "TIME", env = "LATENT_CASE_TIME")]
    pub(super) case_time: Option<Span>,
    /// Stop a case that exceeds this much memory, in megabytes [default: 4096]
    #[arg(long, value_name = "MB", env = "LATENT_CASE_MEMORY_MB")]
    pub(super) case_memory_mb: Option<u64>,
    /// Exit like this if no case ran, as in a slice of few seeds: `fail` with code 4, `warn` or `pass` with code 0
    #[arg(long, value_name = "HOW", value_enum, default_value_t = NoCasesPolicy::Fail, env = "LATENT_NO_CASES",
        hide_possible_values = true)]
    pub(super) no_cases: NoCasesPolicy,
    /// Require that some case reaches this mark; may be given several times
    #[arg(long = "require", value_name = "MARK")]
    pub(super) required_marks: Vec<String>,
    /// Write results as JSON lines to this file when each case ends; `-` is the standard output
    #[arg(long, value_name = "FILE", default_value = ".latent/sweep.jsonl")]
    pub(super) json: PathBuf,
    /// Write results as JUnit XML to this file at the end; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Overwrite a file that is not JUnit XML
    #[arg(long)]
    pub(super) force: bool,
    /// Continue the interrupted sweep in the file of --json; without scenarios and seeds, with its own settings
    #[arg(long)]
    pub(super) resume: bool,
    /// Continue if the results file exists, else start: for a scheduler that repeats the same command
    #[arg(long)]
    pub(super) resume_if_exists: bool,
    /// Write annotations and the job summary for GitHub Actions
    #[arg(long)]
    pub(super) annotate: bool,
    /// Print every failure and every mark
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// Exit code of a sweep in which no case ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum NoCasesPolicy {
    /// Exit code 0.
    Pass,
    /// Exit code 0, and a warning.
    Warn,
    /// Exit code 4.
    Fail,
}
