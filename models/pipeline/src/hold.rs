//! Holds: keep the data that can repair a damaged day from expiring until it is repaired.
//!
//! The audit detects at once that events are missing or altered, or that too few copies of a day are intact to tell. The
//! operator may respond only after the tee and the backups with the lost data have expired. So the audit puts a hold
//! into the tee store and every data center: an object whose key contains all its data, so that a listing is enough and
//! rotten bytes cannot end it. Expiry of the tee and of backups removes nothing that a hold covers. The audit releases
//! the hold, with another object, once it finds the day intact again; an operator may do the same manually. Both need
//! only the right to put.
//!
//! Holds are bounded: a hold ends after [`MAX_HOLD`], and the tee store keeps at most [`MAX_HELD_BYTES`] past their
//! retention; above that the oldest holds end first. A hold that ends without a release raises an alarm.

use crate::marks;
use crate::zone::Day;
use bytes::Bytes;
use latent_edge::tee::TeeName;
use latent_ports::{Env, Mark, NodeId, UnixMs};
use latent_storekit::object_store::{ObjectInfo, ObjectStore, StoreError, StoreRetryPolicy};
use std::collections::BTreeSet;
use std::time::Duration;

/// Key prefix of holds.
pub const HOLDS: &str = "holds/";
/// Maximum age of a hold that is not released.
pub const MAX_HOLD: Duration = Duration::from_secs(30 * 86_400);
/// Maximum size of the tee files that are kept past their retention for holds, in bytes.
pub const MAX_HELD_BYTES: u64 = 1 << 30;
const RELEASED: &str = "released";
const HOUR_MS: i64 = 3_600_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A hold for one damaged day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// Time when the damage was found, in ms since 1970. Backups up to this position are held.
    pub since_ms: i64,
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// First held hour of the tee: arrival in ms divided by 3,600,000.
    pub first_hour: i64,
    /// Last held hour of the tee.
    pub last_hour: i64,
}

impl Hold {
    /// Creates a hold of all tee files with requests that arrived between these times (ms since 1970).
    #[must_use]
    pub fn of(now: UnixMs, project: u32, day: Day, arrived_ms: (i64, i64)) -> Hold {
        let (first, last) = arrived_ms;
        let (first_hour, last_hour) = (first.div_euclid(HOUR_MS), last.div_euclid(HOUR_MS));
        Hold { since_ms: now.0, project, day, first_hour, last_hour }
    }

    /// Returns the key of the hold's object.
    #[must_use]
    pub fn key(&self) -> String {
        let Hold { since_ms, project, day, first_hour, last_hour } = self;
        format!("{HOLDS}{since_ms}-{project}-{day}-{first_hour}-{last_hour}")
    }

    /// Returns the key of the object that releases the hold.
    #[must_use]
    fn release_key(&self) -> String {
        format!("{}-{RELEASED}", self.key())
    }

    /// Parses a hold from a key, and whether the key is that of its release.
    #[must_use]
    pub fn from_key(key: &str) -> Option<(Hold, bool)> {
        let parts: Vec<&str> = key.strip_prefix(HOLDS)?.split('-').collect();
        let is_release = parts.len() == 8 && parts[7] == RELEASED;
        if parts.len() != 7 && !is_release {
            return None;
        }
        let day = Day::parse(&parts[2..5].join("-"))?;
        let number = |at: usize| parts[at].parse::<i64>().ok();
        let (since_ms, first_hour, last_hour) = (number(0)?, number(5)?, number(6)?);
        let project = parts[1].parse().ok()?;
        Some((Hold { since_ms, project, day, first_hour, last_hour }, is_release))
    }

    /// Whether this hold is for the same day and covers everything that `other` would hold.
    #[must_use]
    pub fn covers(&self, other: &Hold) -> bool {
        (self.project, self.day) == (other.project, other.day)
            && self.since_ms <= other.since_ms
            && (self.first_hour..=self.last_hour).contains(&other.first_hour)
            && (self.first_hour..=self.last_hour).contains(&other.last_hour)
    }

