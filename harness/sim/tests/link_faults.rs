//! Link faults: each fault observed by callers and servers, and the same calls without it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support {
    pub mod mesh;
    pub mod nodes;
}

use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NodeId};
use latent_sim::{
    CallPart, CutLink, DegradeLink, FaultAction, Flap, Isolate, LatencyTail, LinkSpec, LoseMessage, NodeSpec,
    OpKind, Partition, SimEnv, Trigger,
};
use std::collections::BTreeMap;
use std::time::Duration;
use support::mesh::{CallLog, Mesh};
use support::nodes::{FaultPlan, at, at_ms, node, none, observe_run};

const NO_FAILURES: [&str; 0] = [];
/// Between ticks 20 and 21.
const BEGINS_MS: i64 = 2_050;

fn failures(action: FaultAction) -> Vec<String> {
    Mesh::default().run(at(BEGINS_MS, action)).failures()
}

/// As `failures`, but faults end between ticks 70 and 71.
fn failures_until_end(action: FaultAction) -> Vec<String> {
    Mesh::default().run(at(BEGINS_MS, action).ending_at(7_050)).failures()
}

fn cut(both: bool, for_ms: Option<u64>) -> FaultAction {
    FaultAction::CutLink(CutLink { from: "a".into(), to: "b".into(), both, for_ms })
}

fn isolate(node: &str, for_ms: Option<u64>) -> FaultAction {
    FaultAction::Isolate(Isolate { node: node.into(), for_ms })
}

fn partition(side: &[&str], other: &[&str], one_way: bool, for_ms: Option<u64>) -> FaultAction {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    FaultAction::Partition(Partition { side: names(side), other: names(other), one_way, for_ms })
}

fn degrade(by: DegradeLink) -> FaultAction {
    FaultAction::DegradeLink(DegradeLink { from: "a".into(), to: "b".into(), ..by })
}

fn lose(part: CallPart, times: u32) -> FaultAction {
    FaultAction::LoseMessage(LoseMessage { node: "a".into(), part, times })
}

#[test]
fn without_faults_every_call_takes_effect_once_in_order_and_is_answered() {
    let log = Mesh::default().run(none());
    assert_eq!(log.failures(), NO_FAILURES);
    for pair in ["ab", "ac", "ba", "bc", "ca", "cb"] {
        assert_eq!(log.order(pair), (1..=100).collect::<Vec<_>>());
        let longest =
            log.request_latencies(pair).into_values().chain(log.answer_latencies(pair).into_values()).max();
        assert!(longest.unwrap() < Duration::from_micros(510), "{longest:?}");
    }
}

#[test]
fn a_one_way_cut_loses_requests_one_way_answers_the_other_and_nothing_else() {
    assert_eq!(
        failures(cut(false, Some(3_000))),
        ["ab: no effect 21-50, no answer 21-50", "ba: no answer 21-50"]
    );
    assert_eq!(
        failures(cut(false, None))[0],
        "ab: no effect 21-100, no answer 21-100",
        "until faults are over"
    );
    let over = ["ab: no effect 21-70, no answer 21-70", "ba: no answer 21-70"];
    assert_eq!(failures_until_end(cut(false, None)), over);
}

#[test]
fn a_two_way_cut_loses_every_request_between_the_two_nodes() {
    let lines =
        |last: u32| ["ab", "ba"].map(|pair| format!("{pair}: no effect 21-{last}, no answer 21-{last}"));
    assert_eq!(failures(cut(true, Some(3_000))), lines(50));
    assert_eq!(failures_until_end(cut(true, None)), lines(70));
}

#[test]
fn an_isolated_node_neither_sends_nor_receives() {
    let lines = |last: u32| {
        ["ac", "bc", "ca", "cb"].map(|pair| format!("{pair}: no effect 21-{last}, no answer 21-{last}"))
    };
    assert_eq!(failures(isolate("c", Some(3_000))), lines(50));
    assert_eq!(failures_until_end(isolate("c", None)), lines(70));
}

