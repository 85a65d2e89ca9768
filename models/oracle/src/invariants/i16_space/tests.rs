use super::*;
use crate::invariants::noon_context;
use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};
use crate::view::FileView;
use bytes::Bytes;

const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
const LIMITS: SpaceLimits = SpaceLimits {
    orphan_age_ms: 1_000,
    quarantine_age_ms: 5_000,
    used_per_live_percent: 200,
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
fn an_orphan_may_exist_for_the_grace_time() {
    let clean = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
    let mut disk = clean.clone();
    disk.put(PROJECT_DAY, "7.seg.tmp", Bytes::from_static(b"half"));
    let mut checker = SpaceChecker::default();
    assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk, 1_000), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk, 1_001), ["orphan"]);
    assert_eq!(kinds(&mut checker, &clean, 1_002), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk, 1_003), [""; 0], "its age restarts");
    checker.forget("disk-0");
    assert_eq!(kinds(&mut checker, &disk, 9_999), [""; 0], "another file of that name");
}

#[test]
fn the_grace_time_restarts_at_a_boot_of_the_disk() {
    let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
    disk.put(PROJECT_DAY, "7.seg.tmp", Bytes::from_static(b"half"));
    let mut checker = SpaceChecker::default();
    assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
    checker.record_boot("disk-0", NOON_MS + 900);
    assert_eq!(kinds(&mut checker, &disk, 1_900), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk, 1_901), ["orphan"]);
    disk.put(PROJECT_DAY, "1.seg", Bytes::from_static(b"corrupt"));
    assert_eq!(kinds(&mut checker, &disk, 9_999), [""; 0], "a day that does not verify removes nothing");
}

#[test]
fn orphans_are_excused_on_a_damaged_disk_with_a_torn_open_segment() {
    let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
    disk.put(PROJECT_DAY, "7.seg.tmp", Bytes::from_static(b"half"));
    let segment = arb_path::segment_path(PROJECT_DAY, 1);
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
fn a_quarantined_directory_must_go_once_the_day_is_complete_and_faults_are_over() {
    let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
    disk.files.insert("arb/17/2016-02-22.corrupt-6/manifest".into(), Bytes::from_static(b"x"));
    let mut checker = SpaceChecker::default();
    assert_eq!(kinds(&mut checker, &disk, 0), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk, 5_000), [""; 0]);
    let mut corrupt = disk.clone();
    corrupt.put(PROJECT_DAY, "1.seg", Bytes::from_static(b"corrupt"));
    assert_eq!(kinds(&mut checker.clone(), &corrupt, 5_001), [""; 0]);
    let trouble = CheckContext { at_ms: NOON_MS + 5_001, faults_active: true, ..noon_context() };
    assert_eq!(checker.clone().check(&snapshot(std::slice::from_ref(&disk)), LIMITS, &trouble), []);
    assert_eq!(kinds(&mut checker, &disk, 5_001), ["quarantine-overdue"]);
}

#[test]
fn unnamed_files_are_excused_on_a_damaged_disk() {
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
    assert_eq!(kinds(&mut checker, &disk, 11_001), ["orphan"], "on an undamaged disk");
}

#[test]
fn a_disk_with_too_many_non_live_bytes_is_reported() {
    let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
    assert_eq!(kinds(&mut SpaceChecker::default(), &disk, 0), [""; 0]);
    disk.files.insert("hints/old".into(), Bytes::from(vec![0; 2_000]));
    assert_eq!(kinds(&mut SpaceChecker::default(), &disk, 0), ["amplification"]);
}

#[test]
fn a_hold_protects_a_tee_file_until_soon_after_its_release() {
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
    assert_eq!(found(&[(ms(-200), &[&held]), (ms(24 * 31), &[&held])]), [0, 1], "a hold expires");
}

const HOUR_MS: i64 = 3_600_000;

/// Checks a file of noon's hour at these times after the end of the hour, and returns the times at which it was
/// too old. The file appeared `came_h` hours after the end.
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
fn tee_files_expire_after_seven_days() {
    let age_ms = LIMITS.tee_age_ms;
    assert_eq!(too_old_at(1, &[], &[0, age_ms, age_ms + 1]), [age_ms + 1]);
    // A file that appears a day after its hour comes from a slow clock: its age counts from its appearance, which
    // the keeper soon sees.
    let late_ms = 24 * HOUR_MS + KEEPER_SEES_WITHIN_MS + age_ms;
    assert_eq!(too_old_at(24, &[], &[age_ms + 1, late_ms, late_ms + 1]), [late_ms + 1]);
}

#[test]
fn a_tee_file_first_seen_long_after_its_hour_ages_from_then() {
    let (age_ms, seen_ms) = (LIMITS.tee_age_ms, 11 * HOUR_MS + KEEPER_SEES_WITHIN_MS);
    assert_eq!(
        too_old_at(11, &[], &[age_ms + 1, seen_ms + age_ms, seen_ms + age_ms + 1]),
        [seen_ms + age_ms + 1]
    );
    assert_eq!(too_old_at(5, &[], &[age_ms, age_ms + 1]), [age_ms + 1], "its keeper saw it in time");
    // The file appeared in time, and the keeper was cut off for eight hours.
    let cut_off = [(4, 12)];
    let seen_ms = 12 * HOUR_MS + KEEPER_SEES_WITHIN_MS - HOUR_MS;
    let looks_ms = [age_ms + 1, seen_ms + age_ms, seen_ms + age_ms + 1];
    assert_eq!(too_old_at(3, &cut_off, &looks_ms), [seen_ms + age_ms + 1]);
}

#[test]
fn a_tee_file_does_not_age_while_its_deletion_is_excused() {
    let (age_ms, down_ms) = (LIMITS.tee_age_ms, 30 * HOUR_MS);
    let looks_ms = [age_ms + 1, age_ms + down_ms, age_ms + down_ms + 1];
    assert_eq!(too_old_at(1, &[(160, 190)], &looks_ms), [age_ms + down_ms + 1]);
}
