//! I16: bytes held are at most k times the live bytes and what is in flight; no orphan is older than the grace time;
//! the tee is kept no longer than seven days and some slack, and what a hold names no longer than that stands.
//!
//! Files carry no dates: an orphan's age counts from the first look that found it an orphan, and from the last boot of
//! its disk, which begins the grace time anew. On a day that does not verify nothing is removed: there nothing is too
//! old. What was set aside stays until the day is whole again, which trouble may put off.

use super::{Moment, violation};
use crate::identity::ProjectDay;
use crate::reader::frame::Tail;
use crate::reader::hold;
use crate::reader::segment;
use crate::reader::tee::parse_name;
use crate::snapshot::{DayOnDisk, DiskSnapshot, Snapshot};
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// The hour in a tee file's name is believed if the file is there within so much time after it.
const TEE_NAME_HOLDS_MS: i64 = 12 * 3_600_000;

/// A file that no hold keeps any more goes within this time: the keeper looks every six hours, and so do these checks.
const RELEASED_GOES_WITHIN_MS: i64 = 13 * 3_600_000;

/// How much may lie about, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How old a file that is not live may grow: the system's grace time and the time between its clean-ups.
    pub orphan_age_ms: i64,
    /// How old a directory that was set aside may grow while nothing keeps its day from being filled anew.
    pub aside_age_ms: i64,
    /// Bytes held may be this many hundredths of the live bytes: 300 allows three times as much.
    pub held_per_live_percent: u64,
    /// Bytes that may be held besides: manifests, leases, hints, runs under way.
    pub allowance_bytes: u64,
    /// How old the newest record of a tee file may grow.
    pub tee_age_ms: i64,
}

/// A file that is not live: its disk, its path, and whether it was live before: one that a crash left without the
/// edit that names it, and that is named after all, is an orphan for the first time when it is replaced.
type Orphan = (String, String, bool);

/// Watches files that are not live from snapshot to snapshot.
#[derive(Clone, Debug, Default)]
pub struct SpaceWatch {
    first_seen_ms: BTreeMap<Orphan, i64>,
    booted_ms: BTreeMap<String, i64>,
    /// When each tee file was seen first, by disk and path.
    tee_seen_ms: BTreeMap<(String, String), i64>,
    /// When each tee file was last seen to be held, by disk and path.
    tee_held_ms: BTreeMap<(String, String), i64>,
    disturbed_ms: Option<i64>,
}

impl SpaceWatch {
    /// The disk was replaced or emptied: a file of an old name is a new one.
    pub fn forget(&mut self, disk: &str) {
        self.first_seen_ms.retain(|(name, _, _), _| name != disk);
        self.tee_seen_ms.retain(|(name, _), _| name != disk);
        self.tee_held_ms.retain(|(name, _), _| name != disk);
    }

    /// The disk's process booted (or is still down): what it knew of files that are due is gone.
    pub fn booted(&mut self, disk: &str, at_ms: i64) {
        self.booted_ms.insert(disk.to_owned(), at_ms);
    }

    /// Something of the plan began or ended: days that copies were to be brought together on may differ again, and
    /// what was set aside of them stays for longer.
    pub fn disturbed(&mut self, at_ms: i64) {
        self.disturbed_ms = Some(at_ms);
    }

