//! One crash or one error at each operation in turn: nothing acknowledged is lost.

use super::{SECOND, check_sequences_are_unique, unchanged, with_fixture};
use crate::fixture::{EDGE_NAMES, EDGES, EdgeFixture, HOUR, MINUTE, bodies, has};
use latent_ports::NodeId;
use latent_sim::{DiskError, Fault, FaultAction, Kill, OpKind, Trigger};

/// Invariant under all faults: an acknowledged request is in the store in the end, and was durable on two disks, or on
/// one disk and in the store, when it was acknowledged.
async fn check_acknowledged_is_stored(fixture: EdgeFixture, edge: NodeId) {
    let bodies = bodies("request", 12);
    // Covers the end of an hour and its upload: 12 requests in 72 minutes.
    for body in &bodies {
        let text = std::str::from_utf8(body).unwrap();
        if fixture.post(edge, text).await == 200 {
            let places = EDGES.iter().filter(|edge| has(&fixture.held(**edge), body)).count();
            let in_store = usize::from(has(&fixture.stored(), body));
            assert!(places + in_store >= 2, "'{:.12}' was acknowledged with {places} copies", text);
        }
        fixture.world.sleep(6 * MINUTE).await;
    }
    fixture.world.sleep(4 * HOUR).await;
    let stored = fixture.stored();
    for body in fixture.acknowledged() {
        assert!(has(&stored, &body), "an acknowledged request is not in the store: {body:.20?}");
    }
    assert!(EDGES.iter().all(|edge| fixture.tee_files(*edge).is_empty()), "something stays on an edge");
    check_sequences_are_unique(&fixture);
}

/// Runs the twelve requests to edge 1 with `fault` of 1, 2, … until the fault is not triggered any more. Returns how
/// often it was triggered.
fn at_each(fault: impl Fn(u64) -> Fault + Sync, needs_acks: usize) -> u64 {
    for n in 1.. {
        let fault = fault(n);
        let (triggered, acknowledged) =
            with_fixture(100 + n, unchanged, async move |fixture: EdgeFixture| {
                fixture.world.arm(fault);
                check_acknowledged_is_stored(fixture.clone(), EDGES[0]).await;
                let triggered =
                    fixture.world.fault_outcomes().iter().any(|outcome| outcome.triggered_at.is_some());
                (triggered, fixture.acknowledged().len())
            });
        assert!(acknowledged >= needs_acks, "only {acknowledged} requests came through with fault {n}");
        if !triggered {
            return n - 1;
        }
    }
    unreachable!("n counts without end")
}

fn nth(node: &str, op: OpKind, n: u64) -> Trigger {
    // Operations of the first boot, before the edges serve, do not count.
    Trigger::NthOp { node: node.into(), op, path_prefix: String::new(), n, after_ms: 1_000 }
}

#[test]
fn crash_of_either_edge_at_each_disk_operation_loses_nothing_acknowledged() {
    for name in EDGE_NAMES {
        let triggered = at_each(
            |n| {
                let action = FaultAction::Kill(Kill {
                    node: name.into(),
                    restart_after_ms: Some(3_000),
                    keeps: None,
                    tear_bytes: None,
                });
                Fault { trigger: nth(name, OpKind::Change, n), action }
            },
            10,
        );
        assert!(triggered > 25, "{name}: only {triggered} operations");
    }
}

#[test]
fn crash_of_either_edge_at_each_message_loses_nothing_acknowledged() {
    for name in EDGE_NAMES {
        for op in [OpKind::Send, OpKind::Receive, OpKind::Answer] {
            let triggered = at_each(
                |n| {
                    let action = FaultAction::Kill(Kill {
                        node: name.into(),
                        restart_after_ms: Some(3_000),
                        keeps: None,
                        tear_bytes: None,
                    });
                    Fault { trigger: nth(name, op, n), action }
                },
                10,
            );
            assert!(triggered > 0, "{name}: no {op:?}");
        }
    }
}

#[test]
fn one_error_at_each_disk_operation_of_either_edge_loses_nothing_acknowledged() {
    for name in EDGE_NAMES {
        let triggered = at_each(
            |n| {
                let op = OpKind::Any;
                let action = FaultAction::DiskError(DiskError {
                    node: name.into(),
                    op,
                    path_prefix: String::new(),
                    times: Some(1),
                    for_ms: None,
                });
                Fault { trigger: nth(name, OpKind::Disk, n), action }
            },
            10,
        );
        assert!(triggered > 25, "{name}: only {triggered} operations");
    }
}

#[test]
fn a_sync_that_fails_and_then_a_power_loss_of_both_edges_loses_nothing_acknowledged() {
    // One sync of either copy fails. If the next sync were trusted to cover the bytes of the failed one, the power loss
    // would lose them.
    for name in EDGE_NAMES {
        for n in 1..=4 {
            with_fixture(200 + n, unchanged, async move |fixture: EdgeFixture| {
                let action = FaultAction::DiskError(DiskError {
                    node: name.into(),
                    op: OpKind::Sync,
                    path_prefix: "tee".into(),
                    times: Some(1),
                    for_ms: None,
                });
                fixture.world.arm(Fault { trigger: nth(name, OpKind::Sync, n), action });
                for body in bodies("request", 8) {
                    fixture.post(EDGES[0], std::str::from_utf8(&body).unwrap()).await;
                    fixture.world.sleep(2 * SECOND).await;
                }
                assert!(fixture.acknowledged().len() >= 6);
                for edge in EDGES {
                    fixture.world.kill_with_policy(edge, latent_sim::CrashPolicy::Nothing);
                    fixture.world.restart(edge);
                }
                let copies = EDGES.map(|edge| fixture.held(edge));
                for body in fixture.acknowledged() {
                    assert!(copies.iter().all(|held| has(held, &body)), "{name}, sync {n}: {body:.20?}");
                }
            });
        }
    }
}
