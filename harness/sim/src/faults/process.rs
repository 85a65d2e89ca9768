//! Process faults: kill, restart, crash loop, pause, power loss, restart with an empty disk.
//!
//! Modelled: a process dies at an instant or at an operation and loses its memory; [`CrashPolicy`] resolves its
//! disk's un-synced state. A paused process keeps its memory and its assumptions (such as a lease that expired
//! meanwhile), and messages to it wait. A power loss kills several nodes at one instant; each disk resolves its
//! un-synced state on its own. A node that another fault kills while it is down starts at the first restart that is
//! due. A pause affects one process: a kill ends it, and the next process is not paused. Overlapping pauses of a
//! process add up: it resumes when the last of them ends. A new disk is empty: the durable data and the bad blocks of
//! the old one are gone.
//!
//! Not modelled: memory corruption, a slow process, a machine that stays down after faults end, a disk that moves to
//! another machine.
//!
//! Frequency: in the first year of a new cluster of a few thousand machines, about 1,000 failed on their own, 20
//! times a rack of 40 to 80 went down at one instant for 1 to 6 hours, and once a power distribution unit took down
//! 500 to 1,000 of them for about 6 hours (Dean, Data-Intensive Computing Symposium 2008). Garbage collection,
//! swapping and live migration pause processes for seconds to minutes: a server of HBase that collected garbage until
//! its lease had expired is the classic case (Lipcon, "Avoiding Full GCs with MemStore-Local Allocation Buffers",
//! 2011; Kleppmann, "How to do distributed locking", 2016). Scenarios run weeks, so their rates are accelerated.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use crate::disk::{CrashPolicy, DiskImage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kills a node's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Kill {
    /// The node.
    pub node: String,
    /// Milliseconds until the restart; `None`: the node stays down until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub restart_after_ms: Option<u64>,
    /// Resolution of the disk's un-synced operations; `None`: the disk's own policy.
    #[serde(default)]
    pub keeps: Option<CrashPolicy>,
    /// Block size in bytes at which un-synced writes are torn: 512 or 4096; `None`: the disk's own.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub tear_bytes: Option<u32>,
}

/// Pauses a node's process. It resumes as a zombie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Pause {
    /// The node.
    pub node: String,
    /// Duration in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: u64,
}

/// Kills a node's process repeatedly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct CrashLoop {
    /// The node.
    pub node: String,
    /// Number of kills.
    #[schemars(range(max = 10_000))]
    pub times: u32,
    /// Duration of each interval up, in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub up_ms: u64,
    /// Duration of each interval down, in milliseconds.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub down_ms: u64,
}

/// Kills several nodes at one instant: a rack, a room, a data center.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct PowerLoss {
    /// The nodes.
    pub nodes: Vec<String>,
    /// Milliseconds until the restart.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub restart_after_ms: u64,
    /// Resolution of the disks' un-synced operations; `None`: each disk's own policy.
    #[serde(default)]
    pub keeps: Option<CrashPolicy>,
}

/// Kills a node's process and boots it with an empty disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct NewDisk {
    /// The node.
    pub node: String,
    /// Milliseconds until the restart.
    #[schemars(range(max = 31_622_400_000_u64))]
    pub restart_after_ms: u64,
}

impl FaultBehavior for Kill {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        if target.node_named(&self.node).is_none() {
            return FaultDuration::Instant;
        }
        target.kill(&self.node, self.keeps, self.tear_bytes);
        self.restart_after_ms.map_or(FaultDuration::UntilFaultsEnd, FaultDuration::Ms)
    }

    /// Ends a kill by a restart. A node that was restarted meanwhile is left alone.
    fn end(&self, target: &dyn FaultTarget, _: usize) {
        target.start_if_down(&self.node);
    }
}

impl FaultBehavior for Pause {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        target.pause(&self.node, fault);
        FaultDuration::Ms(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        target.resume(fault);
    }
}

impl FaultBehavior for CrashLoop {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        if self.times == 0 {
            // Without a kill, the end must not start a node that another fault keeps down.
            return FaultDuration::Instant;
        }
        target.kill(&self.node, None, None);
        FaultDuration::Ms(self.down_ms)
    }

    /// Odd phases end an interval down, even ones an interval up.
    fn next_phase(&self, target: &dyn FaultTarget, _: usize, phase: u32) -> Option<u64> {
        if phase.is_multiple_of(2) {
            target.kill(&self.node, None, None);
            return Some(self.down_ms);
        }
        target.start_if_down(&self.node);
        (phase.div_ceil(2) < self.times).then_some(self.up_ms)
    }

    fn end(&self, target: &dyn FaultTarget, _: usize) {
        target.start_if_down(&self.node);
    }
}

impl FaultBehavior for PowerLoss {
    fn nodes(&self) -> Vec<&str> {
        self.nodes.iter().map(String::as_str).collect()
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        for name in &self.nodes {
            target.kill(name, self.keeps, None);
        }
        FaultDuration::Ms(self.restart_after_ms)
    }

    fn end(&self, target: &dyn FaultTarget, _: usize) {
        self.nodes.iter().for_each(|name| target.start_if_down(name));
    }
}

impl FaultBehavior for NewDisk {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        target.kill(&self.node, None, None);
        if let Some(machine) = target.machine(&self.node) {
            machine.disk().replace(&DiskImage::new());
        }
        FaultDuration::Ms(self.restart_after_ms)
    }

    fn end(&self, target: &dyn FaultTarget, _: usize) {
        target.start_if_down(&self.node);
    }
}
