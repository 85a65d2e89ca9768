//! A crash at each operation of a log in turn.

use crate::support::ticker::{SECOND, kill, nth};
use bytes::Bytes;
use latent_ports::{Disk, Env, File, Mark, Message, Net, NodeId, OpenMode};
use latent_sim::{
    DiskError, Fault, FaultAction, FaultOutcome, NodeSpec, OpKind, RecordedOp, SimEnv, Trigger, World,
    WorldSpec, run_fork,
};
use std::sync::{Arc, Mutex};

mod marks {
    latent_ports::marks! {
        /// A line is durable.
        ACKED = "acked";
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

/// Runs a node that calls another one, and then opens a file if it `opens`, with one disk error armed at the call.
/// Returns the recorded operations and the outcome of the fault, after faults have ended.
fn error_at_a_call(opens: bool) -> (Vec<RecordedOp>, FaultOutcome) {
    let (node, path_prefix) = ("node".to_owned(), String::new());
    let action = FaultAction::DiskError(DiskError {
        node,
        op: OpKind::Any,
        path_prefix,
        times: Some(1),
        for_ms: None,
    });
    let mut finished = run_fork(WorldSpec::seeded(1), async move |world: World| {
        world.start_op_recording();
        world.arm(Fault { trigger: nth(OpKind::Any, "", 1), action });
        let other = world.add_node(NodeSpec::named("other"), |_: SimEnv| async {});
        world.add_node(NodeSpec::named("node"), move |env: SimEnv| call_and_open(env, other, opens));
        world.sleep(SECOND).await;
        world.end_faults();
        world.recorded_ops()
    });
    (finished.output, finished.fault_outcomes.remove(0))
}

async fn call_and_open(env: SimEnv, other: NodeId, opens: bool) {
    assert!(env.net().call(other, Message::default(), SECOND / 10).await.is_err(), "no process serves");
    if opens {
        assert!(env.disk().open("file", OpenMode::Create).await.is_err(), "the armed error");
    }
}

#[test]
fn an_error_armed_at_a_message_strikes_the_next_disk_operation() {
    let (ops, error) = error_at_a_call(true);
    let other = ops[0].peer;
    assert_eq!(ops.iter().map(|op| op.op).collect::<Vec<_>>(), [OpKind::Send, OpKind::Create]);
    assert!(other.is_some() && ops[1].peer.is_none());
    assert!(error.triggered_at.is_some() && error.is_exhausted);
}

#[test]
fn the_end_of_faults_does_not_exhaust_an_error_that_struck_nothing() {
    let (_, error) = error_at_a_call(false);
    assert!(error.triggered_at.is_some() && error.ended_at.is_some() && !error.is_exhausted);
}