#[test]
fn an_isolated_or_partitioned_node_still_reaches_itself() {
    let ask_self = |plan: FaultPlan| {
        observe_run(1, 1_000, plan, |world, observations| {
            node(world, NodeSpec::named("a"), &observations, async |env: SimEnv, observations| {
                let caller = env.clone();
                env.spawn(async move {
                    caller.clock().sleep(Duration::from_millis(500)).await;
                    let me = caller.node();
                    observations.add(
                        caller.net().call(me, Message::default(), Duration::from_millis(80)).await.is_ok(),
                    );
                });
                env.net().serve(8, async |request| request.message).await;
            });
        })
    };
    assert_eq!(ask_self(none()), [true]);
    assert_eq!(ask_self(at(0, isolate("a", None))), [true]);
    assert_eq!(ask_self(at(0, partition(&["a"], &["a"], false, None))), [true], "the node is on both sides");
    let every = DegradeLink { from: "*".into(), to: "*".into(), ..DegradeLink::default() };
    let lossy = DegradeLink { loss_ppm: Some(1_000_000), ..every };
    assert_eq!(ask_self(at(0, FaultAction::DegradeLink(lossy))), [true], "a node has no link to itself");
}

#[test]
fn in_a_partial_partition_a_third_node_reaches_both_sides() {
    let lines =
        |last: u32| ["ab", "ba"].map(|pair| format!("{pair}: no effect 21-{last}, no answer 21-{last}"));
    assert_eq!(failures(partition(&["a"], &["b"], false, Some(3_000))), lines(50));
    assert_eq!(failures_until_end(partition(&["a"], &["b"], false, None)), lines(70));
}

#[test]
fn a_partition_separates_every_node_of_a_side_from_every_node_of_the_other() {
    let lines = ["ab", "ac", "ba", "ca"].map(|pair| format!("{pair}: no effect 21-50, no answer 21-50"));
    assert_eq!(failures(partition(&["a"], &["b", "c"], false, Some(3_000))), lines);
}

#[test]
fn a_one_way_partition_delivers_requests_of_the_other_side_without_answers() {
    let lines = |last: u32| {
        [
            format!("ab: no effect 21-{last}, no answer 21-{last}"),
            format!("ac: no effect 21-{last}, no answer 21-{last}"),
            format!("ba: no answer 21-{last}"),
            format!("ca: no answer 21-{last}"),
        ]
    };
    assert_eq!(failures(partition(&["a"], &["b", "c"], true, Some(3_000))), lines(50));
    assert_eq!(failures_until_end(partition(&["a"], &["b", "c"], true, None)), lines(70));
}

#[test]
fn a_flapping_node_alternates_until_its_duration_ends() {
    let flap = |down_ms, up_ms, for_ms| FaultAction::Flap(Flap { node: "c".into(), down_ms, up_ms, for_ms });
    let lines = |ticks: &str| {
        ["ac", "bc", "ca", "cb"].map(|pair| format!("{pair}: no effect {ticks}, no answer {ticks}"))
    };
    assert_eq!(failures(flap(500, 700, 3_000)), lines("21-25 33-37 45-49"));
    assert_eq!(failures(flap(500, 700, 2_500)), lines("21-25 33-37 45"), "the last isolation is shortened");
    assert_eq!(failures(flap(10_000, 700, 3_000)), lines("21-50"));
    // Faults end while it is isolated, and while it is connected.
    assert_eq!(failures_until_end(flap(4_000, 700, 9_000)), lines("21-60 68-70"));
    assert_eq!(failures_until_end(flap(500, 9_000, 60_000)), lines("21-25"));
}

#[test]
fn a_flap_with_zero_or_unbounded_phases_ends_after_its_duration() {
    let flap = |down_ms, up_ms, for_ms| {
        failures(FaultAction::Flap(Flap { node: "c".into(), down_ms, up_ms, for_ms }))
    };
    assert_eq!(flap(0, 0, 0), NO_FAILURES);
    // Cut every other millisecond for 15 ms between two ticks, then never again.
    assert_eq!(flap(0, 0, 15), NO_FAILURES);
    assert_eq!(flap(u64::MAX, u64::MAX, 1_000).len(), 4);
    // The connected interval is longer than any fault: the isolation does not repeat.
    assert_eq!(flap(100, u64::MAX, 1_000)[0], "ac: no effect 21, no answer 21");
}

