use super::lost_day::TEE_RETENTION;
use super::*;
use crate::Latent;
use crate::plan::nemesis::fault_budget::exceeded;
use crate::scenario::FaultBudget;
use latent_engine::sim::keyed_draw;
use latent_engine::{System, parse};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn drawn(seed: u64) -> Scenario<WorldConfig> {
    let bytes: Vec<u8> = (0..8 << 10).map(|at| keyed_draw(seed, "wild.test", at) as u8).collect();
    generate(&bytes)
}

fn trouble(scenario: &Scenario<WorldConfig>) -> String {
    scenario.about.split_inclusive('.').next().unwrap_or_default().to_owned()
}

proptest! {
    #[test]
    fn a_wild_scenario_of_any_bytes_passes_the_checks_of_a_file(
        bytes in proptest::collection::vec(any::<u8>(), 0..(8 << 10)),
    ) {
        let scenario = generate(&bytes);
        let problems: Vec<String> = Latent::check(&scenario).iter().map(|it| format!("{it:?}")).collect();
        prop_assert_eq!(problems, [""; 0]);
        let text = scenario.to_text();
        let read = parse::<Latent>("wild.json", &text).map(|read| read.to_text());
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(text));
    }
}

#[test]
fn every_kind_of_trouble_occurs() {
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..400 {
        *met.entry(trouble(&drawn(seed))).or_default() += 1;
    }
    assert_eq!(met.len(), 9, "{met:?}");
    // One in eleven of 400 is 36; less than 15 is beyond three and a half standard deviations.
    assert!(met.values().all(|times| *times >= 15), "{met:?}");
}

#[test]
fn only_the_lost_day_exceeds_the_fault_budget() {
    for seed in 0..200 {
        let scenario = drawn(seed);
        let excess = exceeded(scenario.faults.iter(), &scenario, &FaultBudget::default());
        let is_lost = trouble(&scenario) == Trouble::LostDay.sentence();
        assert_eq!(excess.is_some(), is_lost, "seed {seed}: {excess:?}");
    }
}

#[test]
fn what_production_loses_is_within_the_tee_or_a_backup_and_an_operator_can_restore_it() {
    let loses = [Trouble::LostDay.sentence(), Trouble::BadRelease.sentence()];
    let lost = (0..200).map(drawn).filter(|it| loses.contains(&trouble(it).as_str()));
    for scenario in lost {
        let config = &scenario.config;
        let tee = config.protection.tee.as_ref().expect("a tee");
        assert_eq!(tee.on_failure, TeeFailurePolicy::Reject);
        let is_held = tee.retention.0 >= TEE_RETENTION || config.protection.backup.is_some();
        assert!(is_held, "{:?}", config.protection);
        let operator = config.operator.as_ref().expect("an operator");
        assert!(config.protection.audit.is_some() && config.healing.0 > operator.reaction.0);
    }
}
