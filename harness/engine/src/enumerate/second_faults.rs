//! The second faults of an enumeration of pairs, as a pure function of the recorded operations.
//!
//! A run is equal to the recorded one up to its first fault, so a second fault is named by the number of operations
//! that a node makes after that moment: 1, 2, 3 … up to the distance. The node is the struck one, whose operations
//! continue to count across its restart, or a related one. A node is related if a message between it and the struck node
//! is one of the struck node's recorded operations within the distance, before or after the first fault.
//!
//! After the first fault the run differs from the recorded one: the operation may be of any kind, or never occur. A
//! crash strikes the operation itself, an error the first disk operation from it on, a lost message the first call from
//! it on. A node that never uses its disk in the recorded run gets no error, and one that never calls no lost message.
//!
//! Each pair is planned once: of its two operations, the first is the earlier one of the recorded run.

use super::injection_point::{EnumeratedFault, InjectionPoint};
use crate::case::ipc::SerializedOp;
use latent_sim::OpKind;
use std::collections::{BTreeMap, BTreeSet};

/// Choice of the second faults.
#[derive(Clone, Debug)]
pub(crate) struct PairOptions {
    /// Largest number of operations from the first fault to the second.
    pub distance: u64,
    /// Kinds of the second fault; empty: [`DEFAULT_KINDS`].
    pub kinds: Vec<EnumeratedFault>,
}

/// Kinds of the second fault by default. Of the three crashes only one, since each multiplies the number of runs, and the
/// drawn one ends in states of the disk that the two others do not have.
const DEFAULT_KINDS: [EnumeratedFault; 4] = [
    EnumeratedFault::CrashDrawn,
    EnumeratedFault::Error,
    EnumeratedFault::RequestLost,
    EnumeratedFault::AnswerLost,
];

/// The second faults that can follow a first one.
pub(crate) struct SecondFaults {
    distance: u64,
    kinds: Vec<EnumeratedFault>,
    /// The nodes of the system, by name.
    nodes: BTreeMap<String, NodeOps>,
}

/// Recorded operations of a node.
#[derive(Default)]
struct NodeOps {
    /// Index of each operation in the recording.
    positions: Vec<usize>,
    /// The node at the other end of each operation, for a message.
    peers: Vec<Option<String>>,
    has_disk_ops: bool,
    has_calls: bool,
}

/// A node at which the second fault can strike.
struct SecondNode<'a> {
    name: &'a str,
    /// Number of its operations up to the first fault.
    ops_before: u64,
    /// Kinds of faults that its recorded operations allow.
    kinds: Vec<EnumeratedFault>,
}

impl SecondFaults {
    /// Builds the second faults from all recorded operations. Nodes of `outside` are not part of the system.
    pub(crate) fn of(ops: &[SerializedOp], options: PairOptions, outside: &[&str]) -> SecondFaults {
        let mut nodes: BTreeMap<String, NodeOps> = BTreeMap::new();
        for (position, op) in ops.iter().enumerate().filter(|(_, op)| !outside.contains(&op.node.as_str())) {
            let node = nodes.entry(op.node.clone()).or_default();
            node.positions.push(position);
            node.peers.push(op.peer.clone());
            node.has_disk_ops |= !op.op.is_net();
            node.has_calls |= op.op == OpKind::Send;
        }
        let mut kinds = options.kinds;
        if kinds.is_empty() {
            kinds = DEFAULT_KINDS.to_vec();
        }
        kinds.sort_unstable();
        kinds.dedup();
        SecondFaults { distance: options.distance, kinds, nodes }
    }

    /// Largest number of operations from the first fault to the second.
    pub(crate) fn distance(&self) -> u64 {
        self.distance
    }

    /// Returns the number of faults that can follow `first`.
    pub(crate) fn count_after(&self, first: &InjectionPoint) -> u64 {
        self.nodes_of(first).iter().map(|node| node.kinds.len() as u64 * self.distance).sum()
    }

    /// Returns the faults that can follow `first`: those at its own node first, the nearest operation first.
    pub(crate) fn after(&self, first: &InjectionPoint) -> impl Iterator<Item = InjectionPoint> {
        let distance = self.distance;
        self.nodes_of(first).into_iter().flat_map(move |SecondNode { name, ops_before, kinds }| {
            (1..=distance).flat_map(move |after| {
                let point = move |kind| InjectionPoint { kind, node: name.to_owned(), n: ops_before + after };
                kinds.clone().into_iter().map(point)
            })
        })
    }

    /// Returns the nodes at which a second fault can strike: that of the first fault, then the related ones by name.
    fn nodes_of(&self, first: &InjectionPoint) -> Vec<SecondNode<'_>> {
        let Some((name, own)) = self.nodes.get_key_value(&first.node) else { return Vec::new() };
        let index = usize::try_from(first.n - 1).unwrap_or(usize::MAX);
        let Some(position) = own.positions.get(index).copied() else { return Vec::new() };
        let related = own.peers_near(index, self.distance).into_iter().filter(|peer| *peer != name);
        std::iter::once(name.as_str())
            .chain(related)
            .filter_map(|name| {
                let node = self.nodes.get(name)?;
                let ops_before = node.positions.partition_point(|other| *other <= position) as u64;
                let kinds = self.kinds.iter().copied().filter(|kind| node.allows(*kind)).collect();
                Some(SecondNode { name, ops_before, kinds })
            })
            .collect()
    }
}

