//! Backups during failures of their dependencies: failures stay isolated, and no backup is repeated because of them.

use crate::common::{command, folder, marks, report_of, scratch};
use serde_json::{Value, json};

const DAY_MS: u64 = 86_400_000;

/// Returns the report of a case of the corpus.
fn of_corpus(name: &str) -> Value {
    let file = folder().join(format!("../corpus/{name}.json"));
    report_of(command(&["run", "--json", file.to_str().expect("cargo's paths are UTF-8")])).0
}

/// Six days of a few customers with a backup at 06:00 each day, and these faults.
fn run(name: &str, faults: &Value) -> Value {
    report_of_scenario(name, &scenario(name, faults))
}

fn report_of_scenario(name: &str, scenario: &Value) -> Value {
    let file = scratch(&format!("{name}.json"), &scenario.to_string());
    report_of(command(&["run", "--json", file.to_str().expect("cargo's directory has a plain name")])).0
}

fn scenario(name: &str, faults: &Value) -> Value {
    json!({
        "name": name, "about": "Backups while parts of what they need fail.",
        "start": "2016-02-20T00:00:00Z", "run_for": "6d",
        "zones": [{ "zone": "America/New_York", "weight": 1 }],
        "tenants": [{ "name": "any", "count": 4, "events_per_day": [40, 60], "requests_per_day": 6,
                      "late_ppm": [20000, 60000] }],
        "protection": {
            "tee": { "retention": "2d" },
            "backup": { "interval": "1d", "first_after": "6h", "retention": "4d" },
            "audit": { "after_midnight": "3h" }
        },
        "faults": faults,
        "drills": 2, "healing": "30h", "expect": "clean"
    })
}

fn is_noticed(report: &Value, what: &str) -> bool {
    report["detections"].to_string().contains(what)
}

#[test]
fn an_unreadable_block_on_one_disk_delays_no_backup() {
    let report = of_corpus("an-unreadable-block-on-one-disk-costs-no-backup");
    let (started, failed) = (marks(&report, "backup.started"), marks(&report, "backup.failed"));
    assert!((10..=12).contains(&started) && failed == 0, "{started} {failed}: {}", report["marks"]);
    assert!(!is_noticed(&report, "the backup watch"), "{}", report["detections"]);
}

#[test]
fn a_rotten_catalog_repeats_no_backup_is_repaired_and_reported_and_both_data_centers_let_old_ones_go() {
    let report = of_corpus("a-rotten-catalog-is-put-again-and-repeats-no-backup");
    let (started, failed) = (marks(&report, "backup.started"), marks(&report, "backup.failed"));
    assert!(started == 11 && failed == 0, "{started} {failed}: {}", report["marks"]);
    // Of 11 backups in each of two data centers those of the last four days stay.
    assert!(marks(&report, "backup.expired") >= 10, "{}", report["marks"]);
    assert!(is_noticed(&report, "is damaged: put again"), "{}", report["detections"]);
}

#[test]
fn a_full_data_center_has_no_catalog_that_names_what_it_lacks_and_costs_the_other_one_nothing() {
    let full = json!([{ "trigger": { "at": "2016-02-22T00:00:00Z" },
        "action": { "disk_full": { "node": "dc-2", "for_ms": 2 * DAY_MS } } }]);
    let report = run("backup-full", &full);
    assert_eq!(report["outcome"], "clean", "{report}");
    // Seven backups at dc-1; at dc-2 the two of the days when it was full come late or never.
    let durable = marks(&report, "backup.catalog-durable");
    assert!((12..=14).contains(&durable), "{durable}: {}", report["marks"]);
}

#[test]
fn a_data_center_that_is_away_for_two_days_does_not_have_the_other_one_take_the_same_backup_again() {
    let away = json!([{ "trigger": { "at": "2016-02-22T00:00:00Z" },
        "action": { "isolate": { "node": "dc-2", "for_ms": 2 * DAY_MS } } }]);
    let report = run("backup-away", &away);
    assert_eq!(report["outcome"], "clean", "{report}");
    assert!(marks(&report, "backup.failed") > 50, "it is asked every half hour: {}", report["marks"]);
    let durable = marks(&report, "backup.catalog-durable");
    assert!((12..=14).contains(&durable), "{durable}: {}", report["marks"]);
}

#[test]
fn a_restart_while_no_data_center_answers_finishes_no_backup_as_if_nothing_were_known() {
    let file = folder().join("../corpus/a-backup-that-restarts-asks-each-data-center-what-it-held.json");
    let text = std::fs::read_to_string(file).expect("the case is in the corpus");
    let mut scenario: Value = serde_json::from_str(&text).expect("a case is JSON");
    let faults = scenario["faults"].as_array_mut().expect("it has faults");
    faults.retain(|fault| fault["action"]["isolate"].is_null());
    for node in ["dc-1", "dc-2"] {
        faults.push(json!({ "trigger": { "at": "2016-02-24T02:59:00Z" },
            "action": { "isolate": { "node": node, "for_ms": 9_000_000 } } }));
    }
    let report = report_of_scenario("backup-nothing-known", &scenario);
    assert!(marks(&report, "backup.failed") >= 3, "{}", report["marks"]);
    assert_eq!(report["loss"]["events_unrecoverable"], 0, "{report}");
}

#[test]
fn a_backup_that_no_data_center_takes_is_reported_at_once() {
    let away = |node: &str| {
        json!({ "trigger": { "at": "2016-02-22T05:00:00Z" },
                "action": { "isolate": { "node": node, "for_ms": 9_000_000 } } })
    };
    let restart = json!({ "trigger": { "at": "2016-02-22T05:30:00Z" },
        "action": { "kill": { "node": "backup", "restart_after_ms": 1000 } } });
    let report = run("backup-nowhere", &json!([away("dc-1"), away("dc-2"), restart]));
    assert_eq!(report["outcome"], "clean", "{report}");
    assert!(is_noticed(&report, "nothing could be backed up"), "{}", report["detections"]);
}

#[test]
fn a_project_that_too_few_disks_can_give_stays_behind_and_is_copied_later_beside_the_others() {
    let fails = |disk: u32| {
        json!({ "trigger": { "at": "2016-02-22T05:55:00Z" }, "action": { "disk_error": {
            "node": format!("disk-{disk}"), "op": "read", "path_prefix": "arb/1/2016-02-21/", "times": 3 } } })
    };
    let report = run("backup-behind", &(2..=6).map(fails).collect());
    assert_eq!(report["outcome"], "clean", "{report}");
    assert!(marks(&report, "backup.project-failed") > 0, "{}", report["marks"]);
    assert!(is_noticed(&report, "p1 stays at 2016-02-21"), "{}", report["detections"]);
    assert!(!is_noticed(&report, "the backup watch"), "the others are not late: {}", report["detections"]);
    // Seven backups in two data centers, and the one of the 22nd again when project 1 could be copied.
    assert_eq!(marks(&report, "backup.catalog-durable"), 16, "{}", report["marks"]);
}
