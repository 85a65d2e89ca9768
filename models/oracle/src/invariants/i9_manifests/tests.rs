use super::*;
use crate::invariants::noon_context;
use crate::test_support::{
    self, DAY, NOON_MS, TestDisk, TestRecord, edit, manifest, open_entry, sealed_entry, snapshot,
};

const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

fn disk(edits: &[String], files: &[u64]) -> TestDisk {
    let mut disk = TestDisk::default();
    disk.put(PROJECT_DAY, "manifest", manifest(edits));
    for id in files {
        disk.put(PROJECT_DAY, &format!("{id}.seg"), file(*id));
    }
    disk
}

fn file(id: u64) -> bytes::Bytes {
    test_support::segment(1, PROJECT_DAY, id, &[vec![TestRecord::new("a", "i1", NOON_MS)]])
}

fn open(id: u64) -> String {
    open_entry(id, "on-time")
}

fn kinds(checker: &mut ManifestChecker, disk: &TestDisk) -> Vec<String> {
    checker
        .check(&snapshot(std::slice::from_ref(disk)), &noon_context())
        .into_iter()
        .map(|v| v.kind)
        .collect()
}

fn kinds_of(edits: &[String], files: &[u64]) -> Vec<String> {
    kinds(&mut ManifestChecker::default(), &disk(edits, files))
}

#[test]
fn a_day_that_is_opened_sealed_and_merged_passes() {
    let edits = [
        edit(1, &[open(1)], &[], 2, 0),
        edit(2, &[sealed_entry(1, "on-time", &file(1), 1), open(2)], &[], 3, 0),
        edit(3, &[sealed_entry(3, "on-time", &file(3), 1)], &[1], 4, 1),
    ];
    let mut checker = ManifestChecker::default();
    assert_eq!(kinds(&mut checker, &disk(&edits[..1], &[1])), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk(&edits[..2], &[1, 2])), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk(&edits, &[1, 2, 3])), [""; 0]);
    assert_eq!(kinds(&mut checker, &disk(&edits, &[2, 3])), [""; 0]);
}

#[test]
fn a_missing_live_file_is_reported() {
    assert_eq!(kinds_of(&[edit(1, &[open(1), open(2)], &[], 3, 0)], &[2]), ["dangling"]);
}

#[test]
fn an_unreadable_live_file_is_reported_unless_a_planned_fault_corrupted_its_day() {
    let mut disk = disk(&[edit(1, &[open(1)], &[], 2, 0)], &[]);
    disk.put(PROJECT_DAY, "1.seg", bytes::Bytes::from_static(&[7; 40]));
    assert_eq!(kinds(&mut ManifestChecker::default(), &disk), ["unreadable"]);
    let elsewhere = ProjectDay { day: DAY + 1, ..PROJECT_DAY };
    disk.mark_corrupted(elsewhere, "1.seg");
    let context =
        CheckContext { faults_active: true, damaged_disks: ["disk-0".to_owned()].into(), ..noon_context() };
    assert_eq!(ManifestChecker::default().check(&snapshot(&[disk.clone()]), &context).len(), 1);
    disk.mark_corrupted(PROJECT_DAY, "1.seg");
    assert_eq!(kinds(&mut ManifestChecker::default(), &disk), [""; 0]);
}

#[test]
fn versions_never_move_back_or_change() {
    let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
    let mut checker = ManifestChecker::default();
    kinds(&mut checker, &disk(&edits, &[1, 2]));
    assert_eq!(kinds(&mut checker.clone(), &disk(&edits[..1], &[1])), ["regressed"]);
    let other = [edits[0].clone(), edit(2, &[open(3)], &[], 4, 0)];
    assert_eq!(kinds(&mut checker.clone(), &disk(&other, &[1, 3])), ["regressed"]);
    assert_eq!(kinds(&mut checker.clone(), &TestDisk::default()), ["regressed"]);
    checker.forget("disk-0");
    assert_eq!(kinds(&mut checker, &disk(&edits[..1], &[1])), [""; 0]);
}

#[test]
fn only_a_quarantined_day_may_start_over() {
    let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
    let restarted = [edit(1, &[open(3)], &[], 4, 0)];
    let mut checker = ManifestChecker::default();
    kinds(&mut checker, &disk(&edits, &[1, 2]));
    let mut after = disk(&restarted, &[3]);
    assert_eq!(kinds(&mut checker.clone(), &after), ["regressed"]);
    let mut taken = checker.clone();
    taken.forget_day("disk-0", PROJECT_DAY);
    assert_eq!(kinds(&mut taken, &after), [""; 0], "it was removed from outside");
    after.files.insert("arb/17/2016-02-22.corrupt-2/manifest".into(), manifest(&edits));
    assert_eq!(kinds(&mut checker, &after), [""; 0]);
    // The new state is binding until another directory is quarantined.
    after.put(PROJECT_DAY, "manifest", manifest(&[edit(1, &[open(4)], &[], 5, 0)]));
    after.put(PROJECT_DAY, "4.seg", file(4));
    assert_eq!(kinds(&mut checker, &after), ["regressed"]);
}

