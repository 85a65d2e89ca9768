//! Scheduled jobs: neither an unreachable operator nor a wrong clock keeps them from working.

use super::fixture::{ClusterFixture, FIRST_DAY, HOUR, PROJECT, with_fixture};
use super::replication::check_copies_agree;
use latent_pipeline::alarms::Alarm;
use latent_pipeline::alarms::NightlyJob;
use latent_pipeline::marks;
use latent_pipeline::zone::Day;
use latent_ports::MarkName;
use latent_sim::{ClockStep, DiskImage, Fault, FaultAction, Isolate, Kill, Trigger};
use std::collections::BTreeMap;

#[test]
fn copies_are_repaired_while_the_operator_is_unreachable_and_reported_later() {
    let (_, marks) = with_fixture(21, async |fixture: ClusterFixture| {
        fixture.traffic(20).await;
        let (disk, operator) = (fixture.node("disk-6"), fixture.node("operator"));
        fixture.world.kill(operator);
        fixture.world.kill(disk);
        fixture.world.replace_disk(disk, &DiskImage::new());
        fixture.world.restart(disk);
        fixture.world.sleep(11 * HOUR).await;
        check_copies_agree(&fixture).await;
        assert_eq!(*fixture.alarms.lock().unwrap(), [], "the operator is away");
        fixture.world.sleep(48 * HOUR).await;
        fixture.world.restart(operator);
        fixture.world.sleep(HOUR).await;
        let alarms_received = fixture.alarms.lock().unwrap();
        assert!(
            alarms_received.contains(&Alarm::CopiesDiffer { project: PROJECT, day: FIRST_DAY }),
            "{alarms_received:?}"
        );
    });
    assert!(marks[marks::REPAIR_CONVERGED.name()] >= 1, "{marks:?}");
}

/// Removes the first day's files from every disk, as a bug might.
fn lose_the_first_day(fixture: &ClusterFixture) {
    for disk in &fixture.cluster.disks {
        fixture.world.kill(*disk);
        let image = fixture.world.disk_image(*disk);
        let dir = format!("arb/{PROJECT}/{FIRST_DAY}");
        let lost: Vec<String> = image.list(&dir).map(|(path, _)| path.to_owned()).collect();
        assert!(!lost.is_empty(), "disk {} has the day", disk.0);
        let left = image.files().filter(|(path, _)| !lost.iter().any(|lost| lost == path));
        let left = left.fold(DiskImage::new(), |left, (path, file)| left.with_file(path, file.bytes()));
        fixture.world.replace_disk(*disk, &left);
        fixture.world.restart(*disk);
    }
}

#[test]
fn backups_and_audits_continue_while_the_operator_is_unreachable() {
    let (_, marks) = with_fixture(22, async |fixture: ClusterFixture| {
        fixture.traffic(24).await;
        fixture.world.sleep(4 * HOUR).await;
        lose_the_first_day(&fixture);
        let operator = fixture.node("operator");
        fixture.world.kill(operator);
        fixture.world.sleep(4 * 24 * HOUR).await;
        fixture.world.restart(operator);
        fixture.world.sleep(HOUR).await;
        let alarms_received = fixture.alarms.lock().unwrap();
        let shrank = |alarm: &&Alarm| matches!(alarm, Alarm::ProductionShrank { day: FIRST_DAY, .. });
        let missing = |alarm: &&Alarm| matches!(alarm, Alarm::EventsMissing { day: FIRST_DAY, .. });
        assert_eq!(alarms_received.iter().filter(shrank).count(), 1, "{alarms_received:?}");
        assert_eq!(
            alarms_received.iter().filter(missing).count(),
            1,
            "found four times, reported once: {alarms_received:?}"
        );
    });
    assert_eq!(
        marks[marks::BACKUP_CATALOG_DURABLE.name()],
        10,
        "a backup a day to two data centers: {marks:?}"
    );
    assert!(marks[marks::AUDIT_RAN.name()] >= 4, "{marks:?}");
}

