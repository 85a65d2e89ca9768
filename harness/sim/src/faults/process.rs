//! Faults of processes: kill, pause.

use crate::CrashKeeps;
use crate::world::World;

/// The end of a kill is the restart; a node that somebody else restarted meanwhile is left alone.
pub(super) fn kill(
    world: &World,
    node: &str,
    restart_after_ms: Option<u64>,
    keeps: Option<CrashKeeps>,
    begins: bool,
) -> Option<u64> {
    let node = world.find(node)?;
    if begins {
        node.kill(world, keeps);
        return restart_after_ms;
    }
    if !node.is_up() {
        node.start(world);
    }
    None
}

pub(super) fn pause(world: &World, node: &str, for_ms: u64, begins: bool) -> Option<u64> {
    let node = world.find(node)?;
    if begins {
        node.pause(world)
    } else {
        node.resume(world)
    }
    begins.then_some(for_ms)
}
