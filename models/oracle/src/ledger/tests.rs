use super::*;
use crate::testing::{DAY, NOON_MS, Rec, sent_event};

fn ledger() -> Ledger {
    let mut zones = Zones::default();
    zones.set(17, 0, "UTC").unwrap();
    zones.set(18, 0, "America/Los_Angeles").unwrap();
    Ledger::new(Settings::default(), zones)
}

fn send(ledger: &mut Ledger, id: u64, project: u32, at_ms: i64, recs: &[&Rec]) {
    let texts: Vec<String> = recs.iter().map(|rec| rec.json()).collect();
    let events: Vec<SentEvent<'_>> =
        recs.iter().zip(&texts).map(|(rec, json)| sent_event(rec, json)).collect();
    ledger.sent(&ClientRequest { id, project, sent_at_ms: at_ms, digest: 0, events: &events }).unwrap();
}

fn claim(ledger: &Ledger, of: ProjectDay, rec: &Rec) -> Claim {
    ledger.claim(of, rec.key(), Content::of(rec.json().as_bytes()), rec.insert_id.is_none())
}

const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

#[test]
fn an_event_is_sent_and_then_acked_rejected_or_unknown() {
    let mut ledger = ledger();
    let [good, bad] = ["i1", "i2"].map(|id| Rec::new("a", id, NOON_MS));
    send(&mut ledger, 1, 17, NOON_MS, &[&good, &bad]);
    assert_eq!((ledger.requests().under_way(), ledger.event_attempts().under_way()), (1, 2));
    assert_eq!(claim(&ledger, OF, &good), Claim::Good, "under way is allowed");
    let accepted = ledger.acked(1, &[1], NOON_MS + 5).unwrap();
    let identity = Identity::Keyed(good.key());
    assert_eq!(accepted, [EventId { project: 17, days: (DAY, DAY), identity }]);
    assert_eq!(claim(&ledger, OF, &good), Claim::Good);
    assert_eq!(claim(&ledger, OF, &bad), Claim::Rejected);
    send(&mut ledger, 2, 17, NOON_MS, &[&bad]);
    ledger.unknown(2).unwrap();
    assert_eq!(claim(&ledger, OF, &bad), Claim::Good, "the second send may have been accepted");
    assert_eq!(ledger.event_attempts(), Attempts { sent: 3, acked: 1, rejected: 1, unknown: 1 });
    assert_eq!(ledger.events(), EventCounts { sent: 2, acked: 1, unknown: 1, ..EventCounts::default() });
}

#[test]
fn an_event_is_counted_once_however_often_it_is_sent() {
    let mut ledger = ledger();
    let recs = ["i1", "i2", "i3"].map(|id| Rec::new("a", id, NOON_MS));
    for attempt in 1..=12 {
        send(&mut ledger, attempt, 17, NOON_MS, &recs.each_ref());
        let told = if attempt < 12 { ledger.unknown(attempt) } else { ledger.gave_up(attempt) };
        told.unwrap();
    }
    assert_eq!(ledger.event_attempts(), Attempts { sent: 36, unknown: 36, ..Attempts::default() });
    let all_unknown = EventCounts { sent: 3, unknown: 3, given_up: 3, ..EventCounts::default() };
    assert_eq!(ledger.events(), all_unknown);
    send(&mut ledger, 13, 17, NOON_MS, &[&recs[0]]);
    ledger.acked(13, &[], NOON_MS).unwrap();
    let one_acked = EventCounts { acked: 1, unknown: 2, given_up: 2, ..all_unknown };
    assert_eq!(ledger.events(), one_acked, "a later upload had its answer");
}

#[test]
fn an_event_that_floats_on_one_send_and_has_a_day_on_another_is_one_event() {
    let mut ledger = ledger();
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    let midnight_ms = NOON_MS + 12 * 3_600_000;
    send(&mut ledger, 1, 17, midnight_ms - 100, &[&rec]);
    ledger.unknown(1).unwrap();
    send(&mut ledger, 2, 17, midnight_ms + 3_600_000, &[&rec]);
    assert_eq!(ledger.events(), EventCounts { sent: 1, unknown: 1, ..EventCounts::default() });
    ledger.acked(2, &[], midnight_ms + 3_600_100).unwrap();
    assert_eq!(ledger.events(), EventCounts { sent: 1, acked: 1, ..EventCounts::default() });
}

#[test]
fn strays_are_told_apart() {
    let mut ledger = ledger();
    let rec = Rec::new("a", "i1", NOON_MS);
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    assert_eq!(claim(&ledger, ProjectDay { day: DAY + 1, ..OF }, &rec), Claim::OtherDay(DAY));
    assert_eq!(claim(&ledger, ProjectDay { project: 18, ..OF }, &rec), Claim::OtherProject(17));
    assert_eq!(claim(&ledger, OF, &Rec::new("b", "i1", NOON_MS)), Claim::NeverSent);
}

