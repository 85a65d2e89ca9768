//! What the backup node remembers from one backup to the next.
//!
//! Nothing of it is written down by the node: all of it can be had again from the data centers, and is, before the
//! first backup of a process is finished. A data center that could not be asked then, or that lacks the last backup, is
//! asked for its newest catalog when it answers again: it may hold what this process does not know of.

use super::catalog::{CATALOGS, Catalog};
use super::data_center::DataCenter;
use super::error::BackupError;
use super::expire::Known;
use super::shrunk::Kept;
use crate::alarms::Alarm;
use crate::config::{BackupConfig, Cluster};
use latent_edge::object_api::{ObjectError, ObjectStore, StoreError};
use latent_ports::{Env, Mark, NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the backup node remembers.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the last backups hold.
    pub(super) kept: Kept,
    /// Data centers whose newest catalog is part of `kept`.
    in_step: BTreeSet<NodeId>,
    /// Some data center was asked.
    is_known: bool,
    /// Segments that this process has read back, by data center.
    verified: BTreeMap<NodeId, BTreeSet<String>>,
    pub(super) known: Known,
    /// The last backup, while projects or data centers wait for it.
    pub(super) round: Option<Round>,
    /// Alarms that were raised and whose cause has not gone since.
    alarmed: Vec<Alarm>,
    /// Tries since the last one that copied anything.
    pub(super) failed_in_a_row: u32,
}

/// One backup: a position, and the tries to hold every project up to it in every data center.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub position_ms: i64,
    /// By the monotonic clock.
    pub started: Duration,
    /// Projects that are still to be copied.
    pub todo: BTreeSet<u32>,
    /// The catalog, once there is one.
    pub catalog: Option<Written>,
}

/// A catalog, and where it is durable.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub catalog: Catalog,
    pub key: String,
    pub text: Vec<u8>,
    pub reached: BTreeSet<NodeId>,
}

/// The newest catalog of a data center.
struct Newest {
    catalog: Option<Catalog>,
    /// No newer one is there that could not be read.
    is_certain: bool,
}

impl Memory {
    /// The round that goes on, while it is younger than the interval; else one of all projects.
    pub(super) fn round(
        &self,
        cluster: &Cluster,
        config: &BackupConfig,
        position: UnixMs,
        monotonic: Duration,
    ) -> Round {
        let goes_on = |round: &&Round| monotonic.saturating_sub(round.started) < config.interval;
        self.round.as_ref().filter(goes_on).cloned().unwrap_or_else(|| Round {
            position_ms: position.0,
            started: monotonic,
            // Also those that are configured no more: what was backed up is not let go of.
            todo: cluster.projects.keys().copied().chain(self.kept.projects()).collect(),
            catalog: None,
        })
    }

    /// Opens every data center that answers; the others are named with what they said.
    pub(super) async fn open<E: Env>(
        &mut self,
        stores: Vec<ObjectStore<E>>,
    ) -> (Vec<DataCenter<E>>, Option<BackupError>) {
        let (mut opened, mut failed) = (Vec::new(), None);
        for (index, store) in stores.into_iter().enumerate() {
            let verified = self.verified.get(&store.node()).cloned().unwrap_or_default();
            match DataCenter::open(index + 1, store, verified).await {
                Ok(data_center) => opened.push(data_center),
                Err(error) => failed = failed.or(Some(error.into())),
            }
        }
        (opened, failed)
    }

    /// Remembers what was read back.
    pub(super) fn close<E: Env>(&mut self, data_centers: Vec<DataCenter<E>>) {
        for data_center in data_centers {
            self.verified.insert(data_center.node(), data_center.into_verified());
        }
    }

    /// Asks the data centers that are not in step what their newest backup holds. A catalog of a time to come is not
    /// believed.
    pub(super) async fn learn<E: Env>(
        &mut self,
        env: &E,
        cluster: &Cluster,
        data_centers: &[DataCenter<E>],
        now: UnixMs,
    ) -> Result<(), BackupError> {
        for data_center in data_centers {
            if self.in_step.contains(&data_center.node()) {
                continue;
            }
            let newest = match newest_of(&data_center.store, now).await {
                Ok(newest) => newest,
                Err(error) => {
                    env.mark(Mark { name: "backup.newest-unknown", subject: &error.to_string() });
                    continue;
                }
            };
            self.is_known = true;
            if newest.is_certain {
                self.in_step.insert(data_center.node());
            }
            if let Some(catalog) = newest.catalog {
                self.kept.learn(catalog, cluster.projects.keys().copied());
            }
        }
        if self.is_known { Ok(()) } else { Err(BackupError::NothingKnown) }
    }

    /// A catalog is durable in these data centers, and in no other: what it holds is what the last backup holds.
    pub(super) fn committed(&mut self, kept: Kept, reached: &BTreeSet<NodeId>) {
        self.kept = kept;
        self.in_step.clone_from(reached);
    }

    /// The round's catalog came to data centers that lacked it.
    pub(super) fn reached(&mut self, reached: &BTreeSet<NodeId>) {
        self.in_step.extend(reached);
    }

    /// The alarms among those that hold now that did not hold at the last backup. `is_of`: the kinds that were looked at.
    pub(super) fn news(&mut self, now: Vec<Alarm>, is_of: impl Fn(&Alarm) -> bool) -> Vec<Alarm> {
        let is_alarmed = |alarm: &&Alarm| !self.alarmed.iter().any(|old| old.has_cause_of(alarm));
        let news: Vec<Alarm> = now.iter().filter(is_alarmed).cloned().collect();
        self.alarmed.retain(|old| !is_of(old));
        self.alarmed.extend(now);
        news
    }
}

/// The newest catalog of a data center that reads, of those that are not of a time to come.
async fn newest_of<E: Env>(store: &ObjectStore<E>, now: UnixMs) -> Result<Newest, StoreError> {
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
            // It may read the next time; until then an older one is better than nothing.
            Err(StoreError::Object { error: ObjectError::Unavailable(_), .. }) => is_certain = false,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Newest { catalog: newest, is_certain })
}
