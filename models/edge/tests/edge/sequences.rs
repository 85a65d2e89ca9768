//! Reading or writing the boot number fails twice: no sequence number is reused.

use super::{check_sequences_are_unique, unchanged, with_fixture};
use crate::fixture::{EDGES, EdgeFixture, HOUR, MINUTE};
use latent_sim::{BitRot, CrashPolicy, DiskError, Fault, FaultAction, Kill, OpKind, Trigger};
use std::time::Duration;

const EDGE: &str = "edge-1";
/// Longer than the faults of these tests last, including the backoff between boot attempts.
const MAX_ATTEMPTS: u32 = 40;

/// Posts until it is acknowledged.
async fn post_until_ok(fixture: &EdgeFixture, body: &str) {
    for _ in 0..MAX_ATTEMPTS {
        if fixture.post(EDGES[0], body).await == 200 {
            return;
        }
        fixture.world.sleep(MINUTE).await;
    }
    panic!("'{body}' is never acknowledged");
}

/// Two boots, the second after a power loss, with requests in each.
async fn check_sequences_increase(fixture: &EdgeFixture) {
    for boot in ["first", "second"] {
        fixture.world.restart(EDGES[0]);
        for at in 0..2 {
            post_until_ok(fixture, &format!("{boot} boot, request {at}")).await;
        }
        fixture.world.kill_with_policy(EDGES[0], CrashPolicy::Nothing);
    }
    fixture.world.restart(EDGES[0]);
    post_until_ok(fixture, "at last").await;
    fixture.world.sleep(4 * HOUR).await;
    check_sequences_are_unique(fixture);
}

fn nth(n: u64) -> Trigger {
    Trigger::NthOp { node: EDGE.into(), op: OpKind::Disk, path_prefix: String::new(), n, after_ms: 0 }
}

fn error(n: u64) -> Fault {
    let (node, path_prefix) = (EDGE.into(), String::new());
    let action = FaultAction::DiskError(DiskError {
        node,
        op: OpKind::Any,
        path_prefix,
        times: Some(1),
        for_ms: None,
    });
    Fault { trigger: nth(n), action }
}

fn crash(n: u64) -> Fault {
    let keeps = Some(CrashPolicy::Nothing);
    let kill = Kill { node: EDGE.into(), restart_after_ms: Some(2_000), keeps, tear_bytes: None };
    Fault { trigger: nth(n), action: FaultAction::Kill(kill) }
}

/// Creates the fault of the `n`-th operation.
type FaultAt = fn(u64) -> Fault;

/// Returns the number of second faults that were triggered.
fn at_each_twice(damaged: bool) -> u64 {
    let pairs: [[FaultAt; 2]; 3] = [[error, error], [error, crash], [crash, error]];
    let mut triggered = 0;
    for pair in pairs {
        for (first, later) in (1..=24).flat_map(|first| (1..=8).map(move |later| (first, later))) {
            let both = [pair[0](first), pair[1](first + later)];
            triggered += with_fixture(1_000 * first + later, unchanged, async move |fixture: EdgeFixture| {
                post_until_ok(&fixture, "before").await;
                // Its file leaves the disk, so no file name shows which numbers were used.
                fixture.world.sleep(4 * HOUR).await;
                fixture.world.kill(EDGES[0]);
                if damaged {
                    let rot = BitRot { node: EDGE.into(), path_prefix: "edge/boot".into(), pick: 9, bits: 1 };
                    let trigger = Trigger::AtMs(fixture.world.now().0);
                    fixture.world.arm(Fault { trigger, action: FaultAction::BitRot(rot) });
                }
                for fault in both {
                    fixture.world.arm(fault);
                }
                fixture.world.sleep(Duration::from_secs(1)).await;
                check_sequences_increase(&fixture).await;
                let outcomes = fixture.world.fault_outcomes();
                u64::from(outcomes.last().is_some_and(|outcome| outcome.triggered_at.is_some()))
            });
        }
    }
    triggered
}

#[test]
fn no_sequence_number_is_reused_when_a_boot_fails_at_any_two_steps() {
    let triggered = at_each_twice(false);
    assert!(triggered > 450, "only {triggered} second faults");
}

#[test]
fn no_sequence_number_is_reused_when_the_boot_number_is_damaged_and_the_boot_fails_at_any_two_steps() {
    let triggered = at_each_twice(true);
    assert!(triggered > 450, "only {triggered} second faults");
}
