//! A node that counts, in memory, the calls that another node makes to it ten times a second.

use super::nodes::{FaultPlan, Observations, node, observe_run};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NetErrorKind, NodeId, Request};
use latent_sim::{NodeSpec, SimEnv, WorldSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Events that node b observes of node a, which it calls every 100 ms, and that a's boots observe themselves.
enum CounterEvent {
    /// Boot of a, in milliseconds of the world; its monotonic clock is zero then.
    Boot(i64),
    /// Tick of b's call, and a's answer: the number of calls that this process received.
    Answer(u64, Result<u64, NetErrorKind>),
    /// a received a call that had waited for it: links take 10 ms at most.
    Late,
}

/// Counts received calls, in memory.
async fn counter(env: SimEnv, observations: Observations<CounterEvent>) {
    let start = WorldSpec::seeded(0).start;
    assert!(env.clock().monotonic() < Duration::from_micros(10));
    observations.add(CounterEvent::Boot(env.clock().wall().0 - start.0));
    let count = Arc::new(AtomicU64::new(0));
    let clock = env.clock().clone();
    let serve = move |request: Request| {
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        let sent_ms: i64 = std::str::from_utf8(&request.message.head).unwrap().parse().unwrap();
        if clock.wall().0 - sent_ms > 20 {
            observations.add(CounterEvent::Late);
        }
        async move { Message { head: count.to_string().into(), body: Bytes::new() } }
    };
    env.net().serve(100, serve).await;
}

/// Calls node a every 100 ms and waits 50 ms for the answer.
async fn caller(env: SimEnv, observations: Observations<CounterEvent>) {
    for tick in 1..=100 {
        env.clock().sleep(Duration::from_millis(100 * tick).saturating_sub(env.clock().monotonic())).await;
        let message = Message { head: env.clock().wall().0.to_string().into(), body: Bytes::new() };
        let answer = env.net().call(NodeId(1), message, Duration::from_millis(50)).await;
        let count = answer.map(|answer| std::str::from_utf8(&answer.head).unwrap().parse().unwrap());
        observations.add(CounterEvent::Answer(tick, count.map_err(|error| error.kind)));
    }
}

/// Outcome of ten seconds: boots of a, refused ticks, timed-out ticks, the last count, and the number of calls that
/// waited.
#[derive(Debug, PartialEq)]
pub struct CounterOutcome {
    pub boots: Vec<i64>,
    pub refused: Vec<u64>,
    pub timed_out: Vec<u64>,
    pub last: Option<u64>,
    pub late: usize,
}

pub fn count(plan: FaultPlan) -> CounterOutcome {
    let observations = observe_run(1, 11_000, plan, |world, observations| {
        node(world, NodeSpec::named("a"), &observations, counter);
        node(world, NodeSpec::named("b"), &observations, caller);
    });
    let mut counted =
        CounterOutcome { boots: Vec::new(), refused: Vec::new(), timed_out: Vec::new(), last: None, late: 0 };
    for observation in observations {
        match observation {
            CounterEvent::Boot(at_ms) => counted.boots.push(at_ms),
            CounterEvent::Answer(_, Ok(count)) => counted.last = Some(count),
            CounterEvent::Answer(tick, Err(NetErrorKind::Refused)) => counted.refused.push(tick),
            CounterEvent::Answer(tick, Err(NetErrorKind::Timeout)) => counted.timed_out.push(tick),
            CounterEvent::Answer(tick, Err(kind)) => panic!("tick {tick}: {kind:?}"),
            CounterEvent::Late => counted.late += 1,
        }
    }
    counted
}

/// Returns the outcome without faults.
pub fn expected_without_faults() -> CounterOutcome {
    CounterOutcome { boots: vec![0], refused: Vec::new(), timed_out: Vec::new(), last: Some(100), late: 0 }
}
