//! Object-store faults: what the machine of a store does to calls while a fault of the plan says so.
//!
//! A fault switches a named condition on at a store's node; its level says how strongly. Levels are parts per million
//! of calls, but for pages.
//!
//! | condition | at | what happens | level |
//! |---|---|---|---|
//! | `store.unavailable` | a store | calls are answered 5xx and have no effect | of all calls |
//! | `store.throttled` | a store | calls are answered "slow down" and have no effect | of all calls |
//! | `store.uploads-broken` | a store | uploads break off half-way: nothing visible, a leftover among the uploads | of puts |
//! | `store.answers-lost` | a store | puts take effect and are never answered | of puts |
//! | `store.short-pages` | a store | listings come in short pages | keys a page |
//! | `credentials.expired` | a caller | every store denies everything to it | none |
//!
//! Chance is a keyed draw of the call's content and of how often it was made: taking one fault out leaves the others
//! as they are. Not modelled: lost or stale objects (stores of this kind promise read-after-write), slow calls (see
//! slow disks and links), a wrong bucket, partial deletes.
//!
//! Rates are accelerated. Published: Amazon S3's service agreement counts error rates over 5-minute intervals against
//! 99.9% a month, and its documentation tells callers to expect 503 Slow Down above 3,500 writes or 5,500 reads a second
//! and prefix, and to retry with back-off; a listing there has at most 1,000 keys a page, and may have fewer.

use crate::credentials::StoreKind;
use crate::lock;
use latent_engine::sim::World;
use latent_pipeline::access::{InjectedResult, Interceptor, Permission};
use latent_ports::NodeId;
use latent_storekit::object_store::ObjectRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Calls are answered 5xx.
const UNAVAILABLE: &str = "store.unavailable";
/// Calls are answered "slow down".
const THROTTLED: &str = "store.throttled";
/// Puts break off.
const UPLOADS_BROKEN: &str = "store.uploads-broken";
/// Puts take effect and are not answered.
const ANSWERS_LOST: &str = "store.answers-lost";
/// Listings come in pages of so many keys.
pub(crate) const SHORT_PAGES: &str = "store.short-pages";
/// At a caller: every store denies everything to it.
const CREDENTIALS_EXPIRED: &str = "credentials.expired";

/// Those that befall a store.
pub(crate) const OF_STORES: [&str; 5] = [UNAVAILABLE, THROTTLED, UPLOADS_BROKEN, ANSWERS_LOST, SHORT_PAGES];

/// What is wrong with a condition of this name at this node, if it is one of this family's.
pub(crate) fn check(name: &str, at_a_store: bool) -> Option<(String, String)> {
    let is_known = OF_STORES.contains(&name) || name == CREDENTIALS_EXPIRED;
    if !is_known && (name.starts_with("store.") || name.starts_with("credentials.")) {
        let hint = format!("write one of: {}, {CREDENTIALS_EXPIRED}", OF_STORES.join(", "));
        return Some((format!("no condition is called '{name}'"), hint));
    }
    (OF_STORES.contains(&name) && !at_a_store).then(|| {
        let said = format!("'{name}' does nothing at a node that is no object store");
        (said, "name a data center or the tee store".to_owned())
    })
}

/// A throttled caller is asked to come back after 1 s to 5 s.
const RETRY_AFTER_MS: (u64, u64) = (1_000, 5_000);
/// How often a call was made is remembered of so many calls.
const MAX_ASKED: usize = 1 << 16;

/// What production nodes did to the stores of a world, by the stores' own account.
#[derive(Default)]
pub(crate) struct StoreLog {
    done: Mutex<BTreeSet<(StoreKind, Permission)>>,
    tampered: Mutex<BTreeSet<NodeId>>,
}

impl StoreLog {
    /// The permissions by which production changed anything at a store.
    pub fn used(&self) -> BTreeSet<(StoreKind, Permission)> {
        lock(&self.done).clone()
    }

    /// Whether production changed anything at this store.
    pub fn is_tampered(&self, store: NodeId) -> bool {
        lock(&self.tampered).contains(&store)
    }
}

/// The door of one store in a simulated world.
pub(crate) struct StoreDoor {
    world: World,
    store: NodeId,
    kind: StoreKind,
    production: BTreeSet<NodeId>,
    log: Arc<StoreLog>,
    /// How often each call was made while a condition held.
    asked: Mutex<BTreeMap<u128, u64>>,
}

impl StoreDoor {
    pub fn new(
        world: World,
        store: NodeId,
        kind: StoreKind,
        production: impl Iterator<Item = NodeId>,
        log: Arc<StoreLog>,
    ) -> StoreDoor {
        StoreDoor { world, store, kind, production: production.collect(), log, asked: Mutex::default() }
    }

    /// Counts the call, and gives the key of its draws.
    fn key(&self, from: NodeId, call: &ObjectRequest, body: &[u8]) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&from.0.to_le_bytes());
        hasher.update(&self.store.0.to_le_bytes());
        hasher.update(&call.to_message(bytes::Bytes::new()).head);
        hasher.update(body);
        let key = first_16(&hasher);
        let mut asked = lock(&self.asked);
        if asked.len() > MAX_ASKED {
            asked.clear();
        }
        let times = asked.entry(key).or_default();
        *times += 1;
        hasher.update(&times.to_le_bytes());
        first_16(&hasher)
    }
}

fn first_16(hasher: &blake3::Hasher) -> u128 {
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_le_bytes(out)
}

impl Interceptor for StoreDoor {
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
            (SHORT_PAGES, is_list),
        ];
        let held: Vec<(&'static str, u64)> = chances
            .into_iter()
            .filter(|(_, concerns)| *concerns)
            .filter_map(|(name, _)| Some((name, self.world.condition(self.store, name)?)))
            .collect();
        if held.is_empty() {
            return InjectedResult::Normal;
        }
        let key = self.key(from, call, body);
        for (name, level) in held {
            if name == SHORT_PAGES {
                return InjectedResult::ShortPages { keys: u32::try_from(level).unwrap_or(u32::MAX).max(1) };
            }
            if self.world.draw(name, key) % 1_000_000 >= level {
                continue;
            }
            return match name {
                UNAVAILABLE => InjectedResult::Unavailable,
                UPLOADS_BROKEN => InjectedResult::UploadTruncated,
                ANSWERS_LOST => InjectedResult::ResponseLost,
                _ => {
                    let (least, most) = RETRY_AFTER_MS;
                    let later = self.world.draw("store.retry-after", key) % (most - least + 1);
                    InjectedResult::Throttled { retry_after_ms: (least + later) as u32 }
                }
            };
        }
        InjectedResult::Normal
    }

    fn object_changed(&self, from: NodeId, permission: Permission, _: &str) {
        if self.production.contains(&from) {
            lock(&self.log.done).insert((self.kind, permission));
            lock(&self.log.tampered).insert(self.store);
        }
    }
}

#[cfg(test)]
mod tests;
