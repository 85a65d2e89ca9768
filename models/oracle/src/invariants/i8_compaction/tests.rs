use super::*;
use crate::invariants::noon_context;
use crate::test_support::{
    self, DAY, NOON_MS, TestDisk, TestRecord, edit, manifest, open_entry, sealed_entry,
};

const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

fn recs(ids: &[&str]) -> Vec<TestRecord> {
    ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
}

#[test]
fn other_mistakes_of_a_losing_run_are_reported_with_the_loss() {
    let key = |n: u128| BTreeSet::from([DedupKey(n)]);
    let disks = || "disk-1".to_owned();
    let kinds = BTreeMap::from([
        ("lost", (key(1), disks())),
        ("dropped", (key(2), disks())),
        ("wrong-winner", (key(3), disks())),
    ]);
    let found = of_day(PROJECT_DAY, kinds, &noon_context());
    assert_eq!(found.len(), 1);
    assert!(found[0].loses_items && found[0].detail.contains("; 1 went in and did not come out"));
    let alone = of_day(PROJECT_DAY, BTreeMap::from([("dropped", (key(2), disks()))]), &noon_context());
    assert!(!alone[0].loses_items && alone[0].kind == "dropped");
}

/// Segments 1 (`i1`, `i2`) and 2 (`i2` again, later) merged into 3.
fn merged(output: Vec<TestRecord>) -> TestDisk {
    let again = TestRecord { sequence: 2, arrived_ms: NOON_MS + 9_000, ..recs(&["i2"])[0].clone() };
    let mut disk = TestDisk::default().with_day(PROJECT_DAY, &recs(&["i1", "i2"]));
    disk.put(PROJECT_DAY, "2.seg", test_support::segment(0, PROJECT_DAY, 2, &[vec![again]]));
    let count = output.len();
    let output = test_support::compacted(PROJECT_DAY, 3, output);
    disk.put(PROJECT_DAY, "3.seg", output.clone());
    let edits = [
        edit(1, &[open_entry(1, "on-time"), open_entry(2, "late")], &[], 3, 0),
        edit(2, &[sealed_entry(3, "compacted", &output, count)], &[1, 2], 4, 1),
    ];
    disk.put(PROJECT_DAY, "manifest", manifest(&edits));
    disk
}

fn check(disks: &[TestDisk]) -> CompactionCheck {
    let mut cache = DecodeCache::default();
    let views: Vec<_> = disks.iter().enumerate().map(|(at, disk)| disk.view(&format!("disk-{at}"))).collect();
    let snapshot = ClusterSnapshot::of(&mut cache, &views);
    assert_eq!(snapshot.problems().count(), 0);
    CompactionChecker::default().check(&mut cache, &snapshot, &noon_context())
}

fn kinds(runs: &CompactionCheck) -> Vec<(&str, u64, bool)> {
    runs.violations.iter().map(|v| (v.kind.as_str(), v.items, v.loses_items)).collect()
}

#[test]
fn the_union_of_the_inputs_passes() {
    let runs = check(&vec![merged(recs(&["i1", "i2"])); 2]);
    assert_eq!((kinds(&runs), runs.compared, runs.uncomparable.len()), (vec![], 2, 0));
}

#[test]
fn an_event_missing_from_the_output_is_lost_unless_another_disk_holds_it() {
    let (good, bad) = (merged(recs(&["i1", "i2"])), merged(recs(&["i2"])));
    assert_eq!(kinds(&check(&vec![bad.clone(); 2])), [("lost", 1, true)]);
    let runs = check(&[good, bad]);
    assert_eq!(kinds(&runs), [("dropped", 1, false)]);
    assert!(runs.violations[0].detail.contains("disk-1"), "{}", runs.violations[0].detail);
}

#[test]
fn invented_events_and_wrong_winners_are_reported() {
    let invented = ["i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8"]; // keys before, between and behind the inputs'
    assert_eq!(kinds(&check(&[merged(recs(&invented))])), [("invented", 6, false)]);
    let mut output = recs(&["i1", "i2"]);
    (output[1].sequence, output[1].arrived_ms) = (2, NOON_MS + 9_000);
    assert_eq!(kinds(&check(&[merged(output)])), [("wrong-winner", 1, false)]);
}

#[test]
fn an_event_with_altered_content_in_the_output_is_lost() {
    let mut output = recs(&["i1", "i2"]);
    output[1].note = "altered".into();
    assert_eq!(kinds(&check(&[merged(output)])), [("altered", 1, true)]);
}

#[test]
fn a_run_with_missing_inputs_is_reported_as_not_compared() {
    let mut disk = merged(recs(&["i1", "i2"]));
    disk.files.remove("arb/17/2016-02-22/2.seg");
    let runs = check(&[disk]);
    assert_eq!((runs.compared, runs.uncomparable), (0, vec!["disk-0: arb/17/2016-02-22/2.seg".into()]));
}

#[test]
fn a_missing_open_input_may_have_grown_since_the_last_snapshot() {
    let mut disk = merged(recs(&["i1", "i2"]));
    let after = disk.files["arb/17/2016-02-22/manifest"].clone();
    let first = edit(1, &[open_entry(1, "on-time"), open_entry(2, "late")], &[], 3, 0);
    disk.put(PROJECT_DAY, "manifest", manifest(&[first]));
    let (mut cache, mut checker) = (DecodeCache::default(), CompactionChecker::default());
    let mut check = |disk: &TestDisk| {
        let snapshot = ClusterSnapshot::of(&mut cache, &[disk.view("disk-0")]);
        checker.check(&mut cache, &snapshot, &noon_context())
    };
    assert_eq!(check(&disk).compared, 0);
    disk.put(PROJECT_DAY, "manifest", after);
    disk.files.remove("arb/17/2016-02-22/1.seg");
    let runs = check(&disk);
    assert_eq!((runs.compared, runs.uncomparable.len()), (0, 1));
}

#[test]
fn sealed_inputs_of_the_last_snapshot_need_not_exist_any_more() {
    let after = merged(recs(&["i1", "i2"]));
    let mut before = after.clone();
    let sealed = [("1.seg", 1, "on-time", 2), ("2.seg", 2, "late", 1)].map(|(name, id, tier, count)| {
        sealed_entry(id, tier, &after.files[&format!("arb/17/2016-02-22/{name}")], count)
    });
    let first = edit(1, &sealed, &[], 3, 0);
    before.put(PROJECT_DAY, "manifest", manifest(&[first]));
    let (mut cache, mut checker) = (DecodeCache::default(), CompactionChecker::default());
    let mut check = |disk: &TestDisk| {
        let snapshot = ClusterSnapshot::of(&mut cache, &[disk.view("disk-0")]);
        checker.check(&mut cache, &snapshot, &noon_context())
    };
    assert_eq!(check(&before).compared, 0);
    let mut gone = after;
    gone.files.remove("arb/17/2016-02-22/1.seg");
    gone.files.remove("arb/17/2016-02-22/2.seg");
    let runs = check(&gone);
    assert_eq!((runs.compared, runs.uncomparable.len(), runs.violations.len()), (1, 0, 0));
    assert_eq!(check(&gone).compared, 0, "each run is compared once");
}
