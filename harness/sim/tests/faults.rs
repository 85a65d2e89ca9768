//! Faults as the system under test sees them: each action observed through the ports, each trigger at its time, and
//! no effect when no fault is armed.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_ports::{
    Clock, Disk, DiskErrorKind, Env, File, Mark, MarkName, Message, Net, NodeId, OpenMode, UnixMs,
};
use latent_sim::{
    ClockStep, CrashPolicy, CutLink, DiskError, DiskFull, Fault, FaultAction, Isolate, Kill, LatencyTail,
    LinkSpec, NodeSpec, OpKind, Pause, SimEnv, Trigger, World, WorldOutcome, WorldSpec, run_fork, run_world,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// The ticker was started.
        BOOT = "boot";
        /// A byte is durable.
        TICK = "tick";
        /// A byte could not be written.
        FAILED_TICK = "failed tick";
        /// A call of a was answered.
        A_HEARD = "a heard";
        /// A call of a was not answered.
        A_LOST = "a lost";
        /// A call has arrived at a.
        A_ASKED = "a asked";
        /// A call of b was answered.
        B_HEARD = "b heard";
        /// A call of b was not answered.
        B_LOST = "b lost";
        /// A call has arrived at b.
        B_ASKED = "b asked";
        /// A line is durable.
        ACKED = "acked";
        /// A script is complete.
        DONE = "done";
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn at_s(world: &World, seconds: i64) -> Trigger {
    Trigger::AtMs(world.start().0 + seconds * 1_000)
}

fn nth(op: OpKind, path_prefix: &str, n: u64) -> Trigger {
    Trigger::NthOp { node: "node".into(), op, path_prefix: path_prefix.into(), n, after_ms: 0 }
}

fn kill(restart_after_ms: Option<u64>) -> FaultAction {
    FaultAction::Kill(Kill { node: "node".into(), restart_after_ms, keeps: None, tear_bytes: None })
}

/// Every 100 ms: appends a byte to `ticks`, syncs it, and reaches a mark.
async fn ticker(env: SimEnv) {
    env.mark(Mark { name: marks::BOOT, subject: "" });
    let file = env.disk().open("ticks", OpenMode::Create).await.unwrap();
    env.disk().sync_dir("").await.unwrap();
    loop {
        env.clock().sleep(SECOND / 10).await;
        let appended = file.append(Bytes::from_static(b".")).await;
        let synced = file.sync().await;
        let name = if appended.is_ok() && synced.is_ok() { marks::TICK } else { marks::FAILED_TICK };
        env.mark(Mark { name, subject: "" });
    }
}

/// Runs the ticker for 10 s under faults; the output is the length of the file at the end.
fn tick_with(faults: impl FnOnce(&World) -> Vec<Fault> + Send) -> WorldOutcome<u64> {
    run_fork(WorldSpec { keep_log: true, ..WorldSpec::seeded(1) }, async move |world: World| {
        faults(&world).into_iter().for_each(|fault| world.arm(fault));
        let node = world.add_node(NodeSpec::named("node"), ticker);
        world.sleep(10 * SECOND).await;
        world.disk_image(node).file("ticks").map_or(0, |file| file.len_bytes())
    })
}

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
fn a_disk_error_fails_the_next_operations_of_its_kind_and_changes_nothing() {
    for op in [OpKind::Append, OpKind::Sync] {
        let action = FaultAction::DiskError(DiskError {
            node: "node".into(),
            op,
            path_prefix: "ticks".into(),
            times: Some(3),
            for_ms: None,
        });
        let finished = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action }]);
        assert_eq!(finished.mark_counts[marks::FAILED_TICK.name()], 3, "{op:?}");
        let lost = if op == OpKind::Append { 3 } else { 0 };
        assert_eq!(finished.output, finished.mark_counts[marks::TICK.name()] + 3 - lost);
    }
    // The error affects the operation that triggers it.
    let action = FaultAction::DiskError(DiskError {
        node: "node".into(),
        op: OpKind::Append,
        path_prefix: String::new(),
        times: Some(1),
        for_ms: None,
    });
    let finished = tick_with(|_| vec![Fault { trigger: nth(OpKind::Append, "", 4), action }]);
    let first_failure = finished
        .log_lines
        .iter()
        .position(|line| line.text.starts_with("Append") && line.text.ends_with("Io"));
    let before = &finished.log_lines[..first_failure.unwrap()];
    assert_eq!(before.iter().filter(|line| line.text.starts_with("Append")).count(), 3, "the fourth fails");
}

