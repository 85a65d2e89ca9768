//! Regression tests, each named as a specification: failed syncs, segments opened during a merge, damaged files.

use super::fixture::{DAYS, DISK, HOUR, PROJECT, SECOND, lease, pin, with_disk};
use latent_pipeline::arb::api::{ArbError, ArbFailure, ArbRequest, ArbResponse};
use latent_pipeline::arb::manifest::Tier;
use latent_pipeline::marks;

use latent_pipeline::zone::Day;
use latent_ports::Env;
use latent_sim::{CrashPolicy, DiskError, DiskImage, Fault, FaultAction, OpKind, Pause, Trigger};
use std::time::Duration;

const DAY: Day = DAYS[0];

fn sync_fails_once() -> FaultAction {
    let (node, path_prefix) = ("disk".into(), format!("arb/{PROJECT}/{DAY}/1.seg"));
    FaultAction::DiskError(DiskError { node, op: OpKind::Sync, path_prefix, times: Some(1), for_ms: None })
}

#[test]
fn data_left_by_a_failed_sync_is_neither_returned_nor_sealed() {
    with_disk(1, None, async |arb| {
        arb.run("one", async |client| client.put(Tier::OnTime, 1..3).await.unwrap()).await;
        arb.world.arm(Fault { trigger: Trigger::AtMs(0), action: sync_fails_once() });
        arb.run("two", async |client| {
            assert!(client.put(Tier::OnTime, 3..4).await.is_err());
            assert_eq!(client.sequences().await, [1, 2], "the failed write is shown");
            client.call(pin()).await.unwrap();
        })
        .await;
        arb.world.kill_with_policy(DISK, CrashPolicy::Nothing);
        arb.check_manifests(&arb.world.disk_image(DISK));
        arb.world.restart(DISK);
        let left = arb.run("three", async |client| client.sequences().await).await;
        assert_eq!(left, [1, 2]);
    });
}

#[test]
fn a_run_that_lost_its_lease_during_the_merge_does_not_commit_and_leaves_no_file() {
    with_disk(7, None, async |arb| {
        let late = arb
            .run("one", async |client| {
                client.put(Tier::OnTime, 1..9).await.unwrap();
                let (run, other) = (client.plan_all().await, client.clone());
                client.env.spawn(async move {
                    // The run's request is in flight; its merge takes several syncs, a lease one.
                    other.sleep(Duration::from_millis(1)).await;
                    other.call(ArbRequest::Lease { project: PROJECT, for_ms: 1_000 }).await.unwrap();
                });
                let late = client.call(run).await;
                client.sleep(SECOND).await;
                assert_eq!(client.sequences().await, (1..9).collect::<Vec<_>>());
                late
            })
            .await;
        assert_eq!(
            arb.world.marks().get(marks::COMPACTION_MERGING.name()),
            Some(&1),
            "it was refused before it merged"
        );
        let stale = ArbFailure::StaleToken { given: 1, current: 2 };
        assert_eq!(late, Err(ArbError::Failed(stale)));
        assert!(!arb.check_manifests(&arb.world.disk_image(DISK)).is_empty(), "it made no file");
        arb.world.sleep(2 * HOUR).await;
        assert!(arb.check_manifests(&arb.world.disk_image(DISK)).is_empty());
    });
}

#[test]
fn a_file_is_removed_only_when_no_failed_edit_can_reappear_and_name_it() {
    with_disk(6, None, async |arb| {
        arb.run("one", async |client| client.put(Tier::OnTime, 1..3).await.unwrap()).await;
        let (node, path_prefix) = ("disk".into(), format!("arb/{PROJECT}/{DAY}/manifest"));
        let action = FaultAction::DiskError(DiskError {
            node,
            op: OpKind::Sync,
            path_prefix,
            times: Some(1),
            for_ms: None,
        });
        arb.world.arm(Fault { trigger: Trigger::AtMs(0), action });
        // The segment is durable, the edit that names it is only in the page cache, and nothing follows it.
        arb.run("two", async |client| assert!(client.put(Tier::Late, 3..5).await.is_err())).await;
        arb.world.sleep(2 * HOUR).await;
        arb.world.kill_with_policy(DISK, CrashPolicy::Everything);
        assert!(arb.check_manifests(&arb.world.disk_image(DISK)).is_empty());
        arb.world.restart(DISK);
        assert_eq!(arb.run("three", async |client| client.sequences().await).await, [1, 2]);
    });
}

