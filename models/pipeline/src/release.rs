//! Releases: a name, and the planted bugs in its code.
//!
//! A planted bug is a mistake that lost data elsewhere, behind one switch that only a release naming it turns on. It
//! proves that the harness finds such bugs. Code calls [`Release::has`] at the planted site.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use strum::{IntoStaticStr, VariantArray};

/// Bug planted in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Bug {
    /// A compaction job reads the day's file set once, at its start. Each of its runs commits that set plus its own
    /// output, so the second run drops the first one's output. The incident of February 2016.
    RecompactionOverwrites,
    /// A compaction run re-serializes each event: numbers, escapes and the order of members differ from what was sent.
    CompactionAltersEvent,
}

impl Bug {
    /// Every planted bug.
    pub const ALL: &'static [Bug] = Bug::VARIANTS;

    /// Returns the name used in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Release that a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Name, as used in deploys.
    pub name: String,
    /// Planted bugs; none in `good`.
    pub bugs: BTreeSet<Bug>,
}

impl Release {
    /// Returns the release without planted bugs.
    #[must_use]
    pub fn good() -> Self {
        Release { name: "good".to_owned(), bugs: BTreeSet::new() }
    }

    /// Whether this release has `bug`.
    #[must_use]
    pub fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
