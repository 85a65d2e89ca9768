//! An entry of the glossary.

use latent_ports::MarkName;
use strum::{IntoStaticStr, VariantArray};

/// Category of a glossary entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum GlossaryKind {
    /// A property that must hold.
    Invariant,
    /// Classification of a run.
    Outcome,
    /// Exit code of the program.
    #[strum(serialize = "exit code")]
    ExitCode,
    /// The last part of a fingerprint.
    #[strum(serialize = "loss class")]
    LossClass,
    /// Fingerprint of a run that ended before its checks, without the location that follows it.
    Fingerprint,
    /// Time at which a violation was detected: the third part of a fingerprint.
    Stage,
    /// A code location that reports when it is reached.
    Mark,
    /// Any other term of a screen.
    Word,
}

impl GlossaryKind {
    /// Every category, in listing order.
    pub const ALL: &'static [GlossaryKind] = GlossaryKind::VARIANTS;

    /// Name of the category, in the singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Explanation of one term, in four parts. An empty part is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlossaryEntry {
    /// The term, as printed.
    pub name: String,
    /// Its category.
    pub kind: GlossaryKind,
    /// The property, for an invariant; the definition, for all others.
    pub means: String,
    /// Its importance.
    pub matters: String,
    /// Usual causes of a violation, or of a mark that is not reached.
    pub causes: String,
    /// The next step for the user.
    pub next: String,
}

impl GlossaryEntry {
    /// Creates the entry of a mark, whose meaning is declared with it.
    #[must_use]
    pub fn mark(mark: MarkName, [matters, causes, next]: [&str; 3]) -> GlossaryEntry {
        GlossaryEntry::new(GlossaryKind::Mark, mark.name(), [mark.meaning(), matters, causes, next])
    }

    /// Creates an entry from its four parts.
    #[must_use]
    pub fn new(
        kind: GlossaryKind,
        name: impl Into<String>,
        [means, matters, causes, next]: [&str; 4],
    ) -> GlossaryEntry {
        let text = str::to_owned;
        let name = name.into();
        GlossaryEntry {
            name,
            kind,
            means: text(means),
            matters: text(matters),
            causes: text(causes),
            next: text(next),
        }
    }
}
