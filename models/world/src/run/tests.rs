use super::*;
use crate::Latent;
use crate::testing::{SMALL, judged, with_faults};
use latent_engine::sim::{TraceHash, WorldSpec, run_fork};

fn hash(watched: bool) -> (TraceHash, u64) {
    let scenario = latent_engine::parse::<Latent>("small.json", SMALL).unwrap();
    let plan = crate::plan::expand(&scenario, 7);
    let spec = WorldSpec { start: scenario.start.0, ..WorldSpec::seeded(7) };
    let finished = run_fork(spec, |world| async {
        let mut course = Course::begin(&plan, &scenario, world, Progress::silent());
        course.watched = watched;
        course.pass().await;
        course.last_judgement().findings.loss.events_lost_from_production
    });
    (finished.trace_hash, finished.output)
}

#[test]
fn faults_within_the_budget_are_not_held_against_the_system_and_it_comes_to_rest() {
    let fault = |at: &str, action: &str| {
        format!(r#"{{ "anchor": {{ "at": "2016-02-{at}:00Z" }}, "action": {{ {action} }} }}"#)
    };
    let hour_ms = 3_600_000;
    let faults = [
        fault("20T08:00", &format!(r#""kill": {{ "node": "disk-3", "restart_after_ms": {hour_ms} }}"#)),
        fault("20T09:00", r#""new_disk": { "node": "disk-2", "restart_after_ms": 60000 }"#),
        fault("20T20:00", r#""bit_rot": { "node": "disk-5", "path_prefix": "arb/", "pick": 3, "bits": 2 }"#),
        fault("20T21:00", r#""latent_sector": { "node": "disk-5", "path_prefix": "arb/", "pick": 9 }"#),
        fault("21T01:00", &format!(r#""kill": {{ "node": "edge-1", "restart_after_ms": {hour_ms} }}"#)),
        fault("21T03:00", &format!(r#""clock_step": {{ "node": "edge-2", "by_ms": {hour_ms} }}"#)),
        fault("21T06:00", r#""isolate": { "node": "dc-1" }"#),
        fault("21T08:00", r#""kill": { "node": "worker-1" }"#),
    ];
    let judged = judged(|small| with_faults(small, &faults.join(",")), |_| {});
    assert_eq!((judged.violations, judged.facts.hung), (vec![], None));
    assert!(judged.findings.work.acknowledgements_checked > 0);
}

#[test]
fn a_disk_that_never_comes_back_leaves_backlogs_that_are_named() {
    // A deploy would boot it again.
    let undeployed = |small: &str| {
        let lines = small.lines().filter(|line| !line.contains("deploys"));
        with_faults(&lines.collect::<Vec<_>>().join("\n"), "")
    };
    let judged = judged(undeployed, |course| course.world.kill(course.nodes.disks[2]));
    let hung = judged.facts.hung.expect("hints for a disk that is down wait for ever");
    assert!(hung.lines().any(|reason| reason.starts_with("L1 ingest-1 hints/")), "{hung}");
}

#[test]
fn acknowledgements_are_held_to_the_disks_that_they_promise() {
    let ask_for = |least_disks: u32| {
        let judged = judged(
            |small| with_faults(small, ""),
            |course| {
                let (world, disks) = (course.world.clone(), course.nodes.disks.clone());
                let acks = Acks::new(world, disks, least_disks, course.chronicle.clone());
                *lock(&course.side.acks) = Some(acks);
            },
        );
        let of_i7 = judged.violations.iter().filter(|found| found.invariant == "I7");
        (of_i7.count() > 0, judged.findings.work.acknowledgements_checked > 0)
    };
    assert_eq!(ask_for(9), (true, true), "there are eight disks");
    assert_eq!(ask_for(4), (false, true));
}

#[test]
fn a_healing_that_is_too_short_to_judge_is_refused_where_it_stands() {
    let short = SMALL.replace(r#""healing": "30h""#, r#""healing": "27h""#);
    let refused = latent_engine::parse::<Latent>("small.json", &short).unwrap_err().to_string();
    assert!(refused.contains("small.json:14:"), "{refused}");
    assert!(refused.contains("healing of 1 d 3 h ends before"), "{refused}");
    assert!(refused.contains("write more than 1 d 3 h"), "{refused}");
}

#[test]
fn neither_looks_nor_drills_nor_the_ledger_disturb_the_world() {
    let (watched, lost) = hash(true);
    let (unwatched, _) = hash(false);
    assert!(lost > 0, "the planted bug must strike, or there is nothing to see");
    assert_eq!(watched, unwatched);
}
