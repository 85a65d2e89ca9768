//! Production as a recovery uses it: a day is read from all disks, and written to all disks.

use crate::arb::api::{ArbRequest, call};
use crate::arb::manifest::Tier;
use crate::arb::write_call::encode_write;
use crate::config::Cluster;
use crate::export::{DayCopies, day_copies, read_one_of};
use crate::marks;
use crate::record::Record;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use std::time::Duration;

const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const WRITE_ATTEMPTS: u32 = 5;
/// Pause before another attempt.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Contents of a day in production.
#[derive(Default)]
pub(super) struct ProductionDay {
    /// Copies that differ, each once.
    pub copies: Vec<Vec<Record>>,
    /// Whether every copy that responded was read, and they are enough to hold every acknowledged event.
    pub is_whole: bool,
    /// Disks that refuse the day because their copy is corrupt, if the others are too few for the nightly comparison to
    /// fill these copies.
    pub refused_by: Vec<NodeId>,
}

/// Reads those copies of a day that differ, from one disk each.
pub(super) async fn read_production<E: Env>(
    env: &E,
    cluster: &Cluster,
    project: u32,
    day: Day,
) -> ProductionDay {
    let Ok(held) = day_copies(env, cluster, project, day).await else {
        return ProductionDay::default();
    };
    let is_enough = held.readable() >= cluster.replication.read_disks;
    let DayCopies { by_digest, corrupt } = held;
    let refused_by = if is_enough { Vec::new() } else { corrupt };
    let mut production = ProductionDay { copies: Vec::new(), is_whole: is_enough, refused_by };
    for disks in by_digest.values() {
        match read_one_of(env, disks, project, day).await {
            Ok(records) => production.copies.push(records),
            Err(_) => production.is_whole = false,
        }
    }
    production
}

/// Has each of these disks set its corrupt copy of a day aside, so that it accepts the day again. The copy is kept until
/// the day is equal on all disks.
pub(super) async fn quarantine<E: Env>(env: &E, disks: &[NodeId], project: u32, day: Day) {
    let order = ArbRequest::Quarantine { project, day };
    let calls = disks.iter().map(|disk| call(env, *disk, &order, Bytes::new(), WRITE_TIMEOUT));
    for answer in join_all(calls).await {
        if answer.is_err() {
            env.mark(Mark { name: marks::REPAIR_QUARANTINE_FAILED, subject: &format!("p{project}/{day}") });
        }
    }
}

/// Writes events to all disks. Returns whether enough disks accepted them for an acknowledgement.
pub(super) async fn load<E: Env>(
    env: &E,
    cluster: &Cluster,
    project: u32,
    day: Day,
    records: &[Record],
) -> bool {
    if records.is_empty() {
        return true;
    }
    let is_late =
        |r: &Record| UnixMs(r.arrived_ms).since(UnixMs(r.time_ms)) >= cluster.replication.late_after;
    let (late, on_time): (Vec<Record>, Vec<Record>) = records.iter().cloned().partition(is_late);
    let parts = [(day, Tier::Late, late.as_slice()), (day, Tier::OnTime, on_time.as_slice())];
    let parts = parts.into_iter().filter(|(_, _, records)| !records.is_empty());
    let Ok(write) = encode_write(project, parts, true) else { return false };
    let mut left = cluster.disks.clone();
    for _ in 0..WRITE_ATTEMPTS {
        let calls = left.iter().map(|disk| call(env, *disk, &write.call, write.body.clone(), WRITE_TIMEOUT));
        let answers = join_all(calls).await;
        left = left
            .iter()
            .zip(answers)
            .filter(|(_, response)| response.is_err())
            .map(|(disk, _)| *disk)
            .collect();
        if left.is_empty() {
            break;
        }
        env.clock().sleep(RETRY_AFTER).await;
    }
    cluster.disks.len() - left.len() >= cluster.replication.ack_disks
}
