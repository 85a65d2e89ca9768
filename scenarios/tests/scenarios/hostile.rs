//! A release that destroys everything that production's credentials allow: with least privilege everything is restored;
//! with any additional permission it is not, and the report names that permission.

use crate::common::{command, latent, marks, report, report_of, scenario_text, scratch, text};
use serde_json::{Value, json};

/// Runs the hostile scenario with an additional permission for production, with the expected outcome.
fn weakened(store: &str, permission: &str, outcome: &str) -> (String, Value) {
    let mut scenario: Value = serde_json::from_str(&scenario_text("hostile")).expect("built-ins are JSON");
    let name = format!("hostile-{store}-{permission}");
    scenario["name"] = json!(name);
    scenario["topology"] = json!({ "credentials": { "production": { store: [permission] } } });
    scenario["expect"] = json!(outcome);
    // Whether a recovery completes is not tested here.
    scenario["required_marks"] = json!(["adversary.wiped"]);
    let file = scratch(&format!("{name}.json"), &scenario.to_string());
    let file = file.to_str().expect("cargo's directory has a plain name").to_owned();
    let (report, code) = report_of(command(&["run", "--json", &file]));
    assert_eq!((report["outcome"].as_str(), code), (Some(outcome), Some(0)), "{name}: {report}");
    (file, report)
}

fn names_the_permission(store: &str, permission: &str, sentence: &str) {
    let (file, report) = weakened(store, permission, "unrecoverable-loss");
    assert_eq!(report["used_permissions"], json!([sentence]));
    assert!(report["loss"]["events_unrecoverable"].as_u64().is_some_and(|gone| gone > 0), "{report}");
    let shown = text(&latent(&["run", &file]).stdout);
    let line = shown.lines().find(|line| line.contains("permission"));
    assert!(line.is_some_and(|line| line.contains("lost through") && line.ends_with(sentence)), "{shown}");
}

#[test]
fn with_least_privilege_everything_is_restored() {
    for seed in 1..3 {
        let (report, code) = report(&[&format!("hostile@{seed}")]);
        assert_eq!((report["outcome"].as_str(), code), (Some("recovered"), Some(0)), "{report}");
        assert_eq!(report["used_permissions"], json!([]));
        let loss = &report["loss"];
        assert_eq!(loss["projects_hit"], loss["projects"], "production was wiped: {loss}");
        assert_eq!((&loss["events_missing_at_end"], &loss["events_unrecoverable"]), (&json!(0), &json!(0)));
        let days = loss["days"].as_array().expect("loss.days is a list");
        assert!(days.iter().any(|day| day["day"] == "2016-02-20"), "days that only backups hold: {loss}");
        assert!(report["recovery"]["events_restored"].as_u64() > Some(0), "{report}");
        assert!(report["recovery"]["events_replayed"].as_u64() > Some(0), "{report}");
    }
}

/// The backup node must not accept an empty production, even without memory of earlier backups: it reboots before the
/// first backup after the disaster.
#[test]
fn a_rebooted_backup_node_keeps_items_that_production_lost() {
    let mut scenario: Value = serde_json::from_str(&scenario_text("hostile")).expect("built-ins are JSON");
    scenario["faults"] = json!([{ "trigger": { "at": "2016-02-24T20:00:00Z" },
        "action": { "kill": { "node": "backup", "restart_after_ms": 60000 } } }]);
    let file = scratch("hostile-reboot.json", &scenario.to_string());
    let (report, code) =
        report_of(command(&["run", "--json", file.to_str().expect("cargo's directory has a plain name")]));
    assert_eq!((report["outcome"].as_str(), code), (Some("recovered"), Some(0)), "{report}");
    assert!(marks(&report, "backup.production-shrank") > 0, "{}", report["marks"]);
}

/// A newer, empty backup expires no older one: a recovery merges all backups, and the audit's alarm holds them. The
/// permission is still named.
#[test]
fn production_that_may_put_backups_puts_a_newer_empty_one_and_nothing_is_gone() {
    let (file, report) = weakened("backups", "put", "recovered");
    let sentence = "production may put at the data centers";
    assert_eq!(report["used_permissions"], json!([sentence]));
    assert_eq!(report["loss"]["events_unrecoverable"], json!(0), "{report}");
    let shown = text(&latent(&["run", &file]).stdout);
    let line = shown.lines().find(|line| line.contains("permission"));
    assert!(line.is_some_and(|line| line.contains("nothing is gone") && line.ends_with(sentence)), "{shown}");
}

#[test]
fn production_that_may_overwrite_backups_leaves_garbage() {
    names_the_permission("backups", "overwrite", "production may overwrite at the data centers");
}

#[test]
fn production_that_may_delete_backups_leaves_none() {
    names_the_permission("backups", "delete", "production may delete at the data centers");
}

#[test]
fn production_that_may_put_tee_files_claims_the_numbers_of_real_requests() {
    names_the_permission("tee", "put", "production may put at the tee store");
}

#[test]
fn production_that_may_overwrite_tee_files_leaves_garbage() {
    names_the_permission("tee", "overwrite", "production may overwrite at the tee store");
}

#[test]
fn production_that_may_delete_tee_files_leaves_none() {
    names_the_permission("tee", "delete", "production may delete at the tee store");
}
