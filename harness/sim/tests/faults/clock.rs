//! Clocks under faults: each fault observed through the ports, and the same clock without it.

use crate::support::nodes::{FaultPlan, Observations, at, at_ms, node, none, observe_run};
use crate::support::ticker::{SECOND, at_s};
use latent_ports::{Clock, Env, Mark, NodeId};
use latent_sim::{
    ClockDrift, ClockSpec, ClockStep, Fault, FaultAction, Kill, NodeSpec, SimEnv, Trigger, World, WorldSpec,
    run_fork,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// A node has read its clocks.
        LOOKED = "looked";
    }
}

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Number of readings of a run.
const READINGS: i64 = 10;

fn step(by_ms: i64, for_ms: Option<u64>) -> FaultAction {
    FaultAction::ClockStep(ClockStep { node: "a".into(), by_ms, for_ms })
}

fn drift(ppm: i32, for_ms: Option<u64>) -> FaultAction {
    FaultAction::ClockDrift(ClockDrift { node: "a".into(), ppm, for_ms })
}

/// One reading of both clocks.
struct Reading {
    node: NodeId,
    /// Wall time since the true start of the world, in milliseconds.
    wall_ms: i64,
    monotonic_ms: i64,
}

/// Reads its clocks every `every_ms`, ten times; reaches a mark each time.
async fn reader(env: SimEnv, observations: Observations<Reading>, every_ms: i64) {
    for count in 1..=READINGS {
        let due = Duration::from_millis(u64::try_from(count * every_ms).unwrap());
        env.clock().sleep(due.saturating_sub(env.clock().monotonic())).await;
        observations.add(Reading {
            node: env.node(),
            wall_ms: env.clock().wall().0 - WorldSpec::seeded(0).start.0,
            monotonic_ms: i64::try_from(env.clock().monotonic().as_millis()).unwrap(),
        });
        env.mark(Mark { name: marks::LOOKED, subject: "" });
    }
}

/// Returns how far a's wall clock is ahead of true time, in milliseconds, at ten instants `every_ms` apart. Sleeps,
/// the monotonic clock and the clocks of node b must always be true.
fn ahead(every_ms: i64, clock: ClockSpec, plan: FaultPlan) -> Vec<i64> {
    let length_ms = u64::try_from((READINGS + 1) * every_ms).unwrap();
    let observations = observe_run(1, length_ms, plan, |world, observations| {
        node(world, NodeSpec { clock, ..NodeSpec::named("a") }, &observations, move |env, observations| {
            reader(env, observations, every_ms)
        });
        node(world, NodeSpec::named("b"), &observations, move |env, observations| {
            reader(env, observations, every_ms)
        });
    });
    let of = |node| -> Vec<i64> {
        let readings = observations.iter().filter(|reading| reading.node == NodeId(node));
        let ahead = |(count, reading): (i64, &Reading)| {
            let true_ms = (count + 1) * every_ms;
            assert_eq!(reading.monotonic_ms, true_ms);
            reading.wall_ms - true_ms
        };
        (0..).zip(readings).map(ahead).collect()
    };
    assert_eq!(of(2), [0; 10]);
    of(1)
}

fn true_clock(every_ms: i64, plan: FaultPlan) -> Vec<i64> {
    ahead(every_ms, ClockSpec::default(), plan)
}

#[test]
fn without_faults_a_clock_has_the_error_of_its_spec() {
    assert_eq!(true_clock(SECOND_MS, none()), [0; 10]);
    assert_eq!(true_clock(DAY_MS, none()), [0; 10]);
    let wrong = ClockSpec { offset_ms: -5, drift_ppm: 0 };
    assert_eq!(ahead(SECOND_MS, wrong, none()), [-5; 10]);
}

#[test]
fn a_step_moves_the_wall_clock_either_way_until_it_or_faults_end() {
    for by_ms in [SECOND_MS, -SECOND_MS, HOUR_MS, -HOUR_MS, DAY_MS, -DAY_MS] {
        let mut expected = [by_ms; 10];
        expected[..2].fill(0);
        assert_eq!(true_clock(SECOND_MS, at(2_500, step(by_ms, None))), expected);
        expected[6..].fill(0);
        assert_eq!(true_clock(SECOND_MS, at(2_500, step(by_ms, None)).ending_at(6_500)), expected);
        assert_eq!(
            true_clock(SECOND_MS, at(2_500, step(by_ms, Some(4_000)))),
            expected,
            "corrected by the time service"
        );
        assert_eq!(
            true_clock(SECOND_MS, at(2_500, step(by_ms, Some(4_000))).ending_at(8_500)),
            expected,
            "once"
        );
    }
}

