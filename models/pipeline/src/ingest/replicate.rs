//! Writes events to all copies of a project.
//!
//! A request is acknowledged when `ack_disks` (4) disks hold all its events durably. The other disks continue in the
//! background. A write that one of them does not accept becomes a hint; anti-entropy repairs what hints do not.

use super::hints::Hints;
use crate::arb::api::{ArbError, call};
use crate::arb::manifest::Tier;
use crate::arb::write_call::{ProjectWrite, encode_write};
use crate::config::BootConfig;
use crate::marks;
use crate::record::Record;
use crate::release::Bug;
use crate::zone::Day;
use futures_util::stream::{FuturesUnordered, StreamExt};
use latent_ports::{Env, Mark, NodeId};
use latent_storekit::frame::InvalidPayloadLength;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type DayBlock<'a> = (Day, Tier, &'a [Record]);

/// Groups a request's records into one write per project.
///
/// # Errors
/// A block does not fit a frame.
pub fn writes_of(
    records: &BTreeMap<(u32, Day, Tier), Vec<Record>>,
) -> Result<Vec<ProjectWrite>, InvalidPayloadLength> {
    let mut by_project: BTreeMap<u32, Vec<DayBlock<'_>>> = BTreeMap::new();
    for ((project, day, tier), list) in records {
        by_project.entry(*project).or_default().push((*day, *tier, list));
    }
    by_project.into_iter().map(|(project, days)| encode_write(project, days.into_iter(), false)).collect()
}

type DiskWrite = Pin<Box<dyn Future<Output = (NodeId, bool)> + Send>>;

/// Sends one write to all disks. Returns whether enough of them accepted it; the rest continues in the background.
pub async fn write<E: Env>(env: &E, boot: &BootConfig, hints: &Arc<Hints<E>>, write: ProjectWrite) -> bool {
    let write = Arc::new(write);
    let (cluster, release) = (&boot.cluster, &boot.release);
    if release.has(Bug::FiledUnderAnotherProject) {
        hints.buffer.put(write.clone());
    }
    let mut waiting: FuturesUnordered<DiskWrite> = FuturesUnordered::new();
    for disk in &cluster.disks {
        waiting.push(Box::pin(write_one(env.clone(), boot.clone(), *disk, write.clone())));
    }
    let mut missed = Vec::new();
    let mut durable = 0;
    let is_early = release.has(Bug::AckBeforeDurable);
    let needed = cluster.replication.ack_disks;
    while durable < needed && !is_early {
        match waiting.next().await {
            Some((_, true)) => durable += 1,
            Some((disk, false)) => missed.push(disk),
            None => break,
        }
    }
    let enough = durable >= needed || is_early;
    if durable < needed && is_early {
        release.reached(env, Bug::AckBeforeDurable);
    }
    if enough && (!waiting.is_empty() || !missed.is_empty()) {
        let (env_of_rest, hints, release) = (env.clone(), hints.clone(), release.clone());
        env.spawn(async move {
            while let Some((disk, taken)) = waiting.next().await {
                if !taken {
                    missed.push(disk);
                }
            }
            for disk in missed {
                env_of_rest.mark(Mark { name: marks::INGEST_HINTED, subject: "" });
                // Planted bug: a later write may have taken the buffer over.
                if let Some(overwritten) = hints.buffer.contents(&write) {
                    release.reached(&env_of_rest, Bug::FiledUnderAnotherProject);
                    hints.store(disk, &overwritten).await;
                } else {
                    hints.store(disk, &write).await;
                }
            }
        });
    }
    enough
}

async fn write_one<E: Env>(
    env: E,
    boot: BootConfig,
    disk: NodeId,
    write: Arc<ProjectWrite>,
) -> (NodeId, bool) {
    let timeout = boot.cluster.replication.write_timeout;
    let answer = call(&env, disk, &write.call, write.body.clone(), timeout).await;
    if matches!(answer, Err(ArbError::Failed(_))) && boot.release.has(Bug::ItemErrorsIgnored) {
        // Planted bug: the call itself succeeded.
        boot.release.reached(&env, Bug::ItemErrorsIgnored);
        return (disk, true);
    }
    (disk, answer.is_ok())
}
