//! Recovery of a disk at boot, after a crash or not.
//!
//! Segments that an earlier process left open are not written again: their torn tail is truncated, and they are only
//! read. Orphans are scheduled for removal. A day that fails verification is refused until it is repaired.

use super::api::ArbFailure;
use super::day_store::{DayStore, FailedEdits, MANIFEST_HEADER, day_dir};
use super::gc_queue::GcQueue;
use super::lease::{self, Leases};
use super::log::{DurableLog, UntrustedLogs};
use super::manifest::{Manifest, ManifestEdit};
use super::segment::{SEGMENT_HEADER_BYTES, segment_id};
use super::store::{ArbStore, lock};
use crate::config::BootConfig;
use crate::record::scan_blocks;
use crate::release::Bug;
use crate::zone::Day;
use latent_ports::{Clock, DirEntry, Disk, DiskErrorKind, Env, File, FileType, OpenMode, read_full};
use latent_storekit::frame::ScanEnd;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::time::Duration;
use tokio::sync::Mutex;

impl<E: Env> ArbStore<E> {
    /// Opens the disk, truncates torn tails, and schedules orphans for removal. Unless `retry_device` is set, a day
    /// that the device cannot read is refused until the device returns it, or it is filled from other copies, and the
    /// other days are served.
    pub async fn recover(
        env: E,
        boot: BootConfig,
        retry_device: bool,
        untrusted: &UntrustedLogs,
    ) -> Result<Arc<Self>, ArbFailure> {
        let store = ArbStore {
            env,
            boot,
            leases: Leases::new(untrusted),
            gc_queue: GcQueue::default(),
            days: StdMutex::default(),
            dirty: StdMutex::default(),
            corrupt: StdMutex::default(),
            unreadable: StdMutex::default(),
            quarantined: StdMutex::default(),
            newest_event_ms: StdMutex::default(),
            creating: Mutex::new(()),
            untrusted: untrusted.clone(),
        };
        let disk = store.env.disk();
        match disk.create_dir("arb").await {
            Ok(()) => {}
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {
                store.recover_projects(retry_device).await?
            }
            Err(error) => return Err(error.into()),
        }
        disk.sync_dir("").await?;
        Ok(Arc::new(store))
    }

