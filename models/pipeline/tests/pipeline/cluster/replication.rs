//! Copies that lack events, or are damaged, are reconciled; a worker that slept too long is refused.

use super::fixture::{ClusterFixture, FIRST_DAY, HOUR, MINUTE, PROJECT, with_fixture};
use latent_pipeline::alarms::Alarm;
use latent_pipeline::arb::api::call;
use latent_pipeline::arb::manifest::Tier;
use latent_pipeline::arb::write_call::encode_write;
use latent_pipeline::export::read_copy;
use latent_pipeline::marks;
use latent_pipeline::record::Record;
use latent_pipeline::zone::Day;
use latent_ports::NodeId;
use latent_sim::{CrashPolicy, DiskError, DiskImage, Fault, FaultAction, Kill, OpKind, Pause, Trigger};

/// All copies of all days agree, and no acknowledged event is missing.
pub async fn check_copies_agree(fixture: &ClusterFixture) {
    fixture.everything_acknowledged_is_exported().await;
    let digests = fixture.digests().await;
    for (at, disk) in digests.iter().enumerate() {
        assert_eq!(disk, &digests[0], "disk {} differs from disk 1", at + 1);
    }
}

#[test]
fn a_day_without_faults_is_compacted_backed_up_and_audited() {
    let (_, marks) = with_fixture(1, async |fixture: ClusterFixture| {
        fixture.traffic(30).await;
        fixture.world.sleep(3 * HOUR).await;
        check_copies_agree(&fixture).await;
        assert_eq!(fixture.acked.lock().unwrap().len(), 900);
        assert!(fixture.alarms.lock().unwrap().is_empty(), "{:?}", fixture.alarms);
    });
    for (mark, least) in [
        (marks::COMPACTION_COMMITTED, 8),
        (marks::COMPACTION_TWO_RUNS, 8),
        (marks::BACKUP_CATALOG_DURABLE, 2),
        (marks::AUDIT_RAN, 1),
        (marks::REPAIR_COMPARED, 1),
    ] {
        assert!(marks.get(mark.name()).is_some_and(|count| *count >= least), "{mark}: {marks:?}");
    }
    assert_eq!(marks.get(marks::COMPACTION_JOB_FAILED.name()), None, "{marks:?}");
}

#[test]
fn a_disk_down_for_four_hours_receives_its_hints() {
    let (_, marks) = with_fixture(2, async |fixture: ClusterFixture| {
        // After the morning's anti-entropy, and before the next one: only hints can repair.
        fixture.traffic(7).await;
        fixture.world.kill(fixture.node("disk-3"));
        fixture.traffic(4).await;
        fixture.world.restart(fixture.node("disk-3"));
        fixture.traffic(1).await;
        check_copies_agree(&fixture).await;
    });
    assert!(marks[marks::HINTS_HANDED_OFF.name()] >= 120, "{marks:?}");
    assert_eq!(marks[marks::REPAIR_COMPARED.name()], 2, "after the boot, and in the morning");
}

/// Found when removals were judged: one read error dropped a hint, and the disk waited for the next comparison.
#[test]
fn a_hint_that_was_not_readable_at_once_is_handed_off_later() {
    let (_, marks) = with_fixture(2, async |fixture: ClusterFixture| {
        fixture.traffic(7).await;
        fixture.world.kill(fixture.node("disk-3"));
        fixture.traffic(2).await;
        for node in ["ingest-1", "ingest-2"] {
            let (node, path_prefix) = (node.to_owned(), "hints".to_owned());
            let action = FaultAction::DiskError(DiskError {
                node,
                op: OpKind::Read,
                path_prefix,
                times: Some(5),
                for_ms: None,
            });
            fixture.world.arm(Fault { trigger: Trigger::AtMs(0), action });
        }
        fixture.world.restart(fixture.node("disk-3"));
        fixture.traffic(2).await;
        check_copies_agree(&fixture).await;
    });
    assert_eq!(marks.get(marks::REPAIR_COPIES_DIFFER.name()), None, "{marks:?}");
}

