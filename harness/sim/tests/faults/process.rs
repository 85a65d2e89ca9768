//! Process faults: each fault observed by callers of the process, and the same calls without it.

use crate::support::counter::{CounterOutcome, count, expected_without_faults};
use crate::support::nodes::{FaultPlan, Observations, at, at_ms, node, none, observe_run};
use bytes::Bytes;
use latent_ports::{Clock, Env, Mark, MarkName, Message, Net, NodeId};
use latent_sim::{
    CrashLoop, CrashPolicy, FaultAction, Kill, NodeSpec, OpKind, Pause, PowerLoss, SimEnv, Trigger,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A holder has checked its lease, and acts on it next.
        LEASE_CHECKED = "lease checked";
    }
}

/// Between ticks 20 and 21.
const BEGINS_MS: i64 = 2_050;

pub fn kill(kill: Kill) -> FaultAction {
    FaultAction::Kill(Kill { node: "a".into(), ..kill })
}

pub fn killed(restart_after_ms: Option<u64>) -> FaultAction {
    kill(Kill { restart_after_ms, ..Kill::default() })
}

fn pause(for_ms: u64) -> FaultAction {
    FaultAction::Pause(Pause { node: "a".into(), for_ms })
}

fn crash_loop(times: u32, up_ms: u64, down_ms: u64) -> FaultAction {
    FaultAction::CrashLoop(CrashLoop { node: "a".into(), times, up_ms, down_ms })
}

pub fn power_loss(nodes: &[&str], restart_after_ms: u64, keeps: Option<CrashPolicy>) -> FaultAction {
    let nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
    FaultAction::PowerLoss(PowerLoss { nodes, restart_after_ms, keeps })
}

fn on_mark(name: MarkName) -> Trigger {
    Trigger::Mark { name: name.into(), n: 1, node: None, after_ms: 0 }
}

fn ticks(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

#[test]
fn without_faults_a_process_boots_once_and_keeps_its_memory() {
    assert_eq!(count(none()), expected_without_faults());
}

#[test]
fn a_killed_process_refuses_calls_and_restarts_without_its_memory() {
    let back = count(at(BEGINS_MS, killed(Some(3_000))));
    assert_eq!(
        back,
        CounterOutcome {
            boots: vec![0, 5_050],
            refused: ticks(21, 50),
            last: Some(50),
            ..expected_without_faults()
        }
    );
    let for_good = count(at(BEGINS_MS, killed(None)));
    assert_eq!(
        for_good,
        CounterOutcome { refused: ticks(21, 100), last: Some(20), ..expected_without_faults() }
    );
    let over = count(at(BEGINS_MS, killed(None)).ending_at(7_050));
    assert_eq!(
        over,
        CounterOutcome {
            boots: vec![0, 7_050],
            refused: ticks(21, 70),
            last: Some(30),
            ..expected_without_faults()
        }
    );
}

#[test]
fn a_process_that_dies_while_handling_a_call_sends_no_answer() {
    let taken = Trigger::NthOp {
        node: "a".into(),
        op: OpKind::Receive,
        path_prefix: String::new(),
        n: 20,
        after_ms: 0,
    };
    let counted = count(none().with(taken, killed(Some(10))));
    assert_eq!((counted.refused, counted.timed_out, counted.last), (Vec::new(), vec![20], Some(80)));
}

#[test]
fn the_end_of_a_kill_leaves_a_running_node_alone() {
    let twice = at(BEGINS_MS, killed(Some(3_000))).with(at_ms(3_050), killed(Some(1_000)));
    assert_eq!(count(twice).boots, [0, 4_050], "the first restart that is due");
}

#[test]
fn a_paused_process_resumes_with_its_memory_and_waiting_calls() {
    let paused = count(at(BEGINS_MS, pause(3_000)));
    assert_eq!(paused, CounterOutcome { timed_out: ticks(21, 50), late: 30, ..expected_without_faults() });
    let over = count(at(BEGINS_MS, pause(600_000)).ending_at(7_050));
    assert_eq!(over, CounterOutcome { timed_out: ticks(21, 70), late: 50, ..expected_without_faults() });
}

#[test]
fn overlapping_pauses_add_up_and_the_last_end_resumes_the_process() {
    let both = at(BEGINS_MS, pause(2_000)).with(at_ms(3_050), pause(3_000));
    assert_eq!(
        count(both),
        CounterOutcome { timed_out: ticks(21, 60), late: 40, ..expected_without_faults() }
    );
    let inner = at(BEGINS_MS, pause(4_000)).with(at_ms(3_050), pause(1_000));
    assert_eq!(
        count(inner),
        CounterOutcome { timed_out: ticks(21, 60), late: 40, ..expected_without_faults() }
    );
}

#[test]
fn a_kill_ends_a_pause_and_the_next_process_is_not_paused() {
    let kill_in_pause = at(BEGINS_MS, pause(6_000)).with(at_ms(3_050), killed(Some(1_000)));
    let counted = count(kill_in_pause.clone());
    let expected = CounterOutcome {
        boots: vec![0, 4_050],
        refused: ticks(31, 40),
        timed_out: ticks(21, 30),
        ..expected_without_faults()
    };
    assert_eq!(counted, CounterOutcome { last: Some(60), ..expected });
    // The end of the first process's pause neither shortens nor extends the second's.
    let paused_again = count(kill_in_pause.clone().with(at_ms(7_050), pause(2_000)));
    assert_eq!(paused_again.timed_out, [ticks(21, 30), ticks(71, 90)].concat());
    let paused_between = count(kill_in_pause.with(at_ms(5_050), pause(1_000)));
    assert_eq!(paused_between.timed_out, [ticks(21, 30), ticks(51, 60)].concat());
    let while_down = at(BEGINS_MS, killed(Some(3_000))).with(at_ms(3_050), pause(6_000));
    assert_eq!(count(while_down.clone()).timed_out, [0; 0], "there is no process to pause");
    let and_later = while_down.with(at_ms(7_050), pause(1_000));
    assert_eq!(count(and_later).timed_out, ticks(71, 80), "the next process is not paused");
}

/// Grants a lease of two seconds at a time, by its own clock, and records whose writes it accepts.
async fn lease_server(env: SimEnv, observations: Observations<String>) {
    let until = Arc::new(AtomicU64::new(0));
    let clock = env.clock().clone();
    let serve = move |request: latent_ports::Request| {
        let now_ms = u64::try_from(clock.monotonic().as_millis()).unwrap();
        let is_free = until.load(Ordering::Relaxed) <= now_ms;
        let from = if request.from == NodeId(2) { "a" } else { "b" };
        let answer = match &request.message.head[..] {
            b"lease" if is_free => {
                until.store(now_ms + 2_000, Ordering::Relaxed);
                observations.add(format!("{from} has the lease"));
                "yes"
            }
            b"lease" => "no",
            _ => {
                observations.add(format!("{from} writes"));
                "yes"
            }
        };
        async move { Message { head: Bytes::from_static(answer.as_bytes()), body: Bytes::new() } }
    };
    env.net().serve(8, serve).await;
}

/// Tries for the lease every 100 ms; once it has it, reads its clock, and writes a second later if the lease holds.
async fn lease_holder(env: SimEnv, observations: Observations<String>) {
    let ask = async |what: &'static str| {
        let message = Message { head: Bytes::from_static(what.as_bytes()), body: Bytes::new() };
        let answer = env.net().call(NodeId(1), message, Duration::from_secs(10)).await.unwrap();
        answer.head == Bytes::from_static(b"yes")
    };
    if env.node() == NodeId(3) {
        env.clock().sleep(Duration::from_millis(500)).await;
    }
    while !ask("lease").await {
        env.clock().sleep(Duration::from_millis(100)).await;
    }
    let holds_until = env.clock().monotonic() + Duration::from_secs(2);
    env.clock().sleep(Duration::from_secs(1)).await;
    if env.clock().monotonic() + Duration::from_millis(500) < holds_until {
        env.mark(Mark { name: marks::LEASE_CHECKED, subject: "" });
        // A pause here is the dangerous one: the process has checked the lease and acts on the result.
        ask("write").await;
    }
    observations.add(if env.node() == NodeId(2) { "a is done" } else { "b is done" }.to_owned());
}