#[test]
fn overlapping_cuts_add_up_and_the_last_end_restores_the_link() {
    let plan = at(BEGINS_MS, cut(true, Some(3_000))).with(at_ms(4_050), isolate("a", Some(2_000)));
    let lines = [
        "ab: no effect 21-60, no answer 21-60",
        "ac: no effect 41-60, no answer 41-60",
        "ba: no effect 21-60, no answer 21-60",
        "ca: no effect 41-60, no answer 41-60",
    ];
    assert_eq!(Mesh::default().run(plan).failures(), lines);
}

#[test]
fn a_message_is_lost_if_its_link_is_cut_when_it_leaves_or_when_it_would_arrive() {
    let slow = Mesh { nodes: "ab", latency_us: (30_000, 30_000), ..Mesh::default() };
    assert_eq!(slow.run(none()).failures(), NO_FAILURES);
    // Requests of tick 21 leave at 2,100 and arrive at 2,130; answers arrive at 2,160.
    for (from_ms, for_ms) in [(2_095, 10), (2_125, 10)] {
        let log = slow.run(at(from_ms, cut(false, Some(for_ms))));
        assert_eq!(log.failures()[0], "ab: no effect 21, no answer 21", "{from_ms}");
    }
    assert_eq!(
        slow.run(at(2_110, cut(false, Some(10)))).failures(),
        NO_FAILURES,
        "neither leaves nor arrives"
    );
    assert_eq!(slow.run(at(2_155, cut(false, Some(10)))).failures(), ["ba: no answer 21"]);
}

/// Returns the latency relative to a run without faults, for tick 10 (before), 30 (during) and 60 (after).
fn stretch(log: impl Fn(&CallLog) -> BTreeMap<u64, Duration>, plan: FaultPlan) -> [u128; 3] {
    let (with, without) = (log(&Mesh::default().run(plan)), log(&Mesh::default().run(none())));
    [10, 30, 60].map(|tick| {
        let (with, without) = (with[&tick].as_nanos(), without[&tick].as_nanos());
        (with + without / 2) / without
    })
}

#[test]
fn a_slow_link_multiplies_latency_in_its_direction_only() {
    let slow = |both, for_ms| {
        degrade(DegradeLink { latency_times: Some(20), both, for_ms, ..DegradeLink::default() })
    };
    let there = |plan| stretch(|log| log.request_latencies("ab"), plan);
    let back = |plan| stretch(|log| log.answer_latencies("ab"), plan);
    let one_way = at(BEGINS_MS, slow(false, Some(3_000)));
    assert_eq!((there(one_way.clone()), back(one_way.clone())), ([1, 20, 1], [1, 1, 1]));
    assert_eq!(stretch(|log| log.answer_latencies("ba"), one_way.clone()), [1, 20, 1]);
    assert_eq!(stretch(|log| log.request_latencies("ac"), one_way), [1, 1, 1]);
    let both = at(BEGINS_MS, slow(true, Some(3_000)));
    assert_eq!((there(both.clone()), back(both)), ([1, 20, 1], [1, 20, 1]));
    assert_eq!(there(at(BEGINS_MS, slow(false, None))), [1, 20, 20]);
    assert_eq!(there(at(BEGINS_MS, slow(false, None)).ending_at(5_050)), [1, 20, 1]);
    let twice = at(BEGINS_MS, slow(false, None))
        .with(at_ms(5_050), degrade(DegradeLink { latency_times: Some(3), ..DegradeLink::default() }));
    assert_eq!(there(twice), [1, 20, 60], "overlapping degradations multiply");
}

#[test]
fn a_star_matches_every_node() {
    let to_c = |from: &str, to: &str, both| {
        let (from, to) = (from.into(), to.into());
        let slow = DegradeLink { from, to, both, latency_times: Some(20), ..DegradeLink::default() };
        let plan = at(BEGINS_MS, FaultAction::DegradeLink(slow));
        ["ac", "bc", "ca", "ab"].map(|pair| stretch(|log| log.request_latencies(pair), plan.clone())[1])
    };
    assert_eq!(to_c("*", "c", false), [20, 20, 1, 1]);
    assert_eq!(to_c("c", "*", false), [1, 1, 20, 1]);
    assert_eq!(to_c("*", "c", true), [20, 20, 20, 1]);
    assert_eq!(to_c("*", "*", false), [20, 20, 20, 20]);
}

