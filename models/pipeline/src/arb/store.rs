//! The days of one disk: those that exist, and those that are dirty, corrupt or quarantined.
//!
//! A day has one lock: appends, seals and commits of a day are serialized; merges do not hold the lock.

use super::api::ArbFailure;
use super::day_store::{DayStore, day_dir};
use super::gc_queue::GcQueue;
use super::lease::Leases;
use super::log::UntrustedLogs;
use crate::config::BootConfig;
use crate::marks;
use crate::zone::Day;
use latent_ports::{Disk, DiskErrorKind, Env, Mark};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use tokio::sync::Mutex;

/// A day with its lock.
pub(super) type SharedDay<E> = Arc<Mutex<DayStore<E>>>;
type DayMap<E> = BTreeMap<(u32, Day), SharedDay<E>>;

/// Arb store of one node.
pub struct ArbStore<E: Env> {
    pub(super) env: E,
    pub(super) boot: BootConfig,
    pub(super) leases: Leases<E>,
    pub(super) gc_queue: GcQueue,
    pub(super) days: StdMutex<DayMap<E>>,
    /// Superset of the dirty days, so that a nightly job checks only these. Changed only under the day's lock.
    pub(super) dirty: StdMutex<BTreeSet<(u32, Day)>>,
    /// Days that fail verification, with the reason: refused until they are repaired.
    pub(super) corrupt: StdMutex<BTreeMap<(u32, Day), String>>,
    /// Subset of the corrupt days: those that the device could not read at boot.
    pub(super) unreadable: StdMutex<BTreeSet<(u32, Day)>>,
    /// Days with a quarantine directory.
    pub(super) quarantined: StdMutex<BTreeSet<(u32, Day)>>,
    /// Time of the newest event that this process has stored, by project. Kept for a planted bug alone.
    pub(super) newest_event_ms: StdMutex<BTreeMap<u32, i64>>,
    pub(super) creating: Mutex<()>,
    pub(super) untrusted: UntrustedLogs,
}

impl<E: Env> ArbStore<E> {
    pub(super) fn days(&self) -> std::sync::MutexGuard<'_, DayMap<E>> {
        lock(&self.days)
    }

    /// Returns a day if it exists.
    ///
    /// # Errors
    /// The day is corrupt.
    pub(super) fn day(&self, project: u32, day: Day) -> Result<Option<SharedDay<E>>, ArbFailure> {
        if let Some(what) = lock(&self.corrupt).get(&(project, day)) {
            return Err(ArbFailure::Corrupt(what.clone()));
        }
        Ok(self.days().get(&(project, day)).cloned())
    }

    /// Refuses a day until it is quarantined and filled again.
    pub(super) fn note_corrupt(&self, project: u32, day: Day, what: String) {
        if lock(&self.corrupt).insert((project, day), what.clone()).is_none() {
            self.env.mark(Mark { name: marks::ARB_DAY_CORRUPT, subject: &what });
        }
    }

    /// Passes a result on, and marks the day as corrupt if it failed verification.
    pub(super) fn note_if_corrupt<T>(
        &self,
        project: u32,
        day: Day,
        read: Result<T, ArbFailure>,
    ) -> Result<T, ArbFailure> {
        if let Err(ArbFailure::Corrupt(what)) = &read {
            self.note_corrupt(project, day, what.clone());
        }
        read
    }

    /// Returns the corrupt days of a project.
    pub(super) fn corrupt_days(&self, project: u32) -> Vec<Day> {
        lock(&self.corrupt).keys().filter(|(p, _)| *p == project).map(|(_, day)| *day).collect()
    }

    /// Returns the days of a project that exist and are not known to be corrupt, in order.
    pub(super) fn intact_days_of(&self, project: u32) -> Vec<SharedDay<E>> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let corrupt = lock(&self.corrupt);
        let is_intact = |(of, _): &(&(u32, Day), _)| !corrupt.contains_key(*of);
        self.days().range(first..=last).filter(is_intact).map(|(_, day)| day.clone()).collect()
    }

    /// Returns the days of [`ArbStore::intact_days_of`] that are not known to be clean.
    pub(super) fn dirty_candidates(&self, project: u32) -> Vec<SharedDay<E>> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let (corrupt, dirty, days) = (lock(&self.corrupt), lock(&self.dirty), self.days());
        let is_intact = dirty.range(first..=last).filter(|of| !corrupt.contains_key(*of));
        is_intact.filter_map(|of| days.get(of).cloned()).collect()
    }

    /// Returns the names of the days of [`ArbStore::intact_days_of`].
    pub(super) fn intact_days(&self, project: u32) -> Vec<Day> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let corrupt = lock(&self.corrupt);
        self.days()
            .range(first..=last)
            .map(|(of, _)| *of)
            .filter(|of| !corrupt.contains_key(of))
            .map(|(_, day)| day)
            .collect()
    }

    /// Returns a day, created if it does not exist. Its names are durable on return; its manifest is still empty.
    pub(super) async fn open_or_create_day(
        &self,
        project: u32,
        day: Day,
    ) -> Result<SharedDay<E>, ArbFailure> {
        if let Some(found) = self.day(project, day)? {
            return Ok(found);
        }
        let _creation_lock = self.creating.lock().await;
        if let Some(found) = self.day(project, day)? {
            return Ok(found);
        }
        let disk = self.env.disk();
        let project_dir = format!("arb/{project}");
        self.create_project_dir(project).await?;
        create_dir(disk, &day_dir(project, day)).await?;
        // The directory of an earlier attempt may hold a manifest or files, so it is recovered as after a boot. One that
        // fails verification must be known as corrupt, or no node would ever quarantine it.
        let recovered = self.recover_day(project, day).await;
        let store = self.note_if_corrupt(project, day, recovered)?;
        disk.sync_dir(&project_dir).await?;
        let store = Arc::new(Mutex::new(store));
        self.days().insert((project, day), store.clone());
        Ok(store)
    }
}

pub(super) async fn create_dir<D: Disk>(disk: &D, path: &str) -> Result<(), ArbFailure> {
    match disk.create_dir(path).await {
        Ok(()) => Ok(()),
        // The name may not be durable yet: the caller syncs the parent as for a new directory.
        Err(error) if error.kind == DiskErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
