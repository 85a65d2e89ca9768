//! The enumeration plan: which faults to inject, as a pure function of the recorded operations.

use super::injection_point::{EnumeratedFault, InjectionPoint};
use super::run_record::RunKey;
use super::second_faults::SecondFaults;
use crate::case::ipc::SerializedOp;
use crate::sweep::sweep_spec::Slice;
use latent_sim::{Fault, OpKind};

/// Selects the operations of an enumeration.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpFilter {
    /// Only these kinds of faults; empty: all.
    pub faults: Vec<EnumeratedFault>,
    /// Only at this node.
    pub node: Option<String>,
    /// Only from this time on, milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Only before this time, milliseconds since 1970.
    pub to_ms: Option<i64>,
}

/// A planned run.
#[derive(Clone, Debug)]
pub(crate) struct PlannedRun {
    /// The fault to inject, or the first of a pair.
    pub point: InjectionPoint,
    /// The second fault of a pair.
    pub second: Option<InjectionPoint>,
    /// Index of the first fault's operation in the plan.
    pub op: usize,
    /// Number of equivalent faults, or pairs, that this run covers.
    pub stands_for: u64,
}

impl PlannedRun {
    /// Returns the faults in the order in which they are armed.
    pub(crate) fn faults(&self) -> impl Iterator<Item = Fault> {
        std::iter::once(&self.point).chain(&self.second).map(InjectionPoint::fault)
    }

    /// Returns the injection points, which identify the run in the plan.
    pub(crate) fn key(&self) -> RunKey {
        RunKey { point: self.point.to_string(), second: self.second.as_ref().map(ToString::to_string) }
    }
}

/// All planned runs.
#[derive(Clone, Debug)]
pub(crate) struct EnumerationPlan {
    /// The operations, in order of time.
    pub ops: Vec<SerializedOp>,
    /// The runs.
    pub runs: Vec<PlannedRun>,
    /// Largest number of operations from the first fault of a pair to the second; `None`: the faults are single.
    pub distance: Option<u64>,
}

/// An enumeration of pairs with more runs than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyRuns {
    /// Number of runs.
    pub runs: u64,
    /// Number of slices of the whole enumeration of which none exceeds the limit.
    pub slices: u64,
}

impl EnumerationPlan {
    /// Builds the plan from recorded operations. Nodes of `outside` are not part of the system.
    pub(crate) fn of(ops: Vec<SerializedOp>, filter: &OpFilter, outside: &[&str]) -> EnumerationPlan {
        let chosen = |op: &SerializedOp| {
            !outside.contains(&op.node.as_str())
                && filter.node.as_ref().is_none_or(|node| *node == op.node)
                && filter.from_ms.is_none_or(|from_ms| op.at_ms >= from_ms)
                && filter.to_ms.is_none_or(|to_ms| op.at_ms < to_ms)
        };
        let ops: Vec<SerializedOp> = ops.into_iter().filter(chosen).collect();
        let mut points = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            let mut plan = |kind, stands_for| {
                let point = InjectionPoint { kind, node: op.node.clone(), n: op.n };
                points.push(PlannedRun { point, second: None, op: index, stands_for });
            };
            let wants = |kind: &EnumeratedFault| filter.faults.is_empty() || filter.faults.contains(kind);
            let crashes: Vec<EnumeratedFault> = EnumeratedFault::CRASHES.into_iter().filter(wants).collect();
            match crashes.first() {
                // Where nothing is un-synced all crashes are the same run.
                Some(first) if !op.leaves_unsynced => plan(*first, crashes.len() as u64),
                _ => crashes.iter().for_each(|kind| plan(*kind, 1)),
            }
            errors(op).iter().filter(|kind| wants(kind)).for_each(|kind| plan(*kind, 1));
        }
        EnumerationPlan { ops, runs: points, distance: None }
    }

    /// Returns the number of pairs of these first faults, one for each run.
    pub(crate) fn count_pairs(&self, seconds: &SecondFaults) -> u64 {
        self.runs.iter().map(|first| seconds.count_after(&first.point)).sum()
    }

    /// Replaces each run by its pairs, of which it keeps those of a slice. They are counted before they are built, since
    /// there may be too many to hold.
    ///
    /// # Errors
    /// The slice has more than `limit` runs.
    pub(crate) fn paired(
        self,
        seconds: &SecondFaults,
        slice: Slice,
        limit: u64,
    ) -> Result<EnumerationPlan, TooManyRuns> {
        let all = self.count_pairs(seconds);
        let runs = (all + slice.of - slice.index) / slice.of;
        if runs > limit {
            return Err(TooManyRuns { runs, slices: all.div_ceil(limit) });
        }
        let pairs = self.runs.iter().flat_map(|first| {
            seconds.after(&first.point).map(|second| PlannedRun { second: Some(second), ..first.clone() })
        });
        let runs = (0_u64..).zip(pairs).filter(|(number, _)| slice.contains(*number)).map(|(_, pair)| pair);
        Ok(EnumerationPlan { runs: runs.collect(), distance: Some(seconds.distance()), ops: self.ops })
    }

    /// Keeps every n-th run only, beginning with the slice's own number.
    pub(crate) fn slice(mut self, slice: Slice) -> EnumerationPlan {
        let mut numbers = 0_u64..;
        self.runs.retain(|_| numbers.next().is_some_and(|number| slice.contains(number)));
        self
    }
}

fn errors(op: &SerializedOp) -> &'static [EnumeratedFault] {
    match op.op {
        OpKind::Send => &[EnumeratedFault::RequestLost, EnumeratedFault::AnswerLost],
        OpKind::Receive | OpKind::Answer => &[],
        _ => &[EnumeratedFault::Error],
    }
}

