//! Production is lost, or a day of it is damaged: backup and tee restore everything, once.

use crate::fixture::{ClusterFixture, DiskImages, FIRST_DAY, HOUR, MINUTE, PROJECT, with_site};
use latent_pipeline::arb::api::{ArbRequest, ArbResponse, call};
use latent_pipeline::recovery::run::{RecoveryReport, RecoveryTargets};
use latent_pipeline::recovery::runbook::{RecoveryStep, is_complete_runbook};
use latent_sim::{Action, Anchor, DiskImage, Fault, ShortRead, World, WorldSpec, run_fork};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Copies of the disks that survive the loss of production.
fn survivors(world: &World) -> DiskImages {
    let names = ["dc-1", "dc-2", "tee-store", "edge-1", "edge-2"];
    names.map(|name| (name.to_owned(), world.disk_image(world.node_named(name).unwrap()))).into()
}

/// Returns every raw record on a disk: its insert id, as often as it occurs.
async fn stored(site: &ClusterFixture) -> Vec<String> {
    let disk = site.cluster.disks[4];
    site.run(move |env| async move {
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
        let site = ClusterFixture::build(world, &images, false).await;
        let mut reports = Vec::new();
        for _ in 0..2 {
            reports.push(site.recover(RecoveryTargets::Everything).await);
        }
        (reports, stored(&site).await)
    })
    .output
}

#[test]
fn recovery_into_an_empty_cluster_is_what_was_acknowledged_and_a_second_one_doubles_nothing() {
    // Before the first backup, just after it, and without the first data center.
    for (hours, without) in [(20, None), (27, None), (31, Some("dc-1"))] {
        with_site(10, async move |site: ClusterFixture| {
            site.traffic(hours).await;
            let mut images = survivors(&site.world);
            if let Some(name) = without {
                images.insert(name.to_owned(), DiskImage::new());
            }
            let (reports, found) = recover_elsewhere(images, site.world.now());
            for report in reports {
                assert!(report.is_complete() && !report.days.is_empty(), "{report:?}");
                assert_eq!(report.backups, u64::from(hours > 26), "{report:?}");
            }
            let distinct: BTreeSet<String> = found.iter().cloned().collect();
            assert_eq!(found.len(), distinct.len(), "an event is stored twice");
            assert_eq!(distinct, *site.acked.lock().unwrap());
        });
    }
}

#[test]
fn a_damaged_day_is_recovered_in_the_live_cluster_under_traffic() {
    with_site(11, async |site: ClusterFixture| {
        site.traffic(29).await;
        // Five of eight disks lose all data: more than the copies tolerate.
        for n in 1..=5 {
            let disk = site.node(&format!("disk-{n}"));
            site.world.kill(disk);
            site.world.replace_disk(disk, &DiskImage::new());
            site.world.restart(disk);
        }
        site.world.sleep(Duration::from_secs(5)).await;
        let days = BTreeSet::from([(PROJECT, FIRST_DAY)]);
        for _ in 0..2 {
            let report = site.recover(RecoveryTargets::Days(days.clone())).await;
            assert!(report.is_complete() && report.days.len() == 1, "{report:?}");
        }
        site.traffic(8).await;
        site.everything_acknowledged_is_exported().await;
        let found = stored(&site).await;
        assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "an event is stored twice");
    });
}

