//! Scheduled jobs: neither an unreachable operator nor a wrong clock keeps them from working.

use crate::fixture::{ClusterFixture, FIRST_DAY, HOUR, PROJECT, with_site};
use crate::replication::all_is_well;
use latent_pipeline::alarms::Alarm;
use latent_pipeline::heartbeat::NightlyJob;
use latent_pipeline::zone::Day;
use latent_sim::{Action, Anchor, ClockStep, DiskImage, Fault, Isolate, Kill};
use std::collections::BTreeMap;

#[test]
fn copies_are_repaired_while_the_operator_is_away_and_reported_once_he_is_back() {
    let (_, marks) = with_site(21, async |site: ClusterFixture| {
        site.traffic(20).await;
        let (disk, operator) = (site.node("disk-6"), site.node("operator"));
        site.world.kill(operator);
        site.world.kill(disk);
        site.world.replace_disk(disk, &DiskImage::new());
        site.world.restart(disk);
        site.world.sleep(11 * HOUR).await;
        all_is_well(&site).await;
        assert_eq!(*site.alarms.lock().unwrap(), [], "the operator is away");
        site.world.sleep(48 * HOUR).await;
        site.world.restart(operator);
        site.world.sleep(HOUR).await;
        let heard = site.alarms.lock().unwrap();
        assert!(heard.contains(&Alarm::CopiesDiffer { project: PROJECT, day: FIRST_DAY }), "{heard:?}");
    });
    assert!(marks["repair.brought-together"] >= 1, "{marks:?}");
}

/// Removes the first day's files from every disk, as a bug might.
fn lose_the_first_day(site: &ClusterFixture) {
    for disk in &site.cluster.disks {
        site.world.kill(*disk);
        let image = site.world.disk_image(*disk);
        let dir = format!("arb/{PROJECT}/{FIRST_DAY}");
        let lost: Vec<String> = image.list(&dir).map(|(path, _)| path.to_owned()).collect();
        assert!(!lost.is_empty(), "disk {} has the day", disk.0);
        let left = image.files().filter(|(path, _)| !lost.iter().any(|lost| lost == path));
        let left = left.fold(DiskImage::new(), |left, (path, file)| left.with_file(path, file.bytes()));
        site.world.replace_disk(*disk, &left);
        site.world.restart(*disk);
    }
}

#[test]
fn backups_and_audits_go_on_while_the_operator_is_away_from_what_they_report() {
    let (_, marks) = with_site(22, async |site: ClusterFixture| {
        site.traffic(24).await;
        site.world.sleep(4 * HOUR).await;
        lose_the_first_day(&site);
        let operator = site.node("operator");
        site.world.kill(operator);
        site.world.sleep(4 * 24 * HOUR).await;
        site.world.restart(operator);
        site.world.sleep(HOUR).await;
        let heard = site.alarms.lock().unwrap();
        let shrank = |alarm: &&Alarm| matches!(alarm, Alarm::ProductionShrank { day: FIRST_DAY, .. });
        let missing = |alarm: &&Alarm| matches!(alarm, Alarm::EventsMissing { day: FIRST_DAY, .. });
        assert_eq!(heard.iter().filter(shrank).count(), 1, "{heard:?}");
        assert_eq!(heard.iter().filter(missing).count(), 1, "found four times, reported once: {heard:?}");
    });
    assert_eq!(marks["backup.catalog-durable"], 10, "a backup a day to two data centers: {marks:?}");
    assert!(marks["audit.ran"] >= 4, "{marks:?}");
}

/// Arms a fault this many hours after the world's start.
fn arm_at(site: &ClusterFixture, hours: f64, action: Action) {
    let at = site.world.start() + HOUR.mul_f64(hours);
    site.world.arm(Fault { anchor: Anchor::AtMs(at.0), action });
}

/// Arms a crash of a node at the first mark of a name this many hours after the world's start; the node is back a
/// minute later.
fn crash_at_mark(site: &ClusterFixture, node: &str, name: &str, hours: u64) {
    let after_ms = hours * 3_600_000;
    let anchor = Anchor::Mark { name: name.into(), n: 1, node: Some(node.into()), after_ms };
    let (node, restart_after_ms) = (node.to_owned(), Some(60_000));
    site.world.arm(Fault {
        anchor,
        action: Action::Kill(Kill { node, restart_after_ms, keeps: None, tear_bytes: None }),
    });
}

fn has_struck(site: &ClusterFixture) -> bool {
    site.world.fault_outcomes().iter().all(|outcome| outcome.struck.is_some())
}

/// Whether every disk has compacted the day this many days after the first.
fn is_compacted(site: &ClusterFixture, days: i32) -> bool {
    site.cluster.disks.iter().all(|disk| {
        let image = site.world.disk_image(*disk);
        let manifest = image.read(&format!("arb/{PROJECT}/{}/manifest", Day(FIRST_DAY.0 + days)));
        manifest.is_some_and(|manifest| String::from_utf8_lossy(&manifest).contains("\"compactions\":1"))
    })
}