#[test]
fn hints_that_failed_to_be_written_or_removed_are_not_left_behind() {
    let (_, marks) = with_fixture(2, async |fixture: ClusterFixture| {
        fixture.traffic(7).await;
        fixture.world.kill(fixture.node("disk-3"));
        let fails = |op, times| {
            let action = |node: &str| {
                let (node, path_prefix) = (node.to_owned(), "hints".to_owned());
                FaultAction::DiskError(DiskError { node, op, path_prefix, times: Some(times), for_ms: None })
            };
            for node in ["ingest-1", "ingest-2"] {
                fixture.world.arm(Fault { trigger: Trigger::AtMs(0), action: action(node) });
            }
        };
        fails(OpKind::Sync, 3);
        fixture.traffic(1).await;
        fails(OpKind::Remove, 5);
        fixture.world.restart(fixture.node("disk-3"));
        fixture.traffic(1).await;
        fixture.world.sleep(3 * HOUR).await;
        for node in ["ingest-1", "ingest-2"] {
            let image = fixture.world.disk_image(fixture.node(node));
            let left: Vec<&str> =
                image.files().map(|(path, _)| path).filter(|p| p.starts_with("hints/")).collect();
            assert_eq!(left, [""; 0], "{node}");
        }
    });
    assert_eq!(marks[marks::HINTS_WRITE_FAILED.name()], 6, "{marks:?}");
}

#[test]
fn a_disk_that_returns_empty_is_filled_from_its_peers_the_next_morning() {
    let (_, marks) = with_fixture(3, async |fixture: ClusterFixture| {
        fixture.traffic(20).await;
        let disk = fixture.node("disk-6");
        fixture.world.kill(disk);
        fixture.world.replace_disk(disk, &DiskImage::new());
        fixture.world.restart(disk);
        fixture.world.sleep(11 * HOUR).await;
        check_copies_agree(&fixture).await;
        assert!(
            fixture
                .alarms
                .lock()
                .unwrap()
                .contains(&Alarm::CopiesDiffer { project: PROJECT, day: FIRST_DAY })
        );
    });
    assert!(marks[marks::REPAIR_CONVERGED.name()] >= 1, "{marks:?}");
}

#[test]
fn a_disk_that_missed_a_replacement_receives_it_the_next_morning() {
    let (_, marks) = with_fixture(6, async |fixture: ClusterFixture| {
        fixture.traffic(20).await;
        let away = fixture.node("disk-6");
        fixture.world.kill(away);
        let disks: Vec<_> = fixture.cluster.disks.iter().copied().filter(|disk| *disk != away).collect();
        let there = disks.clone();
        let right = fixture
            .run(move |env| {
                let disks = there.clone();
                async move {
                    let mut day = read_copy(&env, disks[0], PROJECT, FIRST_DAY).await.unwrap();
                    let right = Record { repair: 1, ..day.swap_remove(0) };
                    let parts = [(FIRST_DAY, Tier::Late, std::slice::from_ref(&right))];
                    let write = encode_write(PROJECT, parts.into_iter(), true).unwrap();
                    for disk in disks {
                        call(&env, disk, &write.call, write.body.clone(), MINUTE).await.unwrap();
                    }
                    right
                }
            })
            .await;
        fixture.world.restart(away);
        fixture.world.sleep(11 * HOUR).await;
        check_copies_agree(&fixture).await;
        let held =
            fixture.run(move |env| async move { read_copy(&env, away, PROJECT, FIRST_DAY).await.unwrap() });
        assert!(held.await.contains(&right));
    });
    assert!(marks[marks::ARB_EVENTS_REPLACED.name()] >= 8, "{marks:?}");
}

/// Flips a byte in the middle of the first segment of the first day.
fn corrupt_segment(image: &DiskImage) -> DiskImage {
    let dir = format!("arb/{PROJECT}/{FIRST_DAY}");
    let (path, file) = image.list(&dir).find(|(path, _)| path.ends_with(".seg")).unwrap();
    let mut bytes = file.bytes().to_vec();
    bytes[100] ^= 1;
    image.clone().with_file(path, bytes.into())
}

