//! Alarms: what a node reports to the operator, delivered by a task of its own.
//!
//! Raising an alarm never waits, so that no job depends on whether the operator is there. Each node has one outbox.
//! While it holds something, one task delivers it, oldest first, and tries again after a pause until the operator has
//! heard. An alarm whose cause is already pending takes that one's place. The outbox is bounded: above the limit the
//! oldest alarm is dropped, with a mark. It does not outlive its process: after a restart the cause raises the alarm
//! again (the next audit finds the day still damaged, the next look a backup still overdue); only of copies that differed
//! and were repaired no report is left. An alarm may be heard twice, when its answer was lost.

use crate::codec::{self, tag};
use crate::config::Cluster;
use crate::heartbeat::Job;
use crate::zone::Day;
use latent_ports::{Clock, Env, Mark, Net, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A report to the operator. Answered `()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alarm {
    /// An export lacks events that the tee holds.
    EventsMissing {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// How many keys.
        keys: u64,
    },
    /// Some copy of a day says something else of events than the tee does.
    EventsAltered {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// How many events.
        events: u64,
    },
    /// The audit of a project could not run.
    AuditFailed {
        /// The project.
        project: u32,
        /// Why.
        why: String,
    },
    /// A file of the tee store cannot be read whole. What can be read of it, and the other files, are used.
    TeeObjectUnreadable {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// What could answer an open alarm of missing or altered events is kept from expiring until the day is whole again.
    HoldStands {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// A hold ended although nothing answered it: it lasted too long, or held too much.
    HoldEnded {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// A backup finds fewer events of a day in production than the last one did.
    ProductionShrank {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// How many keys fewer, at least.
        keys: u64,
    },
    /// A data center has no backup of the last interval, or cannot be asked.
    BackupOverdue {
        /// Its number, from 1.
        data_center: usize,
        /// The position of its newest backup, ms since 1970; before the first, when that was due at the latest; `None`
        /// when it could not be asked.
        newest_ms: Option<i64>,
    },
    /// No backup could be taken: nothing new is in any data center.
    BackupFailed {
        /// Why.
        why: String,
    },
    /// A project could not be copied: the other projects' backup goes on without it.
    BackupBehind {
        /// The project.
        project: u32,
        /// Up to when backups hold it, ms since 1970; 0 if nothing of it is promised.
        position_ms: i64,
        /// Why.
        why: String,
    },
    /// No data center has a segment any more that the last backup held, and production has no such file.
    BackupDamaged {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// A backup's catalog does not read in one data center.
    CatalogDamaged {
        /// Its number, from 1.
        data_center: usize,
        /// The position of the backup, ms since 1970.
        position_ms: i64,
        /// It was put again from another data center.
        is_repaired: bool,
    },
    /// A retention shorter than what the cluster promises was configured, and is not followed.
    RetentionRefused {
        /// Of what.
        of: Retained,
        /// What was configured, ms.
        asked_ms: u64,
        /// What is kept to, ms.
        kept_ms: u64,
    },
    /// A worker gave up the nightly job of a project on one disk, until the next night.
    CompactionFailed {
        /// The project.
        project: u32,
        /// The disk's node.
        disk: u16,
        /// Why its last try failed.
        why: String,
    },
    /// A job that runs each night was not complete for too long.
    JobStopped {
        /// The job.
        job: Job,
        /// The projects of which it was not.
        projects: Vec<u32>,
        /// For how long at most, ms.
        age_ms: u64,
    },
    /// Requests of the tee that no object of the tee store holds any more.
    TeeUnreadable {
        /// A file that lacks some.
        file: String,
        /// How many files lack some.
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

/// What is let go of once it is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retained {
    /// Files of the tee store.
    Tee,
    /// Backups.
    Backups,
}

impl Alarm {
    /// Whether both report one cause, so that the later one says all that is to be said. Alarms that count something
    /// are compared without the count.
    #[must_use]
    pub fn has_cause_of(&self, other: &Alarm) -> bool {
        use Alarm::{
            BackupOverdue, CompactionFailed, EventsAltered, EventsMissing, JobStopped, ProductionShrank,
            TeeObjectUnreadable,
        };
        match (self, other) {
            (EventsMissing { project, day, .. }, EventsMissing { project: of, day: on, .. })
            | (EventsAltered { project, day, .. }, EventsAltered { project: of, day: on, .. })
            | (ProductionShrank { project, day, .. }, ProductionShrank { project: of, day: on, .. }) => {
                (project, day) == (of, on)
            }
            (BackupOverdue { data_center, .. }, BackupOverdue { data_center: other, .. }) => {
                data_center == other
            }
            (CompactionFailed { project, disk, .. }, CompactionFailed { project: of, disk: on, .. }) => {
                (project, disk) == (of, on)
            }
            (JobStopped { job, .. }, JobStopped { job: other, .. }) => job == other,
            (TeeObjectUnreadable { object, .. }, TeeObjectUnreadable { object: other, .. }) => {
                object == other
            }
            (Alarm::BackupFailed { .. }, Alarm::BackupFailed { .. }) => true,
            (Alarm::BackupBehind { project, .. }, Alarm::BackupBehind { project: of, .. }) => project == of,
            (
                Alarm::CatalogDamaged { data_center, position_ms, .. },
                Alarm::CatalogDamaged { data_center: other, position_ms: of_ms, .. },
            ) => (data_center, position_ms) == (other, of_ms),
            _ => self == other,
        }
    }
}

/// Most alarms that wait for the operator on one node.
pub const MOST_PENDING: usize = 1_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// From a try that was not heard to the next.
const RETRY_AFTER: Duration = Duration::from_secs(10 * 60);

/// One node's outbox of alarms. Clones share it.
#[derive(Clone)]
pub struct Alarms<E> {
    env: E,
    /// `None` where a cluster has no operator: alarms are then dropped.
    operator: Option<NodeId>,
    outbox: Arc<Mutex<Outbox>>,
}

#[derive(Default)]
struct Outbox {
    /// Oldest first.
    pending: VecDeque<Alarm>,
    /// A task delivers what is pending.
    is_delivering: bool,
}

impl Outbox {
    /// Puts an alarm where one of its cause is pending, else last. Returns whether the oldest had to go for it.
    fn put(&mut self, alarm: Alarm) -> bool {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.has_cause_of(&alarm)) {
            *pending = alarm;
            return false;
        }
        let is_full = self.pending.len() >= MOST_PENDING;
        if is_full {
            self.pending.pop_front();
        }
        self.pending.push_back(alarm);
        is_full
    }

    /// The alarm to deliver next. With none left the task that asks is over.
    fn next(&mut self) -> Option<Alarm> {
        let next = self.pending.front().cloned();
        self.is_delivering = next.is_some();
        next
    }

    /// The operator has heard `alarm`. What took its place in the meantime is still to be delivered.
    fn heard(&mut self, alarm: &Alarm) {
        self.pending.retain(|pending| pending != alarm);
    }
}

impl<E: Env> Alarms<E> {
    /// An empty outbox of the node of `env`. A node has one, shared by its jobs.
    #[must_use]
    pub fn new(env: &E, cluster: &Cluster) -> Self {
        let operator = cluster.audit.as_ref().map(|audit| audit.operator);
        Alarms { env: env.clone(), operator, outbox: Arc::default() }
    }

    /// Puts an alarm into the outbox. Never waits.
    pub fn raise(&self, alarm: Alarm) {
        let Some(operator) = self.operator else { return };
        let mut outbox = self.lock();
        let dropped = outbox.put(alarm);
        let is_delivering = std::mem::replace(&mut outbox.is_delivering, true);
        drop(outbox);
        if dropped {
            self.env.mark(Mark { name: "alarms.dropped", subject: "" });
        }
        if !is_delivering {
            let alarms = self.clone();
            self.env.spawn(async move { alarms.deliver(operator).await });
        }
    }

    /// Delivers until nothing is pending.
    async fn deliver(&self, operator: NodeId) {
        loop {
            let Some(alarm) = self.lock().next() else { return };
            let message = codec::message(tag::OPERATOR, &alarm);
            match self.env.net().call(operator, message, CALL_TIMEOUT).await {
                Ok(_) => self.lock().heard(&alarm),
                Err(_) => {
                    self.env.mark(Mark { name: "alarms.unheard", subject: "" });
                    self.env.clock().sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(day: i32, keys: u64) -> Alarm {
        Alarm::EventsMissing { project: 1, day: Day(day), keys }
    }

    #[test]
    fn an_alarm_takes_the_place_of_the_pending_one_of_its_cause() {
        let mut outbox = Outbox::default();
        for alarm in [missing(1, 5), missing(2, 5), missing(1, 7)] {
            assert!(!outbox.put(alarm));
        }
        assert_eq!(outbox.pending, [missing(1, 7), missing(2, 5)]);
    }

    #[test]
    fn what_changed_while_it_was_delivered_is_delivered_once_more() {
        let mut outbox = Outbox::default();
        outbox.put(missing(1, 5));
        let sent = outbox.next().unwrap();
        outbox.put(missing(1, 7));
        outbox.heard(&sent);
        assert_eq!(outbox.next(), Some(missing(1, 7)));
        outbox.heard(&missing(1, 7));
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn a_full_outbox_drops_its_oldest_alarm() {
        let mut outbox = Outbox::default();
        let most = i32::try_from(MOST_PENDING).unwrap();
        assert!((0..most).all(|day| !outbox.put(missing(day, 1))));
        assert!(outbox.put(missing(most, 1)), "the oldest went");
        assert_eq!((outbox.pending.len(), outbox.next()), (MOST_PENDING, Some(missing(1, 1))));
    }
}
