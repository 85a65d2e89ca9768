//! Maintenance of the catalogs of one data center. Each catalog is read again at every backup, repaired if it has
//! rotted, and removed when it is older than the retention and no hold keeps it. Then segments that no catalog needs
//! are removed.
//!
//! Data centers are handled one by one: a failure in one does not stop expiry in another, nor backups. The newest
//! readable catalog is never removed. A damaged catalog is restored from another data center that has it. If none has
//! it, it stays until it is older than the retention, and until then no segment is removed, because it could need any.
//! A catalog that the store cannot read at the moment is left unchanged: it may be readable next time.

use super::catalog::{CATALOGS, Catalog, SEGMENTS};
use super::data_center::DataCenter;
use crate::alarms::Alarm;
use crate::hold::{self, HOLDS};
use crate::marks;
use crate::release::{Bug, Release};
use bytes::Bytes;
use latent_ports::{Env, Mark, UnixMs};
use latent_storekit::object_store::{ObjectError, ObjectStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Catalogs that this process has read, by key. The contents of a key never change.
pub(super) type CatalogCache = BTreeMap<String, Catalog>;

/// Parameters of one maintenance pass.
pub(super) struct CatalogExpiry<'a> {
    /// Time of the pass.
    pub now: UnixMs,
    /// Catalogs with positions before this are old.
    pub oldest_ms: i64,
    /// Catalogs with positions from this on are to be kept.
    pub promised_ms: i64,
    pub release: &'a Release,
    /// Segments of a catalog that is still to be written there.
    pub pending_segments: BTreeSet<String>,
}

/// Keys of the catalogs of a data center, by state.
#[derive(Default)]
struct CatalogSets {
    good: BTreeSet<String>,
    /// The bytes differ from what was put.
    damaged: BTreeSet<String>,
    /// The store responds but cannot return these.
    unreadable: BTreeSet<String>,
}

impl CatalogExpiry<'_> {
    /// Repairs and removes catalogs. `found` receives an alarm for each damaged catalog, even if the pass fails.
    pub async fn run<E: Env>(
        &self,
        env: &E,
        of: &DataCenter<E>,
        others: &[&ObjectStore<E>],
        cache: &mut CatalogCache,
        found: &mut Vec<Alarm>,
    ) -> Result<(), StoreError> {
        let mut catalogs = read_all(&of.store, cache).await?;
        for key in catalogs.damaged.clone() {
            env.mark(Mark { name: marks::BACKUP_CATALOG_DAMAGED, subject: &key });
            let position_ms = Catalog::position_of_key(&key).unwrap_or(0);
            let repaired = repair(&key, of, others, cache).await;
            let is_repaired = matches!(repaired, Ok(true));
            found.push(Alarm::CatalogDamaged { data_center: of.number, position_ms, is_repaired });
            if repaired? {
                env.mark(Mark { name: marks::BACKUP_CATALOG_REPAIRED, subject: &key });
                catalogs.damaged.remove(&key);
                catalogs.good.insert(key);
            }
        }
        for key in &catalogs.unreadable {
            let position_ms = Catalog::position_of_key(key).unwrap_or(0);
            found.push(Alarm::CatalogDamaged { data_center: of.number, position_ms, is_repaired: false });
        }
        self.remove_old(env, &of.store, catalogs, cache).await
    }

    async fn remove_old<E: Env>(
        &self,
        env: &E,
        store: &ObjectStore<E>,
        mut catalogs: CatalogSets,
        cache: &CatalogCache,
    ) -> Result<(), StoreError> {
        // Read before anything is removed, so that new holds apply to this pass.
        let active = hold::active_holds(&store.list(HOLDS).await?, self.now);
        for key in &active.obsolete {
            store.delete(key).await?;
        }
        let Some(newest) = catalogs.good.iter().max_by_key(|key| cache[*key].age_key()).cloned() else {
            return Ok(());
        };
        let is_held = |position_ms: i64| active.holds.iter().any(|hold| hold.keeps_backup(position_ms));
        let is_old = |key: &&String| {
            Catalog::position_of_key(key)
                .is_some_and(|position_ms| position_ms < self.oldest_ms && !is_held(position_ms))
        };
        let all = catalogs.good.iter().chain(&catalogs.damaged).chain(&catalogs.unreadable);
        let old: Vec<String> = all.filter(is_old).filter(|key| **key != newest).cloned().collect();
        if old.is_empty() {
            return Ok(());
        }
        let is_promised = |key: &String| Catalog::position_of_key(key) >= Some(self.promised_ms);
        if self.release.has(Bug::RetentionUnit) && old.iter().any(is_promised) {
            self.release.reached(env, Bug::RetentionUnit);
        }
        for key in &old {
            store.delete(key).await?;
            env.mark(Mark { name: marks::BACKUP_EXPIRED, subject: key });
            catalogs.good.remove(key);
            catalogs.damaged.remove(key);
            catalogs.unreadable.remove(key);
        }
        if !catalogs.damaged.is_empty() || !catalogs.unreadable.is_empty() {
            return Ok(());
        }
        let mut needed: BTreeSet<&str> = self.pending_segments.iter().map(String::as_str).collect();
        needed.extend(catalogs.good.iter().flat_map(|key| cache[key].hashes()));
        for info in store.list(SEGMENTS).await? {
            if !needed.contains(&info.key[SEGMENTS.len()..]) {
                store.delete(&info.key).await?;
            }
        }
        Ok(())
    }
}

/// Reads every catalog of a data center.
async fn read_all<E: Env>(
    store: &ObjectStore<E>,
    cache: &mut CatalogCache,
) -> Result<CatalogSets, StoreError> {
    let mut catalogs = CatalogSets::default();
    for info in store.list(CATALOGS).await? {
        let text = match store.get(&info.key).await {
            Ok(text) => text,
            Err(StoreError::Object { error: ObjectError::Unavailable(_), .. }) => {
                catalogs.unreadable.insert(info.key);
                continue;
            }
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        let reads = match cache.get(&info.key) {
            Some(_) => Catalog::has_hash_of(&info.key, &text),
            None => match Catalog::from_object(&info.key, &text) {
                Ok(catalog) => cache.insert(info.key.clone(), catalog).is_none(),
                Err(_) => false,
            },
        };
        let kind = if reads { &mut catalogs.good } else { &mut catalogs.damaged };
        kind.insert(info.key);
    }
    Ok(catalogs)
}

/// Restores a damaged catalog, if another data center has it and its segments are present.
async fn repair<E: Env>(
    key: &str,
    of: &DataCenter<E>,
    others: &[&ObjectStore<E>],
    cache: &mut CatalogCache,
) -> Result<bool, StoreError> {
    for other in others {
        let Ok(text) = other.get(key).await else { continue };
        let Ok(catalog) = Catalog::from_object(key, &text) else { continue };
        if !of.lists_all(catalog.days.iter().flat_map(|day| &day.segments)) {
            continue;
        }
        of.store.delete(key).await?;
        of.store.put_verified(key, Bytes::clone(&text)).await?;
        cache.insert(key.to_owned(), catalog);
        return Ok(true);
    }
    Ok(false)
}
