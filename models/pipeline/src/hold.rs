//! Holds: what an open alarm of missing or altered events keeps from expiring.
//!
//! The audit knows of a loss at once, and somebody may answer its alarm only when the tee and the backups that could
//! answer it have let go of their copies. So it puts a hold into the tee store and into every data center: an object
//! whose key says all of it, so that a listing is enough and no rotten byte ends it. The keeper of the tee and the
//! expiry of backups let nothing go that a hold names. The audit releases it, by another object, once it finds the day
//! whole again; an operator may do the same by hand. Neither needs more than the right to put.
//!
//! What may be held is bounded: a hold ends after [`LONGEST`], and the tee store holds at most [`MOST_HELD_BYTES`] past
//! their time, of which the oldest holds give way first. A hold that ends unanswered is an alarm.

use crate::zone::Day;
use bytes::Bytes;
use latent_edge::object_api::{ObjectInfo, ObjectStore, Patience, StoreError};
use latent_edge::tee::TeeName;
use latent_ports::{Env, Mark, NodeId, UnixMs};
use std::collections::BTreeSet;
use std::time::Duration;

/// Prefix of the keys of holds.
pub const HOLDS: &str = "holds/";
/// A hold that is not answered ends after this.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// Most bytes of tee files that are kept past their time for holds.
pub const MOST_HELD_BYTES: u64 = 1 << 30;
const RELEASED: &str = "released";
const HOUR_MS: i64 = 3_600_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What is held, since when, and for which damaged day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// When the damage was found (ms since 1970). Backups of no later position are held.
    pub since_ms: i64,
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// The first hour of the tee that is held: arrival in ms divided by 3,600,000.
    pub first_hour: i64,
    /// The last hour of the tee that is held.
    pub last_hour: i64,
}

impl Hold {
    /// A hold of all tee files with requests that came between these times (ms since 1970).
    #[must_use]
    pub fn of(now: UnixMs, project: u32, day: Day, arrived_ms: (i64, i64)) -> Hold {
        let (first, last) = arrived_ms;
        let (first_hour, last_hour) = (first.div_euclid(HOUR_MS), last.div_euclid(HOUR_MS));
        Hold { since_ms: now.0, project, day, first_hour, last_hour }
    }

    /// The object that stands for it.
    #[must_use]
    pub fn key(&self) -> String {
        let Hold { since_ms, project, day, first_hour, last_hour } = self;
        format!("{HOLDS}{since_ms}-{project}-{day}-{first_hour}-{last_hour}")
    }

    /// The object that ends it.
    #[must_use]
    pub fn release_key(&self) -> String {
        format!("{}-{RELEASED}", self.key())
    }

    /// The hold of a key, and whether the key is that of its release.
    #[must_use]
    pub fn of_key(key: &str) -> Option<(Hold, bool)> {
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

    /// Whether it is about the same day, and holds all that `other` would.
    #[must_use]
    pub fn covers(&self, other: &Hold) -> bool {
        (self.project, self.day) == (other.project, other.day)
            && self.since_ms <= other.since_ms
            && (self.first_hour..=self.last_hour).contains(&other.first_hour)
            && (self.first_hour..=self.last_hour).contains(&other.last_hour)
    }

    /// Whether it keeps a tee file.
    #[must_use]
    pub fn keeps_tee_file(&self, name: TeeName) -> bool {
        (self.first_hour..=self.last_hour).contains(&name.hour)
    }

    /// Whether it keeps a backup of this position.
    #[must_use]
    pub fn keeps_backup(&self, position_ms: i64) -> bool {
        position_ms <= self.since_ms
    }
}

/// The holds of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those that stand, the oldest first.
    pub holds: BTreeSet<Hold>,
    /// Those that were not released and are past their time.
    pub ended: BTreeSet<Hold>,
    /// Objects that are of no use any more: of holds that were released or have ended.
    pub spent: Vec<String>,
}

/// Which holds stand, going by a listing of them. Pure.
#[must_use]
pub fn standing(listed: &[ObjectInfo], now: UnixMs) -> Standing {
    let known: Vec<(Hold, bool)> = listed.iter().filter_map(|info| Hold::of_key(&info.key)).collect();
    let released: BTreeSet<Hold> = known.iter().filter(|(_, is)| *is).map(|(hold, _)| *hold).collect();
    let mut standing = Standing::default();
    for (hold, _) in known.iter().filter(|(_, is_release)| !is_release) {
        if released.contains(hold) {
            standing.spent.push(hold.key());
        } else if now.since(UnixMs(hold.since_ms)) > LONGEST {
            standing.ended.insert(*hold);
            standing.spent.push(hold.key());
        } else {
            standing.holds.insert(*hold);
        }
    }
    // After the holds that they end: a crash between the two must not bring a hold back.
    standing.spent.extend(released.iter().map(Hold::release_key));
    standing
}

