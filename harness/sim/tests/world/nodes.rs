//! Nodes and their processes: clocks, dead and paused processes, disk images.

use crate::store::{SECOND, store, text};
use latent_ports::{Clock, Disk, DiskErrorKind, Env, File, Mark, Net, NetErrorKind, OpenMode};
use latent_sim::{ClockSpec, CrashPolicy, DiskImage, NodeSpec, SimEnv, WorldSpec, run_world};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A dead process goes on.
        FROM_BEYOND = "from beyond";
        /// A second has passed.
        TICK = "tick";
        /// A script is complete.
        DONE = "done";
    }
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
