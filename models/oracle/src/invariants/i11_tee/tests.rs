use super::*;
use crate::test_support::{NOON_MS, TestAnswer, TestClients, TestRecord, TestTeeRecord, tee_file};

const DAY_MS: i64 = 86_400_000;
const SEVEN_DAYS: TeeRetention = TeeRetention {
    retention_ms: 7 * DAY_MS,
    tolerance_ms: 3_600_000,
    name_tolerance_ms: 3_600_000,
    undisturbed_since_ms: i64::MIN / 2,
};
const HOUR: u64 = (NOON_MS / 3_600_000) as u64;

fn rec(id: &str) -> TestRecord {
    TestRecord::new("a", id, NOON_MS)
}

fn clients() -> TestClients {
    let clients = TestClients::new().acked(17, &[rec("i1")]).acked(17, &[rec("i2")]);
    clients.send(17, &[rec("i3")], TestAnswer::Unknown).send(17, &[rec("i4")], TestAnswer::Rejected)
}

fn file(path: &str, ids: &[(u64, &str)]) -> FileView {
    let teed = |(sequence, id): &(u64, &str)| TestTeeRecord {
        sequence: *sequence,
        arrived_ms: NOON_MS + 1_000,
        body: rec(id).json().into_bytes(),
    };
    FileView::whole(path, tee_file(HOUR, 0, &ids.iter().map(teed).collect::<Vec<_>>()))
}

fn found(files: Vec<FileView>, retention: TeeRetention, at_ms: i64) -> Vec<(String, u64)> {
    let disk = DiskView { name: "edge-0".into(), files };
    let context = CheckContext { at_ms, settled_before_ms: at_ms, ..crate::invariants::noon_context() };
    let found = check(&mut DecodeCache::default(), &clients().ledger, &[disk], retention, &context);
    found.into_iter().map(|v| (v.kind, v.items)).collect()
}

fn path(dir: &str) -> String {
    format!("{dir}{HOUR}-0-1.tee")
}

fn object(by: u16) -> String {
    format!("objects/tee/{HOUR}-0-1.by-{by}.tee")
}

#[test]
fn acknowledged_requests_in_any_copy_pass_and_extra_requests_are_allowed() {
    let files =
        vec![file(&path("tee/"), &[(1, "i1")]), file(&path("tee-peer/"), &[(1, "i1"), (2, "i2"), (3, "i4")])];
    assert_eq!(found(files, SEVEN_DAYS, NOON_MS + DAY_MS), []);
    let stored = vec![file(&object(0), &[(1, "i1"), (2, "i2")])];
    assert_eq!(found(stored, SEVEN_DAYS, NOON_MS + DAY_MS), []);
}

#[test]
fn an_acknowledged_request_in_no_copy_is_reported_for_seven_days() {
    let files = || vec![file(&path("tee/"), &[(1, "i1")]), file(&path("incoming/tee/"), &[(2, "i2")])];
    assert_eq!(found(files(), SEVEN_DAYS, NOON_MS + DAY_MS), [("missing".into(), 1)]);
    assert_eq!(found(files(), SEVEN_DAYS, NOON_MS + 7 * DAY_MS), []);
    let line = |arrived_ms: i64| {
        let line =
            format!("{{\"edge\":0,\"first\":2,\"last\":2,\"arrived_ms\":{arrived_ms},\"why\":\"x\"}}\n");
        let gaps = FileView::whole("edge/gaps", line.into_bytes().into());
        files().into_iter().chain([gaps]).collect::<Vec<_>>()
    };
    assert_eq!(found(line(NOON_MS), SEVEN_DAYS, NOON_MS + DAY_MS), [], "the edge recorded it");
    for other_ms in [NOON_MS - 9 * DAY_MS, NOON_MS - HOUR_MS, NOON_MS + HOUR_MS] {
        let lost = found(line(other_ms), SEVEN_DAYS, NOON_MS + DAY_MS);
        assert_eq!(lost, [("missing".into(), 1)], "a gap at another time excuses nothing");
    }
    let closed = "{\"edge\":0,\"first\":2,\"last\":2,\"closed_ms\":9}\n";
    let closed = FileView::whole("edge/gaps.old", closed.as_bytes().to_vec().into());
    let files = line(NOON_MS).into_iter().chain([closed]).collect();
    let lost = found(files, SEVEN_DAYS, NOON_MS + DAY_MS);
    assert_eq!(lost, [("missing".into(), 1)], "a closed gap excuses nothing");
}

