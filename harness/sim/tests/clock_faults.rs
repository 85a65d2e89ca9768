//! What befalls wall clocks: each fault as the node reads it, and the same readings without it.

use latent_ports::{Clock, Env};
use latent_sim::{
    Action, Anchor, ClockDrift, ClockStep, Fault, NodeSpec, SimEnv, World, WorldSpec, run_fork,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 3_600_000;

/// How far the wall clock is ahead of true time, ms, each second; and whether the monotonic clock ever strayed.
#[derive(Debug, Default)]
struct Read {
    ahead_ms: Vec<i64>,
    monotonic_strayed: bool,
}

async fn read(env: SimEnv, world: World, to: Arc<Mutex<Read>>) {
    loop {
        let ahead_ms = env.clock().wall().0 - world.now().0;
        let since_boot = env.clock().monotonic();
        let strayed = since_boot.abs_diff(world.now().since(world.start())) > Duration::from_millis(1);
        {
            let mut read = to.lock().expect("nobody panics with it");
            read.ahead_ms.push(ahead_ms);
            read.monotonic_strayed |= strayed;
        }
        env.clock().sleep(SECOND).await;
    }
}

/// Reads for 200 s, under faults that strike at 50.5 s and are over at 150.5 s.
fn readings(faults: Vec<Action>) -> Vec<i64> {
    let run = async move |world: World| {
        let read_of: Arc<Mutex<Read>> = Arc::default();
        for action in faults {
            world.arm(Fault { anchor: Anchor::AtMs(world.start().0 + 50_500), action });
        }
        let (to, world_of) = (read_of.clone(), world.clone());
        world.add_node(NodeSpec::named("node"), move |env| read(env, world_of.clone(), to.clone()));
        world.sleep(150 * SECOND + SECOND / 2).await;
        world.end_faults();
        world.sleep(50 * SECOND).await;
        let read = read_of.lock().expect("nobody panics with it");
        assert!(!read.monotonic_strayed, "sleeps and the monotonic clock do not notice");
        read.ahead_ms[..200].to_vec()
    };
    run_fork(WorldSpec::seeded(1), run).output
}

fn step(by_ms: i64, for_ms: Option<u64>) -> Action {
    Action::ClockStep(ClockStep { node: "node".into(), by_ms, for_ms })
}

fn drift(ppm: i32, for_ms: Option<u64>) -> Action {
    Action::ClockDrift(ClockDrift { node: "node".into(), ppm, for_ms })
}

#[test]
fn without_faults_the_wall_clock_is_right() {
    assert_eq!(readings(Vec::new()), [0; 200]);
}

#[test]
fn a_step_of_a_second_an_hour_or_a_day_goes_either_way_until_faults_are_over() {
    for by_ms in [1_000, HOUR_MS, 24 * HOUR_MS] {
        for by_ms in [by_ms, -by_ms] {
            let ahead_ms = readings(vec![step(by_ms, None)]);
            let expected: Vec<i64> =
                (0..200).map(|second| if (51..=150).contains(&second) { by_ms } else { 0 }).collect();
            assert_eq!(ahead_ms, expected);
        }
    }
}

#[test]
fn a_step_is_set_right_after_its_time_and_steps_add_up() {
    let ahead_ms = readings(vec![step(HOUR_MS, Some(20_000)), step(-1_000, None)]);
    assert_eq!((ahead_ms[50], ahead_ms[60], ahead_ms[80], ahead_ms[160]), (0, HOUR_MS - 1_000, -1_000, 0));
}

#[test]
fn a_clock_that_drifts_gains_in_proportion_and_is_set_right_when_it_is_over() {
    // 50 ppm is 5 ms in 100 s; the clock shows whole milliseconds.
    let ahead_ms = readings(vec![drift(50, None)]);
    assert!(
        (4..=5).contains(&ahead_ms[150]) && ahead_ms[..=50] == [0; 51] && ahead_ms[151..] == [0; 49],
        "{ahead_ms:?}"
    );
    assert!(ahead_ms[..=150].is_sorted());
    let slow = readings(vec![drift(-50_000, Some(10_000))]);
    assert!((-500..=-450).contains(&slow[60]) && slow[61..] == [0; 139], "{slow:?}");
}