    /// Whether the hold keeps a tee file.
    #[must_use]
    pub fn keeps_tee_file(&self, name: TeeName) -> bool {
        (self.first_hour..=self.last_hour).contains(&name.hour)
    }

    /// Whether the hold keeps a backup of this position.
    #[must_use]
    pub fn keeps_backup(&self, position_ms: i64) -> bool {
        position_ms <= self.since_ms
    }
}

/// Holds of a store, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveHolds {
    /// Active holds, oldest first.
    pub holds: BTreeSet<Hold>,
    /// Holds that were not released and have exceeded their maximum age.
    pub ended: BTreeSet<Hold>,
    /// Keys of obsolete objects: of holds that were released or have ended.
    pub obsolete: Vec<String>,
}

/// Returns the holds in a listing, by state. Pure.
#[must_use]
pub fn active_holds(listed: &[ObjectInfo], now: UnixMs) -> ActiveHolds {
    let known: Vec<(Hold, bool)> = listed.iter().filter_map(|info| Hold::from_key(&info.key)).collect();
    let released: BTreeSet<Hold> = known.iter().filter(|(_, is)| *is).map(|(hold, _)| *hold).collect();
    let mut active = ActiveHolds::default();
    for (hold, _) in known.iter().filter(|(_, is_release)| !is_release) {
        if released.contains(hold) {
            active.obsolete.push(hold.key());
        } else if now.since(UnixMs(hold.since_ms)) > MAX_HOLD {
            active.ended.insert(*hold);
            active.obsolete.push(hold.key());
        } else {
            active.holds.insert(*hold);
        }
    }
    // Release objects come after the holds that they end: a crash between the two removals must not reactivate a hold.
    active.obsolete.extend(released.iter().map(Hold::release_key));
    active
}

/// Manages the audit's holds: those that it placed, or found after a restart.
pub struct HoldManager<E> {
    env: E,
    stores: Vec<ObjectStore<E>>,
    open: BTreeSet<Hold>,
    /// Holds that the store with this index has confirmed.
    confirmed: BTreeSet<(usize, Hold)>,
    /// Whether every store has been queried since this process started.
    is_known: bool,
}

impl<E: Env> HoldManager<E> {
    /// Creates a manager for these stores, which have not been queried yet.
    #[must_use]
    pub fn new(env: &E, stores: impl Iterator<Item = NodeId>) -> Self {
        let store =
            |node| ObjectStore::new(env.clone(), node, CALL_TIMEOUT).with_retries(StoreRetryPolicy::SHORT);
        HoldManager {
            env: env.clone(),
            stores: stores.map(store).collect(),
            open: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            is_known: false,
        }
    }

    /// Reads the holds of the stores: once, and again while any is active.
    pub async fn refresh(&mut self, now: UnixMs) {
        if self.is_known && self.open.is_empty() {
            return;
        }
        let (mut found, mut answered) = (BTreeSet::new(), 0);
        for (index, store) in self.stores.iter().enumerate() {
            let Ok(listed) = store.list(HOLDS).await else { continue };
            let active = active_holds(&listed, now).holds;
            self.confirmed.retain(|(at, hold)| *at != index || active.contains(hold));
            self.confirmed.extend(active.iter().map(|hold| (index, *hold)));
            found.extend(active);
            answered += 1;
        }
        self.is_known |= answered == self.stores.len();
        let is_expired = |hold: &Hold| now.since(UnixMs(hold.since_ms)) > MAX_HOLD;
        // A hold that every store has dropped has ended.
        self.open.retain(|hold| !is_expired(hold) && (found.contains(hold) || answered < self.stores.len()));
        self.open.extend(found);
    }

    /// Whether a hold exists for a day.
    #[must_use]
    pub fn is_held(&self, project: u32, day: Day) -> bool {
        self.open.iter().any(|hold| (hold.project, hold.day) == (project, day))
    }

