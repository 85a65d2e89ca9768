//! Options of `enumerate`, and the arguments that repeat it.

use crate::System;
use crate::case::pool;
use crate::case_source::{CaseSource, shell_word};
use crate::enumerate::{FaultFilter, OpFilter, PairOptions};
use crate::scenario::Timestamp;
use crate::sweep::sweep_spec::Slice;
use std::path::{Path, PathBuf};

/// The default of `--results`.
const RESULTS: &str = ".latent/enumerate.jsonl";

/// Largest argument of `--pairs`.
const MAX_DISTANCE: u64 = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A built-in scenario's name or a file, and the seed (the scenario's own if none is given, else 1)
    #[arg(value_name = "SCENARIO[@SEED]")]
    pub(super) target: String,
    /// Use this seed; the same as SCENARIO@SEED
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Inject only this fault, named as in --inject, or `crash` or `lost` for any of these; may be given several times
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    pub(super) fault: Vec<FaultFilter>,
    /// Inject only at this node
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// Inject only at operations from this time on, such as 2016-02-20T15:00:00Z
    #[arg(long, value_name = "A")]
    pub(super) from: Option<Timestamp>,
    /// Inject only at operations before this time
    #[arg(long, value_name = "B")]
    pub(super) to: Option<Timestamp>,
    /// Follow each fault by a second one, at each of the next K operations (20 if K is omitted) of its node and of the
    /// nodes that it exchanges messages with
    #[arg(long, value_name = "K", num_args = 0..=1, require_equals = true, default_missing_value = "20",
          value_parser = clap::value_parser!(u64).range(1..=MAX_DISTANCE))]
    pairs: Option<u64>,
    /// With --pairs: use only this second fault, named as for --fault; may be given several times [default:
    /// crash-drawn, error, lost]
    #[arg(long, value_name = "FAULT", value_delimiter = ',', requires = "pairs")]
    second: Vec<FaultFilter>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    pub(super) release: Option<String>,
    /// Run one partition, such as slice:1/4; the enumeration is clean if every partition is
    #[arg(long, value_name = "slice:I/N", env = "LATENT_PARTITION")]
    pub(super) partition: Option<Slice>,
    /// Run this many cases in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    pub(super) jobs: Option<usize>,
    /// Write each run to this file when it ends; `-` is the standard output
    #[arg(long, value_name = "FILE", default_value = RESULTS)]
    pub(super) results: PathBuf,
    /// Continue an interrupted enumeration from its results file
    #[arg(long)]
    pub(super) resume: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Print every failure, not only the first of each kind
    #[arg(short, long)]
    pub(super) verbose: bool,
}

impl Args {
    /// Returns the selection of operations and faults; of the first faults, for pairs.
    pub(super) fn filter(&self) -> OpFilter {
        OpFilter {
            faults: self.fault.iter().flat_map(|faults| faults.kinds.clone()).collect(),
            node: self.node.clone(),
            from_ms: self.from.map(|moment| moment.0.0),
            to_ms: self.to.map(|moment| moment.0.0),
        }
    }

    /// Returns the choice of second faults; `None`: the faults are single.
    pub(super) fn pair_options(&self) -> Option<PairOptions> {
        let kinds = self.second.iter().flat_map(|faults| faults.kinds.clone()).collect();
        self.pairs.map(|distance| PairOptions { distance, kinds })
    }

    /// Returns the requested slice.
    pub(super) fn slice(&self) -> Slice {
        self.partition.unwrap_or(Slice::WHOLE)
    }

    /// Returns the arguments that repeat the enumeration.
    pub(super) fn to_repeat<S: System>(&self, target: &CaseSource<S>) -> String {
        let slice = self.partition.map_or(String::new(), |slice| format!(" --partition {slice}"));
        format!("enumerate {}{}{slice}", target.arguments(), self.selection())
    }

    /// Returns the option that names the results file, preceded by a space; nothing for the default file.
    pub(super) fn results_option(&self) -> String {
        if self.results == Path::new(RESULTS) {
            String::new()
        } else {
            format!(" --results {}", shell_word(&self.results.display().to_string()))
        }
    }

    /// Returns the options that select faults, each preceded by a space.
    pub(super) fn selection(&self) -> String {
        let faults = self.fault.iter().map(|fault| format!(" --fault {fault}"));
        let others = [
            self.node.as_ref().map(|node| format!(" --node {}", shell_word(node))),
            self.from.map(|from| format!(" --from {from}")),
            self.to.map(|to| format!(" --to {to}")),
            self.pairs.map(|distance| format!(" --pairs={distance}")),
        ];
        let second = self.second.iter().map(|fault| format!(" --second {fault}"));
        faults.chain(others.into_iter().flatten()).chain(second).collect()
    }
}