#[test]
fn a_lossy_link_loses_the_configured_share_of_messages() {
    let lossy = |loss_ppm, for_ms| {
        degrade(DegradeLink { loss_ppm: Some(loss_ppm), for_ms, ..DegradeLink::default() })
    };
    let everything = failures(lossy(1_000_000, Some(3_000)));
    assert_eq!(everything, ["ab: no effect 21-50, no answer 21-50", "ba: no answer 21-50"]);
    let over = ["ab: no effect 21-70, no answer 21-70", "ba: no answer 21-70"];
    assert_eq!(failures_until_end(lossy(1_000_000, None)), over);
    assert_eq!(failures(lossy(0, None)), NO_FAILURES);
    let third = Mesh::default().run(at(0, lossy(333_000, None)));
    let (arrived, answered) = (third.order("ab").len(), third.answer_latencies("ba").len());
    assert!((55..=78).contains(&arrived) && (55..=78).contains(&answered), "{arrived} {answered}");
    assert_eq!((third.order("ba").len(), third.answer_latencies("ac").len()), (100, 100));
}

#[test]
fn a_duplicated_request_takes_effect_twice_and_is_answered_once() {
    let duplicating =
        |for_ms| degrade(DegradeLink { duplicate_ppm: Some(1_000_000), for_ms, ..DegradeLink::default() });
    // Answers to b are duplicated too; b takes the first.
    assert_eq!(failures(duplicating(Some(3_000))), ["ab: twice 21-50"]);
    assert_eq!(failures_until_end(duplicating(None)), ["ab: twice 21-70"]);
}

#[test]
fn a_delayed_message_is_overtaken_and_takes_effect_after_its_caller_timed_out() {
    let held = |share_ppm, for_ms| {
        let (reorder_ppm, reorder_by_ms) = (Some(share_ppm), Some(250));
        degrade(DegradeLink { reorder_ppm, reorder_by_ms, for_ms, ..DegradeLink::default() })
    };
    let log = Mesh::default().run(at(BEGINS_MS, held(300_000, Some(3_000))));
    let order = log.order("ab");
    assert!(!order.is_sorted() && log.order("ba").is_sorted(), "{order:?}");
    let ways = log.request_latencies("ab");
    let late: Vec<u64> =
        ways.iter().filter(|(_, way)| way.as_millis() >= 250).map(|(tick, _)| *tick).collect();
    assert!((3..=17).contains(&late.len()) && late.iter().all(|tick| (21..=50).contains(tick)), "{late:?}");
    // Every request takes effect once; a caller whose request is delayed gets no answer in time.
    assert_eq!(order.len(), 100);
    let given_up: Vec<u64> =
        (1..=100).filter(|tick| !log.answer_latencies("ab").contains_key(tick)).collect();
    assert_eq!(given_up, late);
    assert!(ways.values().all(|way| way.as_millis() == 250 || way.as_millis() == 0));
    // Every message.
    let lines = |last| ["ab", "ba"].map(|pair| format!("{pair}: no answer 21-{last}"));
    assert_eq!(failures(held(1_000_000, Some(3_000))), lines(50));
    assert_eq!(failures_until_end(held(1_000_000, None)), lines(70));
}

/// a sends ten messages of 100 bytes at once; returns their arrival times in milliseconds, sorted.
fn burst(plan: FaultPlan) -> Vec<u128> {
    let mut arrivals = observe_run(1, 5_000, plan, |world, observations| {
        let tail = LatencyTail { one_in: 0, multiplier: 1 };
        world.set_default_link(LinkSpec { tail, ..LinkSpec::default() });
        node(world, NodeSpec::named("a"), &observations, async |env: SimEnv, _| {
            env.clock().sleep(Duration::from_secs(1)).await;
            for number in 0..10_u8 {
                let message = Message { head: Bytes::new(), body: vec![number; 100].into() };
                let caller = env.clone();
                env.spawn(async move {
                    caller.net().call(NodeId(2), message, Duration::from_secs(4)).await.unwrap();
                });
            }
        });
        node(world, NodeSpec::named("b"), &observations, async |env: SimEnv, observations| {
            let clock = env.clock().clone();
            let serve = move |_| {
                observations.add(clock.monotonic().as_millis());
                async { Message::default() }
            };
            env.net().serve(16, serve).await;
        });
    });
    arrivals.sort_unstable();
    arrivals
}

