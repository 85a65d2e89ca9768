//! Faults of clocks: steps. The monotonic clock and sleeps do not notice.

use crate::world::World;

pub(super) fn step(world: &World, node: &str, by_ms: i64, begins: bool) -> Option<u64> {
    let node = world.find(node)?;
    if begins {
        node.wall_clock().step(by_ms);
    }
    None
}
