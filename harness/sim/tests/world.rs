//! The world as its users see it: nodes, disks, calls, clocks, marks, forks.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_ports::{
    Clock, Disk, DiskErrorKind, Env, File, Mark, Message, Net, NetErrorKind, NodeId, OpenMode,
};
use latent_sim::{
    ClockSpec, CrashPolicy, DiskImage, Event, LatencyTail, LinkSpec, NodeSpec, Observer, Record, SimEnv,
    World, WorldOutcome, WorldSpec, run_fork, run_world,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// The store has its log.
        STORE_BOOTED = "store.booted";
        /// A line is durable.
        STORE_DURABLE = "store.durable";
        /// A call was answered.
        CLIENT_ACKED = "client.acked";
        /// A call was not answered.
        CLIENT_UNKNOWN = "client.unknown";
        /// A dead process goes on.
        FROM_BEYOND = "from beyond";
        /// A second has passed.
        TICK = "tick";
        /// A script is complete.
        DONE = "done";
        /// A call was answered.
        ANSWERED = "answered";
        /// A server refused a call.
        OVERLOADED = "overloaded";
        /// A call failed in another way.
        OTHER = "other";
        /// A call was answered.
        OK = "ok";
        /// A call was not answered.
        LOST = "lost";
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn text(text: &str) -> Message {
    Message { head: Bytes::copy_from_slice(text.as_bytes()), body: Bytes::new() }
}

/// Appends each request to a file, syncs it, and answers with the length.
async fn store(env: SimEnv) {
    let file = env.disk().open("log", OpenMode::Create).await.expect("open");
    env.disk().sync_dir("").await.expect("sync_dir");
    env.mark(Mark { name: marks::STORE_BOOTED, subject: "" });
    let net = env.net().clone();
    net.serve(64, move |request| {
        let (file, env) = (file.clone(), env.clone());
        async move {
            file.append(request.message.head).await.expect("append");
            file.sync().await.expect("sync");
            env.mark(Mark { name: marks::STORE_DURABLE, subject: "log" });
            text(&file.size_bytes().await.expect("size").to_string())
        }
    })
    .await;
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
    assert_eq!(first.mark_counts[marks::STORE_BOOTED.name()], 2);
    assert_eq!(
        first.mark_counts[marks::CLIENT_ACKED.name()] + first.mark_counts[marks::CLIENT_UNKNOWN.name()],
        80
    );
    assert!(first.mark_counts[marks::STORE_DURABLE.name()] >= first.mark_counts[marks::CLIENT_ACKED.name()]);
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
            && name == marks::STORE_DURABLE
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
    assert_eq!(forks, observed.mark_counts[marks::STORE_DURABLE.name()]);
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
                    1 + fork.mark_counts[marks::STORE_DURABLE.name()] + 5
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

#[test]
fn virtual_time_jumps_and_starts_at_the_given_time() {
    run_world(WorldSpec::seeded(1), async |world| {
        let start = world.start();
        assert_eq!(world.now(), start);
        world.sleep(7 * 86_400 * SECOND).await;
        assert_eq!(world.now().since(start).as_secs(), 7 * 86_400);
        world.sleep_until(start + 8 * 86_400 * SECOND).await;
        assert_eq!(world.now().since(start).as_millis(), 8 * 86_400_000);
        world.sleep_until(start).await;
        let before = world.now_ns();
        world.sleep(Duration::from_micros(120)).await;
        let passed = world.now_ns() - before;
        assert!((120_000..130_000).contains(&passed), "sleeps under 1 ms must not be extended: {passed} ns");
    });
}

#[test]
fn each_wall_clock_has_its_own_error() {
    run_world(WorldSpec::seeded(1), async |world| {
        let shown = Arc::new(Mutex::new(Vec::new()));
        for (name, offset_ms, drift_ppm) in [("fast", 2_000, 50), ("slow", -3_000, -50)] {
            let shown = shown.clone();
            let clock = ClockSpec { offset_ms, drift_ppm };
            world.add_node(NodeSpec { clock, ..NodeSpec::named(name) }, move |env: SimEnv| {
                let shown = shown.clone();
                async move {
                    env.clock().sleep(86_400 * SECOND).await;
                    let (wall, monotonic) = (env.clock().wall(), env.clock().monotonic());
                    shown.lock().unwrap().push((wall, monotonic.as_secs()));
                }
            });
        }
        let day = world.start() + 86_400 * SECOND;
        world.sleep(2 * 86_400 * SECOND).await;
        let mut shown = shown.lock().unwrap().clone();
        shown.sort();
        let day_ms = |ms: i64| latent_ports::UnixMs(day.0 + ms);
        assert_eq!(shown, [(day_ms(-3_000 - 4_320), 86_400), (day_ms(2_000 + 4_320), 86_400)]);
    });
}

#[test]
fn handles_of_a_dead_process_are_fenced() {
    run_world(WorldSpec::seeded(1), async |world| {
        let leaked = Arc::new(Mutex::new(None));
        let leak = leaked.clone();
        let node = world.add_node(NodeSpec::named("node"), move |env: SimEnv| {
            let leak = leak.clone();
            async move {
                let file = env.disk().open("f", OpenMode::Create).await.unwrap();
                *leak.lock().unwrap() = Some((env, file));
            }
        });
        world.sleep(SECOND).await;
        let (env, file) = leaked.lock().unwrap().clone().unwrap();
        file.append("alive".into()).await.unwrap();
        world.restart(node);
        let fenced =
            |result: Result<(), latent_ports::DiskError>| result.unwrap_err().kind == DiskErrorKind::Fenced;
        assert!(fenced(file.append("dead".into()).await.map(|_| ())));
        assert!(fenced(file.sync().await));
        assert!(fenced(file.read_at(0, 1).await.map(|_| ())));
        assert!(fenced(env.disk().open("f", OpenMode::Create).await.map(|_| ())));
        assert!(fenced(env.disk().sync_dir("").await));
        assert!(!env.is_alive());
        env.mark(Mark { name: marks::FROM_BEYOND, subject: "" });
        assert!(world.marks().is_empty());
        assert!(env.net().call(node, text("x"), SECOND).await.is_err());
    });
}

#[test]
fn tasks_of_a_dead_process_stop_and_are_dropped() {
    run_world(WorldSpec::seeded(1), async |world| {
        let alive = Arc::new(());
        let held = alive.clone();
        let node = world.add_node(NodeSpec::named("node"), move |env: SimEnv| {
            let held = held.clone();
            async move {
                let inner = env.clone();
                env.spawn(async move {
                    let _held = held;
                    loop {
                        inner.mark(Mark { name: marks::TICK, subject: "" });
                        inner.clock().sleep(SECOND).await;
                    }
                });
                env.clock().sleep(3_600 * SECOND).await;
            }
        });
        world.sleep(10 * SECOND + SECOND / 2).await;
        assert_eq!(world.marks()[marks::TICK.name()], 11);
        assert!(world.is_up(node));
        world.kill(node);
        world.kill(node);
        world.sleep(100 * SECOND).await;
        assert!(!world.is_up(node));
        assert_eq!(world.marks()[marks::TICK.name()], 11);
        // One reference of the boot closure, and this one.
        assert_eq!(Arc::strong_count(&alive), 2);
    });
}

#[test]
fn a_paused_process_stops_and_continues_when_resumed() {
    run_world(WorldSpec::seeded(1), async |world| {
        let server = world.add_node(NodeSpec::named("store"), store);
        world.add_node(NodeSpec::named("client"), move |env: SimEnv| async move {
            env.clock().sleep(SECOND).await;
            let slow = env.net().call(server, text("slow"), SECOND).await;
            assert_eq!(slow.unwrap_err().kind, NetErrorKind::Timeout);
            env.clock().sleep(20 * SECOND).await;
            let answer = env.net().call(server, text("after"), SECOND).await.unwrap();
            assert_eq!(&answer.head[..], b"9");
            env.mark(Mark { name: marks::DONE, subject: "" });
        });
        world.sleep(SECOND / 2).await;
        world.pause(server);
        world.sleep(10 * SECOND).await;
        assert!(world.is_up(server));
        assert_eq!(world.disk_image(server).read("log").unwrap().len(), 0);
        world.resume(server);
        world.sleep(SECOND).await;
        assert_eq!(world.disk_image(server).read("log").unwrap(), "slow");
        world.sleep(20 * SECOND).await;
        assert_eq!(world.marks()[marks::DONE.name()], 1);
    });
}

/// Calls `to` once and returns the outcome and the duration in milliseconds.
async fn call_once(world: &World, to: NodeId) -> (Result<Bytes, NetErrorKind>, u64) {
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    let name = format!("caller {}", world.nodes().len());
    world.add_node(NodeSpec::named(name), move |env: SimEnv| {
        let slot = slot.clone();
        async move {
            let began = env.clock().monotonic();
            let answer = env.net().call(to, text("?"), 5 * SECOND).await;
            let took_ms = u64::try_from((env.clock().monotonic() - began).as_millis()).unwrap();
            *slot.lock().unwrap() = Some((answer.map(|m| m.head).map_err(|error| error.kind), took_ms));
        }
    });
    world.sleep(10 * SECOND).await;
    let result = result.lock().unwrap().take();
    result.expect("a call ends")
}

#[test]
fn calls_end_as_the_port_specifies() {
    run_world(WorldSpec::seeded(1), async |world| {
        let steady = LinkSpec {
            latency_us: (10_000, 10_000),
            tail: LatencyTail { one_in: 0, multiplier: 1 },
            ..LinkSpec::default()
        };
        world.set_default_link(steady);
        let echo = async |env: SimEnv| env.net().clone().serve(1, async |request| request.message).await;
        let server = world.add_node(NodeSpec::named("server"), echo);
        assert_eq!(call_once(&world, server).await, (Ok("?".into()), 20));
        let mute = world.add_node(NodeSpec::named("mute"), async |_| ());
        assert_eq!(call_once(&world, mute).await, (Err(NetErrorKind::Refused), 20));
        world.kill(server);
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Refused), 20));
        world.restart(server);
        let next = NodeId(u16::try_from(world.nodes().len()).unwrap() + 1);
        world.cut_link(next, server);
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Timeout), 5_000));
        let next = NodeId(next.0 + 1);
        world.cut_link(server, next);
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Timeout), 5_000));
        world.restore_link(server, next);
        assert_eq!(call_once(&world, server).await, (Ok("?".into()), 20));
        world.set_default_link(LinkSpec { loss_ppm: 1_000_000, ..steady });
        assert_eq!(call_once(&world, server).await, (Err(NetErrorKind::Timeout), 5_000));
        world.set_default_link(LinkSpec { bandwidth_bytes_per_s: Some(1), ..steady });
        assert_eq!(call_once(&world, server).await, (Ok("?".into()), 2_020));
    });
}