#[test]
fn on_a_damaged_disk_lost_bytes_are_excused_and_contradicting_edits_are_not() {
    let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
    let context =
        |disk: &str| CheckContext { damaged_disks: BTreeSet::from([disk.to_owned()]), ..noon_context() };
    let mut checker = ManifestChecker::default();
    kinds(&mut checker, &disk(&edits, &[1, 2]));
    let mut cut = disk(&edits[..1], &[]);
    cut.put(PROJECT_DAY, "1.seg", bytes::Bytes::from_static(&[7; 40]));
    let mut corrupt = cut.clone();
    corrupt.mark_corrupted(PROJECT_DAY, "1.seg");
    assert_eq!(checker.clone().check(&snapshot(&[corrupt]), &context("disk-0")), []);
    let found = checker.check(&snapshot(&[cut]), &context("disk-1"));
    assert_eq!(found.iter().map(|v| v.kind.as_str()).collect::<Vec<_>>(), ["unreadable", "regressed"]);
    let reused = disk(&[edits[0].clone(), edit(2, &[open(1)], &[1], 2, 0)], &[1]);
    let found = ManifestChecker::default().check(&test_support::snapshot(&[reused]), &context("disk-0"));
    assert_eq!(found.iter().map(|v| v.kind.as_str()).collect::<Vec<_>>(), ["id-reused"]);
}

#[test]
fn ids_are_never_reused_and_edits_remove_only_live_files() {
    let first = edit(1, &[open(1)], &[], 2, 0);
    let after = |add: &[String], remove: &[u64], next| {
        kinds_of(&[first.clone(), edit(2, add, remove, next, 0)], &[1, 2])
    };
    assert_eq!(after(&[open(1)], &[1], 2), ["id-reused"]);
    assert_eq!(after(&[], &[5], 2), ["removes-unlisted"]);
    assert_eq!(after(&[open(2)], &[], 2), ["next-id-regressed"]);
    assert_eq!(after(&[open(2)], &[], 3), [""; 0]);
    let skipped = [edit(1, &[open(2)], &[], 5, 0), edit(2, &[open(1)], &[], 5, 0)];
    assert_eq!(kinds_of(&skipped, &[1, 2]), ["id-reused"]);
}

#[test]
fn a_stale_token_is_reported() {
    let with = |version, token: u64| {
        edit(version, &[], &[], 2, version).replace("\"token\":0", &format!("\"token\":{token}"))
    };
    assert_eq!(kinds_of(&[with(1, 4), with(2, 0), with(3, 3)], &[]), ["stale-token"]);
    assert_eq!(kinds_of(&[with(1, 4), with(2, 0), with(3, 4)], &[]), [""; 0]);
}

#[test]
fn a_lease_with_a_lower_token_is_reported() {
    let with = |token: u64| {
        let mut disk = TestDisk::default();
        let grant = [&token.to_le_bytes()[..], &[1, 0], &[0; 16]].concat();
        let file = [&b"LARBLSE1"[..], &test_support::frame(&grant)].concat();
        disk.files.insert("arb/17/lease".into(), file.into());
        disk
    };
    let mut checker = ManifestChecker::default();
    assert_eq!(kinds(&mut checker, &with(4)), [""; 0]);
    assert_eq!(kinds(&mut checker, &with(5)), [""; 0]);
    assert_eq!(kinds(&mut checker, &with(4)), ["token-regressed"]);
    let mut torn = with(4);
    torn.files.insert("arb/17/lease".into(), bytes::Bytes::from_static(b"LARB"));
    assert_eq!(kinds(&mut ManifestChecker::default(), &torn), [""; 0], "it was being created");
    assert_eq!(kinds(&mut checker, &torn), ["token-regressed"]);
    torn.files.insert("arb/17/lease".into(), bytes::Bytes::from_static(b"LARBLSE2"));
    assert_eq!(kinds(&mut checker, &torn), ["unreadable"]);
}

#[test]
fn a_lease_whose_grants_contradict_each_other_is_reported_unless_a_planned_fault_corrupted_it() {
    let grant = |token: u64| test_support::frame(&[&token.to_le_bytes()[..], &[1, 0], &[0; 16]].concat());
    let mut disk = TestDisk::default();
    let file = [&b"LARBLSE1"[..], &grant(6), &grant(5)].concat();
    disk.files.insert("arb/17/lease".into(), file.into());
    assert_eq!(kinds(&mut ManifestChecker::default(), &disk), ["token-regressed"]);
    disk.corrupted.insert("arb/18/lease".into());
    assert_eq!(
        kinds(&mut ManifestChecker::default(), &disk),
        ["token-regressed"],
        "another file was corrupted"
    );
    disk.corrupted.insert("arb/17/lease".into());
    assert_eq!(kinds(&mut ManifestChecker::default(), &disk), [""; 0]);
}

#[test]
fn a_sealed_file_that_was_replaced_between_two_looks_is_what_its_manifest_stated() {
    let edits = [
        edit(1, &[open(1)], &[], 2, 0),
        edit(2, &[sealed_entry(1, "on-time", &file(1), 1)], &[], 2, 0),
        edit(3, &[sealed_entry(3, "on-time", &file(3), 1)], &[1], 4, 1),
    ];
    let found = |first: bytes::Bytes| {
        let mut checker = ManifestChecker::default();
        assert_eq!(kinds(&mut checker, &disk(&edits[..1], &[1])), [""; 0]);
        let mut merged = disk(&edits, &[3]);
        merged.put(PROJECT_DAY, "1.seg", first);
        let found = kinds(&mut checker, &merged);
        assert_eq!(kinds(&mut checker, &merged), [""; 0], "once");
        found
    };
    assert_eq!(found(file(1)), [""; 0]);
    let longer = [file(1), bytes::Bytes::from_static(b"what a failed append left")].concat();
    assert_eq!(found(longer.into()), ["sealed-differs"]);
}
