use super::*;
use crate::test_support::{DAY, NOON_MS, TestRecord, sent_event};

fn ledger() -> Ledger {
    let mut zones = ProjectZones::default();
    zones.set(17, 0, "UTC").unwrap();
    zones.set(18, 0, "America/Los_Angeles").unwrap();
    Ledger::new(LedgerConfig::default(), zones)
}

fn send(ledger: &mut Ledger, id: u64, project: u32, at_ms: i64, recs: &[&TestRecord]) {
    let texts: Vec<String> = recs.iter().map(|rec| rec.json()).collect();
    let events: Vec<SentEvent<'_>> =
        recs.iter().zip(&texts).map(|(rec, json)| sent_event(rec, json)).collect();
    ledger
        .record_sent(&ClientRequest { id, project, sent_at_ms: at_ms, digest: 0, events: &events })
        .unwrap();
}

fn provenance(ledger: &Ledger, project_day: ProjectDay, rec: &TestRecord) -> Provenance {
    ledger.provenance(project_day, rec.key(), EventDigest::of(rec.json().as_bytes()), rec.insert_id.is_none())
}

const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

#[test]
fn an_event_is_sent_and_then_acked_rejected_or_unknown() {
    let mut ledger = ledger();
    let [good, bad] = ["i1", "i2"].map(|id| TestRecord::new("a", id, NOON_MS));
    send(&mut ledger, 1, 17, NOON_MS, &[&good, &bad]);
    assert_eq!((ledger.requests().in_flight(), ledger.event_attempts().in_flight()), (1, 2));
    assert_eq!(provenance(&ledger, PROJECT_DAY, &good), Provenance::Valid, "under way is allowed");
    let accepted = ledger.record_acked(1, &[1], NOON_MS + 5).unwrap();
    let identity = EventIdentity::Keyed(good.key());
    assert_eq!(accepted, [EventId { project: 17, days: (DAY, DAY), identity }]);
    assert_eq!(provenance(&ledger, PROJECT_DAY, &good), Provenance::Valid);
    assert_eq!(provenance(&ledger, PROJECT_DAY, &bad), Provenance::Rejected);
    send(&mut ledger, 2, 17, NOON_MS, &[&bad]);
    ledger.record_unknown(2).unwrap();
    assert_eq!(
        provenance(&ledger, PROJECT_DAY, &bad),
        Provenance::Valid,
        "the second send may have been accepted"
    );
    assert_eq!(ledger.event_attempts(), AttemptCounts { sent: 3, acked: 1, rejected: 1, unknown: 1 });
    assert_eq!(ledger.events(), EventCounts { sent: 2, acked: 1, unknown: 1, ..EventCounts::default() });
}

#[test]
fn an_event_sent_several_times_counts_once() {
    let mut ledger = ledger();
    let recs = ["i1", "i2", "i3"].map(|id| TestRecord::new("a", id, NOON_MS));
    for attempt in 1..=12 {
        send(&mut ledger, attempt, 17, NOON_MS, &recs.each_ref());
        let result =
            if attempt < 12 { ledger.record_unknown(attempt) } else { ledger.record_given_up(attempt) };
        result.unwrap();
    }
    assert_eq!(ledger.event_attempts(), AttemptCounts { sent: 36, unknown: 36, ..AttemptCounts::default() });
    let all_unknown = EventCounts { sent: 3, unknown: 3, given_up: 3, ..EventCounts::default() };
    assert_eq!(ledger.events(), all_unknown);
    send(&mut ledger, 13, 17, NOON_MS, &[&recs[0]]);
    ledger.record_acked(13, &[], NOON_MS).unwrap();
    let one_acked = EventCounts { acked: 1, unknown: 2, given_up: 2, ..all_unknown };
    assert_eq!(ledger.events(), one_acked, "a later upload was answered");
}

