//! The world: nodes, compaction, protection, operator and drills.

use super::choices::Choices;
use crate::plan::time_limits::min_healing;
use crate::scenario::{
    AuditSchedule, BackupSchedule, CompactionThresholds, OperatorConfig, Protection, TeeFailurePolicy,
    TeeProtection, Topology, WorldConfig,
};
use latent_engine::Span;
use std::time::Duration;

fn hours(hours: u64) -> Span {
    Span(Duration::from_secs(hours * 3_600))
}

/// Draws the topology: mostly eight copies, as in production; always four acknowledging copies; mostly two or three
/// edges.
pub(super) fn topology(choices: &Choices<'_>) -> Topology {
    Topology {
        edges: choices.pick(&[2, 3, 3, 2, 3, 2, 4, 5, 1]),
        ingest: choices.pick(&[2, 2, 1, 3]),
        copies: choices.pick(&[8, 8, 8, 8, 7, 6]),
        ack_copies: 4,
        workers: choices.pick(&[2, 2, 1, 3]),
        data_centers: choices.pick(&[2, 2, 1]),
        ..Topology::default()
    }
}

/// Draws thresholds that are low enough to merge a small day in several runs.
pub(super) fn compaction(choices: &Choices<'_>) -> CompactionThresholds {
    CompactionThresholds {
        late_seal_events: choices.pick(&[2, 1, 4, 20]),
        two_runs_from_events: choices.pick(&[10, 1, 30, 100]),
        grace: hours(choices.pick(&[3, 1, 12])),
    }
}

/// Draws all or parts of the protection.
pub(super) fn protection(choices: &Choices<'_>) -> Protection {
    let (has_tee, has_backup) = choices.pick(&[
        (true, true),
        (true, true),
        (true, true),
        (true, false),
        (false, true),
        (false, false),
    ]);
    let retention_h: u64 = choices.pick(&[168, 72, 48]);
    let tee = has_tee.then(|| TeeProtection {
        retention: hours(retention_h),
        on_failure: choices.pick(&[TeeFailurePolicy::Reject, TeeFailurePolicy::AcceptAndRecordGap]),
    });
    let interval_h: u64 = choices.pick(&[24, 12, 6, 48]);
    let backup = has_backup.then(|| BackupSchedule {
        interval: hours(interval_h),
        first_after: hours(choices.pick(&[6, 1, 20])),
        retention: hours(retention_h + interval_h + choices.pick(&[24, 0, 200])),
    });
    let audit = (has_tee && !choices.percent(20))
        .then(|| AuditSchedule { after_midnight: hours(choices.pick(&[3, 2, 6])) });
    Protection { tee, backup, audit }
}

/// Draws an operator, drills, and a sufficient healing time.
pub(super) fn recovery_setup(choices: &Choices<'_>, config: &mut WorldConfig) {
    let Protection { tee, backup, audit } = &config.protection;
    if audit.is_some() && choices.percent(70) {
        config.operator = Some(OperatorConfig { reaction: hours(choices.pick(&[2, 1, 8])) });
    }
    if tee.is_some() || backup.is_some() {
        config.drills = choices.pick(&[0, 0, 1, 2]);
    }
    config.healing = Span(min_healing(config) + hours(choices.pick(&[0, 0, 12, 24])).0);
}
