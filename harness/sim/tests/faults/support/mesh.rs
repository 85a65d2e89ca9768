//! Nodes that call each other ten times a second, and the outcome of each call.
//!
//! Tick k is at k x 100 ms. Then each node calls each other node; the server records the call as its effect, and
//! answers. Links have no latency tail: without faults every call takes two latencies.

use super::nodes::{FaultPlan, Observations, node, observe_run};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NetErrorKind, NodeId};
use latent_sim::{LatencyTail, LinkSpec, NodeSpec, SimEnv};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TICKS: u64 = 100;
const TICK: Duration = Duration::from_millis(100);

/// The nodes (one letter each), their link latency, and the callers' time-out.
#[derive(Clone, Copy)]
pub struct Mesh {
    pub nodes: &'static str,
    pub latency_us: (u32, u32),
    pub timeout_ms: u64,
}

/// A call: caller and server (`ab`), and its tick.
type CallId = (String, u64);

enum CallEvent {
    Sent(CallId, Duration),
    Served(CallId, Duration),
    Ended(CallId, Duration, Result<(), NetErrorKind>),
}

/// Log of all calls.
#[derive(Default)]
pub struct CallLog {
    sent: BTreeMap<CallId, Duration>,
    /// In the order of effect.
    served: Vec<(CallId, Duration)>,
    ended: BTreeMap<CallId, (Duration, Result<(), NetErrorKind>)>,
}

impl Default for Mesh {
    fn default() -> Mesh {
        Mesh { nodes: "abc", latency_us: (100, 500), timeout_ms: 80 }
    }
}

impl Mesh {
    /// Runs ten seconds under `plan`, and two more for late messages.
    pub fn run(self, plan: FaultPlan) -> CallLog {
        let observations = observe_run(1, 12_000, plan, |world, observations| {
            let tail = LatencyTail { one_in: 0, multiplier: 1 };
            world.set_default_link(LinkSpec { latency_us: self.latency_us, tail, ..LinkSpec::default() });
            for name in self.nodes.chars() {
                node(world, NodeSpec::named(name), &observations, move |env, observations| {
                    self.member(env, observations)
                });
            }
        });
        let mut log = CallLog::default();
        for observation in observations {
            match observation {
                CallEvent::Sent(call, at) => assert!(log.sent.insert(call, at).is_none()),
                CallEvent::Served(call, at) => log.served.push((call, at)),
                CallEvent::Ended(call, at, result) => assert!(log.ended.insert(call, (at, result)).is_none()),
            }
        }
        let peers = self.nodes.len() as u64;
        assert_eq!(log.sent.len() as u64, TICKS * peers * (peers - 1));
        assert_eq!(log.ended.len(), log.sent.len());
        log
    }

    async fn member(self, env: SimEnv, observations: Observations<CallEvent>) {
        let name_of = move |node: NodeId| &self.nodes[usize::from(node.0) - 1..usize::from(node.0)];
        let me = name_of(env.node());
        let (caller, calls) = (env.clone(), observations.clone());
        env.spawn(async move {
            for tick in 1..=TICKS {
                let due = TICK * u32::try_from(tick).unwrap();
                caller.clock().sleep(due.saturating_sub(caller.clock().monotonic())).await;
                for peer in (1..=self.nodes.len()).map(|number| NodeId(u16::try_from(number).unwrap())) {
                    if peer != caller.node() {
                        let call = (format!("{me}{}", name_of(peer)), tick);
                        caller.spawn(self.call(caller.clone(), calls.clone(), peer, call));
                    }
                }
            }
        });
        let server = env.clone();
        let serve = move |request: latent_ports::Request| {
            let text = std::str::from_utf8(&request.message.head).unwrap();
            let (pair, tick) = text.split_once(' ').unwrap();
            let call = (pair.to_owned(), tick.parse().unwrap());
            observations.add(CallEvent::Served(call, server.clock().monotonic()));
            async move { request.message }
        };
        env.net().serve(8, serve).await;
    }

    async fn call(self, env: SimEnv, observations: Observations<CallEvent>, peer: NodeId, call: CallId) {
        let message = Message { head: format!("{} {}", call.0, call.1).into(), body: Bytes::new() };
        observations.add(CallEvent::Sent(call.clone(), env.clock().monotonic()));
        let answer = env.net().call(peer, message.clone(), Duration::from_millis(self.timeout_ms)).await;
        let result = answer.map(|answer| assert_eq!(answer, message)).map_err(|error| error.kind);
        observations.add(CallEvent::Ended(call, env.clock().monotonic(), result));
    }
}

impl CallLog {
    /// Returns one line for each pair of nodes with calls that did not take effect exactly once, or were not
    /// answered, with their ticks. Empty without faults.
    pub fn failures(&self) -> Vec<String> {
        let pairs: BTreeSet<&str> = self.sent.keys().map(|(pair, _)| pair.as_str()).collect();
        let failures_of = |pair: &&str| {
            let ticks = |has_failed: &dyn Fn(&CallId) -> bool| {
                let failed = self.sent.keys().filter(|call| call.0 == **pair && has_failed(call));
                ranges(failed.map(|call| call.1))
            };
            let parts = [
                ("no effect", ticks(&|call| self.effects(call) == 0)),
                ("twice", ticks(&|call| self.effects(call) > 1)),
                ("no answer", ticks(&|call| self.ended[call].1.is_err())),
            ];
            let parts = parts.iter().filter(|(_, ticks)| !ticks.is_empty());
            let text: Vec<_> = parts.map(|(what, ticks)| format!("{what} {ticks}")).collect();
            (!text.is_empty()).then(|| format!("{pair}: {}", text.join(", ")))
        };
        let failures = self.ended.values().filter_map(|(_, result)| result.err());
        assert!(
            failures.into_iter().all(|kind| kind == NetErrorKind::Timeout),
            "a lost message causes only time-outs"
        );
        pairs.iter().filter_map(failures_of).collect()
    }

    fn effects(&self, call: &CallId) -> usize {
        self.served.iter().filter(|(served, _)| served == call).count()
    }

    /// Returns the latency of each request of a pair, by tick; of duplicates, the first.
    pub fn request_latencies(&self, pair: &str) -> BTreeMap<u64, Duration> {
        let mut ways = BTreeMap::new();
        for (call, at) in self.served.iter().filter(|(call, _)| call.0 == pair) {
            ways.entry(call.1).or_insert(*at - self.sent[call]);
        }
        ways
    }

    /// Returns the latency of each answer of a pair that arrived, by tick.
    pub fn answer_latencies(&self, pair: &str) -> BTreeMap<u64, Duration> {
        let there = self.request_latencies(pair);
        let ended = self.ended.iter().filter(|(call, (_, result))| call.0 == pair && result.is_ok());
        ended.map(|(call, (at, _))| (call.1, *at - self.sent[call] - there[&call.1])).collect()
    }

    /// Returns the ticks of a pair in the order of effect.
    pub fn order(&self, pair: &str) -> Vec<u64> {
        self.served.iter().filter(|(call, _)| call.0 == pair).map(|(call, _)| call.1).collect()
    }
}

/// Formats numbers as ranges: `21-25 33`.
fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(" ")
}
