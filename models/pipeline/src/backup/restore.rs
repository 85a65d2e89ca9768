//! Reads backups: catalogs newest first, segments verified by hash and by their own checksums.

use super::catalog::{CATALOGS, Catalog, CatalogDay, SEGMENTS};
use crate::arb::segment::{SEGMENT_HEADER_BYTES, check_segment_header};
use crate::record::{Record, decode_block, scan_blocks};
use crate::release::{Bug, Release};
use latent_ports::{Env, NodeId};
use latent_storekit::frame::ScanEnd;
use latent_storekit::object_store::{ObjectInfo, ObjectStore, StoreError, StoreRetryPolicy};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Lists the objects whose keys begin with `prefix`: all of them, or the first page where a planted bug ends there.
pub(crate) async fn list<E: Env>(
    env: &E,
    release: &Release,
    store: &ObjectStore<E>,
    prefix: &str,
) -> Result<Vec<ObjectInfo>, StoreError> {
    if !release.has(Bug::ListingCutAtAPage) {
        return store.list(prefix).await;
    }
    let (page, has_more) = store.list_page(prefix, "").await?;
    if has_more {
        release.reached(env, Bug::ListingCutAtAPage);
    }
    Ok(page)
}

/// Reader of the backups in all data centers.
pub struct BackupReader<E> {
    stores: Vec<ObjectStore<E>>,
    /// Store that returned the last segment. It is queried first, so that an unreachable store costs its timeouts once
    /// and not once per segment.
    last_source: AtomicUsize,
}

impl<E: Env> BackupReader<E> {
    /// Creates a reader of the backups in `data_centers`.
    #[must_use]
    pub fn new(env: &E, data_centers: &[NodeId]) -> Self {
        let store = |node: &NodeId| {
            ObjectStore::new(env.clone(), *node, CALL_TIMEOUT).with_retries(StoreRetryPolicy::LONG)
        };
        BackupReader { stores: data_centers.iter().map(store).collect(), last_source: AtomicUsize::new(0) }
    }

    /// Returns all catalogs that verify, newest position first, each once.
    pub async fn catalogs(&self, env: &E, release: &Release) -> Vec<Catalog> {
        let mut found: Vec<(String, Catalog)> = Vec::new();
        for store in &self.stores {
            let Ok(listed) = list(env, release, store, CATALOGS).await else { continue };
            for info in listed {
                if found.iter().any(|(key, _)| *key == info.key) {
                    continue;
                }
                let Ok(text) = store.get(&info.key).await else { continue };
                if let Ok(catalog) = Catalog::from_object(&info.key, &text) {
                    found.push((info.key, catalog));
                }
            }
        }
        found.sort_by_key(|(_, catalog)| std::cmp::Reverse(catalog.age_key()));
        found.into_iter().map(|(_, catalog)| catalog).collect()
    }

    /// Reads the events of one day of a backup, including duplicates of one key.
    ///
    /// # Errors
    /// A message that names the segment that no data center could return intact.
    pub async fn day(&self, day: &CatalogDay) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        for segment in &day.segments {
            self.segment(day, &segment.hash, &mut records).await?;
        }
        Ok(records)
    }

    /// Reads the events of one day as far as possible, with the errors of unreadable segments. A damaged segment does
    /// not affect the others.
    pub async fn readable(&self, day: &CatalogDay) -> (Vec<Record>, Vec<String>) {
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for segment in &day.segments {
            let mut of_segment = Vec::new();
            match self.segment(day, &segment.hash, &mut of_segment).await {
                Ok(()) => records.extend(of_segment),
                Err(why) => unreadable.push(why),
            }
        }
        (records, unreadable)
    }

    async fn segment(&self, day: &CatalogDay, hash: &str, records: &mut Vec<Record>) -> Result<(), String> {
        let key = format!("{SEGMENTS}{hash}");
        let mut why = String::from("no data center answered");
        let (count, first) = (self.stores.len(), self.last_source.load(Ordering::Relaxed));
        for index in (0..count).map(|step| (first + step) % count) {
            let bytes = match self.stores[index].get(&key).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    why = error.to_string();
                    continue;
                }
            };
            if blake3::hash(&bytes).to_hex().as_str() != hash {
                why = format!("object '{key}': its bytes do not have its hash");
                continue;
            }
            check_segment_header(&bytes, day.project, day.day, &key).map_err(|e| e.to_string())?;
            let scan = scan_blocks(&bytes, SEGMENT_HEADER_BYTES, day.project, day.day);
            if scan.end != ScanEnd::Clean {
                return Err(format!("object '{key}': damaged at byte {}", scan.valid_bytes));
            }
            for block in &scan.payloads {
                decode_block(block, records).map_err(|e| format!("object '{key}': {e}"))?;
            }
            self.last_source.store(index, Ordering::Relaxed);
            return Ok(());
        }
        Err(why)
    }
}
