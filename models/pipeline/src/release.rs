//! Releases: a name, and the planted bugs in its code.
//!
//! A planted bug is a mistake that lost data elsewhere, behind one switch that only a release naming it turns on. It
//! proves that the harness finds such bugs. Code calls [`Release::has`] at the planted site.

use crate::marks;
use latent_ports::{Env, Mark};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use strum::{EnumMessage, EnumProperty, IntoStaticStr, VariantArray};

/// Bug planted in the pipeline. The doc comment is the mistake in one sentence, `source` is where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(EnumMessage, EnumProperty, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Bug {
    /// A compaction job reads the day's file set once, at its start. Each of its runs commits that set plus its own
    /// output, so the second run drops the first one's output. The incident of February 2016.
    #[strum(props(source = "the incident of February 2016"))]
    RecompactionOverwrites,
    /// A compaction run re-serializes each event: numbers, escapes and the order of members differ from what was sent.
    #[strum(props(source = "own"))]
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

    /// Returns the mistake, in one sentence.
    #[must_use]
    pub fn mistake(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// Returns where the mistake was seen: a public report, or `own`.
    #[must_use]
    pub fn source(self) -> &'static str {
        self.get_str("source").unwrap_or("own")
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

    /// Reports that a planted bug makes a difference: what follows is not what the good code does.
    pub fn reached<E: Env>(&self, env: &E, bug: Bug) {
        env.mark(Mark { name: marks::RELEASE_BUG_REACHED, subject: bug.name() });
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