#[test]
fn after_a_step_back_wall_times_repeat() {
    let shown = |plan| -> Vec<i64> {
        let ahead = true_clock(SECOND_MS, plan);
        (1..).zip(ahead).map(|(count, ahead_ms)| count * SECOND_MS + ahead_ms).collect()
    };
    let again = shown(at(2_500, step(-2_000, None)));
    assert_eq!(again, [1_000, 2_000, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000]);
    assert!(shown(none()).is_sorted());
}

#[test]
fn overlapping_steps_add_up_and_each_reverts_its_own() {
    let both = at(2_500, step(HOUR_MS, Some(4_000))).with(at_ms(4_500), step(-SECOND_MS, Some(4_000)));
    let (hour, both_ms) = (HOUR_MS, HOUR_MS - SECOND_MS);
    let expected = [0, 0, hour, hour, both_ms, both_ms, -SECOND_MS, -SECOND_MS, 0, 0];
    assert_eq!(true_clock(SECOND_MS, both), expected);
}

#[test]
fn a_step_triggered_by_a_mark_follows_the_mark() {
    let third = Trigger::Mark { name: marks::LOOKED.into(), n: 3, node: Some("a".into()), after_ms: 0 };
    let ahead = true_clock(SECOND_MS, none().with(third, step(HOUR_MS, None)));
    assert_eq!(ahead, [[0; 3].as_slice(), &[HOUR_MS; 7]].concat());
}

/// Returns the wall time of each boot of node a, in milliseconds.
fn boots(plan: FaultPlan) -> Vec<i64> {
    observe_run(1, 10_000, plan, |world, observations| {
        node(world, NodeSpec::named("a"), &observations, async |env: SimEnv, observations| {
            assert_eq!(env.clock().monotonic().as_millis(), 0, "it counts from the boot");
            observations.add(env.clock().wall().0 - WorldSpec::seeded(0).start.0);
        });
    })
}

#[test]
fn a_clock_fault_outlives_the_process() {
    let kill = FaultAction::Kill(Kill { node: "a".into(), restart_after_ms: Some(1_000), ..Kill::default() });
    let killed = at(4_000, kill);
    assert_eq!(boots(killed.clone()), [0, 5_000]);
    assert_eq!(boots(killed.clone().with(at_ms(2_000), step(-HOUR_MS, None))), [0, 5_000 - HOUR_MS]);
    assert_eq!(
        boots(killed.clone().with(at_ms(4_500), step(HOUR_MS, None))),
        [0, 5_000 + HOUR_MS],
        "while down"
    );
    // 100,000 ppm for 3 s.
    assert_eq!(boots(killed.with(at_ms(2_000), drift(100_000, None))), [0, 5_300]);
}

#[test]
fn a_drift_of_50_ppm_gains_or_loses_4320_ms_a_day_and_is_corrected_at_its_end() {
    for (ppm, a_day_ms) in [(50, 4_320), (-50, -4_320)] {
        let gained = |days: i64| days * a_day_ms;
        let from_day_2 = |plan| true_clock(DAY_MS, plan);
        let expected: Vec<i64> = (1..=READINGS).map(|day| gained((day - 2).max(0))).collect();
        assert_eq!(from_day_2(at(2 * DAY_MS, drift(ppm, None))), expected);
        let mut ended = expected;
        ended[6..].fill(0);
        let four_and_a_half_days_ms = u64::try_from(9 * DAY_MS / 2).unwrap();
        assert_eq!(from_day_2(at(2 * DAY_MS, drift(ppm, Some(four_and_a_half_days_ms)))), ended);
        let end_ms = u64::try_from(2 * DAY_MS).unwrap() + four_and_a_half_days_ms;
        assert_eq!(from_day_2(at(2 * DAY_MS, drift(ppm, None)).ending_at(end_ms)), ended);
    }
}

#[test]
fn drifts_add_up_with_other_drifts_steps_and_the_spec() {
    let fast = ClockSpec { offset_ms: 0, drift_ppm: 100 };
    let hundred_s = 100 * SECOND_MS;
    assert_eq!(ahead(hundred_s, fast, none()), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    let plan = at(2 * hundred_s, drift(-300, Some(399_000)))
        .with(at_ms(3 * hundred_s), drift(1_000, None))
        .with(at_ms(8 * hundred_s + 1), step(5_000, None))
        .ending_at(950_000);
    // Per 100 s: 10 from the spec; -30 from 200 s to 599 s; 100 from 300 s on; and the step. At the end, only the
    // spec's drift remains.
    let expected = [10, 20, 0, 80, 160, 360, 470, 580, 5_690, 100];
    assert_eq!(ahead(hundred_s, fast, plan), expected);
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
