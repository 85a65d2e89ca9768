//! Triggers: each fault begins at its instant, operation or mark, and at no other.

use crate::support::chatter::{both, chatter_with};
use crate::support::ticker::{at_s, kill, marks, nth, tick_with};
use latent_ports::UnixMs;
use latent_sim::{
    ClockStep, CrashPolicy, Fault, FaultAction, Kill, OpKind, Pause, Trigger, World, WorldOutcome, WorldSpec,
    run_world,
};

#[test]
fn without_faults_nothing_fails() {
    let finished = tick_with(|_| Vec::new());
    assert_eq!(finished.mark_counts[marks::BOOT.name()], 1);
    assert!(finished.mark_counts[marks::TICK.name()] > 90);
    assert!(!finished.mark_counts.contains_key(marks::FAILED_TICK.name()));
    assert_eq!(finished.output, finished.mark_counts[marks::TICK.name()]);
    assert!(finished.fault_outcomes.is_empty());
}

#[test]
fn a_kill_at_an_instant_ends_the_process_and_restarts_it_on_request() {
    let dead = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action: kill(None) }]);
    assert!((45..50).contains(&dead.mark_counts[marks::TICK.name()]));
    let back = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action: kill(Some(2_000)) }]);
    assert_eq!(back.mark_counts[marks::BOOT.name()], 2);
    assert!(
        (74..80).contains(&back.mark_counts[marks::TICK.name()]),
        "{}",
        back.mark_counts[marks::TICK.name()]
    );
    let start = WorldSpec::seeded(1).start;
    assert_eq!(back.fault_outcomes[0].triggered_at, Some(UnixMs(start.0 + 5_000)));
}

#[test]
fn a_pause_stops_the_process_for_its_duration() {
    let action = FaultAction::Pause(Pause { node: "node".into(), for_ms: 3_000 });
    let finished = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action }]);
    assert_eq!(finished.mark_counts[marks::BOOT.name()], 1);
    assert!(
        (65..70).contains(&finished.mark_counts[marks::TICK.name()]),
        "{}",
        finished.mark_counts[marks::TICK.name()]
    );
}

#[test]
fn a_pause_triggered_by_an_operation_stops_the_process_at_it() {
    for op in [OpKind::Append, OpKind::Sync] {
        let action = FaultAction::Pause(Pause { node: "node".into(), for_ms: 20_000 });
        let finished = tick_with(|_| vec![Fault { trigger: nth(op, "ticks", 7), action }]);
        assert_eq!(finished.mark_counts[marks::TICK.name()], 6);
        assert_eq!(finished.output, 7);
    }
}

#[test]
fn a_kill_at_the_nth_operation_triggers_once_at_that_operation() {
    for (op, kept) in [(OpKind::Append, 6..=7), (OpKind::Sync, 6..=7), (OpKind::Create, 0..=0)] {
        let n = if op == OpKind::Create { 1 } else { 7 };
        let finished = tick_with(|_| vec![Fault { trigger: nth(op, "tick", n), action: kill(None) }]);
        assert_eq!(finished.mark_counts.get("tick").copied().unwrap_or(0), n - 1, "{op:?}");
        assert!(kept.contains(&finished.output), "{op:?} kept {}", finished.output);
        assert_eq!(
            (finished.fault_outcomes[0].match_count, finished.fault_outcomes[0].triggered_at.is_some()),
            (n, true)
        );
    }
}

#[test]
fn operations_are_matched_by_kind_path_and_time() {
    let elsewhere = Fault { trigger: nth(OpKind::Append, "other/", 1), action: kill(None) };
    let too_many = Fault { trigger: nth(OpKind::Append, "", 1_000), action: kill(None) };
    let late = Trigger::NthOp {
        node: "node".into(),
        op: OpKind::Append,
        path_prefix: String::new(),
        n: 1,
        after_ms: 4_000,
    };
    let finished = tick_with(|_| vec![elsewhere, too_many, Fault { trigger: late, action: kill(None) }]);
    assert!(
        (36..40).contains(&finished.mark_counts[marks::TICK.name()]),
        "{}",
        finished.mark_counts[marks::TICK.name()]
    );
    let counted: Vec<_> = finished
        .fault_outcomes
        .iter()
        .map(|fault| (fault.match_count, fault.triggered_at.is_some()))
        .collect();
    assert_eq!((counted[0], counted[2]), ((0, false), (1, true)));
    assert_eq!(counted[1].0, finished.mark_counts[marks::TICK.name()] + 1);
}

