//! Conversion of disk images to the oracle's views.

use crate::cluster::store_faults::StoreLog;
use latent_engine::sim::World;
use latent_oracle::{DiskView, FileView, ProjectDay, day};
use latent_ports::NodeId;
use std::collections::BTreeSet;

/// Prefix of the paths of hints on an ingest node.
pub(super) const HINTS: &str = "hints/";

/// Reads a node's disk as its processes see it, including unsynced data and removals.
pub(super) fn view(world: &World, node: NodeId) -> DiskView {
    view_of(&world.node_name(node), world.disk_image(node).files())
}

/// Reads an object store's disk. Objects of which a planned fault had the store keep other bytes count as corrupted.
pub(super) fn store_view(world: &World, node: NodeId, log: &StoreLog) -> DiskView {
    let mut view = view(world, node);
    let altered = log.altered_keys(node);
    for file in &mut view.files {
        let is_altered = |key: &str| altered.contains(key);
        file.corrupted |= file.path.strip_prefix("objects/").is_some_and(is_altered);
    }
    view
}

/// Reads a node's disk as a power cut would leave it.
pub(super) fn durable_view(world: &World, node: NodeId) -> DiskView {
    view_of(&world.node_name(node), world.durable_image(node).files())
}

/// Converts a disk's image to the oracle's view.
pub(crate) fn view_of<'i>(
    name: &str,
    files: impl Iterator<Item = (&'i str, latent_engine::sim::FileImage)>,
) -> DiskView {
    let files = files.map(|(path, file)| FileView {
        path: path.to_owned(),
        chunks: file.chunks().to_vec(),
        unreadable: file.has_unreadable(),
        corrupted: file.is_corrupted(),
        as_written: if file.is_corrupted() { file.chunks_as_written().to_vec() } else { Vec::new() },
    });
    DiskView { name: name.to_owned(), files: files.collect() }
}

/// Reads the directories of some days on each of these disks: as a power cut would leave them (`is_durable`), or as
/// their processes see them.
pub(super) fn views_of_days<'n>(
    world: &World,
    disks: impl IntoIterator<Item = &'n NodeId>,
    days: &BTreeSet<ProjectDay>,
    is_durable: bool,
) -> Vec<DiskView> {
    let dirs: Vec<String> = days.iter().copied().map(day_dir).collect();
    let view = |node: &NodeId| {
        let dirs = dirs.iter().map(String::as_str);
        let image = match is_durable {
            true => world.durable_image_under(*node, dirs),
            false => world.disk_image_under(*node, dirs),
        };
        view_of(&world.node_name(*node), image.files())
    };
    disks.into_iter().map(view).collect()
}

/// Returns the project-days that have a directory on any of these disks.
pub(super) fn days_of(views: &[DiskView]) -> BTreeSet<ProjectDay> {
    views.iter().flat_map(|view| &view.files).filter_map(|file| day_of(&file.path)).collect()
}

/// Returns the directory of a project-day on each disk.
pub(super) fn day_dir(project_day: ProjectDay) -> String {
    format!("arb/{}/{}", project_day.project, day::format_day(project_day.day))
}

/// Returns the project-day whose directory contains the path or equals it.
pub(super) fn day_of(path: &str) -> Option<ProjectDay> {
    let mut parts = path.strip_prefix("arb/")?.split('/');
    let project = parts.next()?.parse().ok()?;
    Some(ProjectDay { project, day: day::parse_day(parts.next()?)? })
}

/// Returns the disk of a hint: `hints/3-7` is the seventh for node 3. The name may have a prefix.
pub(super) fn disk_of_hint(path: &str) -> Option<NodeId> {
    let mut parts = path.strip_prefix(HINTS)?.rsplit('-');
    let _number = parts.next()?;
    parts.next()?.parse().ok().map(NodeId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_its_disk() {
        assert_eq!(disk_of_hint("hints/3-7"), Some(NodeId(3)));
        assert_eq!(disk_of_hint("hints/claimed-12-7"), Some(NodeId(12)));
        assert_eq!(disk_of_hint("hints/x"), None);
    }
}