#[test]
fn a_day_after_its_hour_a_request_must_be_in_two_readable_objects() {
    let later_ms = NOON_MS + 2 * DAY_MS;
    let both = [(1, "i1"), (2, "i2")];
    let object_counts = || vec![file(&object(0), &both), file(&object(1), &both)];
    assert_eq!(found(object_counts(), SEVEN_DAYS, later_ms), []);
    let summaries = || vec![file(&object(0), &both), file(&object(1), &both[..1])];
    assert_eq!(found(summaries(), SEVEN_DAYS, later_ms), [("in-one-object".into(), 1)]);
    assert_eq!(found(summaries(), SEVEN_DAYS, NOON_MS + 20 * HOUR_MS), [], "not yet due");
    let record_disturbance = TeeRetention { undisturbed_since_ms: later_ms - 20 * HOUR_MS, ..SEVEN_DAYS };
    assert_eq!(found(summaries(), record_disturbance, later_ms), [], "still being repaired");
    let added = file(&format!("objects/tee/{HOUR}-0-1.by-k1.tee"), &both);
    let repaired = summaries().into_iter().chain([added]).collect();
    assert_eq!(found(repaired, SEVEN_DAYS, later_ms), []);
    let on_an_edge = vec![file(&object(0), &both), file(&path("tee/"), &both)];
    assert_eq!(found(on_an_edge, SEVEN_DAYS, later_ms), [("in-one-object".into(), 2)]);
}

#[test]
fn only_the_hour_of_a_file_lost_to_a_planned_fault_is_excused() {
    let corrupt = |hour: u64, corrupted: bool| {
        let path = format!("objects/tee/{hour}-0-1.by-0.tee");
        FileView { corrupted, ..FileView::whole(path, "corrupt, and longer than any header".into()) }
    };
    let context =
        CheckContext { damaged_disks: ["tee-store".to_owned()].into(), ..crate::invariants::noon_context() };
    let found = |hour: u64, corrupted: bool| {
        let disk = DiskView { name: "tee-store".into(), files: vec![corrupt(hour, corrupted)] };
        check(&mut DecodeCache::default(), &clients().ledger, &[disk], SEVEN_DAYS, &context).len()
    };
    assert_eq!((found(HOUR, true), found(HOUR + 2, true)), (0, 1));
    assert_eq!(found(HOUR, false), 2, "unreadable without a planned fault, and missing");
    let sibling = file(&object(1), &[(1, "i1")]);
    let disk = DiskView { name: "tee-store".into(), files: vec![corrupt(HOUR, true), sibling] };
    let found = check(&mut DecodeCache::default(), &clients().ledger, &[disk], SEVEN_DAYS, &context);
    assert_eq!(found[0].items, 1, "another readable object of the file shows its contents");
}

#[test]
fn the_header_that_an_edge_was_writing_when_it_crashed_may_be_garbage() {
    let garbage = |path: String| FileView::whole(path, "garbage that is longer than any header".into());
    let none_sent = CheckContext { settled_before_ms: NOON_MS, ..crate::invariants::noon_context() };
    let kinds = |path: String| {
        let disk = DiskView { name: "any".into(), files: vec![garbage(path)] };
        let found = check(&mut DecodeCache::default(), &clients().ledger, &[disk], SEVEN_DAYS, &none_sent);
        found.into_iter().map(|violation| violation.kind).collect::<Vec<_>>()
    };
    assert_eq!([kinds(path("tee/")), kinds(path("tee-peer/"))], [Vec::<String>::new(), vec![]]);
    assert_eq!(kinds(object(0)), ["unreadable"], "an object has its name only once it is whole");
}

