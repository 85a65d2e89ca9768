//! What faults hold against links: cuts, degradations, messages that are to be lost. All by the fault's number, so that
//! what began under a fault ends with it. When nothing is held, a message costs one look at a flag. A node's way to itself
//! is no link: nothing is held against it, save that a call may be doomed. What the faults are, what they are not, and
//! where their figures come from stands with their definitions (faults/link.rs).

use crate::faults::{CallPart, DegradeLink};
use crate::lock::lock;
use crate::world::World;
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// One direction: sender and receiver.
pub(super) type Way = (NodeId, NodeId);

/// Everything that is held.
#[derive(Default)]
pub(crate) struct Troubles {
    /// Whether anything is held below.
    any: bool,
    cuts: BTreeMap<Way, BTreeSet<usize>>,
    isolated: BTreeMap<NodeId, BTreeSet<usize>>,
    degraded: BTreeMap<usize, Degraded>,
    doomed: BTreeMap<usize, Doomed>,
}

/// A degradation, and where: `None` is every node.
struct Degraded {
    way: (Option<NodeId>, Option<NodeId>),
    by: DegradeLink,
}

/// Calls of a node that lose a message.
struct Doomed {
    node: NodeId,
    part: CallPart,
    left: u32,
}

/// How a direction is worse than its description says, all degradations taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Worse {
    pub latency_times: u64,
    pub loss_ppm: u32,
    pub duplicate_ppm: u32,
    pub reorder_ppm: u32,
    pub reorder_by_ms: u32,
    pub bandwidth_bytes_per_s: Option<u64>,
}

impl Troubles {
    pub(super) fn is_cut(&self, way: Way) -> bool {
        self.any
            && way.0 != way.1
            && (self.cuts.contains_key(&way)
                || self.isolated.contains_key(&way.0)
                || self.isolated.contains_key(&way.1))
    }

    /// `None` where nothing is degraded.
    pub(super) fn worse(&self, way: Way) -> Option<Worse> {
        if !self.any || self.degraded.is_empty() || way.0 == way.1 {
            return None;
        }
        let mut worse: Option<Worse> = None;
        for degraded in self.degraded.values().filter(|one| one.covers(way)) {
            let by = &degraded.by;
            let so_far = worse.get_or_insert(Worse {
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
        worse
    }

    /// Which message of a call that begins now is lost, if one is; uses up one of its times.
    pub(super) fn doom(&mut self, caller: NodeId) -> Option<CallPart> {
        if !self.any {
            return None;
        }
        let (fault, doomed) = self.doomed.iter_mut().find(|(_, doomed)| doomed.node == caller)?;
        let (fault, part) = (*fault, doomed.part);
        doomed.left -= 1;
        if doomed.left == 0 {
            self.doomed.remove(&fault);
            self.settle();
        }
        Some(part)
    }

    fn release(&mut self, fault: usize) {
        release(&mut self.cuts, fault);
        release(&mut self.isolated, fault);
        self.degraded.remove(&fault);
        self.doomed.remove(&fault);
    }

    fn settle(&mut self) {
        self.any = !(self.cuts.is_empty()
            && self.isolated.is_empty()
            && self.degraded.is_empty()
            && self.doomed.is_empty());
    }
}

impl Degraded {
    fn covers(&self, way: Way) -> bool {
        let meets = |(from, to): Way| {
            self.way.0.is_none_or(|node| node == from) && self.way.1.is_none_or(|node| node == to)
        };
        meets(way) || (self.by.both && meets((way.1, way.0)))
    }
}

fn release<K: Ord>(held: &mut BTreeMap<K, BTreeSet<usize>>, fault: usize) {
    held.retain(|_, faults| {
        faults.remove(&fault);
        !faults.is_empty()
    });
}

impl World {
    fn troubles(&self, change: impl FnOnce(&mut Troubles)) {
        let mut links = lock(&self.inner.links);
        change(&mut links.troubles);
        links.troubles.settle();
    }

    pub(crate) fn hold_cut(&self, way: (NodeId, NodeId), fault: usize) {
        self.troubles(|held| {
            held.cuts.entry(way).or_default().insert(fault);
        });
    }

    pub(crate) fn hold_isolated(&self, node: NodeId, fault: usize) {
        self.troubles(|held| {
            held.isolated.entry(node).or_default().insert(fault);
        });
    }

    pub(crate) fn hold_degraded(&self, way: (Option<NodeId>, Option<NodeId>), by: DegradeLink, fault: usize) {
        self.troubles(|held| {
            held.degraded.insert(fault, Degraded { way, by });
        });
    }

    pub(crate) fn hold_doomed(&self, node: NodeId, part: CallPart, left: u32, fault: usize) {
        if left > 0 {
            self.troubles(|held| {
                held.doomed.insert(fault, Doomed { node, part, left });
            });
        }
    }

    /// Whether a fault still waits for calls to lose messages of.
    pub(crate) fn dooms(&self, fault: usize) -> bool {
        lock(&self.inner.links).troubles.doomed.contains_key(&fault)
    }

    /// Lets go of everything that a fault holds against links.
    pub(crate) fn release_links(&self, fault: usize) {
        self.troubles(|held| held.release(fault));
    }
}
