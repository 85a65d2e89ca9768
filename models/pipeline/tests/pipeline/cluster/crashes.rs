//! A crash at operations spread over a night: the next attempt completes the interrupted work.

use super::fixture::{ClusterFixture, HOUR, PROJECT, with_fixture};
use latent_pipeline::backup::catalog::Catalog;
use latent_pipeline::record::scan_blocks;
use latent_sim::{DiskImage, Fault, FaultAction, Kill, OpKind, Trigger};
use latent_storekit::frame::ScanEnd;

/// Checks that every catalog verifies and all its segments are present and intact. Returns the number of catalogs.
fn check_catalogs(image: &DiskImage) -> usize {
    let catalogs: Vec<_> = image.list("objects/catalogs").collect();
    for (path, file) in &catalogs {
        let key = path.strip_prefix("objects/").unwrap();
        let catalog = Catalog::from_object(key, &file.bytes()).unwrap();
        let segments =
            catalog.days.iter().flat_map(|day| day.segments.iter().map(move |segment| (day, &segment.hash)));
        for (day, hash) in segments {
            let bytes =
                image.read(&format!("objects/segments/{hash}")).expect("a segment that a catalog names");
            assert_eq!(blake3::hash(&bytes).to_hex().as_str(), hash.as_str());
            assert_eq!(scan_blocks(&bytes, 32, day.project, day.day).end, ScanEnd::Clean);
        }
    }
    catalogs.len()
}

/// A day and a night with a crash of `node` at its `n`-th operation after the first 23 hours.
fn run_night_with_crash(node: &'static str, op: OpKind, n: u64) -> bool {
    let after_ms = 23 * 3_600_000;
    with_fixture(1_000 + n, async move |fixture: ClusterFixture| {
        let trigger = Trigger::NthOp { node: node.into(), op, path_prefix: String::new(), n, after_ms };
        let action = FaultAction::Kill(Kill {
            node: node.into(),
            restart_after_ms: Some(5_000),
            keeps: None,
            tear_bytes: None,
        });
        fixture.world.arm(Fault { trigger, action });
        fixture.traffic(24).await;
        fixture.world.sleep(6 * HOUR).await;
        fixture.everything_acknowledged_is_exported().await;
        for dc in ["dc-1", "dc-2"] {
            assert!(check_catalogs(&fixture.world.disk_image(fixture.node(dc))) >= 1, "{dc} has no backup");
        }
        for disk in &fixture.cluster.disks {
            let manifests = fixture.world.disk_image(*disk);
            let dir = format!("arb/{PROJECT}");
            let ended = manifests.list(&dir).filter(|(path, _)| path.ends_with("2016-02-20/manifest"));
            for (path, file) in ended {
                let text = String::from_utf8_lossy(&file.bytes()).into_owned();
                assert!(text.contains("\"compactions\":1"), "{path} of disk {} was not compacted", disk.0);
            }
        }
        fixture.world.fault_outcomes()[0].triggered_at.is_some()
    })
    .0
}

fn spread(node: &'static str, op: OpKind, places: &[u64]) {
    let triggered = places.iter().filter(|n| run_night_with_crash(node, op, **n)).count();
    assert!(triggered * 3 >= places.len() * 2, "{node}: only {triggered} of {} crashes struck", places.len());
}

#[test]
fn a_crash_of_a_worker_at_messages_of_the_nightly_job_is_recovered_from() {
    spread("worker-1", OpKind::Net, &[1, 3, 6, 9, 13, 17, 22, 27, 33, 40]);
}

#[test]
fn a_crash_of_the_backup_node_at_messages_of_a_backup_is_recovered_from() {
    spread("backup", OpKind::Net, &[1, 2, 5, 8, 11, 14, 17, 20, 24, 28]);
}

#[test]
fn a_crash_of_a_data_center_during_a_backup_is_recovered_from() {
    spread("dc-1", OpKind::Change, &[1, 2, 3, 4, 5, 6, 7, 8, 10, 12]);
}
