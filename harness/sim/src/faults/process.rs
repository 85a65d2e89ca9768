//! Faults of processes: kill, restart, crash loop, pause, power loss, a machine back with an empty disk.
//!
//! Modelled: a process dies at an instant or at an operation and loses its memory; its disk keeps what
//! [`CrashPolicy`] says. A paused process keeps its memory and its beliefs (a lease that ran out meanwhile), and
//! messages to it wait. A power loss takes several nodes at one instant; each disk decides for itself what it keeps.
//! A node that is down when another fault kills it comes up at the first restart that falls due. A pause is one
//! process's: a kill ends it, and the next process has nothing of it. Overlapping pauses of a process add up: it wakes
//! when the last of them has ended. A new disk is empty: what was durable went with the old one, and so did its bad
//! blocks.
//!
//! Not modelled: memory that rots, a process that runs slowly, a machine that never comes back by itself once faults
//! are over, a disk that moves to another machine.
//!
//! How often: in the first year of a new cluster of a few thousand machines, about 1,000 failed on their own, 20 times
//! a rack of 40 to 80 went at one instant for 1 to 6 hours, and once a power distribution unit took 500 to 1,000 of
//! them for about 6 hours (Dean, Data-Intensive Computing Symposium 2008). Pauses of seconds to minutes are what
//! garbage collectors, swapping and live migration leave: a server of HBase that collected garbage until its lease had
//! run out is the classic (Lipcon, "Avoiding Full GCs with MemStore-Local Allocation Buffers", 2011; Kleppmann, "How
//! to do distributed locking", 2016). Scenarios run weeks, so their rates are accelerated.

use super::{FaultBehavior, FaultDuration};
use crate::world::World;
use crate::{CrashPolicy, DiskImage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kills a node's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Kill {
    /// The node.
    pub node: String,
    /// Boots it again after this many milliseconds; `None`: it stays down until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub restart_after_ms: Option<u64>,
    /// What its disk keeps of what was not synced; `None`: the disk's own policy.
    #[serde(default)]
    pub keeps: Option<CrashPolicy>,
    /// Un-synced writes are torn between blocks of this size: 512 or 4096; `None`: the disk's own.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub tear_bytes: Option<u32>,
}

/// Stops a node's process in its tracks: a zombie, once it wakes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Pause {
    /// The node.
    pub node: String,
    /// For how many milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: u64,
}

/// Kills a node's process again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct CrashLoop {
    /// The node.
    pub node: String,
    /// How many times it dies.
    #[schemars(range(max = 10_000))]
    pub times: u32,
    /// How long it is up in between, in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub up_ms: u64,
    /// How long it is down each time, in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub down_ms: u64,
}

/// Kills several nodes at one instant: a rack, a room, a data center.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct PowerLoss {
    /// The nodes.
    pub nodes: Vec<String>,
    /// Power is back after this many milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub restart_after_ms: u64,
    /// What the disks keep of what was not synced; `None`: each disk's own policy.
    #[serde(default)]
    pub keeps: Option<CrashPolicy>,
}

/// Kills a node's process and boots it with an empty disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct NewDisk {
    /// The node.
    pub node: String,
    /// After this many milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub restart_after_ms: u64,
}

impl FaultBehavior for Kill {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        let Some(node) = world.find_node(&self.node) else { return FaultDuration::Instant };
        node.kill_torn(world, self.keeps, self.tear_bytes);
        self.restart_after_ms.map_or(FaultDuration::UntilFaultsEnd, FaultDuration::Ms)
    }

    /// The end of a kill is the restart; a node that somebody else restarted meanwhile is left alone.
    fn end(&self, world: &World, _: usize) {
        start_if_down(world, &self.node);
    }
}

impl FaultBehavior for Pause {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        if let Some(node) = world.find_node(&self.node).filter(|node| node.is_up()) {
            world.with_fault_registry(|registry| {
                registry.pauses.insert(fault, (node.id(), node.incarnation()))
            });
            node.pause(world);
        }
        FaultDuration::Ms(self.for_ms)
    }

    /// Wakes the process that it paused, unless that one is dead or another pause still holds it.
    fn end(&self, world: &World, fault: usize) {
        let paused = world.with_fault_registry(|registry| {
            let paused = registry.pauses.remove(&fault)?;
            (!registry.pauses.values().any(|other| *other == paused)).then_some(paused)
        });
        let Some((node, incarnation)) = paused else { return };
        let node = world.node(node);
        if node.incarnation() == incarnation {
            node.resume(world);
        }
    }
}

/// Boots a node that is down; one that somebody else started meanwhile is left alone.
fn start_if_down(world: &World, name: &str) {
    if let Some(node) = world.find_node(name).filter(|node| !node.is_up()) {
        node.start(world);
    }
}

impl FaultBehavior for CrashLoop {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        if self.times == 0 {
            // Nor does it start, at its end, what others keep down.
            return FaultDuration::Instant;
        }
        if let Some(node) = world.find_node(&self.node) {
            node.kill(world, None);
        }
        FaultDuration::Ms(self.down_ms)
    }

    /// Odd steps end a time down, even ones a time up.
    fn next_phase(&self, world: &World, _: usize, phase: u32) -> Option<u64> {
        if phase.is_multiple_of(2) {
            if let Some(node) = world.find_node(&self.node) {
                node.kill(world, None);
            }
            return Some(self.down_ms);
        }
        start_if_down(world, &self.node);
        (phase.div_ceil(2) < self.times).then_some(self.up_ms)
    }

    fn end(&self, world: &World, _: usize) {
        start_if_down(world, &self.node);
    }
}

impl FaultBehavior for PowerLoss {
    fn nodes(&self) -> Vec<&str> {
        self.nodes.iter().map(String::as_str).collect()
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        for name in &self.nodes {
            if let Some(node) = world.find_node(name) {
                node.kill(world, self.keeps);
            }
        }
        FaultDuration::Ms(self.restart_after_ms)
    }

    fn end(&self, world: &World, _: usize) {
        self.nodes.iter().for_each(|name| start_if_down(world, name));
    }
}

impl FaultBehavior for NewDisk {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        if let Some(node) = world.find_node(&self.node) {
            node.kill(world, None);
            node.disk().replace(&DiskImage::new());
        }
        FaultDuration::Ms(self.restart_after_ms)
    }

    fn end(&self, world: &World, _: usize) {
        start_if_down(world, &self.node);
    }
}