impl NodeOps {
    /// Returns the nodes at the other end of the messages within a distance of an operation.
    fn peers_near(&self, index: usize, distance: u64) -> BTreeSet<&str> {
        let distance = usize::try_from(distance).unwrap_or(usize::MAX);
        let to = index.saturating_add(distance).saturating_add(1).min(self.peers.len());
        self.peers[index.saturating_sub(distance)..to].iter().flatten().map(String::as_str).collect()
    }

    fn allows(&self, kind: EnumeratedFault) -> bool {
        match kind {
            EnumeratedFault::CrashNothing
            | EnumeratedFault::CrashEverything
            | EnumeratedFault::CrashDrawn => true,
            EnumeratedFault::Error => self.has_disk_ops,
            EnumeratedFault::RequestLost | EnumeratedFault::AnswerLost => self.has_calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EnumeratedFault::{AnswerLost, CrashDrawn, CrashNothing, Error, RequestLost};

    fn op(node: &str, n: u64, op: OpKind, peer: Option<&str>) -> SerializedOp {
        let (node, peer, path) = (node.to_owned(), peer.map(str::to_owned), String::new());
        SerializedOp { node, op, n, at_ms: 0, path, peer, leaves_unsynced: false }
    }

    /// An edge that asks a disk, which first opens and then writes a file, and a client that asks the edge.
    fn recorded() -> Vec<SerializedOp> {
        vec![
            op("disk", 1, OpKind::Open, None),
            op("disk", 2, OpKind::Read, None),
            op("clients", 1, OpKind::Send, Some("edge")),
            op("edge", 1, OpKind::Receive, Some("clients")),
            op("edge", 2, OpKind::Send, Some("disk")),
            op("disk", 3, OpKind::Receive, Some("edge")),
            op("disk", 4, OpKind::Append, None),
            op("disk", 5, OpKind::Answer, Some("edge")),
            op("edge", 3, OpKind::Answer, Some("clients")),
        ]
    }

    fn after(first: &str, distance: u64, kinds: &[EnumeratedFault]) -> Vec<String> {
        let options = PairOptions { distance, kinds: kinds.to_vec() };
        let seconds = SecondFaults::of(&recorded(), options, &["clients"]);
        let first: InjectionPoint = first.parse().unwrap();
        let points: Vec<String> = seconds.after(&first).map(|point| point.to_string()).collect();
        assert_eq!(seconds.count_after(&first), points.len() as u64);
        points
    }

    #[test]
    fn a_second_fault_strikes_the_next_operations_of_the_same_node_also_beyond_the_recorded_ones() {
        let crashes = after("crash-nothing@disk:4", 3, &[CrashDrawn]);
        assert_eq!(crashes[..3], ["crash-drawn@disk:5", "crash-drawn@disk:6", "crash-drawn@disk:7"]);
    }

    #[test]
    fn a_node_is_related_if_a_message_to_or_from_it_is_near() {
        assert_eq!(after("crash-nothing@disk:1", 1, &[CrashDrawn]), ["crash-drawn@disk:2"]);
        // The edge has made two operations when the disk appends: the next is the third.
        let near = ["crash-drawn@disk:5", "crash-drawn@edge:3"];
        assert_eq!(after("crash-nothing@disk:4", 1, &[CrashDrawn]), near);
        // Clients are outside the system, so no fault strikes them.
        let other_end = ["crash-drawn@edge:2", "crash-drawn@disk:3"];
        assert_eq!(after("error@edge:1", 1, &[CrashDrawn]), other_end);
    }

    #[test]
    fn kinds_follow_what_a_node_does_in_the_recorded_run() {
        let edge = after("request-lost@edge:2", 1, &[]);
        let at_edge = ["crash-drawn@edge:3", "request-lost@edge:3", "answer-lost@edge:3"];
        assert_eq!(edge, [&at_edge[..], &["crash-drawn@disk:3", "error@disk:3"]].concat());
        assert!(
            after("request-lost@edge:2", 1, &[Error]).iter().all(|point| point.starts_with("error@disk"))
        );
        assert_eq!(after("error@disk:1", 1, &[RequestLost, AnswerLost]), [""; 0]);
    }

    #[test]
    fn a_kind_that_is_given_twice_is_planned_once() {
        let once = after("error@disk:1", 1, &[CrashNothing, CrashDrawn, CrashNothing]);
        assert_eq!(once, ["crash-nothing@disk:2", "crash-drawn@disk:2"]);
    }

    #[test]
    fn an_operation_that_was_not_recorded_has_no_second_fault() {
        assert!(after("error@disk:9", 5, &[]).is_empty() && after("error@clients:1", 5, &[]).is_empty());
    }
}
