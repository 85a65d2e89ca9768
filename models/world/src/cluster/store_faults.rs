//! Object-store faults: behavior of a store while a fault of the plan is active.
//!
//! A fault activates a named condition at a store's node. Its level is in parts per million of calls, except for
//! listing pages.
//!
//! | condition | at | what happens | level |
//! |---|---|---|---|
//! | `store.unavailable` | a store | calls are answered 5xx and have no effect | of all calls |
//! | `store.throttled` | a store | calls are answered "slow down" and have no effect | of all calls |
//! | `store.uploads-broken` | a store | uploads are interrupted half-way: no object is visible, a partial upload is left | of puts |
//! | `store.answers-lost` | a store | puts take effect and are never answered | of puts |
//! | `store.puts-altered` | a store | puts are confirmed, and half of the bytes, other bytes or nothing is kept | of puts |
//! | `store.short-pages` | a store | listings come in short pages | keys per page |
//! | `credentials.expired` | a caller | every store denies all of its calls | none |
//!
//! Each decision is a keyed draw of the call's content and its repetition count, so removing one fault leaves the
//! others unchanged. Not modelled: objects that a confirmed and verified put loses later (damage of the store's disk does that), stale
//! answers (stores of this kind promise read-after-write), slow calls
//! (see slow disks and links), a wrong bucket, partial deletes.
//!
//! Rates are accelerated. Published figures: Amazon S3's service agreement counts error rates over 5-minute intervals
//! against 99.9% a month; its documentation tells callers to expect 503 Slow Down above 3,500 writes or 5,500 reads
//! per second and prefix, and to retry with back-off; a listing has at most 1,000 keys per page, and may have fewer.

use crate::cluster::store_access::StoreKind;
use crate::mutex::lock;
use crate::scenario::store_conditions::{
    ANSWERS_LOST, CREDENTIALS_EXPIRED, PUTS_ALTERED, SHORT_PAGES, THROTTLED, UNAVAILABLE, UPLOADS_BROKEN,
};
use latent_engine::sim::World;
use latent_pipeline::access::{AlteredPut, InjectedResult, Interceptor, Permission};
use latent_ports::NodeId;
use latent_storekit::object_store::{MAX_PAGE, ObjectRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Range of the retry-after time of a throttled call, in milliseconds.
const RETRY_AFTER_MS: (u64, u64) = (1_000, 5_000);
/// Maximum number of distinct calls whose repetitions are counted.
const MAX_CALL_COUNTS: usize = 1 << 16;

/// Changes that production nodes made at the stores of a world, as recorded by the stores.
#[derive(Default)]
pub(crate) struct StoreLog {
    done: Mutex<BTreeSet<(StoreKind, Permission)>>,
    tampered: Mutex<BTreeSet<NodeId>>,
    altered: Mutex<AlteredObjects>,
}

/// Objects of which a store keeps other bytes than it confirmed, until they are put again or deleted.
#[derive(Default)]
struct AlteredObjects {
    /// Puts of which the store is about to keep something else, by caller, store and key.
    pending: BTreeSet<(NodeId, NodeId, String)>,
    objects: BTreeSet<(NodeId, String)>,
}

impl StoreLog {
    /// Returns the permissions that production used to change a store.
    pub fn used(&self) -> BTreeSet<(StoreKind, Permission)> {
        lock(&self.done).clone()
    }

    /// Returns the keys of the objects of which a planned fault had the store keep other bytes.
    pub fn altered_keys(&self, store: NodeId) -> BTreeSet<String> {
        let altered = lock(&self.altered);
        altered.objects.iter().filter(|(of, _)| *of == store).map(|(_, key)| key.clone()).collect()
    }

    fn object_changed(&self, from: NodeId, store: NodeId, key: &str) {
        let mut altered = lock(&self.altered);
        match altered.pending.remove(&(from, store, key.to_owned())) {
            true => drop(altered.objects.insert((store, key.to_owned()))),
            false => drop(altered.objects.remove(&(store, key.to_owned()))),
        }
    }

    /// Returns true if production changed this store.
    pub fn is_tampered(&self, store: NodeId) -> bool {
        lock(&self.tampered).contains(&store)
    }
}

/// Interceptor of the calls to one store in a simulated world: it injects the active faults.
pub(crate) struct StoreFaultInterceptor {
    world: World,
    store: NodeId,
    kind: StoreKind,
    production: BTreeSet<NodeId>,
    log: Arc<StoreLog>,
    /// Maximum number of keys in one page of a listing, also without a fault.
    page_keys: u32,
    /// Number of repetitions of each call made while a condition was active.
    call_counts: Mutex<BTreeMap<u128, u64>>,
}

impl StoreFaultInterceptor {
    pub fn new(
        world: World,
        store: NodeId,
        kind: StoreKind,
        production: impl Iterator<Item = NodeId>,
        log: Arc<StoreLog>,
    ) -> StoreFaultInterceptor {
        StoreFaultInterceptor {
            world,
            store,
            kind,
            production: production.collect(),
            log,
            page_keys: MAX_PAGE,
            call_counts: Mutex::default(),
        }
    }

    /// Limits the pages of listings.
    pub fn with_page_keys(self, page_keys: u32) -> StoreFaultInterceptor {
        StoreFaultInterceptor { page_keys, ..self }
    }

    fn altered_put(&self, key: u128) -> AlteredPut {
        match self.world.draw("store.altered-put", key) % 3 {
            0 => AlteredPut::Half,
            1 => AlteredPut::OtherBytes,
            _ => AlteredPut::Nothing,
        }
    }

    fn without_fault(&self, is_list: bool) -> InjectedResult {
        match self.page_keys {
            keys if is_list && keys < MAX_PAGE => InjectedResult::ShortPages { keys },
            _ => InjectedResult::Normal,
        }
    }

    /// Counts the call and returns the key of its draws.
    fn key(&self, from: NodeId, call: &ObjectRequest, body: &[u8]) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&from.0.to_le_bytes());
        hasher.update(&self.store.0.to_le_bytes());
        hasher.update(&call.to_message(bytes::Bytes::new()).head);
        hasher.update(body);
        let key = first_16_bytes(&hasher);
        let mut call_counts = lock(&self.call_counts);
        if call_counts.len() > MAX_CALL_COUNTS {
            call_counts.clear();
        }
        let times = call_counts.entry(key).or_default();
        *times += 1;
        hasher.update(&times.to_le_bytes());
        first_16_bytes(&hasher)
    }
}