#[test]
fn a_corrupt_middle_is_quarantined_and_repaired_from_peers() {
    for hours in [20, 26] {
        // Before the first compaction: in an open segment; after it: in a sealed one.
        let (_, marks) = with_fixture(4, async move |fixture: ClusterFixture| {
            fixture.traffic(hours).await;
            let disk = fixture.node("disk-2");
            fixture.world.kill_with_policy(disk, CrashPolicy::Nothing);
            let image = corrupt_segment(&fixture.world.disk_image(disk));
            fixture.world.replace_disk(disk, &image);
            fixture.world.restart(disk);
            fixture.world.sleep(MINUTE).await;
            fixture.everything_acknowledged_is_exported().await;
            fixture.world.sleep(30 * HOUR).await;
            check_copies_agree(&fixture).await;
        });
        assert!(
            marks[marks::ARB_DAY_QUARANTINED.name()] >= 1 && marks[marks::REPAIR_CONVERGED.name()] >= 1,
            "{marks:?}"
        );
    }
}

#[test]
fn the_commit_of_a_worker_that_slept_past_its_lease_is_refused() {
    let (_, marks) = with_fixture(5, async |fixture: ClusterFixture| {
        // Its request is in flight and the disk is slow: the worker stops as the first merge begins.
        let pause = FaultAction::Pause(Pause { node: "disk-1".into(), for_ms: 1_000 });
        let mark = |n| Trigger::Mark {
            name: marks::COMPACTION_MERGING.into(),
            n,
            node: Some("disk-1".into()),
            // The job that worker-1 begins at the first midnight.
            after_ms: 23 * 3_600_000,
        };
        fixture.world.arm(Fault { trigger: mark(1), action: pause });
        let asleep = FaultAction::Pause(Pause { node: "worker-1".into(), for_ms: 45 * 60_000 });
        fixture.world.arm(Fault { trigger: mark(1), action: asleep });
        fixture.traffic(28).await;
        check_copies_agree(&fixture).await;
        // The second run's request came 45 minutes later, under the old token, long after the other worker had done the
        // job.
        let failures = fixture.failures.lock().unwrap();
        assert!(failures.iter().any(|failure| failure.contains("is stale")), "{failures:?}");
    });
    assert!(marks[marks::COMPACTION_SECOND_RUN.name()] >= 8, "{marks:?}");
}

#[test]
fn restarts_of_all_nodes_during_the_nightly_job_leave_nothing_undone() {
    let (_, marks) = with_fixture(6, async |fixture: ClusterFixture| {
        let names = ["disk-1", "disk-5", "worker-1", "worker-2", "ingest-1", "ingest-2", "backup"];
        for (n, name) in (1..).zip(names) {
            let trigger =
                Trigger::Mark { name: marks::COMPACTION_OUTPUT_DURABLE.into(), n, node: None, after_ms: 0 };
            let action = FaultAction::Kill(Kill {
                node: name.into(),
                restart_after_ms: Some(5_000),
                keeps: None,
                tear_bytes: None,
            });
            fixture.world.arm(Fault { trigger, action });
        }
        fixture.traffic(32).await;
        check_copies_agree(&fixture).await;
        let triggered =
            fixture.world.fault_outcomes().iter().filter(|outcome| outcome.triggered_at.is_some()).count();
        assert_eq!(triggered, 7);
        for disk in 1..=8 {
            let image = fixture.world.disk_image(NodeId(disk));
            let manifest = image.read(&format!("arb/{PROJECT}/{}/manifest", Day(FIRST_DAY.0))).unwrap();
            let text = String::from_utf8_lossy(&manifest);
            assert!(text.contains("compacted"), "disk {disk} was never compacted");
        }
    });
    assert!(marks[marks::COMPACTION_COMMITTED.name()] >= 8);
}
