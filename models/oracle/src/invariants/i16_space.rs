//! I16: bytes held are at most k times the live bytes and what is in flight; no orphan is older than the grace time;
//! the tee is kept no longer than seven days and some slack, from when its keeper may count, and what a hold names no
//! longer than that stands.
//!
//! Files carry no dates: an orphan's age counts from the first look that found it an orphan, and from the last boot of
//! its disk, which begins the grace time anew. On a day that does not verify nothing is removed: there nothing is too
//! old. What was set aside stays until the day is whole again, which trouble may put off.

use super::{CheckContext, violation};
use crate::excused_periods::ExcusedPeriods;
use crate::identity::ProjectDay;
use crate::reader::frame::FileTail;
use crate::reader::hold;
use crate::reader::segment;
use crate::reader::tee::parse_name;
use crate::snapshot::{ClusterSnapshot, DayReplica, DiskSnapshot};
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// The hour in a tee file's name is believed if the file is there within so much time after it.
const TEE_NAME_HOLDS_MS: i64 = 12 * 3_600_000;

/// A file that no hold keeps any more goes within this time: the keeper looks every six hours, and so do these checks.
const RELEASED_GOES_WITHIN_MS: i64 = 13 * 3_600_000;
/// The keeper of the tee looks every six hours, and sees what came since.
const KEEPER_SEES_WITHIN_MS: i64 = 6 * 3_600_000 + 10 * 60_000;

/// How much may lie about, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceLimits {
    /// How old a file that is not live may grow: the system's grace time and the time between its clean-ups.
    pub orphan_age_ms: i64,
    /// How old a directory that was set aside may grow while nothing keeps its day from being filled anew.
    pub quarantine_age_ms: i64,
    /// Bytes held may be this many hundredths of the live bytes: 300 allows three times as much.
    pub held_per_live_percent: u64,
    /// Bytes that may be held besides: manifests, leases, hints, runs under way.
    pub allowance_bytes: u64,
    /// How old the newest record of a tee file may grow.
    pub tee_age_ms: i64,
}

/// A file that is not live: its disk, its path, and whether it was live before: one that a crash left without the
/// edit that names it, and that is named after all, is an orphan for the first time when it is replaced.
type NonLiveFile = (String, String, bool);

/// Watches files that are not live from snapshot to snapshot.
#[derive(Clone, Debug, Default)]
pub struct SpaceChecker {
    first_seen_ms: BTreeMap<NonLiveFile, i64>,
    booted_ms: BTreeMap<String, i64>,
    /// When each tee file was seen first, by disk and path.
    tee_seen_ms: BTreeMap<(String, String), i64>,
    /// When each tee file was last seen to be held, by disk and path.
    tee_held_ms: BTreeMap<(String, String), i64>,
    disturbed_ms: Option<i64>,
}

impl SpaceChecker {
    /// The disk was replaced or emptied: a file of an old name is a new one.
    pub fn forget(&mut self, disk: &str) {
        self.first_seen_ms.retain(|(name, _, _), _| name != disk);
        self.tee_seen_ms.retain(|(name, _), _| name != disk);
        self.tee_held_ms.retain(|(name, _), _| name != disk);
    }

    /// The disk's process booted (or is still down): what it knew of files that are due is gone.
    pub fn record_boot(&mut self, disk: &str, at_ms: i64) {
        self.booted_ms.insert(disk.to_owned(), at_ms);
    }

    /// Something of the plan began or ended: days that copies were to be brought together on may differ again, and
    /// what was set aside of them stays for longer.
    pub fn record_disturbance(&mut self, at_ms: i64) {
        self.disturbed_ms = Some(at_ms);
    }

    /// Checks the disks of a whole snapshot.
    pub fn check(
        &mut self,
        snapshot: &ClusterSnapshot,
        limits: SpaceLimits,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut orphans = BTreeMap::new();
        for disk in &snapshot.disks {
            self.orphans(disk, &mut orphans, limits, context, &mut found);
            found.extend(excess_space(disk, limits, context));
        }
        self.first_seen_ms = orphans;
        found
    }