/// Arms a fault this many hours after the world's start.
fn arm_at(fixture: &ClusterFixture, hours: f64, action: FaultAction) {
    let at = fixture.world.start() + HOUR.mul_f64(hours);
    fixture.world.arm(Fault { trigger: Trigger::AtMs(at.0), action });
}

/// Arms a crash of a node at the first mark of a name this many hours after the world's start; the node is back a
/// minute later.
fn crash_at_mark(fixture: &ClusterFixture, node: &str, mark: MarkName, hours: u64) {
    let after_ms = hours * 3_600_000;
    let trigger = Trigger::Mark { name: mark.into(), n: 1, node: Some(node.into()), after_ms };
    let (node, restart_after_ms) = (node.to_owned(), Some(60_000));
    fixture.world.arm(Fault {
        trigger,
        action: FaultAction::Kill(Kill { node, restart_after_ms, keeps: None, tear_bytes: None }),
    });
}

fn was_triggered(fixture: &ClusterFixture) -> bool {
    fixture.world.fault_outcomes().iter().all(|outcome| outcome.triggered_at.is_some())
}

/// Whether every disk has compacted the day this many days after the first.
fn is_compacted(fixture: &ClusterFixture, days: i32) -> bool {
    fixture.cluster.disks.iter().all(|disk| {
        let image = fixture.world.disk_image(*disk);
        let manifest = image.read(&format!("arb/{PROJECT}/{}/manifest", Day(FIRST_DAY.0 + days)));
        manifest.is_some_and(|manifest| String::from_utf8_lossy(&manifest).contains("\"compactions\":1"))
    })
}

#[test]
fn clocks_five_days_ahead_for_an_hour_skip_no_night_backup_or_audit() {
    let _ = with_fixture(23, async |fixture: ClusterFixture| {
        for node in ["worker-1", "worker-2", "backup", "audit"] {
            let (node, by_ms, for_ms) = (node.to_owned(), 5 * 86_400_000, Some(3_600_000));
            arm_at(&fixture, 23.5, FaultAction::ClockStep(ClockStep { node, by_ms, for_ms }));
        }
        fixture.traffic(23).await;
        let daily =
            [(marks::AUDIT_COMPLETE, 1), (marks::REPAIR_COMPLETE, 1), (marks::BACKUP_CATALOG_DURABLE, 2)];
        for days in 0..4 {
            let before = fixture.world.marks();
            fixture.traffic(2).await;
            // An hour after midnight.
            assert!(is_compacted(&fixture, days), "day {days}");
            // Until 10 pm, long after the night's audit, comparison and backup.
            fixture.world.sleep(21 * HOUR).await;
            let marks = fixture.world.marks();
            for (mark, least) in daily {
                let count = |marks: &BTreeMap<&str, u64>| marks.get(mark.name()).copied().unwrap_or(0);
                assert!(count(&marks) - count(&before) >= least, "{mark} after day {days}: {marks:?}");
            }
            fixture.traffic(1).await;
        }
        assert!(was_triggered(&fixture));
        assert_eq!(*fixture.alarms.lock().unwrap(), []);
        fixture.everything_acknowledged_is_exported().await;
    });
}

#[test]
fn a_lease_granted_while_a_disk_was_five_days_ahead_does_not_lock_the_other_worker_out() {
    let _ = with_fixture(24, async |fixture: ClusterFixture| {
        let (node, by_ms, for_ms) = ("disk-1".to_owned(), 5 * 86_400_000, Some(3_600_000));
        arm_at(&fixture, 23.5, FaultAction::ClockStep(ClockStep { node, by_ms, for_ms }));
        fixture.traffic(26).await;
        assert!(is_compacted(&fixture, 0));
        fixture.world.kill(fixture.node("worker-1"));
        fixture.traffic(24).await;
        assert!(is_compacted(&fixture, 1), "the second worker does what the first would have");
        assert!(was_triggered(&fixture));
    });
}

