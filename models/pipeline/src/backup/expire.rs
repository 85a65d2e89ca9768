//! The catalogs of one data center: each is read again at every backup, repaired where it has rotted, and removed when
//! it is older than the retention and no hold keeps it; then segments go that no catalog needs.
//!
//! Data centers are looked after one by one: what is wrong with one keeps nothing from expiring in another, and no
//! backup from being taken. The newest catalog that reads is never removed. A damaged catalog is put again from another
//! data center that has it; where none has, it stays until it is older than the retention, and so long no segment goes,
//! because it could need any. One that the store cannot read at the moment is left alone: it may read the next time.

use super::catalog::{CATALOGS, Catalog, SEGMENTS};
use super::data_center::DataCenter;
use crate::alarms::Alarm;
use crate::hold::{self, HOLDS};
use bytes::Bytes;
use latent_edge::object_api::{ObjectError, ObjectStore, StoreError};
use latent_ports::{Env, Mark, UnixMs};
use std::collections::{BTreeMap, BTreeSet};

/// Catalogs that this process has read, by key: what stands under a key never changes.
pub(super) type Known = BTreeMap<String, Catalog>;

/// What is asked of a look at one data center.
pub(super) struct Expiry {
    /// The time of the look.
    pub now: UnixMs,
    /// Catalogs of positions before this are old.
    pub oldest_ms: i64,
    /// Segments of a catalog that is still to be written there.
    pub needed_besides: BTreeSet<String>,
}

/// The catalogs of a data center, by key.
#[derive(Default)]
struct Catalogs {
    good: BTreeSet<String>,
    /// Their bytes are not what was put.
    damaged: BTreeSet<String>,
    /// The store answers, and not with these.
    unreadable: BTreeSet<String>,
}

impl Expiry {
    /// Repairs and removes. `found` takes an alarm for each damaged catalog, also when an error ends the look.
    pub async fn look<E: Env>(
        &self,
        env: &E,
        of: &DataCenter<E>,
        others: &[&ObjectStore<E>],
        known: &mut Known,
        found: &mut Vec<Alarm>,
    ) -> Result<(), StoreError> {
        let mut catalogs = read_all(&of.store, known).await?;
        for key in catalogs.damaged.clone() {
            env.mark(Mark { name: "backup.catalog-damaged", subject: &key });
            let position_ms = Catalog::position_of_key(&key).unwrap_or(0);
            let repaired = repair(&key, of, others, known).await;
            let is_repaired = matches!(repaired, Ok(true));
            found.push(Alarm::CatalogDamaged { data_center: of.number, position_ms, is_repaired });
            if repaired? {
                env.mark(Mark { name: "backup.catalog-repaired", subject: &key });
                catalogs.damaged.remove(&key);
                catalogs.good.insert(key);
            }
        }
        for key in &catalogs.unreadable {
            let position_ms = Catalog::position_of_key(key).unwrap_or(0);
            found.push(Alarm::CatalogDamaged { data_center: of.number, position_ms, is_repaired: false });
        }
        self.remove_old(env, &of.store, catalogs, known).await
    }

    async fn remove_old<E: Env>(
        &self,
        env: &E,
        store: &ObjectStore<E>,
        mut catalogs: Catalogs,
        known: &Known,
    ) -> Result<(), StoreError> {
        // Before anything goes: what is held from now on is held in this look.
        let standing = hold::standing(&store.list(HOLDS).await?, self.now);
        for key in &standing.spent {
            store.delete(key).await?;
        }
        let Some(newest) = catalogs.good.iter().max_by_key(|key| known[*key].age_key()).cloned() else {
            return Ok(());
        };
        let is_held = |position_ms: i64| standing.holds.iter().any(|hold| hold.keeps_backup(position_ms));
        let is_old = |key: &&String| {
            Catalog::position_of_key(key)
                .is_some_and(|position_ms| position_ms < self.oldest_ms && !is_held(position_ms))
        };
        let all = catalogs.good.iter().chain(&catalogs.damaged).chain(&catalogs.unreadable);
        let old: Vec<String> = all.filter(is_old).filter(|key| **key != newest).cloned().collect();
        if old.is_empty() {
            return Ok(());
        }
        for key in &old {
            store.delete(key).await?;
            env.mark(Mark { name: "backup.expired", subject: key });
            catalogs.good.remove(key);
            catalogs.damaged.remove(key);
            catalogs.unreadable.remove(key);
        }
        if !catalogs.damaged.is_empty() || !catalogs.unreadable.is_empty() {
            return Ok(());
        }
        let mut needed: BTreeSet<&str> = self.needed_besides.iter().map(String::as_str).collect();
        needed.extend(catalogs.good.iter().flat_map(|key| known[key].hashes()));
        for info in store.list(SEGMENTS).await? {
            if !needed.contains(&info.key[SEGMENTS.len()..]) {
                store.delete(&info.key).await?;
            }
        }
        Ok(())
    }
}

/// Reads every catalog of a data center.
async fn read_all<E: Env>(store: &ObjectStore<E>, known: &mut Known) -> Result<Catalogs, StoreError> {
    let mut catalogs = Catalogs::default();
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
        let reads = match known.get(&info.key) {
            Some(_) => Catalog::has_hash_of(&info.key, &text),
            None => match Catalog::from_object(&info.key, &text) {
                Ok(catalog) => known.insert(info.key.clone(), catalog).is_none(),
                Err(_) => false,
            },
        };
        let kind = if reads { &mut catalogs.good } else { &mut catalogs.damaged };
        kind.insert(info.key);
    }
    Ok(catalogs)
}

/// Puts a damaged catalog again, if another data center has it and its segments are there.
async fn repair<E: Env>(
    key: &str,
    of: &DataCenter<E>,
    others: &[&ObjectStore<E>],
    known: &mut Known,
) -> Result<bool, StoreError> {
    for other in others {
        let Ok(text) = other.get(key).await else { continue };
        let Ok(catalog) = Catalog::from_object(key, &text) else { continue };
        if !of.lists_all(catalog.days.iter().flat_map(|day| &day.segments)) {
            continue;
        }
        of.store.delete(key).await?;
        of.store.put_verified(key, Bytes::clone(&text)).await?;
        known.insert(key.to_owned(), catalog);
        return Ok(true);
    }
    Ok(false)
}
