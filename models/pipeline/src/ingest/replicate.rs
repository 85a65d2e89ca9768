//! Writes events to all copies of a project.
//!
//! A request is acknowledged when `ack_disks` (4) disks hold all its events durably. The other disks continue in the
//! background. A write that one of them does not accept becomes a hint; anti-entropy repairs what hints do not.

use super::hints::Hints;
use crate::arb::api::{ArbRequest, WriteBlock, call};
use crate::arb::manifest::Tier;
use crate::config::Cluster;
use crate::record::{Record, encode_framed_block};
use crate::zone::Day;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use latent_ports::{Env, Mark, NodeId};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Records per frame: far below a frame's limit of 64 MiB, since an event is below 1 MB and a request below 10 MB.
const RECORDS_PER_FRAME: usize = 2_000;

/// Write of one project, for each of its disks.
pub struct ProjectWrite {
    /// Call to each disk.
    pub call: ArbRequest,
    /// Body of the call: the frames.
    pub body: Bytes,
}

/// Encodes records of one project as one write.
///
/// # Errors
/// A block does not fit a frame.
pub fn encode_write<'a>(
    project: u32,
    days: impl Iterator<Item = (Day, Tier, &'a [Record])>,
    skip_present: bool,
) -> Result<ProjectWrite, latent_storekit::frame::InvalidPayloadLength> {
    let mut parts = Vec::new();
    let mut body = BytesMut::new();
    for (day, tier, records) in days {
        for chunk in records.chunks(RECORDS_PER_FRAME) {
            let framed = encode_framed_block(project, day, chunk)?;
            parts.push(WriteBlock { day, tier, frame_bytes: framed.len() as u32 });
            body.extend_from_slice(&framed);
        }
    }
    Ok(ProjectWrite { call: ArbRequest::Write { project, parts, skip_present }, body: body.freeze() })
}

type DayBlock<'a> = (Day, Tier, &'a [Record]);

/// Groups a request's records into one write per project.
///
/// # Errors
/// A block does not fit a frame.
pub fn writes_of(
    records: &BTreeMap<(u32, Day, Tier), Vec<Record>>,
) -> Result<Vec<ProjectWrite>, latent_storekit::frame::InvalidPayloadLength> {
    let mut by_project: BTreeMap<u32, Vec<DayBlock<'_>>> = BTreeMap::new();
    for ((project, day, tier), list) in records {
        by_project.entry(*project).or_default().push((*day, *tier, list));
    }
    by_project.into_iter().map(|(project, days)| encode_write(project, days.into_iter(), false)).collect()
}

type DiskWrite = Pin<Box<dyn Future<Output = (NodeId, bool)> + Send>>;

/// Sends one write to all disks. Returns whether enough of them accepted it; the rest continues in the background.
pub async fn write<E: Env>(
    env: &E,
    cluster: &Arc<Cluster>,
    hints: &Arc<Hints<E>>,
    write: ProjectWrite,
) -> bool {
    let write = Arc::new(write);
    let timeout = cluster.replication.write_timeout;
    let mut waiting: FuturesUnordered<DiskWrite> = FuturesUnordered::new();
    for disk in &cluster.disks {
        waiting.push(Box::pin(write_one(env.clone(), *disk, write.clone(), timeout)));
    }
    let mut missed = Vec::new();
    let mut durable = 0;
    while durable < cluster.replication.ack_disks {
        match waiting.next().await {
            Some((_, true)) => durable += 1,
            Some((disk, false)) => missed.push(disk),
            None => break,
        }
    }
    let enough = durable >= cluster.replication.ack_disks;
    if enough && (!waiting.is_empty() || !missed.is_empty()) {
        let (env_of_rest, hints) = (env.clone(), hints.clone());
        env.spawn(async move {
            while let Some((disk, taken)) = waiting.next().await {
                if !taken {
                    missed.push(disk);
                }
            }
            for disk in missed {
                env_of_rest.mark(Mark { name: "ingest.hinted", subject: "" });
                hints.store(disk, &write).await;
            }
        });
    }
    enough
}

async fn write_one<E: Env>(
    env: E,
    disk: NodeId,
    write: Arc<ProjectWrite>,
    timeout: Duration,
) -> (NodeId, bool) {
    let taken = call(&env, disk, &write.call, write.body.clone(), timeout).await.is_ok();
    (disk, taken)
}
