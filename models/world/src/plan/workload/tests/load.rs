//! Tests of bursts, offline devices and wrong clocks in a stream.

use super::*;
use latent_oracle::json_text::compact_json;
use std::collections::BTreeSet;

/// A burst from noon to four on the second day.
fn window_ms() -> (i64, i64) {
    let (start_ms, _) = zone(FIRST_DAY + 1);
    (start_ms + 11 * HOUR_MS, start_ms + 15 * HOUR_MS)
}

fn burst(times: u32) -> Burst {
    let (from_ms, to_ms) = window_ms();
    Burst { from_ms, to_ms, times }
}

/// All devices are offline from noon of the second day until the morning of the third.
fn absence(share_ppm: u32) -> OfflineWindow {
    let from_ms = window_ms().0;
    OfflineWindow { from_ms, to_ms: from_ms + 20 * HOUR_MS, share_ppm }
}

fn events(requests: &[PlannedRequest]) -> impl Iterator<Item = (&PlannedRequest, &PlannedEvent)> {
    requests.iter().flat_map(|request| request.events.iter().map(move |event| (request, event)))
}

/// The specification without late and re-sent events, so that on-time events can be counted.
fn on_time() -> WorkloadSpec {
    let mut spec = spec();
    (spec.late.share_ppm, spec.resend_ppm) = (0, 0);
    spec
}

#[test]
fn a_burst_adds_events_in_its_window_and_leaves_all_others_unchanged() {
    let mut spec = on_time();
    let usual = run(&spec, 3);
    spec.bursts = vec![burst(20)];
    let with_burst = run(&spec, 3);
    let (usual_sent, sent) = (sendings(&usual), sendings(&with_burst));
    assert!(usual_sent.iter().all(|(key, sending)| sent.get(key) == Some(sending)));
    let (from_ms, to_ms) = window_ms();
    let added: Vec<&Sending> =
        sent.iter().filter(|(key, _)| !usual_sent.contains_key(key)).map(|(_, sending)| sending).collect();
    assert!(added.iter().all(|(_, at_ms, ..)| (from_ms..to_ms).contains(at_ms)));
    let expected =
        events(&usual).filter(|(request, _)| (from_ms..to_ms).contains(&request.at_ms)).count() * 19;
    // Usual events are in few slots, so the number in the window only approximates the load curve.
    let (min, max) = (expected * 3 / 4, expected * 5 / 4);
    assert!((min..=max).contains(&added.len()), "{} added, about {expected} expected", added.len());
    let moments: BTreeSet<i64> = added.iter().map(|(_, at_ms, ..)| *at_ms).collect();
    assert!(moments.len() > 100, "a burst comes in requests of its own: {}", moments.len());
    let ids: BTreeSet<_> = events(&with_burst).filter_map(|(_, event)| event.insert_id.as_ref()).collect();
    let with_id = events(&with_burst).filter(|(_, event)| event.insert_id.is_some()).count();
    assert!(with_id - ids.len() <= usual_sent.len() / 100, "events of a burst have identities of their own");
    let keys: BTreeSet<u64> = with_burst.iter().map(|request| request.key).collect();
    assert_eq!(keys.len(), with_burst.len());
}

#[test]
fn a_burst_over_midnight_is_split_between_both_days() {
    let mut spec = on_time();
    let midnight_ms = zone(FIRST_DAY + 1).1;
    spec.bursts = vec![Burst { from_ms: midnight_ms - HOUR_MS, to_ms: midnight_ms + HOUR_MS, times: 30 }];
    let usual = sendings(&run(&law_without(&spec), 3));
    let requests = run(&spec, 3);
    let extra = |from_ms: i64| {
        let within = from_ms..from_ms + HOUR_MS;
        let is_new = |event: &PlannedEvent| !usual.contains_key(&(event.index, event.is_resend));
        events(&requests).filter(|(request, event)| is_new(event) && within.contains(&request.at_ms)).count()
    };
    // The last hour of the day has 4 of 122 parts of its load, the first one 3; of 600 to 1,000 events, 29 times. The
    // first of the two days has 23 hours, so each hour carries slightly more.
    let (before, after) = (extra(midnight_ms - HOUR_MS), extra(midnight_ms));
    assert!((570..=993).contains(&before), "{before}");
    assert!((427..=714).contains(&after), "{after}");
}

fn law_without(spec: &WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec { bursts: Vec::new(), offline_windows: Vec::new(), clock_skews: Vec::new(), ..spec.clone() }
}

#[test]
fn a_burst_event_is_kept_with_its_base_event_unchanged() {
    let mut spec = on_time();
    spec.bursts = vec![burst(10)];
    let all = sendings(&run(&spec, 3));
    spec.kept_indices = vec![0..10, spec.stride() + 5..spec.stride() + 40];
    let some = sendings(&run(&spec, 3));
    assert!(some.len() > 50 && some.len() < all.len() / 4, "{} of {}", some.len(), all.len());
    assert!(some.iter().all(|(key, sending)| all.get(key) == Some(sending)));
}

