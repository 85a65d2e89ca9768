//! Progress of a planned recovery.

use crate::scenario::RecoverAction;

/// A planned recovery and its progress. It is part of the operator's state, which survives a restart of the
/// operator's node.
#[derive(Clone, Debug)]
pub(crate) struct RecoveryTask {
    pub recover: RecoverAction,
    /// Number of runs that reported themselves complete.
    pub completed: u32,
    /// Number of runs started.
    pub started: u32,
    /// True while a run is in progress.
    pub is_running: bool,
}

impl RecoveryTask {
    pub fn new(recover: RecoverAction) -> RecoveryTask {
        RecoveryTask { recover, completed: 0, started: 0, is_running: false }
    }

    /// Returns true if another run is needed and none is in progress. A recovery that never completes is given up
    /// after [`MAX_EXTRA_ATTEMPTS`] additional runs; its last report shows it.
    pub fn is_due(&self) -> bool {
        !self.is_running
            && self.completed < self.recover.times
            && self.started < self.recover.times + MAX_EXTRA_ATTEMPTS
    }
}

/// Maximum number of additional runs of a recovery that does not report itself complete.
const MAX_EXTRA_ATTEMPTS: u32 = 20;
