//! Quarantine of days that fail verification: the day is moved as a whole to `<day>.corrupt-<n>` and started again. The
//! directory is kept until the day was filled from other copies and found equal to them.
//!
//! `<n>` also records the ids that the day has used: none is above it. It outlives the files in the directory, stands
//! for a directory that is missing (as an empty directory), and is removed only after the manifest of the new day has
//! an edit, which records the used ids.

use super::api::ArbFailure;
use super::day_store::{MANIFEST_HEADER, day_dir};
use super::manifest::ManifestEdit;
use super::segment::segment_id;
use super::store::{ArbStore, SharedDay, create_dir, lock};
use crate::marks;
use crate::release::Bug;
use crate::zone::Day;
use latent_ports::{Clock, DirEntry, Disk, DiskErrorKind, Env, File, Mark, OpenMode, read_full};
use latent_storekit::frame::{self, ScanEnd};

/// More ids than one incarnation of a day ever uses.
const SKIPPED_IDS: u64 = 1 << 32;

impl<E: Env> ArbStore<E> {
    /// Records the quarantine directories among the names of a project's directory.
    pub(super) fn note_quarantined(&self, project: u32, names: &[DirEntry]) {
        let days = names.iter().filter_map(|name| Some((project, quarantined_day(&name.name)?)));
        lock(&self.quarantined).extend(days);
    }

    /// Returns the first id of a restarted day, above those of its quarantine directories.
    pub(super) async fn first_id_after_quarantine(&self, project: u32, day: Day) -> Result<u64, ArbFailure> {
        let names = self.env.disk().list(&format!("arb/{project}")).await?;
        Ok(max_quarantine_id(&names, day).map_or(1, |max_id| max_id + 1))
    }

    /// Returns the greatest id that a day may have used, from memory (`known`) or else from its directory. `seen` is
    /// the greatest id in any file name.
    async fn max_used_id(&self, dir: &str, seen: u64, known: Option<u64>) -> u64 {
        let next_id = match known {
            Some(next_id) => Ok(next_id),
            None => self.next_id_in_manifest(dir).await,
        };
        match next_id {
            Ok(next_id) => seen.max(next_id.saturating_sub(1)),
            // An unreadable manifest may have named ids of files that are gone, so those are skipped.
            Err(_) => (seen / SKIPPED_IDS + 1) * SKIPPED_IDS,
        }
    }

    /// Returns the next free id of a manifest, if all of it is readable.
    async fn next_id_in_manifest(&self, dir: &str) -> Result<u64, ArbFailure> {
        let path = format!("{dir}/manifest");
        let file = self.env.disk().open(&path, OpenMode::Read).await?;
        let size = file.size_bytes().await?;
        let bytes = read_full(&file, 0, size).await?;
        let unread = || ArbFailure::Corrupt(path.clone());
        if !bytes.starts_with(MANIFEST_HEADER) {
            return Err(unread());
        }
        let scan = frame::scan(&bytes, MANIFEST_HEADER.len());
        if scan.end != ScanEnd::Clean {
            return Err(unread());
        }
        let next_ids =
            scan.payloads.iter().map(|edit| serde_json::from_slice::<ManifestEdit>(edit).map(|e| e.next_id));
        next_ids
            .collect::<Result<Vec<_>, _>>()
            .map(|ids| ids.into_iter().max().unwrap_or(1))
            .map_err(|_| unread())
    }

    /// Planted bug: fails while a day is corrupt, if others have ended and wait for their compaction.
    pub(super) async fn stop_at_a_corrupt_day(
        &self,
        project: u32,
        dirty: &[SharedDay<E>],
    ) -> Result<(), ArbFailure> {
        let now = self.env.clock().wall();
        let corrupt = self.corrupt_days(project).first().copied();
        let Some((corrupt, of)) = corrupt.zip(self.boot.cluster.projects.get(&project)) else {
            return Ok(());
        };
        for day in dirty {
            let day = day.lock().await;
            if day.is_dirty() && day.day < of.zones.day(now, now) {
                self.boot.release.reached(&self.env, Bug::PoisonSegmentStopsCompaction);
                return Err(ArbFailure::Corrupt(day_dir(project, corrupt)));
            }
        }
        Ok(())
    }

    /// Reads a day that is not known to be corrupt. If the device cannot read it, the day is treated as corrupt.
    async fn confirm_unreadable(&self, project: u32, day: Day) -> Result<(), ArbFailure> {
        let intact = || ArbFailure::Refused(format!("{} is not corrupt", day_dir(project, day)));
        let found = self.days().get(&(project, day)).cloned().ok_or_else(intact)?;
        let read = self.verify_day(&*found.lock().await).await;
        match read {
            Ok(()) => Err(intact()),
            Err(ArbFailure::Disk(what)) => {
                self.note_corrupt(project, day, what);
                Ok(())
            }
            Err(other) => self.note_if_corrupt(project, day, Err(other)),
        }
    }

