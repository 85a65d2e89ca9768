use super::*;
use crate::cluster::node_env::MarkPolicy;
use crate::plan::streams::{send_window_ms, stream_of};
use crate::plan::workload::{Burst, PlannedRequest};
use crate::run::WorldRun;
use crate::run::findings::Findings;
use crate::scenario::OperatorAction;
use crate::small_scenario::{SMALL, with_faults};
use latent_engine::sim::{TraceHash, WorldSpec, keyed_draw, run_fork};
use latent_engine::{Case, PhaseReporter, Plan, Verdict, parse};

const SEED: u64 = 7;

/// A case before shrinking: its faults are in its plan only.
fn case_of(text: &str, seed: u64) -> WorldCase {
    let mut scenario = parse::<Latent>("case.json", text).unwrap();
    let plan = latent_engine::expand::<Latent>(&scenario, seed);
    scenario.faults.clear();
    Case { scenario, plan }
}

fn scenario_file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The small scenario with operations, zone edits, loads and faults of all kinds.
fn everything() -> String {
    let fault = r#""faults": [
        { "trigger": { "at": "2016-02-21T08:00:00Z" }, "action": { "kill": { "node": "worker-2", "restart_after_ms": 60000 } } },
        { "trigger": { "mark": { "name": "compaction.committed", "n": 2, "after_ms": 3600000 } },
          "action": { "isolate": { "node": "dc-2", "for_ms": 60000 } } }],
        "load": [
            { "burst": { "from": "2016-02-20T10:00:00Z", "for": "1h", "times": 4 } },
            { "offline": { "from": "2016-02-20T12:00:00Z", "for": "6h", "share_ppm": 200000, "project": 2 } },
            { "retry_storm": { "from": "2016-02-20T09:00:00Z", "for": "20h" } },
            { "device_clocks": { "share_ppm": 100000, "by": { "behind": "2h" }, "project": 1 } },
            { "backlog": { "project": 3 } }],
        "operations": [
            { "at": "2016-02-21T03:07:00Z", "action": { "recover": { "times": 2, "runbook": ["read_backups", "rebuild", "write"],
              "days": [{ "project": 1, "day": "2016-02-20" }, { "project": 2, "day": "2016-02-20" }] } } },
            { "at": "2016-02-20T14:15:16Z", "action": { "disable_backup": { "for": "5h" } } },
            { "at": "2016-02-21T14:15:16Z", "action": { "retention_typo": { "target": "tee", "typed": "7h" } } }],
        "zone_edits": [
            { "at": "2016-02-20T15:00:00Z", "project": 1, "zone": "Asia/Kolkata" },
            { "at": "2016-02-21T15:00:00Z", "project": 2, "zone": "Europe/Berlin" }],
        "heal_without": { "down": "disk-8" },
        "expect": "recovered""#;
    let rolling = SMALL.replace(r#""to": "all""#, r#""to": { "rolling": { "pause": "2m" } }"#);
    rolling.replace(r#""expect": "recovered""#, fault)
}

/// Runs a case and returns its result and trace hash.
fn run(case: &WorldCase) -> (Verdict<Findings>, TraceHash) {
    let Case { scenario, plan } = case;
    let spec = WorldSpec {
        scheduler_seed: plan.scheduler_seed,
        draw_seed: plan.draw_seed,
        start: scenario.start.0,
        keep_log: false,
    };
    let normalized = run_fork(spec, |world| async {
        for fault in scenario.faults.iter().chain(&plan.faults) {
            world.arm(fault.clone());
        }
        let mut run =
            WorldRun::new(&plan.system, scenario, world, PhaseReporter::silent(), MarkPolicy::Record);
        run.execute_and_heal().await;
        run.verdict()
    });
    (normalized.output, normalized.trace_hash)
}

/// Asserts that scenario and plan survive a round trip through JSON.
fn assert_valid(case: &WorldCase, after: &str) {
    let text = case.scenario.to_text();
    let again = parse::<Latent>("smaller.json", &text).unwrap_or_else(|bad| panic!("after {after}: {bad}"));
    assert_eq!(again.to_text(), text, "after {after}");
    let text = serde_json::to_string(&case.plan).unwrap();
    let plan: Plan<WorldPlan> = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&plan).unwrap(), text, "after {after}");
    let mut with_faults = case.scenario.clone();
    with_faults.faults = case.plan.faults.clone();
    let problem = parse::<Latent>("smaller.json", &with_faults.to_text()).err();
    assert!(problem.is_none(), "after {after}: {}", problem.unwrap());
}

/// Keyed draws for the choices of the tests.
struct KeyedChooser {
    seed: u64,
    drawn: u128,
}

