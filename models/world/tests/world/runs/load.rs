//! Tests of load patterns: their place in the plan, invalid ones, and the effect of each on a complete run.

use super::test_run::{CALM, TestRun};
use latent_engine::{Scenario, System};
use latent_world::marks;
use latent_world::{Latent, WorldConfig, WorldPlan};

fn text(fields: &str) -> String {
    CALM.replace(r#""drills": 1,"#, &format!(r#""drills": 1, {fields}"#))
}

fn scenario(fields: &str) -> Scenario<WorldConfig> {
    latent_engine::parse::<Latent>("calm.json", &text(fields)).unwrap_or_else(|error| panic!("{error}"))
}

fn load(items: &str) -> String {
    format!(r#""load": [{items}],"#)
}

fn ran(scenario: &Scenario<WorldConfig>, seed: u64) -> TestRun {
    TestRun::execute(scenario, seed)
}

const BURST: &str =
    r#"{ "burst": { "from": "2016-02-20T06:00:00Z", "for": "6h", "times": 20, "project": 2 } }"#;
const OFFLINE: &str =
    r#"{ "offline": { "from": "2016-02-20T10:00:00Z", "for": "26h", "share_ppm": 400000 } }"#;
const STORM: &str = r#"{ "retry_storm": { "from": "2016-02-20T06:00:00Z", "for": "1d" } }"#;
const CLOCKS: &str = r#"
    { "device_clocks": { "share_ppm": 100000, "by": { "ahead": "50m" } } },
    { "device_clocks": { "share_ppm": 100000, "by": { "behind": "1000d" } } },
    { "device_clocks": { "share_ppm": 100000, "by": { "ahead": "2d" } } }"#;
const BACKLOG: &str = r#"{ "backlog": {} }"#;

/// Tutorial: load patterns of a scenario become parts of a project's workload and retry policy, and are printed among
/// the choices.
#[test]
fn load_patterns_become_parts_of_the_plan_and_are_printed() {
    let calm = Latent::expand(&scenario(""), 7);
    let plan = Latent::expand(&scenario(&load(&[BURST, OFFLINE, STORM, CLOCKS, BACKLOG].join(","))), 7);
    let written = serde_json::to_value(&plan).unwrap();
    let impatient_windows = |project: usize| {
        let windows = written["tenants"][project - 1]["retry_policy"]["impatient_windows"].as_array();
        windows.map_or(0, Vec::len)
    };
    let counts = |project: usize| {
        let tenant = &plan.tenants[project - 1];
        let spec = &tenant.workload;
        (spec.bursts.len(), spec.offline_windows.len(), spec.clock_skews.len(), impatient_windows(project))
    };
    assert_eq!((counts(1), counts(2)), ((0, 1, 3, 1), (1, 1, 3, 1)));
    let words = Latent::choices(&plan);
    let added: Vec<&String> = words.iter().filter(|line| !Latent::choices(&calm).contains(line)).collect();
    assert_eq!(
        added,
        [
            "in 3 projects 10.00% of devices have clocks that are 1000 d behind",
            "in 3 projects 10.00% of devices have clocks that are 2 d ahead",
            "in 3 projects 10.00% of devices have clocks that are 50 m ahead",
            "in 1 project 20 times the events from 2016-02-20 06:00:00Z for 6 h",
            "in 3 projects 40.00% of devices out of reach from 2016-02-20 10:00:00Z for 1 d 2 h",
            "in 3 projects clients keep what they cannot send",
            "in 3 projects clients wait at most 15 ms from 2016-02-20 06:00:00Z for 1 d",
        ]
    );
    let written = serde_json::to_string(&plan).unwrap();
    let read: WorldPlan = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
}

#[test]
fn a_scenario_without_load_patterns_has_no_load_fields_in_its_plan() {
    let plan = serde_json::to_string(&Latent::expand(&scenario(""), 7)).unwrap();
    for field in ["offline_windows", "clock_skews", "silent_from_ms", "retry_policy", "\"load\""] {
        assert!(!plan.contains(field), "{field} stands in a plan without load");
    }
    assert!(plan.contains(r#""bursts":[]"#));
}

#[test]
fn invalid_load_patterns_are_rejected_with_their_position() {
    let burst = |fields: &str| format!(r#"{{ "burst": {{ {fields} }} }}"#);
    let at = |from: &str, duration: &str| format!(r#""from": "2016-02-{from}:00:00Z", "for": "{duration}""#);
    let good = at("20T06", "3h");
    let cases = [
        (burst(&format!(r#"{good}, "times": 1"#)), "/times cannot be 1", "from 2 to 100"),
        (burst(&format!(r#"{good}, "times": 101"#)), "/times cannot be 101", "from 2 to 100"),
        (burst(&format!(r#"{good}, "times": 9, "project": 4"#)), "unknown project 4", "from 1 to 3"),
        (burst(&format!(r#"{}, "times": 9"#, at("22T06", "1h"))), "outside the run", "to before 2016-02-22"),
        (
            r#"{ "silence": { "from": "2016-02-22T06:00:00Z" } }"#.to_owned(),
            "outside the run",
            "to before 2016-02-22",
        ),
        (burst(&format!(r#"{}, "times": 9"#, at("21T23", "2h"))), "is not over", "at most 1h, or begin"),
        (burst(&format!(r#"{}, "times": 9"#, at("20T23", "59s"))), "a load of 59s", "at least 1m"),
        (
            format!(r#"{BURST}, {}"#, burst(&format!(r#"{}, "times": 9"#, at("20T08", "2h")))),
            "is not over then",
            "follow each other",
        ),
        (
            format!(r#"{{ "offline": {{ {}, "share_ppm": 1 }} }}"#, at("21T23", "1h")),
            "is not over",
            "at most 54m59s999ms, or begin",
        ),
        (
            format!(r#"{{ "offline": {{ {good}, "share_ppm": 0 }} }}"#),
            "a share of 0 parts",
            "from 1 to 1000000",
        ),
        (
            format!(r#"{{ "retry_storm": {{ {good}, "wait": "61s" }} }}"#),
            "clients that wait 1m1s",
            "from 1ms to 1m",
        ),
        (
            r#"{ "device_clocks": { "share_ppm": 9, "by": { "behind": "500ms" } } }"#.to_owned(),
            "clocks wrong by 500ms",
            "from 1s to 18300d",
        ),
    ];
    for (items, message, hint) in cases {
        let refused =
            latent_engine::parse::<Latent>("calm.json", &text(&load(&items))).unwrap_err().to_string();
        assert!(refused.contains(message) && refused.contains(hint), "{items}\n{refused}");
        assert!(refused.contains("calm.json:13:"), "it points at the item: {refused}");
    }
}

#[test]
fn a_burst_of_one_hot_project_ends_clean() {
    let (calm, hot) = (ran(&scenario(""), 7), ran(&scenario(&load(BURST)), 7));
    calm.assert_clean();
    hot.assert_clean();
    let (calm, hot) = (&calm.judged.findings, &hot.judged.findings);
    let added = hot.events.sent - calm.events.sent;
    // From 1 to 7 at night in New York, 10 of 122 parts of a day's 110 to 150 events are sent, 19 times.
    assert!((171..=234).contains(&added), "{added} events more");
    assert!(hot.events.acked >= calm.events.acked + added * 95 / 100, "new events are judged like any other");
    assert!(hot.requests.sent > calm.requests.sent + 15);
}

#[test]
fn a_customer_that_falls_silent_sends_nothing_more_and_ends_clean() {
    let silence = r#"{ "silence": { "from": "2016-02-20T12:00:00Z", "project": 2 } }"#;
    let (calm, silent) = (ran(&scenario(""), 7), ran(&scenario(&load(silence)), 7));
    silent.assert_clean();
    let (calm, silent) = (&calm.judged.findings.events, &silent.judged.findings.events);
    // Three customers send for two days; one of them stops after a quarter of the time.
    assert!(silent.sent < calm.sent * 85 / 100, "{} of {} events", silent.sent, calm.sent);
    let words = Latent::choices(&Latent::expand(&scenario(&load(silence)), 7));
    assert!(words.iter().any(|line| line == "in 1 project silent from 2016-02-20 12:00:00Z on"), "{words:?}");
}

#[test]
fn phones_that_return_after_a_day_end_clean() {
    let (calm, offline) = (ran(&scenario(""), 7), ran(&scenario(&load(OFFLINE)), 7));
    offline.assert_clean();
    let (calm, offline) = (&calm.judged.findings, &offline.judged.findings);
    assert!(
        offline.events.sent.abs_diff(calm.events.sent) * 20 < calm.events.sent,
        "events are late, not lost"
    );
    // 40 devices per project, each with one request or more on its return.
    assert!(offline.requests.sent > calm.requests.sent, "{} {}", offline.requests.sent, calm.requests.sent);
    assert_eq!(offline.events.unknown, 0);
}

#[test]
fn a_retry_storm_stores_most_events_again_and_ends_clean() {
    let (calm, storm) = (ran(&scenario(""), 7), ran(&scenario(&load(STORM)), 7));
    storm.assert_clean();
    assert_eq!((calm.marks(marks::CLIENT_IMPATIENT_RETRY), calm.judged.findings.requests.unknown), (0, 0));
    let hurried = storm.marks(marks::CLIENT_IMPATIENT_RETRY);
    let (calm, storm) = (&calm.judged.findings, &storm.judged.findings);
    assert_eq!(storm.requests.unknown, hurried, "each send that was not waited for is known as such");
    // The retry storm lasts half of the run.
    assert!(hurried > calm.requests.sent / 2, "{hurried} of {} were hurried", calm.requests.sent);
    assert_eq!(storm.requests.sent, calm.requests.sent + hurried, "each retry is a request of its own");
    assert_eq!(storm.events.unknown + storm.events.acked + storm.events.rejected, storm.events.sent);
}

#[test]
fn events_of_wrong_clocks_are_accepted_as_the_api_specifies() {
    let (calm, wrong) = (ran(&scenario(""), 7), ran(&scenario(&load(CLOCKS)), 7));
    wrong.assert_clean();
    let (calm, wrong) = (&calm.judged.findings, &wrong.judged.findings);
    assert_eq!(wrong.events.sent, calm.events.sent);
    // A tenth of the devices is two days ahead, which no format accepts; a tenth is years behind, which half of the
    // formats accept.
    let refused = wrong.events.rejected - calm.events.rejected;
    assert!((calm.events.sent / 20..calm.events.sent / 4).contains(&refused), "{refused} refused");
}

#[test]
fn after_an_outage_of_hours_only_clients_with_a_backlog_send_everything() {
    let kill = |edge: u32| {
        format!(
            r#"{{ "trigger": {{ "at": "2016-02-20T08:00:00Z" }},
                  "action": {{ "kill": {{ "node": "edge-{edge}", "restart_after_ms": 21600000 }} }} }}"#
        )
    };
    let outage = format!(r#""faults": [{}, {}],"#, kill(1), kill(2));
    let calm = ran(&scenario(""), 7);
    let dropped = ran(&scenario(&outage), 7);
    let kept = ran(&scenario(&format!("{outage} {}", load(BACKLOG))), 7);
    dropped.assert_sound();
    kept.assert_sound();
    assert!(dropped.marks(marks::CLIENT_GAVE_UP) > 0 && kept.marks(marks::CLIENT_GAVE_UP) == 0);
    assert!(kept.marks(marks::CLIENT_REQUEUED) > 0 && dropped.marks(marks::CLIENT_REQUEUED) == 0);
    let (given_up, all_kept) = (&dropped.judged.findings.events, &kept.judged.findings.events);
    assert!(given_up.given_up > 0 && given_up.given_up == given_up.unknown, "{given_up:?}");
    assert_eq!((all_kept.given_up, all_kept.unknown), (0, 0));
    assert_eq!(given_up.sent, calm.judged.findings.events.sent, "a retry is not another event");
    assert!(dropped.judged.findings.event_attempts.sent > given_up.sent + 10 * given_up.given_up);
    let acked = |run: &TestRun| run.judged.findings.events.acked;
    assert_eq!(acked(&kept), acked(&calm), "nothing is lost where clients keep it");
    assert!(acked(&dropped) < acked(&calm));
}

#[test]
fn all_load_patterns_together_end_clean_and_deterministic() {
    let all = scenario(&load(&[BURST, OFFLINE, STORM, CLOCKS, BACKLOG].join(",")));
    for seed in 1..=4 {
        let trial = ran(&all, seed);
        trial.assert_clean();
        assert_eq!(trial.trace_hash, ran(&all, seed).trace_hash);
    }
}