#[test]
fn an_event_that_floats_on_one_send_and_has_a_day_on_another_is_one_event() {
    let mut ledger = ledger();
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    let midnight_ms = NOON_MS + 12 * 3_600_000;
    send(&mut ledger, 1, 17, midnight_ms - 100, &[&rec]);
    ledger.record_unknown(1).unwrap();
    send(&mut ledger, 2, 17, midnight_ms + 3_600_000, &[&rec]);
    assert_eq!(ledger.events(), EventCounts { sent: 1, unknown: 1, ..EventCounts::default() });
    ledger.record_acked(2, &[], midnight_ms + 3_600_100).unwrap();
    assert_eq!(ledger.events(), EventCounts { sent: 1, acked: 1, ..EventCounts::default() });
}

#[test]
fn invalid_events_are_classified() {
    let mut ledger = ledger();
    let rec = TestRecord::new("a", "i1", NOON_MS);
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    assert_eq!(
        provenance(&ledger, ProjectDay { day: DAY + 1, ..PROJECT_DAY }, &rec),
        Provenance::OtherDay(DAY)
    );
    assert_eq!(
        provenance(&ledger, ProjectDay { project: 18, ..PROJECT_DAY }, &rec),
        Provenance::OtherProject(17)
    );
    assert_eq!(provenance(&ledger, PROJECT_DAY, &TestRecord::new("b", "i1", NOON_MS)), Provenance::NeverSent);
}

#[test]
fn a_reupload_is_the_same_event_and_may_have_any_sent_content() {
    let mut ledger = ledger();
    let first = TestRecord::new("a", "i1", NOON_MS);
    let second = TestRecord { note: "edited".into(), ..first.clone() };
    send(&mut ledger, 1, 17, NOON_MS, &[&first]);
    ledger.record_unknown(1).unwrap();
    send(&mut ledger, 2, 17, NOON_MS + 9, &[&second]);
    ledger.record_acked(2, &[], NOON_MS + 10).unwrap();
    let entry = ledger.entry(PROJECT_DAY, EventIdentity::Keyed(first.key())).unwrap();
    assert_eq!((entry.sends, entry.acks, entry.acked_at_ms), (2, 1, NOON_MS + 10));
    send(&mut ledger, 3, 17, NOON_MS + 20, &[&first]);
    ledger.record_acked(3, &[], NOON_MS + 30).unwrap();
    let entry = ledger.entry(PROJECT_DAY, EventIdentity::Keyed(first.key())).unwrap();
    assert_eq!((entry.acks, entry.acked_at_ms), (2, NOON_MS + 10), "owed since its first acknowledgement");
    let has_sent_content = |rec: &TestRecord| {
        ledger.has_sent_content(PROJECT_DAY, rec.key(), EventDigest::of(rec.json().as_bytes()))
    };
    assert!(has_sent_content(&first) && has_sent_content(&second));
    assert!(!has_sent_content(&TestRecord { note: "third".into(), ..first }));
}

#[test]
fn the_day_is_the_projects_own() {
    let mut ledger = ledger();
    let rec = TestRecord::new("a", "i1", NOON_MS - 6 * 3_600_000); // 06:00Z, the evening before in Los Angeles
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    send(&mut ledger, 2, 18, NOON_MS, &[&rec]);
    let days: Vec<_> =
        ledger.project_days().map(|project_day| (project_day.project, project_day.day)).collect();
    assert_eq!(days, [(17, DAY), (18, DAY - 1)]);
}

#[test]
fn an_unanswered_event_without_time_may_arrive_at_any_later_time() {
    let mut ledger = ledger();
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    let on = |ledger: &Ledger, later: i32| {
        provenance(ledger, ProjectDay { day: DAY + later, ..PROJECT_DAY }, &rec)
    };
    ledger.record_unknown(1).unwrap();
    assert_eq!(ledger.project_days().count(), 0);
    assert_eq!([0, 1, 2, 300].map(|later| on(&ledger, later)), [Provenance::Valid; 4]);
    assert_eq!(on(&ledger, -1), Provenance::OtherDay(DAY), "before it was sent");
    send(&mut ledger, 2, 17, NOON_MS + 60_000, &[&rec]);
    ledger.record_acked(2, &[], NOON_MS + 60_010).unwrap();
    assert_eq!(
        ledger.project_days().collect::<Vec<_>>(),
        [PROJECT_DAY],
        "the answer determines the day of the second"
    );
    assert_eq!([0, 2].map(|later| on(&ledger, later)), [Provenance::Valid; 2], "and not of the first");
}