#[test]
fn a_reupload_joins_its_event_and_any_content_sent_is_allowed() {
    let mut ledger = ledger();
    let first = Rec::new("a", "i1", NOON_MS);
    let second = Rec { note: "edited".into(), ..first.clone() };
    send(&mut ledger, 1, 17, NOON_MS, &[&first]);
    ledger.unknown(1).unwrap();
    send(&mut ledger, 2, 17, NOON_MS + 9, &[&second]);
    ledger.acked(2, &[], NOON_MS + 10).unwrap();
    let entry = ledger.entry(OF, Identity::Keyed(first.key())).unwrap();
    assert_eq!((entry.sends, entry.acks, entry.acked_at_ms), (2, 1, NOON_MS + 10));
    send(&mut ledger, 3, 17, NOON_MS + 20, &[&first]);
    ledger.acked(3, &[], NOON_MS + 30).unwrap();
    let entry = ledger.entry(OF, Identity::Keyed(first.key())).unwrap();
    assert_eq!((entry.acks, entry.acked_at_ms), (2, NOON_MS + 10), "owed since it was first acknowledged");
    let allows = |rec: &Rec| ledger.allows(OF, rec.key(), Content::of(rec.json().as_bytes()));
    assert!(allows(&first) && allows(&second));
    assert!(!allows(&Rec { note: "third".into(), ..first }));
}

#[test]
fn the_day_is_the_projects_own() {
    let mut ledger = ledger();
    let rec = Rec::new("a", "i1", NOON_MS - 6 * 3_600_000); // 06:00Z, the evening before in Los Angeles
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    send(&mut ledger, 2, 18, NOON_MS, &[&rec]);
    let days: Vec<_> = ledger.project_days().map(|of| (of.project, of.day)).collect();
    assert_eq!(days, [(17, DAY), (18, DAY - 1)]);
}

#[test]
fn an_event_without_time_may_arrive_whenever_its_edge_wakes_up() {
    let mut ledger = ledger();
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    let on = |ledger: &Ledger, later: i32| claim(ledger, ProjectDay { day: DAY + later, ..OF }, &rec);
    ledger.unknown(1).unwrap();
    assert_eq!(ledger.project_days().count(), 0);
    assert_eq!([0, 1, 2, 300].map(|later| on(&ledger, later)), [Claim::Good; 4]);
    assert_eq!(on(&ledger, -1), Claim::OtherDay(DAY), "before it was sent");
    send(&mut ledger, 2, 17, NOON_MS + 60_000, &[&rec]);
    ledger.acked(2, &[], NOON_MS + 60_010).unwrap();
    assert_eq!(ledger.project_days().collect::<Vec<_>>(), [OF], "the answer tells the day of the second");
    assert_eq!([0, 2].map(|later| on(&ledger, later)), [Claim::Good; 2], "and of the first says nothing");
}

#[test]
fn an_event_without_time_has_one_day_once_it_is_acknowledged() {
    let mut ledger = ledger();
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    let accepted = ledger.acked(1, &[], NOON_MS + 5).unwrap();
    assert_eq!(accepted[0].days, (DAY, DAY));
    assert_eq!(claim(&ledger, OF, &rec), Claim::Good);
    assert_eq!(claim(&ledger, ProjectDay { day: DAY + 1, ..OF }, &rec), Claim::OtherDay(DAY));
}

#[test]
fn an_event_without_time_around_midnight_floats() {
    let mut ledger = ledger();
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    let midnight_ms = NOON_MS + 12 * 3_600_000;
    send(&mut ledger, 1, 17, midnight_ms - 100, &[&rec]);
    let accepted = ledger.acked(1, &[], midnight_ms + 100).unwrap();
    assert_eq!((accepted[0].days, ledger.project_days().count()), ((DAY, DAY + 1), 0));
    let next = ProjectDay { day: DAY + 1, ..OF };
    assert_eq!((claim(&ledger, OF, &rec), claim(&ledger, next, &rec)), (Claim::Good, Claim::Good));
    assert_eq!(claim(&ledger, ProjectDay { day: DAY + 2, ..OF }, &rec), Claim::OtherDay(DAY));
    let other = Rec { time_ms: None, ..Rec::new("a", "i2", NOON_MS) };
    send(&mut ledger, 2, 17, midnight_ms, &[&other]);
    ledger.acked(2, &[0], midnight_ms + 10).unwrap();
    assert_eq!(claim(&ledger, next, &other), Claim::Rejected);
}

