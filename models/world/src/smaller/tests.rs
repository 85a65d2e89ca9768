use super::*;
use crate::clients::{sends_ms, stream_of};
use crate::findings::Findings;
use crate::operations::What;
use crate::run::Course;
use crate::testing::{SMALL, with_faults};
use crate::workload::{Burst, PlannedRequest};
use latent_engine::sim::{TraceHash, WorldSpec, keyed_draw, run_fork};
use latent_engine::{PhaseReporter, Plan, Verdict, parse};

const SEED: u64 = 7;

/// A case as it is before anything was made smaller: its faults stand in its plan alone.
fn case_of(text: &str, seed: u64) -> LatentCase {
    let mut scenario = parse::<Latent>("case.json", text).unwrap();
    let plan = latent_engine::expand::<Latent>(&scenario, seed);
    scenario.faults.clear();
    Case { scenario, plan }
}

fn scenario_file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The small scenario with operations, loads and faults of all sorts.
fn everything() -> String {
    let fault = r#""faults": [
        { "anchor": { "at": "2016-02-21T08:00:00Z" }, "action": { "kill": { "node": "worker-2", "restart_after_ms": 60000 } } },
        { "anchor": { "mark": { "name": "compaction.committed", "n": 2, "after_ms": 3600000 } },
          "action": { "isolate": { "node": "dc-2", "for_ms": 60000 } } }],
        "load": [
            { "burst": { "from": "2016-02-20T10:00:00Z", "for": "1h", "times": 4 } },
            { "offline": { "from": "2016-02-20T12:00:00Z", "for": "6h", "share_ppm": 200000, "project": 2 } },
            { "retry_storm": { "from": "2016-02-20T09:00:00Z", "for": "20h" } },
            { "device_clocks": { "share_ppm": 100000, "by": { "behind": "2h" }, "project": 1 } },
            { "backlog": { "project": 3 } }],
        "operations": [
            { "at": "2016-02-21T03:07:00Z", "what": { "recover": { "times": 2, "runbook": ["read_backups", "rebuild", "write"],
              "days": [{ "project": 1, "day": "2016-02-20" }, { "project": 2, "day": "2016-02-20" }] } } },
            { "at": "2016-02-20T14:15:16Z", "what": { "disable_backup": { "for": "5h" } } },
            { "at": "2016-02-21T14:15:16Z", "what": { "type_retention": { "of": "tee", "typed": "7h" } } }],
        "heal_without": { "down": "disk-8" },
        "expect": "recovered""#;
    let rolling = SMALL.replace(r#""to": "all""#, r#""to": { "rolling": { "pause": "2m" } }"#);
    rolling.replace(r#""expect": "recovered""#, fault)
}

/// What a run of a case comes to.
fn run(case: &LatentCase) -> (Verdict<Findings>, TraceHash) {
    let Case { scenario, plan } = case;
    let spec = WorldSpec {
        scheduler_seed: plan.scheduler_seed,
        draw_seed: plan.draw_seed,
        start: scenario.start.0,
        keep_log: false,
    };
    let finished = run_fork(spec, |world| async {
        for fault in scenario.faults.iter().chain(&plan.faults) {
            world.arm(fault.clone());
        }
        let mut course = Course::begin(&plan.system, scenario, world, PhaseReporter::silent());
        course.pass().await;
        course.last_judgement()
    });
    (finished.output, finished.trace_hash)
}

/// The scenario can be read again as it was, and so can the plan.
fn assert_valid(case: &LatentCase, after: &str) {
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

/// Draws from a seed, for choices of the tests.
struct Chooser {
    seed: u64,
    drawn: u128,
}

impl Chooser {
    fn below(&mut self, limit: usize) -> usize {
        self.drawn += 1;
        (keyed_draw(self.seed, "smaller.test", self.drawn) % limit.max(1) as u64) as usize
    }

    fn places(&mut self, count: usize) -> BTreeSet<usize> {
        // Some, almost all, or a chunk.
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

/// Takes one reduction at random; the case that it makes, if it makes one.
fn step(case: &LatentCase, chooser: &mut Chooser) -> Option<(LatentCase, &'static str)> {
    let mut all = reductions();
    match all.swap_remove(chooser.below(all.len())) {
        Reduction::Remove { what, count, without } => {
            let before = count(case);
            let places = if before == 0 { return None } else { chooser.places(before) };
            let smaller = without(case, &places)?;
            let after = count(&smaller);
            assert!(after + places.len() <= before, "{before} {what}, {} left out: {after}", places.len());
            Some((smaller, what))
        }
        Reduction::Simplify { what, cases } => {
            let mut cases = cases(case);
            (!cases.is_empty()).then(|| (cases.swap_remove(chooser.below(cases.len())), what))
        }
    }
}

#[test]
fn whatever_is_made_smaller_again_and_again_can_still_be_read() {
    let files = ["incident-2016.json", "incident-2016-protected.json", "busy-week.json", "rough-week.json"];
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for text in files.map(scenario_file).into_iter().chain([everything()]) {
        for turn in 0..6 {
            let mut case = case_of(&text, turn);
            let mut chooser = Chooser { seed: turn, drawn: 0 };
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
fn simpler_cases_come_to_an_end() {
    for text in ["busy-week.json", "rough-week.json"].map(scenario_file).into_iter().chain([everything()]) {
        let mut case = case_of(&text, SEED);
        for reduction in reductions() {
            let Reduction::Simplify { what, cases } = reduction else { continue };
            let mut steps = 0;
            // The last is the least simple: the longest way.
            while let Some(simpler) = cases(&case).pop() {
                (case, steps) = (simpler, steps + 1);
                assert!(steps < 1_000, "{what} go on and on");
            }
            assert_valid(&case, what);
        }
    }
}

#[test]
fn leaving_all_out_leaves_a_case_that_sends_nothing_or_none() {
    let case = case_of(&everything(), SEED);
    for reduction in reductions() {
        let Reduction::Remove { what, count, without } = reduction else { continue };
        let all: BTreeSet<usize> = (0..count(&case)).collect();
        assert!(!all.is_empty(), "there are {what}");
        match (what, without(&case, &all)) {
            ("projects", None) => {}
            // Operations need what protects.
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

/// All that a project sends.
fn stream(case: &LatentCase, project: u32) -> impl Iterator<Item = PlannedRequest> {
    let draw = |stream: &'static str, key: u128| keyed_draw(case.plan.draw_seed, stream, key);
    let tenant = case.plan.system.tenant(project).unwrap();
    stream_of(tenant, sends_ms(&case.scenario), draw).unwrap()
}

/// Time, key and text of all that a project sends.
fn sent_by(case: &LatentCase, project: u32) -> Vec<(i64, u64, Vec<u8>)> {
    stream(case, project).map(|request| (request.at_ms, request.key, request.text.to_vec())).collect()
}

#[test]
fn projects_that_stay_keep_their_numbers_and_what_they_send() {
    let case = case_of(&everything(), SEED);
    let smaller = parts::without_projects(&case, &BTreeSet::from([0])).unwrap();
    let plan = &smaller.plan.system;
    assert_eq!(plan.tenants.iter().map(|tenant| tenant.law.project).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(plan.exports.iter().filter(|export| export.project == 1).count(), 0);
    let What::Recover(recover) = &plan.operations[0].what else { panic!("the recovery comes first") };
    assert_eq!(recover.days.iter().map(|of| of.project).collect::<Vec<_>>(), [2]);
    assert_eq!([2, 3].map(|it| sent_by(&smaller, it)), [2, 3].map(|it| sent_by(&case, it)));
    let third = parts::without_projects(&smaller, &BTreeSet::from([0])).unwrap();
    assert_eq!(third.plan.system.operations.len(), 2, "a recovery of no day that is left is none");
}

#[test]
fn a_loss_is_found_in_a_project_whose_number_follows_a_gap() {
    let case = case_of(SMALL, SEED);
    let smaller = parts::without_projects(&case, &BTreeSet::from([0, 2])).unwrap();
    let (judged, _) = run(&smaller);
    assert!(judged.findings.loss.events_lost_from_production > 0);
    let zone = &smaller.plan.system.tenants[0].zone;
    let text = serde_json::to_string(&judged.findings).unwrap();
    assert!(text.contains(zone.as_str()), "the loss is told with its zone: {text}");
    let losses = judged.violations.iter().filter(|found| found.invariant == "I1");
    assert!(losses.map(|found| found.subject.as_str()).all(|subject| subject == "p2"));
}

#[test]
fn events_that_stay_are_sent_as_before() {
    let mut case = case_of(&everything(), SEED);
    let burst = Burst { from_ms: case.scenario.start.0.0, to_ms: case.scenario.end().0.0, times: 3 };
    case.plan.system.tenants[0].law.bursts = vec![burst];
    let sent = |case: &LatentCase| -> BTreeSet<String> {
        let projects = case.plan.system.tenants.iter().map(|tenant| tenant.law.project);
        let requests = projects.flat_map(|project| stream(case, project));
        let texts = requests.flat_map(|request| {
            let (at_ms, events) = (request.at_ms, request.events.into_iter());
            events.map(move |event| format!("{at_ms} {}", String::from_utf8_lossy(&event.json)))
        });
        texts.collect()
    };
    let before = events::count(&case);
    let all = sent(&case);
    let places: BTreeSet<usize> = (0..before).filter(|place| place % 7 > 0 || *place > before / 2).collect();
    let smaller = events::without(&case, &places).unwrap();
    assert_eq!(events::count(&smaller), before - places.len());
    let left = sent(&smaller);
    assert!(left.is_subset(&all), "{:?}", left.difference(&all).next());
    // What was left out once does not come back.
    let fewer = events::without(&smaller, &BTreeSet::from([1, 4])).unwrap();
    assert!(sent(&fewer).is_subset(&left));
    assert!(left.len() < all.len() / 3 && !left.is_empty(), "{} of {}", left.len(), all.len());
}

#[test]
fn events_written_out_make_the_same_run() {
    for text in [everything(), SMALL.to_owned()] {
        let case = case_of(&text, SEED);
        assert!(materialize(&case).is_none(), "there are too many events");
        let all = events::count(&case);
        // What stays is spread over all projects, so that each has something to write.
        let places = (0..all).filter(|place| place % (all / 60) > 0).collect();
        let few = events::without(&case, &places).unwrap();
        let written = materialize(&few).expect("there are few events");
        assert!(materialize(&written).is_none(), "they are written out already");
        assert_valid(&written, "writing out");
        let ((by_law, law_hash), (by_hand, written_hash)) = (run(&few), run(&written));
        assert_eq!(law_hash, written_hash);
        assert_eq!(by_law.violations, by_hand.violations);
        assert!(by_hand.findings.events.sent > 0);
        // Text and all, it can be read back and is the same run still.
        let plan = serde_json::from_str(&serde_json::to_string_pretty(&written.plan).unwrap()).unwrap();
        let again = Case { scenario: written.scenario.clone(), plan };
        assert_eq!(run(&again).1, written_hash);
    }
}

#[test]
fn it_does_not_matter_whether_scenario_or_plan_holds_the_faults() {
    let fault = r#"{ "anchor": { "at": "2016-02-20T08:00:00Z" },
        "action": { "new_disk": { "node": "disk-2", "restart_after_ms": 60000 } } }"#;
    let text = with_faults(SMALL, fault);
    let undeployed: Vec<&str> = text.lines().filter(|line| !line.contains("deploys")).collect();
    let in_plan = case_of(&undeployed.join("\n"), SEED);
    let mut in_scenario = in_plan.clone();
    in_scenario.scenario.faults = std::mem::take(&mut in_scenario.plan.faults);
    let ((one, one_hash), (other, other_hash)) = (run(&in_plan), run(&in_scenario));
    assert_eq!(one_hash, other_hash);
    assert_eq!((one.violations, one.facts), (other.violations, other.facts));
}
