//! Garbage collection: removes files that are no longer live after a grace period, and never while a backup pins them.
//!
//! The queue is in memory; after a boot it is refilled with the files that the manifests do not name. Before a file is
//! removed the manifest is checked again: a live file is never deleted, whatever the queue holds.
//!
//! A quarantine directory is removed the same way, once anti-entropy has found the refilled day equal to its other
//! copies. Until then it may hold the last copy of some event, however damaged.

use super::api::ArbFailure;
use super::quarantine::quarantined_day;
use super::segment::segment_id;
use super::store::{ArbStore, lock};
use crate::marks;
use crate::release::Bug;
use crate::zone::Day;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, Mark};
use std::time::Duration;

/// Minimum interval between collections; idle nodes wake no more often.
const GC_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Result of an attempt to remove a file.
enum RemovalOutcome {
    Removed,
    /// The file is live, or already gone.
    NotNeeded,
    Deferred,
}

impl<E: Env> ArbStore<E> {
    /// Schedules files for removal after the grace period.
    pub(super) fn schedule_removal(&self, project: u32, day: Day, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let now = self.env.clock().monotonic();
        let due = match self.boot.release.has(Bug::BackupUnpinned) {
            true => now,
            false => now + self.boot.cluster.compaction.grace,
        };
        lock(&self.gc_queue.queue)
            .entry(due)
            .or_default()
            .extend(paths.into_iter().map(|p| (project, day, p)));
        self.gc_queue.added.notify_one();
    }

    /// Cancels the removals of a day that is quarantined: its paths will name other files.
    pub(super) fn cancel_removals(&self, project: u32, day: Day) {
        for waiting in lock(&self.gc_queue.queue).values_mut() {
            waiting.retain(|(of, on, _)| (*of, *on) != (project, day));
        }
    }

    /// Pins every file of a project for at most `for_ms`.
    pub fn pin(&self, project: u32, for_ms: u64) {
        let until = self.env.clock().monotonic() + Duration::from_millis(for_ms);
        lock(&self.gc_queue.pinned).insert(project, until);
    }

    /// Whether a project is pinned.
    pub(super) fn is_pinned(&self, project: u32) -> bool {
        let now = self.env.clock().monotonic();
        lock(&self.gc_queue.pinned).get(&project).is_some_and(|until| *until > now)
    }

    /// Releases a pin.
    pub fn unpin(&self, project: u32) {
        lock(&self.gc_queue.pinned).remove(&project);
    }

    /// Removes files when they are due, until the process ends.
    pub async fn run_gc(&self) {
        loop {
            let next = lock(&self.gc_queue.queue).first_key_value().map(|(due, _)| *due);
            let next = if lock(&self.gc_queue.unsynced).is_empty() { next } else { Some(Duration::ZERO) };
            match next {
                None => self.gc_queue.added.notified().await,
                Some(due) => {
                    let wait = due.saturating_sub(self.env.clock().monotonic());
                    self.env.clock().sleep(wait.max(GC_INTERVAL)).await;
                    self.remove_due().await;
                    self.sync_removals().await;
                }
            }
        }
    }

    async fn remove_due(&self) {
        let now = self.env.clock().monotonic();
        let mut due = Vec::new();
        {
            let mut queue = lock(&self.gc_queue.queue);
            while let Some(entry) = queue.first_entry().filter(|entry| *entry.key() <= now) {
                due.extend(entry.remove());
            }
        }
        for (project, day, path) in due {
            let pinned = lock(&self.gc_queue.pinned).get(&project).is_some_and(|until| *until > now);
            match if pinned && !self.boot.release.has(Bug::BackupUnpinned) {
                RemovalOutcome::Deferred
            } else {
                self.remove_if_not_live(project, day, &path).await
            } {
                RemovalOutcome::Removed => {
                    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                    lock(&self.gc_queue.unsynced).insert(dir.to_owned());
                    self.env.mark(Mark { name: marks::ARB_FILE_REMOVED, subject: &path });
                }
                RemovalOutcome::NotNeeded => {}
                RemovalOutcome::Deferred => {
                    lock(&self.gc_queue.queue)
                        .entry(now + GC_INTERVAL)
                        .or_default()
                        .push((project, day, path));
                }
            }
        }
    }