#[test]
fn a_full_disk_rejects_writes_until_space_is_free() {
    let action = FaultAction::DiskFull(DiskFull { room_bytes: 0, node: "node".into(), for_ms: Some(2_000) });
    let finished = tick_with(|world| vec![Fault { trigger: at_s(world, 5), action }]);
    assert!(
        (17..21).contains(&finished.mark_counts[marks::FAILED_TICK.name()]),
        "{}",
        finished.mark_counts[marks::FAILED_TICK.name()]
    );
    assert_eq!(finished.output, finished.mark_counts[marks::TICK.name()]);
    let no_space = finished.log_lines.iter().filter(|line| line.text.ends_with("NoSpace")).count();
    assert_eq!(no_space as u64, finished.mark_counts[marks::FAILED_TICK.name()]);
}

#[test]
fn a_clock_step_moves_the_wall_clock_only() {
    for by_ms in [3_600_000, -86_400_000] {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let slot = shown.clone();
        run_fork(WorldSpec::seeded(1), async move |world: World| {
            world.arm(Fault {
                trigger: at_s(&world, 2),
                action: FaultAction::ClockStep(ClockStep { node: "node".into(), by_ms, for_ms: None }),
            });
            let other = slot.clone();
            let show = |slot: Arc<Mutex<Vec<_>>>| {
                move |env: SimEnv| {
                    let slot = slot.clone();
                    async move {
                        env.clock().sleep(4 * SECOND).await;
                        let shown = (env.clock().wall().0, env.clock().monotonic().as_secs());
                        slot.lock().unwrap().push(shown);
                    }
                }
            };
            world.add_node(NodeSpec::named("node"), show(slot));
            world.add_node(NodeSpec::named("other"), show(other));
            world.sleep(10 * SECOND).await;
        });
        let true_ms = WorldSpec::seeded(1).start.0 + 4_000;
        let mut shown = shown.lock().unwrap().clone();
        shown.sort_by_key(|(wall, _)| *wall != true_ms + by_ms);
        assert_eq!(shown, [(true_ms + by_ms, 4), (true_ms, 4)]);
    }
}

/// Runs two nodes that call each other every 100 ms for 10 s, under faults; marks count calls and answers.
fn chatter_with(faults: impl FnOnce(&World) -> Vec<Fault> + Send) -> WorldOutcome<()> {
    async fn chat(env: SimEnv, peer: NodeId, [heard, lost, asked]: [MarkName; 3]) {
        let (caller, marker) = (env.clone(), env.clone());
        env.spawn(async move {
            loop {
                caller.clock().sleep(SECOND / 10).await;
                let answer = caller.net().call(peer, Message::default(), SECOND / 20).await;
                caller.mark(Mark { name: if answer.is_ok() { heard } else { lost }, subject: "" });
            }
        });
        env.net()
            .serve(8, move |request| {
                marker.mark(Mark { name: asked, subject: "" });
                async move { request.message }
            })
            .await;
    }
    run_fork(WorldSpec::seeded(1), async move |world: World| {
        world.set_default_link(LinkSpec {
            tail: LatencyTail { one_in: 0, multiplier: 1 },
            ..LinkSpec::default()
        });
        faults(&world).into_iter().for_each(|fault| world.arm(fault));
        world.add_node(NodeSpec::named("a"), |env| {
            chat(env, NodeId(2), [marks::A_HEARD, marks::A_LOST, marks::A_ASKED])
        });
        world.add_node(NodeSpec::named("b"), |env| {
            chat(env, NodeId(1), [marks::B_HEARD, marks::B_LOST, marks::B_ASKED])
        });
        world.sleep(10 * SECOND).await;
    })
}

/// Returns how often nodes a and b reached the marks `name`.
fn both(finished: &WorldOutcome<()>, name: &str) -> (u64, u64) {
    let count = |node: &str| {
        let found = finished.mark_counts.iter().find(|(mark, _)| **mark == format!("{node} {name}"));
        found.map_or(0, |(_, count)| *count)
    };
    (count("a"), count("b"))
}

#[test]
fn a_one_way_cut_loses_requests_one_way_and_answers_the_other() {
    let none = chatter_with(|_| Vec::new());
    assert_eq!(both(&none, "lost"), (0, 0));
    let cut =
        |both| FaultAction::CutLink(CutLink { from: "a".into(), to: "b".into(), both, for_ms: Some(5_000) });
    let one_way = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action: cut(false) }]);
    let (a_lost, b_lost) = both(&one_way, "lost");
    assert!((30..36).contains(&a_lost) && (30..36).contains(&b_lost), "{a_lost} {b_lost}");
    // b's requests still reached a; a's requests did not reach b.
    let (a_asked, b_asked) = both(&one_way, "asked");
    let (a_heard, b_heard) = both(&one_way, "heard");
    assert_eq!((a_asked, b_asked), (b_heard + b_lost, a_heard));
    let two_way = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action: cut(true) }]);
    assert_eq!(both(&two_way, "asked"), {
        let (a, b) = both(&two_way, "heard");
        (b, a)
    });
    assert!(both(&two_way, "lost").0 > 30);
}

