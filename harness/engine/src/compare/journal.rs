//! The results file of a comparison: one line for each case.

use super::record::ComparedCase;
use crate::output::JournalHeader;
use serde::{Deserialize, Serialize};

/// What makes the results of two runs comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareHeader {
    format: u32,
    /// The program: version and commit.
    pub build: String,
    /// Each scenario and variant, in the order of the columns.
    pub columns: Vec<(String, String)>,
    /// The first seed, and the one after the last.
    pub seeds: (u64, u64),
}

impl CompareHeader {
    pub fn new(build: &str, columns: Vec<(String, String)>, seeds: (u64, u64)) -> CompareHeader {
        CompareHeader { format: Self::FORMAT, build: build.to_owned(), columns, seeds }
    }
}

impl JournalHeader for CompareHeader {
    type Record = ComparedCase;
    const COMMAND: &'static str = "compare";
    const RECORD: &'static str = "case";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }

    fn build(&self) -> &str {
        &self.build
    }
}
