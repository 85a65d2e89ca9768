//! An entry of the glossary.

use latent_ports::MarkName;

/// Category of a glossary entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GlossaryKind {
    /// A property that must hold.
    Invariant,
    /// Classification of a run.
    Outcome,
    /// Exit code of the program.
    ExitCode,
    /// The last part of a fingerprint.
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
    pub const ALL: [GlossaryKind; 8] = [
        GlossaryKind::Invariant,
        GlossaryKind::Outcome,
        GlossaryKind::ExitCode,
        GlossaryKind::LossClass,
        GlossaryKind::Fingerprint,
        GlossaryKind::Stage,
        GlossaryKind::Mark,
        GlossaryKind::Word,
    ];

    /// Name of the category, in the singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GlossaryKind::Invariant => "invariant",
            GlossaryKind::Outcome => "outcome",
            GlossaryKind::ExitCode => "exit code",
            GlossaryKind::LossClass => "loss class",
            GlossaryKind::Fingerprint => "fingerprint",
            GlossaryKind::Stage => "stage",
            GlossaryKind::Mark => "mark",
            GlossaryKind::Word => "word",
        }
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
