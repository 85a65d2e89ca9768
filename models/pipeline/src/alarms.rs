//! Alarms to the operator, delivered by a background task.
//!
//! Raising an alarm never waits, so no job depends on the operator being reachable. Each node has one outbox. While it
//! is not empty, one task delivers it, oldest first, and retries after a pause until the operator acknowledges. A new
//! alarm replaces a pending one with the same cause. The outbox is bounded: above the limit the oldest alarm is
//! dropped, with a mark. The outbox does not survive its process: after a restart the cause raises the alarm again (the
//! next audit finds the day still damaged, the next check finds a backup still overdue). Only a report of copies that
//! differed and were repaired is lost. An alarm may be delivered twice if its response was lost.

use crate::codec::{self, tag};
use crate::config::Cluster;
use crate::marks;
use crate::zone::Day;
use latent_ports::{Clock, Env, Mark, MarkName, Net, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Report to the operator. Answered `()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alarm {
    /// An export lacks events that the tee holds.
    EventsMissing {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Number of keys.
        keys: u64,
    },
    /// A copy of a day has other contents for some events than the tee.
    EventsAltered {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Number of events.
        events: u64,
    },
    /// So many copies of a day are corrupt that the others are too few to fill them: only a recovery can.
    TooFewCopies {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Number of copies that can be read.
        readable: u64,
    },
    /// The audit of a project could not run.
    AuditFailed {
        /// The project.
        project: u32,
        /// Reason.
        why: String,
    },
    /// A tee object cannot be read completely. Its readable part and the other files are used.
    TeeObjectUnreadable {
        /// Key of the object.
        object: String,
        /// Error.
        why: String,
    },
    /// A hold was placed: tee files and backups that can restore a damaged day are kept until the day is intact.
    HoldPlaced {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// A hold ended without a release: it exceeded its maximum age, or the holds kept too much data.
    HoldEnded {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// A backup found fewer events of a day in production than the previous backup.
    ProductionShrank {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Lower bound of the number of missing keys.
        keys: u64,
    },
    /// A data center has no backup of the last interval, or cannot be queried.
    BackupOverdue {
        /// Number of the data center, from 1.
        data_center: usize,
        /// Position of its newest backup, in ms since 1970. Before the first backup: the time when that was due. `None`
        /// when the data center could not be queried.
        newest_ms: Option<i64>,
    },
    /// No backup could be taken: no data center has new data.
    BackupFailed {
        /// Reason.
        why: String,
    },
    /// A project could not be copied. The backup of the other projects continues without it.
    BackupLagging {
        /// The project.
        project: u32,
        /// Position up to which backups hold the project, in ms since 1970; 0 if nothing is guaranteed.
        position_ms: i64,
        /// Reason.
        why: String,
    },
    /// No data center has a segment that the last backup held, and production does not have the file either.
    BackupDamaged {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// The catalog of a backup cannot be read in one data center.
    CatalogDamaged {
        /// Number of the data center, from 1.
        data_center: usize,
        /// Position of the backup, in ms since 1970.
        position_ms: i64,
        /// Whether it was restored from another data center.
        is_repaired: bool,
    },
    /// A configured retention is shorter than the cluster's minimum and is not applied.
    RetentionRefused {
        /// Data that the retention applies to.
        target: RetentionTarget,
        /// Configured retention, in ms.
        configured_ms: u64,
        /// Applied retention, in ms.
        effective_ms: u64,
    },
    /// A worker gave up the nightly job of a project on one disk until the next night.
    CompactionFailed {
        /// The project.
        project: u32,
        /// Node of the disk.
        disk: u16,
        /// Error of the last attempt.
        why: String,
    },
    /// A nightly job has not completed for too long.
    JobOverdue {
        /// Name of the job.
        job: NightlyJob,
        /// Projects for which it is overdue.
        projects: Vec<u32>,
        /// Upper bound of the time since it last completed, in ms.
        age_ms: u64,
    },
    /// Requests in the tee that no tee object holds any more.
    TeeUnreadable {
        /// Name of one incomplete file.
        file: String,
        /// Number of incomplete files.
        files: u64,
    },
    /// Copies of a day differ.
    CopiesDiffer {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
}

/// Data that is removed when it reaches its retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionTarget {
    /// Files of the tee store.
    Tee,
    /// Backups.
    Backups,
}

/// Job that runs each night for each project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NightlyJob {
    /// Compaction, by a worker.
    Compaction,
    /// Comparison of copies, by a worker.
    AntiEntropy,
    /// Audit.
    Audit,
}

impl NightlyJob {
    /// Returns the mark for a completed job of a project.
    pub(crate) fn mark(self) -> MarkName {
        match self {
            NightlyJob::Compaction => marks::COMPACTION_JOB_COMPLETE,
            NightlyJob::AntiEntropy => marks::REPAIR_COMPLETE,
            NightlyJob::Audit => marks::AUDIT_COMPLETE,
        }
    }
}

impl Alarm {
    /// Whether both alarms report the same cause, so that the later one replaces the earlier. Counts are not compared.
    #[must_use]
    pub fn has_same_cause(&self, other: &Alarm) -> bool {
        use Alarm::{
            BackupOverdue, CompactionFailed, EventsAltered, EventsMissing, JobOverdue, ProductionShrank,
            TeeObjectUnreadable, TooFewCopies,
        };
        match (self, other) {
            (EventsMissing { project, day, .. }, EventsMissing { project: of, day: on, .. })
            | (EventsAltered { project, day, .. }, EventsAltered { project: of, day: on, .. })
            | (TooFewCopies { project, day, .. }, TooFewCopies { project: of, day: on, .. })
            | (ProductionShrank { project, day, .. }, ProductionShrank { project: of, day: on, .. }) => {
                (project, day) == (of, on)
            }
            (BackupOverdue { data_center, .. }, BackupOverdue { data_center: other, .. }) => {
                data_center == other
            }
            (CompactionFailed { project, disk, .. }, CompactionFailed { project: of, disk: on, .. }) => {
                (project, disk) == (of, on)
            }
            (JobOverdue { job, .. }, JobOverdue { job: other, .. }) => job == other,
            (TeeObjectUnreadable { object, .. }, TeeObjectUnreadable { object: other, .. }) => {
                object == other
            }
            (Alarm::BackupFailed { .. }, Alarm::BackupFailed { .. }) => true,
            (Alarm::BackupLagging { project, .. }, Alarm::BackupLagging { project: of, .. }) => project == of,
            (
                Alarm::CatalogDamaged { data_center, position_ms, .. },
                Alarm::CatalogDamaged { data_center: other, position_ms: of_ms, .. },
            ) => (data_center, position_ms) == (other, of_ms),
            _ => self == other,
        }
    }
}

/// Maximum number of pending alarms on one node.
pub const MAX_PENDING: usize = 1_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Delay after a failed delivery.
const RETRY_AFTER: Duration = Duration::from_secs(10 * 60);

/// Sends the alarms of one node. Clones share the outbox.
#[derive(Clone)]
pub struct AlarmSender<E> {
    env: E,
    /// `None` in a cluster without an operator: alarms are then dropped.
    operator: Option<NodeId>,
    outbox: Arc<Mutex<AlarmOutbox>>,
}

#[derive(Default)]
struct AlarmOutbox {
    /// Oldest first.
    pending: VecDeque<Alarm>,
    /// Whether a task is delivering the pending alarms.
    is_delivering: bool,
}

impl AlarmOutbox {
    /// Replaces a pending alarm with the same cause, or appends. Returns whether the oldest alarm was dropped.
    fn put(&mut self, alarm: Alarm) -> bool {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.has_same_cause(&alarm)) {
            *pending = alarm;
            return false;
        }
        let is_full = self.pending.len() >= MAX_PENDING;
        if is_full {
            self.pending.pop_front();
        }
        self.pending.push_back(alarm);
        is_full
    }

    /// Returns the next alarm to deliver. When none is left, the delivery task ends.
    fn next(&mut self) -> Option<Alarm> {
        let next = self.pending.front().cloned();
        self.is_delivering = next.is_some();
        next
    }

    /// Removes an acknowledged alarm. An alarm that replaced it in the meantime stays pending.
    fn acknowledge(&mut self, alarm: &Alarm) {
        self.pending.retain(|pending| pending != alarm);
    }
}

impl<E: Env> AlarmSender<E> {
    /// Creates an empty outbox for the node of `env`. A node has one, shared by its jobs.
    #[must_use]
    pub fn new(env: &E, cluster: &Cluster) -> Self {
        let operator = cluster.audit.as_ref().map(|audit| audit.operator);
        AlarmSender { env: env.clone(), operator, outbox: Arc::default() }
    }

    /// Adds an alarm to the outbox. Never waits.
    pub fn raise(&self, alarm: Alarm) {
        let Some(operator) = self.operator else { return };
        let mut outbox = self.lock();
        let dropped = outbox.put(alarm);
        let is_delivering = std::mem::replace(&mut outbox.is_delivering, true);
        drop(outbox);
        if dropped {
            self.env.mark(Mark { name: marks::ALARMS_DROPPED, subject: "" });
        }
        if !is_delivering {
            let alarms = self.clone();
            self.env.spawn(async move { alarms.deliver(operator).await });
        }
    }

    /// Delivers until the outbox is empty.
    async fn deliver(&self, operator: NodeId) {
        loop {
            let Some(alarm) = self.lock().next() else { return };
            let message = codec::message(tag::OPERATOR, &alarm);
            match self.env.net().call(operator, message, CALL_TIMEOUT).await {
                Ok(_) => self.lock().acknowledge(&alarm),
                Err(_) => {
                    self.env.mark(Mark { name: marks::ALARMS_UNDELIVERED, subject: "" });
                    self.env.clock().sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, AlarmOutbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports a configured retention that is not applied.
pub(crate) fn report_refused_retention<E: Env>(
    env: &E,
    alarms: &AlarmSender<E>,
    target: RetentionTarget,
    configured: Duration,
    kept: Duration,
) {
    if configured >= kept {
        return;
    }
    env.mark(Mark { name: marks::RETENTION_REFUSED, subject: "" });
    let (configured_ms, effective_ms) = (configured.as_millis() as u64, kept.as_millis() as u64);
    alarms.raise(Alarm::RetentionRefused { target, configured_ms, effective_ms });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(day: i32, keys: u64) -> Alarm {
        Alarm::EventsMissing { project: 1, day: Day(day), keys }
    }

    #[test]
    fn an_alarm_replaces_a_pending_alarm_with_the_same_cause() {
        let mut outbox = AlarmOutbox::default();
        for alarm in [missing(1, 5), missing(2, 5), missing(1, 7)] {
            assert!(!outbox.put(alarm));
        }
        assert_eq!(outbox.pending, [missing(1, 7), missing(2, 5)]);
    }

    #[test]
    fn an_alarm_that_changed_during_delivery_is_delivered_again() {
        let mut outbox = AlarmOutbox::default();
        outbox.put(missing(1, 5));
        let sent = outbox.next().unwrap();
        outbox.put(missing(1, 7));
        outbox.acknowledge(&sent);
        assert_eq!(outbox.next(), Some(missing(1, 7)));
        outbox.acknowledge(&missing(1, 7));
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn a_full_outbox_drops_its_oldest_alarm() {
        let mut outbox = AlarmOutbox::default();
        let most = i32::try_from(MAX_PENDING).unwrap();
        assert!((0..most).all(|day| !outbox.put(missing(day, 1))));
        assert!(outbox.put(missing(most, 1)), "the oldest went");
        assert_eq!((outbox.pending.len(), outbox.next()), (MAX_PENDING, Some(missing(1, 1))));
    }
}
