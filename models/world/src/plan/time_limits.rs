//! Time limits of the liveness laws, counted from the end of faults: they determine how long healing must be.

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

/// Returns the minimum healing duration, in whole hours, after which all laws can be checked.
pub(crate) fn min_healing(config: &WorldConfig) -> Duration {
    let longest = bounds(config).into_iter().map(|(_, within)| within).max().unwrap_or_default();
    Duration::from_secs((longest.as_secs() / 3_600 + 1) * 3_600)
}
