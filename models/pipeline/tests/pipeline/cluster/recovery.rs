//! Production is lost, or a day of it is damaged: backup and tee restore everything, once.

use super::fixture::{ClusterFixture, DiskImages, FIRST_DAY, HOUR, MINUTE, PROJECT, with_fixture};
use latent_pipeline::arb::api::{ArbRequest, ArbResponse, call};
use latent_pipeline::recovery::run::{RecoveryReport, RecoveryTargets};
use latent_pipeline::recovery::runbook::{RecoveryStep, is_complete_runbook};
use latent_sim::{DiskImage, Fault, FaultAction, ShortRead, Trigger, World, WorldSpec, run_fork};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Copies of the disks that survive the loss of production.
fn survivors(world: &World) -> DiskImages {
    let names = ["dc-1", "dc-2", "tee-store", "edge-1", "edge-2"];
    names.map(|name| (name.to_owned(), world.disk_image(world.node_named(name).unwrap()))).into()
}

/// Returns every raw record on a disk: its insert id, as often as it occurs.
async fn stored(fixture: &ClusterFixture) -> Vec<String> {
    let disk = fixture.cluster.disks[4];
    fixture
        .run(move |env| async move {
            let mut ids = Vec::new();
            for day in (FIRST_DAY.0 - 1..FIRST_DAY.0 + 6).map(latent_pipeline::zone::Day) {
                let ask = ArbRequest::Read { project: PROJECT, day };
                let (answer, body) = call(&env, disk, &ask, Default::default(), MINUTE).await.unwrap();
                assert_eq!(answer, ArbResponse::Bytes);
                let mut records = Vec::new();
                for block in latent_pipeline::record::scan_blocks(&body, 0, PROJECT, day).payloads {
                    latent_pipeline::record::decode_block(&block, &mut records).unwrap();
                }
                ids.extend(records.iter().map(|record| {
                    let event: serde_json::Value = serde_json::from_slice(&record.json).unwrap();
                    event["properties"]["$insert_id"].as_str().unwrap().to_owned()
                }));
            }
            ids
        })
        .await
}

/// Recovers into an empty cluster from `images`, twice.
fn recover_elsewhere(images: DiskImages, start: latent_ports::UnixMs) -> (Vec<RecoveryReport>, Vec<String>) {
    let spec = WorldSpec { start, ..WorldSpec::seeded(77) };
    run_fork(spec, async move |world: World| {
        let fixture = ClusterFixture::build(world, &images, false).await;
        let mut reports = Vec::new();
        for _ in 0..2 {
            reports.push(fixture.recover(RecoveryTargets::Everything).await);
        }
        (reports, stored(&fixture).await)
    })
    .output
}

#[test]
fn recovery_into_an_empty_cluster_restores_acknowledged_events_and_is_idempotent() {
    // Before the first backup, just after it, and without the first data center.
    for (hours, without) in [(20, None), (27, None), (31, Some("dc-1"))] {
        with_fixture(10, async move |fixture: ClusterFixture| {
            fixture.traffic(hours).await;
            let mut images = survivors(&fixture.world);
            if let Some(name) = without {
                images.insert(name.to_owned(), DiskImage::new());
            }
            let (reports, found) = recover_elsewhere(images, fixture.world.now());
            for report in reports {
                assert!(report.is_complete() && !report.days.is_empty(), "{report:?}");
                assert_eq!(report.backups, u64::from(hours > 26), "{report:?}");
            }
            let distinct: BTreeSet<String> = found.iter().cloned().collect();
            assert_eq!(found.len(), distinct.len(), "an event is stored twice");
            assert_eq!(distinct, *fixture.acked.lock().unwrap());
        });
    }
}

#[test]
fn a_damaged_day_is_recovered_in_the_live_cluster_under_traffic() {
    with_fixture(11, async |fixture: ClusterFixture| {
        fixture.traffic(29).await;
        // Five of eight disks lose all data: more than the copies tolerate.
        for n in 1..=5 {
            let disk = fixture.node(&format!("disk-{n}"));
            fixture.world.kill(disk);
            fixture.world.replace_disk(disk, &DiskImage::new());
            fixture.world.restart(disk);
        }
        fixture.world.sleep(Duration::from_secs(5)).await;
        let days = BTreeSet::from([(PROJECT, FIRST_DAY)]);
        for _ in 0..2 {
            let report = fixture.recover(RecoveryTargets::Days(days.clone())).await;
            assert!(report.is_complete() && report.days.len() == 1, "{report:?}");
        }
        fixture.traffic(8).await;
        fixture.everything_acknowledged_is_exported().await;
        let found = stored(&fixture).await;
        assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "an event is stored twice");
    });
}

