//! A node that counts, in memory, the calls that another one makes to it ten times a second.

use super::nodes::{Notes, Trouble, node, watch};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NetErrorKind, NodeId, Request};
use latent_sim::{NodeSpec, SimEnv, WorldSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What node b sees of node a, which it calls every 100 ms, and what a's boots see of themselves.
enum Note {
    /// When a booted, in milliseconds of the world; its monotonic clock is at zero then.
    Boot(i64),
    /// The tick at which b called, and a's answer: how many calls this process has had.
    Answer(u64, Result<u64, NetErrorKind>),
    /// A took a call that had waited for it: links take 10 ms at most.
    Late,
}

/// Counts the calls that it gets, in memory.
async fn counter(env: SimEnv, notes: Notes<Note>) {
    let start = WorldSpec::seeded(0).start;
    assert!(env.clock().monotonic() < Duration::from_micros(10));
    notes.add(Note::Boot(env.clock().wall().0 - start.0));
    let count = Arc::new(AtomicU64::new(0));
    let clock = env.clock().clone();
    let serve = move |request: Request| {
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        let sent_ms: i64 = std::str::from_utf8(&request.message.head).unwrap().parse().unwrap();
        if clock.wall().0 - sent_ms > 20 {
            notes.add(Note::Late);
        }
        async move { Message { head: count.to_string().into(), body: Bytes::new() } }
    };
    env.net().serve(100, serve).await;
}

/// Calls node a each 100 ms and waits 50 ms for the answer.
async fn caller(env: SimEnv, notes: Notes<Note>) {
    for tick in 1..=100 {
        env.clock().sleep(Duration::from_millis(100 * tick).saturating_sub(env.clock().monotonic())).await;
        let message = Message { head: env.clock().wall().0.to_string().into(), body: Bytes::new() };
        let answer = env.net().call(NodeId(1), message, Duration::from_millis(50)).await;
        let count = answer.map(|answer| std::str::from_utf8(&answer.head).unwrap().parse().unwrap());
        notes.add(Note::Answer(tick, count.map_err(|error| error.kind)));
    }
}

/// What came of ten seconds: when a booted, which ticks were refused, which timed out, the last count, and how many
/// calls had to wait.
#[derive(Debug, PartialEq)]
pub struct Counted {
    pub boots: Vec<i64>,
    pub refused: Vec<u64>,
    pub timed_out: Vec<u64>,
    pub last: Option<u64>,
    pub late: usize,
}

pub fn count(trouble: Trouble) -> Counted {
    let notes = watch(1, 11_000, trouble, |world, notes| {
        node(world, NodeSpec::named("a"), &notes, counter);
        node(world, NodeSpec::named("b"), &notes, caller);
    });
    let mut counted =
        Counted { boots: Vec::new(), refused: Vec::new(), timed_out: Vec::new(), last: None, late: 0 };
    for note in notes {
        match note {
            Note::Boot(at_ms) => counted.boots.push(at_ms),
            Note::Answer(_, Ok(count)) => counted.last = Some(count),
            Note::Answer(tick, Err(NetErrorKind::Refused)) => counted.refused.push(tick),
            Note::Answer(tick, Err(NetErrorKind::Timeout)) => counted.timed_out.push(tick),
            Note::Answer(tick, Err(kind)) => panic!("tick {tick}: {kind:?}"),
            Note::Late => counted.late += 1,
        }
    }
    counted
}

/// What comes of them without faults.
pub fn well() -> Counted {
    Counted { boots: vec![0], refused: Vec::new(), timed_out: Vec::new(), last: Some(100), late: 0 }
}
