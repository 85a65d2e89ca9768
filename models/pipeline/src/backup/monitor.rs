//! Monitors from another node that backups are taken.
//!
//! A backup job that fails reports it; one that is disabled, writes elsewhere or never starts does not. So the audit's
//! node lists the catalogs of every data center and alerts the operator if the newest one is older than the interval
//! and some slack, or if the data center cannot be queried. Each alarm is raised once until the data center is healthy
//! again. Not checked here: the contents of a backup; read-back, audits and drills cover those.

use super::catalog::{CATALOGS, Catalog};
use super::take::POSITION_SLACK;
use crate::alarms::{Alarm, AlarmSender};
use crate::config::BootConfig;
use crate::marks;
use crate::release::Bug;
use crate::schedule::MedianClock;
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use latent_storekit::object_store::{ObjectStore, StoreRetryPolicy};
use std::collections::BTreeSet;
use std::time::Duration;

/// Interval between checks.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Allowed duration of a backup, including retries, beyond the interval.
const SLACK: Duration = Duration::from_secs(3 * 3600);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs beside the audit, on its node, until the node dies.
pub async fn run<E: Env>(env: E, boot: BootConfig, clock: MedianClock<E>, alarms: AlarmSender<E>) {
    let Some(backup) = &boot.cluster.backup else { return };
    let first = clock.now().await + backup.first_after;
    let mut reported: BTreeSet<usize> = BTreeSet::new();
    loop {
        env.clock().sleep(CHECK_INTERVAL).await;
        let now = clock.now().await;
        for (index, node) in backup.data_centers.iter().enumerate() {
            let data_center = index + 1;
            let newest = match newest_of(&env, *node).await {
                // Before the first backup, its due time is used, counted from this boot.
                Ok(newest) => newest.unwrap_or(first),
                Err(why) => {
                    env.mark(Mark { name: marks::BACKUP_MONITOR_FAILED, subject: &why });
                    UnixMs(i64::MIN)
                }
            };
            let overdue =
                newest.0.saturating_add((backup.interval + POSITION_SLACK + SLACK).as_millis() as i64)
                    < now.0;
            if !overdue {
                reported.remove(&data_center);
            } else if boot.release.has(Bug::BackupSilentlyDead) {
                if reported.insert(data_center) {
                    boot.release.reached(&env, Bug::BackupSilentlyDead);
                }
            } else if reported.insert(data_center) {
                env.mark(Mark { name: marks::BACKUP_OVERDUE, subject: "" });
                let newest_ms = (newest.0 != i64::MIN).then_some(newest.0);
                alarms.raise(Alarm::BackupOverdue { data_center, newest_ms });
            }
        }
    }
}

/// Returns the position of a data center's newest backup, if it has one.
async fn newest_of<E: Env>(env: &E, data_center: NodeId) -> Result<Option<UnixMs>, String> {
    let store = ObjectStore::new(env.clone(), data_center, CALL_TIMEOUT).with_retries(StoreRetryPolicy::LONG);
    let listed = store.list(CATALOGS).await.map_err(|error| error.to_string())?;
    Ok(listed.iter().filter_map(|info| Catalog::position_of_key(&info.key)).max().map(UnixMs))
}