#[test]
fn how_far_around_midnight_follows_from_the_answer_and_the_skew() {
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    let midnight_ms = NOON_MS + 12 * 3_600_000;
    let floats = |sent_at_ms, acked_at_ms| {
        let mut ledger = ledger();
        send(&mut ledger, 1, 17, sent_at_ms, &[&rec]);
        ledger.acked(1, &[], acked_at_ms).unwrap();
        ledger.project_days().count() == 0
    };
    let skew_ms = Settings::default().clock_skew_ms;
    assert!(!floats(midnight_ms - 60_000, midnight_ms - skew_ms - 1));
    assert!(floats(midnight_ms - 60_000, midnight_ms - skew_ms));
    assert!(floats(midnight_ms + skew_ms - 1, midnight_ms + 60_000));
    assert!(!floats(midnight_ms + skew_ms, midnight_ms + 60_000));
}

#[test]
fn an_answer_bounds_one_copy_of_a_send_that_the_network_may_double() {
    let mut zones = Zones::default();
    zones.set(17, 0, "UTC").unwrap();
    let mut ledger = Ledger::new(Settings { deliveries_per_send: 2, ..Settings::default() }, zones);
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    assert_eq!(ledger.acked(1, &[], NOON_MS + 5).unwrap()[0].days, (DAY, DAY));
    let key = (17, Identity::Keyed(rec.key()));
    let unaccounted = |found: &[(i32, u32)]| {
        let found = found.iter().copied().collect();
        ledger.unaccounted(key, &found, 0).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(unaccounted(&[(DAY, 1), (DAY + 2, 1)]), []);
    assert_eq!(unaccounted(&[(DAY, 2), (DAY + 2, 1)]), [(DAY + 2, 1)]);
}

#[test]
fn copies_on_several_days_are_matched_to_sends_that_may_be_there() {
    let mut ledger = ledger();
    let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
    let day_ms = 24 * 3_600_000;
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    ledger.unknown(1).unwrap();
    send(&mut ledger, 2, 17, NOON_MS + day_ms, &[&rec]);
    ledger.unknown(2).unwrap();
    send(&mut ledger, 3, 17, NOON_MS + day_ms, &[&rec]);
    ledger.acked(3, &[], NOON_MS + day_ms + 10).unwrap();
    let key = (17, Identity::Keyed(rec.key()));
    let unaccounted = |found: &[(i32, u32)]| {
        let found = found.iter().map(|(day, count)| (DAY + day, *count)).collect();
        let unaccounted = ledger.unaccounted(key, &found, 0);
        unaccounted.into_iter().map(|(day, count)| (day - DAY, count)).collect::<Vec<_>>()
    };
    assert_eq!(unaccounted(&[(0, 1), (1, 1), (5, 1)]), []);
    assert_eq!(unaccounted(&[(1, 3)]), []);
    assert_eq!(unaccounted(&[(0, 2)]), [(0, 1)], "one was sent that day");
    assert_eq!(unaccounted(&[(0, 1), (1, 1), (3, 1), (4, 1)]), [(4, 1)], "three were sent in all");
}

#[test]
fn an_event_with_a_time_floats_while_its_zone_is_edited() {
    let mut zones = Zones::default();
    zones.set(17, 0, "UTC").unwrap();
    zones.set(17, NOON_MS, "Pacific/Kiritimati").unwrap(); // 14 hours ahead
    let mut ledger = Ledger::new(Settings::default(), zones);
    let rec = Rec::new("a", "i1", NOON_MS - 3_600_000);
    send(&mut ledger, 1, 17, NOON_MS - 5, &[&rec]);
    let next = ProjectDay { day: DAY + 1, ..OF };
    assert_eq!((claim(&ledger, OF, &rec), claim(&ledger, next, &rec)), (Claim::Good, Claim::Good));
    send(&mut ledger, 2, 17, NOON_MS + 5_000, &[&Rec::new("a", "i2", NOON_MS - 3_600_000)]);
    assert_eq!(ledger.project_days().collect::<Vec<_>>(), [next]);
}

#[test]
fn the_harness_is_told_of_its_own_mistakes() {
    let mut ledger = ledger();
    let rec = Rec::new("a", "i1", NOON_MS);
    assert_eq!(ledger.unknown(1), Err(LedgerError::NotUnderWay(1)));
    send(&mut ledger, 1, 17, NOON_MS, &[&rec]);
    let request = ClientRequest { id: 1, project: 17, sent_at_ms: NOON_MS, digest: 0, events: &[] };
    assert_eq!(ledger.sent(&request), Err(LedgerError::UsedTwice(1)));
    assert_eq!(
        ledger.acked(1, &[1], NOON_MS),
        Err(LedgerError::NoSuchItem { request: 1, item: 1, items: 1 })
    );
    ledger.rejected(1).unwrap();
    let json = rec.json();
    let request = ClientRequest { id: 2, project: 99, events: &[sent_event(&rec, &json)], ..request };
    assert_eq!(ledger.sent(&request), Err(LedgerError::Zone(ZoneError::UnknownProject(99))));
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