impl KeyedChooser {
    fn below(&mut self, limit: usize) -> usize {
        self.drawn += 1;
        (keyed_draw(self.seed, "smaller.test", self.drawn) % limit.max(1) as u64) as usize
    }

    fn indices(&mut self, count: usize) -> BTreeSet<usize> {
        // A few, almost all, or a range.
        match self.below(3) {
            0 => (0..=self.below(3)).map(|_| self.below(count)).collect(),
            1 => (0..count).filter(|_| self.below(8) > 0).collect(),
            _ => {
                let (from, to) = (self.below(count), self.below(count));
                (from.min(to)..=from.max(to)).collect()
            }
        }
    }
}

/// Applies a random reduction; returns the case if it produces one.
fn step(case: &WorldCase, chooser: &mut KeyedChooser) -> Option<(WorldCase, &'static str)> {
    let mut all = reductions();
    match all.swap_remove(chooser.below(all.len())) {
        Reduction::Remove { what, count, without } => {
            let before = count(case);
            let indices = if before == 0 { return None } else { chooser.indices(before) };
            let smaller = without(case, &indices)?;
            let after = count(&smaller);
            assert!(after + indices.len() <= before, "{before} {what}, {} left out: {after}", indices.len());
            Some((smaller, what))
        }
        Reduction::Simplify { what, cases } => {
            let mut cases = cases(case);
            (!cases.is_empty()).then(|| (cases.swap_remove(chooser.below(cases.len())), what))
        }
    }
}

#[test]
fn repeatedly_shrunk_cases_stay_valid() {
    let files = ["incident-2016.json", "incident-2016-protected.json", "busy-week.json", "rough-week.json"];
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for text in files.map(scenario_file).into_iter().chain([everything()]) {
        for turn in 0..6 {
            let mut case = case_of(&text, turn);
            let mut chooser = KeyedChooser { seed: turn, drawn: 0 };
            for _ in 0..30 {
                let Some((smaller, what)) = step(&case, &mut chooser) else { continue };
                assert_valid(&smaller, what);
                met.insert(what);
                case = materialize(&smaller).unwrap_or(smaller);
            }
        }
    }
    let all: BTreeSet<&str> = reductions().iter().map(Reduction::what).collect();
    assert_eq!(met, all, "each must have been tried");
}

#[test]
fn simplification_terminates() {
    for text in ["busy-week.json", "rough-week.json"].map(scenario_file).into_iter().chain([everything()]) {
        let mut case = case_of(&text, SEED);
        for reduction in reductions() {
            let Reduction::Simplify { what, cases } = reduction else { continue };
            let mut steps = 0;
            // The last case is the least simple, so this is the longest path.
            while let Some(simpler) = cases(&case).pop() {
                (case, steps) = (simpler, steps + 1);
                assert!(steps < 1_000, "{what} go on and on");
            }
            assert_valid(&case, what);
        }
    }
}

#[test]
fn removing_all_items_leaves_an_empty_case_or_none() {
    let case = case_of(&everything(), SEED);
    for reduction in reductions() {
        let Reduction::Remove { what, count, without } = reduction else { continue };
        let all: BTreeSet<usize> = (0..count(&case)).collect();
        assert!(!all.is_empty(), "there are {what}");
        match (what, without(&case, &all)) {
            ("projects", None) => {}
            // Operations need the protection.
            ("spare nodes", None) => {}
            ("projects" | "spare nodes", Some(_)) => panic!("a case without {what}"),
            (_, None) => panic!("{what} cannot be left out"),
            (_, Some(smaller)) => {
                assert_eq!(count(&smaller), 0, "{what}");
                assert_valid(&smaller, what);
            }
        }
    }
}

/// Returns all requests of a project.
fn stream(case: &WorldCase, project: u32) -> impl Iterator<Item = PlannedRequest> {
    let draw = |stream: &'static str, key: u128| keyed_draw(case.plan.draw_seed, stream, key);
    let tenant = case.plan.system.tenant(project).unwrap();
    stream_of(tenant, send_window_ms(&case.scenario), draw).unwrap()
}

/// Returns time, key and text of all requests of a project.
fn sent_by(case: &WorldCase, project: u32) -> Vec<(i64, u64, Vec<u8>)> {
    stream(case, project).map(|request| (request.at_ms, request.key, request.text.to_vec())).collect()
}

