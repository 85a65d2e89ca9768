//! Releases: a name, and the planted bugs that its code carries.
//!
//! A planted bug is a mistake that lost data elsewhere, behind one switch, on only in a release that names it:
//! the proof that the harness finds what it claims to find. Code asks [`Release::has`] at the planted site.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A mistake planted in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bug {
    /// A compaction job takes the day's file set once, at its start; each of its runs commits that set plus its
    /// own output, so the second run drops the first one's. The incident of February 2016.
    RecompactionOverwrites,
    /// A compaction run writes each event as it prints what it parsed: numbers, escapes and the order of members come out
    /// otherwise than they were sent.
    CompactionAltersEvent,
    /// Not a mistake: the release destroys whatever its node's credentials allow. See [`crate::hostile`].
    Hostile,
}

impl Bug {
    /// Every planted bug.
    pub const ALL: &'static [Bug] = &[Bug::RecompactionOverwrites, Bug::CompactionAltersEvent, Bug::Hostile];

    /// The name by which a release lists it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bug::RecompactionOverwrites => "recompaction-overwrites",
            Bug::CompactionAltersEvent => "compaction-alters-event",
            Bug::Hostile => "hostile",
        }
    }
}

/// What a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its name, as deploys use it.
    pub name: String,
    /// The mistakes that its code carries; none in `good`.
    pub bugs: BTreeSet<Bug>,
}

impl Release {
    /// The release without a planted bug.
    #[must_use]
    pub fn good() -> Self {
        Release { name: "good".to_owned(), bugs: BTreeSet::new() }
    }

    /// Whether this release carries `bug`.
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
