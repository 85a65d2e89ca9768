//! Active link faults: cuts, degradations and message drops. Each belongs to the index of its fault and ends with it.
//! Without active faults, a message costs one check of a flag. Messages of a node to itself use no link: only a
//! message drop affects them. faults/link.rs defines the faults, what they do not model, and the sources of their
//! figures.

use latent_ports::NodeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One direction of a link: sender and receiver.
pub(super) type LinkDirection = (NodeId, NodeId);

/// One of the two messages of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallPart {
    /// The request: the call has no effect and times out.
    Request,
    /// The answer: the call takes effect and times out.
    Answer,
}

/// Degradation of a link. Properties that are left out do not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkDegradation {
    /// Degrades the other direction too.
    pub(crate) both: bool,
    pub(crate) latency_times: Option<u32>,
    pub(crate) loss_ppm: Option<u32>,
    pub(crate) duplicate_ppm: Option<u32>,
    pub(crate) reorder_ppm: Option<u32>,
    pub(crate) reorder_by_ms: Option<u32>,
    pub(crate) bandwidth_bytes_per_s: Option<u64>,
}

/// All active link faults.
#[derive(Default)]
pub(crate) struct LinkFaults {
    /// Whether any of the following is not empty.
    any: bool,
    cuts: BTreeMap<LinkDirection, BTreeSet<usize>>,
    isolations: BTreeMap<NodeId, BTreeSet<usize>>,
    degradations: BTreeMap<usize, ActiveDegradation>,
    message_drops: BTreeMap<usize, MessageDrop>,
}

/// A degradation and its direction; `None` is every node.
struct ActiveDegradation {
    link: (Option<NodeId>, Option<NodeId>),
    spec: LinkDegradation,
}

/// Message drop that still applies to `left` calls of a node.
struct MessageDrop {
    node: NodeId,
    part: CallPart,
    left: u32,
}

/// All degradations of one direction, combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EffectiveDegradation {
    pub latency_times: u64,
    pub loss_ppm: u32,
    pub duplicate_ppm: u32,
    pub reorder_ppm: u32,
    pub reorder_by_ms: u32,
    pub bandwidth_bytes_per_s: Option<u64>,
}

impl LinkFaults {
    pub(super) fn is_cut(&self, link: LinkDirection) -> bool {
        self.any
            && link.0 != link.1
            && (self.cuts.contains_key(&link)
                || self.isolations.contains_key(&link.0)
                || self.isolations.contains_key(&link.1))
    }

    /// Returns the combined degradation of a direction, if any.
    pub(super) fn degradation(&self, link: LinkDirection) -> Option<EffectiveDegradation> {
        if !self.any || self.degradations.is_empty() || link.0 == link.1 {
            return None;
        }
        let mut degradation: Option<EffectiveDegradation> = None;
        for active in self.degradations.values().filter(|one| one.covers(link)) {
            let spec = &active.spec;
            let total = degradation.get_or_insert(EffectiveDegradation {
                latency_times: 1,
                loss_ppm: 0,
                duplicate_ppm: 0,
                reorder_ppm: 0,
                reorder_by_ms: 0,
                bandwidth_bytes_per_s: None,
            });
            total.latency_times =
                total.latency_times.saturating_mul(u64::from(spec.latency_times.unwrap_or(1).max(1)));
            total.loss_ppm = total.loss_ppm.max(spec.loss_ppm.unwrap_or(0));
            total.duplicate_ppm = total.duplicate_ppm.max(spec.duplicate_ppm.unwrap_or(0));
            total.reorder_ppm = total.reorder_ppm.max(spec.reorder_ppm.unwrap_or(0));
            total.reorder_by_ms = total.reorder_by_ms.max(spec.reorder_by_ms.unwrap_or(0));
            let limits = [total.bandwidth_bytes_per_s, spec.bandwidth_bytes_per_s];
            total.bandwidth_bytes_per_s = limits.into_iter().flatten().min();
        }
        degradation
    }

    /// Returns the message of a new call that a fault drops, if any, and counts it.
    pub(super) fn take_message_drop(&mut self, caller: NodeId) -> Option<CallPart> {
        if !self.any {
            return None;
        }
        let (fault, message_drop) =
            self.message_drops.iter_mut().find(|(_, message_drop)| message_drop.node == caller)?;
        let (fault, part) = (*fault, message_drop.part);
        message_drop.left -= 1;
        if message_drop.left == 0 {
            self.message_drops.remove(&fault);
            self.update_any();
        }
        Some(part)
    }

    pub(crate) fn add_cut(&mut self, link: LinkDirection, fault: usize) {
        self.cuts.entry(link).or_default().insert(fault);
        self.update_any();
    }

    pub(crate) fn add_isolation(&mut self, node: NodeId, fault: usize) {
        self.isolations.entry(node).or_default().insert(fault);
        self.update_any();
    }

    pub(crate) fn add_degradation(
        &mut self,
        link: (Option<NodeId>, Option<NodeId>),
        spec: LinkDegradation,
        fault: usize,
    ) {
        self.degradations.insert(fault, ActiveDegradation { link, spec });
        self.update_any();
    }

    pub(crate) fn add_message_drop(&mut self, node: NodeId, part: CallPart, left: u32, fault: usize) {
        if left > 0 {
            self.message_drops.insert(fault, MessageDrop { node, part, left });
            self.update_any();
        }
    }

    /// Whether a fault still waits for calls whose messages it drops.
    pub(crate) fn has_message_drop(&self, fault: usize) -> bool {
        self.message_drops.contains_key(&fault)
    }

    /// Ends every link fault of one fault index.
    pub(crate) fn remove_fault(&mut self, fault: usize) {
        remove_fault(&mut self.cuts, fault);
        remove_fault(&mut self.isolations, fault);
        self.degradations.remove(&fault);
        self.message_drops.remove(&fault);
        self.update_any();
    }

    fn update_any(&mut self) {
        self.any = !(self.cuts.is_empty()
            && self.isolations.is_empty()
            && self.degradations.is_empty()
            && self.message_drops.is_empty());
    }
}

impl ActiveDegradation {
    fn covers(&self, link: LinkDirection) -> bool {
        let matches = |(from, to): LinkDirection| {
            self.link.0.is_none_or(|node| node == from) && self.link.1.is_none_or(|node| node == to)
        };
        matches(link) || (self.spec.both && matches((link.1, link.0)))
    }
}

fn remove_fault<K: Ord>(faults: &mut BTreeMap<K, BTreeSet<usize>>, fault: usize) {
    faults.retain(|_, faults| {
        faults.remove(&fault);
        !faults.is_empty()
    });
}