    /// A file of the tee came to be on this disk: what it was put there as counts, not how often.
    pub fn record_tee_file(&mut self, disk: &str, path: &str, at_ms: i64) {
        self.tee_seen_ms.entry((disk.to_owned(), path.to_owned())).or_insert(at_ms);
    }

    /// Checks the age of tee files on edges and in the tee store, by the hour in their names; where a file came, or may
    /// have been seen by its keeper first, long after that, from then on. That is what its keeper goes by: the name is
    /// an edge's wrong clock's, or old because the file could not come. No file ages while `excused` says that what
    /// should let it go could not.
    pub fn check_tee(
        &mut self,
        disks: &[DiskView],
        limits: SpaceLimits,
        excused: impl Fn(&str) -> ExcusedPeriods,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut current = BTreeMap::new();
        let mut found = Vec::new();
        for disk in disks {
            let mut old = Vec::new();
            let excused = excused(&disk.name);
            let holds = hold::active_holds(disk.files.iter().map(|file| file.path.as_str()), context.at_ms);
            let is_held = |hour_ends_ms: i64| {
                let hour = u64::try_from(hour_ends_ms / 3_600_000 - 1).ok();
                hour.is_some_and(|hour| holds.iter().any(|h| (h.first_hour..=h.last_hour).contains(&hour)))
            };
            for path in disk.files.iter().map(|file| file.path.as_str()) {
                let Some(end_ms) = tee_hour_ends_ms(path) else { continue };
                let key = (disk.name.clone(), path.to_owned());
                let came_ms = self.tee_seen_ms.get(&key).copied().unwrap_or(context.at_ms);
                current.insert(key.clone(), came_ms);
                let seen_ms = excused.due_ms(came_ms, KEEPER_SEES_WITHIN_MS);
                let since_ms = if seen_ms - end_ms > TEE_NAME_HOLDS_MS { seen_ms } else { end_ms };
                if is_held(end_ms) {
                    self.tee_held_ms.insert(key.clone(), context.at_ms);
                }
                let held_ms = self.tee_held_ms.get(&key).copied().unwrap_or(i64::MIN / 2);
                let is_released = excused.available_ms(held_ms, context.at_ms) > RELEASED_GOES_WITHIN_MS;
                if excused.available_ms(since_ms, context.at_ms) > limits.tee_age_ms && is_released {
                    old.push(path);
                }
            }
            found.extend(old_tee_files(disk, &old, context));
        }
        self.tee_held_ms.retain(|project_day, _| current.contains_key(project_day));
        self.tee_seen_ms = current;
        found
    }

    fn orphans(
        &self,
        disk: &DiskSnapshot,
        observed: &mut BTreeMap<NonLiveFile, i64>,
        limits: SpaceLimits,
        context: &CheckContext,
        found: &mut Vec<Violation>,
    ) {
        let booted_ms = self.booted_ms.get(&disk.name).copied().unwrap_or(i64::MIN);
        let mut age_ms = |path: &str, was_live: bool| {
            let name = (disk.name.clone(), path.to_owned(), was_live);
            let first_ms = self.first_seen_ms.get(&name).copied().unwrap_or(context.at_ms);
            observed.insert(name, first_ms);
            context.at_ms - first_ms.max(booted_ms)
        };
        for (project_day, day) in &disk.days {
            let verifies = !disk.problems.iter().any(|problem| problem.project_day == *project_day)
                && !may_be_damaged(disk, day, context);
            let added = |path: &str| {
                day.manifest.as_ref().is_some_and(|manifest| manifest.has_added(*project_day, path))
            };
            // What a damaged disk's edits never named may have been named by one that was lost.
            let is_orphan = |path: &&str| added(path) || !context.is_damaged(&disk.name);
            let others = day.non_live_files.iter().filter(|_| verifies).map(|file| file.path.as_str());
            let others = others.filter(is_orphan);
            let old: Vec<&str> =
                others.filter(|path| age_ms(path, added(path)) > limits.orphan_age_ms).collect();
            found.extend(old_orphans(disk, *project_day, &old, context));
            let quarantined = day.quarantined.iter().map(|n| segment::quarantine_path(*project_day, *n));
            let calm_ms = context.at_ms - self.disturbed_ms.unwrap_or(i64::MIN / 2);
            let is_old = |path: &String| age_ms(path, true).min(calm_ms) > limits.quarantine_age_ms;
            let old: Vec<String> = quarantined.filter(is_old).collect();
            found.extend(
                old_quarantines(disk, *project_day, &old, context)
                    .filter(|_| verifies && !context.faults_active),
            );
        }
    }
}

