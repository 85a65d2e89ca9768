//! What links do to calls: each fault seen by those who call and by who is called, and the same calls without it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NodeId};
use latent_sim::{
    Action, Anchor, CallPart, CutLink, DegradeLink, Fault, Flap, Isolate, LoseMessage, NodeSpec, Partition,
    SimEnv, World, WorldSpec, run_fork,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SERVER: NodeId = NodeId(1);
const CALLS: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(2);

/// One client's calls, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Calls {
    /// How long each took that was answered, ms.
    answered_ms: BTreeMap<u32, u64>,
    /// In the order in which the server took them, each as often as it did.
    taken: Vec<u32>,
}

impl Calls {
    fn lost(&self) -> Vec<u32> {
        (0..CALLS).filter(|n| !self.answered_ms.contains_key(n)).collect()
    }

    fn times_taken(&self, n: u32) -> usize {
        self.taken.iter().filter(|taken| **taken == n).count()
    }

    fn slowest_ms(&self) -> u64 {
        self.answered_ms.values().copied().max().unwrap()
    }
}

type Shared = Arc<Mutex<BTreeMap<NodeId, Calls>>>;

/// A call every 100 ms, each beside the others: the first at 1 s, so 10 s to 11 s is when they end.
async fn call(env: SimEnv, shared: Shared) {
    env.clock().sleep(Duration::from_secs(1)).await;
    for n in 0..CALLS {
        let (of_call, shared) = (env.clone(), shared.clone());
        env.spawn(async move {
            let began = of_call.clock().monotonic();
            let message =
                Message { head: Bytes::copy_from_slice(&n.to_le_bytes()), body: Bytes::from(vec![0; 1_000]) };
            if of_call.net().call(SERVER, message, TIMEOUT).await.is_ok() {
                let took_ms = (of_call.clock().monotonic() - began).as_millis() as u64;
                let node = of_call.node();
                shared.lock().unwrap().entry(node).or_default().answered_ms.insert(n, took_ms);
            }
        });
        env.clock().sleep(Duration::from_millis(100)).await;
    }
}

async fn serve(env: SimEnv, shared: Shared) {
    env.net()
        .serve(1_000, move |request| {
            let n = u32::from_le_bytes(request.message.head[..4].try_into().unwrap());
            shared.lock().unwrap().entry(request.from).or_default().taken.push(n);
            std::future::ready(request.message)
        })
        .await;
}

/// The calls of two clients under faults that strike at 5 s (so at their calls 40), without faults from `end_s` on.
fn talk(faults: Vec<Action>, end_s: u64) -> [Calls; 2] {
    let run = async move |world: World| {
        let shared: Shared = Arc::default();
        let at_ms = world.start().0 + 5_000;
        for action in faults {
            world.arm(Fault { anchor: Anchor::AtMs(at_ms), action });
        }
        let to = shared.clone();
        assert_eq!(world.add_node(NodeSpec::named("server"), move |env| serve(env, to.clone())), SERVER);
        let clients = ["one", "two"].map(|name| {
            let to = shared.clone();
            world.add_node(NodeSpec::named(name), move |env| call(env, to.clone()))
        });
        world.sleep(Duration::from_secs(end_s)).await;
        world.end_faults();
        world.sleep(Duration::from_secs(20 - end_s)).await;
        clients.map(|node| shared.lock().unwrap().get(&node).cloned().unwrap_or_default())
    };
    run_fork(WorldSpec::seeded(1), run).output
}

fn degrade(change: impl Fn(&mut DegradeLink)) -> Vec<Action> {
    let mut link = DegradeLink { from: "one".into(), to: "server".into(), ..DegradeLink::default() };
    change(&mut link);
    vec![Action::DegradeLink(link)]
}

/// Calls 40 and later are those that a fault can strike; the last call begins at 10.9 s.
fn all_from(first: u32) -> Vec<u32> {
    (first..CALLS).collect()
}

#[test]
fn without_faults_every_call_is_taken_once_in_order_and_answered_within_milliseconds() {
    for calls in talk(Vec::new(), 20) {
        assert_eq!((calls.lost(), calls.taken.clone()), (vec![], (0..CALLS).collect()));
        assert!(calls.slowest_ms() < 20, "{}", calls.slowest_ms());
    }
}

#[test]
fn requests_on_a_link_that_is_cut_there_have_no_effect_and_on_one_cut_back_they_do() {
    let cut = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        vec![Action::CutLink(CutLink { from, to, both: false, for_ms: None })]
    };
    let [one, two] = talk(cut("one", "server"), 20);
    assert_eq!((one.lost(), one.taken), (all_from(40), (0..40).collect()));
    assert_eq!(two.lost(), [0_u32; 0]);
    let [one, two] = talk(cut("server", "one"), 20);
    assert_eq!(
        (one.lost(), one.taken),
        (all_from(40), (0..CALLS).collect()),
        "the answers are lost after the effect"
    );
    assert_eq!(two.lost(), [0_u32; 0]);
}

#[test]
fn a_cut_lasts_as_long_as_it_says_or_until_faults_are_over() {
    let cut = |for_ms| {
        vec![Action::CutLink(CutLink { from: "one".into(), to: "server".into(), both: true, for_ms })]
    };
    let [one, _] = talk(cut(Some(2_000)), 20);
    assert_eq!(one.lost(), (40..60).collect::<Vec<_>>());
    let [one, _] = talk(cut(None), 8);
    assert_eq!(one.lost(), (40..70).collect::<Vec<_>>());
}