#[test]
fn remaining_projects_keep_their_numbers_and_requests() {
    let case = case_of(&everything(), SEED);
    let smaller = lists::without_projects(&case, &BTreeSet::from([0])).unwrap();
    let plan = &smaller.plan.system;
    assert_eq!(plan.tenants.iter().map(|tenant| tenant.workload.project).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(plan.exports.iter().filter(|export| export.project == 1).count(), 0);
    let OperatorAction::Recover(recover) = &plan.operations[0].action else {
        panic!("the recovery comes first")
    };
    assert_eq!(recover.days.iter().map(|of| of.project).collect::<Vec<_>>(), [2]);
    assert_eq!([2, 3].map(|it| sent_by(&smaller, it)), [2, 3].map(|it| sent_by(&case, it)));
    let third = lists::without_projects(&smaller, &BTreeSet::from([0])).unwrap();
    assert_eq!(third.plan.system.operations.len(), 2, "a recovery of no day that is left is none");
}

#[test]
fn a_loss_is_found_in_a_project_after_a_gap_in_the_numbers() {
    let case = case_of(SMALL, SEED);
    let smaller = lists::without_projects(&case, &BTreeSet::from([0, 2])).unwrap();
    let (judged, _) = run(&smaller);
    assert!(judged.findings.loss.events_lost_from_production > 0);
    let zone = &smaller.plan.system.tenants[0].zone;
    let text = serde_json::to_string(&judged.findings).unwrap();
    assert!(text.contains(zone.as_str()), "the loss names its zone: {text}");
    let losses = judged.violations.iter().filter(|found| found.invariant == "I1");
    assert!(losses.map(|found| found.subject.as_str()).all(|subject| subject == "p2"));
}

#[test]
fn remaining_events_are_sent_unchanged() {
    let mut case = case_of(&everything(), SEED);
    let burst = Burst { from_ms: case.scenario.start.0.0, to_ms: case.scenario.end().0.0, times: 3 };
    case.plan.system.tenants[0].workload.bursts = vec![burst];
    let sent = |case: &WorldCase| -> BTreeSet<String> {
        let projects = case.plan.system.tenants.iter().map(|tenant| tenant.workload.project);
        let requests = projects.flat_map(|project| stream(case, project));
        let texts = requests.flat_map(|request| {
            let (at_ms, events) = (request.at_ms, request.events.into_iter());
            events.map(move |event| format!("{at_ms} {}", String::from_utf8_lossy(&event.json)))
        });
        texts.collect()
    };
    let before = events::count(&case);
    let all = sent(&case);
    let indices: BTreeSet<usize> = (0..before).filter(|place| place % 7 > 0 || *place > before / 2).collect();
    let smaller = events::without(&case, &indices).unwrap();
    assert_eq!(events::count(&smaller), before - indices.len());
    let left = sent(&smaller);
    assert!(left.is_subset(&all), "{:?}", left.difference(&all).next());
    // Removed events do not return.
    let fewer = events::without(&smaller, &BTreeSet::from([1, 4])).unwrap();
    assert!(sent(&fewer).is_subset(&left));
    assert!(left.len() < all.len() / 3 && !left.is_empty(), "{} of {}", left.len(), all.len());
}

#[test]
fn explicit_requests_make_the_same_run() {
    for text in [everything(), SMALL.to_owned()] {
        let case = case_of(&text, SEED);
        assert!(materialize(&case).is_none(), "there are too many events");
        let all = events::count(&case);
        // The remaining events are spread over all projects, so each has explicit ones.
        let indices = (0..all).filter(|place| place % (all / 60) > 0).collect();
        let few = events::without(&case, &indices).unwrap();
        let written = materialize(&few).expect("there are few events");
        assert!(materialize(&written).is_none(), "they are written out already");
        assert_valid(&written, "writing out");
        let ((by_law, law_hash), (by_hand, written_hash)) = (run(&few), run(&written));
        assert_eq!(law_hash, written_hash);
        assert_eq!(by_law.violations, by_hand.violations);
        assert!(by_hand.findings.events.sent > 0);
        // After a round trip through JSON the run is still the same.
        let plan = serde_json::from_str(&serde_json::to_string_pretty(&written.plan).unwrap()).unwrap();
        let again = Case { scenario: written.scenario.clone(), plan };
        assert_eq!(run(&again).1, written_hash);
    }
}

#[test]
fn faults_in_the_scenario_and_in_the_plan_are_equivalent() {
    let fault = r#"{ "trigger": { "at": "2016-02-20T08:00:00Z" },
        "action": { "new_disk": { "node": "disk-2", "restart_after_ms": 60000 } } }"#;
    let text = with_faults(SMALL, fault);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("deploys")).collect();
    let in_plan = case_of(&lines.join("\n"), SEED);
    let mut in_scenario = in_plan.clone();
    in_scenario.scenario.faults = std::mem::take(&mut in_scenario.plan.faults);
    let ((one, one_hash), (other, other_hash)) = (run(&in_plan), run(&in_scenario));
    assert_eq!(one_hash, other_hash);
    assert_eq!((one.violations, one.facts), (other.violations, other.facts));
}
