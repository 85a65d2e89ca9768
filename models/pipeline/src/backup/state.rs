//! State of the backup node from one backup to the next.
//!
//! The node persists none of it: all of it is read from the data centers before the first backup of a process is
//! finished. A data center that could not be queried then, or that lacks the last backup, is asked for its newest
//! catalog when it responds again: it may hold data that this process does not know.

use super::catalog::{CATALOGS, Catalog};
use super::data_center::DataCenter;
use super::error::BackupError;
use super::expire::CatalogCache;
use super::shrink_guard::BackupBaseline;
use crate::alarms::Alarm;
use crate::config::{BackupConfig, Cluster};
use crate::marks;
use crate::release::Release;
use latent_ports::{Env, Mark, NodeId, UnixMs};
use latent_storekit::object_store::{ObjectError, ObjectStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// State of the backup node.
#[derive(Debug, Default)]
pub struct BackupState {
    /// Contents of the last backups.
    pub(super) baseline: BackupBaseline,
    /// Data centers whose newest catalog is part of `baseline`.
    synced: BTreeSet<NodeId>,
    /// Whether any data center was queried successfully.
    is_any_known: bool,
    /// Segments that this process has read back, by data center.
    verified: BTreeMap<NodeId, BTreeSet<String>>,
    pub(super) catalogs: CatalogCache,
    /// The last backup, while projects or data centers are still missing.
    pub(super) round: Option<BackupRound>,
    /// Alarms that were raised and whose cause persists.
    active_alarms: Vec<Alarm>,
    /// Number of attempts since the last one that copied anything.
    pub(super) consecutive_failures: u32,
}

/// One backup: a position, and the attempts to store every project up to it in every data center.
#[derive(Clone, Debug)]
pub(super) struct BackupRound {
    pub position_ms: i64,
    /// Monotonic start time.
    pub started: Duration,
    /// Projects that are still to be copied.
    pub todo: BTreeSet<u32>,
    /// The catalog, once it was written.
    pub catalog: Option<WrittenCatalog>,
}

/// A catalog, and the data centers where it is durable.
#[derive(Clone, Debug)]
pub(super) struct WrittenCatalog {
    pub catalog: Catalog,
    pub key: String,
    pub text: Vec<u8>,
    pub reached: BTreeSet<NodeId>,
}

/// Newest catalog of a data center.
struct NewestCatalog {
    catalog: Option<Catalog>,
    /// Whether there is certainly no newer one that could not be read.
    is_certain: bool,
}

impl BackupState {
    /// Returns the current round while it is younger than the interval; otherwise a new round of all projects.
    pub(super) fn round(
        &self,
        cluster: &Cluster,
        config: &BackupConfig,
        position: UnixMs,
        monotonic: Duration,
    ) -> BackupRound {
        let is_current = |round: &&BackupRound| monotonic.saturating_sub(round.started) < config.interval;
        self.round.as_ref().filter(is_current).cloned().unwrap_or_else(|| BackupRound {
            position_ms: position.0,
            started: monotonic,
            // Includes projects that are no longer configured: backed-up data is kept.
            todo: cluster.projects.keys().copied().chain(self.baseline.projects()).collect(),
            catalog: None,
        })
    }

    /// Opens every data center that responds. Returns the first error of the others.
    pub(super) async fn open<E: Env>(
        &mut self,
        env: &E,
        release: &Arc<Release>,
        stores: Vec<ObjectStore<E>>,
    ) -> (Vec<DataCenter<E>>, Option<BackupError>) {
        let (mut opened, mut failed) = (Vec::new(), None);
        for (index, store) in stores.into_iter().enumerate() {
            let verified = self.verified.get(&store.node()).cloned().unwrap_or_default();
            match DataCenter::open(env, release, index + 1, store, verified).await {
                Ok(data_center) => opened.push(data_center),
                Err(error) => failed = failed.or(Some(error.into())),
            }
        }
        (opened, failed)
    }

    /// Stores the segments that were read back.
    pub(super) fn close<E: Env>(&mut self, data_centers: Vec<DataCenter<E>>) {
        for data_center in data_centers {
            self.verified.insert(data_center.node(), data_center.into_verified());
        }
    }

    /// Reads the newest backup of the data centers that are not synced. Catalogs with a future position are ignored.
    pub(super) async fn read_newest_catalogs<E: Env>(
        &mut self,
        env: &E,
        cluster: &Cluster,
        data_centers: &[DataCenter<E>],
        now: UnixMs,
    ) -> Result<(), BackupError> {
        for data_center in data_centers {
            if self.synced.contains(&data_center.node()) {
                continue;
            }
            let newest = match newest_of(&data_center.store, now).await {
                Ok(newest) => newest,
                Err(error) => {
                    env.mark(Mark { name: marks::BACKUP_NEWEST_UNKNOWN, subject: &error.to_string() });
                    continue;
                }
            };
            self.is_any_known = true;
            if newest.is_certain {
                self.synced.insert(data_center.node());
            }
            if let Some(catalog) = newest.catalog {
                self.baseline.add_catalog(catalog, cluster.projects.keys().copied());
            }
        }
        if self.is_any_known { Ok(()) } else { Err(BackupError::NoBaseline) }
    }

    /// Records that a catalog is durable in exactly these data centers: its contents become the baseline.
    pub(super) fn committed(&mut self, baseline: BackupBaseline, reached: &BTreeSet<NodeId>) {
        self.baseline = baseline;
        self.synced.clone_from(reached);
    }

    /// Records that the round's catalog reached further data centers.
    pub(super) fn reached(&mut self, reached: &BTreeSet<NodeId>) {
        self.synced.extend(reached);
    }

    /// Returns the alarms of `now` that did not hold at the last backup. `is_of` selects the kinds that were checked.
    pub(super) fn new_alarms(&mut self, now: Vec<Alarm>, is_of: impl Fn(&Alarm) -> bool) -> Vec<Alarm> {
        let is_alarmed = |alarm: &&Alarm| !self.active_alarms.iter().any(|old| old.has_same_cause(alarm));
        let new: Vec<Alarm> = now.iter().filter(is_alarmed).cloned().collect();
        self.active_alarms.retain(|old| !is_of(old));
        self.active_alarms.extend(now);
        new
    }
}

/// Returns the newest readable catalog of a data center, ignoring future positions.
async fn newest_of<E: Env>(store: &ObjectStore<E>, now: UnixMs) -> Result<NewestCatalog, StoreError> {
    let mut newest: Option<Catalog> = None;
    let mut is_certain = true;
    for info in store.list(CATALOGS).await?.iter().rev() {
        let Some(position_ms) = Catalog::position_of_key(&info.key).filter(|at_ms| *at_ms <= now.0) else {
            continue;
        };
        if newest.as_ref().is_some_and(|newest| position_ms < newest.position_ms) {
            break;
        }
        match store.get(&info.key).await {
            Ok(text) => {
                let read = Catalog::from_object(&info.key, &text).ok();
                newest = read.into_iter().chain(newest).max_by_key(Catalog::age_key);
            }
            // It may be readable next time; until then an older one is used.
            Err(StoreError::Object { error: ObjectError::Unavailable(_), .. }) => is_certain = false,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(NewestCatalog { catalog: newest, is_certain })
}
