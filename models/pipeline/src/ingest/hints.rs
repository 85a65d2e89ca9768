//! Hinted hand-off: writes that a disk did not accept, kept on ingest's own disk until it does.
//!
//! One file per hint: `hints/<disk>-<n>`, with one frame for the head and one for the body. Hints are an optimization:
//! an event with a hint is already durable on enough disks, so a hint that cannot be stored is counted and left to
//! anti-entropy.
//!
//! The removal of hints is made durable after each round of hand-off; a failed sync is retried in the next round.

use super::planted::SharedBuffer;
use crate::arb::api::{ArbError, ArbRequest, call};
use crate::arb::write_call::ProjectWrite;
use crate::config::BootConfig;
use crate::marks;
use crate::release::Bug;
use bytes::Bytes;
use latent_ports::{
    Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, NodeId, OpenMode, race_timeout, read_full,
};
use latent_storekit::frame::{ScanEnd, encode_frame, scan};
use latent_storekit::message::{decode_head, encode_head};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

const RETRY_EVERY: Duration = Duration::from_secs(10 * 60);
/// Maximum number of reads of a hint that the device does not return, one each round.
const MAX_READ_ATTEMPTS: u32 = 6;
/// Prefix of claimed hints, of the planted bug [`Bug::HintsLostAtSecondRestart`].
const CLAIMED: &str = "claimed-";
/// Window of the planted bug [`Bug::HintsExpire`].
const EXPIRE_AFTER: Duration = Duration::from_secs(3 * 3600);
const TAG: u8 = crate::codec::tag::ARB;

/// Hints of one ingest node.
pub struct Hints<E: Env> {
    env: E,
    boot: BootConfig,
    /// Numbers of the stored hints, by disk.
    numbers_by_disk: Mutex<BTreeMap<NodeId, Vec<u64>>>,
    next: Mutex<u64>,
    /// Number of failed reads of each waiting hint.
    failed_reads: Mutex<BTreeMap<(NodeId, u64), u32>>,
    added: Notify,
    /// Whether a removal of a hint is not durable yet.
    unsynced: AtomicBool,
    /// Hints with smaller numbers were stored by an earlier boot.
    first_number: u64,
    /// Used by a planted bug only.
    pub(super) buffer: SharedBuffer,
}