#[test]
fn a_mark_reached_for_the_nth_time_triggers_a_fault() {
    let trigger = |node: Option<&str>| Trigger::Mark {
        name: marks::TICK.into(),
        n: 12,
        node: node.map(str::to_owned),
        after_ms: 0,
    };
    for node in [None, Some("node")] {
        let finished = tick_with(|_| vec![Fault { trigger: trigger(node), action: kill(None) }]);
        assert_eq!(finished.mark_counts[marks::TICK.name()], 12);
        assert_eq!(finished.output, 12);
    }
    let elsewhere = tick_with(|_| vec![Fault { trigger: trigger(Some("another")), action: kill(None) }]);
    assert!(elsewhere.mark_counts[marks::TICK.name()] > 90);
    assert_eq!(elsewhere.fault_outcomes[0].unknown_nodes, ["another"]);
}

#[test]
fn a_pause_at_a_mark_precedes_the_next_operation() {
    let trigger = Trigger::Mark { name: marks::TICK.into(), n: 3, node: None, after_ms: 0 };
    let action = FaultAction::Pause(Pause { node: "node".into(), for_ms: 20_000 });
    let finished = tick_with(|_| vec![Fault { trigger, action }]);
    assert_eq!((finished.mark_counts[marks::TICK.name()], finished.output), (3, 3));
}

#[test]
fn network_operations_trigger_faults() {
    for (op, lost) in [(OpKind::Receive, 0), (OpKind::Answer, 0), (OpKind::Send, 0)] {
        let trigger = Trigger::NthOp { node: "b".into(), op, path_prefix: String::new(), n: 10, after_ms: 0 };
        let action = FaultAction::Kill(Kill {
            node: "b".into(),
            restart_after_ms: None,
            keeps: None,
            tear_bytes: None,
        });
        let finished = chatter_with(|_| vec![Fault { trigger, action }]);
        assert!(both(&finished, "heard").0 <= 10, "{op:?}");
        assert!(both(&finished, "lost").0 > 80, "{op:?}");
        assert_eq!(both(&finished, "lost").1, lost, "{op:?}: a dead process observes no failure");
    }
}

#[test]
fn removing_one_fault_does_not_change_the_others() {
    let faults = |world: &World, extra: bool| {
        let mut faults = vec![Fault { trigger: at_s(world, 5), action: kill(Some(1_000)) }];
        if extra {
            faults.push(Fault {
                trigger: at_s(world, 8),
                action: FaultAction::ClockStep(ClockStep { node: "node".into(), by_ms: 1, for_ms: None }),
            });
        }
        faults
    };
    let (with, without) = (tick_with(|world| faults(world, true)), tick_with(|world| faults(world, false)));
    let other = |finished: &WorldOutcome<u64>| {
        let lines = finished.log_lines.iter().filter(|line| !line.text.contains("clock_step"));
        lines.map(|line| (line.time, line.text.clone())).collect::<Vec<_>>()
    };
    assert_ne!(with.trace_hash, without.trace_hash);
    assert_eq!(other(&with), other(&without));
}

#[test]
fn faults_serialize_as_plain_json() {
    let text = r#"{
        "trigger": { "nth_op": { "node": "arb1", "op": "rename", "path_prefix": "p17/", "n": 3 } },
        "action": { "kill": { "node": "arb1", "restart_after_ms": 1000 } }
    }"#;
    let fault: Fault = serde_json::from_str(text).unwrap();
    let expected = Fault {
        trigger: Trigger::NthOp {
            node: "arb1".into(),
            op: OpKind::Rename,
            path_prefix: "p17/".into(),
            n: 3,
            after_ms: 0,
        },
        action: FaultAction::Kill(Kill {
            node: "arb1".into(),
            restart_after_ms: Some(1_000),
            keeps: None,
            tear_bytes: None,
        }),
    };
    assert_eq!(fault, expected);
    assert_eq!(serde_json::from_str::<Fault>(&serde_json::to_string(&fault).unwrap()).unwrap(), fault);
    assert_eq!(fault.nodes().collect::<Vec<_>>(), ["arb1", "arb1"]);
    let misspelt = text.replace("restart_after_ms", "restart_afer_ms");
    assert!(serde_json::from_str::<Fault>(&misspelt).unwrap_err().to_string().contains("restart_afer_ms"));
    let keeps: CrashPolicy = serde_json::from_str("\"nothing\"").unwrap();
    assert_eq!(keeps, CrashPolicy::Nothing);
}

#[test]
#[should_panic(expected = "convert the instant to at_ms")]
fn an_unresolved_instant_is_refused() {
    run_world(WorldSpec::seeded(1), async |world| {
        world.arm(Fault { trigger: Trigger::At("2016-02-22T17:21:00-08:00".into()), action: kill(None) });
    });
}