#[test]
fn when_every_read_of_every_node_comes_short_nothing_is_missed_copied_short_or_called_damaged() {
    with_site(13, async |site: ClusterFixture| {
        for node in site.world.nodes() {
            let node = site.world.node_name(node).to_string();
            let short = ShortRead { node, path_prefix: String::new(), times: u32::MAX };
            let anchor = Anchor::AtMs(site.world.now().0);
            site.world.arm(Fault { anchor, action: Action::ShortRead(short) });
        }
        site.traffic(29).await;
        let restarted = ["disk-1", "edge-1", "ingest-1", "dc-1"].map(|name| site.node(name));
        restarted.into_iter().for_each(|node| site.world.restart(node));
        site.world.sleep(MINUTE).await;
        let days = BTreeSet::from([(PROJECT, FIRST_DAY)]);
        let report = site.recover(RecoveryTargets::Days(days)).await;
        assert!(report.is_complete() && report.backups == 1, "{report:?}");
        site.everything_acknowledged_is_exported().await;
        let (reports, found) = recover_elsewhere(survivors(&site.world), site.world.now());
        assert!(reports.iter().all(RecoveryReport::is_complete), "{reports:?}");
        assert_eq!(BTreeSet::from_iter(found), *site.acked.lock().unwrap());
    });
}

#[test]
fn a_recovery_that_cannot_read_the_tee_does_not_call_itself_complete() {
    with_site(12, async |site: ClusterFixture| {
        site.traffic(2).await;
        let mut images = survivors(&site.world);
        // A tee object that cannot be decoded.
        let image = images["tee-store"].clone().with_file("objects/tee/404000-0-1.by-0.tee", "rotten".into());
        images.insert("tee-store".to_owned(), image);
        let (reports, found) = recover_elsewhere(images, site.world.now() + HOUR);
        assert!(reports.iter().all(|report| report.tee_error.is_some() && !report.is_complete()));
        assert_eq!(BTreeSet::from_iter(found), *site.acked.lock().unwrap(), "one file costs no other");
    });
}

/// Returns the bytes of the objects of each tee file with two or more objects, by path.
fn tee_siblings(image: &DiskImage) -> Vec<Vec<(String, Vec<u8>)>> {
    let mut files: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for (path, bytes) in image.files() {
        if let Some((file, _)) = path.strip_prefix("objects/tee/").and_then(|name| name.split_once(".by-")) {
            files.entry(file.to_owned()).or_default().push((path.to_owned(), bytes.bytes().to_vec()));
        }
    }
    files.into_values().filter(|objects| objects.len() > 1).collect()
}

#[test]
fn a_recovery_is_complete_when_the_damaged_objects_of_a_tee_file_hold_it_together() {
    with_site(12, async |site: ClusterFixture| {
        site.traffic(4).await;
        let images = survivors(&site.world);
        let siblings = tee_siblings(&images["tee-store"]);
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
            let (reports, found) = recover_elsewhere(images, site.world.now() + HOUR);
            assert!(reports.iter().all(|report| report.is_complete() == is_whole), "{reports:?}");
            assert_eq!(BTreeSet::from_iter(found) == *site.acked.lock().unwrap(), is_whole);
        }
    });
}

/// The runbook with one step left out, repeated, or swapped with the one before it.
fn runbooks_not_followed() -> Vec<Vec<RecoveryStep>> {
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
fn a_runbook_that_is_not_followed_loses_and_doubles_nothing_and_does_not_call_itself_complete() {
    for steps in runbooks_not_followed() {
        with_site(14, async move |site: ClusterFixture| {
            site.traffic(29).await;
            for n in 1..=5 {
                let disk = site.node(&format!("disk-{n}"));
                site.world.kill(disk);
                site.world.replace_disk(disk, &DiskImage::new());
                site.world.restart(disk);
            }
            site.world.sleep(Duration::from_secs(5)).await;
            let days = RecoveryTargets::Days(BTreeSet::from([(PROJECT, FIRST_DAY)]));
            let report = site.recover_with_steps(days.clone(), &steps).await;
            assert_eq!(report.is_complete(), is_complete_runbook(&steps), "{steps:?}: {report:?}");
            if !report.is_complete() {
                let again = site.recover(days).await;
                assert!(again.is_complete(), "{steps:?}: {again:?}");
            }
            site.everything_acknowledged_is_exported().await;
            let found = stored(&site).await;
            assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "{steps:?}: stored twice");
        });
    }
}
