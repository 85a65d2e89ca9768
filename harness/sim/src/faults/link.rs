//! Link faults: cut one direction, both, all of a node, or all between two groups; slow, lossy, duplicating,
//! reordering or narrow links; single messages lost.
//!
//! Modelled: a message on a cut link is lost, whether the link is cut when it leaves or when it would arrive.
//! Overlapping cuts add up: a direction works again when the last of them has ended. Overlapping degradations of a
//! direction combine: latencies multiply, the highest probability and the lowest bandwidth win. A duplicated request
//! is handled twice; the caller takes the first answer. Draws are keyed by the message and the number of times that
//! it was sent, so a retry has draws of its own. The end of a fault applies to messages that leave from then on;
//! those in flight keep their draws. Not modelled: corrupted payloads (checksums below the ports drop those), routes,
//! connection state, bandwidth used by duplicates, and faults between a node and itself: no cut, isolation or
//! degradation affects messages that leave no machine.
//!
//! Sources: partitions, also partial and one-way ones, cause data loss in practice (Alquraan et al., OSDI 2018);
//! networks in data centers do fail, for minutes to hours (Bailis and Kingsbury, ACM Queue 12(7), 2014). In a new
//! cluster's first year, about 5 racks see half of their packets lost, 4 maintenances cost half an hour of
//! connectivity, and 12 reloads of routers a couple of minutes each (Dean, Data-Intensive Computing Symposium 2008).
//! Durations in scenarios (1 s, 1 min, 4 h, 26 h) are chosen around time-outs, hinted hand-off and a day's job; rates
//! are accelerated, since a scenario runs weeks.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use crate::net::{CallPart, LinkDegradation};
use latent_ports::NodeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of a link's end that matches every node.
pub(super) const EVERY: &str = "*";

/// Cuts a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct CutLink {
    /// The sending node.
    pub from: String,
    /// The receiving node.
    pub to: String,
    /// Cuts the other direction too.
    #[serde(default)]
    pub both: bool,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Cuts every link of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Isolate {
    /// The node.
    pub node: String,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Cuts every link between two groups of nodes. Nodes of neither group reach both: a partial partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Partition {
    /// One group.
    pub side: Vec<String>,
    /// The other group.
    pub other: Vec<String>,
    /// Only messages from `side` to `other` are lost.
    #[serde(default)]
    pub one_way: bool,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Isolates and reconnects a node repeatedly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Flap {
    /// The node.
    pub node: String,
    /// Duration of each isolation, in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub down_ms: u64,
    /// Duration of each connected interval, in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub up_ms: u64,
    /// Total duration in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: u64,
}

/// Degrades a link. Properties that are left out do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct DegradeLink {
    /// The sending node; `*`: every node.
    pub from: String,
    /// The receiving node; `*`: every node.
    pub to: String,
    /// Degrades the other direction too.
    #[serde(default)]
    pub both: bool,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
    /// Factor on the latency.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub latency_times: Option<u32>,
    /// Messages lost, in parts per million.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub loss_ppm: Option<u32>,
    /// Messages delivered twice, in parts per million.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub duplicate_ppm: Option<u32>,
    /// Messages delayed, so that later ones overtake them, in parts per million.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub reorder_ppm: Option<u32>,
    /// Delay of those messages, in milliseconds.
    #[serde(default)]
    #[schemars(range(max = 3_600_000))]
    pub reorder_by_ms: Option<u32>,
    /// Bandwidth in bytes per second, at which messages queue.
    #[serde(default)]
    #[schemars(range(max = 1_000_000_000_000_000_u64))]
    pub bandwidth_bytes_per_s: Option<u64>,
}

/// Loses a message of each of a node's next calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct LoseMessage {
    /// The calling node.
    pub node: String,
    /// The message of the call that is lost.
    pub part: CallPart,
    /// Number of calls, starting with the next (or with the one that triggers the fault).
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
}

impl FaultBehavior for CutLink {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.from, &self.to]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        if let (Some(from), Some(to)) = (target.node_named(&self.from), target.node_named(&self.to)) {
            target.with_link_faults(&mut |links| links.add_cut((from, to), fault));
            if self.both {
                target.with_link_faults(&mut |links| links.add_cut((to, from), fault));
            }
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.with_link_faults(&mut |links| links.remove_fault(fault));
    }
}