#[test]
fn a_server_at_its_limit_reports_overload() {
    run_world(WorldSpec::seeded(1), async |world| {
        let server = world.add_node(NodeSpec::named("server"), async |env: SimEnv| {
            let clock = env.clock().clone();
            let handler = move |request: latent_ports::Request| {
                let clock = clock.clone();
                async move {
                    clock.sleep(SECOND).await;
                    request.message
                }
            };
            env.net().serve(3, handler).await;
        });
        for index in 0..5 {
            world.add_node(NodeSpec::named(format!("c{index}")), move |env: SimEnv| async move {
                env.clock().sleep(SECOND).await;
                let name = match env.net().call(server, text("?"), 5 * SECOND).await {
                    Ok(_) => marks::ANSWERED,
                    Err(error) if error.kind == NetErrorKind::Overloaded => marks::OVERLOADED,
                    Err(_) => marks::OTHER,
                };
                env.mark(Mark { name, subject: "" });
            });
        }
        world.sleep(20 * SECOND).await;
        assert_eq!(world.marks(), [(marks::ANSWERED.name(), 3), (marks::OVERLOADED.name(), 2)].into());
    });
}

#[test]
fn a_retry_of_a_lost_message_may_arrive() {
    run_world(WorldSpec::seeded(1), async |world| {
        world.set_default_link(LinkSpec { loss_ppm: 300_000, ..LinkSpec::default() });
        let server = world.add_node(NodeSpec::named("store"), store);
        world.add_node(NodeSpec::named("client"), move |env: SimEnv| async move {
            for _ in 0..200 {
                let name = if env.net().call(server, text("same"), SECOND).await.is_ok() {
                    marks::OK
                } else {
                    marks::LOST
                };
                env.mark(Mark { name, subject: "" });
            }
        });
        world.sleep(1_000 * SECOND).await;
        // Both messages must arrive: 49%.
        let ok = world.marks()[marks::OK.name()];
        assert!((70..130).contains(&ok), "{ok} of 200");
    });
}