    /// Checks the disks of a whole snapshot.
    pub fn check(&mut self, snapshot: &Snapshot, limits: Limits, now: &Moment) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut orphans = BTreeMap::new();
        for disk in &snapshot.disks {
            self.orphans(disk, &mut orphans, limits, now, &mut found);
            found.extend(too_much(disk, limits, now));
        }
        self.first_seen_ms = orphans;
        found
    }

    /// Checks the age of tee files on edges and in the tee store, by the hour in their names; where a file was first seen
    /// long after that, which is an edge's wrong clock, from then on.
    pub fn check_tee(&mut self, disks: &[DiskView], limits: Limits, now: &Moment) -> Vec<Violation> {
        let mut seen = BTreeMap::new();
        let mut found = Vec::new();
        for disk in disks {
            let mut old = Vec::new();
            let holds = hold::standing(disk.files.iter().map(|file| file.path.as_str()), now.at_ms);
            let is_held = |hour_ends_ms: i64| {
                let hour = u64::try_from(hour_ends_ms / 3_600_000 - 1).ok();
                hour.is_some_and(|hour| holds.iter().any(|h| (h.first_hour..=h.last_hour).contains(&hour)))
            };
            for path in disk.files.iter().map(|file| file.path.as_str()) {
                let Some(end_ms) = tee_hour_ends_ms(path) else { continue };
                let key = (disk.name.clone(), path.to_owned());
                let seen_ms = self.tee_seen_ms.get(&key).copied().unwrap_or(now.at_ms);
                seen.insert(key, seen_ms);
                let came_ms = if seen_ms - end_ms > TEE_NAME_HOLDS_MS { seen_ms } else { end_ms };
                let of = (disk.name.clone(), path.to_owned());
                if is_held(end_ms) {
                    self.tee_held_ms.insert(of.clone(), now.at_ms);
                }
                let held_ms = self.tee_held_ms.get(&of).copied().unwrap_or(i64::MIN / 2);
                let is_released = now.at_ms - held_ms > RELEASED_GOES_WITHIN_MS;
                if now.at_ms - came_ms > limits.tee_age_ms && is_released {
                    old.push(path);
                }
            }
            found.extend(old_tee_files(disk, &old, now));
        }
        self.tee_held_ms.retain(|of, _| seen.contains_key(of));
        self.tee_seen_ms = seen;
        found
    }

    fn orphans(
        &self,
        disk: &DiskSnapshot,
        met: &mut BTreeMap<Orphan, i64>,
        limits: Limits,
        now: &Moment,
        found: &mut Vec<Violation>,
    ) {
        let booted_ms = self.booted_ms.get(&disk.name).copied().unwrap_or(i64::MIN);
        let mut age_ms = |path: &str, was_live: bool| {
            let name = (disk.name.clone(), path.to_owned(), was_live);
            let first_ms = self.first_seen_ms.get(&name).copied().unwrap_or(now.at_ms);
            met.insert(name, first_ms);
            now.at_ms - first_ms.max(booted_ms)
        };
        for (of, day) in &disk.days {
            let verifies =
                !disk.problems.iter().any(|problem| problem.of == *of) && !may_lack_edits(disk, day, now);
            let added =
                |path: &str| day.manifest.as_ref().is_some_and(|manifest| manifest.has_added(*of, path));
            // What a damaged disk's edits never named may have been named by one that was lost.
            let is_nobodys = |path: &&str| added(path) || !now.is_damaged(&disk.name);
            let others = day.others.iter().filter(|_| verifies).map(|file| file.path.as_str());
            let others = others.filter(is_nobodys);
            let old: Vec<&str> =
                others.filter(|path| age_ms(path, added(path)) > limits.orphan_age_ms).collect();
            found.extend(old_orphans(disk, *of, &old, now));
            let aside = day.aside.iter().map(|n| segment::aside_path(*of, *n));
            let calm_ms = now.at_ms - self.disturbed_ms.unwrap_or(i64::MIN / 2);
            let is_old = |path: &String| age_ms(path, true).min(calm_ms) > limits.aside_age_ms;
            let old: Vec<String> = aside.filter(is_old).collect();
            found.extend(old_asides(disk, *of, &old, now).filter(|_| verifies && !now.faults_active));
        }
    }
}

/// On a disk that a planned fault damaged, what ends in the midst of an edit may be one that rotted: its files look like
/// nobody's.
fn may_lack_edits(disk: &DiskSnapshot, day: &DayOnDisk, now: &Moment) -> bool {
    now.is_damaged(&disk.name) && day.manifest.as_ref().is_none_or(|manifest| manifest.tail != Tail::Clean)
}

fn old_orphans(disk: &DiskSnapshot, of: ProjectDay, old: &[&str], now: &Moment) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!(
        "{}: {} files such as {first} are not live and outlived the grace time",
        disk.name,
        old.len()
    );
    Some(violation("I16", "orphan", now, of, old.len() as u64).keys(old.iter().copied()).because(detail))
}

/// The end of the hour in a tee file's name, in milliseconds since 1970.
fn tee_hour_ends_ms(path: &str) -> Option<i64> {
    let (hour, _, _) = path.rsplit('/').next().and_then(parse_name)?;
    i64::try_from(hour).ok()?.checked_add(1)?.checked_mul(3_600_000)
}

fn old_tee_files(disk: &DiskView, old: &[&str], now: &Moment) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!("{}: {} tee files such as {first} are past their time", disk.name, old.len());
    let one = Violation::new("I16", "tee", now.stage.as_str()).of(disk.name.as_str(), old.len() as u64);
    Some(one.at(now.at_ms).keys(old.iter().copied()).because(detail))
}

