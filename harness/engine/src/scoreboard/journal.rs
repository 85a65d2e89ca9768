//! The results file of the searches: one line for each bug and scenario.

use super::record::BugRecord;
use crate::output::JournalHeader;
use serde::{Deserialize, Serialize};

/// What makes the results of two runs comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BugsHeader {
    format: u32,
    /// The program: version and commit.
    pub build: String,
    /// First seed of each search.
    pub first_seeds: Vec<u64>,
    /// Number of seeds after which a search ends.
    pub limit: u64,
}

impl BugsHeader {
    pub fn new(build: &str, first_seeds: Vec<u64>, limit: u64) -> BugsHeader {
        BugsHeader { format: Self::FORMAT, build: build.to_owned(), first_seeds, limit }
    }
}

impl JournalHeader for BugsHeader {
    type Record = BugRecord;
    const COMMAND: &'static str = "bugs";
    const RECORD: &'static str = "bug";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }

    fn build(&self) -> &str {
        &self.build
    }
}
