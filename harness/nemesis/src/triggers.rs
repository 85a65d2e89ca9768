//! Triggers: when a fault strikes.
//!
//! Half of the faults strike code: the n-th operation of a kind, often on a prefix of the paths, or a mark of a job. Of the
//! others, a part strikes within minutes of a scheduled job, and the rest at any time.

use crate::fault_sampler::FaultSampler;
use crate::part_draws::between;
use crate::targets::role_of;
use latent_sim::{OpKind, Trigger};
use std::time::Duration;

/// Time after the start of a job in which faults that are drawn beside it strike.
const BESIDE_JOB: Duration = Duration::from_secs(15 * 60);

impl FaultSampler<'_> {
    /// Draws a time of the run, in milliseconds since 1970. Damage must leave time for its repair before the final check.
    pub(crate) fn at_ms(&self, part: u32) -> i64 {
        let window = self.targets.window();
        let last = if self.kind.is_damage() { window.last_damage_ms } else { window.last_ms };
        let any_ms = between(self.bits(part), window.first_ms, last.max(window.first_ms));
        match self.beside_a_job(any_ms) {
            Some(at_ms) if (window.first_ms..=last).contains(&at_ms) => at_ms,
            _ => any_ms,
        }
    }

    /// Moves two of five times to the job that follows, if the system has scheduled jobs.
    fn beside_a_job(&self, at_ms: i64) -> Option<i64> {
        if self.within(95, 0, 4) > 1 {
            return None;
        }
        let job_ms = self.targets.next_job_ms(self.draws(), at_ms)?;
        let beside_ms = self.within(98, 0, BESIDE_JOB.as_millis() as u64);
        Some(job_ms.saturating_add_unsigned(beside_ms))
    }

    /// Draws a trigger: a time, or an operation or a mark after that time.
    pub(crate) fn trigger(&self, node: &str) -> Trigger {
        let at_ms = self.at_ms(90);
        let after_ms = (at_ms - self.targets.window().start_ms).unsigned_abs();
        let marks = self.targets.marks();
        match self.within(91, 0, 7) {
            0..=3 => Trigger::AtMs(at_ms),
            7 if !marks.is_empty() => {
                let name = self.pick(92, marks).into();
                Trigger::Mark { name, n: self.within(93, 1, 12), node: None, after_ms }
            }
            _ => {
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
        }
    }

    /// Draws a time as the trigger.
    pub(crate) fn time_trigger(&self) -> Trigger {
        Trigger::AtMs(self.at_ms(90))
    }

    /// Draws a prefix of a node's paths; in half of the cases all paths.
    pub(crate) fn path_prefix(&self, node: &str) -> String {
        let prefixes = role_of(self.targets, node).map_or(&[][..], |role| &role.path_prefixes);
        if prefixes.is_empty() || self.within(94, 0, 1) == 0 {
            String::new()
        } else {
            self.pick(99, prefixes)
        }
    }
}
