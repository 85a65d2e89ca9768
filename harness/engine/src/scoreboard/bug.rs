//! A mistake planted in a system on purpose.

use latent_ports::MarkName;

/// Mistake that the release of the same name contains.
#[derive(Clone, Copy, Debug)]
pub struct PlantedBug {
    /// Name of the bug, and of the release that has it ([`crate::System::set_release`]).
    pub name: &'static str,
    /// The mistake, in one sentence.
    pub mistake: &'static str,
    /// Where the mistake was seen: a public report, or `own`.
    pub source: &'static str,
    /// Mark that the code reports when the mistake makes a difference.
    pub trigger: MarkName,
    /// Reason why no run can differ from one without the bug; `None` if a run can.
    pub equivalent: Option<&'static str>,
}
