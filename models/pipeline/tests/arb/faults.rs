//! A crash, one error, or a full disk, at each operation in turn.

use crate::fixture::{ArbFixture, ClientLog, DAYS, DISK, HOUR, SECOND, with_disk};
use crate::workload::{EVENTS, days_of_traffic};
use latent_pipeline::record::ArrivalId;
use latent_sim::{Action, Anchor, CrashKeeps, DiskError, DiskFull, Fault, Kill, OpKind, ShortRead};
use std::collections::BTreeSet;

/// Invariants under all faults.
async fn promises_are_kept(bench: &ArbFixture) {
    bench.run("client", days_of_traffic).await;
    // Longer than the grace period and the collection after it; nothing else happens.
    bench.world.sleep(2 * HOUR).await;
    let orphans = bench.check_manifests(&bench.world.disk_image(DISK));
    assert!(orphans.is_empty(), "orphans stay: {orphans:?}");
    bench.world.kill_keeping(DISK, CrashKeeps::Nothing);
    bench.check_manifests(&bench.world.disk_image(DISK));
    bench.world.restart(DISK);
    bench.world.sleep(SECOND).await;
    let read = bench.run("reader", async |client| {
        let mut all = Vec::new();
        for day in DAYS {
            // The last crash may come while the disk boots.
            all.push(client.read_at_last(day).await);
        }
        all
    });
    let read = read.await;
    let told = bench.told.lock().unwrap();
    for (day, records) in DAYS.into_iter().zip(read) {
        let present: BTreeSet<ArrivalId> = records.iter().map(|record| record.arrival).collect();
        assert_eq!(present.len(), records.len(), "an arrival stands twice: {:?}", told.failures);
        let missing =
            |promised: &BTreeSet<ArrivalId>| promised.difference(&present).copied().collect::<Vec<_>>();
        assert!(missing(&told.written[&day]).is_empty(), "{day}: written events are gone: {told:?}");
        assert!(told.seen.get(&day).is_none_or(|seen| missing(seen).is_empty()), "{day}: shown, then gone");
    }
    tokens_rise(&told);
}

fn tokens_rise(told: &ClientLog) {
    assert!(told.tokens.windows(2).all(|pair| pair[0] < pair[1]), "tokens repeat: {:?}", told.tokens);
}

/// Runs the workload with the faults of 1, of 2, … until the first of them is not triggered any more. Returns the
/// number of triggered faults.
fn at_each(faults: impl Fn(u64) -> Vec<Fault> + Sync) -> u64 {
    for n in 1.. {
        let faults = faults(n);
        let struck = with_disk(100 + n, None, async move |bench| {
            for fault in faults {
                bench.world.arm(fault);
            }
            promises_are_kept(&bench).await;
            bench.world.fault_outcomes()[0].struck.is_some()
        });
        if !struck {
            return n - 1;
        }
    }
    unreachable!("n counts without end")
}

fn nth(op: OpKind, n: u64) -> Anchor {
    Anchor::NthOp { node: "disk".into(), op, path_prefix: String::new(), n, after_ms: 0 }
}

fn kill(n: u64, keeps: CrashKeeps) -> Fault {
    let action = Action::Kill(Kill {
        node: "disk".into(),
        restart_after_ms: Some(2_000),
        keeps: Some(keeps),
        tear_bytes: None,
    });
    Fault { anchor: nth(OpKind::Change, n), action }
}

#[test]
fn when_every_read_comes_short_nothing_is_missed() {
    with_disk(1, None, async |bench| {
        let path_prefix = String::new();
        let action = Action::ShortRead(ShortRead { node: "disk".into(), path_prefix, times: u32::MAX });
        let anchor = Anchor::AtMs(bench.world.now().0);
        bench.world.arm(Fault { anchor, action });
        promises_are_kept(&bench).await;
        let told = bench.told.lock().unwrap();
        assert_eq!(told.written.values().map(BTreeSet::len).sum::<usize>(), EVENTS);
        // Same as without faults: the refusal of the stale token.
        assert_eq!((told.failures.len(), told.tokens.len()), (1, 5), "{told:?}");
    });
}

#[test]
fn without_faults_everything_is_written_once_and_compacted() {
    with_disk(1, None, async |bench| {
        promises_are_kept(&bench).await;
        let told = bench.told.lock().unwrap();
        assert_eq!(told.written.values().map(BTreeSet::len).sum::<usize>(), EVENTS);
        // The only failure is the refusal of the stale token.
        assert_eq!((told.failures.len(), told.tokens.len()), (1, 5), "{told:?}");
        assert_eq!(
            told.runs, 6,
            "the first day: two runs, then one, then one; the second day: one, then one"
        );
        assert!(bench.world.marks()["compaction.third-run"] >= 1);
    });
}

#[test]
fn a_crash_at_each_change_of_the_disk_loses_nothing_that_was_promised() {
    for keeps in [CrashKeeps::Nothing, CrashKeeps::Everything, CrashKeeps::Drawn] {
        let struck = at_each(|n| vec![kill(n, keeps)]);
        assert!(struck > 100, "{keeps:?}: only {struck} changes");
    }
}

#[test]
fn a_second_crash_while_the_first_is_recovered_from_loses_nothing_that_was_promised() {
    for later in 1..=3 {
        let struck = at_each(|n| vec![kill(n, CrashKeeps::Drawn), kill(n + later, CrashKeeps::Drawn)]);
        assert!(struck > 100, "only {struck} changes");
    }
}

#[test]
fn one_error_at_each_operation_loses_nothing_that_was_promised() {
    let struck = at_each(|n| {
        let (node, path_prefix) = ("disk".into(), String::new());
        vec![Fault {
            anchor: nth(OpKind::Disk, n),
            action: Action::DiskError(DiskError {
                node,
                op: OpKind::Any,
                path_prefix,
                times: Some(1),
                for_ms: None,
            }),
        }]
    });
    assert!(struck > 150, "only {struck} operations");
}

#[test]
fn a_full_disk_from_each_operation_on_for_half_a_minute_loses_nothing_that_was_promised() {
    let struck = at_each(|n| {
        let action = Action::DiskFull(DiskFull { room_bytes: 0, node: "disk".into(), for_ms: Some(30_000) });
        vec![Fault { anchor: nth(OpKind::Change, n), action }]
    });
    assert!(struck > 100, "only {struck} changes");
}

#[test]
fn a_failed_sync_and_then_a_power_loss_lose_nothing_that_was_promised() {
    // If a later sync were trusted to cover the bytes of the failed one, the power loss would lose them.
    let struck = at_each(|n| {
        let (node, path_prefix) = ("disk".into(), "arb".into());
        let action = Action::DiskError(DiskError {
            node,
            op: OpKind::Sync,
            path_prefix,
            times: Some(1),
            for_ms: None,
        });
        let anchor = nth(OpKind::Sync, n);
        vec![Fault { anchor, action }, kill(3 * n + 9, CrashKeeps::Nothing)]
    });
    assert!(struck > 30, "only {struck} syncs");
}