/// The audit's part: the holds that it has placed, or found after a restart.
pub struct Holds<E> {
    env: E,
    stores: Vec<ObjectStore<E>>,
    open: BTreeSet<Hold>,
    /// Confirmed by the store of this index.
    placed: BTreeSet<(usize, Hold)>,
    /// Whether every store has been asked since this process began.
    is_known: bool,
}

impl<E: Env> Holds<E> {
    /// Of these stores; nothing is known yet of what stands there.
    #[must_use]
    pub fn new(env: &E, stores: impl Iterator<Item = NodeId>) -> Self {
        let store = |node| ObjectStore::new(env.clone(), node, CALL_TIMEOUT).patient(Patience::BRIEF);
        Holds {
            env: env.clone(),
            stores: stores.map(store).collect(),
            open: BTreeSet::new(),
            placed: BTreeSet::new(),
            is_known: false,
        }
    }

    /// Learns what stands at the stores: once, and again while something stands.
    pub async fn refresh(&mut self, now: UnixMs) {
        if self.is_known && self.open.is_empty() {
            return;
        }
        let (mut found, mut answered) = (BTreeSet::new(), 0);
        for (index, store) in self.stores.iter().enumerate() {
            let Ok(listed) = store.list(HOLDS).await else { continue };
            let standing = standing(&listed, now).holds;
            self.placed.retain(|(at, hold)| *at != index || standing.contains(hold));
            self.placed.extend(standing.iter().map(|hold| (index, *hold)));
            found.extend(standing);
            answered += 1;
        }
        self.is_known |= answered == self.stores.len();
        let is_over = |hold: &Hold| now.since(UnixMs(hold.since_ms)) > LONGEST;
        // What every store has let go of has ended.
        self.open.retain(|hold| !is_over(hold) && (found.contains(hold) || answered < self.stores.len()));
        self.open.extend(found);
    }

    /// Whether something is held for a day.
    #[must_use]
    pub fn is_held(&self, project: u32, day: Day) -> bool {
        self.open.iter().any(|hold| (hold.project, hold.day) == (project, day))
    }

    /// Holds what could answer for a damaged day, in every store that can be reached; the others are tried again with
    /// the next audit. Returns whether it is a new hold.
    pub async fn place(&mut self, hold: Hold) -> bool {
        let open = self.open.iter().copied().find(|open| open.covers(&hold));
        let hold = open.unwrap_or(hold);
        self.open.insert(hold);
        let body = format!("p{} {}: events are missing or altered\n", hold.project, hold.day);
        for (index, store) in self.stores.iter().enumerate() {
            if self.placed.contains(&(index, hold)) {
                continue;
            }
            match store.put_verified(&hold.key(), Bytes::from(body.clone())).await {
                Ok(()) => drop(self.placed.insert((index, hold))),
                Err(error) => self.failed(&error),
            }
        }
        if open.is_none() {
            self.env.mark(Mark { name: "hold.placed", subject: &hold.key() });
        }
        open.is_none()
    }

    /// Ends the holds of a day that is whole again. A store that cannot be reached is told by the next audit.
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
                self.env.mark(Mark { name: "hold.released", subject: &hold.key() });
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        self.env.mark(Mark { name: "hold.failed", subject: &error.to_string() });
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
    fn a_key_says_all_of_a_hold() {
        assert_eq!(hold().key(), "holds/1728000000-17-2016-02-22-456-461");
        assert_eq!(Hold::of_key(&hold().key()), Some((hold(), false)));
        assert_eq!(Hold::of_key(&hold().release_key()), Some((hold(), true)));
        assert_eq!(Hold::of_key("holds/1728000000-17-2016-02-22-456"), None);
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
    fn a_hold_stands_until_it_is_released_or_has_lasted_too_long() {
        let at = |days: i64| UnixMs(days * DAY_MS);
        let of = |keys: &[String], now| standing(&listed(keys), now);
        assert_eq!(of(&[hold().key()], at(50)).holds, [hold()].into());
        let ended = of(&[hold().key()], at(51));
        assert_eq!((ended.holds.len(), ended.ended, ended.spent), (0, [hold()].into(), vec![hold().key()]));
        let released = of(&[hold().key(), hold().release_key()], at(21));
        assert_eq!((released.holds.len(), released.ended.len()), (0, 0));
        assert_eq!(released.spent, [hold().key(), hold().release_key()], "the hold goes first");
    }

    #[test]
    fn a_later_hold_of_no_more_hours_is_covered() {
        let later = Hold { since_ms: hold().since_ms + 1, ..hold() };
        assert!(hold().covers(&later) && !later.covers(&hold()));
        assert!(!hold().covers(&Hold { last_hour: 462, ..later }));
        assert!(!hold().covers(&Hold { day: Day(1), ..later }));
    }
}
