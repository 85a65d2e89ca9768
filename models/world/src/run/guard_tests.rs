//! Guards that do not do their work are found in a whole run, although nothing is lost.
//!
//! A saboteur, which the plan does not have, stops nodes: no fault excuses what they leave undone.

use super::WorldRun;
use crate::cluster::node_ids::NodeIds;
use crate::mutex::lock;
use crate::observe::observed_reads::ObservedReads;
use crate::small_scenario::{judged, with_faults};
use latent_engine::sim::{DiskImage, NodeSpec, SimEnv, World};
use latent_ports::{Clock, Env, NodeId};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// Adds a node that acts once, after some hours.
fn sabotage(
    run: &WorldRun<'_>,
    after_hours: u32,
    act: impl Fn(&World, &NodeIds) + Clone + Send + Sync + 'static,
) {
    let (world, nodes) = (run.state.world.clone(), run.state.nodes.clone());
    run.state.world.add_node(NodeSpec::named(format!("saboteur-{after_hours}")), move |env: SimEnv| {
        let (world, nodes, act) = (world.clone(), nodes.clone(), act.clone());
        async move {
            env.clock().sleep(HOUR * after_hours).await;
            act(&world, &nodes);
        }
    });
}

/// Replaces disks by empty ones.
fn empty(world: &World, nodes: &[NodeId]) {
    for node in nodes {
        world.kill(*node);
        world.replace_disk(*node, &DiskImage::default());
        world.restart(*node);
    }
}

/// Returns the small scenario without deploys, of this many days and with these faults.
fn days(small: &str, days: u32, faults: &str) -> String {
    let small = small.replace(r#""run_for": "2d""#, &format!(r#""run_for": "{days}d""#));
    let lines: Vec<&str> = small.lines().filter(|line| !line.contains("deploys")).collect();
    with_faults(&lines.join("\n"), faults)
}

/// Isolates a node from the second hour to the end of faults.
fn isolate(node: &str) -> String {
    format!(
        r#"{{ "trigger": {{ "at": "2016-02-20T02:00:00Z" }}, "action": {{ "isolate": {{ "node": "{node}" }} }} }}"#
    )
}

/// Asserts that the sabotaged run has a violation of this kind.
fn assert_found(kind: &str, scenario: impl Fn(&str) -> String, first: impl Fn(&WorldRun<'_>) + Sync) {
    let judged = judged(scenario, first);
    let found: Vec<String> = judged.violations.iter().map(|found| found.fingerprint()).collect();
    assert!(found.iter().any(|found| found.starts_with(kind)), "{kind} in {found:?}");
}

#[test]
fn segments_that_nothing_reads_again_are_overdue_before_anything_rots() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 72, |world, nodes| nodes.workers.iter().for_each(|worker| world.kill(*worker)));
    };
    assert_found("I13:scrub-overdue", |small| days(small, 12, ""), first);
}

#[test]
fn objects_of_the_tee_that_nothing_reads_again_are_overdue_before_anything_rots() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 8, |world, nodes| nodes.tee_store.iter().for_each(|store| world.kill(*store)));
    };
    assert_found("I13:tee-scrub-overdue", |small| days(small, 2, ""), first);
}

#[test]
fn a_data_center_without_backups_is_reported_by_another_node() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 1, |world, nodes| {
            nodes.backup.iter().chain(&nodes.audit).for_each(|node| world.kill(*node));
        });
    };
    assert_found("I13:backup-unreported", |small| days(small, 2, ""), first);
}

#[test]
fn a_disk_that_a_fault_keeps_from_compaction_is_reported() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 1, |world, nodes| {
            nodes.workers.iter().chain(&nodes.audit).for_each(|node| world.kill(*node));
        });
    };
    assert_found("I13:compaction-unreported", |small| days(small, 5, &isolate("disk-3")), first);
}

#[test]
fn an_alarm_that_was_not_delivered_is_sent_again() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 2, |world, nodes| world.kill(nodes.disks[2]));
        sabotage(run, 34, |world, nodes| nodes.workers.iter().for_each(|worker| world.pause(*worker)));
    };
    assert_found("I13:alarm-undelivered", |small| days(small, 2, &isolate("operator")), first);
}

#[test]
fn a_backup_whose_segments_nothing_reads_back_is_found() {
    let first = |run: &WorldRun<'_>| {
        let reads = run.state.observed_reads.clone();
        run.state.world.add_node(NodeSpec::named("blindfold"), move |env: SimEnv| {
            let reads = reads.clone();
            async move {
                loop {
                    env.clock().sleep(HOUR / 60).await;
                    *lock(&reads) = ObservedReads::default();
                }
            }
        });
    };
    assert_found("I13:not-read-back", |small| days(small, 2, ""), first);
}

#[test]
fn a_hold_that_ends_before_its_day_is_whole_is_found() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 66, |world, nodes| empty(world, nodes.tee_store.as_slice()));
    };
    // The planted bug destroys a day, the audit places the hold, and there is no operator.
    assert_found("I13:hold-released", str::to_owned, first);
}

#[test]
fn an_export_that_is_answered_without_acknowledged_events_is_found() {
    let first = |run: &WorldRun<'_>| {
        sabotage(run, 24, |world, nodes| empty(world, &nodes.disks));
    };
    let exports = r#""exports_per_project": 20"#;
    let scenario = |small: &str| days(small, 2, "").replace(r#""exports_per_project": 1"#, exports);
    assert_found("I13:export-incomplete", scenario, first);
}