#[test]
fn an_audit_interrupted_by_a_crash_is_caught_up_after_the_boot() {
    let _ = with_fixture(25, async |fixture: ClusterFixture| {
        crash_at_mark(&fixture, "audit", marks::AUDIT_RAN, 27);
        fixture.traffic(24).await;
        fixture.world.sleep(2 * HOUR).await;
        lose_the_first_day(&fixture);
        // The night's audit began at 4 am and died.
        fixture.world.sleep(4 * HOUR).await;
        assert!(was_triggered(&fixture));
        let alarms_received = fixture.alarms.lock().unwrap();
        let missing = |alarm: &Alarm| matches!(alarm, Alarm::EventsMissing { day: FIRST_DAY, .. });
        assert!(alarms_received.iter().any(missing), "{alarms_received:?}");
    });
}

#[test]
fn a_comparison_interrupted_by_a_crash_is_caught_up_after_the_boot() {
    let _ = with_fixture(26, async |fixture: ClusterFixture| {
        crash_at_mark(&fixture, "worker-1", marks::REPAIR_COPIES_DIFFER, 27);
        fixture.traffic(26).await;
        let disk = fixture.node("disk-6");
        fixture.world.kill(disk);
        fixture.world.replace_disk(disk, &DiskImage::new());
        fixture.world.restart(disk);
        // The morning's comparison began at 6 am, found the difference, and died.
        fixture.world.sleep(6 * HOUR).await;
        assert!(was_triggered(&fixture));
        check_copies_agree(&fixture).await;
    });
}

#[test]
fn an_audit_node_dead_for_two_days_raises_an_alarm() {
    let _ = with_fixture(27, async |fixture: ClusterFixture| {
        fixture.traffic(10).await;
        fixture.world.kill(fixture.node("audit"));
        fixture.world.sleep(48 * HOUR).await;
        let alarms_received = fixture.alarms.lock().unwrap();
        let stopped = |alarm: &&Alarm| matches!(alarm, Alarm::JobOverdue { job: NightlyJob::Audit, .. });
        assert_eq!(
            alarms_received.iter().filter(stopped).count(),
            2,
            "one by each worker: {alarms_received:?}"
        );
    });
}

#[test]
fn workers_partitioned_for_two_nights_raise_an_alarm() {
    let _ = with_fixture(28, async |fixture: ClusterFixture| {
        for node in ["worker-1", "worker-2"] {
            let (node, for_ms) = (node.to_owned(), Some(48 * 3_600_000));
            arm_at(&fixture, 10.0, FaultAction::Isolate(Isolate { node, for_ms }));
        }
        fixture.traffic(10).await;
        fixture.world.sleep(48 * HOUR).await;
        assert!(was_triggered(&fixture));
        let alarms_received = fixture.alarms.lock().unwrap();
        for job in [NightlyJob::Compaction, NightlyJob::AntiEntropy] {
            let stopped = |alarm: &&Alarm| matches!(alarm, Alarm::JobOverdue { job: of, .. } if *of == job);
            assert_eq!(alarms_received.iter().filter(stopped).count(), 1, "{job:?}: {alarms_received:?}");
        }
    });
}

#[test]
fn a_job_that_fails_six_times_raises_an_alarm() {
    let _ = with_fixture(29, async |fixture: ClusterFixture| {
        fixture.traffic(23).await;
        fixture.world.kill(fixture.node("disk-3"));
        fixture.traffic(3).await;
        let alarms_received = fixture.alarms.lock().unwrap();
        let failed =
            |alarm: &&Alarm| matches!(alarm, Alarm::CompactionFailed { project: PROJECT, disk: 3, .. });
        assert!(alarms_received.iter().filter(failed).count() >= 1, "{alarms_received:?}");
    });
}

#[test]
fn a_week_without_faults_raises_no_alarm() {
    let (_, marks) = with_fixture(30, async |fixture: ClusterFixture| {
        for _ in 0..7 {
            fixture.traffic(1).await;
            fixture.world.sleep(23 * HOUR).await;
        }
        assert_eq!(*fixture.alarms.lock().unwrap(), []);
    });
    assert!(
        marks[marks::AUDIT_COMPLETE.name()] >= 7 && marks[marks::REPAIR_COMPLETE.name()] >= 7,
        "{marks:?}"
    );
    assert!(marks[marks::COMPACTION_JOB_COMPLETE.name()] >= 7, "{marks:?}");
}
