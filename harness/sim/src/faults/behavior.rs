//! What the actions of all fault families share: their behavior, and the part of a world that they act on.

use crate::disk::CrashPolicy;
use crate::machine::Machine;
use crate::net::LinkFaults;
use latent_ports::NodeId;
use std::sync::Arc;

/// World as fault actions see it. A node that does not exist is not affected.
pub(crate) trait FaultTarget {
    /// Returns true time since the start of the world, in nanoseconds.
    fn now_ns(&self) -> u64;

    /// Returns the node with this name.
    fn node_named(&self, name: &str) -> Option<NodeId>;

    /// Returns the machine of the node with this name.
    fn machine(&self, name: &str) -> Option<Arc<Machine>>;

    /// Reads or changes the active link faults.
    fn with_link_faults(&self, work: &mut dyn FnMut(&mut LinkFaults));

    /// Kills a node's process. `None`: the disk's own policy and block size.
    fn kill(&self, name: &str, keeps: Option<CrashPolicy>, tear_bytes: Option<u32>);

    /// Boots a node that is down. A node that was started meanwhile is left alone.
    fn start_if_down(&self, name: &str);

    /// Pauses a node's process on behalf of a fault.
    fn pause(&self, name: &str, fault: usize);

    /// Resumes the process that the fault paused, unless that process is dead or another pause still holds it.
    fn resume(&self, fault: usize);
}

/// Behavior that the actions of all fault families share. `fault` is the index of the fault in its world: effects
/// that begin under an index end under it. A fault whose node is unknown does nothing and is reported at the end.
pub(crate) trait FaultBehavior {
    /// Returns every node that the action names.
    fn nodes(&self) -> Vec<&str>;

    /// Begins the fault's effect.
    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration;

    /// Ends the current phase; `phase` counts from 1. A fault with several phases begins the next one and returns its
    /// duration in milliseconds; `None` ends the fault now.
    fn next_phase(&self, _target: &dyn FaultTarget, _fault: usize, _phase: u32) -> Option<u64> {
        None
    }

    /// Ends the fault's effect. Called once, and only for a fault that began and has a duration.
    fn end(&self, target: &dyn FaultTarget, fault: usize);

    /// Whether the fault was limited to a number of operations or calls and has affected them all: it is active,
    /// without further effect.
    fn is_exhausted(&self, _target: &dyn FaultTarget, _fault: usize) -> bool {
        false
    }
}

/// Duration of a fault after it triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultDuration {
    /// No duration: the effect is complete.
    Instant,
    /// This many milliseconds, or until faults end.
    Ms(u64),
    /// Until faults end.
    UntilFaultsEnd,
}

impl FaultDuration {
    pub(super) fn ms_or_until_faults_end(for_ms: Option<u64>) -> FaultDuration {
        for_ms.map_or(FaultDuration::UntilFaultsEnd, FaultDuration::Ms)
    }
}
