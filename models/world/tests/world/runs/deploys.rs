//! Tests of deploys: which nodes each kind restarts, when, and the effects of a bad release.

use super::test_run::{CALM, TestRun};
use latent_world::Latent;
use std::collections::BTreeMap;

const HOUR_MS: i64 = 3_600_000;

fn trial(bugs: &str, deploys: &str) -> TestRun {
    let more = format!(
        r#""releases": [{{ "name": "next", "bugs": [{bugs}] }}], "deploys": [{deploys}], "drills": 1"#
    );
    let text = CALM.replace(r#""drills": 1"#, &more);
    TestRun::execute(&latent_engine::parse::<Latent>("deploys.json", &text).expect("it is a scenario"), 3)
}

/// Boot times of each production node after the start, in hours; nodes that did not restart are omitted.
fn restarts(trial: &TestRun) -> BTreeMap<&str, Vec<i64>> {
    let start_ms = trial.boots.iter().map(|(_, at_ms)| *at_ms).min().expect("nodes boot");
    let mut restarts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (node, at_ms) in trial.boots.iter().filter(|(_, at_ms)| *at_ms > start_ms) {
        restarts.entry(node).or_default().push((at_ms - start_ms) / HOUR_MS);
    }
    restarts
}

fn deploy(at: &str, release: &str, to: &str) -> String {
    format!(r#"{{ "at": "2016-02-{at}:00Z", "release": "{release}", "to": {to} }}"#)
}

#[test]
fn without_a_deploy_nothing_restarts() {
    let trial = trial("", "");
    trial.assert_clean();
    assert_eq!(restarts(&trial), BTreeMap::new());
}

#[test]
fn a_deploy_to_all_restarts_production_at_once_and_so_does_a_roll_back() {
    let deploys = [deploy("20T06:00", "next", r#""all""#), deploy("21T04:00", "good", r#""all""#)];
    let trial = trial("", &deploys.join(", "));
    trial.assert_clean();
    let restarts = restarts(&trial);
    assert_eq!(restarts.len(), 8 + 2 + 2, "{restarts:?}");
    assert!(restarts.values().all(|hours| *hours == [6, 28]), "{restarts:?}");
}

#[test]
fn a_rolling_deploy_restarts_nodes_one_by_one_with_both_releases_active() {
    let trial = trial("", &deploy("20T06:00", "next", r#"{ "rolling": { "pause": "2h" } }"#));
    trial.assert_clean();
    let mut hours: Vec<i64> = restarts(&trial).into_values().flatten().collect();
    hours.sort_unstable();
    assert_eq!(hours, (0..12).map(|turn| 6 + 2 * turn).collect::<Vec<_>>());
}

#[test]
fn a_bad_canary_damages_only_its_replica_set_and_no_event_is_lost() {
    let canary = [
        deploy("20T06:00", "next", r#"{ "canary": { "replica_set": 0 } }"#),
        deploy("21T12:00", "good", r#"{ "canary": { "replica_set": 0 } }"#),
    ];
    let trial = trial(r#""recompaction-overwrites""#, &canary.join(", "));
    let restarted: Vec<&str> = restarts(&trial).into_keys().collect();
    assert_eq!(restarted, ["disk-1", "disk-2", "disk-3", "disk-4", "worker-1"]);
    let dropped: Vec<_> = trial.judged.violations.iter().filter(|found| found.invariant == "I8").collect();
    assert!(!dropped.is_empty(), "{:?}", trial.judged.violations);
    for found in dropped {
        assert_eq!((found.kind.as_str(), found.loses_items), ("dropped", false), "{found:?}");
        assert!((5..=8).all(|disk| !found.detail.contains(&format!("disk-{disk}"))), "{found:?}");
    }
    assert_eq!(trial.judged.findings.loss.events_lost_from_production, 0);
}
