//! Time limits: those of the liveness laws, counted from the end of faults, which determine how long healing must be;
//! and those of the detection and the repair of a loss.

use crate::scenario::WorldConfig;
use latent_oracle::invariants::{l1_backlogs, l2_compaction, l3_backup, l4_recovery, l5_divergence};
use std::time::Duration;

/// Returns the time limit of each applicable law, counted from the end of faults.
pub(crate) fn bounds(config: &WorldConfig) -> Vec<(&'static str, Duration)> {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let mut bounds = vec![
        ("L1, backlogs", ms(l1_backlogs::WITHIN_MS)),
        ("L2, compaction", ms(l2_compaction::WITHIN_MS)),
        ("L5, divergence", ms(l5_divergence::WITHIN_MS)),
    ];
    let interval_ms = config.protection.backup.as_ref().map(|backup| backup.interval.0.as_millis() as i64);
    bounds.extend(
        interval_ms.and_then(l3_backup::within_ms).map(|within| ("L3, the daily backup", ms(within))),
    );
    if config.operator.is_some() {
        bounds.push(("L4, recovery", ms(l4_recovery::WITHIN_MS)));
    }
    bounds
}

/// Time beyond its interval that a backup may take, retries included.
pub(crate) const BACKUP_SLACK: Duration = Duration::from_secs(3 * 3600);
/// Time limit of the audit: it checks each project once a night, so within 24 h, 25 h where clocks go back, plus an
/// hour of work.
const AUDIT_WITHIN: Duration = Duration::from_secs(26 * 3600);

/// Returns the time limit for the detection of a loss: that of the slowest detector of the scenario, because an audit
/// covers only what the tee holds, and a backup covers the rest. `None` without an audit, because then alarms have no
/// recipient.
pub(crate) fn detection(config: &WorldConfig) -> Option<Duration> {
    config.protection.audit.as_ref()?;
    let backup = config.protection.backup.as_ref().map(|backup| backup.interval.0 + BACKUP_SLACK);
    let audit = config.protection.tee.as_ref().map(|_| AUDIT_WITHIN);
    audit.max(backup)
}

/// Time for which damage to a disk counts: three nights until every day was read, and a fourth to make copies equal.
pub(crate) const REPAIRED_AFTER_MS: i64 = 4 * 86_400_000;

/// Time until every day has been scrubbed. The audit compares digests that disks remember, so bits that rot under them
/// are noticed by the scrub.
pub(crate) const SCRUB_CYCLE: Duration = Duration::from_secs(3 * 86_400);

/// Returns the time in which an operator has restored a loss: its detection, the operator's reaction, and the recovery.
/// `None`: no operator reacts.
pub(crate) fn operator_repair(config: &WorldConfig, is_corruption: bool) -> Option<Duration> {
    let reaction = config.operator.as_ref()?.reaction.0;
    let scrub = if is_corruption { SCRUB_CYCLE } else { Duration::ZERO };
    let recovery = Duration::from_millis(l4_recovery::WITHIN_MS.unsigned_abs());
    Some(detection(config)? + scrub + reaction + recovery)
}

/// Returns the minimum healing duration, in whole hours, after which all laws can be checked.
pub(crate) fn min_healing(config: &WorldConfig) -> Duration {
    let longest = bounds(config).into_iter().map(|(_, within)| within).max().unwrap_or_default();
    Duration::from_secs((longest.as_secs() / 3_600 + 1) * 3_600)
}