#[test]
fn offline_devices_send_everything_at_once_on_their_return() {
    let mut spec = spec();
    let usual = run(&spec, 4);
    spec.offline_windows = vec![absence(500_000)];
    let with_absence = run(&spec, 4);
    let OfflineWindow { from_ms, to_ms, .. } = spec.offline_windows[0];
    let (usual_sent, sent) = (sendings(&usual), sendings(&with_absence));
    assert_eq!(usual_sent.len(), sent.len(), "nothing is lost or added");
    let (mut kept_back, mut in_window) = (0, 0);
    for (key, (_, at_ms, identity, json, time_ms)) in &sent {
        let (_, usual_ms, usual_identity, usual_json, usual_time_ms) = &usual_sent[key];
        assert_eq!((identity, time_ms), (usual_identity, usual_time_ms));
        assert_eq!(
            compact_json(json),
            compact_json(usual_json),
            "by another way it may be laid out otherwise"
        );
        in_window += u32::from((from_ms..to_ms).contains(usual_ms));
        if at_ms != usual_ms {
            kept_back += 1;
            assert!((from_ms..to_ms).contains(usual_ms));
            assert!((to_ms..=to_ms + BACK_WITHIN_MS).contains(at_ms));
        }
    }
    assert!((in_window * 2 / 5..=in_window * 3 / 5).contains(&kept_back), "{kept_back} of {in_window}");
    // One send time per device; requests that cannot be combined are sent at the same time.
    let back =
        with_absence.iter().filter(|request| (to_ms..=to_ms + BACK_WITHIN_MS).contains(&request.at_ms));
    let moments: BTreeSet<i64> = back.clone().map(|request| request.at_ms).collect();
    assert!((60..=130).contains(&moments.len()), "{} of 200 devices", moments.len());
    assert!(with_absence.is_sorted_by_key(|request| request.at_ms));
    let keys: BTreeSet<u64> = with_absence.iter().map(|request| request.key).collect();
    assert_eq!(keys.len(), with_absence.len());
}

#[test]
fn a_device_may_return_into_the_next_offline_window() {
    let mut spec = on_time();
    let first = absence(1_000_000);
    let second = OfflineWindow {
        from_ms: first.to_ms - HOUR_MS,
        to_ms: first.to_ms + 5 * HOUR_MS,
        share_ppm: 1_000_000,
    };
    spec.offline_windows = vec![second, first];
    let requests = run(&spec, 3);
    let silent = first.from_ms..second.to_ms;
    assert!(requests.iter().all(|request| !silent.contains(&request.at_ms)));
    assert!(requests.iter().any(|request| request.at_ms > second.to_ms));
}

#[test]
fn events_that_became_too_old_for_track_have_their_own_requests() {
    let mut spec = on_time();
    (spec.api.import_json, spec.api.import_ndjson, spec.invalid_ppm) = (0, 0, 0);
    let from_ms = zone(FIRST_DAY).0;
    spec.offline_windows =
        vec![OfflineWindow { from_ms, to_ms: from_ms + 150 * HOUR_MS, share_ppm: 1_000_000 }];
    let requests = run(&spec, 8);
    let age_ms =
        |request: &PlannedRequest, event: &PlannedEvent| request.at_ms - event.time_ms.unwrap_or(i64::MAX);
    let old: Vec<_> =
        events(&requests).filter(|(request, event)| age_ms(request, event) >= 96 * HOUR_MS).collect();
    assert!(old.len() > 1_000 && old.iter().all(|(request, _)| request.events.len() == 1));
    let young = events(&requests).filter(|(request, event)| age_ms(request, event) < 96 * HOUR_MS);
    assert!(young.filter(|(request, _)| request.events.len() > 1).count() > 1_000);
}

#[test]
fn a_wrong_clock_affects_every_event_of_its_device_and_no_other() {
    const YEAR_MS: i64 = 365 * DAY_MS;
    let mut spec = spec();
    spec.invalid_ppm = 0;
    let usual = run(&spec, 3);
    for by_ms in [-2 * YEAR_MS, -50 * MINUTE_MS, -47 * YEAR_MS, 3 * DAY_MS + 1] {
        spec.clock_skews = vec![ClockSkew { by_ms, share_ppm: 250_000 }];
        let requests = run(&spec, 3);
        let (usual_sent, sent) = (sendings(&usual), sendings(&requests));
        assert_eq!(usual_sent.len(), sent.len());
        let (mut wrong, mut right) = (BTreeSet::new(), BTreeSet::new());
        for (request, event) in events(&requests) {
            let (_, at_ms, _, _, time_ms) = &usual_sent[&(event.index, event.is_resend)];
            assert_eq!(request.at_ms, *at_ms);
            if event.time_ms == *time_ms {
                // Events without a time are not affected.
                let told = time_ms.is_some() && !event.distinct_id.is_empty();
                right.extend(told.then_some(&event.distinct_id));
                continue;
            }
            let (reported_ms, true_ms) = (event.time_ms.unwrap(), time_ms.unwrap());
            // Times in whole seconds lose the fraction.
            let expected_ms = (true_ms + by_ms).max(0);
            assert!(
                (expected_ms - 999..=expected_ms).contains(&reported_ms),
                "{reported_ms} of {expected_ms}"
            );
            assert!(request.api.is_import() || request.events.len() == 1);
            wrong.extend((!event.distinct_id.is_empty()).then_some(&event.distinct_id));
            let text: serde_json::Value = serde_json::from_slice(&event.json).unwrap();
            let written = text["properties"]["time"].as_f64().unwrap();
            let is_ms = written > 31_536_000_000.0;
            let written_ms = if is_ms { written } else { written * 1_000.0 };
            assert!((written_ms - reported_ms as f64).abs() < 1.0, "{written} is not {reported_ms}");
        }
        assert!(right.is_disjoint(&wrong), "a device's clock is wrong always or never");
        assert!((30..=70).contains(&wrong.len()), "{} of 200 devices", wrong.len());
    }
}