    /// Places a hold for a damaged day in every store that can be reached; the others are retried at the next audit.
    /// Returns whether the hold is new.
    pub async fn place(&mut self, hold: Hold) -> bool {
        let open = self.open.iter().copied().find(|open| open.covers(&hold));
        let hold = open.unwrap_or(hold);
        self.open.insert(hold);
        let body = format!("p{} {}: this day is damaged\n", hold.project, hold.day);
        for (index, store) in self.stores.iter().enumerate() {
            if self.confirmed.contains(&(index, hold)) {
                continue;
            }
            match store.put_verified(&hold.key(), Bytes::from(body.clone())).await {
                Ok(()) => drop(self.confirmed.insert((index, hold))),
                Err(error) => self.failed(&error),
            }
        }
        if open.is_none() {
            self.env.mark(Mark { name: marks::HOLD_PLACED, subject: &hold.key() });
        }
        open.is_none()
    }

    /// Releases the holds of a day that is intact again. A store that cannot be reached is retried at the next audit.
    pub async fn release(&mut self, project: u32, day: Day) {
        let of_day = self.open.iter().filter(|hold| (hold.project, hold.day) == (project, day));
        for hold in of_day.copied().collect::<Vec<_>>() {
            let mut everywhere = true;
            for store in &self.stores {
                if let Err(error) =
                    store.put_verified(&hold.release_key(), Bytes::from_static(b"whole\n")).await
                {
                    everywhere = false;
                    self.failed(&error);
                }
            }
            if everywhere {
                self.open.remove(&hold);
                self.env.mark(Mark { name: marks::HOLD_RELEASED, subject: &hold.key() });
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        self.env.mark(Mark { name: marks::HOLD_FAILED, subject: &error.to_string() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn hold() -> Hold {
        Hold::of(UnixMs(20 * DAY_MS), 17, Day(16_853), (19 * DAY_MS, 19 * DAY_MS + 5 * HOUR_MS))
    }

    fn listed(keys: &[String]) -> Vec<ObjectInfo> {
        keys.iter().map(|key| ObjectInfo { key: key.clone(), bytes: 1 }).collect()
    }

    #[test]
    fn a_hold_round_trips_through_its_key() {
        assert_eq!(hold().key(), "holds/1728000000-17-2016-02-22-456-461");
        assert_eq!(Hold::from_key(&hold().key()), Some((hold(), false)));
        assert_eq!(Hold::from_key(&hold().release_key()), Some((hold(), true)));
        assert_eq!(Hold::from_key("holds/1728000000-17-2016-02-22-456"), None);
    }

    #[test]
    fn a_hold_keeps_its_hours_of_the_tee_and_the_backups_before_it() {
        let name = |hour| TeeName { hour, edge: 1, boot: 1 };
        assert_eq!(
            [455, 456, 461, 462].map(|hour| hold().keeps_tee_file(name(hour))),
            [false, true, true, false]
        );
        assert!(hold().keeps_backup(20 * DAY_MS) && !hold().keeps_backup(20 * DAY_MS + 1));
    }

    #[test]
    fn a_hold_is_active_until_it_is_released_or_too_old() {
        let at = |days: i64| UnixMs(days * DAY_MS);
        let of = |keys: &[String], now| active_holds(&listed(keys), now);
        assert_eq!(of(&[hold().key()], at(50)).holds, [hold()].into());
        let ended = of(&[hold().key()], at(51));
        assert_eq!(
            (ended.holds.len(), ended.ended, ended.obsolete),
            (0, [hold()].into(), vec![hold().key()])
        );
        let released = of(&[hold().key(), hold().release_key()], at(21));
        assert_eq!((released.holds.len(), released.ended.len()), (0, 0));
        assert_eq!(released.obsolete, [hold().key(), hold().release_key()], "the hold goes first");
    }

    #[test]
    fn a_later_hold_without_further_hours_is_covered() {
        let later = Hold { since_ms: hold().since_ms + 1, ..hold() };
        assert!(hold().covers(&later) && !later.covers(&hold()));
        assert!(!hold().covers(&Hold { last_hour: 462, ..later }));
        assert!(!hold().covers(&Hold { day: Day(1), ..later }));
    }
}
