//! Hinted hand-off: writes that a disk did not take, kept on ingest's own disk until it does.
//!
//! One file a hint: `hints/<disk>-<n>`, one frame of head and one of body. Hints are a convenience: an event with
//! a hint is already durable on enough disks, so a hint that cannot be kept is counted and left to anti-entropy.
//!
//! That a hint is gone is made durable after each round of hand-off; a sync that fails is tried again at the next one.

use super::copies::ProjectWrite;
use crate::arb::api::{ArbCall, ArbError, call};
use crate::config::Cluster;
use latent_edge::frame::{End, encode_frame, scan};
use latent_edge::message::{decode_head, encode_head};
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, NodeId, OpenMode, read_full};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

const RETRY_EVERY: Duration = Duration::from_secs(10 * 60);
const TAG: u8 = crate::codec::tag::ARB;

/// The hints of one ingest node.
pub struct Hints<E: Env> {
    env: E,
    cluster: Arc<Cluster>,
    /// Numbers of the hints kept, by disk.
    kept: Mutex<BTreeMap<NodeId, Vec<u64>>>,
    next: Mutex<u64>,
    added: Notify,
    /// A hint was removed, and that is not durable yet.
    unsynced: AtomicBool,
}

impl<E: Env> Hints<E> {
    /// Finds the hints that an earlier boot left.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn recover(env: E, cluster: Arc<Cluster>) -> Result<Self, DiskError> {
        match env.disk().create_dir("hints").await {
            Err(error) if error.kind != DiskErrorKind::AlreadyExists => return Err(error),
            // Also when it was there: an earlier boot may have failed at this.
            _ => env.disk().sync_dir("").await?,
        }
        let mut kept: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        let mut next = 0;
        for entry in env.disk().list("hints").await? {
            let parsed =
                entry.name.split_once('-').and_then(|(d, n)| Some((d.parse().ok()?, n.parse::<u64>().ok()?)));
            if let Some((disk, number)) = parsed {
                kept.entry(NodeId(disk)).or_default().push(number);
                next = next.max(number + 1);
            }
        }
        Ok(Hints {
            env,
            cluster,
            kept: Mutex::new(kept),
            next: Mutex::new(next),
            added: Notify::new(),
            unsynced: AtomicBool::new(false),
        })
    }

    /// Keeps a write for `disk`.
    pub async fn keep(&self, disk: NodeId, write: &ProjectWrite) {
        let held = self.kept.lock().await.get(&disk).map_or(0, Vec::len);
        if held >= self.cluster.copies.hints_per_disk {
            self.env.mark(Mark { name: "hints.full", subject: "" });
            return;
        }
        let number = {
            let mut next = self.next.lock().await;
            *next += 1;
            *next
        };
        if let Err(error) = self.store(disk, number, write).await {
            self.env.mark(Mark { name: "hints.not-kept", subject: &error.to_string() });
        }
        // Also when it failed: what is there of the file is delivered if it is whole, and must go in any case.
        self.kept.lock().await.entry(disk).or_default().push(number);
        self.added.notify_one();
    }

    async fn store(&self, disk: NodeId, number: u64, write: &ProjectWrite) -> Result<(), DiskError> {
        let file = self.env.disk().open(&path(disk, number), OpenMode::CreateNew).await?;
        for payload in [encode_head(TAG, &write.call), write.body.clone()] {
            if let Ok(framed) = encode_frame(&payload) {
                file.append(framed).await?;
            }
        }
        file.sync().await?;
        self.env.disk().sync_dir("hints").await
    }

    /// Hands off what is kept, for ever.
    pub async fn hand_off(&self) {
        loop {
            let waiting: Vec<(NodeId, Vec<u64>)> =
                self.kept.lock().await.iter().map(|(disk, numbers)| (*disk, numbers.clone())).collect();
            let nothing_waits = waiting.iter().all(|(_, numbers)| numbers.is_empty());
            if nothing_waits && !self.unsynced.load(Ordering::Relaxed) {
                self.added.notified().await;
                continue;
            }
            self.env.clock().sleep(RETRY_EVERY).await;
            for (disk, numbers) in waiting {
                for number in numbers {
                    // A disk that refuses one write may take the next, of another day; one that does not answer is away.
                    if self.deliver(disk, number).await == Delivery::DiskAway {
                        break;
                    }
                }
            }
            self.sync_removals().await;
        }
    }

    async fn sync_removals(&self) {
        if self.unsynced.swap(false, Ordering::Relaxed)
            && let Err(error) = self.env.disk().sync_dir("hints").await
        {
            self.unsynced.store(true, Ordering::Relaxed);
            self.env.mark(Mark { name: "hints.sync-failed", subject: &error.to_string() });
        }
    }

    /// Delivers one hint and forgets it, if the disk takes it.
    async fn deliver(&self, disk: NodeId, number: u64) -> Delivery {
        let write = match self.load(disk, number).await {
            Ok(Some(write)) => write,
            // Cut off by a crash while it was written, or unreadable: anti-entropy brings what it held.
            Ok(None) | Err(_) => {
                self.forget(disk, number).await;
                return Delivery::Settled;
            }
        };
        // Skipping what is present: the write may have arrived although its answer did not.
        let ArbCall::Write { project, parts, .. } = write.call else {
            self.forget(disk, number).await;
            return Delivery::Settled;
        };
        let order = ArbCall::Write { project, parts, skip_present: true };
        match call(&self.env, disk, &order, write.body, self.cluster.copies.write_timeout).await {
            Ok(_) => {
                self.env.mark(Mark { name: "hints.handed-off", subject: "" });
                self.forget(disk, number).await;
                Delivery::Settled
            }
            Err(ArbError::Net(_)) => Delivery::DiskAway,
            Err(_) => Delivery::Settled,
        }
    }

    async fn load(&self, disk: NodeId, number: u64) -> Result<Option<ProjectWrite>, DiskError> {
        let file = self.env.disk().open(&path(disk, number), OpenMode::Read).await?;
        let size = file.size_bytes().await?;
        let found = scan(&read_full(&file, 0, size).await?, 0);
        let [head, body] = found.payloads.as_slice() else { return Ok(None) };
        let call = decode_head(TAG, head).ok().filter(|_| found.end == End::Clean);
        Ok(call.map(|call| ProjectWrite { call, body: body.clone() }))
    }

    /// Where its file stays, it is tried again.
    async fn forget(&self, disk: NodeId, number: u64) {
        // A hint that comes back after a crash is delivered again, which skips what is present.
        match self.env.disk().remove(&path(disk, number)).await {
            Err(error) if error.kind != DiskErrorKind::NotFound => return,
            _ => self.unsynced.store(true, Ordering::Relaxed),
        }
        if let Some(numbers) = self.kept.lock().await.get_mut(&disk) {
            numbers.retain(|kept| *kept != number);
        }
    }
}

/// What became of a try to hand a hint off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// Taken, of no use, or refused for now: the next may be tried.
    Settled,
    /// No answer: the others would wait for nothing.
    DiskAway,
}

fn path(disk: NodeId, number: u64) -> String {
    format!("hints/{}-{number}", disk.0)
}