#[test]
fn a_disk_image_can_boot_another_world_and_replace_a_disk() {
    let image = DiskImage::new().with_file("a/b/c", "deep".into()).with_file("top", "high".into());
    let paths: Vec<_> = image.files().map(|(path, file)| (path.to_owned(), file.len_bytes())).collect();
    assert_eq!(paths, [("a/b/c".to_owned(), 4), ("top".to_owned(), 4)]);
    assert_eq!(image.list("a").map(|(path, _)| path).collect::<Vec<_>>(), ["a/b/c"]);
    assert_eq!(image.directories().collect::<Vec<_>>(), ["a", "a/b"]);
    run_world(WorldSpec::seeded(1), async move |world| {
        let spec = NodeSpec { image: Some(image.clone()), ..NodeSpec::named("node") };
        let node = world.add_node(spec, async |_| ());
        world.kill_with_policy(node, CrashPolicy::Nothing);
        assert_eq!(world.disk_image(node).read("a/b/c").unwrap(), "deep");
        assert_eq!(world.disk_stats(node).used_bytes, 8);
        // The same buffer, not a copy.
        assert_eq!(image.chunks("top")[0].as_ptr(), world.disk_image(node).chunks("top")[0].as_ptr());
        world.replace_disk(node, &DiskImage::new());
        assert!(world.disk_image(node).is_empty());
    });
}
