//! Files that are no longer live go after a grace time, never while a backup has them pinned.
//!
//! A queue in memory; after a boot it is refilled with what the manifests do not name. Before a file is removed
//! the manifest is asked again: a live file is never deleted, whatever the queue says.
//!
//! A directory that was set aside goes the same way, once anti-entropy has found the day that was filled anew equal
//! to its other copies: until then it may be the last to hold some event, however damaged.

use super::api::ArbFailure;
use super::aside::day_set_aside;
use super::store::{Store, lock};
use crate::zone::Day;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, Mark};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// Idle nodes wake no more often than this.
const CLEAN_EVERY: Duration = Duration::from_secs(10 * 60);

/// A file that is due: its path, and whose it was.
type Due = (u32, Day, String);

/// What waits to be removed.
#[derive(Default)]
pub(super) struct Retired {
    /// By due time (monotonic).
    queue: Mutex<BTreeMap<Duration, Vec<Due>>>,
    /// Directories from which files were removed, and whose names are not durable yet.
    unsynced: Mutex<BTreeSet<String>>,
    /// Until when a project's files are pinned (monotonic).
    pinned: Mutex<BTreeMap<u32, Duration>>,
    added: Notify,
}

/// What became of a file that was due.
enum Removal {
    Done,
    /// It lives, or is gone already.
    Needless,
    Later,
}

impl<E: Env> Store<E> {
    /// Lets files go after the grace time.
    pub(super) fn retire(&self, project: u32, day: Day, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let due = self.env.clock().monotonic() + self.boot.cluster.compaction.grace;
        lock(&self.retired.queue)
            .entry(due)
            .or_default()
            .extend(paths.into_iter().map(|p| (project, day, p)));
        self.retired.added.notify_one();
    }

    /// Forgets what waits to be removed of a day that is set aside: its paths mean other files from now on.
    pub(super) fn forget_retired(&self, project: u32, day: Day) {
        for waiting in lock(&self.retired.queue).values_mut() {
            waiting.retain(|(of, on, _)| (*of, *on) != (project, day));
        }
    }

    /// Keeps every file of a project for at most `for_ms`.
    pub fn pin(&self, project: u32, for_ms: u64) {
        let until = self.env.clock().monotonic() + Duration::from_millis(for_ms);
        lock(&self.retired.pinned).insert(project, until);
    }

    /// Lets go of a pin.
    pub fn unpin(&self, project: u32) {
        lock(&self.retired.pinned).remove(&project);
    }

    /// Removes what is due, as long as the process lives.
    pub async fn clean_up(&self) {
        loop {
            let next = lock(&self.retired.queue).first_key_value().map(|(due, _)| *due);
            let next = if lock(&self.retired.unsynced).is_empty() { next } else { Some(Duration::ZERO) };
            match next {
                None => self.retired.added.notified().await,
                Some(due) => {
                    let wait = due.saturating_sub(self.env.clock().monotonic());
                    self.env.clock().sleep(wait.max(CLEAN_EVERY)).await;
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
            let mut queue = lock(&self.retired.queue);
            while let Some(entry) = queue.first_entry().filter(|entry| *entry.key() <= now) {
                due.extend(entry.remove());
            }
        }
        for (project, day, path) in due {
            let pinned = lock(&self.retired.pinned).get(&project).is_some_and(|until| *until > now);
            match if pinned { Removal::Later } else { self.remove_if_dead(project, day, &path).await } {
                Removal::Done => {
                    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                    lock(&self.retired.unsynced).insert(dir.to_owned());
                    self.env.mark(Mark { name: "arb.file-removed", subject: &path });
                }
                Removal::Needless => {}
                Removal::Later => {
                    lock(&self.retired.queue)
                        .entry(now + CLEAN_EVERY)
                        .or_default()
                        .push((project, day, path));
                }
            }
        }
    }

    /// Makes removals durable. What fails is tried again at the next look.
    async fn sync_removals(&self) {
        let dirs = lock(&self.retired.unsynced).clone();
        for dir in dirs {
            match self.env.disk().sync_dir(&dir).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => {
                    self.env.mark(Mark { name: "arb.clean-up-sync-failed", subject: &dir });
                }
                // A directory that is gone was set aside as a whole, with what comes back of it.
                _ => {
                    lock(&self.retired.unsynced).remove(&dir);
                }
            }
        }
    }

    /// The day was filled again and equals its other copies: what was set aside of it goes after the grace time. Not
    /// again corrupt meanwhile: setting aside takes back what waits.
    pub(super) async fn let_aside_go(&self, project: u32, day: Day) -> Result<(), ArbFailure> {
        let Some(filled) = self.day(project, day)? else {
            return Err(ArbFailure::Refused(format!("p{project}/{day} was not filled again")));
        };
        filled.lock().await.remember_ids().await?;
        let waits =
            |path: &String| lock(&self.retired.queue).values().flatten().any(|(_, _, other)| other == path);
        let mut asides = self.asides(project, day).await?;
        asides.retain(|path| !waits(path));
        self.retire(project, day, asides);
        Ok(())
    }

    /// Removes a directory that was set aside. A crash may leave some of it: it is let go again then.
    async fn remove_aside(&self, dir: &str) -> Result<(), DiskError> {
        let disk = self.env.disk();
        for file in disk.list(dir).await? {
            disk.remove(&format!("{dir}/{}", file.name)).await?;
        }
        disk.remove_dir(dir).await
    }

    async fn remove_if_dead(&self, project: u32, day: Day, path: &str) -> Removal {
        let store = match self.day(project, day) {
            Ok(Some(store)) => store,
            Ok(None) => return Removal::Needless,
            Err(_) => return Removal::Later,
        };
        let is_aside = path.rsplit('/').next().and_then(day_set_aside).is_some();
        let mut day = store.lock().await;
        if is_aside {
            return match self.remove_aside(path).await {
                Ok(()) => {
                    if self.asides(project, day.day).await.is_ok_and(|left| left.is_empty()) {
                        self.forget_aside(project, day.day);
                    }
                    Removal::Done
                }
                Err(error) if error.kind == DiskErrorKind::NotFound => Removal::Needless,
                Err(_) => Removal::Later,
            };
        }
        if day.manifest.live.keys().any(|id| day.path(*id) == path) {
            return Removal::Needless;
        }
        // An edit that failed may come back after a crash and name this file: it must be cut off before.
        if day.log.settle_end().await.is_err() {
            return Removal::Later;
        }
        match self.env.disk().remove(path).await {
            Ok(()) => Removal::Done,
            Err(error) if error.kind == DiskErrorKind::NotFound => Removal::Needless,
            Err(_) => Removal::Later,
        }
    }
}