    /// Moves a corrupt day's directory to `<day>.corrupt-<n>`, where `n` is the greatest id that the day may have used.
    /// Ids only increase, so no two directories share a name, even if the first is gone. The next write starts the day
    /// again. Refused when the day is not corrupt and is readable: a transient device failure has lost nothing.
    pub async fn quarantine(&self, project: u32, day: Day) -> Result<(), ArbFailure> {
        let _creation_lock = self.creating.lock().await;
        let was_corrupt = lock(&self.corrupt).contains_key(&(project, day));
        if !was_corrupt {
            let confirmed = self.confirm_unreadable(project, day).await;
            if matches!(confirmed, Err(ArbFailure::Refused(_))) && self.boot.release.has(Bug::WrongDirectory)
            {
                // Planted bug: the caller has looked.
                self.boot.release.reached(&self.env, Bug::WrongDirectory);
            } else {
                confirmed?;
            }
        }
        // Earlier writes and runs hold the day's lock until they finish; later ones do not find the day.
        let old = self.days().get(&(project, day)).cloned();
        let locked = match &old {
            Some(old) => Some(old.lock().await),
            None => None,
        };
        let known = locked.as_ref().map(|day| day.next_id);
        let target = match self.rename_aside(project, day, known).await {
            // The device may work again, and has lost nothing: the next comparison reads the day again.
            Err(error @ ArbFailure::Disk(_)) if !was_corrupt => {
                lock(&self.corrupt).remove(&(project, day));
                return Err(error);
            }
            renamed => renamed?,
        };
        self.env.disk().sync_dir(&format!("arb/{project}")).await?;
        self.cancel_removals(project, day);
        self.days().remove(&(project, day));
        lock(&self.corrupt).remove(&(project, day));
        lock(&self.unreadable).remove(&(project, day));
        lock(&self.quarantined).insert((project, day));
        self.env.mark(Mark { name: marks::ARB_DAY_QUARANTINED, subject: &target });
        Ok(())
    }

    /// Renames a day's directory and returns its new name. `known` is the next free id of the day, if it is in memory.
    async fn rename_aside(&self, project: u32, day: Day, known: Option<u64>) -> Result<String, ArbFailure> {
        let (disk, dir) = (self.env.disk(), day_dir(project, day));
        let files = match disk.list(&dir).await {
            // An earlier attempt got as far as the rename.
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let earlier = max_quarantine_id(&self.list_project_dir(project).await?, day);
        let of_files = files.iter().filter_map(|file| segment_id(&file.name)).max();
        let max_id = self.max_used_id(&dir, of_files.max(earlier).unwrap_or(0), known).await;
        let mut target = format!("{dir}.corrupt-{}", earlier.map_or(max_id, |taken| max_id.max(taken + 1)));
        match disk.rename(&dir, &target).await {
            // An earlier attempt got this far, or the directory was removed under this process: an empty directory
            // records the number.
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                target = format!("{dir}.corrupt-{max_id}");
                create_dir(disk, &target).await?;
            }
            renamed => renamed?,
        }
        Ok(target)
    }

    /// Returns the days of a project that have quarantine directories.
    pub(super) fn quarantined_days(&self, project: u32) -> Vec<Day> {
        lock(&self.quarantined).iter().filter(|(p, _)| *p == project).map(|(_, day)| *day).collect()
    }

    /// Returns the quarantine directories of a day.
    pub(super) async fn quarantine_dirs(&self, project: u32, day: Day) -> Result<Vec<String>, ArbFailure> {
        let names = self.env.disk().list(&format!("arb/{project}")).await?;
        let of_day = names.into_iter().filter(|name| quarantined_day(&name.name) == Some(day));
        Ok(of_day.map(|name| format!("arb/{project}/{}", name.name)).collect())
    }

    /// Records that the last quarantine directory of a day is gone.
    pub(super) fn forget_quarantine(&self, project: u32, day: Day) {
        lock(&self.quarantined).remove(&(project, day));
    }
}

/// Returns the greatest number of a day's quarantine directories, from the names in its project's directory.
fn max_quarantine_id(names: &[DirEntry], day: Day) -> Option<u64> {
    let of_day = names.iter().filter(|name| quarantined_day(&name.name) == Some(day));
    of_day.filter_map(|name| name.name.rsplit('-').next()?.parse::<u64>().ok()).max()
}

/// Returns the day of a quarantine directory's name.
pub(super) fn quarantined_day(name: &str) -> Option<Day> {
    Day::parse(name.split_once(".corrupt-")?.0)
}
