//! Reads of a project's events, from enough disks to include every acknowledged event.
//!
//! An event is acknowledged once `ack_disks` (4 of 8) hold it, so any `read_disks` (5) include one that does. If that
//! many agree on the digest of a day, and no other disk that answers at once differs, one of them is read; otherwise
//! the copies are merged. The other disks are asked too because a disk that was replaced, or whose hints were lost
//! with the node that kept them, lacks events until the next comparison. One event is returned per de-duplication
//! key, the same one that compaction keeps, so the result does not change when compaction runs.

use crate::arb::api::{ArbError, ArbFailure, ArbRequest, ArbResponse, call};
use crate::config::{BootConfig, Cluster};
use crate::merge::merge_of_release;
use crate::record::{Record, SetDigest, decode_block, scan_blocks};
use crate::wire::compact;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Env, NodeId};
use latent_storekit::frame::ScanEnd;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of days of one export. Longer periods are requested in parts; see `models/formats.md`.
pub const MAX_EXPORT_DAYS: i32 = 100;

const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit for the disks beyond the necessary ones: a disk that is away must not delay each day of an export.
const SPARE_CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Error of a read that did not reach enough disks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DayReadError {
    /// Too few disks responded.
    #[error("p{project}/{day}: {answered} of {needed} disks answered; last: {last}")]
    TooFewDisks {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Number of disks that responded.
        answered: usize,
        /// Number of disks needed.
        needed: usize,
        /// Error of another disk.
        last: String,
    },
}

/// Returns the digest that `read_disks` disks agree on, if they do and no other disk that answers at once differs, and one
/// of these disks.
async fn agreed_digest<E: Env>(
    env: &E,
    cluster: &Cluster,
    project: u32,
    day: Day,
) -> Option<(SetDigest, NodeId)> {
    let needed = cluster.replication.read_disks;
    let request = ArbRequest::Digest { project, day, arrived_before_ms: i64::MAX };
    let calls = disks_in_order(cluster, project).enumerate().map(|(position, disk)| {
        let request = &request;
        let timeout = if position < needed { CALL_TIMEOUT } else { SPARE_CALL_TIMEOUT };
        async move { (position < needed, disk, call(env, disk, request, Bytes::new(), timeout).await) }
    });
    let mut agreed: Option<(SetDigest, NodeId)> = None;
    for (is_needed, disk, answer) in join_all(calls).await {
        match (answer, agreed) {
            (Ok((ArbResponse::Digest(digest), _)), None) => agreed = Some((digest, disk)),
            (Ok((ArbResponse::Digest(digest), _)), Some((first, _))) if digest == first => {}
            (Err(_), _) if !is_needed => {}
            _ => return None,
        }
    }
    agreed
}

/// The copies of a day on the disks that responded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayCopies {
    /// Disks that hold each version of the contents, by digest.
    pub by_digest: BTreeMap<SetDigest, Vec<NodeId>>,
    /// Disks that refuse the day because their copy fails verification, or is gone.
    pub corrupt: Vec<NodeId>,
}

/// Asks every disk for its copy of a day. A disk that refuses a corrupt copy has responded: what only such disks held
/// is missing until a recovery restores it.
///
/// # Errors
/// Fewer than `read_disks` disks responded.
pub async fn day_copies<E: Env>(
    env: &E,
    cluster: &Cluster,
    project: u32,
    day: Day,
) -> Result<DayCopies, DayReadError> {
    let request = ArbRequest::ContentDigest { project, day };
    let asked = disks_in_order(cluster, project).map(|disk| {
        let request = &request;
        async move { (disk, call(env, disk, request, Bytes::new(), CALL_TIMEOUT).await) }
    });
    let mut copies = DayCopies::default();
    let mut last = String::new();
    for (disk, answer) in join_all(asked).await {
        match answer {
            Ok((ArbResponse::Digest(digest), _)) => copies.by_digest.entry(digest).or_default().push(disk),
            Ok(_) => last = ArbError::Unexpected(disk.0).to_string(),
            Err(error @ ArbError::Failed(ArbFailure::Corrupt(_))) => {
                copies.corrupt.push(disk);
                last = error.to_string();
            }
            Err(error) => last = error.to_string(),
        }
    }
    let answered = copies.readable() + copies.corrupt.len();
    let needed = cluster.replication.read_disks;
    if answered >= needed {
        Ok(copies)
    } else {
        Err(DayReadError::TooFewDisks { project, day, answered, needed, last })
    }
}

impl DayCopies {
    /// Returns the number of disks that can read the day.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.by_digest.values().map(Vec::len).sum()
    }
}