fn old_asides(disk: &DiskSnapshot, of: ProjectDay, old: &[String], now: &Moment) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!("{}: {first} was set aside, and is still there though the day is whole", disk.name);
    Some(violation("I16", "aside", now, of, old.len() as u64).keys(old.iter().cloned()).because(detail))
}

fn too_much(disk: &DiskSnapshot, limits: Limits, now: &Moment) -> Option<Violation> {
    let live_bytes: u64 = disk.days.values().map(|day| day.live_bytes).sum();
    let most_bytes = live_bytes / 100 * limits.held_per_live_percent + limits.allowance_bytes;
    if disk.held_bytes <= most_bytes {
        return None;
    }
    let detail = format!(
        "{} holds {} bytes for {live_bytes} live ones; {most_bytes} are allowed",
        disk.name, disk.held_bytes
    );
    Some(
        Violation::new("I16", "space", now.stage.as_str())
            .of(disk.name.as_str(), 0)
            .at(now.at_ms)
            .because(detail),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{DAY, Disk, NOON_MS, Rec, snapshot};
    use crate::view::FileView;
    use bytes::Bytes;

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };
    const LIMITS: Limits = Limits {
        orphan_age_ms: 1_000,
        aside_age_ms: 5_000,
        held_per_live_percent: 200,
        allowance_bytes: 400,
        tee_age_ms: 7 * 86_400_000,
    };

    fn kinds(watch: &mut SpaceWatch, disk: &Disk, later_ms: i64) -> Vec<String> {
        let now = Moment { at_ms: NOON_MS + later_ms, ..noon_after() };
        watch.check(&snapshot(std::slice::from_ref(disk)), LIMITS, &now).into_iter().map(|v| v.kind).collect()
    }

    #[test]
    fn an_orphan_may_lie_about_for_the_grace_time() {
        let clean = Disk::default().with_day(OF, &[Rec::new("a", "i1", NOON_MS)]);
        let mut disk = clean.clone();
        disk.put(OF, "7.seg.tmp", Bytes::from_static(b"half"));
        let mut watch = SpaceWatch::default();
        assert_eq!(kinds(&mut watch, &disk, 0), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk, 1_000), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk, 1_001), ["orphan"]);
        assert_eq!(kinds(&mut watch, &clean, 1_002), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk, 1_003), [""; 0], "its age counts anew");
        watch.forget("disk-0");
        assert_eq!(kinds(&mut watch, &disk, 9_999), [""; 0], "another file of that name");
    }

    #[test]
    fn the_grace_time_begins_anew_when_the_disk_boots() {
        let mut disk = Disk::default().with_day(OF, &[Rec::new("a", "i1", NOON_MS)]);
        disk.put(OF, "7.seg.tmp", Bytes::from_static(b"half"));
        let mut watch = SpaceWatch::default();
        assert_eq!(kinds(&mut watch, &disk, 0), [""; 0]);
        watch.booted("disk-0", NOON_MS + 900);
        assert_eq!(kinds(&mut watch, &disk, 1_900), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk, 1_901), ["orphan"]);
        disk.put(OF, "1.seg", Bytes::from_static(b"rotten"));
        assert_eq!(kinds(&mut watch, &disk, 9_999), [""; 0], "a day that does not verify removes nothing");
    }

    #[test]
    fn what_was_set_aside_goes_once_the_day_is_whole_and_trouble_is_over() {
        let mut disk = Disk::default().with_day(OF, &[Rec::new("a", "i1", NOON_MS)]);
        disk.files.insert("arb/17/2016-02-22.corrupt-6/manifest".into(), Bytes::from_static(b"x"));
        let mut watch = SpaceWatch::default();
        assert_eq!(kinds(&mut watch, &disk, 0), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk, 5_000), [""; 0]);
        let mut rotten = disk.clone();
        rotten.put(OF, "1.seg", Bytes::from_static(b"rotten"));
        assert_eq!(kinds(&mut watch.clone(), &rotten, 5_001), [""; 0]);
        let trouble = Moment { at_ms: NOON_MS + 5_001, faults_active: true, ..noon_after() };
        assert_eq!(watch.clone().check(&snapshot(std::slice::from_ref(&disk)), LIMITS, &trouble), []);
        assert_eq!(kinds(&mut watch, &disk, 5_001), ["aside"]);
    }

    #[test]
    fn on_a_damaged_disk_a_file_that_no_edit_named_may_have_lost_its_edit() {
        let mut disk = Disk::default().with_day(OF, &[Rec::new("a", "i1", NOON_MS)]);
        disk.put(OF, "7.seg", Bytes::from_static(b"its edit was confirmed and never written"));
        let damaged = || ["disk-0".to_owned()].into();
        let mut watch = SpaceWatch::default();
        for later_ms in [0, 9_999] {
            let now = Moment { at_ms: NOON_MS + later_ms, damaged: damaged(), ..noon_after() };
            assert_eq!(watch.check(&snapshot(std::slice::from_ref(&disk)), LIMITS, &now), []);
        }
        assert_eq!(kinds(&mut watch, &disk, 10_000), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk, 11_001), ["orphan"], "on a disk that works as it should");
    }

    #[test]
    fn a_disk_that_holds_far_more_than_is_live_is_found() {
        let mut disk = Disk::default().with_day(OF, &[Rec::new("a", "i1", NOON_MS)]);
        assert_eq!(kinds(&mut SpaceWatch::default(), &disk, 0), [""; 0]);
        disk.files.insert("hints/old".into(), Bytes::from(vec![0; 2_000]));
        assert_eq!(kinds(&mut SpaceWatch::default(), &disk, 0), ["space"]);
    }

    #[test]
    fn a_tee_file_may_stay_while_a_hold_names_its_hour_and_goes_soon_after() {
        let hour = NOON_MS / 3_600_000;
        let end_ms = (hour + 1) * 3_600_000 + LIMITS.tee_age_ms;
        let tee = format!("objects/tee/{hour}-0-1.tee");
        let held = format!("objects/holds/{NOON_MS}-17-2016-02-22-{hour}-{hour}");
        let elsewhere = format!("objects/holds/{NOON_MS}-17-2016-02-22-{0}-{0}", hour + 1);
        let released = format!("{held}-released");
        let found = |looks: &[(i64, &[&String])]| {
            let mut watch = SpaceWatch::default();
            let mut look = |(later_ms, paths): &(i64, &[&String])| {
                let paths = [&tee].into_iter().chain(paths.iter().copied());
                let files = paths.map(|path| FileView::whole(path.clone(), Bytes::new())).collect();
                let store = DiskView { name: "tee-store".into(), files };
                let now = Moment { at_ms: end_ms + later_ms, ..noon_after() };
                watch.check_tee(std::slice::from_ref(&store), LIMITS, &now).len()
            };
            looks.iter().map(&mut look).collect::<Vec<_>>()
        };
        let ms = |hours: i64| hours * 3_600_000;
        let whole = [&held, &released];
        assert_eq!(
            found(&[(ms(-200), &[&held]), (ms(40), &[&held]), (ms(50), &whole), (ms(54), &whole)]),
            [0, 0, 0, 1]
        );
        assert_eq!(found(&[(ms(-200), &[&elsewhere]), (ms(40), &[&elsewhere])]), [0, 1]);
        assert_eq!(found(&[(ms(-200), &[&held]), (ms(24 * 31), &[&held])]), [0, 1], "a hold ends by itself");
    }

    #[test]
    fn tee_files_go_after_seven_days() {
        let hour = NOON_MS / 3_600_000;
        let file = FileView::whole(format!("objects/tee/{hour}-0-1.by-0.tee"), Bytes::new());
        let store = DiskView { name: "tee-store".into(), files: vec![file] };
        let mut watch = SpaceWatch::default();
        let mut kinds = |at_ms| {
            let now = Moment { at_ms, ..noon_after() };
            let found = watch.check_tee(std::slice::from_ref(&store), LIMITS, &now);
            found.into_iter().map(|v| v.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(NOON_MS), [""; 0]);
        let end_ms = (hour + 1) * 3_600_000 + LIMITS.tee_age_ms;
        assert_eq!(kinds(end_ms), [""; 0]);
        assert_eq!(kinds(end_ms + 1), ["tee"]);
        // One that comes a day after its hour is a slow clock's: it is as old as its coming.
        let (late_ms, mut watch) = ((hour + 25) * 3_600_000, SpaceWatch::default());
        let mut kinds = |at_ms| {
            let now = Moment { at_ms, ..noon_after() };
            watch.check_tee(std::slice::from_ref(&store), LIMITS, &now).len()
        };
        assert_eq!((kinds(late_ms), kinds(late_ms + LIMITS.tee_age_ms)), (0, 0));
        assert_eq!(kinds(late_ms + LIMITS.tee_age_ms + 1), 1);
    }
}
