//! Checks of guards: states that must be reported, against the alarms that reached the operator.
//!
//! - A data center without a new backup, from the positions in the names of its catalogs, which are all that the guard
//!   can list.
//! - Segments that a fault keeps from compaction.
//! - A node that failed to deliver an alarm, from the trace.
//!
//! A fault of the work excuses nothing here; one of the guard's node or of its way to the operator does.

use super::OracleChecker;
use super::protection::newest_position_ms;
use crate::cluster::node_ids::NodeIds;
use crate::mutex::lock;
use latent_engine::sim::World;
use latent_oracle::CheckContext;
use latent_oracle::invariants::i13_reports::{ReportableState, StateTimes};
use latent_pipeline::alarms::{Alarm, NightlyJob};
use latent_ports::NodeId;
use std::collections::BTreeMap;

const HOUR_MS: i64 = 3_600_000;
/// Data centers are looked at every six hours.
const BACKUP_REPORTED_MS: i64 = 8 * HOUR_MS;
/// The worker that gives up a disk reports it the same night, and a job that ran nowhere for 36 h is reported at the
/// next of the checks that come every three hours. A report may be lost with its worker; then the next night counts.
const COMPACTION_REPORTED_MS: i64 = 64 * HOUR_MS;
/// An alarm is sent again after ten minutes.
const ALARM_REPEATED_MS: i64 = HOUR_MS / 2;
/// Time for which a job that is reported as overdue may stay so: it is reported once.
const JOB_ALARM_COUNTS_MS: i64 = 14 * 24 * HOUR_MS;

/// States that hold.
type PresentStates = BTreeMap<ReportableState, StateTimes>;

impl OracleChecker {
    /// Checks what guards must have reported by now.
    pub(super) fn check_reports(&mut self, world: &World, nodes: &NodeIds, now: &CheckContext) {
        if nodes.operator.is_none() {
            return;
        }
        let mut present = PresentStates::new();
        self.add_overdue_backups(world, nodes, now, &mut present);
        self.add_overdue_compactions(now, &mut present);
        for (node, since_ms) in &lock(&self.alarm_calls).silent_since_ms {
            let node = world.node_name(*node).to_string();
            let times = StateTimes { since_ms: *since_ms, overdue_ms: *since_ms };
            present.insert(ReportableState::AlarmUndelivered { node }, times);
        }
        if present.is_empty() {
            return;
        }
        let due_ms = |state: &ReportableState, overdue_ms: i64| {
            let (guard, within_ms) = match state {
                ReportableState::BackupOverdue { .. } => {
                    (self.job_dependencies.backup_monitor(), BACKUP_REPORTED_MS)
                }
                ReportableState::CompactionOverdue { .. } => {
                    (self.job_dependencies.job_monitor(), COMPACTION_REPORTED_MS)
                }
                ReportableState::AlarmUndelivered { node } => {
                    (self.job_dependencies.alarm_sender(node), ALARM_REPEATED_MS)
                }
            };
            self.excuses.for_job(&guard).due_ms(overdue_ms, within_ms)
        };
        let operator_state = self.operator_state.clone();
        let operator_state = lock(&operator_state);
        let is_reported = |state: &ReportableState, since_ms: i64| {
            let mut alarms = operator_state.alarms.iter();
            alarms.any(|(at_ms, alarm)| *at_ms >= reported_from_ms(alarm, state, since_ms, world, nodes))
        };
        let found = self.reports.check(&present, due_ms, is_reported, now);
        drop(operator_state);
        self.report(found);
    }

    /// Adds the data centers whose newest backup is too old.
    fn add_overdue_backups(
        &self,
        world: &World,
        nodes: &NodeIds,
        now: &CheckContext,
        present: &mut PresentStates,
    ) {
        let Some(policy) = &self.backup else { return };
        let booted_ms = nodes.audit.and_then(|audit| lock(&self.fault_log).last_boot_ms(audit));
        for node in &nodes.data_centers {
            let newest_ms = newest_position_ms(world, *node);
            // Without a backup, the guard counts from when the first is due after its own boot.
            let first_ms = policy.since_ms.max(booted_ms.unwrap_or(i64::MIN)) + policy.interval_ms;
            let name = world.node_name(*node);
            let since_ms = newest_ms.unwrap_or(first_ms);
            // Objects that a fault removes were not missing before.
            let emptied_ms = self.emptied_ms.get(&*name).copied().unwrap_or(i64::MIN);
            let overdue_ms = (since_ms + policy.interval_ms + policy.slack_ms).max(emptied_ms);
            if overdue_ms < now.at_ms {
                let state = ReportableState::BackupOverdue { data_center: name.to_string() };
                present.insert(state, StateTimes { since_ms, overdue_ms });
            }
        }
    }

    /// Adds the disks on which a fault keeps segments from compaction. A day that is corrupt there has a guard of its
    /// own.
    fn add_overdue_compactions(&self, now: &CheckContext, present: &mut PresentStates) {
        for (disk, project_day, since_ms) in self.deadlines.nightly.delayed() {
            let is_intact = self.corrupt_days.excused(disk, project_day).covers_none_of(since_ms, now.at_ms);
            if !is_intact || self.compromised.contains(disk) {
                continue;
            }
            let state =
                ReportableState::CompactionOverdue { project: project_day.project, disk: disk.to_owned() };
            let times = StateTimes { since_ms, overdue_ms: since_ms };
            let first = present.entry(state).or_insert(times);
            if times.since_ms < first.since_ms {
                *first = times;
            }
        }
    }
}

/// Returns the time from which this alarm reports the state; `i64::MAX` if it reports another.
fn reported_from_ms(
    alarm: &Alarm,
    state: &ReportableState,
    since_ms: i64,
    world: &World,
    nodes: &NodeIds,
) -> i64 {
    let is_named =
        |node: Option<NodeId>, name: &str| node.is_some_and(|node| *world.node_name(node) == *name);
    match (state, alarm) {
        (ReportableState::BackupOverdue { .. }, Alarm::BackupFailed { .. }) => since_ms,
        (
            ReportableState::BackupOverdue { data_center },
            Alarm::BackupOverdue { data_center: number, .. },
        ) if is_named(nodes.data_centers.get(number.wrapping_sub(1)).copied(), data_center) => since_ms,
        (
            ReportableState::CompactionOverdue { project, disk },
            Alarm::CompactionFailed { project: of, disk: on, .. },
        ) if of == project && is_named(Some(NodeId(*on)), disk) => since_ms,
        (
            ReportableState::CompactionOverdue { .. },
            Alarm::JobOverdue { job: NightlyJob::Compaction, .. },
        ) => since_ms - JOB_ALARM_COUNTS_MS,
        _ => i64::MAX,
    }
}