impl FaultBehavior for Isolate {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        if let Some(node) = target.node_named(&self.node) {
            target.with_link_faults(&mut |links| links.add_isolation(node, fault));
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.with_link_faults(&mut |links| links.remove_fault(fault));
    }
}

impl FaultBehavior for Partition {
    fn nodes(&self) -> Vec<&str> {
        self.side.iter().chain(&self.other).map(String::as_str).collect()
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        let found = |names: &[String]| -> Vec<NodeId> {
            names.iter().filter_map(|name| target.node_named(name)).collect()
        };
        let (side, other) = (found(&self.side), found(&self.other));
        for from in &side {
            for to in &other {
                target.with_link_faults(&mut |links| links.add_cut((*from, *to), fault));
                if !self.one_way {
                    target.with_link_faults(&mut |links| links.add_cut((*to, *from), fault));
                }
            }
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.with_link_faults(&mut |links| links.remove_fault(fault));
    }
}

impl Flap {
    /// Returns the durations of each isolation and each connected interval, in milliseconds. At least 1: phases of no
    /// length would repeat without end and never use up the total duration.
    fn phase_lengths_ms(&self) -> (u64, u64) {
        (self.down_ms.max(1), self.up_ms.max(1))
    }
}

impl FaultBehavior for Flap {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        if let Some(node) = target.node_named(&self.node) {
            target.with_link_faults(&mut |links| links.add_isolation(node, fault));
        }
        FaultDuration::Ms(self.phase_lengths_ms().0.min(self.for_ms))
    }

    /// Odd phases end an isolation, even ones a connected interval.
    fn next_phase(&self, target: &dyn FaultTarget, fault: usize, phase: u32) -> Option<u64> {
        let (down_ms, up_ms) = self.phase_lengths_ms();
        let is_back = !phase.is_multiple_of(2);
        let rounds_ms = u64::from(phase / 2).saturating_mul(down_ms.saturating_add(up_ms));
        let passed_ms = rounds_ms.saturating_add(if is_back { down_ms } else { 0 });
        let left_ms = self.for_ms.checked_sub(passed_ms).filter(|left| *left > 0)?;
        if is_back {
            target.with_link_faults(&mut |links| links.remove_fault(fault));
            return Some(up_ms.min(left_ms));
        }
        let node = target.node_named(&self.node)?;
        target.with_link_faults(&mut |links| links.add_isolation(node, fault));
        Some(down_ms.min(left_ms))
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.with_link_faults(&mut |links| links.remove_fault(fault));
    }
}

impl DegradeLink {
    fn degradation(&self) -> LinkDegradation {
        LinkDegradation {
            both: self.both,
            latency_times: self.latency_times,
            loss_ppm: self.loss_ppm,
            duplicate_ppm: self.duplicate_ppm,
            reorder_ppm: self.reorder_ppm,
            reorder_by_ms: self.reorder_by_ms,
            bandwidth_bytes_per_s: self.bandwidth_bytes_per_s,
        }
    }
}

impl FaultBehavior for DegradeLink {
    fn nodes(&self) -> Vec<&str> {
        [&self.from, &self.to].into_iter().map(String::as_str).filter(|name| *name != EVERY).collect()
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        let end = |name: &str| if name == EVERY { Some(None) } else { target.node_named(name).map(Some) };
        if let (Some(from), Some(to)) = (end(&self.from), end(&self.to)) {
            target
                .with_link_faults(&mut |links| links.add_degradation((from, to), self.degradation(), fault));
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.with_link_faults(&mut |links| links.remove_fault(fault));
    }
}

impl FaultBehavior for LoseMessage {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        if let Some(node) = target.node_named(&self.node) {
            target.with_link_faults(&mut |links| links.add_message_drop(node, self.part, self.times, fault));
        }
        FaultDuration::UntilFaultsEnd
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.with_link_faults(&mut |links| links.remove_fault(fault));
    }

    fn is_exhausted(&self, target: &dyn FaultTarget, fault: usize) -> bool {
        let mut waits = false;
        target.with_link_faults(&mut |links| waits = links.has_message_drop(fault));
        !waits
    }
}