/// On a disk that a planned fault damaged, a manifest that ends in the midst of an edit may have an edit that rotted, and
/// what that named looks like an orphan. The process knows how long the segments are that it writes: for it one that ends
/// in the midst of a frame does not verify, and on such a day nothing is removed.
fn may_be_damaged(disk: &DiskSnapshot, day: &DayReplica, context: &CheckContext) -> bool {
    let is_torn = || day.live.values().any(|segment| segment.tail != FileTail::Clean);
    let may_lack_edits = || day.manifest.as_ref().is_none_or(|manifest| manifest.tail != FileTail::Clean);
    context.is_damaged(&disk.name) && (may_lack_edits() || is_torn())
}

fn old_orphans(
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    old: &[&str],
    context: &CheckContext,
) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!(
        "{}: {} files such as {first} are not live and outlived the grace time",
        disk.name,
        old.len()
    );
    Some(
        violation("I16", "orphan", context, project_day, old.len() as u64)
            .keys(old.iter().copied())
            .because(detail),
    )
}

/// The end of the hour in a tee file's name, in milliseconds since 1970.
fn tee_hour_ends_ms(path: &str) -> Option<i64> {
    let (hour, _, _) = path.rsplit('/').next().and_then(parse_name)?;
    i64::try_from(hour).ok()?.checked_add(1)?.checked_mul(3_600_000)
}

fn old_tee_files(disk: &DiskView, old: &[&str], context: &CheckContext) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!("{}: {} tee files such as {first} are past their time", disk.name, old.len());
    let one = Violation::new("I16", "tee", context.stage.as_str()).of(disk.name.as_str(), old.len() as u64);
    Some(one.at(context.at_ms).keys(old.iter().copied()).because(detail))
}

fn old_quarantines(
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    old: &[String],
    context: &CheckContext,
) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!("{}: {first} was set aside, and is still there though the day is whole", disk.name);
    Some(
        violation("I16", "aside", context, project_day, old.len() as u64)
            .keys(old.iter().cloned())
            .because(detail),
    )
}