#[test]
fn removals_with_a_failed_directory_sync_are_made_durable_later() {
    with_disk(21, None, async |arb| {
        let (node, path_prefix) = ("disk".into(), format!("arb/{PROJECT}/{DAY}"));
        let action = FaultAction::DiskError(DiskError {
            node,
            op: OpKind::SyncDir,
            path_prefix,
            times: Some(3),
            for_ms: None,
        });
        let trigger = Trigger::Mark { name: marks::ARB_FILE_REMOVED.into(), n: 1, node: None, after_ms: 0 };
        arb.world.arm(Fault { trigger, action });
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..9).await.unwrap();
            client.merge_all().await.unwrap();
        })
        .await;
        // Three collections fail, one succeeds.
        arb.world.sleep(2 * HOUR).await;
        assert_eq!(arb.world.marks()[marks::ARB_GC_SYNC_FAILED.name()], 3);
        let orphans = arb.check_manifests(&arb.world.durable_image(DISK));
        assert!(orphans.is_empty(), "a power cut would bring back {orphans:?}");
    });
}

#[test]
fn a_segment_opened_during_a_merge_does_not_fail_the_run() {
    with_disk(2, None, async |arb| {
        arb.run("one", async |client| client.put(Tier::OnTime, 1..9).await.unwrap()).await;
        // The run pauses as it starts its output, and lets a late event open a segment of its own.
        let trigger = Trigger::Mark { name: marks::COMPACTION_MERGING.into(), n: 1, node: None, after_ms: 0 };
        let action = FaultAction::Pause(Pause { node: "disk".into(), for_ms: 200 });
        arb.world.arm(Fault { trigger, action });
        let after = arb
            .run("two", async |client| {
                let writer = client.clone();
                client.env.spawn(async move {
                    for n in 20..60 {
                        writer
                            .put(if n % 2 == 0 { Tier::Late } else { Tier::OnTime }, n..n + 1)
                            .await
                            .unwrap();
                    }
                });
                let ran = client.merge_all().await;
                client.sleep(5 * SECOND).await;
                (ran, client.sequences().await)
            })
            .await;
        assert!(matches!(after.0, Ok(ArbResponse::RunCommitted { .. })), "{:?}", after.0);
        assert_eq!(after.1, (1..9).chain(20..60).collect::<Vec<_>>());
        arb.world.sleep(2 * HOUR).await;
        assert!(arb.check_manifests(&arb.world.disk_image(DISK)).is_empty());
    });
}

/// A disk with a compacted day and one later segment, with one byte flipped in its first live segment.
fn rotten_image() -> DiskImage {
    let image = with_disk(3, None, async |arb| {
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..9).await.unwrap();
            client.merge_all().await.unwrap();
            client.put(Tier::Late, 9..11).await.unwrap();
        })
        .await;
        arb.world.durable_image(DISK)
    });
    let path = format!("arb/{PROJECT}/{DAY}/2.seg");
    let mut bytes = image.read(&path).unwrap().to_vec();
    bytes[60] ^= 4;
    image.with_file(&path, bytes.into())
}

#[test]
fn a_corrupt_day_refuses_reads_writes_and_pins_until_it_is_quarantined_and_refilled() {
    with_disk(4, Some(rotten_image()), async |arb| {
        arb.run("one", async |client| {
            let quarantine = ArbRequest::Quarantine { project: PROJECT, day: DAY };
            let corrupt = |answer| matches!(answer, Err(ArbError::Failed(ArbFailure::Corrupt(_))));
            assert!(client.call(quarantine.clone()).await.is_err(), "it was not found corrupt yet");
            assert!(corrupt(client.call(pin()).await), "a backup would count on this disk");
            assert!(corrupt(client.call(pin()).await));
            assert!(client.put(Tier::Late, 30..31).await.is_err(), "this would be quarantined with the rest");
            let asked = client.call(ArbRequest::Days { project: PROJECT, dirty_only: true }).await;
            assert_eq!(asked, Ok(ArbResponse::Days(vec![])), "other days can be compacted meanwhile");
            client.call(quarantine).await.unwrap();
            client.put(Tier::Late, 1..12).await.unwrap();
            client.merge_all().await.unwrap();
            assert_eq!(client.sequences().await, (1..12).collect::<Vec<_>>());
        })
        .await;
        // Longer than the grace period: scheduled removals of the old directory must not affect the new one.
        arb.world.sleep(2 * HOUR).await;
        let image = arb.world.disk_image(DISK);
        assert!(arb.check_manifests(&image).is_empty());
        let names = |dir: String| -> Vec<String> {
            let below = image.files().filter(|(path, _)| path.starts_with(&dir) && path.ends_with(".seg"));
            below.map(|(path, _)| path.rsplit_once('/').unwrap().1.to_owned()).collect()
        };
        let (old, new) =
            (names(format!("arb/{PROJECT}/{DAY}.corrupt-")), names(format!("arb/{PROJECT}/{DAY}/")));
        assert!(!old.is_empty() && !new.is_empty());
        assert!(new.iter().all(|name| !old.contains(name)), "names are used again: {old:?}, {new:?}");
    });
}