fn first_16_bytes(hasher: &blake3::Hasher) -> u128 {
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_le_bytes(out)
}

impl Interceptor for StoreFaultInterceptor {
    fn intercept(&self, from: NodeId, call: &ObjectRequest, body: &bytes::Bytes) -> InjectedResult {
        if self.world.condition(from, CREDENTIALS_EXPIRED).is_some() {
            return InjectedResult::Denied;
        }
        let is_put = matches!(call, ObjectRequest::Put { .. });
        let is_list = matches!(call, ObjectRequest::List { .. });
        let chances = [
            (UNAVAILABLE, true),
            (THROTTLED, true),
            (UPLOADS_BROKEN, is_put),
            (ANSWERS_LOST, is_put),
            (PUTS_ALTERED, is_put),
            (SHORT_PAGES, is_list),
        ];
        let held: Vec<(&'static str, u64)> = chances
            .into_iter()
            .filter(|(_, concerns)| *concerns)
            .filter_map(|(name, _)| Some((name, self.world.condition(self.store, name)?)))
            .collect();
        if held.is_empty() {
            return self.without_fault(is_list);
        }
        let key = self.key(from, call, body);
        for (name, level) in held {
            if name == SHORT_PAGES {
                let keys = u32::try_from(level).unwrap_or(u32::MAX).clamp(1, self.page_keys);
                return InjectedResult::ShortPages { keys };
            }
            if self.world.draw(name, key) % 1_000_000 >= level {
                continue;
            }
            return match name {
                UNAVAILABLE => InjectedResult::Unavailable,
                UPLOADS_BROKEN => InjectedResult::UploadTruncated,
                ANSWERS_LOST => InjectedResult::ResponseLost,
                PUTS_ALTERED => {
                    let keeps = self.altered_put(key);
                    if let ObjectRequest::Put { key } = call
                        && keeps != AlteredPut::Nothing
                    {
                        lock(&self.log.altered).pending.insert((from, self.store, key.clone()));
                    }
                    InjectedResult::PutAltered(keeps)
                }
                _ => {
                    let (min, max) = RETRY_AFTER_MS;
                    let later = self.world.draw("store.retry-after", key) % (max - min + 1);
                    InjectedResult::Throttled { retry_after_ms: (min + later) as u32 }
                }
            };
        }
        self.without_fault(is_list)
    }

    fn object_changed(&self, from: NodeId, permission: Permission, key: &str) {
        self.log.object_changed(from, self.store, key);
        if self.production.contains(&from) {
            lock(&self.log.done).insert((self.kind, permission));
            lock(&self.log.tampered).insert(self.store);
        }
    }
}

#[cfg(test)]
mod tests;
