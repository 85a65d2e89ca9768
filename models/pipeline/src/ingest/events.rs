//! From a raw request to records: decode, find each event's project, its day and its tier.
//!
//! Used by ingest for live requests, and by audit and recovery for what the tee kept: a replayed request is
//! judged by its original arrival time, so what was rejected then is rejected again.

use crate::arb::manifest::Tier;
use crate::config::Cluster;
use crate::record::{ArrivalId, Record};
use crate::wire::{self, Api, Decoded, DecodedEvent, ItemError, RawRequest, WireError};
use crate::zone::Day;
use latent_edge::tee::TeeRecord;
use latent_ports::UnixMs;
use std::collections::BTreeMap;

/// Accepted events, by project, day and tier.
pub type ByDay = BTreeMap<(u32, Day, Tier), Vec<Record>>;

/// A request's events, sorted into days; and which of its items are rejected.
#[derive(Debug)]
pub struct Sorted {
    /// The request as decoded; items that ingest rejects are marked in it.
    pub decoded: Decoded,
    /// The events to store; `None` when the credentials are wrong.
    pub records: Option<ByDay>,
}

/// Decodes and sorts a request that arrived as (edge, sequence).
///
/// # Errors
/// When the request as a whole is refused.
pub fn sort(
    cluster: &Cluster,
    request: &RawRequest<'_>,
    edge: u16,
    sequence: u64,
) -> Result<Sorted, WireError> {
    let mut decoded = wire::decode(request)?;
    let mut import_project = None;
    if let Api::Import { project, .. } = decoded.api {
        let known = project.and_then(|id| cluster.projects.get(&id));
        match known.filter(|p| decoded.credentials.as_ref() == Some(&p.secret)) {
            Some(project) => import_project = Some(project.id),
            None => return Ok(Sorted { decoded, records: None }),
        }
    }
    let project_of = |event: &DecodedEvent| {
        import_project.or_else(|| event.token.as_ref().and_then(|token| cluster.by_token.get(token)).copied())
    };
    for item in &mut decoded.items {
        let Ok(event) = item else { continue };
        if project_of(event).is_none() {
            *item = Err(ItemError {
                index: event.index,
                insert_id: event.insert_id.clone(),
                field: "properties.token",
                message: "no project has this token".to_owned(),
            });
        }
    }
    let mut records = ByDay::new();
    for event in decoded.accepted() {
        let Some(project) = project_of(event) else { continue };
        let arrival = ArrivalId { edge, sequence, item: event.index };
        let (time, arrived) = (UnixMs(event.time_ms), UnixMs(request.arrived_ms));
        let day = cluster.projects[&project].zones.day(time, arrived);
        let tier = if arrived.since(time) >= cluster.copies.late_after { Tier::Late } else { Tier::OnTime };
        records.entry((project, day, tier)).or_default().push(Record {
            arrival,
            repair: 0,
            arrived_ms: request.arrived_ms,
            time_ms: event.time_ms,
            key: wire::key(&event.name, &event.distinct_id, event.insert_id.as_deref(), arrival),
            json: event.raw.clone(),
        });
    }
    Ok(Sorted { decoded, records: Some(records) })
}

/// The accepted events of a request that the tee kept; none when it was refused.
#[must_use]
pub fn accepted_of_tee(cluster: &Cluster, record: &TeeRecord) -> ByDay {
    let raw = RawRequest {
        method: record.method,
        target: &record.target,
        headers: &record.headers,
        body: record.body.clone(),
        arrived_ms: record.arrived_ms,
    };
    sort(cluster, &raw, record.edge, record.sequence)
        .ok()
        .and_then(|sorted| sorted.records)
        .unwrap_or_default()
}