/// A write of one day that the disk put behind the last frame of another day's segment, where it has the right length
/// and the right checksum of its bytes.
#[test]
fn a_misdirected_frame_of_another_day_is_not_read() {
    let image = with_disk(3, None, async |arb| {
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..4).await.unwrap();
            client.put_on(DAYS[1], Tier::OnTime, 4..6).await.unwrap();
        })
        .await;
        arb.world.durable_image(DISK)
    });
    let (own, other) = (format!("arb/{PROJECT}/{DAY}/1.seg"), format!("arb/{PROJECT}/{}/1.seg", DAYS[1]));
    let foreign = image.read(&other).unwrap().slice(32..);
    let bytes = [image.read(&own).unwrap(), foreign].concat();
    let stays = image.read(&own).unwrap().len();
    with_disk(4, Some(image.with_file(&own, bytes.into())), async move |arb| {
        let left = arb.run("one", async |client| client.sequences().await).await;
        assert_eq!(left, [1, 2, 3]);
        assert_eq!(arb.world.disk_image(DISK).read(&own).unwrap().len(), stays, "cut as a torn tail");
    });
}

const RELEASE: ArbRequest = ArbRequest::ReleaseQuarantine { project: PROJECT, day: DAY };

/// Directories and files of the project with this name prefix.
fn names_of(image: &DiskImage, prefix: &str) -> Vec<String> {
    let prefix = format!("arb/{PROJECT}/{prefix}");
    let files = image.files().map(|(path, _)| path.to_owned());
    let all = image.directories().map(str::to_owned).chain(files);
    all.filter(|path| path.starts_with(&prefix)).collect()
}

#[test]
fn a_quarantine_is_removed_after_the_grace_period_once_the_day_is_intact() {
    with_disk(8, Some(rotten_image()), async |arb| {
        let quarantined = format!("{DAY}.corrupt-");
        arb
            .run("one", async |client| {
                assert!(client.call(pin()).await.is_err(), "this finds the day corrupt");
                assert!(client.call(RELEASE).await.is_err(), "the day is corrupt");
                client.call(ArbRequest::Quarantine { project: PROJECT, day: DAY }).await.unwrap();
                assert!(client.call(RELEASE).await.is_err(), "the day was not refilled");
                client.put(Tier::Late, 1..12).await.unwrap();
                let digests = ArbRequest::Digests { project: PROJECT, arrived_before_ms: 100 };
                let response = client.call(digests).await.unwrap();
                assert!(matches!(response, ArbResponse::DaysAndQuarantined { quarantined, .. } if quarantined == [DAY]));
            })
            .await;
        arb.world.sleep(2 * HOUR).await;
        assert!(!names_of(&arb.world.disk_image(DISK), &quarantined).is_empty(), "it was not released");
        // A crash in between postpones it until the quarantine is released again.
        arb.run("two", async |client| client.call(RELEASE).await.unwrap()).await;
        arb.world.restart(DISK);
        arb.world.sleep(2 * HOUR).await;
        assert!(!names_of(&arb.world.disk_image(DISK), &quarantined).is_empty());
        arb.run("three", async |client| client.call(RELEASE).await.unwrap()).await;
        arb.world.sleep(2 * HOUR).await;
        assert_eq!(names_of(&arb.world.disk_image(DISK), &quarantined), [""; 0]);
        let left = arb
            .run("four", async |client| {
                let digests = ArbRequest::Digests { project: PROJECT, arrived_before_ms: 100 };
                let response = client.call(digests).await.unwrap();
                assert!(
                    matches!(response, ArbResponse::Days(_)),
                    "nothing is quarantined any more: {response:?}"
                );
                client.sequences().await
            })
            .await;
        assert_eq!(left, (1..12).collect::<Vec<_>>());
    });
}

