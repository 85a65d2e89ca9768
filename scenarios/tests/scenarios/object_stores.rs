//! Object stores with every kind of failure, at all stores and for the whole run: nothing is lost, no backup is a day
//! late, a destroyed production is restored, and no client gives up early.

use crate::common::{command, latent, marks, report_of, scratch, text as text_of};
use serde_json::{Value, json};

const DAY_MS: u64 = 86_400_000;

/// A condition at a node, its level, and its duration in milliseconds.
type At<'a> = (&'a str, &'a str, u64, Option<u64>);

/// Three days of a few customers under full protection, with these conditions.
fn run(name: &str, conditions: &[At<'_>]) -> (Value, Option<i32>) {
    report_of_scenario(name, &scenario(name, conditions))
}

fn report_of_scenario(name: &str, scenario: &Value) -> (Value, Option<i32>) {
    let file = scratch(&format!("{name}.json"), &scenario.to_string());
    report_of(command(&["run", "--json", file.to_str().expect("cargo's directory has a plain name")]))
}

fn scenario(name: &str, conditions: &[At<'_>]) -> Value {
    let fault = |(node, condition, level, for_ms): &At<'_>| {
        json!({ "trigger": { "at": "2016-02-20T00:10:00Z" }, "action": { "condition": {
            "node": node, "name": condition, "level": level, "for_ms": for_ms } } })
    };
    let faults: Vec<Value> = conditions.iter().map(fault).collect();
    json!({
        "name": name, "about": "Three days with object stores that fail.",
        "start": "2016-02-20T00:00:00Z", "run_for": "3d",
        "zones": [{ "zone": "Asia/Tokyo", "weight": 1 }, { "zone": "America/New_York", "weight": 1 }],
        "tenants": [{ "name": "any", "count": 4, "events_per_day": [60, 90], "requests_per_day": 12,
                      "late_ppm": [20000, 60000] }],
        "protection": {
            "tee": { "retention": "2d" },
            "backup": { "interval": "12h", "first_after": "6h", "retention": "3d" },
            "audit": { "after_midnight": "3h" }
        },
        "faults": faults,
        "drills": 2, "healing": "30h", "expect": "clean",
        "required_marks": ["backup.catalog-durable", "backup.expired", "tee.expired", "audit.ran", "tee.uploaded"]
    })
}

fn stays_clean(name: &str, at_each_store: &[(&str, u64)], for_ms: Option<u64>) -> Value {
    let everywhere: Vec<_> = ["dc-1", "dc-2", "tee-store"]
        .into_iter()
        .flat_map(|store| {
            at_each_store.iter().map(move |(condition, level)| (store, *condition, *level, for_ms))
        })
        .collect();
    let (report, code) = run(name, &everywhere);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report}");
    report
}

#[test]
fn a_third_of_all_calls_fails_for_three_days() {
    let report = stays_clean(
        "stores-fail",
        &[("store.unavailable", 200_000), ("store.throttled", 150_000), ("store.short-pages", 5)],
        None,
    );
    assert_eq!(marks(&report, "backup.failed"), 0, "patience is enough: {}", report["marks"]);
    assert_eq!(marks(&report, "audit.failed"), 0, "{}", report["marks"]);
}

#[test]
fn uploads_break_off_and_answers_are_lost_for_three_days() {
    stays_clean(
        "stores-break-off",
        &[("store.uploads-broken", 150_000), ("store.answers-lost", 50_000)],
        None,
    );
}

#[test]
fn stores_are_down_for_two_hours_at_the_hour_of_a_backup() {
    // From 00:10 to 08:00: the first backup is due at 06:00.
    let report =
        stays_clean("stores-down", &[("store.unavailable", 1_000_000)], Some(8 * 3_600_000 - 600_000));
    assert!(marks(&report, "backup.failed") > 0, "it was tried while the stores were down");
    assert!(marks(&report, "tee.upload-failed") > 0, "{}", report["marks"]);
}

#[test]
fn the_backup_nodes_credentials_expire_for_two_hours() {
    let (report, code) = run("expired", &[("backup", "credentials.expired", 0, Some(8 * 3_600_000))]);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report}");
    assert!(marks(&report, "backup.failed") > 0, "{}", report["marks"]);
}

/// The fault excuses the age of the backups while it lasts, as for a node that is isolated for as long; the watch must
/// still report it.
#[test]
fn credentials_that_stay_expired_are_reported_by_the_backup_watch() {
    let expired = [("backup", "credentials.expired", 0, Some(2 * DAY_MS))];
    let mut scenario = scenario("expired-for-long", &expired);
    scenario["required_marks"] = json!(["backup.failed", "backup.overdue", "backup.catalog-durable"]);
    let (report, code) = report_of_scenario("expired-for-long", &scenario);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report}");
    let noticed = report["detections"].as_array().expect("a report lists what was noticed");
    assert!(noticed.iter().any(|one| one["by"] == "the backup watch"), "{noticed:?}");
}

#[test]
fn a_recovery_through_failing_stores_brings_everything_back() {
    let bad = [("store.unavailable", 200_000), ("store.throttled", 100_000), ("store.short-pages", 5)];
    let everywhere: Vec<At<'_>> = ["dc-1", "dc-2", "tee-store"]
        .into_iter()
        .flat_map(|store| bad.iter().map(move |(condition, level)| (store, *condition, *level, None)))
        .collect();
    let mut scenario = scenario("stores-fail-recovery", &everywhere);
    scenario["tenants"][0]["events_per_day"] = json!([110, 150]);
    scenario["releases"] = json!([{ "name": "bad", "bugs": ["recompaction-overwrites"] }]);
    scenario["deploys"] = json!([
        { "at": "2016-02-20T03:00:00Z", "release": "bad", "to": "all" },
        { "at": "2016-02-21T20:00:00Z", "release": "good", "to": "all" }
    ]);
    scenario["operator"] = json!({ "reaction": "30m" });
    scenario["expect"] = json!("recovered");
    scenario["required_marks"] = json!(["audit.mismatch", "operator.recovered"]);
    let (report, code) = report_of_scenario("stores-fail-recovery", &scenario);
    assert_eq!((report["outcome"].as_str(), code), (Some("recovered"), Some(0)), "{report}");
    assert_eq!(report["loss"]["events_missing_at_end"], 0, "{report}");
    assert_eq!(marks(&report, "operator.recovery-incomplete"), 0, "{}", report["marks"]);
}

#[test]
fn a_condition_that_is_misspelt_or_at_the_wrong_node_is_refused() {
    for (node, condition, printed) in [
        ("dc-1", "store.unavailabel", "no condition is called 'store.unavailabel'"),
        ("edge-1", "store.throttled", "has no effect at a node that is not an object store"),
    ] {
        let text = scenario("stores-misspelt", &[(node, condition, 1, None)]).to_string();
        let file = scratch(&format!("stores-misspelt-{node}.json"), &text);
        let output = latent(&["run", file.to_str().expect("cargo's directory has a plain name")]);
        let told = text_of(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(printed), "{told}");
    }
}

#[test]
fn without_faults_nothing_of_the_kind_happens() {
    let (report, code) = run("stores-work", &[]);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report}");
    for mark in ["backup.failed", "tee.upload-failed", "tee.expire-failed", "audit.failed"] {
        assert_eq!(marks(&report, mark), 0, "{mark}");
    }
}
