//! Tests of operator actions: the effect of each on a complete small run, and runs without any.

use crate::Latent;
use crate::run::findings::Findings;
use crate::small_scenario::{SMALL, judged, with_faults};
use latent_engine::Verdict;

/// The small scenario without its bug, with these operations.
fn with_operations(operations: &str) -> String {
    let sound = with_faults(SMALL, "");
    sound.replace(r#""drills": 2"#, &format!(r#""operations": [{operations}], "drills": 2"#))
}

fn operation(at: &str, what: &str) -> String {
    format!(r#"{{ "at": "2016-02-{at}:00Z", "action": {{ {what} }} }}"#)
}

fn run(operations: &[String]) -> Verdict<Findings> {
    let text = with_operations(&operations.join(", "));
    judged(|_| text.clone(), |_| {})
}

fn invariants(judged: &Verdict<Findings>) -> Vec<&str> {
    judged.violations.iter().map(|found| found.invariant.as_str()).collect()
}

fn noticed(judged: &Verdict<Findings>) -> Vec<&str> {
    judged.detections.iter().map(|notice| notice.by.as_str()).collect()
}

#[test]
fn without_operations_nothing_is_recovered_detected_or_overdue() {
    let judged = run(&[]);
    assert_eq!((invariants(&judged), noticed(&judged)), (vec![], vec![]));
    assert_eq!(judged.findings.recovery.recoveries, 0);
}

#[test]
fn two_concurrent_recoveries_into_the_live_cluster_change_nothing() {
    let recover = r#""recover": { "times": 2 }"#;
    let judged = run(&[operation("21T05:00", recover), operation("21T05:00", recover)]);
    assert_eq!((invariants(&judged), judged.facts.hung.clone()), (vec![], vec![]));
    assert_eq!(judged.findings.recovery.recoveries, 4);
    assert_eq!(noticed(&judged), [""; 0]);
}

#[test]
fn a_recovery_without_the_full_runbook_is_repeated() {
    let skipped = r#""recover": { "runbook": ["read_tee", "read_backups", "write", "rebuild", "rebuild"] }"#;
    let judged = run(&[operation("21T05:00", skipped)]);
    assert_eq!((invariants(&judged), judged.facts.hung.clone()), (vec![], vec![]));
    assert_eq!(judged.findings.recovery.recoveries, 2);
}

#[test]
fn a_mistyped_retention_is_refused_and_raises_an_alarm() {
    for of in ["tee", "backups"] {
        let typed = format!(r#""retention_typo": {{ "target": "{of}", "typed": "7h" }}"#);
        let judged = run(&[operation("20T20:00", &typed)]);
        assert_eq!((invariants(&judged), noticed(&judged)), (vec![], vec!["the retention's check"]), "{of}");
    }
}

#[test]
fn disabled_or_misdirected_backups_are_detected_by_the_oracle_and_by_the_backup_monitor() {
    let watch = "the backup watch";
    // An enabled backup without a data center that accepts it reports the failure itself.
    for (mistake, detectors) in [("disable_backup", vec![watch]), ("wrong_bucket", vec!["the backup", watch])]
    {
        // From before the first backup until the end.
        let judged = run(&[operation("20T01:00", &format!(r#""{mistake}": {{}}"#))]);
        assert!(invariants(&judged).contains(&"I10"), "{mistake}: {:?}", judged.violations);
        assert_eq!(noticed(&judged), detectors, "{mistake}");
    }
    let fixed = run(&[operation("20T08:00", r#""disable_backup": { "for": "4h" }"#)]);
    assert_eq!((invariants(&fixed), noticed(&fixed)), (vec![], vec![]), "no violation if fixed in time");
}

#[test]
fn invalid_operations_are_rejected_with_their_position() {
    let refused = |operation: &str| {
        let text = with_operations(operation);
        latent_engine::parse::<Latent>("small.json", &text).unwrap_err().to_string()
    };
    let late = refused(&operation("29T05:00", r#""recover": {}"#));
    assert!(late.contains("the operation at 2016-02-29T05:00:00Z is outside the run"), "{late}");
    let unknown =
        refused(&operation("21T05:00", r#""recover": { "days": [{ "project": 9, "day": "2016-02-21" }] }"#));
    assert!(unknown.contains("unknown project 9") && unknown.contains("from 1 to 3"), "{unknown}");
    let never = refused(&operation("21T05:00", r#""recover": { "times": 0 }"#));
    assert!(never.contains("0 times"), "{never}");
    let unknown = refused(&operation("21T05:00", r#""recover": { "runbook": ["pray"] }"#));
    assert!(unknown.contains("pray") && unknown.contains("flush_edges"), "{unknown}");
}

/// The removed directory is damage within the budget: other copies, the other data center and the backups remain.
#[test]
fn a_directory_removed_on_the_wrong_host_is_repaired_without_loss() {
    for (node, path) in [
        ("disk-3", "arb"),
        ("disk-3", "arb/1"),
        ("dc-1", "objects"),
        ("tee-store", "objects"),
        ("ingest-1", "hints"),
    ] {
        let fault = format!(
            r#"{{ "trigger": {{ "at": "2016-02-21T07:00:00Z" }}, "action": {{ "remove_directory": {{ "node": "{node}", "path": "{path}" }} }} }}"#
        );
        let judged = judged(|small| with_faults(small, &fault), |_| {});
        assert_eq!((&judged.violations, &judged.facts.hung), (&vec![], &vec![]), "{node} {path}");
    }
}
