//! The time of the backup node's first boot, from which the first backup is due.

use crate::arb::api::ArbFailure;
use crate::arb::log::{DurableLog, UntrustedLogs};
use crate::marks;
use latent_ports::{Disk, Env, Mark, UnixMs};

/// Returns the time of this node's first boot, from its disk, so that restarts do not postpone the first backup
/// repeatedly. A disk failure postpones it once.
pub(super) async fn first_boot<E: Env>(env: &E, now: UnixMs) -> UnixMs {
    match read_or_write_first_boot(env, now).await {
        Ok(first) => first,
        Err(error) => {
            env.mark(Mark { name: marks::BACKUP_FIRST_BOOT_UNKNOWN, subject: &error.to_string() });
            now
        }
    }
}

async fn read_or_write_first_boot<E: Env>(env: &E, now: UnixMs) -> Result<UnixMs, ArbFailure> {
    let (mut log, frames) =
        DurableLog::open(env.disk(), "first-boot", b"LBKPBOT1", &UntrustedLogs::default()).await?;
    let noted = frames.first().and_then(|frame| frame.first_chunk::<8>());
    if noted.is_none() {
        log.append(&now.0.to_le_bytes()).await?;
    }
    // Also if the record existed: an earlier boot may have failed at this step.
    env.disk().sync_dir("").await?;
    Ok(noted.map_or(now, |noted| UnixMs(i64::from_le_bytes(*noted))))
}
