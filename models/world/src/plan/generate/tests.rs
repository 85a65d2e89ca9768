use super::*;
use crate::Latent;
use crate::plan::nemesis::fault_budget::exceeded;
use crate::plan::streams::{send_window_ms, stream_of};
use crate::scenario::Operation;
use arbitrary::{Arbitrary, Unstructured};
use calendar::Calendar;
use customers::{Tenants, Zones};
use latent_engine::sim::{Trigger, keyed_draw};
use latent_engine::{System, expand, parse};
use latent_nemesis::FaultKind;
use proptest::prelude::*;
use std::collections::BTreeSet;
use world::{ExportsPerProject, RecoverySetup};

/// Returns bytes drawn from a seed, as the engine does.
fn bytes(seed: u64, length: u64) -> Vec<u8> {
    (0..length).map(|at| keyed_draw(seed, "generate.test", u128::from(at)) as u8).collect()
}

fn drawn(seed: u64) -> Scenario<WorldConfig> {
    generate(&bytes(seed, 8 << 10))
}

fn assert_can_run(scenario: &Scenario<WorldConfig>, from: &str) {
    let text = scenario.to_text();
    let again = parse::<Latent>("generated.json", &text).unwrap_or_else(|bad| panic!("{from}: {bad}"));
    assert_eq!(again.to_text(), text, "{from}");
    for tenant in expand::<Latent>(scenario, 1).system.tenants {
        tenant.workload.check().unwrap_or_else(|error| panic!("{from}: {error}"));
    }
}

#[test]
fn any_bytes_make_a_valid_scenario() {
    for seed in 0..600 {
        assert_can_run(&drawn(seed), &format!("seed {seed}"));
    }
    // Like a fuzzer's bytes: few, or all equal.
    for length in 0..300 {
        assert_can_run(&generate(&bytes(7, length)), &format!("{length} bytes"));
    }
    for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
        assert_can_run(&generate(&vec![byte; 8 << 10]), &format!("bytes of {byte}"));
    }
}

#[test]
fn equal_bytes_make_equal_scenarios_and_no_bytes_a_small_week_without_faults() {
    assert_eq!(drawn(3).to_text(), drawn(3).to_text());
    assert_ne!(drawn(3).to_text(), drawn(4).to_text());
    let calm = generate(&[]);
    assert_eq!(calm.to_text(), generate(&[0; 100]).to_text());
    let config = &calm.config;
    assert!(calm.faults.is_empty() && config.load.is_empty() && config.operations.is_empty());
    assert_eq!(calm.run_for.to_string(), "7d");
}

/// Bytes of a fuzzer: none, a few, or as many as a seed's.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 1..64),
        proptest::collection::vec(any::<u8>(), 64..(8 << 10)),
    ]
}

/// Draws a part from bytes alone.
fn part<P: for<'a> Arbitrary<'a>>(bytes: &[u8]) -> P {
    Unstructured::new(bytes).arbitrary().expect("a choice without bytes is the first option")
}

/// Draws a part with its context, adds it to that, and returns the problems of the result.
fn problems_of<P: ArbitraryIn<Context = QuietScenario>>(
    bytes: &[u8],
    add: impl Fn(P, &mut Scenario<WorldConfig>),
) -> Vec<String> {
    let InContext { context: QuietScenario(mut scenario), part } = part::<InContext<P>>(bytes);
    add(part, &mut scenario);
    problems(&scenario)
}

fn problems(scenario: &Scenario<WorldConfig>) -> Vec<String> {
    Latent::check(scenario).iter().map(|problem| format!("{problem:?}")).collect()
}

proptest! {
    #[test]
    fn a_scenario_of_any_bytes_passes_the_checks_of_a_file(bytes in any_bytes()) {
        let GeneratedScenario(scenario) = part(&bytes);
        prop_assert_eq!(problems(&scenario), [""; 0]);
        let text = scenario.to_text();
        let read = parse::<Latent>("generated.json", &text).map(|read| read.to_text());
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(text));
    }

    #[test]
    fn a_part_of_any_bytes_fits_its_context_alone(bytes in any_bytes()) {
        let QuietScenario(quiet) = part(&bytes);
        prop_assert_eq!(problems(&quiet), [""; 0]);
        let found = [
            problems_of(&bytes, |it: Operations, scenario| scenario.config.operations = it.0),
            problems_of(&bytes, |it: Operation, scenario| {
                if it.action.lacks(&scenario.config.protection).is_none() {
                    scenario.config.operations.push(it);
                }
            }),
            problems_of(&bytes, |it: LoadPatterns, scenario| scenario.config.load = it.0),
            problems_of(&bytes, |it: Faults, scenario| scenario.faults = it.0),
            problems_of(&bytes, |it: Deploys, scenario| {
                scenario.config.releases = it.releases();
                scenario.config.deploys = it.0;
            }),
        ];
        prop_assert_eq!(found.concat(), [""; 0]);
        let InContext { context, part: HealWithout(without) } = part(&bytes);
        let InContext { context: QuietScenario(mut faulty), part: Faults(faults) } = context;
        (faulty.faults, faulty.config.heal_without) = (faults, without);
        prop_assert_eq!(problems(&faulty), [""; 0]);
    }

    /// The parts of a quiet scenario, each put in place of that of a valid one that has no other part that refers to
    /// it.
    #[test]
    fn a_part_of_the_world_is_drawn_from_any_bytes_alone(bytes in any_bytes()) {
        let quiet = || part::<QuietScenario>(&[]).0;
        let Calendar { start, run_for } = part(&bytes);
        let moved = Scenario { start, run_for, ..quiet() };
        let altered = |alter: &dyn Fn(&mut WorldConfig)| {
            let mut scenario = quiet();
            alter(&mut scenario.config);
            problems(&scenario)
        };
        let found = [
            problems(&moved),
            altered(&|config| config.tenants = part::<InContext<Tenants>>(&bytes).part.0),
            altered(&|config| config.tenants[0].api = part(&bytes)),
            altered(&|config| config.zones = part::<Zones>(&bytes).0),
            altered(&|config| config.topology = part(&bytes)),
            altered(&|config| config.compaction = part(&bytes)),
            altered(&|config| config.exports_per_project = part::<ExportsPerProject>(&bytes).0),
            altered(&|config| {
                let InContext { context, part } = part::<InContext<RecoverySetup>>(&bytes);
                config.protection = context;
                part.add_to(config);
            }),
        ];
        prop_assert_eq!(found.concat(), [""; 0]);
    }
}

