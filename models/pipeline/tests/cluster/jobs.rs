//! The jobs that run by the clock: nothing that they report, and no clock that is wrong, keeps them from working.

use crate::copies::all_is_well;
use crate::site::{FIRST_DAY, HOUR, PROJECT, Site, with_site};
use latent_pipeline::alarms::Alarm;
use latent_sim::DiskImage;

#[test]
fn copies_are_repaired_while_the_operator_is_away_and_reported_once_he_is_back() {
    let (_, marks) = with_site(21, async |site: Site| {
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

/// Takes the first day's files from every disk, as a bug that removes them would.
fn lose_the_first_day(site: &Site) {
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
    let (_, marks) = with_site(22, async |site: Site| {
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
