//! Files that wait for garbage collection, and the pins that keep them. In memory only: see `gc`.

use crate::zone::Day;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// File to remove: project, day and path.
pub(super) type DueFile = (u32, Day, String);

/// Files that are waiting for removal.
#[derive(Default)]
pub(super) struct GcQueue {
    /// By due time (monotonic).
    pub queue: Mutex<BTreeMap<Duration, Vec<DueFile>>>,
    /// Directories with removals that are not durable yet.
    pub unsynced: Mutex<BTreeSet<String>>,
    /// Monotonic time until which a project's files are pinned.
    pub pinned: Mutex<BTreeMap<u32, Duration>>,
    pub added: Notify,
}
