//! Faults of links: one direction, both, or all of a node. Overlapping cuts add up: a direction works again when
//! the last of them has ended.

use crate::world::World;

pub(super) fn cut(
    world: &World,
    (from, to): (&str, &str),
    both: bool,
    for_ms: Option<u64>,
    begins: bool,
) -> Option<u64> {
    let (from, to) = (world.node_named(from)?, world.node_named(to)?);
    world.count_cut(from, to, begins);
    if both {
        world.count_cut(to, from, begins);
    }
    for_ms.filter(|_| begins)
}

pub(super) fn isolate(world: &World, node: &str, for_ms: Option<u64>, begins: bool) -> Option<u64> {
    world.count_isolation(world.node_named(node)?, begins);
    for_ms.filter(|_| begins)
}
