//! Runs of a world: equal seeds give equal runs, and neither observers nor forks change one.

use crate::store::{self, SECOND, store, text};
use bytes::Bytes;
use latent_ports::{Clock, Env, Mark, Net, NodeId};
use latent_sim::{
    Event, NodeSpec, Observer, Record, SimEnv, World, WorldOutcome, WorldSpec, run_fork, run_world,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A call was answered.
        CLIENT_ACKED = "client.acked";
        /// A call was not answered.
        CLIENT_UNKNOWN = "client.unknown";
    }
}

async fn client(env: SimEnv, server: NodeId, count: u32) {
    for index in 0..count {
        let answer = env.net().call(server, text(&format!("line {index};")), SECOND).await;
        let name = if answer.is_ok() { marks::CLIENT_ACKED } else { marks::CLIENT_UNKNOWN };
        env.mark(Mark { name, subject: "" });
        env.clock().sleep(Duration::from_millis(env.draw("pause", u128::from(index)) % 50)).await;
    }
}

/// One store, two clients, and a kill in the middle of the run.
async fn small_system(world: World) -> Bytes {
    let server = world.add_node(NodeSpec::named("store"), store);
    for name in ["one", "two"] {
        world.add_node(NodeSpec::named(name), move |env| client(env, server, 40));
    }
    world.sleep(SECOND / 2).await;
    world.kill(server);
    world.sleep(SECOND / 10).await;
    world.restart(server);
    world.sleep(60 * SECOND).await;
    world.disk_image(server).read("log").expect("the log's name was synced")
}

fn run_small(seed: u64) -> WorldOutcome<Bytes> {
    run_fork(WorldSpec::seeded(seed), small_system)
}

#[test]
fn equal_seeds_give_equal_runs_on_fresh_threads() {
    let (first, second) = (run_small(1), run_small(1));
    assert_eq!(first.trace_hash, second.trace_hash);
    assert_eq!(
        (first.record_count, &first.mark_counts, first.end_time),
        (second.record_count, &second.mark_counts, second.end_time)
    );
    assert_eq!(first.output, second.output);
    assert!(first.record_count > 200, "{}", first.record_count);
    assert_eq!(first.mark_counts[store::marks::STORE_BOOTED.name()], 2);
    assert_eq!(
        first.mark_counts[marks::CLIENT_ACKED.name()] + first.mark_counts[marks::CLIENT_UNKNOWN.name()],
        80
    );
    assert!(
        first.mark_counts[store::marks::STORE_DURABLE.name()]
            >= first.mark_counts[marks::CLIENT_ACKED.name()]
    );
}

#[test]
fn each_seed_changes_the_run() {
    let base = WorldSpec::seeded(1);
    let draws = WorldSpec { draw_seed: 2, ..base.clone() };
    let scheduler = WorldSpec { scheduler_seed: 2, ..base.clone() };
    let hashes = [base, draws, scheduler].map(|spec| run_fork(spec, small_system).trace_hash);
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[test]
fn keeping_the_log_does_not_change_the_run() {
    let quiet = run_small(3);
    let loud = run_fork(WorldSpec { keep_log: true, ..WorldSpec::seeded(3) }, small_system);
    assert_eq!(quiet.trace_hash, loud.trace_hash);
    assert_eq!(loud.log_lines.len() as u64, loud.record_count);
    let text: Vec<String> = loud.log_lines.iter().map(ToString::to_string).collect();
    for wanted in ["store        boot", "killed, un-synced", "mark store.durable log", "calls node 1 with"] {
        assert!(text.iter().any(|line| line.contains(wanted)), "no line contains '{wanted}'");
    }
}

struct ReadingObserver {
    seen: Arc<Mutex<(u64, u64)>>,
}

impl Observer for ReadingObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        let mut seen = self.seen.lock().unwrap();
        seen.0 += 1;
        if let Event::Mark { name, .. } = record.event
            && name == store::marks::STORE_DURABLE
        {
            let image = world.disk_image(record.node);
            let durable = world.durable_image(record.node);
            assert_eq!(world.now_ns(), record.time_ns);
            assert!(durable.read("log").unwrap().len() <= image.read("log").unwrap().len());
            let fork = run_fork(WorldSpec::seeded(9), async move |inner: World| {
                let spec = NodeSpec { image: Some(image), ..NodeSpec::named("copy") };
                let copy = inner.add_node(spec, store);
                inner.sleep(SECOND).await;
                inner.disk_image(copy).len_bytes()
            });
            seen.1 += u64::from(fork.output > 0);
        }
    }
}

