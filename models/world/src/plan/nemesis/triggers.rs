//! Triggers: when a fault strikes.
//!
//! Half of the faults strike code: the n-th operation of a kind, often on a class of paths, or a mark of a job. Of the
//! others, a part strikes within minutes of a nightly job, and the rest at any time.

use super::fault_budget::REPAIRED_AFTER_MS;
use super::fault_sampler::{FaultSampler, WARM_UP_MS};
use crate::plan::draws::between;
use crate::scenario::SCRUB_AFTER_MIDNIGHT;
use latent_engine::sim::{OpKind, Trigger};
use latent_pipeline::marks;
use latent_pipeline::zone::ZoneHistory;
use latent_ports::{MarkName, UnixMs};
use std::time::Duration;

/// Time after the start of a job in which faults that are drawn beside it strike.
const BESIDE_JOB: Duration = Duration::from_secs(15 * 60);

/// Marks of the jobs of disks and workers.
const MARKS: [MarkName; 12] = [
    marks::COMPACTION_MERGING,
    marks::COMPACTION_OUTPUT_DURABLE,
    marks::COMPACTION_COMMITTED,
    marks::ARB_SEGMENT_OPENED,
    marks::ARB_DAY_QUARANTINED,
    marks::REPAIR_COMPARED,
    marks::REPAIR_COPIES_DIFFER,
    marks::INGEST_HINTED,
    marks::HINTS_HANDED_OFF,
    marks::BACKUP_STARTED,
    marks::BACKUP_COPIED,
    marks::RECOVERY_STARTED,
];

impl FaultSampler<'_> {
    /// Draws a time of the run. Damage must leave time for the scrub before the final check.
    pub(super) fn at_ms(&self, part: u32) -> i64 {
        let (start, end) = (self.scenario.start.0.0, self.scenario.end().0.0);
        let healing_ms = i64::try_from(self.scenario.config.healing.0.as_millis()).unwrap_or(i64::MAX);
        let scrub_ms = (REPAIRED_AFTER_MS - healing_ms).max(0);
        let last = if self.kind.is_damage() { end - scrub_ms } else { end };
        let first = start + WARM_UP_MS.cast_signed();
        let any_ms = between(self.bits(part), first, last.max(first));
        match self.beside_a_job(any_ms) {
            Some(at_ms) if (first..=last).contains(&at_ms) => at_ms,
            _ => any_ms,
        }
    }

    /// Moves two of five times to the job that follows: the nightly compaction or the comparison of a zone.
    fn beside_a_job(&self, at_ms: i64) -> Option<i64> {
        if self.within(95, 0, 4) > 1 {
            return None;
        }
        let zone = self.pick(96, &self.scenario.config.zones).zone;
        let midnight = ZoneHistory::constant(&zone).ok()?.next_midnight(UnixMs(at_ms));
        let job = if self.within(97, 0, 2) == 0 { midnight + SCRUB_AFTER_MIDNIGHT } else { midnight };
        let beside_ms = self.within(98, 0, BESIDE_JOB.as_millis() as u64);
        Some(job.0.saturating_add_unsigned(beside_ms))
    }

    /// Draws a trigger: a time, or an operation or a mark after that time.
    pub(super) fn trigger(&self, node: &str) -> Trigger {
        let at_ms = self.at_ms(90);
        let after_ms = (at_ms - self.scenario.start.0.0).unsigned_abs();
        match self.within(91, 0, 7) {
            0..=3 => Trigger::AtMs(at_ms),
            4..=6 => {
                let kinds = [
                    OpKind::Change,
                    OpKind::Sync,
                    OpKind::Net,
                    OpKind::Any,
                    OpKind::SyncDir,
                    OpKind::Append,
                    OpKind::Rename,
                    OpKind::Remove,
                    OpKind::Read,
                    OpKind::Create,
                ];
                let op = self.pick(92, &kinds);
                let n = self.within(93, 1, 40);
                let path_prefix = if op == OpKind::Net { String::new() } else { self.path_prefix(node) };
                Trigger::NthOp { node: node.to_owned(), op, path_prefix, n, after_ms }
            }
            _ => {
                let name = self.pick(92, &MARKS).into();
                Trigger::Mark { name, n: self.within(93, 1, 12), node: None, after_ms }
            }
        }
    }

    pub(super) fn time_trigger(&self) -> Trigger {
        Trigger::AtMs(self.at_ms(90))
    }

    /// Draws a class of a node's paths; in half of the cases all paths.
    pub(super) fn path_prefix(&self, node: &str) -> String {
        let names = self.names;
        let is_of = |nodes: &[String]| nodes.iter().any(|name| name == node);
        let classes: &[&str] = match node {
            _ if is_of(&names.disks) => &["arb/"],
            _ if is_of(&names.ingest) => &["hints/"],
            _ if is_of(&names.edges) => &["tee/", "tee-peer/"],
            _ if is_of(&names.stores()) => {
                &["incoming/", "objects/", "objects/segments/", "objects/catalogs/"]
            }
            _ => return String::new(),
        };
        if self.within(94, 0, 1) == 0 { String::new() } else { self.pick(99, classes).to_owned() }
    }
}
