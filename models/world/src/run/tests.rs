use super::*;
use crate::Latent;
use crate::cluster::node_ids::NodeIds;
use crate::judge::durability_sampler::DurabilitySampler;
use crate::judge::tee_sampler::TeeSampler;
use crate::plan::time_limits;
use crate::run::findings::Findings;
use crate::small_scenario::{SMALL, judged, with_faults};
use latent_engine::sim::{TraceHash, WorldSpec, run_fork};
use latent_engine::verdict::{Outcome, Violation};
use latent_ports::NodeId;

fn hash(is_checking: bool) -> (TraceHash, u64) {
    let scenario = latent_engine::parse::<Latent>("small.json", SMALL).unwrap();
    let plan = crate::plan::expand(&scenario, 7);
    let spec = WorldSpec { start: scenario.start.0, ..WorldSpec::seeded(7) };
    let finished = run_fork(spec, |world| async {
        let mut run = WorldRun::new(&plan, &scenario, world, PhaseReporter::silent(), MarkPolicy::Record);
        run.is_checking = is_checking;
        run.execute_and_heal().await;
        run.verdict().findings.loss.events_lost_from_production
    });
    (finished.trace_hash, finished.output)
}

#[test]
fn faults_within_the_budget_cause_no_violation_and_the_system_heals() {
    let fault = |at: &str, action: &str| {
        format!(r#"{{ "trigger": {{ "at": "2016-02-{at}:00Z" }}, "action": {{ {action} }} }}"#)
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
    assert_eq!((judged.violations, judged.facts.hung), (vec![], vec![]));
    assert!(judged.findings.work.acknowledgements_checked > 0);
}

/// Removes the deploys, which would restart nodes that a test killed.
fn without_deploys(small: &str) -> String {
    let lines = small.lines().filter(|line| !line.contains("deploys"));
    with_faults(&lines.collect::<Vec<_>>().join("\n"), "")
}

#[test]
fn a_disk_that_stays_down_leaves_named_backlogs() {
    let judged = judged(without_deploys, |run| run.state.world.kill(run.state.nodes.disks[2]));
    let hung = judged.facts.hung;
    assert!(hung.iter().any(|work| work.what.starts_with("L1 ingest-1 hints/")), "{hung:?}");
    // No planned fault removed the disk, so hints and copies were late during the run.
    let late: Vec<String> = judged.violations.iter().map(Violation::fingerprint).collect();
    for expected in ["L1:hint-overdue", "L5:not-converged"] {
        assert!(late.iter().any(|found| found.starts_with(expected)), "{expected} in {late:?}");
    }
}

#[test]
fn days_that_no_worker_compacts_are_late_every_night() {
    let judged = judged(without_deploys, |run| {
        run.state.nodes.workers.iter().for_each(|worker| run.state.world.kill(*worker))
    });
    let late =
        judged.violations.iter().filter(|found| found.fingerprint().starts_with("L2:compaction-overdue"));
    assert!(late.count() > 0, "{:?}", judged.violations);
}

#[test]
fn the_other_nodes_heal_without_an_absent_disk() {
    for without in [r#"{ "down": "disk-3" }"#, r#"{ "cut_off": "disk-3" }"#] {
        let fields = format!(r#""heal_without": {without}, "healing""#);
        let judged = judged(|small| with_faults(small, "").replace(r#""healing""#, &fields), |_| {});
        assert_eq!((judged.violations, judged.facts.hung), (vec![], vec![]), "{without}");
    }
}

#[test]
fn acknowledged_events_are_durable_on_the_promised_number_of_disks() {
    let ask_for = |min_disks: u32| {
        let judged = judged(
            |small| with_faults(small, ""),
            |run| {
                let (world, disks) = (run.state.world.clone(), run.state.nodes.disks.clone());
                let durability_sampler =
                    DurabilitySampler::new(world, disks, min_disks, run.state.fault_log.clone());
                *lock(&run.state.durability_sampler) = durability_sampler;
            },
        );
        let of_i7 = judged.violations.iter().filter(|found| found.invariant == "I7");
        (of_i7.count() > 0, judged.findings.work.acknowledgements_checked > 0)
    };
    assert_eq!(ask_for(9), (true, true), "there are eight disks");
    assert_eq!(ask_for(4), (false, true));
}

#[test]
fn acknowledged_requests_are_durable_in_two_copies_of_the_tee() {
    let reports = |edges: fn(&NodeIds) -> Vec<NodeId>| {
        let judged = judged(
            |small| with_faults(small, ""),
            |run| {
                let (world, nodes) = (run.state.world.clone(), &run.state.nodes);
                let edges = (edges(nodes), nodes.tee_store);
                let tee_sampler = TeeSampler::new(world, edges, 1_000, run.state.fault_log.clone());
                *lock(run.state.tee_sampler.as_ref().expect("the scenario has a tee")) = tee_sampler;
            },
        );
        judged.violations.iter().any(|found| found.fingerprint().starts_with("I11:too-few-copies"))
    };
    assert!(reports(|nodes| vec![nodes.edges[0], nodes.disks[0]]), "a disk of Arb holds no copy of the tee");
    assert!(!reports(|nodes| nodes.edges.clone()));
}

#[test]
fn a_healing_that_is_too_short_to_check_is_rejected_with_its_position() {
    let short = SMALL.replace(r#""healing": "30h""#, r#""healing": "27h""#);
    let refused = latent_engine::parse::<Latent>("small.json", &short).unwrap_err().to_string();
    assert!(refused.contains("small.json:14:"), "{refused}");
    assert!(refused.contains("healing of 1 d 3 h ends before"), "{refused}");
    assert!(refused.contains("write more than 1 d 3 h"), "{refused}");
}

#[test]
fn checks_drills_and_the_ledger_do_not_affect_the_world() {
    let (is_checking, lost) = hash(true);
    let (unwatched, _) = hash(false);
    assert!(lost > 0, "the planted bug must strike, or there is nothing to see");
    assert_eq!(is_checking, unwatched);
}

/// The small scenario with its planted bug, and an operator who repairs the damage after the roll-back.
fn repaired(small: &str) -> String {
    let deploys = r#""deploys": [{ "at": "2016-02-20T03:00:00Z", "release": "bad", "to": "all" }"#;
    let back = r#", { "at": "2016-02-21T12:00:00Z", "release": "good", "to": "all" }"#;
    let small = small.replace(deploys, &format!("{deploys}{back}"));
    small.replace(r#""drills": 2"#, r#""operator": { "reaction": "30m" }, "drills": 0"#)
}

fn outcome(judged: &Verdict<Findings>) -> Outcome {
    latent_engine::verdict::outcome(&judged.violations, &judged.facts)
}

#[test]
fn a_detected_and_fully_restored_loss_is_recovered() {
    let judged = judged(repaired, |_| {});
    let loss = &judged.findings.loss;
    assert!(loss.events_lost_from_production > 0, "the planted bug must strike");
    assert_eq!((loss.events_missing_at_end, loss.events_unrecoverable), (0, Some(0)));
    assert_eq!((outcome(&judged), &judged.facts.shortfall), (Outcome::Recovered, &None));
}

#[test]
fn events_missing_at_the_end_get_a_drill_and_are_recoverable_but_missing() {
    let unrepaired = |small: &str| {
        let lines = small.lines().filter(|line| !line.contains(r#""backup""#));
        lines.collect::<Vec<_>>().join("\n").replace(r#""drills": 2"#, r#""drills": 0"#)
    };
    let judged = judged(unrepaired, |_| {});
    let loss = &judged.findings.loss;
    assert!(loss.events_missing_at_end > 0, "no operator repairs the loss");
    assert_eq!((judged.findings.drills.len(), loss.events_unrecoverable), (1, Some(0)), "the tee has it all");
    assert_eq!(outcome(&judged), Outcome::RecoverableButMissing);
    let shortfall = judged.facts.shortfall.expect("events are missing");
    assert!(shortfall.contains("missing from production at the end"), "{shortfall}");
    assert_eq!(judged.marks["drill:recovery.ended"], 1, "what a drill reaches counts: {:?}", judged.marks);
}

/// Removes the backups and isolates the audit; `more` adds fields.
fn with_an_isolated_audit(small: &str, more: &str) -> String {
    let isolated = format!(
        r#"{more}"faults": [{{ "trigger": {{ "at": "2016-02-20T00:30:00Z" }},
            "action": {{ "isolate": {{ "node": "audit" }} }} }}], "drills""#
    );
    let small = repaired(small).replace(r#""drills""#, &isolated);
    small.lines().filter(|line| !line.contains(r#""backup""#)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_restored_loss_that_no_detector_reported_in_time_is_not_recovered() {
    // Either a planned recovery repairs the loss, or the audit's alarm arrives too late.
    let by_plan = r#""operations": [{ "at": "2016-02-21T18:00:00Z", "action": { "recover": {} } }], "#;
    for more in [by_plan, ""] {
        let judged = judged(|small| with_an_isolated_audit(small, more), |_| {});
        let loss = &judged.findings.loss;
        assert!(loss.events_lost_from_production > 0 && loss.events_missing_at_end == 0, "{loss:?}");
        assert_eq!(judged.findings.recovery.detected_by.is_some(), more.is_empty());
        assert_eq!(outcome(&judged), Outcome::RecoverableButMissing);
        let shortfall = judged.facts.shortfall.expect("no detector fired in time");
        assert!(shortfall.starts_with("no detector reported the loss of p"), "{shortfall}");
        assert!(shortfall.ends_with(" within 1 d 2 h") && shortfall.lines().count() == 1, "{shortfall}");
    }
}

#[test]
fn the_detection_limit_is_that_of_the_slower_detector_and_absent_without_an_audit() {
    let stated_time = |text: &str| {
        let scenario = latent_engine::parse::<Latent>("small.json", text).unwrap();
        time_limits::detection(&scenario.config).map(|time| time.as_secs() / 3_600)
    };
    assert_eq!(stated_time(SMALL), Some(27), "a backup a day, and 3 h for taking it");
    let unbacked: Vec<&str> = SMALL.lines().filter(|line| !line.contains(r#""backup""#)).collect();
    assert_eq!(stated_time(&unbacked.join("\n")), Some(26), "an audit a night");
    let unaudited: Vec<&str> = SMALL.lines().filter(|line| !line.contains(r#""audit""#)).collect();
    let unaudited = unaudited.join("\n").replace(r#""retention": "10d" },"#, r#""retention": "10d" }"#);
    assert_eq!(stated_time(&unaudited), None, "no alarm has an address");
}
