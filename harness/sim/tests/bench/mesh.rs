//! Nodes that call each other ten times a second, and what comes of each call.
//!
//! Tick k is at k x 100 ms. Then each node calls each other one; the server writes down the call as its effect, and
//! answers. Links have no long tail: without faults every call takes two latencies.

use super::nodes::{Notes, Trouble, node, watch};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NetErrorKind, NodeId};
use latent_sim::{LatencyTail, LinkSpec, NodeSpec, SimEnv};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TICKS: u64 = 100;
const TICK: Duration = Duration::from_millis(100);

/// The nodes (one letter each), their links, and for how long a caller waits.
#[derive(Clone, Copy)]
pub struct Mesh {
    pub nodes: &'static str,
    pub latency_us: (u32, u32),
    pub timeout_ms: u64,
}

/// A call: caller and server (`ab`), and its tick.
type Call = (String, u64);

enum Note {
    Sent(Call, Duration),
    Served(Call, Duration),
    Ended(Call, Duration, Result<(), NetErrorKind>),
}

/// What came of the calls.
#[derive(Default)]
pub struct Seen {
    sent: BTreeMap<Call, Duration>,
    /// In the order in which they took effect.
    served: Vec<(Call, Duration)>,
    ended: BTreeMap<Call, (Duration, Result<(), NetErrorKind>)>,
}

impl Default for Mesh {
    fn default() -> Mesh {
        Mesh { nodes: "abc", latency_us: (100, 500), timeout_ms: 80 }
    }
}

impl Mesh {
    /// Ten seconds under `trouble`, and two more for what is late.
    pub fn run(self, trouble: Trouble) -> Seen {
        let notes = watch(1, 12_000, trouble, |world, notes| {
            let tail = LatencyTail { one_in: 0, multiplier: 1 };
            world.set_default_link(LinkSpec { latency_us: self.latency_us, tail, ..LinkSpec::default() });
            for name in self.nodes.chars() {
                node(world, NodeSpec::named(name), &notes, move |env, notes| self.member(env, notes));
            }
        });
        let mut seen = Seen::default();
        for note in notes {
            match note {
                Note::Sent(call, at) => assert!(seen.sent.insert(call, at).is_none()),
                Note::Served(call, at) => seen.served.push((call, at)),
                Note::Ended(call, at, how) => assert!(seen.ended.insert(call, (at, how)).is_none()),
            }
        }
        let peers = self.nodes.len() as u64;
        assert_eq!(seen.sent.len() as u64, TICKS * peers * (peers - 1));
        assert_eq!(seen.ended.len(), seen.sent.len());
        seen
    }

    async fn member(self, env: SimEnv, notes: Notes<Note>) {
        let name_of = move |node: NodeId| &self.nodes[usize::from(node.0) - 1..usize::from(node.0)];
        let me = name_of(env.node());
        let (caller, calls) = (env.clone(), notes.clone());
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
            notes.add(Note::Served(call, server.clock().monotonic()));
            async move { request.message }
        };
        env.net().serve(8, serve).await;
    }

    async fn call(self, env: SimEnv, notes: Notes<Note>, peer: NodeId, call: Call) {
        let message = Message { head: format!("{} {}", call.0, call.1).into(), body: Bytes::new() };
        notes.add(Note::Sent(call.clone(), env.clock().monotonic()));
        let answer = env.net().call(peer, message.clone(), Duration::from_millis(self.timeout_ms)).await;
        let how = answer.map(|answer| assert_eq!(answer, message)).map_err(|error| error.kind);
        notes.add(Note::Ended(call, env.clock().monotonic(), how));
    }
}

impl Seen {
    /// One line for each pair of nodes whose calls did not all take effect once, or were not all answered: which ticks
    /// were not. Everything else went well: without faults it is empty.
    pub fn harm(&self) -> Vec<String> {
        let pairs: BTreeSet<&str> = self.sent.keys().map(|(pair, _)| pair.as_str()).collect();
        let harm_of = |pair: &&str| {
            let ticks = |is_bad: &dyn Fn(&Call) -> bool| {
                let bad = self.sent.keys().filter(|call| call.0 == **pair && is_bad(call));
                ranges(bad.map(|call| call.1))
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
        let failures = self.ended.values().filter_map(|(_, how)| how.err());
        assert!(failures.into_iter().all(|kind| kind == NetErrorKind::Timeout), "links say nothing");
        pairs.iter().filter_map(harm_of).collect()
    }

    fn effects(&self, call: &Call) -> usize {
        self.served.iter().filter(|(served, _)| served == call).count()
    }

    /// How long each request of a pair was on its way, by tick; those that came twice count by the first.
    pub fn ways_there(&self, pair: &str) -> BTreeMap<u64, Duration> {
        let mut ways = BTreeMap::new();
        for (call, at) in self.served.iter().filter(|(call, _)| call.0 == pair) {
            ways.entry(call.1).or_insert(*at - self.sent[call]);
        }
        ways
    }

    /// How long each answer of a pair was on its way, by tick; those that did not come are left out.
    pub fn ways_back(&self, pair: &str) -> BTreeMap<u64, Duration> {
        let there = self.ways_there(pair);
        let ended = self.ended.iter().filter(|(call, (_, how))| call.0 == pair && how.is_ok());
        ended.map(|(call, (at, _))| (call.1, *at - self.sent[call] - there[&call.1])).collect()
    }

    /// The ticks of a pair in the order in which they took effect.
    pub fn order(&self, pair: &str) -> Vec<u64> {
        self.served.iter().filter(|(call, _)| call.0 == pair).map(|(call, _)| call.1).collect()
    }
}

/// `21-25 33`.
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
