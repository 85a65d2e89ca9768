//! No verdict depends on a mark: a world whose nodes report none is judged like the same world with marks.
//!
//! Both worlds run without the faults and drills that a mark triggers, which the second world would never see. Required
//! marks are the engine's and not part of the verdict.

use super::WorldRun;
use crate::cluster::node_env::MarkPolicy;
use crate::plan::DrillTrigger;
use crate::run::findings::Findings;
use crate::{Latent, WorldConfig, WorldPlan};
use latent_engine::sim::{Trigger, World, WorldSpec, keyed_draw, run_fork};
use latent_engine::{PhaseReporter, Plan, Scenario, System, Verdict, expand};
use std::path::{Path, PathBuf};

/// Number of generated weeks: `LATENT_MARK_SEEDS=200`, which `.ci/nightly` sets, runs more.
const DEFAULT_SEEDS: u64 = 12;
/// Ample for a generated scenario.
const GENERATOR_WORDS: u64 = 512;

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by a variable")]
fn requested_seeds() -> Option<u64> {
    std::env::var("LATENT_MARK_SEEDS").ok().map(|seeds| seeds.parse().unwrap())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the JSON files of a directory by name, with their texts.
fn json_files(dir: &str) -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(repository().join(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let named = |path: PathBuf| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(named).collect()
}

fn verdict(
    scenario: &Scenario<WorldConfig>,
    plan: &Plan<WorldPlan>,
    marks: MarkPolicy,
) -> (Verdict<Findings>, u64) {
    let spec = WorldSpec {
        scheduler_seed: plan.scheduler_seed,
        draw_seed: plan.draw_seed,
        start: scenario.start.0,
        keep_log: false,
    };
    let mut system = plan.system.clone();
    system.drills.retain(|drill| matches!(drill.trigger, DrillTrigger::AtMs(_)));
    let run = async |world: World| {
        for fault in &plan.faults {
            if !matches!(fault.trigger, Trigger::Mark { .. }) {
                world.arm(fault.clone());
            }
        }
        let mut run = WorldRun::new(&system, scenario, world, PhaseReporter::silent(), marks);
        run.execute_and_heal().await;
        run.verdict()
    };
    let finished = run_fork(spec, run);
    (finished.output, finished.mark_counts.values().sum())
}

/// Everything that a verdict says, except for marks.
fn described(verdict: &Verdict<Findings>) -> String {
    let Verdict { items, violations, facts, detections, marks: _, findings } = verdict;
    format!("{items}\n{violations:#?}\n{facts:#?}\n{detections:#?}\n{findings:#?}")
}

fn assert_judged_alike(name: &str, scenario: &Scenario<WorldConfig>, plan: &Plan<WorldPlan>) {
    let (recorded, marks) = verdict(scenario, plan, MarkPolicy::Record);
    let (dropped, none) = verdict(scenario, plan, MarkPolicy::Drop);
    assert!(marks > none, "{name}: the system reports marks");
    let (with, without) = (described(&recorded), described(&dropped));
    let differs = with.lines().zip(without.lines()).find(|(with, without)| with != without);
    assert!(with == without, "{name}: with and without marks: {differs:?}");
}

fn scenario(name: &str, text: &str) -> Scenario<WorldConfig> {
    latent_engine::parse::<Latent>(&format!("{name}.json"), text).unwrap()
}

#[test]
fn a_built_in_scenario_is_judged_alike_without_marks() {
    // Longer than a week, or of many customers: `LATENT_MARK_SEEDS` asks for them too, each night.
    let is_long = |name: &str| matches!(name, "year" | "month" | "busy-week") && requested_seeds().is_none();
    for (name, text) in json_files("scenarios") {
        if is_long(&name) {
            continue;
        }
        let scenario = scenario(&name, &text);
        assert_judged_alike(&name, &scenario, &expand::<Latent>(&scenario, scenario.seed));
    }
}

#[test]
fn a_case_of_the_corpus_is_judged_alike_without_marks() {
    let cases = json_files("corpus");
    assert!(cases.len() > 50, "the corpus is complete");
    for (name, text) in cases {
        let mut parts: serde_json::Value = serde_json::from_str(&text).unwrap();
        let case = parts.get_mut("plan").map(serde_json::Value::take);
        let text = match &case {
            Some(_) => parts["scenario"].to_string(),
            None => text,
        };
        let scenario = scenario(&name, &text);
        let plan = match case {
            Some(plan) => serde_json::from_value(plan).unwrap(),
            None => expand::<Latent>(&scenario, scenario.seed),
        };
        assert_judged_alike(&name, &scenario, &plan);
    }
}

#[test]
fn a_generated_week_is_judged_alike_without_marks() {
    for seed in 1..=requested_seeds().unwrap_or(DEFAULT_SEEDS) {
        let (scenario, plan) = generated(seed);
        assert_judged_alike(&format!("generated@{seed}"), &scenario, &plan);
    }
}

fn generated(seed: u64) -> (Scenario<WorldConfig>, Plan<WorldPlan>) {
    let words = (0..GENERATOR_WORDS).map(|word| keyed_draw(seed, "generate", u128::from(word)));
    let scenario = (Latent::GENERATORS[0].generate)(&words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
    let plan = expand::<Latent>(&scenario, seed);
    (scenario, plan)
}