#[test]
fn an_event_without_time_has_one_day_once_it_is_acknowledged() {
    let mut ledger = ledger();
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    let accepted = ledger.record_acked(1, &[], NOON_MS + 5).unwrap();
    assert_eq!(accepted[0].days, (DAY, DAY));
    assert_eq!(provenance(&ledger, PROJECT_DAY, &rec), Provenance::Valid);
    assert_eq!(
        provenance(&ledger, ProjectDay { day: DAY + 1, ..PROJECT_DAY }, &rec),
        Provenance::OtherDay(DAY)
    );
}

#[test]
fn an_event_without_time_around_midnight_floats() {
    let mut ledger = ledger();
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    let midnight_ms = NOON_MS + 12 * 3_600_000;
    send(&mut ledger, 1, 17, midnight_ms - 100, &[&rec]);
    let accepted = ledger.record_acked(1, &[], midnight_ms + 100).unwrap();
    assert_eq!((accepted[0].days, ledger.project_days().count()), ((DAY, DAY + 1), 0));
    let next = ProjectDay { day: DAY + 1, ..PROJECT_DAY };
    assert_eq!(
        (provenance(&ledger, PROJECT_DAY, &rec), provenance(&ledger, next, &rec)),
        (Provenance::Valid, Provenance::Valid)
    );
    assert_eq!(
        provenance(&ledger, ProjectDay { day: DAY + 2, ..PROJECT_DAY }, &rec),
        Provenance::OtherDay(DAY)
    );
    let other = TestRecord { time_ms: None, ..TestRecord::new("a", "i2", NOON_MS) };
    send(&mut ledger, 2, 17, midnight_ms, &[&other]);
    ledger.record_acked(2, &[0], midnight_ms + 10).unwrap();
    assert_eq!(provenance(&ledger, next, &other), Provenance::Rejected);
}

#[test]
fn the_answer_and_the_skew_determine_whether_an_event_floats() {
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    let midnight_ms = NOON_MS + 12 * 3_600_000;
    let floats = |sent_at_ms, acked_at_ms| {
        let mut ledger = ledger();
        send(&mut ledger, 1, 17, sent_at_ms, &[&rec]);
        ledger.record_acked(1, &[], acked_at_ms).unwrap();
        ledger.project_days().count() == 0
    };
    let skew_ms = LedgerConfig::default().clock_skew_ms;
    assert!(!floats(midnight_ms - 60_000, midnight_ms - skew_ms - 1));
    assert!(floats(midnight_ms - 60_000, midnight_ms - skew_ms));
    assert!(floats(midnight_ms + skew_ms - 1, midnight_ms + 60_000));
    assert!(!floats(midnight_ms + skew_ms, midnight_ms + 60_000));
}