#[test]
fn an_observer_that_reads_everything_and_forks_does_not_change_the_run() {
    let plain = run_small(4);
    let seen = Arc::new(Mutex::new((0, 0)));
    let shown = seen.clone();
    let observed = run_fork(WorldSpec::seeded(4), async move |world: World| {
        world.observe(Box::new(ReadingObserver { seen: shown }));
        small_system(world).await
    });
    assert_eq!(plain.trace_hash, observed.trace_hash);
    let (records, forks) = *seen.lock().unwrap();
    assert_eq!(records, observed.record_count);
    assert_eq!(forks, observed.mark_counts[store::marks::STORE_DURABLE.name()]);
}

struct ActingObserver;

impl Observer for ActingObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        if let Event::Mark { .. } = record.event {
            world.kill(record.node);
        }
    }
}

#[test]
#[should_panic(expected = "an observer tried to kill")]
fn an_observer_that_changes_the_world_panics() {
    run_fork(WorldSpec::seeded(4), async |world: World| {
        world.observe(Box::new(ActingObserver));
        small_system(world).await
    });
}

#[test]
fn a_fork_does_not_change_the_outer_run() {
    async fn outer(world: World, forks: u64) -> Vec<String> {
        let server = world.add_node(NodeSpec::named("store"), store);
        world.add_node(NodeSpec::named("one"), move |env| client(env, server, 20));
        let mut hashes = Vec::new();
        for seed in 0..10 {
            world.sleep(SECOND / 10).await;
            if seed < forks {
                let image = world.disk_image(server);
                let fork = run_fork(WorldSpec::seeded(seed % 2), async move |inner: World| {
                    let spec = NodeSpec { image: Some(image), ..NodeSpec::named("store") };
                    let server = inner.add_node(spec, store);
                    inner.add_node(NodeSpec::named("one"), move |env| client(env, server, 5));
                    inner.sleep(10 * SECOND).await;
                    inner.disk_image(server).len_bytes()
                });
                // The first call may precede `serve` and be refused.
                assert_eq!(
                    fork.mark_counts.values().sum::<u64>(),
                    1 + fork.mark_counts[store::marks::STORE_DURABLE.name()] + 5
                );
                assert!(fork.output > 0);
                hashes.push(fork.trace_hash.to_string());
            }
        }
        hashes
    }
    let without = run_fork(WorldSpec::seeded(5), |world| outer(world, 0));
    let with = run_fork(WorldSpec::seeded(5), |world| outer(world, 10));
    assert_eq!(without.trace_hash, with.trace_hash);
    assert_eq!(without.end_time, with.end_time);
    assert_ne!(with.output[0], with.output[1]);
}

#[test]
#[should_panic(expected = "this thread has already run a world")]
fn a_second_world_on_one_thread_is_refused() {
    run_world(WorldSpec::seeded(1), async |_| ());
    run_world(WorldSpec::seeded(1), async |_| ());
}

#[test]
#[should_panic(expected = "no event is left")]
fn a_world_without_further_events_panics() {
    run_world(WorldSpec::seeded(1), async |_| std::future::pending::<()>().await);
}

#[test]
#[should_panic(expected = "the node's own words")]
fn a_panic_in_a_node_ends_the_run() {
    run_world(WorldSpec::seeded(1), async |world| {
        world.add_node(NodeSpec::named("bad"), async |_| panic!("the node's own words"));
        world.sleep(SECOND).await;
    });
}
