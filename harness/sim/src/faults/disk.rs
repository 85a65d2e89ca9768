//! Faults of disks: errors on request, no space left.
//!
//! An operation that fails by request has no effect: a failed append wrote nothing, a failed sync made nothing
//! durable and forgot nothing.

use super::OpKind;
use crate::disk::ErrorRule;
use crate::world::World;

pub(super) fn error(
    world: &World,
    node: &str,
    op: OpKind,
    path_prefix: &str,
    times: u32,
    begins: bool,
) -> Option<u64> {
    let node = world.find(node)?;
    if begins {
        node.disk().inject(ErrorRule { op, path_prefix: path_prefix.to_owned(), times });
    }
    None
}

pub(super) fn full(world: &World, node: &str, for_ms: Option<u64>, begins: bool) -> Option<u64> {
    world.find(node)?.disk().set_full(begins);
    for_ms.filter(|_| begins)
}
