//! The tee in whole runs: long edge outages, rotten objects, requests accepted without the tee.

use crate::common::{command, marks, report_of, scratch};
use serde_json::{Value, json};

fn run(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut scenario = json!({
        "name": name, "about": "Four days under full protection.",
        "start": "2016-03-01T00:00:00Z", "run_for": "4d", "topology": { "edges": 3 },
        "zones": [{ "zone": "Europe/Berlin", "weight": 1 }, { "zone": "America/New_York", "weight": 1 }],
        "tenants": [{ "name": "any", "count": 4, "events_per_day": [60, 90], "requests_per_day": 24,
                      "late_ppm": [50000, 150000] }],
        "protection": {
            "tee": { "retention": "7d" },
            "backup": { "interval": "1d", "first_after": "6h", "retention": "9d" },
            "audit": { "after_midnight": "3h" }
        },
        "operator": { "reaction": "1h" }, "drills": 2, "healing": "36h", "expect": "clean"
    });
    change(&mut scenario);
    let file = scratch(&format!("{name}.json"), &scenario.to_string());
    let arguments = ["run", "--json", file.to_str().expect("cargo's directory has a plain name")];
    let (report, code) = report_of(command(&arguments));
    assert_eq!(code, Some(0), "{report}");
    report
}

fn at(moment: &str, action: Value) -> Value {
    json!({ "trigger": { "at": moment }, "action": action })
}

fn edge_2_is_dead_for_30_h(scenario: &mut Value) {
    let kill = json!({ "kill": { "node": "edge-2", "restart_after_ms": 108_000_000 } });
    scenario["faults"] = json!([at("2016-03-02T05:10:00Z", kill)]);
}

#[test]
fn with_one_of_three_edges_dead_for_30_h_no_client_gives_up() {
    let report = run("one-of-three-edges-dead", edge_2_is_dead_for_30_h);
    assert_eq!(report["outcome"], "clean", "{report}");
    assert_eq!(marks(&report, "client.gave-up"), 0, "{}", report["marks"]);
    assert_eq!(marks(&report, "edge.tee-refused"), 0, "{}", report["marks"]);
    assert!(marks(&report, "edge.peer-changed") > 0 && marks(&report, "client.retried") > 0);
}

#[test]
fn one_edge_alone_takes_requests_and_the_keeper_makes_their_second_object() {
    let report = run("one-edge", |scenario| scenario["topology"]["edges"] = json!(1));
    assert_eq!(report["outcome"], "clean", "{report}");
    assert!(marks(&report, "tee.object-added") > 20, "{}", report["marks"]);
    assert_eq!(marks(&report, "tee.lost"), 0);
}

#[test]
fn nothing_is_added_to_the_tee_where_nothing_is_wrong() {
    let report = run("tee-at-rest", |_| {});
    for mark in ["tee.object-added", "tee.object-unreadable", "tee.lost", "tee.taken-over", "tee.damaged"] {
        assert_eq!(marks(&report, mark), 0, "{mark}: {}", report["marks"]);
    }
    assert_eq!(marks(&report, "tee.uploaded"), marks(&report, "tee.copy-uploaded"));
}

/// Bits of one object after the other rot, a day apart.
#[test]
fn rotten_objects_are_repaired_within_a_day() {
    let report = run("tee-rots", |scenario| {
        let rot = |day: u32| {
            let rot = json!({ "bit_rot": { "node": "tee-store", "path_prefix": "objects/tee/", "bits": 3, "pick": day } });
            at(&format!("2016-03-0{day}T12:30:00Z"), rot)
        };
        scenario["faults"] = json!([rot(2), rot(3), rot(4)]);
    });
    assert_eq!(report["outcome"], "clean", "{report}");
    assert_eq!(marks(&report, "tee.object-added"), 3, "{}", report["marks"]);
    assert_eq!(marks(&report, "tee.lost"), 0);
}

#[test]
fn a_request_without_any_tee_object_is_reported() {
    let report = run("tee-vanishes", |scenario| {
        let remove = json!({ "remove_directory": { "node": "tee-store", "path": "objects/tee" } });
        scenario["faults"] = json!([at("2016-03-03T12:30:00Z", remove)]);
    });
    assert!(marks(&report, "tee.lost") > 0, "{}", report["marks"]);
    let noticed = report["detections"].to_string();
    assert!(noticed.contains("the tee's keeper"), "{noticed}");
}

#[test]
fn a_request_that_was_let_through_is_teed_before_the_next_drill() {
    let report = run("tee-gap", |scenario| {
        scenario["protection"]["tee"]["on_failure"] = json!("accept-and-record-gap");
        let error =
            json!({ "disk_error": { "node": "edge-1", "op": "change", "path_prefix": "tee/", "times": 2 } });
        scenario["faults"] = json!([at("2016-03-02T12:30:00Z", error)]);
    });
    assert_eq!(report["outcome"], "clean", "{report}");
    assert!(marks(&report, "edge.tee-gap") > 0, "{}", report["marks"]);
    assert!(marks(&report, "edge.tee-gap-closed") > 0, "{}", report["marks"]);
}
