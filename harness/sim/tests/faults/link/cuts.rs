//! Cut links, isolated nodes, partitions and flapping nodes.

use super::{BEGINS_MS, NO_FAILURES, cut, failures, failures_until_end};
use crate::support::chatter::{both, chatter_with};
use crate::support::mesh::Mesh;
use crate::support::nodes::{FaultPlan, at, at_ms, node, none, observe_run};
use crate::support::ticker::at_s;
use latent_ports::{Clock, Env, Message, Net};
use latent_sim::{CutLink, DegradeLink, Fault, FaultAction, Flap, Isolate, NodeSpec, Partition, SimEnv};
use std::time::Duration;

fn isolate(node: &str, for_ms: Option<u64>) -> FaultAction {
    FaultAction::Isolate(Isolate { node: node.into(), for_ms })
}

fn partition(side: &[&str], other: &[&str], one_way: bool, for_ms: Option<u64>) -> FaultAction {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    FaultAction::Partition(Partition { side: names(side), other: names(other), one_way, for_ms })
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

#[test]
fn a_one_way_cut_loses_requests_one_way_and_answers_the_other() {
    let none = chatter_with(|_| Vec::new());
    assert_eq!(both(&none, "lost"), (0, 0));
    let cut =
        |both| FaultAction::CutLink(CutLink { from: "a".into(), to: "b".into(), both, for_ms: Some(5_000) });
    let one_way = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action: cut(false) }]);
    let (a_lost, b_lost) = both(&one_way, "lost");
    assert!((30..36).contains(&a_lost) && (30..36).contains(&b_lost), "{a_lost} {b_lost}");
    // b's requests still reached a; a's requests did not reach b.
    let (a_asked, b_asked) = both(&one_way, "asked");
    let (a_heard, b_heard) = both(&one_way, "heard");
    assert_eq!((a_asked, b_asked), (b_heard + b_lost, a_heard));
    let two_way = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action: cut(true) }]);
    assert_eq!(both(&two_way, "asked"), {
        let (a, b) = both(&two_way, "heard");
        (b, a)
    });
    assert!(both(&two_way, "lost").0 > 30);
}

#[test]
fn an_isolated_node_receives_nothing_until_reconnected() {
    let action = FaultAction::Isolate(Isolate { node: "b".into(), for_ms: Some(5_000) });
    let finished = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action }]);
    let (a_lost, b_lost) = both(&finished, "lost");
    assert!((30..36).contains(&a_lost) && (30..36).contains(&b_lost), "{a_lost} {b_lost}");
    assert!(both(&finished, "heard").0 > 40);
    let for_good = FaultAction::Isolate(Isolate { node: "b".into(), for_ms: None });
    let finished = chatter_with(|world| vec![Fault { trigger: at_s(world, 2), action: for_good }]);
    assert!(both(&finished, "heard").0 < 20);
}
