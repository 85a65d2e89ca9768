//! Statistics of pairs of faults: counts by the kinds of both faults and the kind of the first one's operation.

use super::enumeration_plan::EnumerationPlan;
use super::injection_point::EnumeratedFault;
use super::run_record::EnumerationRun;
use latent_sim::OpKind;
use serde::Serialize;
use std::collections::BTreeMap;

/// Kind of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct PairKind {
    /// Kind of the first fault.
    pub first: EnumeratedFault,
    /// Kind of its operation.
    pub operation: OpKind,
    /// Kind of the second fault.
    pub second: EnumeratedFault,
}

/// Counts of one kind of pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PairStats {
    /// Pairs that the completed runs cover.
    pub pairs: u64,
    /// Those after which the case ended as expected.
    pub as_expected: u64,
    /// Those whose second fault did not occur: each is a run with the first fault alone.
    pub second_not_reached: u64,
}

impl PairStats {
    /// Adds counts.
    pub(crate) fn add(&mut self, other: PairStats) {
        self.pairs += other.pairs;
        self.as_expected += other.as_expected;
        self.second_not_reached += other.second_not_reached;
    }
}

/// Counts a recorded run, if it is of a pair.
pub(super) fn count_pair(
    pairs: &mut BTreeMap<PairKind, PairStats>,
    plan: &EnumerationPlan,
    index: usize,
    ran: &EnumerationRun,
) {
    let planned = &plan.runs[index];
    let (Some(second), Some(result)) = (&planned.second, &ran.second) else { return };
    let kind =
        PairKind { first: planned.point.kind, operation: plan.ops[planned.op].op, second: second.kind };
    let count = |counts: bool| if counts { planned.stands_for } else { 0 };
    pairs.entry(kind).or_default().add(PairStats {
        pairs: planned.stands_for,
        as_expected: count(ran.failure.is_none()),
        second_not_reached: count(!result.fate.may_have_struck()),
    });
}
