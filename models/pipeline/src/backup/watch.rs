//! Whether backups still come: asked of the data centers by somebody who does not take them.
//!
//! A backup job that fails tells so, one that is switched off, writes elsewhere or never starts does not. So the audit's
//! node lists the catalogs of every data center, by the stores' own account, and tells the operator of one whose newest
//! is older than the interval and some slack, or that cannot be asked. Each once, until it is well again. Not checked
//! here: whether a backup holds what it should; that is for reading back, audits and drills.

use super::catalog::{CATALOGS, Catalog};
use super::take::POSITION_SLACK;
use crate::alarms::{Alarm, Alarms};
use crate::config::Boot;
use crate::schedule::MedianClock;
use latent_edge::object_api::{ObjectStore, Patience};
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use std::collections::BTreeSet;
use std::time::Duration;

/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// Taking a backup, and trying again, may last this long beyond the interval.
const SLACK: Duration = Duration::from_secs(3 * 3600);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs beside the audit, on its node, until that dies.
pub async fn run<E: Env>(env: E, boot: Boot, clock: MedianClock<E>, alarms: Alarms<E>) {
    let Some(backup) = &boot.cluster.backup else { return };
    let first = clock.now().await + backup.first_after;
    let mut told: BTreeSet<usize> = BTreeSet::new();
    loop {
        env.clock().sleep(LOOK_EVERY).await;
        let now = clock.now().await;
        for (index, node) in backup.data_centers.iter().enumerate() {
            let data_center = index + 1;
            let newest = match newest_of(&env, *node).await {
                // Before the first backup there is none to miss; counted from here, for nobody else knows.
                Ok(newest) => newest.unwrap_or(first),
                Err(why) => {
                    env.mark(Mark { name: "backup.unseen", subject: &why });
                    UnixMs(i64::MIN)
                }
            };
            let overdue =
                newest.0.saturating_add((backup.interval + POSITION_SLACK + SLACK).as_millis() as i64)
                    < now.0;
            if !overdue {
                told.remove(&data_center);
            } else if told.insert(data_center) {
                env.mark(Mark { name: "backup.overdue", subject: "" });
                let newest_ms = (newest.0 != i64::MIN).then_some(newest.0);
                alarms.raise(Alarm::BackupOverdue { data_center, newest_ms });
            }
        }
    }
}

/// The position of a data center's newest backup, if it has one.
async fn newest_of<E: Env>(env: &E, data_center: NodeId) -> Result<Option<UnixMs>, String> {
    let store = ObjectStore::new(env.clone(), data_center, CALL_TIMEOUT).patient(Patience::LONG);
    let listed = store.list(CATALOGS).await.map_err(|error| error.to_string())?;
    Ok(listed.iter().filter_map(|info| Catalog::position_of_key(&info.key)).max().map(UnixMs))
}
