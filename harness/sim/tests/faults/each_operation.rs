//! A crash at each operation of a log in turn.

use crate::support::ticker::{SECOND, kill, nth};
use bytes::Bytes;
use latent_ports::{Disk, Env, File, Mark, OpenMode};
use latent_sim::{Fault, NodeSpec, OpKind, SimEnv, Trigger, World, WorldSpec, run_fork};
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