/// Returns the numbers of events and requests of all customers.
fn sent(scenario: &Scenario<WorldConfig>, seed: u64) -> (usize, usize) {
    let plan = expand::<Latent>(scenario, seed);
    let mut sums = (0, 0);
    for tenant in &plan.system.tenants {
        let draw = |stream: &'static str, key: u128| keyed_draw(plan.draw_seed, stream, key);
        for request in stream_of(tenant, send_window_ms(scenario), draw).unwrap() {
            sums = (sums.0 + request.events.len(), sums.1 + 1);
        }
    }
    sums
}

#[test]
fn half_of_the_scenarios_have_up_to_600_events_in_100_requests_and_a_few_have_very_many() {
    let (mut events, mut requests): (Vec<usize>, Vec<usize>) =
        (0..401).map(|seed| sent(&drawn(seed), seed)).unzip();
    events.sort_unstable();
    requests.sort_unstable();
    let (median, tail) = (events[200], events[360]);
    assert!((500..=700).contains(&median), "{median} events at the median");
    assert!((85..=115).contains(&requests[200]), "{} requests at the median", requests[200]);
    assert!(tail > 3_000 && events[400] > 15_000, "{tail} at the ninetieth, {} at most", events[400]);
}

#[test]
fn every_kind_of_fault_occurs_and_each_run_has_only_some_kinds() {
    let mut met: BTreeSet<&str> = BTreeSet::new();
    let (mut calm, mut narrow, mut crashes) = (0, 0, 0);
    for seed in 0..300 {
        let scenario = drawn(seed);
        let kinds: BTreeSet<&str> = scenario.faults.iter().map(|fault| fault.action.name()).collect();
        calm += usize::from(kinds.is_empty());
        assert!(kinds.len() < FaultKind::ALL.len() - 4, "seed {seed}: {kinds:?}");
        met.extend(kinds);
        let budget = nemesis::budget(&scenario.config.topology);
        assert_eq!(exceeded(scenario.faults.iter(), &scenario, &budget), None, "seed {seed}");
        for fault in scenario.faults.iter().filter(|fault| fault.action.name() == "kill") {
            crashes += 1;
            narrow += usize::from(!matches!(fault.trigger, Trigger::AtMs(_) | Trigger::At(_)));
        }
    }
    assert!(met.len() >= FaultKind::ALL.len() - 1, "slow and lossy links are one action: {met:?}");
    assert!((30..=120).contains(&calm), "{calm} of 300 runs without a fault");
    assert!(narrow * 5 >= crashes * 2, "{narrow} of {crashes} crashes at an operation or a mark");
}

#[test]
fn each_feature_occurs_in_some_runs_and_not_in_others() {
    type Has = fn(&Scenario<WorldConfig>) -> bool;
    let traits: [(&str, Has); 12] = [
        ("a tee", |it| it.config.protection.tee.is_some()),
        ("backups", |it| it.config.protection.backup.is_some()),
        ("an audit", |it| it.config.protection.audit.is_some()),
        ("an operator", |it| it.config.operator.is_some()),
        ("drills", |it| it.config.drills > 0),
        ("operations", |it| !it.config.operations.is_empty()),
        ("deploys", |it| !it.config.deploys.is_empty()),
        ("loads", |it| !it.config.load.is_empty()),
        ("late events", |it| it.config.tenants[0].late_ppm.1 > 0),
        ("fewer copies", |it| it.config.topology.copies < 8),
        ("two classes", |it| it.config.tenants.len() > 1),
        ("another length", |it| it.run_for.to_string() != "7d"),
    ];
    let all: Vec<Scenario<WorldConfig>> = (0..200).map(drawn).collect();
    for (what, has) in traits {
        let having = all.iter().filter(|scenario| has(scenario)).count();
        assert!((20..=180).contains(&having), "{having} of 200 have {what}");
    }
}
