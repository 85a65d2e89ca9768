//! The result of judging a run.

use super::compacted_days::CompactedDays;
use latent_engine::verdict::{PendingWork, Violation};
use latent_oracle::loss::{LossEpisode, LossSummary};
use latent_oracle::{ExcusedPeriods, ProjectDay};
use std::collections::BTreeSet;

/// Title, and the sorted keys of a day's events before and after a loss.
pub(crate) type SmallestLossKeys = (String, Vec<String>, Vec<String>);

/// The judge's result.
pub(crate) struct Judgement {
    /// All violations, earliest first.
    pub violations: Vec<Violation>,
    /// Work because of which the run hung, the worst first.
    pub hung: Vec<PendingWork>,
    /// The losses of production.
    pub loss: LossSummary,
    /// Each time that a project-day lacked events.
    pub loss_episodes: Vec<(ProjectDay, LossEpisode)>,
    /// Days of which planned faults corrupted some copy.
    pub corrupt_days: BTreeSet<ProjectDay>,
    /// The smallest loss, if any loss was small enough to be named.
    pub smallest_loss: Option<SmallestLossKeys>,
    /// True if production lacks events at the end.
    pub is_short: bool,
    /// Maximum number of events that a drill lacked because their requests are in open gaps of the tee.
    pub missing_by_design: u64,
    /// Times at which faults kept alarms from the operator.
    pub alarm_excuses: ExcusedPeriods,
    /// Compactions that manifests show.
    pub compactions: CompactedDays,
    /// Number of compaction runs that were compared with their inputs.
    pub runs_compared: u64,
    /// Number of checks of production.
    pub checks: u64,
    /// Number of records on all disks at the last complete check.
    pub copies_held: u64,
}
