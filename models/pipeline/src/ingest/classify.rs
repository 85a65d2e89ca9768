//! Converts a raw request to records: decodes it and determines the project, day and tier of each event.
//!
//! Used by ingest for live requests, and by audit and recovery for requests in the tee. A replayed request is validated
//! against its original arrival time, so items that were rejected then are rejected again.

use crate::arb::manifest::Tier;
use crate::config::Cluster;
use crate::record::{ArrivalId, Record};
use crate::wire::{self, Api, DecodedEvent, DecodedRequest, ItemError, RawRequest, RequestError};
use crate::zone::Day;
use latent_edge::tee::TeeRecord;
use latent_ports::UnixMs;
use std::collections::BTreeMap;

/// Accepted events, by project, day and tier.
pub type RecordsByDay = BTreeMap<(u32, Day, Tier), Vec<Record>>;

/// Events of a request by day, and its rejected items.
#[derive(Debug)]
pub struct ClassifiedRequest {
    /// Decoded request, in which items rejected by ingest are marked as errors.
    pub decoded: DecodedRequest,
    /// Events to store.
    pub records: RecordsByDay,
}

/// Decodes and classifies a request that arrived as (edge, sequence).
///
/// # Errors
/// The request as a whole is refused, for its credentials or its form.
pub fn classify(
    cluster: &Cluster,
    request: &RawRequest<'_>,
    edge: u16,
    sequence: u64,
) -> Result<ClassifiedRequest, RequestError> {
    let decoded = decode(cluster, request)?;
    Ok(place(cluster, decoded, request.arrived_ms, edge, sequence))
}

/// Decodes a request. Events of no project are marked as errors.
///
/// # Errors
/// See [`classify`].
pub(super) fn decode(cluster: &Cluster, request: &RawRequest<'_>) -> Result<DecodedRequest, RequestError> {
    let may_import = |project: Option<u32>, user: Option<&str>| {
        let known = project.and_then(|id| cluster.projects.get(&id));
        known.is_some_and(|project| user == Some(project.secret.as_str()))
    };
    let mut decoded = wire::decode(request, may_import)?;
    let api = decoded.api;
    for item in &mut decoded.items {
        let Ok(event) = item else { continue };
        if project_of(cluster, api, event).is_none() {
            *item = Err(ItemError {
                index: event.index,
                insert_id: event.insert_id.clone(),
                field: "properties.token",
                message: "no project has this token".to_owned(),
            });
        }
    }
    Ok(decoded)
}

/// Returns the project of an event: of its import, or of its token.
fn project_of(cluster: &Cluster, api: Api, event: &DecodedEvent) -> Option<u32> {
    let import_project = match api {
        Api::Import { project, .. } => project,
        Api::Track { .. } => None,
    };
    import_project.or_else(|| event.token.as_ref().and_then(|token| cluster.by_token.get(token)).copied())
}

/// Determines project, day and tier of each accepted event.
pub(super) fn place(
    cluster: &Cluster,
    decoded: DecodedRequest,
    arrived_ms: i64,
    edge: u16,
    sequence: u64,
) -> ClassifiedRequest {
    let mut records = RecordsByDay::new();
    for event in decoded.accepted() {
        let Some(project) = project_of(cluster, decoded.api, event) else { continue };
        let arrival = ArrivalId { edge, sequence, item: event.index };
        let (time, arrived) = (UnixMs(event.time_ms), UnixMs(arrived_ms));
        let day = cluster.projects[&project].zones.day(time, arrived);
        let tier =
            if arrived.since(time) >= cluster.replication.late_after { Tier::Late } else { Tier::OnTime };
        records.entry((project, day, tier)).or_default().push(Record {
            arrival,
            repair: 0,
            arrived_ms,
            time_ms: event.time_ms,
            key: wire::key(&event.name, &event.distinct_id, event.insert_id.as_deref(), arrival),
            json: event.raw.clone(),
        });
    }
    ClassifiedRequest { decoded, records }
}

/// Returns the accepted events of a request in the tee; none when it was refused.
#[must_use]
pub fn accepted_of_tee(cluster: &Cluster, record: &TeeRecord) -> RecordsByDay {
    let raw = RawRequest {
        method: record.method,
        target: &record.target,
        headers: &record.headers,
        body: record.body.clone(),
        arrived_ms: record.arrived_ms,
    };
    classify(cluster, &raw, record.edge, record.sequence).map(|sorted| sorted.records).unwrap_or_default()
}