#[test]
fn messages_queue_on_a_narrow_link() {
    let narrow = |bytes_per_s, for_ms| {
        let bandwidth_bytes_per_s = Some(bytes_per_s);
        degrade(DegradeLink { bandwidth_bytes_per_s, for_ms, ..DegradeLink::default() })
    };
    assert_eq!(burst(none()), [1_000; 10]);
    let each_100_ms: Vec<u128> = (1..=10).map(|place| 1_000 + 100 * place).collect();
    assert_eq!(burst(at(500, narrow(1_000, None))), each_100_ms);
    let narrower = at(500, narrow(1_000, None)).with(at_ms(500), narrow(2_000, None));
    assert_eq!(burst(narrower), each_100_ms, "the narrowest wins");
    assert_eq!(burst(at(500, narrow(1_000, Some(400)))), [1_000; 10], "it ended before");
    assert_eq!(burst(at(500, narrow(1_000, None)).ending_at(900)), [1_000; 10]);
}

/// a sends b the same message repeatedly, under a degradation; returns for each sending whether it took effect.
fn same_again(by: DegradeLink) -> Vec<bool> {
    observe_run(1, 60_000, at(0, degrade(by)), |world, observations| {
        node(world, NodeSpec::named("a"), &observations, async |env: SimEnv, observations| {
            for _ in 0..100 {
                let call = env.net().call(NodeId(2), Message::default(), Duration::from_millis(100));
                observations.add(call.await.is_ok());
            }
        });
        node(world, NodeSpec::named("b"), &observations, async |env: SimEnv, _| {
            env.net().serve(8, async |request| request.message).await;
        });
    })
}

#[test]
fn a_retry_of_a_lost_message_has_its_own_draw() {
    let sent = same_again(DegradeLink { loss_ppm: Some(500_000), ..DegradeLink::default() });
    let arrived = sent.iter().filter(|arrived| **arrived).count();
    assert!((35..=65).contains(&arrived), "{arrived}");
    assert_eq!(same_again(DegradeLink::default()), [true; 100]);
}

#[test]
fn a_lost_request_leaves_no_effect_and_a_timeout() {
    let two = Mesh { nodes: "ab", ..Mesh::default() };
    let lost = |plan| two.run(plan).failures();
    assert_eq!(lost(at(BEGINS_MS, lose(CallPart::Request, 3))), ["ab: no effect 21-23, no answer 21-23"]);
    assert_eq!(lost(at(BEGINS_MS, lose(CallPart::Request, 0))), NO_FAILURES);
    let over = at(BEGINS_MS, lose(CallPart::Request, 1_000)).ending_at(3_050);
    assert_eq!(lost(over), ["ab: no effect 21-30, no answer 21-30"]);
}

#[test]
fn an_answer_lost_after_the_effect_leaves_the_effect_and_a_timeout() {
    let two = Mesh { nodes: "ab", ..Mesh::default() };
    let lost = |plan| two.run(plan).failures();
    assert_eq!(lost(at(BEGINS_MS, lose(CallPart::Answer, 3))), ["ab: no answer 21-23"]);
    assert_eq!(lost(at(BEGINS_MS, lose(CallPart::Answer, 1_000)).ending_at(3_050)), ["ab: no answer 21-30"]);
    // One after the other: both must be exhausted before a call of a succeeds again.
    let both = at(BEGINS_MS, lose(CallPart::Answer, 2)).with(at_ms(BEGINS_MS), lose(CallPart::Request, 2));
    assert_eq!(lost(both), ["ab: no effect 23-24, no answer 21-24"]);
}

#[test]
fn a_message_lost_at_the_nth_call_belongs_to_that_call() {
    let two = Mesh { nodes: "ab", ..Mesh::default() };
    let nth =
        |n| Trigger::NthOp { node: "a".into(), op: OpKind::Send, path_prefix: String::new(), n, after_ms: 0 };
    assert_eq!(two.run(none().with(nth(17), lose(CallPart::Answer, 1))).failures(), ["ab: no answer 17"]);
    let request = none().with(nth(17), lose(CallPart::Request, 2));
    assert_eq!(two.run(request).failures(), ["ab: no effect 17-18, no answer 17-18"]);
}
