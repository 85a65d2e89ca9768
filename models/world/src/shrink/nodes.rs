//! Who is there: workers, ingest nodes, data centers and edges beyond the first, and what protects production.
//!
//! Nodes of a kind have numbers without gaps, so it is always the last of them that goes. Disks stay: how many hold an
//! event, and how many must, is what the system promises.

use super::{WorldCase, normalized};
use crate::scenario::{Topology, WorldConfig};
use std::collections::BTreeSet;

/// How many nodes of a kind there are.
type NodeCountField = fn(&mut Topology) -> &mut u16;

/// Something that can be taken out of a topology.
#[derive(Clone, Copy)]
enum RemovablePart {
    /// One node of a kind.
    OneOf(NodeCountField),
    /// The audit, and the operator whom it calls.
    Audit,
    /// The backups, and the data centers.
    Backup,
    /// The tee, and its store.
    Tee,
}

fn parts(config: &WorldConfig) -> Vec<RemovablePart> {
    let (topology, protection) = (&config.topology, &config.protection);
    let whole = [
        (RemovablePart::Audit, protection.audit.is_some()),
        (RemovablePart::Backup, protection.backup.is_some()),
        (RemovablePart::Tee, protection.tee.is_some()),
    ];
    let mut parts: Vec<RemovablePart> =
        whole.into_iter().filter(|(_, is_there)| *is_there).map(|(it, _)| it).collect();
    let data_centers = if protection.backup.is_some() { topology.data_centers } else { 1 };
    let kinds: [(NodeCountField, u16); 4] = [
        (|topology| &mut topology.workers, topology.workers),
        (|topology| &mut topology.ingest, topology.ingest),
        (|topology| &mut topology.data_centers, data_centers),
        (|topology| &mut topology.edges, topology.edges),
    ];
    for (kind, count) in kinds {
        parts.extend((1..count).map(|_| RemovablePart::OneOf(kind)));
    }
    parts
}

pub(super) fn count(case: &WorldCase) -> usize {
    parts(&case.scenario.topic).len()
}

pub(super) fn without(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut case = case.clone();
    let config = &mut case.scenario.topic;
    let parts = parts(config);
    for part in indices.iter().filter_map(|index| parts.get(*index)) {
        match part {
            RemovablePart::OneOf(kind) => *kind(&mut config.topology) -= 1,
            RemovablePart::Audit => (config.protection.audit, config.operator) = (None, None),
            RemovablePart::Backup => config.protection.backup = None,
            RemovablePart::Tee => config.protection.tee = None,
        }
    }
    normalized(case)
}
