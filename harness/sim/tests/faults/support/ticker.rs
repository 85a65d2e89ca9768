//! A node that makes a byte durable ten times a second, and the count of those that it could.

use bytes::Bytes;
use latent_ports::{Clock, Disk, Env, File, Mark, OpenMode};
use latent_sim::{
    Fault, FaultAction, Kill, NodeSpec, OpKind, SimEnv, Trigger, World, WorldOutcome, WorldSpec, run_fork,
};
use std::time::Duration;

pub mod marks {
    latent_ports::marks! {
        /// The ticker was started.
        BOOT = "boot";
        /// A byte is durable.
        TICK = "tick";
        /// A byte could not be written.
        FAILED_TICK = "failed tick";
    }
}

pub const SECOND: Duration = Duration::from_secs(1);

pub fn at_s(world: &World, seconds: i64) -> Trigger {
    Trigger::AtMs(world.start().0 + seconds * 1_000)
}

pub fn nth(op: OpKind, path_prefix: &str, n: u64) -> Trigger {
    Trigger::NthOp { node: "node".into(), op, path_prefix: path_prefix.into(), n, after_ms: 0 }
}

pub fn kill(restart_after_ms: Option<u64>) -> FaultAction {
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
pub fn tick_with(faults: impl FnOnce(&World) -> Vec<Fault> + Send) -> WorldOutcome<u64> {
    run_fork(WorldSpec { keep_log: true, ..WorldSpec::seeded(1) }, async move |world: World| {
        faults(&world).into_iter().for_each(|fault| world.arm(fault));
        let node = world.add_node(NodeSpec::named("node"), ticker);
        world.sleep(10 * SECOND).await;
        world.disk_image(node).file("ticks").map_or(0, |file| file.len_bytes())
    })
}
