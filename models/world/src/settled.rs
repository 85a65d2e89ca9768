//! Whether the system came to rest: L1 to L5, each within its time after faults ended.
//!
//! Each law is looked at once its time is over: L1, L3 and L4, which read names and catalogs only, at the first look of
//! the hour after that, and everything again at the end of healing. What waited past its time then is told, even if it
//! came to rest later.

use crate::chronicle::Chronicle;
use crate::scenario::Topic;
use latent_engine::{ScenarioProblem, humanize};
use latent_oracle::invariants::l2_compacted::DirtyWatch;
use latent_oracle::invariants::l5_divergence::Divergence;
use latent_oracle::invariants::waiting::{Waiting, worst_first};
use latent_oracle::invariants::{l1_backlogs, l2_compacted, l3_backup, l4_recovery, l5_divergence};
use std::collections::BTreeMap;
use std::time::Duration;

/// More than so many reasons say nothing new.
const MOST_REASONS: usize = 200;

/// What is known about coming to rest.
#[derive(Default)]
pub(crate) struct Settling {
    /// Dirty segments of ended days.
    pub dirty: DirtyWatch,
    /// Days whose copies differed when faults ended.
    pub divergence: Divergence,
    /// What waited past its time, by its words.
    waiting: BTreeMap<String, Waiting>,
    /// When the last check was of what is cheap to see.
    checked_ms: Option<i64>,
}

impl Settling {
    /// Notes what waits.
    pub fn note(&mut self, waiting: impl IntoIterator<Item = Waiting>) {
        self.waiting.extend(waiting.into_iter().map(|one| (one.to_string(), one)));
    }

    /// Whether the time of one of the cheap laws ran out since this was asked last.
    pub fn is_due(&mut self, topic: &Topic, chronicle: &Chronicle, now_ms: i64) -> bool {
        let Some(ended_ms) = chronicle.faults_ended_ms else { return false };
        let since_ms = self.checked_ms.replace(now_ms).unwrap_or(ended_ms);
        bounds(topic).iter().any(|(_, within)| {
            let due_ms = ended_ms + within.as_millis() as i64;
            since_ms <= due_ms && due_ms < now_ms
        })
    }

    /// Why the run hung, one reason a line, the worst first.
    pub fn hung(&self) -> Option<String> {
        let mut waiting: Vec<Waiting> = self.waiting.values().cloned().collect();
        worst_first(&mut waiting);
        let left_out = waiting.len().saturating_sub(MOST_REASONS);
        let reason = |one: &Waiting| format!("{one}, since {}", humanize::moment_ms(one.since_ms));
        let mut lines: Vec<String> = waiting.iter().take(MOST_REASONS).map(reason).collect();
        if left_out > 0 {
            lines.push(format!("and {left_out} more"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// How long after faults ended each law that applies must hold.
fn bounds(topic: &Topic) -> Vec<(&'static str, Duration)> {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let mut bounds = vec![
        ("L1, backlogs", ms(l1_backlogs::WITHIN_MS)),
        ("L2, compaction", ms(l2_compacted::WITHIN_MS)),
        ("L5, divergence", ms(l5_divergence::WITHIN_MS)),
    ];
    let interval_ms = topic.protection.backup.as_ref().map(|backup| backup.interval.0.as_millis() as i64);
    bounds.extend(
        interval_ms.and_then(l3_backup::within_ms).map(|within| ("L3, the daily backup", ms(within))),
    );
    if topic.operator.is_some() {
        bounds.push(("L4, recovery", ms(l4_recovery::WITHIN_MS)));
    }
    bounds
}

/// The shortest healing, in whole hours, after which the laws of liveness can be judged.
pub(crate) fn least_healing(topic: &Topic) -> Duration {
    let longest = bounds(topic).into_iter().map(|(_, within)| within).max().unwrap_or_default();
    Duration::from_secs((longest.as_secs() / 3_600 + 1) * 3_600)
}

/// A scenario that ends before its laws of liveness can be judged.
pub(crate) fn check(topic: &Topic) -> Option<ScenarioProblem> {
    let (law, longest) = bounds(topic).into_iter().max_by_key(|(_, within)| *within)?;
    let in_words = |time: Duration| humanize::span_ms(time.as_millis() as u64);
    let healing = topic.healing.0;
    (healing <= longest).then(|| {
        let said = format!("healing of {} ends before {law} can be judged", in_words(healing));
        ScenarioProblem::at("/healing", said, format!("write more than {}", in_words(longest)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_worst_first_and_each_once() {
        let late = |law: &'static str, due_ms: i64| Waiting {
            law,
            node: "disk-1".into(),
            of: None,
            file: String::new(),
            what: "waits".into(),
            since_ms: 0,
            due_ms,
        };
        let mut settling = Settling::default();
        assert_eq!(settling.hung(), None);
        settling.note([late("L2", 20), late("L1", 10)]);
        settling.note([late("L2", 20)]);
        let expected =
            "L1 disk-1 waits, since 1970-01-01 00:00:00Z\nL2 disk-1 waits, since 1970-01-01 00:00:00Z";
        assert_eq!(settling.hung().as_deref(), Some(expected));
    }
}
