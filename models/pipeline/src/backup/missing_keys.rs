//! Keys of a day that one version of it has and another lacks, read from backups.

use super::catalog::{CatalogDay, CatalogSegment};
use super::restore::BackupReader;
use super::shrink_guard::ChangedDay;
use crate::record::Key;
use latent_ports::Env;
use std::collections::BTreeSet;

/// Returns the number of keys of a backup's day that were not found. Common segments are read last, and only if needed.
pub(super) async fn missing_keys<E: Env>(
    backups: &BackupReader<E>,
    changed: &ChangedDay,
) -> Result<u64, String> {
    let (before, now) = (&changed.before, &changed.now);
    let part = |of: &CatalogDay, is_wanted: &dyn Fn(&CatalogSegment) -> bool| CatalogDay {
        segments: of.segments.iter().filter(|segment| is_wanted(segment)).cloned().collect(),
        ..*of
    };
    let gone = part(before, &|segment| !now.segments.contains(segment));
    let came = part(now, &|segment| !before.segments.contains(segment));
    let stayed = part(now, &|segment| before.segments.contains(segment));
    let mut keys = keys_of(backups, &gone).await?;
    for part in [came, stayed] {
        if keys.is_empty() {
            break;
        }
        let held = keys_of(backups, &part).await?;
        keys.retain(|key| !held.contains(key));
    }
    Ok(keys.len() as u64)
}

async fn keys_of<E: Env>(backups: &BackupReader<E>, day: &CatalogDay) -> Result<BTreeSet<Key>, String> {
    Ok(backups.day(day).await?.iter().map(|record| record.key).collect())
}
