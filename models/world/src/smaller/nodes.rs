//! Who is there: workers, ingest nodes, data centers and edges beyond the first, and what protects production.
//!
//! Nodes of a kind have numbers without gaps, so it is always the last of them that goes. Disks stay: how many hold an
//! event, and how many must, is what the system promises.

use super::{LatentCase, finished};
use crate::scenario::{Topic, Topology};
use std::collections::BTreeSet;

/// How many nodes of a kind there are.
type CountOf = fn(&mut Topology) -> &mut u16;

/// Something that can be taken out of a topology.
#[derive(Clone, Copy)]
enum Part {
    /// One node of a kind.
    OneOf(CountOf),
    /// The audit, and the operator whom it calls.
    Audit,
    /// The backups, and the data centers.
    Backup,
    /// The tee, and its store.
    Tee,
}

fn parts(topic: &Topic) -> Vec<Part> {
    let (topology, protection) = (&topic.topology, &topic.protection);
    let whole = [
        (Part::Audit, protection.audit.is_some()),
        (Part::Backup, protection.backup.is_some()),
        (Part::Tee, protection.tee.is_some()),
    ];
    let mut parts: Vec<Part> =
        whole.into_iter().filter(|(_, is_there)| *is_there).map(|(it, _)| it).collect();
    let data_centers = if protection.backup.is_some() { topology.data_centers } else { 1 };
    let kinds: [(CountOf, u16); 4] = [
        (|topology| &mut topology.workers, topology.workers),
        (|topology| &mut topology.ingest, topology.ingest),
        (|topology| &mut topology.data_centers, data_centers),
        (|topology| &mut topology.edges, topology.edges),
    ];
    for (kind, count) in kinds {
        parts.extend((1..count).map(|_| Part::OneOf(kind)));
    }
    parts
}

pub(super) fn count(case: &LatentCase) -> usize {
    parts(&case.scenario.config).len()
}

pub(super) fn without(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    let mut case = case.clone();
    let topic = &mut case.scenario.config;
    let parts = parts(topic);
    for part in places.iter().filter_map(|place| parts.get(*place)) {
        match part {
            Part::OneOf(kind) => *kind(&mut topic.topology) -= 1,
            Part::Audit => (topic.protection.audit, topic.operator) = (None, None),
            Part::Backup => topic.protection.backup = None,
            Part::Tee => topic.protection.tee = None,
        }
    }
    finished(case)
}
