//! Active link faults: cuts, degradations and message drops. Each belongs to the index of its fault and ends with it.
//! Without active faults, a message costs one check of a flag. Messages of a node to itself use no link: only a
//! message drop affects them. faults/link.rs defines the faults, what they do not model, and the sources of their
//! figures.

use crate::faults::{CallPart, DegradeLink};
use crate::lock::lock;
use crate::world::World;
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// One direction of a link: sender and receiver.
pub(super) type LinkDirection = (NodeId, NodeId);

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
    by: DegradeLink,
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
        for degradations in self.degradations.values().filter(|one| one.covers(link)) {
            let by = &degradations.by;
            let so_far = degradation.get_or_insert(EffectiveDegradation {
                latency_times: 1,
                loss_ppm: 0,
                duplicate_ppm: 0,
                reorder_ppm: 0,
                reorder_by_ms: 0,
                bandwidth_bytes_per_s: None,
            });
            so_far.latency_times =
                so_far.latency_times.saturating_mul(u64::from(by.latency_times.unwrap_or(1).max(1)));
            so_far.loss_ppm = so_far.loss_ppm.max(by.loss_ppm.unwrap_or(0));
            so_far.duplicate_ppm = so_far.duplicate_ppm.max(by.duplicate_ppm.unwrap_or(0));
            so_far.reorder_ppm = so_far.reorder_ppm.max(by.reorder_ppm.unwrap_or(0));
            so_far.reorder_by_ms = so_far.reorder_by_ms.max(by.reorder_by_ms.unwrap_or(0));
            let narrow = [so_far.bandwidth_bytes_per_s, by.bandwidth_bytes_per_s];
            so_far.bandwidth_bytes_per_s = narrow.into_iter().flatten().min();
        }
        degradation
    }

    /// Returns the message of a new call that a fault drops, if any, and counts it.
    pub(super) fn take_message_drop(&mut self, caller: NodeId) -> Option<CallPart> {
        if !self.any {
            return None;
        }
        let (fault, message_drops) =
            self.message_drops.iter_mut().find(|(_, message_drops)| message_drops.node == caller)?;
        let (fault, part) = (*fault, message_drops.part);
        message_drops.left -= 1;
        if message_drops.left == 0 {
            self.message_drops.remove(&fault);
            self.update_any();
        }
        Some(part)
    }

    fn release(&mut self, fault: usize) {
        release(&mut self.cuts, fault);
        release(&mut self.isolations, fault);
        self.degradations.remove(&fault);
        self.message_drops.remove(&fault);
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
        let meets = |(from, to): LinkDirection| {
            self.link.0.is_none_or(|node| node == from) && self.link.1.is_none_or(|node| node == to)
        };
        meets(link) || (self.by.both && meets((link.1, link.0)))
    }
}

fn release<K: Ord>(held: &mut BTreeMap<K, BTreeSet<usize>>, fault: usize) {
    held.retain(|_, faults| {
        faults.remove(&fault);
        !faults.is_empty()
    });
}

impl World {
    fn link_faults(&self, change: impl FnOnce(&mut LinkFaults)) {
        let mut links = lock(&self.inner.links);
        change(&mut links.link_faults);
        links.link_faults.update_any();
    }

    pub(crate) fn add_cut(&self, link: (NodeId, NodeId), fault: usize) {
        self.link_faults(|held| {
            held.cuts.entry(link).or_default().insert(fault);
        });
    }

    pub(crate) fn add_isolation(&self, node: NodeId, fault: usize) {
        self.link_faults(|held| {
            held.isolations.entry(node).or_default().insert(fault);
        });
    }

    pub(crate) fn add_degradation(
        &self,
        link: (Option<NodeId>, Option<NodeId>),
        by: DegradeLink,
        fault: usize,
    ) {
        self.link_faults(|held| {
            held.degradations.insert(fault, ActiveDegradation { link, by });
        });
    }

    pub(crate) fn add_message_drop(&self, node: NodeId, part: CallPart, left: u32, fault: usize) {
        if left > 0 {
            self.link_faults(|held| {
                held.message_drops.insert(fault, MessageDrop { node, part, left });
            });
        }
    }

    /// Whether a fault still waits for calls whose messages it drops.
    pub(crate) fn has_message_drop(&self, fault: usize) -> bool {
        lock(&self.inner.links).link_faults.message_drops.contains_key(&fault)
    }

    /// Ends every link fault of one fault index.
    pub(crate) fn remove_link_faults(&self, fault: usize) {
        self.link_faults(|held| held.release(fault));
    }
}