#[test]
fn unsettled_requests_may_be_missing() {
    let context = CheckContext { settled_before_ms: NOON_MS, ..crate::invariants::noon_context() };
    assert_eq!(check(&mut DecodeCache::default(), &clients().ledger, &[], SEVEN_DAYS, &context), []);
}

#[test]
fn an_additional_byte_makes_another_request() {
    let mut altered = rec("i2").json().into_bytes();
    altered.push(b' ');
    let records = [(1, rec("i1").json().into_bytes()), (2, altered)].map(|(sequence, body)| TestTeeRecord {
        sequence,
        arrived_ms: NOON_MS,
        body,
    });
    let files = vec![FileView::whole(path("tee/"), tee_file(HOUR, 0, &records))];
    assert_eq!(found(files, SEVEN_DAYS, NOON_MS + DAY_MS), [("missing".into(), 1)]);
}

#[test]
fn equal_requests_are_counted() {
    let again = clients().acked(17, &[rec("i1")]);
    let context = crate::invariants::noon_context();
    let check = |ids: &[(u64, &str)]| {
        let disk = DiskView { name: "edge-0".into(), files: vec![file(&path("tee/"), ids)] };
        check(&mut DecodeCache::default(), &again.ledger, &[disk], SEVEN_DAYS, &context).len()
    };
    assert_eq!((check(&[(1, "i1"), (2, "i2")]), check(&[(1, "i1"), (2, "i2"), (3, "i1")])), (1, 0));
}

#[test]
fn differing_copies_and_unreadable_files_are_reported() {
    let files = vec![file(&path("tee/"), &[(1, "i1"), (2, "i2")]), file(&path("tee-peer/"), &[(1, "i3")])];
    assert_eq!(found(files, SEVEN_DAYS, NOON_MS + DAY_MS), [("copies-differ".into(), 1)]);
    let whole = file(&object(0), &[(1, "i1"), (2, "i2")]);
    let cut = FileView::whole(whole.path.clone(), whole.chunks[0].slice(..whole.chunks[0].len() - 1));
    let kinds = found(vec![cut], SEVEN_DAYS, NOON_MS + DAY_MS);
    assert_eq!(kinds, [("unreadable".into(), 1), ("missing".into(), 2)]);
}

#[test]
fn each_edge_and_each_object_with_a_request_is_one_copy_of_it() {
    let digest = clients().ledger.last_acknowledged().expect("two are acknowledged").1;
    let edge = |name: &str, files: Vec<FileView>| DiskView { name: name.into(), files };
    let hour = HOUR as i64;
    let copies = |disks: &[DiskView], hours| TeeCopies::default().of(disks, digest, hours);
    let own = edge("edge-0", vec![file(&path("tee/"), &[(1, "i1"), (2, "i2")])]);
    let behind = edge("edge-1", vec![file(&path("tee-peer/"), &[(1, "i1")])]);
    let equal = edge("edge-1", vec![file(&path("tee-peer/"), &[(1, "i1"), (2, "i2")])]);
    assert_eq!(copies(&[own.clone(), behind], hour..=hour), 1);
    assert_eq!(copies(&[own.clone(), equal], hour..=hour), 2);
    assert_eq!(copies(&[own], hour + 1..=hour + 2), 0, "a file of another hour is not read");
    let both = [(1, "i1"), (2, "i2")];
    let store = edge("tee-store", vec![file(&object(0), &both), file(&object(1), &both)]);
    assert_eq!(copies(&[store], hour..=hour), 2);
    let found = |copies| too_few_copies(digest, copies, 2, &crate::invariants::noon_context());
    assert_eq!(found(2), None);
    assert_eq!(found(1).map(|found| found.kind).as_deref(), Some("too-few-copies"));
}
