//! The results file of a comparison: one line for each case.

use super::record::ComparedCase;
use crate::output::JournalHeader;
use serde::{Deserialize, Serialize};

/// A column, and what its cases ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnHeader {
    pub scenario: String,
    pub variant: String,
    /// Digest of the scenario's text with its variant: an edited file has other results.
    pub digest: String,
}

/// What makes the results of two runs comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareHeader {
    format: u32,
    /// The program: version and commit.
    pub build: String,
    pub columns: Vec<ColumnHeader>,
    /// The first seed, and the one after the last.
    pub seeds: (u64, u64),
}

impl CompareHeader {
    pub fn new(build: &str, columns: Vec<ColumnHeader>, seeds: (u64, u64)) -> CompareHeader {
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
