//! Observers of a world.

use super::World;
use crate::trace::Record;

/// Observes a run without changing it.
///
/// An observer is called at each record, after the world updated its own state. It may read the world (disk images,
/// marks, time) and fork. It must not change it: kill, cut, arm and note panic.
pub trait Observer: Send {
    /// Called at each record.
    fn on_record(&mut self, record: &Record<'_>, world: &World);
}
