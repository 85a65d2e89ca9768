//! Slow, lossy, duplicating, reordering and narrow links, and lost messages.

use super::{BEGINS_MS, NO_FAILURES, failures, failures_until_end};
use crate::support::mesh::{CallLog, Mesh};
use crate::support::nodes::{FaultPlan, at, at_ms, node, none, observe_run};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NodeId};
use latent_sim::{
    CallPart, DegradeLink, FaultAction, LatencyTail, LinkSpec, LoseMessage, NodeSpec, OpKind, SimEnv, Trigger,
};
use std::collections::BTreeMap;
use std::time::Duration;

fn degrade(by: DegradeLink) -> FaultAction {
    FaultAction::DegradeLink(DegradeLink { from: "a".into(), to: "b".into(), ..by })
}

fn lose(part: CallPart, times: u32) -> FaultAction {
    FaultAction::LoseMessage(LoseMessage { node: "a".into(), part, times })
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
