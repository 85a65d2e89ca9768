use super::*;
use crate::Latent;
use crate::scenario::FaultBudget;
use latent_engine::sim::{BitRot, FaultAction, Trigger};
use latent_nemesis::enabled_kinds;
use std::collections::BTreeSet;

fn scenario(more: &str) -> Scenario<WorldConfig> {
    let text = format!(
        r#"{{ "name": "rough", "start": "2016-02-20T00:00:00Z", "run_for": "7d",
             "zones": [{{ "zone": "Asia/Tokyo", "weight": 1 }}],
             "tenants": [{{ "name": "any", "count": 1, "events_per_day": [10, 10], "requests_per_day": 1 }}],
             "healing": "3d" {more} }}"#
    );
    latent_engine::parse::<Latent>("rough.json", &text).unwrap()
}

#[test]
fn without_a_nemesis_no_fault_is_drawn() {
    assert_eq!(draw(&scenario(""), 1), []);
}

#[test]
fn every_kind_occurs_in_some_runs_and_none_in_all() {
    let rough = scenario(r#", "nemesis": { "per_week": [20, 40] }"#);
    let mut met: BTreeSet<&str> = BTreeSet::new();
    let mut always: BTreeSet<FaultKind> = FaultKind::ALL.iter().copied().collect();
    for seed in 0..60 {
        let on = enabled_kinds(FaultKind::ALL, seed);
        always.retain(|kind| on.contains(kind));
        let faults = draw(&rough, seed);
        assert!(!faults.is_empty() && faults.len() <= 80, "{}", faults.len());
        met.extend(faults.iter().map(|fault| fault.action.name()));
    }
    assert_eq!(always, BTreeSet::new(), "a subset is switched on");
    // Slow and lossy links are one action, and there are no object stores here.
    assert_eq!(met.len(), FaultKind::ALL.len() - 2, "{met:?}");
    assert!(!met.contains("condition"));
}

#[test]
fn object_store_faults_need_an_object_store() {
    let kinds = r#", "nemesis": { "per_week": [20, 20], "kinds": ["condition"] }"#;
    assert_eq!(draw(&scenario(kinds), 1), []);
    let stored = format!(
        r#"{kinds}, "protection": {{ "tee": {{ "retention": "7d" }}, "backup": {{ "interval": "1d", "first_after": "6h", "retention": "9d" }} }}"#
    );
    let faults: Vec<Fault> = (0..20).flat_map(|seed| draw(&scenario(&stored), seed)).collect();
    let of = |fault: &Fault| match &fault.action {
        FaultAction::Condition(condition) => (condition.name.clone(), condition.node.clone()),
        other => panic!("{other:?}"),
    };
    let met: BTreeSet<(String, String)> = faults.iter().map(of).collect();
    assert_eq!(met.len(), 6 * 3, "six conditions at two data centers and the tee store: {met:?}");
}

#[test]
fn half_of_the_crashes_are_triggered_by_an_operation_or_a_mark() {
    let rough = scenario(r#", "nemesis": { "per_week": [30, 30], "kinds": ["crash"] }"#);
    let faults: Vec<Fault> = (0..20).flat_map(|seed| draw(&rough, seed)).collect();
    let narrow = faults.iter().filter(|fault| !matches!(fault.trigger, Trigger::AtMs(_))).count();
    assert!(narrow * 5 >= faults.len() * 2, "{narrow} of {}", faults.len());
}

#[test]
fn drawn_faults_stay_within_the_budget() {
    let rough =
        scenario(r#", "nemesis": { "per_week": [40, 40], "kinds": ["bit-rot", "new-disk", "lost-write"] }"#);
    let less = FaultBudget { disks: 2, ..FaultBudget::default() };
    let mut uses_all = 0;
    for seed in 0..40 {
        let faults = draw(&rough, seed);
        assert_eq!(
            fault_budget::exceeded(faults.iter(), &rough, &FaultBudget::default()),
            None,
            "seed {seed}"
        );
        uses_all += usize::from(fault_budget::exceeded(faults.iter(), &rough, &less).is_some());
    }
    assert!(uses_all >= 10, "{uses_all} of 40 runs damage three disks at once");
}

#[test]
fn a_fourth_damaged_disk_exceeds_the_budget_and_is_named() {
    let rough = scenario("");
    let rot = |disk: u32, day: i64| {
        let node = format!("disk-{disk}");
        let action = FaultAction::BitRot(BitRot { node, path_prefix: String::new(), pick: 1, bits: 1 });
        Fault { trigger: Trigger::AtMs(rough.start.0.0 + day * 86_400_000), action }
    };
    let three = [rot(1, 1), rot(2, 1), rot(3, 2)];
    assert_eq!(fault_budget::exceeded(three.iter(), &rough, &FaultBudget::default()), None);
    let four = [rot(1, 1), rot(2, 1), rot(3, 2), rot(4, 2)];
    let message = fault_budget::exceeded(four.iter(), &rough, &FaultBudget::default()).unwrap();
    assert_eq!(
        message,
        "4 disks damaged at once at 2016-02-22 00:00:00Z (disk-1, disk-2, disk-3, disk-4); the budget is 3"
    );
    let repaired_between = [rot(1, 0), rot(2, 0), rot(3, 0), rot(4, 6)];
    assert_eq!(fault_budget::exceeded(repaired_between.iter(), &rough, &FaultBudget::default()), None);
}