#[test]
fn a_day_quarantined_twice_reuses_no_name() {
    let once = with_disk(9, Some(rotten_image()), async |arb| {
        arb.run("one", async |client| {
            assert!(client.call(pin()).await.is_err());
            client.call(ArbRequest::Quarantine { project: PROJECT, day: DAY }).await.unwrap();
            client.put(Tier::Late, 1..12).await.unwrap();
        })
        .await;
        arb.world.durable_image(DISK)
    });
    let live = names_of(&once, &format!("{DAY}/")).into_iter().find(|path| path.ends_with(".seg")).unwrap();
    let mut bytes = once.read(&live).unwrap().to_vec();
    bytes[10] ^= 4;
    with_disk(10, Some(once.with_file(&live, bytes.into())), async |arb| {
        arb.run("one", async |client| {
            assert!(client.call(pin()).await.is_err());
            client.call(ArbRequest::Quarantine { project: PROJECT, day: DAY }).await.unwrap();
            client.put(Tier::Late, 1..12).await.unwrap();
        })
        .await;
        let image = arb.world.durable_image(DISK);
        let quarantine_dirs: Vec<&str> =
            image.directories().filter(|path| path.contains(".corrupt-")).collect();
        assert_eq!(quarantine_dirs.len(), 2);
        let segments = names_of(&image, &DAY.to_string());
        let mut ids: Vec<&str> = segments
            .iter()
            .filter(|path| path.ends_with(".seg"))
            .map(|p| p.rsplit('/').next().unwrap())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "a file's name stands twice: {segments:?}");
    });
}

/// A disk that granted tokens 1 to 3, with its lease file altered.
fn image_with_lease(alter: impl Fn(&mut Vec<u8>)) -> DiskImage {
    let image = with_disk(11, None, async |arb| {
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..3).await.unwrap();
            for token in 1..4 {
                assert_eq!(lease(&client).await, token);
            }
        })
        .await;
        arb.world.durable_image(DISK)
    });
    let path = format!("arb/{PROJECT}/lease");
    let mut bytes = image.read(&path).unwrap().to_vec();
    alter(&mut bytes);
    image.with_file(&path, bytes.into())
}

/// Tokens that a disk of this image grants: two, with a boot in between.
fn tokens_of(image: DiskImage) -> [u64; 2] {
    with_disk(12, Some(image), async |arb| {
        let first = arb
            .run("one", async |client| {
                let token = lease(&client).await;
                let old =
                    ArbRequest::Run { project: PROJECT, day: DAY, token: 3, inputs: vec![1], keep: vec![] };
                let stale = client.call(old).await;
                assert!(matches!(stale, Err(ArbError::Failed(ArbFailure::StaleToken { .. }))), "{stale:?}");
                assert_eq!(client.sequences().await, [1, 2], "the rest of the disk serves as before");
                assert!(matches!(client.merge_all().await, Ok(ArbResponse::RunCommitted { .. })));
                token
            })
            .await;
        arb.world.restart(DISK);
        arb.world.sleep(SECOND).await;
        [first, arb.run("two", async |client| lease(&client).await).await]
    })
}

#[test]
fn a_disk_with_a_corrupt_lease_file_boots_and_reuses_no_token() {
    let (header, middle) =
        (image_with_lease(|bytes| bytes[3] ^= 1), image_with_lease(|bytes| bytes[20] ^= 1));
    for image in [header, middle] {
        let [first, second] = tokens_of(image);
        assert!(first > 1 << 40 && second > first, "{first}, {second}");
    }
}

#[test]
fn a_token_that_rotted_at_the_end_of_its_file_is_not_reused() {
    let rotten_image = image_with_lease(|bytes| *bytes.last_mut().unwrap() ^= 1);
    let torn = image_with_lease(|bytes| bytes.truncate(bytes.len() - 7));
    let zeros = image_with_lease(|bytes| bytes.fill(0));
    for image in [rotten_image, torn, zeros] {
        let [first, second] = tokens_of(image);
        assert!(first > 3 && second > first, "{first}, {second}");
    }
}

#[test]
fn after_loss_of_a_lease_file_tokens_are_above_those_in_manifests() {
    let image = with_disk(13, None, async |arb| {
        arb.run("one", async |client| {
            client.put(Tier::OnTime, 1..3).await.unwrap();
            for _ in 0..4 {
                lease(&client).await;
            }
            client.merge_all().await.unwrap();
        })
        .await;
        arb.world.durable_image(DISK)
    });
    let gone = image.files().filter(|(path, _)| !path.ends_with("/lease"));
    let gone = gone.fold(DiskImage::new(), |image, (path, file)| image.with_file(path, file.bytes()));
    let token =
        with_disk(14, Some(gone), async |arb| arb.run("one", async |client| lease(&client).await).await);
    assert_eq!(token, 6);
}
