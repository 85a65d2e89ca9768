//! Recoveries that the operator started and has not finished: the world owns the operator, so the system is not asked.

/// Start times of unfinished recoveries, in milliseconds since 1970. It survives a restart of the operator's node.
#[derive(Debug, Default)]
pub(crate) struct RecoveryLog {
    in_progress_ms: Vec<i64>,
    /// Start of the first recovery that died with its process, if none was run to its end since.
    died_ms: Option<i64>,
}

impl RecoveryLog {
    /// Records the start of a recovery.
    pub fn started(&mut self, at_ms: i64) {
        self.in_progress_ms.push(at_ms);
    }

    /// Records the end of a recovery, which also does the work of those that died.
    pub fn ended(&mut self) {
        // Any of several may be removed: all have started, and one has ended.
        self.in_progress_ms.pop();
        self.died_ms = None;
    }

    /// Records that the operator's process died.
    pub fn process_died(&mut self) {
        let first = std::mem::take(&mut self.in_progress_ms).into_iter().min();
        self.died_ms = self.died_ms.or(first);
    }

    /// Whether a recovery writes to the disks, one copy after another.
    pub fn is_active(&self) -> bool {
        !self.in_progress_ms.is_empty()
    }

    /// Returns the start times of the unfinished recoveries.
    pub fn unfinished_ms(&self) -> impl Iterator<Item = i64> {
        self.in_progress_ms.iter().copied().chain(self.died_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_that_died_is_unfinished_until_another_ends() {
        let mut log = RecoveryLog::default();
        let unfinished = |log: &RecoveryLog| log.unfinished_ms().collect::<Vec<_>>();
        log.started(3);
        log.started(5);
        assert!(log.is_active());
        log.process_died();
        assert_eq!((log.is_active(), unfinished(&log)), (false, vec![3]));
        log.started(9);
        log.process_died();
        assert_eq!(unfinished(&log), [3], "the first of them");
        log.started(12);
        assert_eq!(unfinished(&log), [12, 3]);
        log.ended();
        assert_eq!((log.is_active(), unfinished(&log)), (false, vec![]));
    }
}