#[test]
fn an_isolated_node_receives_nothing_until_reconnected() {
    let action = FaultAction::Isolate(Isolate { node: "b".into(), for_ms: Some(5_000) });
    let finished = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action }]);
    let (a_lost, b_lost) = both(&finished, "lost");
    assert!((30..36).contains(&a_lost) && (30..36).contains(&b_lost), "{a_lost} {b_lost}");
    assert!(both(&finished, "heard").0 > 40);
    let for_good = FaultAction::Isolate(Isolate { node: "b".into(), for_ms: None });
    let finished = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action: for_good }]);
    assert!(both(&finished, "heard").0 < 20);
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

/// A log that acknowledges a line once it is durable; after a boot it reports the number of lines that it found.
async fn wal(env: SimEnv, found: Arc<Mutex<Vec<usize>>>) {
    let disk = env.disk();
    let file = disk.open("wal", OpenMode::Create).await.unwrap();
    disk.sync_dir("").await.unwrap();
    let bytes = file.read_at(0, u64::MAX).await.unwrap();
    found.lock().unwrap().push(bytes.iter().take_while(|byte| **byte == b'x').count());
    file.truncate(bytes.iter().take_while(|byte| **byte == b'x').count() as u64).await.unwrap();
    for _ in 0..5 {
        file.append(Bytes::from_static(b"x")).await.unwrap();
        file.sync().await.unwrap();
        env.mark(Mark { name: marks::ACKED, subject: "" });
    }
}

#[test]
fn a_crash_at_each_operation_in_turn_loses_no_acknowledged_line() {
    let run = |seed: u64, trigger: Option<Trigger>| {
        let found = Arc::new(Mutex::new(Vec::new()));
        let slot = found.clone();
        let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
            if let Some(trigger) = trigger {
                world.arm(Fault { trigger, action: kill(None) });
            }
            let boot = move |env: SimEnv| wal(env, slot.clone());
            let node = world.add_node(NodeSpec::named("node"), boot);
            world.sleep(SECOND).await;
            let acked = world.marks().get(marks::ACKED.name()).copied().unwrap_or(0) as usize;
            let ops = world.disk_stats(node).op_count;
            world.restart(node);
            world.sleep(SECOND).await;
            (acked, ops)
        });
        let found = found.lock().unwrap().last().copied().unwrap();
        (finished.output.0, finished.output.1, found, finished.fault_outcomes)
    };
    let (acked, ops, found, _) = run(1, None);
    assert_eq!((acked, found), (5, 5));
    let mut kept_more = 0;
    for n in 1..=ops {
        for seed in 0..10 {
            let (acked, _, found, faults) = run(seed, Some(nth(OpKind::Disk, "", n)));
            assert!(faults[0].triggered_at.is_some(), "operation {n} never came");
            assert!(
                (acked..=acked + 1).contains(&found),
                "operation {n}, seed {seed}: {acked} acked, {found} found"
            );
            kept_more += found - acked;
        }
    }
    assert!(kept_more > 0, "no crash kept an unacknowledged line");
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

#[test]
fn every_kind_of_error_names_its_operation_and_path() {
    let finished = tick_with(|_| {
        let action = FaultAction::DiskError(DiskError {
            node: "node".into(),
            op: OpKind::Create,
            path_prefix: String::new(),
            times: Some(1),
            for_ms: None,
        });
        vec![Fault { trigger: nth(OpKind::Create, "never", 1), action }]
    });
    assert_eq!(finished.fault_outcomes[0].match_count, 0);
    run_world(WorldSpec::seeded(1), async |world| {
        world.arm(Fault {
            trigger: at_s(&world, 0),
            action: FaultAction::DiskError(DiskError {
                node: "node".into(),
                op: OpKind::Any,
                path_prefix: "a".into(),
                times: Some(1),
                for_ms: None,
            }),
        });
        world.add_node(NodeSpec::named("node"), async |env: SimEnv| {
            env.clock().sleep(SECOND).await;
            let error = env.disk().create_dir("a").await.unwrap_err();
            assert_eq!(error.kind, DiskErrorKind::Io);
            assert_eq!(error.to_string(), "CreateDir of 'a': input/output error");
            env.disk().create_dir("a").await.unwrap();
            env.mark(Mark { name: marks::DONE, subject: "" });
        });
        world.sleep(2 * SECOND).await;
        assert_eq!(world.marks()[marks::DONE.name()], 1);
    });
}