    async fn recover_projects(&self, retry_device: bool) -> Result<(), ArbFailure> {
        let disk = self.env.disk();
        // Names that an earlier process created and never synced are visible and may still be lost.
        disk.sync_dir("arb").await?;
        for entry in disk.list("arb").await? {
            let Ok(project) = entry.name.parse::<u32>() else { continue };
            disk.sync_dir(&format!("arb/{project}")).await?;
            let mut names = disk.list(&format!("arb/{project}")).await?;
            if self.boot.release.has(Bug::UnknownFormatIsGarbage) {
                self.remove_unknown(project, &mut names).await;
            }
            let aside = lease::files_before(&names);
            if aside > 0 || names.iter().any(|name| name.name == "lease") {
                self.leases.recover(&self.env, project, aside, retry_device).await?;
            }
            remove_unfinished_lease(disk, project, &names).await?;
            self.note_quarantined(project, &names);
            for name in names.iter().filter(|name| name.kind == FileType::Directory) {
                let Some(day) = Day::parse(&name.name) else { continue };
                match self.recover_day(project, day).await {
                    Ok(store) => {
                        self.leases.raise_floor(project, store.manifest.token).await;
                        self.days().insert((project, day), Arc::new(Mutex::new(store)));
                    }
                    Err(ArbFailure::Corrupt(what)) => {
                        self.note_corrupt(project, day, what);
                    }
                    Err(ArbFailure::Disk(what)) if !retry_device => {
                        self.note_unreadable(project, day, what);
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }

    pub(super) async fn recover_day(&self, project: u32, day: Day) -> Result<DayStore<E>, ArbFailure> {
        let disk = self.env.disk();
        let dir = day_dir(project, day);
        let path = format!("{dir}/manifest");
        let (log, edits) = DurableLog::open_named(disk, &path, MANIFEST_HEADER, &self.untrusted).await?;
        let mut manifest = Manifest::default();
        for edit in edits {
            let edit: ManifestEdit = serde_json::from_slice(&edit)
                .map_err(|e| ArbFailure::Corrupt(format!("edit in {dir}/manifest: {e}")))?;
            manifest.apply(&edit)?;
        }
        let mut next_id = manifest.next_id;
        // After its first edit the manifest itself records the used ids.
        if manifest.version == 0 {
            next_id = next_id.max(self.first_id_after_quarantine(project, day).await?);
        }
        for entry in disk.list(&dir).await? {
            if entry.name == "manifest.tmp" {
                self.schedule_removal(project, day, vec![format!("{dir}/manifest.tmp")]);
            }
            let Some(id) = segment_id(&entry.name) else { continue };
            next_id = next_id.max(id + 1);
            if !manifest.live.contains_key(&id) || entry.name.ends_with(".tmp") {
                self.schedule_removal(project, day, vec![format!("{dir}/{}", entry.name)]);
            }
        }
        if self.boot.release.has(Bug::IdReuseAfterStep) {
            // Planted bug: time only goes forward, so seconds are unique above all ids of earlier boots.
            let seconds = self.env.clock().wall().0.max(0) as u64 / 1_000;
            if seconds < next_id {
                self.boot.release.reached(&self.env, Bug::IdReuseAfterStep);
            }
            next_id = seconds;
        }
        let mut recovered_bytes = BTreeMap::new();
        for entry in manifest.live.values().filter(|entry| !entry.sealed) {
            let path = format!("{dir}/{}.seg", entry.id);
            recovered_bytes.insert(entry.id, truncate_torn_tail(disk, (project, day), &path).await?);
        }
        disk.sync_dir(&dir).await?;
        if manifest.is_dirty() {
            lock(&self.dirty).insert((project, day));
        }
        let (open, failed_appends) = (BTreeMap::new(), BTreeMap::new());
        Ok(DayStore {
            env: self.env.clone(),
            release: self.boot.release.clone(),
            project,
            day,
            manifest,
            log,
            open,
            failed_appends,
            recovered_bytes,
            unnamed: FailedEdits::default(),
            next_id,
            digest: None,
            content_digest: None,
            verified: Some(Duration::ZERO),
        })
    }
}

/// Removes an unfinished lease file. `lease.tmp` may already be gone: it received its name, or the next file was
/// created.
async fn remove_unfinished_lease<D: Disk>(
    disk: &D,
    project: u32,
    names: &[DirEntry],
) -> Result<(), ArbFailure> {
    if !names.iter().any(|name| name.name == "lease.tmp") {
        return Ok(());
    }
    match disk.remove(&format!("arb/{project}/lease.tmp")).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(disk.sync_dir(&format!("arb/{project}")).await?)
}

/// Truncates what a crash left after the last whole frame of an open segment. Returns the durable length.
async fn truncate_torn_tail<D: Disk>(
    disk: &D,
    (project, day): (u32, Day),
    path: &str,
) -> Result<u64, ArbFailure> {
    let file = disk.open(path, OpenMode::ReadWrite).await.map_err(|error| match error.kind {
        DiskErrorKind::NotFound => ArbFailure::Corrupt(format!("{path} is live and missing")),
        _ => ArbFailure::from(error),
    })?;
    let size = file.size_bytes().await?;
    let bytes = read_full(&file, 0, size).await?;
    let scan = scan_blocks(&bytes, SEGMENT_HEADER_BYTES.min(bytes.len()), project, day);
    match scan.end {
        // Data that an earlier process wrote and never synced is readable and may still be lost.
        ScanEnd::Clean => file.sync().await?,
        ScanEnd::CorruptMiddle { .. } => {
            return Err(ArbFailure::Corrupt(format!("{path} at byte {}", scan.valid_bytes)));
        }
        ScanEnd::TornTail { .. } => {
            file.truncate(scan.valid_bytes as u64).await?;
            file.sync().await?;
        }
    }
    Ok(scan.valid_bytes as u64)
}
