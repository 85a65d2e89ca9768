//! The part of a node that outlives its processes: the disk, the wall clock and the conditions that faults set.

use crate::disk::{DiskImage, DiskSpec, DiskStore};
use crate::lock::lock;
use crate::wall_clock::{ClockSpec, WallClock};
use std::collections::BTreeMap;
use std::sync::Mutex;

pub(crate) struct Machine {
    disk: DiskStore,
    wall_clock: WallClock,
    /// Conditions that faults set: name and level, by fault index.
    conditions: Mutex<BTreeMap<usize, (String, u64)>>,
}

impl Machine {
    pub(crate) fn new(disk: DiskSpec, image: Option<&DiskImage>, clock: ClockSpec) -> Machine {
        Machine {
            disk: DiskStore::new(disk, image),
            wall_clock: WallClock::new(clock),
            conditions: Mutex::default(),
        }
    }

    pub(crate) fn disk(&self) -> &DiskStore {
        &self.disk
    }

    pub(crate) fn wall_clock(&self) -> &WallClock {
        &self.wall_clock
    }

    /// Sets a named condition until its fault ends.
    pub(crate) fn set_condition(&self, fault: usize, name: String, level: u64) {
        lock(&self.conditions).insert(fault, (name, level));
    }

    pub(crate) fn remove_condition(&self, fault: usize) {
        lock(&self.conditions).remove(&fault);
    }

    /// Returns the level of a named condition, if it is active: the highest of several faults.
    pub(crate) fn condition(&self, name: &str) -> Option<u64> {
        lock(&self.conditions).values().filter(|(of, _)| of == name).map(|(_, level)| *level).max()
    }
}