/// Reads a day from the first of `disks` that can read it.
///
/// # Errors
/// Error of the last disk.
pub async fn read_one_of<E: Env>(
    env: &E,
    disks: &[NodeId],
    project: u32,
    day: Day,
) -> Result<Vec<Record>, ArbError> {
    let mut last = ArbError::Unexpected(0);
    for disk in disks {
        match read_copy(env, *disk, project, day).await {
            Ok(records) => return Ok(records),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns the disks of a cluster, starting at a different one for each project.
fn disks_in_order(cluster: &Cluster, project: u32) -> impl Iterator<Item = NodeId> + '_ {
    let count = cluster.disks.len();
    (0..count).map(move |step| cluster.disks[(project as usize + step) % count])
}

/// Reads all events of a project's day, one per key, sorted by (time, key).
///
/// # Errors
/// Fewer than `read_disks` disks could be read.
pub async fn read_day<E: Env>(
    env: &E,
    boot: &BootConfig,
    project: u32,
    day: Day,
) -> Result<Vec<Record>, DayReadError> {
    let cluster = &boot.cluster;
    // Disks return cached digests, so the records read now are compared with the agreed digest.
    if let Some((agreed, disk)) = agreed_digest(env, cluster, project, day).await
        && let Ok(records) = read_copy(env, disk, project, day).await
        && digest_of(&records) == agreed
    {
        return Ok(merge_of_release(env, &boot.release, records));
    }
    let copies = join_all(cluster.disks.iter().map(|disk| read_copy(env, *disk, project, day))).await;
    let needed = cluster.replication.read_disks;
    let answered = copies.iter().filter(|copy| copy.is_ok()).count();
    let mut all = Vec::new();
    let mut last = String::new();
    for copy in copies {
        match copy {
            Ok(records) => all.extend(records),
            Err(error) => last = error.to_string(),
        }
    }
    if answered < needed {
        return Err(DayReadError::TooFewDisks { project, day, answered, needed, last });
    }
    Ok(merge_of_release(env, &boot.release, all))
}

/// Returns the digest that a disk with these records would return.
fn digest_of(records: &[Record]) -> SetDigest {
    let mut repairs = records
        .iter()
        .filter(|record| record.repair > 0)
        .map(|record| (record.arrival, record.repair))
        .collect();
    SetDigest::with_repairs(&mut records.iter().map(|record| record.key).collect(), &mut repairs)
}

/// Reads one disk's copy of a day, unmerged.
pub async fn read_copy<E: Env>(
    env: &E,
    disk: NodeId,
    project: u32,
    day: Day,
) -> Result<Vec<Record>, ArbError> {
    let (answer, body) =
        call(env, disk, &ArbRequest::Read { project, day }, Bytes::new(), CALL_TIMEOUT).await?;
    let scan = scan_blocks(&body, 0, project, day);
    let mut records = Vec::new();
    let whole = scan.end == ScanEnd::Clean
        && scan.payloads.iter().try_for_each(|block| decode_block(block, &mut records)).is_ok();
    if answer == ArbResponse::Bytes && whole { Ok(records) } else { Err(ArbError::Unexpected(disk.0)) }
}

/// Formats a record as a line of an export: the event as sent, with its arrival time in `properties`. The result is one
/// line even if the record was stored with white space between its tokens.
#[must_use]
pub fn export_line(record: &Record) -> Option<String> {
    #[derive(Deserialize)]
    struct ExportEvent<'a> {
        #[serde(borrow)]
        properties: &'a RawValue,
    }
    let json = compact(&record.json);
    let text = std::str::from_utf8(&json).ok()?;
    let event: ExportEvent<'_> = serde_json::from_str(text).ok()?;
    let properties = event.properties.get();
    // A raw value is a slice of the text it was parsed from, so its end there is the closing brace of `properties`.
    let end = properties.as_ptr() as usize - text.as_ptr() as usize + properties.len() - 1;
    let comma = if properties[1..properties.len() - 1].trim().is_empty() { "" } else { "," };
    Some(format!("{}{comma}\"mp_processing_time_ms\":{}{}", &text[..end], record.arrived_ms, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ArrivalId;

    fn line(json: &str) -> String {
        let arrival = ArrivalId { edge: 0, sequence: 0, item: 0 };
        let json = Bytes::from(json.to_owned());
        export_line(&Record { arrival, repair: 0, arrived_ms: 7, time_ms: 0, key: [0; 16], json }).unwrap()
    }

    #[test]
    fn a_line_is_the_event_as_sent_with_its_arrival_time() {
        assert_eq!(
            line(r#"{"properties":{"a":{"b":1.50}},"event":"x y"}"#),
            r#"{"properties":{"a":{"b":1.50},"mp_processing_time_ms":7},"event":"x y"}"#
        );
        assert_eq!(
            line("{\n \"event\": \"x\",\r\n\t\"properties\": { }\n}"),
            r#"{"event":"x","properties":{"mp_processing_time_ms":7}}"#
        );
    }
}