impl<E: Env> Hints<E> {
    /// Finds the hints that an earlier boot left.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn recover(env: E, boot: BootConfig) -> Result<Self, DiskError> {
        match env.disk().create_dir("hints").await {
            Err(error) if error.kind != DiskErrorKind::AlreadyExists => return Err(error),
            // Also if the directory existed: an earlier boot may have failed at this step.
            _ => env.disk().sync_dir("").await?,
        }
        let mut numbers_by_disk: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        let mut next = 0;
        for entry in env.disk().list("hints").await? {
            let parsed =
                entry.name.split_once('-').and_then(|(d, n)| Some((d.parse().ok()?, n.parse::<u64>().ok()?)));
            if let Some((disk, number)) = parsed {
                numbers_by_disk.entry(NodeId(disk)).or_default().push(number);
                next = next.max(number + 1);
            }
        }
        if boot.release.has(Bug::HintsLostAtSecondRestart) {
            claim_hints(&env, &boot, &numbers_by_disk).await?;
        }
        Ok(Hints {
            env,
            boot,
            numbers_by_disk: Mutex::new(numbers_by_disk),
            next: Mutex::new(next),
            failed_reads: Mutex::default(),
            added: Notify::new(),
            unsynced: AtomicBool::new(false),
            first_number: next,
            buffer: SharedBuffer::default(),
        })
    }

    /// Stores a hint for `disk`.
    pub async fn store(&self, disk: NodeId, write: &ProjectWrite) {
        let held = self.numbers_by_disk.lock().await.get(&disk).map_or(0, Vec::len);
        if held >= self.boot.cluster.replication.hints_per_disk {
            self.env.mark(Mark { name: marks::HINTS_FULL, subject: "" });
            return;
        }
        let number = {
            let mut next = self.next.lock().await;
            *next += 1;
            *next
        };
        if let Err(error) = self.write_file(disk, number, write).await {
            self.env.mark(Mark { name: marks::HINTS_WRITE_FAILED, subject: &error.to_string() });
        }
        // Also after a failure: the file is delivered if it is complete, and must be removed in any case.
        self.numbers_by_disk.lock().await.entry(disk).or_default().push(number);
        self.added.notify_one();
    }

    async fn write_file(&self, disk: NodeId, number: u64, write: &ProjectWrite) -> Result<(), DiskError> {
        let file = self.env.disk().open(&self.path(disk, number), OpenMode::CreateNew).await?;
        for payload in [encode_head(TAG, &write.call), write.body.clone()] {
            if let Ok(framed) = encode_frame(&payload) {
                file.append(framed).await?;
            }
        }
        file.sync().await?;
        self.env.disk().sync_dir("hints").await
    }

    /// Hands off hints until the process ends.
    pub async fn hand_off(&self) {
        let mut away_since: BTreeMap<NodeId, Duration> = BTreeMap::new();
        loop {
            if self.boot.release.has(Bug::NothingHandedOffWithoutAWrite) {
                self.wait_for_a_hint().await;
            }
            let waiting = self.waiting().await;
            let nothing_waits = waiting.iter().all(|(_, numbers)| numbers.is_empty());
            if nothing_waits && !self.unsynced.load(Ordering::Relaxed) {
                self.added.notified().await;
                continue;
            }
            self.env.clock().sleep(RETRY_EVERY).await;
            for (disk, numbers) in waiting {
                for number in numbers {
                    // A disk that refuses one write may accept the next, of another day. A disk that does not respond
                    // is unreachable.
                    if self.deliver(disk, number).await == HintDelivery::DiskUnreachable {
                        if self.boot.release.has(Bug::HintsExpire) {
                            self.expire(disk, &mut away_since).await;
                        }
                        break;
                    }
                    away_since.remove(&disk);
                }
            }
            self.sync_removals().await;
        }
    }

    /// Returns the numbers of the hints that wait for each disk.
    async fn waiting(&self) -> Vec<(NodeId, Vec<u64>)> {
        let numbers_by_disk = self.numbers_by_disk.lock().await;
        numbers_by_disk.iter().map(|(disk, numbers)| (*disk, numbers.clone())).collect()
    }

    /// Planted bug: waits for a hint to be stored, although others wait.
    async fn wait_for_a_hint(&self) {
        let clock = self.env.clock();
        while race_timeout(clock, RETRY_EVERY, self.added.notified()).await.is_none() {
            let timeout = self.boot.cluster.replication.write_timeout;
            let mut waiting = self.waiting().await;
            waiting.retain(|(_, numbers)| !numbers.is_empty());
            for (disk, _) in waiting {
                let answer = call(&self.env, disk, &ArbRequest::Clock, Bytes::new(), timeout).await;
                if answer.is_ok() {
                    self.boot.release.reached(&self.env, Bug::NothingHandedOffWithoutAWrite);
                    return self.added.notified().await;
                }
            }
        }
    }

    /// Planted bug: drops the hints of a disk that has been away for too long.
    async fn expire(&self, disk: NodeId, away_since: &mut BTreeMap<NodeId, Duration>) {
        let now = self.env.clock().monotonic();
        let since = *away_since.entry(disk).or_insert(now);
        if now.saturating_sub(since) >= EXPIRE_AFTER {
            let numbers = self.numbers_by_disk.lock().await.get(&disk).cloned().unwrap_or_default();
            for number in numbers {
                self.remove(disk, number).await;
                if !self.is_waiting(disk, number).await {
                    self.boot.release.reached(&self.env, Bug::HintsExpire);
                }
            }
        }
    }

    async fn sync_removals(&self) {
        if self.unsynced.swap(false, Ordering::Relaxed)
            && let Err(error) = self.env.disk().sync_dir("hints").await
        {
            self.unsynced.store(true, Ordering::Relaxed);
            self.env.mark(Mark { name: marks::HINTS_SYNC_FAILED, subject: &error.to_string() });
        }
    }

    /// Delivers one hint, and removes it if the disk accepts it.
    async fn deliver(&self, disk: NodeId, number: u64) -> HintDelivery {
        let write = match self.load(disk, number).await {
            Ok(Some(write)) => write,
            // Interrupted by a crash while it was written: left to anti-entropy.
            Ok(None) => {
                self.remove(disk, number).await;
                return HintDelivery::Handled;
            }
            Err(_) => {
                self.read_failed(disk, number).await;
                return HintDelivery::Handled;
            }
        };
        // Skips present events, because the write may have succeeded although its response was lost.
        let ArbRequest::Write { project, parts, .. } = write.call else {
            self.remove(disk, number).await;
            return HintDelivery::Handled;
        };
        let order = ArbRequest::Write { project, parts, skip_present: true };
        let is_early = self.boot.release.has(Bug::CommitBeforeApply);
        if is_early {
            self.remove(disk, number).await;
        }
        let timeout = self.boot.cluster.replication.write_timeout;
        let answer = call(&self.env, disk, &order, write.body, timeout).await;
        if is_early && answer.is_err() && !self.is_waiting(disk, number).await {
            self.boot.release.reached(&self.env, Bug::CommitBeforeApply);
        }
        match answer {
            Ok(_) => {
                self.env.mark(Mark { name: marks::HINTS_HANDED_OFF, subject: "" });
                self.remove(disk, number).await;
                HintDelivery::Handled
            }
            Err(ArbError::Net(_)) => HintDelivery::DiskUnreachable,
            Err(_) => HintDelivery::Handled,
        }
    }

    /// Counts a failed read of a hint. The device may answer later; a hint that it never returns is left to anti-entropy.
    async fn read_failed(&self, disk: NodeId, number: u64) {
        let failed = {
            let mut failed_reads = self.failed_reads.lock().await;
            let failed = failed_reads.entry((disk, number)).or_default();
            *failed += 1;
            *failed
        };
        if failed >= MAX_READ_ATTEMPTS {
            self.remove(disk, number).await;
        }
    }

    async fn load(&self, disk: NodeId, number: u64) -> Result<Option<ProjectWrite>, DiskError> {
        let file = self.env.disk().open(&self.path(disk, number), OpenMode::Read).await?;
        let size = file.size_bytes().await?;
        let found = scan(&read_full(&file, 0, size).await?, 0);
        let [head, body] = found.payloads.as_slice() else { return Ok(None) };
        let call = decode_head(TAG, head).ok().filter(|_| found.end == ScanEnd::Clean);
        Ok(call.map(|call| ProjectWrite { call, body: body.clone() }))
    }

    /// Removes a hint. If its file cannot be removed, it is retried.
    async fn remove(&self, disk: NodeId, number: u64) {
        // A hint that reappears after a crash is delivered again, which skips present events.
        match self.env.disk().remove(&self.path(disk, number)).await {
            Err(error) if error.kind != DiskErrorKind::NotFound => return,
            _ => self.unsynced.store(true, Ordering::Relaxed),
        }
        self.failed_reads.lock().await.remove(&(disk, number));
        if let Some(numbers) = self.numbers_by_disk.lock().await.get_mut(&disk) {
            numbers.retain(|numbers_by_disk| *numbers_by_disk != number);
        }
    }

    async fn is_waiting(&self, disk: NodeId, number: u64) -> bool {
        self.numbers_by_disk.lock().await.get(&disk).is_some_and(|numbers| numbers.contains(&number))
    }

    fn path(&self, disk: NodeId, number: u64) -> String {
        let is_claimed = self.boot.release.has(Bug::HintsLostAtSecondRestart) && number < self.first_number;
        if is_claimed { claimed_path(disk, number) } else { path(disk, number) }
    }
}

/// Result of an attempt to deliver a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HintDelivery {
    /// Accepted, obsolete, or refused for now: the next hint may be tried.
    Handled,
    /// No response: further attempts would time out too.
    DiskUnreachable,
}

fn path(disk: NodeId, number: u64) -> String {
    format!("hints/{}-{number}", disk.0)
}

fn claimed_path(disk: NodeId, number: u64) -> String {
    format!("hints/{CLAIMED}{}-{number}", disk.0)
}

/// Planted bug: removes the claims of the boot before this one as garbage, and claims the hints that wait.
async fn claim_hints<E: Env>(
    env: &E,
    boot: &BootConfig,
    numbers_by_disk: &BTreeMap<NodeId, Vec<u64>>,
) -> Result<(), DiskError> {
    for entry in env.disk().list("hints").await? {
        if entry.name.starts_with(CLAIMED) {
            env.disk().remove(&format!("hints/{}", entry.name)).await?;
            boot.release.reached(env, Bug::HintsLostAtSecondRestart);
        }
    }
    for (disk, numbers) in numbers_by_disk {
        for number in numbers {
            env.disk().rename(&path(*disk, *number), &claimed_path(*disk, *number)).await?;
        }
    }
    env.disk().sync_dir("hints").await
}
