//! Cost of the simulated ports: the time of one world with many disk operations, or many messages, or both.
//!
//! `cargo bench -p latent-sim`. A week of the incident makes about 300,000 operations of each kind; together they
//! should take well under half a second.

use bytes::Bytes;
use latent_ports::{Clock, Disk, Env, File, Message, Net, NodeId, OpenMode};
use latent_sim::{NodeSpec, SimEnv, World, WorldSpec, run_fork};
use std::time::Duration;

const OPS: u32 = 300_000;
const NODES: u32 = 8;

fn main() {
    divan::main();
}

/// Repeats five appends, a read and a sync on each of eight nodes.
async fn write(env: SimEnv, body: Bytes, rounds: u32) {
    let disk = env.disk();
    let mut file = disk.open("0", OpenMode::Create).await.expect("an empty disk");
    for round in 0..rounds {
        if round % 100 == 99 {
            file = disk.open(&round.to_string(), OpenMode::Create).await.expect("a new name");
            disk.sync_dir("").await.expect("no faults");
        }
        for _ in 0..5 {
            file.append(body.clone()).await.expect("room");
        }
        file.read_at(0, 64).await.expect("no faults");
        file.sync().await.expect("no faults");
    }
}

/// Runs eight nodes that call each other in a ring.
async fn talk(env: SimEnv, calls: u32) {
    let peer = NodeId(env.node().0 % u16::try_from(NODES).expect("few nodes") + 1);
    let caller = env.clone();
    env.spawn(async move {
        caller.clock().sleep(Duration::from_millis(1)).await;
        let body = Bytes::from(vec![7; 2_000]);
        for call in 0..calls {
            let message = Message { head: Bytes::copy_from_slice(&call.to_le_bytes()), body: body.clone() };
            caller.net().call(peer, message, Duration::from_secs(10)).await.expect("no faults");
        }
    });
    let answer =
        async |request: latent_ports::Request| Message { head: request.message.head, body: Bytes::new() };
    env.net().serve(64, answer).await;
}

fn run(disk_ops: u32, messages: u32) -> u64 {
    let finished = run_fork(WorldSpec::seeded(1), async move |world: World| {
        let body = Bytes::from(vec![1; 2_000]);
        for node in 0..NODES {
            let body = body.clone();
            world.add_node(NodeSpec::named(format!("n{node}")), move |env: SimEnv| {
                let body = body.clone();
                async move {
                    let writer = env.clone();
                    env.spawn(async move { write(writer, body, disk_ops / NODES / 7).await });
                    talk(env, messages / NODES / 2).await;
                }
            });
        }
        world.sleep(Duration::from_secs(3_600)).await;
    });
    finished.record_count
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn disk_ops_300k() -> u64 {
    run(OPS, 0)
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn messages_300k() -> u64 {
    run(0, OPS)
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn disk_ops_and_messages_300k_each() -> u64 {
    run(OPS, OPS)
}

/// Runs an idle world with eight nodes.
#[divan::bench]
fn empty_world() -> u64 {
    run(0, 0)
}

/// Measures one keyed draw.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn draws_100k() -> u64 {
    let main = async |world: World| (0..100_000).fold(0, |sum, key| sum ^ world.draw("bench", key));
    run_fork(WorldSpec::seeded(1), main).output
}
