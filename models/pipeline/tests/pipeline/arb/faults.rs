//! A crash, one error, or a full disk, at each operation in turn.

use super::fixture::{ArbFixture, ClientLog, DAYS, DISK, HOUR, SECOND, with_disk};
use super::workload::{EVENTS, run_workload};
use latent_pipeline::marks;
use latent_pipeline::record::ArrivalId;
use latent_sim::{CrashPolicy, DiskError, DiskFull, Fault, FaultAction, Kill, OpKind, ShortRead, Trigger};
use std::collections::BTreeSet;

/// Invariants under all faults.
async fn check_guarantees(arb: &ArbFixture) {
    arb.run("client", run_workload).await;
    // Longer than the grace period and the collection after it; nothing else happens.
    arb.world.sleep(2 * HOUR).await;
    let orphans = arb.check_manifests(&arb.world.disk_image(DISK));
    assert!(orphans.is_empty(), "orphans stay: {orphans:?}");
    arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
    arb.check_manifests(&arb.world.disk_image(DISK));
    arb.world.restart(DISK);
    arb.world.sleep(SECOND).await;
    let read = arb.run("reader", async |client| {
        let mut all = Vec::new();
        for day in DAYS {
            // The last crash may come while the disk boots.
            all.push(client.read_until_ok(day).await);
        }
        all
    });
    let read = read.await;
    let log = arb.log.lock().unwrap();
    for (day, records) in DAYS.into_iter().zip(read) {
        let present: BTreeSet<ArrivalId> = records.iter().map(|record| record.arrival).collect();
        assert_eq!(present.len(), records.len(), "an arrival stands twice: {:?}", log.failures);
        let missing =
            |promised: &BTreeSet<ArrivalId>| promised.difference(&present).copied().collect::<Vec<_>>();
        assert!(missing(&log.written[&day]).is_empty(), "{day}: written events are gone: {log:?}");
        assert!(log.seen.get(&day).is_none_or(|seen| missing(seen).is_empty()), "{day}: shown, then gone");
    }
    check_tokens_increase(&log);
}

fn check_tokens_increase(log: &ClientLog) {
    assert!(log.tokens.windows(2).all(|pair| pair[0] < pair[1]), "tokens repeat: {:?}", log.tokens);
}

/// Runs the workload with the faults of 1, of 2, … until the first of them is not triggered any more. Returns the
/// number of triggered faults.
fn at_each(faults: impl Fn(u64) -> Vec<Fault> + Sync) -> u64 {
    for n in 1.. {
        let faults = faults(n);
        let triggered = with_disk(100 + n, None, async move |arb| {
            for fault in faults {
                arb.world.arm(fault);
            }
            check_guarantees(&arb).await;
            arb.world.fault_outcomes()[0].triggered_at.is_some()
        });
        if !triggered {
            return n - 1;
        }
    }
    unreachable!("n counts without end")
}

fn nth(op: OpKind, n: u64) -> Trigger {
    Trigger::NthOp { node: "disk".into(), op, path_prefix: String::new(), n, after_ms: 0 }
}

fn kill(n: u64, keeps: CrashPolicy) -> Fault {
    let action = FaultAction::Kill(Kill {
        node: "disk".into(),
        restart_after_ms: Some(2_000),
        keeps: Some(keeps),
        tear_bytes: None,
    });
    Fault { trigger: nth(OpKind::Change, n), action }
}

#[test]
fn short_reads_lose_nothing() {
    with_disk(1, None, async |arb| {
        let path_prefix = String::new();
        let action = FaultAction::ShortRead(ShortRead { node: "disk".into(), path_prefix, times: u32::MAX });
        let trigger = Trigger::AtMs(arb.world.now().0);
        arb.world.arm(Fault { trigger, action });
        check_guarantees(&arb).await;
        let log = arb.log.lock().unwrap();
        assert_eq!(log.written.values().map(BTreeSet::len).sum::<usize>(), EVENTS);
        // Same as without faults: the refusal of the stale token.
        assert_eq!((log.failures.len(), log.tokens.len()), (1, 5), "{log:?}");
    });
}

#[test]
fn without_faults_everything_is_written_once_and_compacted() {
    with_disk(1, None, async |arb| {
        check_guarantees(&arb).await;
        let log = arb.log.lock().unwrap();
        assert_eq!(log.written.values().map(BTreeSet::len).sum::<usize>(), EVENTS);
        // The only failure is the refusal of the stale token.
        assert_eq!((log.failures.len(), log.tokens.len()), (1, 5), "{log:?}");
        assert_eq!(log.runs, 6, "the first day: two runs, then one, then one; the second day: one, then one");
        assert!(arb.world.marks()[marks::COMPACTION_THIRD_RUN.name()] >= 1);
    });
}

#[test]
fn a_crash_at_each_change_of_the_disk_loses_nothing_acknowledged() {
    for keeps in [CrashPolicy::Nothing, CrashPolicy::Everything, CrashPolicy::Drawn] {
        let triggered = at_each(|n| vec![kill(n, keeps)]);
        assert!(triggered > 100, "{keeps:?}: only {triggered} changes");
    }
}

#[test]
fn a_second_crash_during_recovery_loses_nothing_acknowledged() {
    for later in 1..=3 {
        let triggered = at_each(|n| vec![kill(n, CrashPolicy::Drawn), kill(n + later, CrashPolicy::Drawn)]);
        assert!(triggered > 100, "only {triggered} changes");
    }
}

#[test]
fn one_error_at_each_operation_loses_nothing_acknowledged() {
    let triggered = at_each(|n| {
        let (node, path_prefix) = ("disk".into(), String::new());
        vec![Fault {
            trigger: nth(OpKind::Disk, n),
            action: FaultAction::DiskError(DiskError {
                node,
                op: OpKind::Any,
                path_prefix,
                times: Some(1),
                for_ms: None,
            }),
        }]
    });
    assert!(triggered > 150, "only {triggered} operations");
}

#[test]
fn a_full_disk_for_half_a_minute_from_each_operation_on_loses_nothing_acknowledged() {
    let triggered = at_each(|n| {
        let action =
            FaultAction::DiskFull(DiskFull { room_bytes: 0, node: "disk".into(), for_ms: Some(30_000) });
        vec![Fault { trigger: nth(OpKind::Change, n), action }]
    });
    assert!(triggered > 100, "only {triggered} changes");
}

#[test]
fn a_failed_sync_followed_by_a_power_loss_loses_nothing_acknowledged() {
    // If a later sync were trusted to cover the bytes of the failed one, the power loss would lose them.
    let triggered = at_each(|n| {
        let (node, path_prefix) = ("disk".into(), "arb".into());
        let action = FaultAction::DiskError(DiskError {
            node,
            op: OpKind::Sync,
            path_prefix,
            times: Some(1),
            for_ms: None,
        });
        let trigger = nth(OpKind::Sync, n);
        vec![Fault { trigger, action }, kill(3 * n + 9, CrashPolicy::Nothing)]
    });
    assert!(triggered > 30, "only {triggered} syncs");
}
