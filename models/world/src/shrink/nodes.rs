//! Reductions of nodes: workers, ingest nodes, data centers and edges beyond the first, and the protection of
//! production.
//!
//! Nodes of a kind are numbered without gaps, so the last one is removed. Disks stay: the numbers of copies and of
//! acknowledging copies are part of what the system promises.

use super::{WorldCase, normalized};
use crate::scenario::{Topology, WorldConfig};
use latent_engine::Scenario;
use latent_engine::verdict::Outcome;
use std::collections::BTreeSet;

/// Selects the number of nodes of a kind.
type NodeCountField = fn(&mut Topology) -> &mut u16;

/// A removable part of a topology.
#[derive(Clone, Copy)]
enum RemovablePart {
    /// One node of a kind.
    OneOf(NodeCountField),
    /// The audit, and the operator that it alerts.
    Audit,
    /// The backups, and the data centers.
    Backup,
    /// The tee, and its store.
    Tee,
}

/// Returns what can be removed. A case that must end with a recovery keeps what makes one possible.
fn parts(scenario: &Scenario<WorldConfig>) -> Vec<RemovablePart> {
    let (topology, protection) = (&scenario.config.topology, &scenario.config.protection);
    let is_recovered = scenario.expect.worst() == Outcome::Recovered;
    let whole = [
        (RemovablePart::Audit, protection.audit.is_some() && !is_recovered),
        (RemovablePart::Backup, protection.backup.is_some() && !is_recovered),
        (RemovablePart::Tee, protection.tee.is_some() && !is_recovered),
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
    parts(&case.scenario).len()
}

pub(super) fn without(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut case = case.clone();
    let parts = parts(&case.scenario);
    let config = &mut case.scenario.config;
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
