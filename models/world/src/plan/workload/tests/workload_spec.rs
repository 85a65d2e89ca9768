//! Tests that shares and times match the specification.

use super::*;
use latent_oracle::json_text::compact_json;

struct StreamStats<'a> {
    request: &'a PlannedRequest,
    event: &'a PlannedEvent,
}

fn seen(requests: &[PlannedRequest]) -> Vec<StreamStats<'_>> {
    let all = requests
        .iter()
        .flat_map(|request| request.events.iter().map(move |event| StreamStats { request, event }));
    all.collect()
}

impl StreamStats<'_> {
    fn is_late(&self) -> bool {
        self.event.time_ms.is_some_and(|time_ms| self.request.at_ms - time_ms >= LATE_MS)
    }

    fn home(&self, spec: &WorkloadSpec) -> (i64, i64) {
        zone(FIRST_DAY + (self.event.index / spec.stride()) as i32)
    }
}

fn share_ppm(all: &[StreamStats<'_>], what: impl Fn(&StreamStats<'_>) -> bool) -> u64 {
    all.iter().filter(|seen| what(seen)).count() as u64 * 1_000_000 / all.len() as u64
}

fn firsts(requests: &[PlannedRequest]) -> Vec<StreamStats<'_>> {
    seen(requests).into_iter().filter(|seen| !seen.event.is_resend && seen.event.is_valid()).collect()
}

#[test]
fn volumes_match_the_specification() {
    for (spec, range) in [(spec(), 600..=1_000), (small(4, "t", "s"), 4..=60)] {
        let requests = run(&spec, 8);
        for day in 0..8 {
            let of_day = |event: &PlannedEvent| event.index / spec.stride() == day && !event.is_resend;
            let count =
                requests.iter().flat_map(|request| &request.events).filter(|event| of_day(event)).count();
            assert!(range.contains(&count), "{count} events on day {day}");
        }
    }
}

#[test]
fn late_shares_match_the_specification() {
    for (share, low, high) in
        [(5_000, 4_000, 6_000), (300_000, 285_000, 315_000), (960_000, 950_000, 970_000)]
    {
        let mut spec = spec();
        (spec.late.share_ppm, spec.no_time_ppm) = (share, 0);
        let requests = run(&spec, 40);
        let all = firsts(&requests);
        let late = share_ppm(&all, |seen| seen.is_late());
        assert!((low..=high).contains(&late), "{late} ppm are late, {share} were asked for");
    }
}

#[test]
fn most_late_events_arrive_before_their_day_ends() {
    let spec = offline(5, "t", "s", 960_000);
    let requests = run(&spec, 20);
    let late: Vec<StreamStats<'_>> = firsts(&requests).into_iter().filter(StreamStats::is_late).collect();
    let same_day = share_ppm(&late, |seen| seen.request.at_ms < seen.home(&spec).1);
    assert!((760_000..880_000).contains(&same_day), "{same_day} ppm of the late ones");
    let long = share_ppm(&late, |seen| {
        seen.event.time_ms.is_some_and(|time_ms| seen.request.at_ms - time_ms > 31 * HOUR_MS)
    });
    assert!((10_000..80_000).contains(&long), "{long} ppm came in after more than 31 h");
}

#[test]
fn events_lie_on_the_day_of_their_index() {
    let mut spec = spec();
    spec.late.share_ppm = 400_000;
    let requests = run(&spec, 6);
    for seen in firsts(&requests) {
        let (start_ms, end_ms) = seen.home(&spec);
        let Some(time_ms) = seen.event.time_ms else { continue };
        let ahead = time_ms > seen.request.at_ms;
        assert!(ahead || (start_ms..end_ms).contains(&time_ms), "event {}", seen.event.index);
        assert!(time_ms - seen.request.at_ms <= 50 * MINUTE_MS);
        assert!(!ahead || seen.request.api.is_import());
    }
}

#[test]
fn some_events_of_a_day_arrive_just_after_its_midnight() {
    let spec = spec();
    let requests = run(&spec, 10);
    let after = |seen: &&StreamStats<'_>| !seen.is_late() && seen.request.at_ms >= seen.home(&spec).1;
    let count = firsts(&requests).iter().filter(after).count();
    assert!(count > 30, "{count} on-time events crossed midnight");
}

#[test]
fn no_event_too_old_for_track_is_sent_to_it() {
    let mut spec = spec();
    (spec.late.share_ppm, spec.late.same_day_ppm, spec.late.long_ppm) = (500_000, 0, 1_000_000);
    spec.late.long_by_ms = (100 * HOUR_MS, 10 * 24 * HOUR_MS);
    let requests = run(&spec, 5);
    let all = firsts(&requests);
    let age_ms =
        |seen: &StreamStats<'_>| seen.event.time_ms.map_or(0, |time_ms| seen.request.at_ms - time_ms);
    assert!(all.iter().filter(|seen| age_ms(seen) > 5 * 24 * HOUR_MS).count() > 500);
    assert!(
        all.iter().filter(|seen| !seen.request.api.is_import()).all(|seen| age_ms(seen) < 4 * 24 * HOUR_MS)
    );
}