#[test]
fn a_paused_lease_holder_resumes_with_its_stale_belief() {
    let tell = |plan: FaultPlan| {
        observe_run(1, 20_000, plan, |world, observations| {
            node(world, NodeSpec::named("server"), &observations, lease_server);
            node(world, NodeSpec::named("a"), &observations, lease_holder);
            node(world, NodeSpec::named("b"), &observations, lease_holder);
        })
    };
    let in_order = ["a has the lease", "a writes", "a is done", "b has the lease", "b writes", "b is done"];
    assert_eq!(tell(none()), in_order);
    let zombie = ["a has the lease", "b has the lease", "b writes", "b is done", "a writes", "a is done"];
    assert_eq!(tell(none().with(on_mark(marks::LEASE_CHECKED), pause(10_000))), zombie);
    // The monotonic clock advances during a pause: a process that is paused before the check notices.
    let told = ["a has the lease", "b has the lease", "b writes", "b is done", "a is done"];
    assert_eq!(tell(at(500, pause(10_000))), told);
    assert_eq!(tell(at(500, pause(700))), in_order, "delayed, but within the lease");
}

#[test]
fn a_crash_loop_kills_exactly_the_given_number_of_times() {
    let looped = count(at(BEGINS_MS, crash_loop(3, 700, 300)));
    let refused = [ticks(21, 23), ticks(31, 33), ticks(41, 43)].concat();
    let boots = vec![0, 2_350, 3_350, 4_350];
    assert_eq!(looped, CounterOutcome { boots, refused, last: Some(57), ..expected_without_faults() });
    assert_eq!(count(at(BEGINS_MS, crash_loop(1, 700, 300))).boots, [0, 2_350]);
    assert_eq!(count(at(BEGINS_MS, crash_loop(0, 700, 300))), expected_without_faults());
    // Faults end while it is down, and while it is up.
    assert_eq!(count(at(BEGINS_MS, crash_loop(9, 700, 300)).ending_at(3_150)).boots, [0, 2_350, 3_150]);
    assert_eq!(count(at(BEGINS_MS, crash_loop(9, 700, 300)).ending_at(2_850)).boots, [0, 2_350]);
}

#[test]
fn a_crash_loop_of_zero_kills_starts_no_node() {
    let down = at(BEGINS_MS, killed(None)).with(at_ms(3_050), crash_loop(0, 700, 300));
    assert_eq!(count(down).boots, [0]);
}

#[test]
fn a_power_loss_kills_its_nodes_at_one_instant_and_no_others() {
    let lost = count(at(BEGINS_MS, power_loss(&["a"], 3_000, None)));
    assert_eq!(
        lost,
        CounterOutcome {
            boots: vec![0, 5_050],
            refused: ticks(21, 50),
            last: Some(50),
            ..expected_without_faults()
        }
    );
    assert_eq!(count(at(BEGINS_MS, power_loss(&["a"], 60_000, None)).ending_at(7_050)).boots, [0, 7_050]);
    let caller_too = count(at(BEGINS_MS, power_loss(&["a", "b"], 3_000, None)));
    assert_eq!((caller_too.boots, caller_too.refused), (vec![0, 5_050], Vec::new()), "b lost power too");
}