    /// Makes removals durable. Failures are retried at the next collection.
    async fn sync_removals(&self) {
        let dirs = lock(&self.gc_queue.unsynced).clone();
        for dir in dirs {
            match self.env.disk().sync_dir(&dir).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => {
                    self.env.mark(Mark { name: marks::ARB_GC_SYNC_FAILED, subject: &dir });
                }
                // A directory that is gone was quarantined as a whole, including removals that were not durable.
                _ => {
                    lock(&self.gc_queue.unsynced).remove(&dir);
                }
            }
        }
    }

    /// Schedules the quarantine directories of a refilled day for removal after the grace period. A new quarantine of
    /// the day cancels the removal.
    pub(super) async fn release_quarantine(&self, project: u32, day: Day) -> Result<(), ArbFailure> {
        let Some(filled) = self.day(project, day)? else {
            return Err(ArbFailure::Refused(format!("p{project}/{day} was not filled again")));
        };
        filled.lock().await.persist_next_id().await?;
        let waits =
            |path: &String| lock(&self.gc_queue.queue).values().flatten().any(|(_, _, other)| other == path);
        let mut dirs = self.quarantine_dirs(project, day).await?;
        dirs.retain(|path| !waits(path));
        self.schedule_removal(project, day, dirs);
        Ok(())
    }

    /// Removes a quarantine directory. A crash may leave part of it; the directory is then released again.
    pub(super) async fn remove_quarantine_dir(&self, dir: &str) -> Result<(), DiskError> {
        let disk = self.env.disk();
        for file in disk.list(dir).await? {
            disk.remove(&format!("{dir}/{}", file.name)).await?;
        }
        disk.remove_dir(dir).await
    }

    async fn remove_if_not_live(&self, project: u32, day: Day, path: &str) -> RemovalOutcome {
        let is_quarantine = path.rsplit('/').next().and_then(quarantined_day).is_some();
        // The copy that was filled again may have been removed under this process; then this one is all that is left.
        if is_quarantine && self.note_missing_dirs(project).await.is_err() {
            return RemovalOutcome::Deferred;
        }
        let store = match self.day(project, day) {
            Ok(Some(store)) => store,
            Ok(None) => return RemovalOutcome::NotNeeded,
            Err(_) => return RemovalOutcome::Deferred,
        };
        let mut day = store.lock().await;
        if is_quarantine {
            return match self.remove_quarantine_dir(path).await {
                Ok(()) => {
                    if self.quarantine_dirs(project, day.day).await.is_ok_and(|left| left.is_empty()) {
                        self.forget_quarantine(project, day.day);
                    }
                    RemovalOutcome::Removed
                }
                Err(error) if error.kind == DiskErrorKind::NotFound => RemovalOutcome::NotNeeded,
                Err(_) => RemovalOutcome::Deferred,
            };
        }
        if day.manifest.live.keys().any(|id| day.path(*id) == path) {
            return RemovalOutcome::NotNeeded;
        }
        // Planted bug: the manifest in memory is up to date.
        let is_stale = day.log.is_tail_unknown() && self.boot.release.has(Bug::StaleRootGc);
        // A failed edit may reappear after a crash and name this file, so it must be truncated first.
        if !is_stale && day.log.repair_tail().await.is_err() {
            return RemovalOutcome::Deferred;
        }
        match self.env.disk().remove(path).await {
            Ok(()) => {
                let id = path.rsplit('/').next().and_then(segment_id);
                // An edit that failed may name files that no earlier edit did.
                if is_stale && id.is_some_and(|id| id >= day.manifest.next_id) {
                    self.boot.release.reached(&self.env, Bug::StaleRootGc);
                }
                RemovalOutcome::Removed
            }
            Err(error) if error.kind == DiskErrorKind::NotFound => RemovalOutcome::NotNeeded,
            Err(_) => RemovalOutcome::Deferred,
        }
    }
}