#[test]
fn short_reads_on_every_node_lose_truncate_and_misreport_nothing() {
    with_fixture(13, async |fixture: ClusterFixture| {
        for node in fixture.world.nodes() {
            let node = fixture.world.node_name(node).to_string();
            let short = ShortRead { node, path_prefix: String::new(), times: u32::MAX };
            let trigger = Trigger::AtMs(fixture.world.now().0);
            fixture.world.arm(Fault { trigger, action: FaultAction::ShortRead(short) });
        }
        fixture.traffic(29).await;
        let restarted = ["disk-1", "edge-1", "ingest-1", "dc-1"].map(|name| fixture.node(name));
        restarted.into_iter().for_each(|node| fixture.world.restart(node));
        fixture.world.sleep(MINUTE).await;
        let days = BTreeSet::from([(PROJECT, FIRST_DAY)]);
        let report = fixture.recover(RecoveryTargets::Days(days)).await;
        assert!(report.is_complete() && report.backups == 1, "{report:?}");
        fixture.everything_acknowledged_is_exported().await;
        let (reports, found) = recover_elsewhere(survivors(&fixture.world), fixture.world.now());
        assert!(reports.iter().all(RecoveryReport::is_complete), "{reports:?}");
        assert_eq!(BTreeSet::from_iter(found), *fixture.acked.lock().unwrap());
    });
}

#[test]
fn a_recovery_that_cannot_read_the_tee_is_not_complete() {
    with_fixture(12, async |fixture: ClusterFixture| {
        fixture.traffic(2).await;
        let mut images = survivors(&fixture.world);
        // A tee object that cannot be decoded.
        let image = images["tee-store"].clone().with_file("objects/tee/404000-0-1.by-0.tee", "rotten".into());
        images.insert("tee-store".to_owned(), image);
        let (reports, found) = recover_elsewhere(images, fixture.world.now() + HOUR);
        assert!(reports.iter().all(|report| report.tee_error.is_some() && !report.is_complete()));
        assert_eq!(BTreeSet::from_iter(found), *fixture.acked.lock().unwrap(), "one file costs no other");
    });
}

/// Returns the bytes of the objects of each tee file with two or more objects, by path.
fn tee_objects_by_file(image: &DiskImage) -> Vec<Vec<(String, Vec<u8>)>> {
    let mut files: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for (path, bytes) in image.files() {
        if let Some((file, _)) = path.strip_prefix("objects/tee/").and_then(|name| name.split_once(".by-")) {
            files.entry(file.to_owned()).or_default().push((path.to_owned(), bytes.bytes().to_vec()));
        }
    }
    files.into_values().filter(|objects| objects.len() > 1).collect()
}

#[test]
fn a_recovery_is_complete_when_damaged_objects_together_hold_a_tee_file() {
    with_fixture(12, async |fixture: ClusterFixture| {
        fixture.traffic(4).await;
        let images = survivors(&fixture.world);
        let siblings = tee_objects_by_file(&images["tee-store"]);
        let objects =
            siblings.iter().max_by_key(|objects| objects[0].1.len()).expect("each file is uploaded twice");
        // The first record of one object, the last of the others.
        let mut damaged = images["tee-store"].clone();
        for (n, (path, bytes)) in objects.iter().enumerate() {
            let at = if n == 0 { 40 } else { bytes.len() - 1 };
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            damaged = damaged.with_file(path, bytes.into());
        }
        let mut all = damaged.clone();
        for (path, bytes) in objects {
            let mut bytes = bytes.clone();
            bytes[40] ^= 1;
            all = all.with_file(path, bytes.into());
        }
        for (tee, is_whole) in [(damaged, true), (all, false)] {
            let mut images = images.clone();
            images.insert("tee-store".to_owned(), tee);
            let (reports, found) = recover_elsewhere(images, fixture.world.now() + HOUR);
            assert!(reports.iter().all(|report| report.is_complete() == is_whole), "{reports:?}");
            assert_eq!(BTreeSet::from_iter(found) == *fixture.acked.lock().unwrap(), is_whole);
        }
    });
}

/// The runbook with one step left out, repeated, or swapped with the one before it.
fn deviating_runbooks() -> Vec<Vec<RecoveryStep>> {
    let all = RecoveryStep::ALL;
    let left_out = all.iter().map(|step| all.iter().copied().filter(|other| other != step).collect());
    let twice = all.iter().map(|step| {
        all.iter().flat_map(|other| [*other; 2].into_iter().take(1 + usize::from(other == step))).collect()
    });
    let swapped = (1..all.len()).map(|at| {
        let mut steps = all.to_vec();
        steps.swap(at - 1, at);
        steps
    });
    left_out.chain(twice).chain(swapped).collect()
}

#[test]
fn a_deviation_from_the_runbook_loses_and_duplicates_nothing_and_is_not_complete() {
    for steps in deviating_runbooks() {
        with_fixture(14, async move |fixture: ClusterFixture| {
            fixture.traffic(29).await;
            for n in 1..=5 {
                let disk = fixture.node(&format!("disk-{n}"));
                fixture.world.kill(disk);
                fixture.world.replace_disk(disk, &DiskImage::new());
                fixture.world.restart(disk);
            }
            fixture.world.sleep(Duration::from_secs(5)).await;
            let days = RecoveryTargets::Days(BTreeSet::from([(PROJECT, FIRST_DAY)]));
            let report = fixture.recover_with_steps(days.clone(), &steps).await;
            assert_eq!(report.is_complete(), is_complete_runbook(&steps), "{steps:?}: {report:?}");
            if !report.is_complete() {
                let again = fixture.recover(days).await;
                assert!(again.is_complete(), "{steps:?}: {again:?}");
            }
            fixture.everything_acknowledged_is_exported().await;
            let found = stored(&fixture).await;
            assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "{steps:?}: stored twice");
        });
    }
}