#[cfg(test)]
mod tests {
    use super::super::second_faults::PairOptions;
    use super::*;
    use std::collections::BTreeSet;

    fn op(node: &str, op: OpKind, n: u64, leaves_unsynced: bool) -> SerializedOp {
        SerializedOp {
            node: node.into(),
            op,
            n,
            at_ms: n as i64,
            path: String::new(),
            peer: None,
            leaves_unsynced,
        }
    }

    fn points(filter: &OpFilter) -> Vec<String> {
        let seen = vec![
            op("disk", OpKind::Append, 1, true),
            op("disk", OpKind::Read, 2, false),
            op("edge", OpKind::Send, 1, false),
            op("disk", OpKind::Receive, 3, false),
            op("clients", OpKind::Send, 1, false),
        ];
        EnumerationPlan::of(seen, filter, &["clients"]).runs.iter().map(|one| one.point.to_string()).collect()
    }

    #[test]
    fn a_crash_is_run_three_ways_where_that_makes_a_difference() {
        let crashes = points(&OpFilter { faults: EnumeratedFault::CRASHES.to_vec(), ..OpFilter::default() });
        let three = ["crash-nothing@disk:1", "crash-everything@disk:1", "crash-drawn@disk:1"];
        let once = ["crash-nothing@disk:2", "crash-nothing@edge:1", "crash-nothing@disk:3"];
        assert_eq!(crashes, [three, once].concat());
    }

    #[test]
    fn an_error_strikes_a_disk_operation_once_and_a_call_twice() {
        let lost = [EnumeratedFault::Error, EnumeratedFault::RequestLost, EnumeratedFault::AnswerLost];
        let errors = points(&OpFilter { faults: lost.to_vec(), ..OpFilter::default() });
        assert_eq!(errors, ["error@disk:1", "error@disk:2", "request-lost@edge:1", "answer-lost@edge:1"]);
    }

    #[test]
    fn node_and_time_choose() {
        let filter =
            OpFilter { node: Some("disk".into()), from_ms: Some(2), to_ms: Some(3), ..OpFilter::default() };
        assert_eq!(points(&filter), ["crash-nothing@disk:2", "error@disk:2"]);
    }

    #[test]
    fn one_kind_of_crash_is_run_at_each_operation() {
        let drawn = points(&OpFilter { faults: vec![EnumeratedFault::CrashDrawn], ..OpFilter::default() });
        let at = ["disk:1", "disk:2", "edge:1", "disk:3"].map(|at| format!("crash-drawn@{at}"));
        assert_eq!(drawn, at);
    }

    #[test]
    fn slices_are_the_whole_and_share_nothing() {
        let seen = || vec![op("disk", OpKind::Append, 1, true), op("disk", OpKind::Read, 2, false)];
        let names = |plan: EnumerationPlan| -> Vec<String> {
            plan.runs.iter().map(|one| one.point.to_string()).collect()
        };
        let whole = names(EnumerationPlan::of(seen(), &OpFilter::default(), &[]));
        let slice = |index| {
            names(EnumerationPlan::of(seen(), &OpFilter::default(), &[]).slice(Slice { index, of: 2 }))
        };
        let mut both = [slice(1), slice(2)].concat();
        both.sort();
        let mut sorted = whole.clone();
        sorted.sort();
        assert_eq!((both, slice(1).len()), (sorted, whole.len().div_ceil(2)));
    }

    /// The pairs of two operations of one node, within a distance of 3.
    fn pairs(slice: Slice, limit: u64) -> Result<Vec<String>, TooManyRuns> {
        let seen = vec![op("disk", OpKind::Append, 1, true), op("disk", OpKind::Read, 2, false)];
        let options = PairOptions { distance: 3, kinds: Vec::new() };
        let seconds = SecondFaults::of(&seen, options, &[]);
        let plan = EnumerationPlan::of(seen, &OpFilter::default(), &[]).paired(&seconds, slice, limit)?;
        let name = |run: &PlannedRun| format!("{} {}", run.point, run.second.as_ref().expect("it is a pair"));
        Ok(plan.runs.iter().map(name).collect())
    }

    #[test]
    fn each_first_fault_has_all_second_faults() {
        let pairs = pairs(Slice::WHOLE, 100).unwrap();
        // Four faults at the append; a crash, for three, and an error at the read.
        assert_eq!(pairs.len(), (4 + 2) * 3 * 2);
        assert_eq!(pairs[0], "crash-nothing@disk:1 crash-drawn@disk:2");
        assert_eq!(pairs[35], "error@disk:2 error@disk:5");
        let once: BTreeSet<&String> = pairs.iter().collect();
        assert_eq!(once.len(), pairs.len());
    }

    #[test]
    fn slices_of_pairs_are_the_whole_and_share_nothing() {
        let slices = (1..=5).flat_map(|index| pairs(Slice { index, of: 5 }, 8).unwrap());
        let (mut slices, mut whole): (Vec<String>, _) = (slices.collect(), pairs(Slice::WHOLE, 36).unwrap());
        slices.sort();
        whole.sort();
        assert_eq!(slices, whole);
    }

    #[test]
    fn too_many_pairs_are_refused_with_their_number() {
        assert_eq!(pairs(Slice::WHOLE, 35), Err(TooManyRuns { runs: 36, slices: 2 }));
        assert_eq!(pairs(Slice { index: 1, of: 5 }, 7), Err(TooManyRuns { runs: 8, slices: 6 }));
        assert!(pairs(Slice { index: 2, of: 5 }, 7).is_ok_and(|pairs| pairs.len() == 7));
    }
}
