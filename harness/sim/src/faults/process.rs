//! Faults of processes: kill, restart, crash loop, pause, power loss, a machine back with an empty disk.
//!
//! Modelled: a process dies at an instant or at an operation and loses its memory; its disk keeps what
//! [`CrashKeeps`] says. A paused process keeps its memory and its beliefs (a lease that ran out meanwhile), and
//! messages to it wait. A power loss takes several nodes at one instant; each disk decides for itself what it keeps.
//! A node that is down when another fault kills it comes up at the first restart that falls due. A kill ends a pause.
//! Not modelled: memory that rots, a process that runs slowly, a machine that never comes back by itself once faults
//! are over.
//!
//! How often: a server restarts a few times a year, a machine crash or power event every few months per rack; pauses
//! of seconds to minutes are what garbage collectors, swapping and live migration leave. Scenarios run weeks, so
//! their rates are accelerated.

use super::{Lasts, Strike};
use crate::world::World;
use crate::{CrashKeeps, DiskImage};
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
    pub restart_after_ms: Option<u64>,
    /// What its disk keeps of what was not synced; `None`: the disk's own policy.
    #[serde(default)]
    pub keeps: Option<CrashKeeps>,
    /// Un-synced writes are torn between blocks of this size: 512 or 4096; `None`: the disk's own.
    #[serde(default)]
    pub tear_bytes: Option<u32>,
}

/// Stops a node's process in its tracks: a zombie, once it wakes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Pause {
    /// The node.
    pub node: String,
    /// For how many milliseconds.
    pub for_ms: u64,
}

/// Kills a node's process again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct CrashLoop {
    /// The node.
    pub node: String,
    /// How many times it dies.
    pub times: u32,
    /// How long it is up in between, in milliseconds.
    pub up_ms: u64,
    /// How long it is down each time, in milliseconds.
    pub down_ms: u64,
}

/// Kills several nodes at one instant: a rack, a room, a data center.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct PowerLoss {
    /// The nodes.
    pub nodes: Vec<String>,
    /// Power is back after this many milliseconds.
    pub restart_after_ms: u64,
    /// What the disks keep of what was not synced; `None`: each disk's own policy.
    #[serde(default)]
    pub keeps: Option<CrashKeeps>,
}

/// Kills a node's process and boots it with an empty disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct NewDisk {
    /// The node.
    pub node: String,
    /// After this many milliseconds.
    pub restart_after_ms: u64,
}

impl Strike for Kill {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> Lasts {
        let Some(node) = world.find(&self.node) else { return Lasts::NoTime };
        node.kill_torn(world, self.keeps, self.tear_bytes);
        self.restart_after_ms.map_or(Lasts::UntilFaultsEnd, Lasts::Ms)
    }

    /// The end of a kill is the restart; a node that somebody else restarted meanwhile is left alone.
    fn end(&self, world: &World, _: usize) {
        start_if_down(world, &self.node);
    }
}

impl Strike for Pause {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> Lasts {
        if let Some(node) = world.find(&self.node) {
            node.pause(world);
        }
        Lasts::Ms(self.for_ms)
    }

    fn end(&self, world: &World, _: usize) {
        if let Some(node) = world.find(&self.node) {
            node.resume(world);
        }
    }
}

/// Boots a node that is down; one that somebody else started meanwhile is left alone.
fn start_if_down(world: &World, name: &str) {
    if let Some(node) = world.find(name).filter(|node| !node.is_up()) {
        node.start(world);
    }
}

impl Strike for CrashLoop {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> Lasts {
        if let Some(node) = world.find(&self.node).filter(|_| self.times > 0) {
            node.kill(world, None);
        }
        Lasts::Ms(self.down_ms)
    }

    /// Odd steps end a time down, even ones a time up.
    fn next(&self, world: &World, _: usize, step: u32) -> Option<u64> {
        if step.is_multiple_of(2) {
            if let Some(node) = world.find(&self.node) {
                node.kill(world, None);
            }
            return Some(self.down_ms);
        }
        start_if_down(world, &self.node);
        (step.div_ceil(2) < self.times).then_some(self.up_ms)
    }

    fn end(&self, world: &World, _: usize) {
        start_if_down(world, &self.node);
    }
}

impl Strike for PowerLoss {
    fn nodes(&self) -> Vec<&str> {
        self.nodes.iter().map(String::as_str).collect()
    }

    fn begin(&self, world: &World, _: usize) -> Lasts {
        for name in &self.nodes {
            if let Some(node) = world.find(name) {
                node.kill(world, self.keeps);
            }
        }
        Lasts::Ms(self.restart_after_ms)
    }

    fn end(&self, world: &World, _: usize) {
        self.nodes.iter().for_each(|name| start_if_down(world, name));
    }
}

impl Strike for NewDisk {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> Lasts {
        if let Some(node) = world.find(&self.node) {
            node.kill(world, None);
            node.disk().replace(&DiskImage::new());
        }
        Lasts::Ms(self.restart_after_ms)
    }

    fn end(&self, world: &World, _: usize) {
        start_if_down(world, &self.node);
    }
}