#[test]
fn an_answer_bounds_one_copy_of_a_send_that_the_network_may_duplicate() {
    let mut zones = ProjectZones::default();
    zones.set(17, 0, "UTC").unwrap();
    let mut ledger = Ledger::new(LedgerConfig { deliveries_per_send: 2, ..LedgerConfig::default() }, zones);
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    assert_eq!(ledger.record_acked(1, &[], NOON_MS + 5).unwrap()[0].days, (DAY, DAY));
    let key = (17, EventIdentity::Keyed(rec.key()));
    let unaccounted_copies = |found: &[(i32, u32)]| {
        let found = found.iter().copied().collect();
        ledger.unaccounted_copies(key, &found, 0).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(unaccounted_copies(&[(DAY, 1), (DAY + 2, 1)]), []);
    assert_eq!(unaccounted_copies(&[(DAY, 2), (DAY + 2, 1)]), [(DAY + 2, 1)]);
}

#[test]
fn copies_on_several_days_are_matched_to_possible_sends() {
    let mut ledger = ledger();
    let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
    let day_ms = 24 * 3_600_000;
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    ledger.record_unknown(1).unwrap();
    send(&mut ledger, 2, 17, NOON_MS + day_ms, &[&rec]);
    ledger.record_unknown(2).unwrap();
    send(&mut ledger, 3, 17, NOON_MS + day_ms, &[&rec]);
    ledger.record_acked(3, &[], NOON_MS + day_ms + 10).unwrap();
    let key = (17, EventIdentity::Keyed(rec.key()));
    let unaccounted_copies = |found: &[(i32, u32)]| {
        let found = found.iter().map(|(day, count)| (DAY + day, *count)).collect();
        let unaccounted_copies = ledger.unaccounted_copies(key, &found, 0);
        unaccounted_copies.into_iter().map(|(day, count)| (day - DAY, count)).collect::<Vec<_>>()
    };
    assert_eq!(unaccounted_copies(&[(0, 1), (1, 1), (5, 1)]), []);
    assert_eq!(unaccounted_copies(&[(1, 3)]), []);
    assert_eq!(unaccounted_copies(&[(0, 2)]), [(0, 1)], "one was sent that day");
    assert_eq!(unaccounted_copies(&[(0, 1), (1, 1), (3, 1), (4, 1)]), [(4, 1)], "three were sent in all");
}

#[test]
fn an_event_with_a_time_floats_while_its_zone_is_edited() {
    let mut zones = ProjectZones::default();
    zones.set(17, 0, "UTC").unwrap();
    zones.set(17, NOON_MS, "Pacific/Kiritimati").unwrap(); // 14 hours ahead
    let mut ledger = Ledger::new(LedgerConfig::default(), zones);
    let rec = TestRecord::new("a", "i1", NOON_MS - 3_600_000);
    send(&mut ledger, 1, 17, NOON_MS - 5, &[&rec]);
    let next = ProjectDay { day: DAY + 1, ..PROJECT_DAY };
    assert_eq!(
        (provenance(&ledger, PROJECT_DAY, &rec), provenance(&ledger, next, &rec)),
        (Provenance::Valid, Provenance::Valid)
    );
    send(&mut ledger, 2, 17, NOON_MS + 5_000, &[&TestRecord::new("a", "i2", NOON_MS - 3_600_000)]);
    assert_eq!(ledger.project_days().collect::<Vec<_>>(), [next]);
}

#[test]
fn misuse_by_the_harness_is_an_error() {
    let mut ledger = ledger();
    let rec = TestRecord::new("a", "i1", NOON_MS);
    assert_eq!(ledger.record_unknown(1), Err(LedgerError::NotInFlight(1)));
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    let request = ClientRequest { id: 1, project: 17, sent_at_ms: NOON_MS, digest: 0, events: &[] };
    assert_eq!(ledger.record_sent(&request), Err(LedgerError::DuplicateId(1)));
    assert_eq!(
        ledger.record_acked(1, &[1], NOON_MS),
        Err(LedgerError::NoSuchItem { request: 1, item: 1, items: 1 })
    );
    ledger.record_rejected(1).unwrap();
    let json = rec.json();
    let request = ClientRequest { id: 2, project: 99, events: &[sent_event(&rec, &json)], ..request };
    assert_eq!(ledger.record_sent(&request), Err(LedgerError::Zone(ZoneError::UnknownProject(99))));
}

#[test]
fn a_request_digest_covers_what_a_replay_needs() {
    let headers = |encoding: &'static [u8]| {
        [(&b"Content-Encoding"[..], encoding), (b"x-request-id", b"7"), (b"authorization", b"Basic x")]
            .into_iter()
    };
    let base = request_digest(true, b"/import", headers(b"gzip"), b"body");
    let others = headers(b"gzip").filter(|(name, _)| name != b"x-request-id").collect::<Vec<_>>();
    assert_eq!(base, request_digest(true, b"/import", others.into_iter().rev(), b"body"));
    assert_ne!(base, request_digest(false, b"/import", headers(b"gzip"), b"body"));
    assert_ne!(base, request_digest(true, b"/import?", headers(b"gzip"), b"body"));
    assert_ne!(base, request_digest(true, b"/import", headers(b"br"), b"body"));
    assert_ne!(base, request_digest(true, b"/import", headers(b"gzip"), b"bodies"));
}