#[test]
fn an_isolated_node_reaches_nobody_and_the_others_reach_each_other() {
    let isolate = |node: &str| vec![Action::Isolate(Isolate { node: node.into(), for_ms: Some(1_000) })];
    let [one, two] = talk(isolate("one"), 20);
    assert_eq!((one.lost(), two.lost()), ((40..50).collect(), vec![]));
    let [one, two] = talk(isolate("server"), 20);
    assert_eq!((one.lost(), two.lost()), ((40..50).collect(), (40..50).collect()));
}

#[test]
fn a_partial_partition_cuts_between_its_groups_only_and_a_one_way_one_in_one_direction() {
    let partition = |one_way| {
        let (side, other) = (vec!["server".to_owned()], vec!["one".to_owned()]);
        vec![Action::Partition(Partition { side, other, one_way, for_ms: Some(1_000) })]
    };
    let [one, two] = talk(partition(false), 20);
    assert_eq!((one.lost(), two.lost()), ((40..50).collect(), vec![]));
    assert_eq!(one.times_taken(45), 0);
    let [one, two] = talk(partition(true), 20);
    assert_eq!((one.lost(), two.lost()), ((40..50).collect(), vec![]));
    assert_eq!(one.times_taken(45), 1, "requests come through, answers do not");
}

#[test]
fn a_flapping_link_comes_and_goes() {
    let flap = Flap { node: "one".into(), down_ms: 500, up_ms: 1_000, for_ms: 3_000 };
    let [one, two] = talk(vec![Action::Flap(flap)], 20);
    assert_eq!(one.lost(), (40..45).chain(55..60).collect::<Vec<_>>());
    assert_eq!(two.lost(), [0_u32; 0]);
}

#[test]
fn a_slow_link_takes_so_many_times_as_long() {
    let [usual, _] = talk(Vec::new(), 20);
    let [slow, two] = talk(degrade(|link| link.latency_times = Some(50)), 20);
    for n in 0..40 {
        assert_eq!(slow.answered_ms[&n], usual.answered_ms[&n]);
    }
    let sum = |calls: &Calls| (40..CALLS).map(|n| calls.answered_ms[&n]).sum::<u64>();
    assert!(sum(&slow) >= 10 * sum(&usual).max(60), "{} against {}", sum(&slow), sum(&usual));
    assert!(two.slowest_ms() < 20);
}

#[test]
fn a_lossy_link_loses_its_share_and_a_retry_has_a_fate_of_its_own() {
    let [one, two] = talk(degrade(|link| link.loss_ppm = Some(300_000)), 20);
    let lost = one.lost();
    assert!(lost.iter().all(|n| *n >= 40) && (8..=30).contains(&lost.len()), "18 of 60 expected: {lost:?}");
    assert_eq!(two.lost(), [0_u32; 0]);
}

#[test]
fn a_doubling_link_delivers_a_request_twice_and_the_caller_has_one_answer() {
    let [one, two] = talk(degrade(|link| link.duplicate_ppm = Some(1_000_000)), 20);
    assert_eq!(one.lost(), [0_u32; 0]);
    assert!((0..40).all(|n| one.times_taken(n) == 1) && (40..CALLS).all(|n| one.times_taken(n) == 2));
    assert!((0..CALLS).all(|n| two.times_taken(n) == 1));
}

#[test]
fn a_reordering_link_lets_later_messages_overtake() {
    let change = |link: &mut DegradeLink| {
        (link.reorder_ppm, link.reorder_by_ms) = (Some(300_000), Some(350));
    };
    let [one, two] = talk(degrade(change), 20);
    assert_eq!(one.lost(), [0_u32; 0]);
    assert!(one.taken.is_sorted_by(|a, b| a < b || *a >= 40), "nothing before the fault");
    assert!(!one.taken.is_sorted(), "{:?}", one.taken);
    assert!(two.taken.is_sorted());
}

#[test]
fn a_narrow_link_makes_messages_queue() {
    // Ten calls a second of 1 kB and a little more; the link takes five.
    let [one, two] = talk(degrade(|link| link.bandwidth_bytes_per_s = Some(5_200)), 20);
    let waits: Vec<u64> = (40..50).map(|n| one.answered_ms[&n]).collect();
    assert!(waits.windows(2).all(|pair| pair[1] >= pair[0] + 80), "{waits:?}");
    assert!(two.slowest_ms() < 20);
}

#[test]
fn a_degraded_link_recovers_when_faults_are_over() {
    let [one, _] = talk(degrade(|link| link.loss_ppm = Some(1_000_000)), 8);
    assert_eq!(one.lost(), (40..70).collect::<Vec<_>>());
}

#[test]
fn a_lost_request_has_no_effect_and_a_lost_answer_comes_after_the_effect() {
    let lose = |part| vec![Action::LoseMessage(LoseMessage { node: "one".into(), part, times: 3 })];
    let [one, two] = talk(lose(CallPart::Request), 20);
    assert_eq!((one.lost(), two.lost()), (vec![40, 41, 42], vec![]));
    assert_eq!(one.taken.len(), 97);
    let [one, two] = talk(lose(CallPart::Answer), 20);
    assert_eq!((one.lost(), two.lost()), (vec![40, 41, 42], vec![]));
    assert_eq!(one.taken, (0..CALLS).collect::<Vec<_>>());
}
