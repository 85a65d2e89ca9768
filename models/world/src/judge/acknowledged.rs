//! What the checks at acknowledgements share: the time of the check, and the disks that planned faults excuse.

use crate::observe::fault_log::FaultLog;
use latent_oracle::{CheckContext, DiskView};
use std::collections::BTreeSet;

/// Returns the context of a check at an acknowledgement.
pub(super) fn context(at_ms: i64) -> CheckContext {
    CheckContext {
        at_ms,
        stage: "acknowledged".to_owned(),
        settled_before_ms: at_ms,
        faults_active: false,
        replays: 0,
        damaged_disks: BTreeSet::new(),
    }
}

/// Returns the number of disks that need not hold what they confirmed: planned faults corrupted one of the files shown,
/// or may have cost the disk what it confirmed lately.
pub(super) fn excused_disks(fault_log: &FaultLog, views: &[DiskView], at_ms: i64) -> usize {
    let is_excused = |view: &&DiskView| {
        fault_log.loses_new_writes(&view.name, at_ms) || view.files.iter().any(|file| file.corrupted)
    };
    views.iter().filter(is_excused).count()
}