#[test]
fn clocks_that_were_five_days_ahead_for_an_hour_cost_no_night_no_backup_and_no_audit() {
    let _ = with_site(23, async |site: ClusterFixture| {
        for node in ["worker-1", "worker-2", "backup", "audit"] {
            let (node, by_ms, for_ms) = (node.to_owned(), 5 * 86_400_000, Some(3_600_000));
            arm_at(&site, 23.5, Action::ClockStep(ClockStep { node, by_ms, for_ms }));
        }
        site.traffic(23).await;
        let daily = [("audit.complete", 1), ("repair.complete", 1), ("backup.catalog-durable", 2)];
        for days in 0..4 {
            let before = site.world.marks();
            site.traffic(2).await;
            // An hour after midnight.
            assert!(is_compacted(&site, days), "day {days}");
            // Until 10 pm, long after the night's audit, comparison and backup.
            site.world.sleep(21 * HOUR).await;
            let marks = site.world.marks();
            for (name, least) in daily {
                let count = |marks: &BTreeMap<&str, u64>| marks.get(name).copied().unwrap_or(0);
                assert!(count(&marks) - count(&before) >= least, "{name} after day {days}: {marks:?}");
            }
            site.traffic(1).await;
        }
        assert!(has_struck(&site));
        assert_eq!(*site.alarms.lock().unwrap(), []);
        site.everything_acknowledged_is_exported().await;
    });
}

#[test]
fn a_lease_granted_while_a_disk_was_five_days_ahead_does_not_lock_the_other_worker_out() {
    let _ = with_site(24, async |site: ClusterFixture| {
        let (node, by_ms, for_ms) = ("disk-1".to_owned(), 5 * 86_400_000, Some(3_600_000));
        arm_at(&site, 23.5, Action::ClockStep(ClockStep { node, by_ms, for_ms }));
        site.traffic(26).await;
        assert!(is_compacted(&site, 0));
        site.world.kill(site.node("worker-1"));
        site.traffic(24).await;
        assert!(is_compacted(&site, 1), "the second worker does what the first would have");
        assert!(has_struck(&site));
    });
}

#[test]
fn an_audit_that_dies_at_its_work_is_caught_up_after_the_boot() {
    let _ = with_site(25, async |site: ClusterFixture| {
        crash_at_mark(&site, "audit", "audit.ran", 27);
        site.traffic(24).await;
        site.world.sleep(2 * HOUR).await;
        lose_the_first_day(&site);
        // The night's audit began at 4 am and died.
        site.world.sleep(4 * HOUR).await;
        assert!(has_struck(&site));
        let heard = site.alarms.lock().unwrap();
        let missing = |alarm: &Alarm| matches!(alarm, Alarm::EventsMissing { day: FIRST_DAY, .. });
        assert!(heard.iter().any(missing), "{heard:?}");
    });
}

#[test]
fn a_comparison_that_dies_at_its_work_is_caught_up_after_the_boot() {
    let _ = with_site(26, async |site: ClusterFixture| {
        crash_at_mark(&site, "worker-1", "repair.copies-differ", 27);
        site.traffic(26).await;
        let disk = site.node("disk-6");
        site.world.kill(disk);
        site.world.replace_disk(disk, &DiskImage::new());
        site.world.restart(disk);
        // The morning's comparison began at 6 am, found the difference, and died.
        site.world.sleep(6 * HOUR).await;
        assert!(has_struck(&site));
        all_is_well(&site).await;
    });
}

#[test]
fn an_audit_node_that_is_dead_for_two_days_is_an_alarm() {
    let _ = with_site(27, async |site: ClusterFixture| {
        site.traffic(10).await;
        site.world.kill(site.node("audit"));
        site.world.sleep(48 * HOUR).await;
        let heard = site.alarms.lock().unwrap();
        let stopped = |alarm: &&Alarm| matches!(alarm, Alarm::JobOverdue { job: NightlyJob::Audit, .. });
        assert_eq!(heard.iter().filter(stopped).count(), 2, "one by each worker: {heard:?}");
    });
}

#[test]
fn workers_that_are_cut_off_for_two_nights_are_an_alarm() {
    let _ = with_site(28, async |site: ClusterFixture| {
        for node in ["worker-1", "worker-2"] {
            let (node, for_ms) = (node.to_owned(), Some(48 * 3_600_000));
            arm_at(&site, 10.0, Action::Isolate(Isolate { node, for_ms }));
        }
        site.traffic(10).await;
        site.world.sleep(48 * HOUR).await;
        assert!(has_struck(&site));
        let heard = site.alarms.lock().unwrap();
        for job in [NightlyJob::Compaction, NightlyJob::AntiEntropy] {
            let stopped = |alarm: &&Alarm| matches!(alarm, Alarm::JobOverdue { job: of, .. } if *of == job);
            assert_eq!(heard.iter().filter(stopped).count(), 1, "{job:?}: {heard:?}");
        }
    });
}

#[test]
fn a_job_that_fails_six_times_is_an_alarm() {
    let _ = with_site(29, async |site: ClusterFixture| {
        site.traffic(23).await;
        site.world.kill(site.node("disk-3"));
        site.traffic(3).await;
        let heard = site.alarms.lock().unwrap();
        let failed =
            |alarm: &&Alarm| matches!(alarm, Alarm::CompactionFailed { project: PROJECT, disk: 3, .. });
        assert!(heard.iter().filter(failed).count() >= 1, "{heard:?}");
    });
}

#[test]
fn a_quiet_week_has_no_alarm() {
    let (_, marks) = with_site(30, async |site: ClusterFixture| {
        for _ in 0..7 {
            site.traffic(1).await;
            site.world.sleep(23 * HOUR).await;
        }
        assert_eq!(*site.alarms.lock().unwrap(), []);
    });
    assert!(marks["audit.complete"] >= 7 && marks["repair.complete"] >= 7, "{marks:?}");
    assert!(marks["compaction.job-complete"] >= 7, "{marks:?}");
}