#[test]
fn shares_of_unusual_events_match_the_specification() {
    let mut spec = spec();
    (spec.no_insert_id_ppm, spec.no_time_ppm, spec.invalid_ppm) = (50_000, 40_000, 30_000);
    (spec.resend_ppm, spec.shared_insert_id_ppm, spec.huge_ppm) = (60_000, 100_000, 0);
    let requests = run(&spec, 40);
    let all = seen(&requests);
    let near = |what: &str, found: u64, asked: u64| {
        assert!(found.abs_diff(asked) < asked / 8, "{what}: {found} ppm, {asked} were asked for");
    };
    let once: Vec<StreamStats<'_>> =
        seen(&requests).into_iter().filter(|seen| !seen.event.is_resend).collect();
    near("without $insert_id", share_ppm(&once, |seen| seen.event.insert_id.is_none()), 48_000);
    near("without time", share_ppm(&once, |seen| seen.event.time_ms.is_none()), 39_000);
    near("invalid", share_ppm(&once, |seen| !seen.event.is_valid()), 30_000);
    near("sent again", share_ppm(&all, |seen| seen.event.is_resend), 50_000);
    let mut by_id: BTreeMap<(&str, &str), Vec<&StreamStats<'_>>> = BTreeMap::new();
    for seen in once.iter().filter(|seen| seen.event.is_valid()) {
        if let Some(insert_id) = &seen.event.insert_id {
            by_id.entry((&seen.event.distinct_id, insert_id)).or_default().push(seen);
        }
    }
    let pairs: Vec<_> = by_id.values().filter(|events| events.len() > 1).collect();
    // Every second event can share its neighbour's id, if the neighbour has one.
    near("sharing", pairs.len() as u64 * 1_000_000 / once.len() as u64, 45_000);
    assert!(pairs.iter().all(|pair| pair.len() == 2 && pair[0].event.name != pair[1].event.name));
}

#[test]
fn a_second_sending_equals_the_first_except_for_white_space() {
    let mut spec = spec();
    spec.resend_ppm = 100_000;
    let requests = run(&spec, 6);
    let all = seen(&requests);
    let first = |index| all.iter().find(|seen| seen.event.index == index && !seen.event.is_resend).unwrap();
    let again: Vec<_> = all.iter().filter(|seen| seen.event.is_resend).collect();
    assert!(again.len() > 300);
    for second in again {
        let first = first(second.event.index);
        assert_eq!(compact_json(&first.event.json), compact_json(&second.event.json));
        assert!(second.request.at_ms > first.request.at_ms);
        assert!(first.event.insert_id.is_some());
    }
}

#[test]
fn sizes_match_the_specification() {
    let mut spec = spec();
    let requests = run(&spec, 4);
    let all = firsts(&requests);
    let bytes = |seen: &StreamStats<'_>| compact_json(&seen.event.json).len();
    let mean = all.iter().map(bytes).sum::<usize>() / all.len();
    assert!((230..290).contains(&mean), "{mean} bytes on average");
    assert!(all.iter().all(|seen| (150..=400).contains(&bytes(seen))));
    (spec.events_per_day, spec.event_bytes) = ((50, 50), (2_000, 2_000));
    let requests = run(&spec, 1);
    assert!(firsts(&requests).iter().all(|seen| bytes(seen) == 2_000));
}

#[test]
fn huge_events_have_their_own_requests() {
    let mut spec = spec();
    spec.huge_ppm = 10_000;
    let requests = run(&spec, 2);
    let is_huge = |event: &PlannedEvent| event.json.len() > 100_000;
    let with_huge: Vec<_> = requests.iter().filter(|request| request.events.iter().any(is_huge)).collect();
    assert!(with_huge.len() > 4);
    assert!(with_huge.iter().all(|request| request.events.len() == 1 && request.text.len() < 1_000_000));
}

#[test]
fn invalid_specifications_are_rejected() {
    type SpecChange = fn(&mut WorkloadSpec);
    let cases: [(SpecChange, &str); 12] = [
        (|spec| spec.events_per_day = (9, 3), "events_per_day is 9..=3"),
        (|spec| spec.requests_per_day = 0, "requests_per_day is 0"),
        (|spec| spec.requests_per_day = 100_000, "requests_per_day is 0..=100000"),
        (|spec| spec.late.by_ms.0 = HOUR_MS, "late.by_ms is 3600000..=108000000"),
        (|spec| spec.resend_ppm = 1_000_001, "resend_ppm is 1000001 parts"),
        (|spec| spec.late.long_ppm = 900_000, "late.same_day_ppm + late.long_ppm"),
        (
            |spec| {
                (spec.api.import_json, spec.api.import_ndjson) = (0, 0);
                spec.late.long_by_ms.1 = 200 * HOUR_MS;
            },
            "give the import a weight",
        ),
        (
            |spec| spec.offline_windows = vec![OfflineWindow { from_ms: 9, to_ms: 3, share_ppm: 1 }],
            "offline_windows is 9..=3",
        ),
        (
            |spec| spec.clock_skews = vec![ClockSkew { by_ms: 9, share_ppm: 2_000_000 }],
            "clock_skews.share_ppm is 2000000 parts",
        ),
        (
            |spec| {
                let burst =
                    |from: i64, to: i64| Burst { from_ms: from * MINUTE_MS, to_ms: to * MINUTE_MS, times: 2 };
                spec.bursts = vec![burst(20, 30), burst(10, 21)];
            },
            "bursts is 600000..=1260000; give minimum and maximum, over before the next one begins",
        ),
        (
            |spec| {
                spec.events_per_day.1 = 200_000;
                spec.bursts = vec![Burst { from_ms: 1, to_ms: 2, times: 100 }];
            },
            "events a day is 0..=20000000",
        ),
        (
            |spec| spec.bursts = vec![Burst { from_ms: 1, to_ms: 2, times: 100 }],
            "bursts: length is 60000..=1; give minimum and maximum, at least a minute",
        ),
    ];
    for (change, expected) in cases {
        let mut spec = spec();
        assert_eq!(spec.check(), Ok(()));
        change(&mut spec);
        let error = RequestStream::new(spec, 0..1, 0..1, zone, draw).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