fn excess_space(disk: &DiskSnapshot, limits: SpaceLimits, context: &CheckContext) -> Option<Violation> {
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
        Violation::new("I16", "space", context.stage.as_str())
            .of(disk.name.as_str(), 0)
            .at(context.at_ms)
            .because(detail),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};
    use crate::view::FileView;
    use bytes::Bytes;

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    const LIMITS: SpaceLimits = SpaceLimits {
        orphan_age_ms: 1_000,
        quarantine_age_ms: 5_000,
        held_per_live_percent: 200,
        allowance_bytes: 400,
        tee_age_ms: 7 * 86_400_000,
    };

    fn kinds(checker: &mut SpaceChecker, disk: &TestDisk, later_ms: i64) -> Vec<String> {
        let context = CheckContext { at_ms: NOON_MS + later_ms, ..noon_context() };
        checker
            .check(&snapshot(std::slice::from_ref(disk)), LIMITS, &context)
            .into_iter()
            .map(|v| v.kind)
            .collect()
    }

    #[test]
    fn an_orphan_may_lie_about_for_the_grace_time() {
        let clean = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        let mut disk = clean.clone();
        disk.put(PROJECT_DAY, "7.seg.tmp", Bytes::from_static(b"half"));
        let mut checker = SpaceChecker::default();
        assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk, 1_000), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk, 1_001), ["orphan"]);
        assert_eq!(kinds(&mut checker, &clean, 1_002), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk, 1_003), [""; 0], "its age counts anew");
        checker.forget("disk-0");
        assert_eq!(kinds(&mut checker, &disk, 9_999), [""; 0], "another file of that name");
    }

    #[test]
    fn the_grace_time_begins_anew_when_the_disk_boots() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        disk.put(PROJECT_DAY, "7.seg.tmp", Bytes::from_static(b"half"));
        let mut checker = SpaceChecker::default();
        assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
        checker.record_boot("disk-0", NOON_MS + 900);
        assert_eq!(kinds(&mut checker, &disk, 1_900), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk, 1_901), ["orphan"]);
        disk.put(PROJECT_DAY, "1.seg", Bytes::from_static(b"rotten"));
        assert_eq!(kinds(&mut checker, &disk, 9_999), [""; 0], "a day that does not verify removes nothing");
    }

    #[test]
    fn nothing_is_too_old_where_an_open_segment_of_a_damaged_disk_ends_in_the_midst_of_a_frame() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        disk.put(PROJECT_DAY, "7.seg.tmp", Bytes::from_static(b"half"));
        let segment = segment::segment_path(PROJECT_DAY, 1);
        let whole = disk.files[&segment].clone();
        disk.files.insert(segment, whole.slice(..whole.len() - 1));
        for (damaged_disks, expected) in [(&["disk-0"][..], vec![]), (&[], vec!["orphan"])] {
            let mut checker = SpaceChecker::default();
            assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
            let damaged_disks = damaged_disks.iter().map(|name| (*name).into()).collect();
            let context = CheckContext { at_ms: NOON_MS + 1_001, damaged_disks, ..noon_context() };
            let found = checker.check(&snapshot(std::slice::from_ref(&disk)), LIMITS, &context);
            assert_eq!(found.into_iter().map(|v| v.kind).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_was_set_aside_goes_once_the_day_is_whole_and_trouble_is_over() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        disk.files.insert("arb/17/2016-02-22.corrupt-6/manifest".into(), Bytes::from_static(b"x"));
        let mut checker = SpaceChecker::default();
        assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk, 5_000), [""; 0]);
        let mut corrupt = disk.clone();
        corrupt.put(PROJECT_DAY, "1.seg", Bytes::from_static(b"rotten"));
        assert_eq!(kinds(&mut checker.clone(), &corrupt, 5_001), [""; 0]);
        let trouble = CheckContext { at_ms: NOON_MS + 5_001, faults_active: true, ..noon_context() };
        assert_eq!(checker.clone().check(&snapshot(std::slice::from_ref(&disk)), LIMITS, &trouble), []);
        assert_eq!(kinds(&mut checker, &disk, 5_001), ["aside"]);
    }

    #[test]
    fn on_a_damaged_disk_a_file_that_no_edit_named_may_have_lost_its_edit() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        disk.put(PROJECT_DAY, "7.seg", Bytes::from_static(b"its edit was confirmed and never written"));
        let damaged_disks = || ["disk-0".to_owned()].into();
        let mut checker = SpaceChecker::default();
        for later_ms in [0, 9_999] {
            let context =
                CheckContext { at_ms: NOON_MS + later_ms, damaged_disks: damaged_disks(), ..noon_context() };
            assert_eq!(checker.check(&snapshot(std::slice::from_ref(&disk)), LIMITS, &context), []);
        }
        assert_eq!(kinds(&mut checker, &disk, 10_000), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk, 11_001), ["orphan"], "on a disk that works as it should");
    }

    #[test]
    fn a_disk_that_holds_far_more_than_is_live_is_found() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        assert_eq!(kinds(&mut SpaceChecker::default(), &disk, 0), [""; 0]);
        disk.files.insert("hints/old".into(), Bytes::from(vec![0; 2_000]));
        assert_eq!(kinds(&mut SpaceChecker::default(), &disk, 0), ["space"]);
    }

    #[test]
    fn a_tee_file_may_stay_while_a_hold_names_its_hour_and_goes_soon_after() {
        let hour = NOON_MS / 3_600_000;
        let end_ms = (hour + 1) * 3_600_000 + LIMITS.tee_age_ms;
        let tee = format!("objects/tee/{hour}-0-1.by-0.tee");
        let held = format!("objects/holds/{NOON_MS}-17-2016-02-22-{hour}-{hour}");
        let elsewhere = format!("objects/holds/{NOON_MS}-17-2016-02-22-{0}-{0}", hour + 1);
        let released = format!("{held}-released");
        let found = |checks: &[(i64, &[&String])]| {
            let mut checker = SpaceChecker::default();
            let mut check = |(later_ms, paths): &(i64, &[&String])| {
                let paths = [&tee].into_iter().chain(paths.iter().copied());
                let files = paths.map(|path| FileView::whole(path.clone(), Bytes::new())).collect();
                let store = DiskView { name: "tee-store".into(), files };
                let context = CheckContext { at_ms: end_ms + later_ms, ..noon_context() };
                checker
                    .check_tee(std::slice::from_ref(&store), LIMITS, |_| ExcusedPeriods::default(), &context)
                    .len()
            };
            checks.iter().map(&mut check).collect::<Vec<_>>()
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

    const HOUR_MS: i64 = 3_600_000;

    /// Looks at a file of the hour of noon at these hours after its end, and says at which it was too old. It came, as
    /// the trace says, `came_h` after its end.
    fn too_old_at(came_h: i64, excused_h: &[(i64, i64)], looks_ms: &[i64]) -> Vec<i64> {
        let hour = NOON_MS / HOUR_MS;
        let end_ms = (hour + 1) * HOUR_MS;
        let path = format!("objects/tee/{hour}-0-1.by-0.tee");
        let file = FileView::whole(path.clone(), Bytes::new());
        let store = DiskView { name: "tee-store".into(), files: vec![file] };
        let mut checker = SpaceChecker::default();
        checker.record_tee_file("tee-store", &path, end_ms + came_h * HOUR_MS);
        let spans = excused_h.iter().map(|(from, to)| (end_ms + from * HOUR_MS, end_ms + to * HOUR_MS));
        let excused = ExcusedPeriods::of(spans);
        let mut is_old = |later_ms: &&i64| {
            let context = CheckContext { at_ms: end_ms + **later_ms, ..noon_context() };
            !checker.check_tee(std::slice::from_ref(&store), LIMITS, |_| excused.clone(), &context).is_empty()
        };
        looks_ms.iter().filter(|later_ms| is_old(later_ms)).copied().collect()
    }

    #[test]
    fn tee_files_go_after_seven_days() {
        let age_ms = LIMITS.tee_age_ms;
        assert_eq!(too_old_at(1, &[], &[0, age_ms, age_ms + 1]), [age_ms + 1]);
        // One that comes a day after its hour is a slow clock's: it is as old as its coming, which the keeper sees soon.
        let late_ms = 24 * HOUR_MS + KEEPER_SEES_WITHIN_MS + age_ms;
        assert_eq!(too_old_at(24, &[], &[age_ms + 1, late_ms, late_ms + 1]), [late_ms + 1]);
    }

    #[test]
    fn a_tee_file_that_its_keeper_may_first_have_seen_long_after_its_hour_is_kept_from_then() {
        let (age_ms, seen_ms) = (LIMITS.tee_age_ms, 11 * HOUR_MS + KEEPER_SEES_WITHIN_MS);
        assert_eq!(
            too_old_at(11, &[], &[age_ms + 1, seen_ms + age_ms, seen_ms + age_ms + 1]),
            [seen_ms + age_ms + 1]
        );
        assert_eq!(too_old_at(5, &[], &[age_ms, age_ms + 1]), [age_ms + 1], "it was surely seen in time");
        // It came in time, and the keeper was cut off for eight hours.
        let cut_off = [(4, 12)];
        let seen_ms = 12 * HOUR_MS + KEEPER_SEES_WITHIN_MS - HOUR_MS;
        let looks_ms = [age_ms + 1, seen_ms + age_ms, seen_ms + age_ms + 1];
        assert_eq!(too_old_at(3, &cut_off, &looks_ms), [seen_ms + age_ms + 1]);
    }

    #[test]
    fn no_tee_file_ages_while_nothing_could_let_it_go() {
        let (age_ms, down_ms) = (LIMITS.tee_age_ms, 30 * HOUR_MS);
        let looks_ms = [age_ms + 1, age_ms + down_ms, age_ms + down_ms + 1];
        assert_eq!(too_old_at(1, &[(160, 190)], &looks_ms), [age_ms + down_ms + 1]);
    }
}
