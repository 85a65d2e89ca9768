//! Days that do not verify are set aside as a whole, and begin again: `<day>.corrupt-<n>` keeps what there was until the
//! day was filled from other copies and found equal to them.
//!
//! `<n>` is also the memory of the ids that the day has used: none above it was. It outlives the files in the directory,
//! stands for a directory that is gone (then it is an empty one), and is forgotten only when the manifest of the new day
//! has an edit, which says which ids are used.

use super::api::ArbFailure;
use super::manifest::Edit;
use super::store::{MANIFEST_HEADER, Store, create_dir, day_dir, lock, segment_id};
use crate::zone::Day;
use latent_edge::frame::{self, End};
use latent_ports::{DirEntry, Disk, DiskErrorKind, Env, File, Mark, OpenMode, read_full};

/// More ids than one incarnation of a day ever uses.
const IDS_PASSED_OVER: u64 = 1 << 32;

impl<E: Env> Store<E> {
    /// Finds the directories that were set aside, among the names of a project's directory.
    pub(super) fn note_asides(&self, project: u32, names: &[DirEntry]) {
        let days = names.iter().filter_map(|name| Some((project, day_set_aside(&name.name)?)));
        lock(&self.aside).extend(days);
    }

    /// The first id of a day that begins again: above those of the directories in which it was set aside.
    pub(super) async fn first_id_after_set_aside(&self, project: u32, day: Day) -> Result<u64, ArbFailure> {
        let names = self.env.disk().list(&format!("arb/{project}")).await?;
        Ok(greatest_aside(&names, day).map_or(1, |greatest| greatest + 1))
    }

    /// The greatest id that a day may have used, given what is known of it in memory, or else what its directory holds.
    /// `seen` is the greatest that any name shows.
    async fn greatest_id(&self, dir: &str, seen: u64, known: Option<u64>) -> u64 {
        let next_id = match known {
            Some(next_id) => Ok(next_id),
            None => self.ids_in_manifest(dir).await,
        };
        match next_id {
            Ok(next_id) => seen.max(next_id.saturating_sub(1)),
            // What cannot be read may name ids of files that are gone: they are passed over.
            Err(_) => (seen / IDS_PASSED_OVER + 1) * IDS_PASSED_OVER,
        }
    }

    /// The next free id that a manifest gives, if all of it can be read.
    async fn ids_in_manifest(&self, dir: &str) -> Result<u64, ArbFailure> {
        let path = format!("{dir}/manifest");
        let file = self.env.disk().open(&path, OpenMode::Read).await?;
        let size = file.size_bytes().await?;
        let bytes = read_full(&file, 0, size).await?;
        let unread = || ArbFailure::Corrupt(path.clone());
        if !bytes.starts_with(MANIFEST_HEADER) {
            return Err(unread());
        }
        let scan = frame::scan(&bytes, MANIFEST_HEADER.len());
        if scan.end != End::Clean {
            return Err(unread());
        }
        let next_ids =
            scan.payloads.iter().map(|edit| serde_json::from_slice::<Edit>(edit).map(|e| e.next_id));
        next_ids
            .collect::<Result<Vec<_>, _>>()
            .map(|ids| ids.into_iter().max().unwrap_or(1))
            .map_err(|_| unread())
    }

    /// Reads a day that is not known to be corrupt. If the device cannot, it is refused from now on, as if it were.
    async fn must_be_unreadable(&self, project: u32, day: Day) -> Result<(), ArbFailure> {
        let sound = || ArbFailure::Refused(format!("{} is not corrupt", day_dir(project, day)));
        let found = self.days().get(&(project, day)).cloned().ok_or_else(sound)?;
        let read = self.verify_day(&*found.lock().await).await;
        match read {
            Ok(()) => Err(sound()),
            Err(ArbFailure::Disk(what)) => {
                self.note_corrupt(project, day, what);
                Ok(())
            }
            Err(other) => self.noting(project, day, Err(other)),
        }
    }

    /// Moves a corrupt day's directory out of the way, to `<day>.corrupt-<n>`, where `n` is the greatest id that the day
    /// may have used: ids only rise, so no two are called the same, not even when the first is gone. What is written
    /// next begins the day again. Refused when the day is not corrupt, and can be read now: a device that fails for a
    /// while has lost nothing.
    pub async fn set_aside(&self, project: u32, day: Day) -> Result<(), ArbFailure> {
        let _one_at_a_time = self.creating.lock().await;
        if !lock(&self.corrupt).contains_key(&(project, day)) {
            self.must_be_unreadable(project, day).await?;
        }
        // Writes and runs that began before hold the day until they are through; later ones find it gone.
        let old = self.days().get(&(project, day)).cloned();
        let still = match &old {
            Some(old) => Some(old.lock().await),
            None => None,
        };
        let disk = self.env.disk();
        let (dir, project_dir) = (day_dir(project, day), format!("arb/{project}"));
        let files = match disk.list(&dir).await {
            // An earlier try got as far as the rename.
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let known = still.as_ref().map(|day| day.next_id);
        let earlier = greatest_aside(&self.names_of(project).await?, day);
        let of_files = files.iter().filter_map(|file| segment_id(&file.name)).max();
        let greatest = self.greatest_id(&dir, of_files.max(earlier).unwrap_or(0), known).await;
        let mut aside =
            format!("{dir}.corrupt-{}", earlier.map_or(greatest, |taken| greatest.max(taken + 1)));
        match disk.rename(&dir, &aside).await {
            // An earlier try got as far as this, or the directory was removed from under this process: an empty one
            // keeps its number.
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                aside = format!("{dir}.corrupt-{greatest}");
                create_dir(disk, &aside).await?;
            }
            renamed => renamed?,
        }
        disk.sync_dir(&project_dir).await?;
        self.forget_retired(project, day);
        self.days().remove(&(project, day));
        lock(&self.corrupt).remove(&(project, day));
        lock(&self.aside).insert((project, day));
        self.env.mark(Mark { name: "arb.set-aside", subject: &aside });
        Ok(())
    }

    /// Days of a project of which directories that were set aside are still there.
    pub(super) fn days_with_aside(&self, project: u32) -> Vec<Day> {
        lock(&self.aside).iter().filter(|(p, _)| *p == project).map(|(_, day)| *day).collect()
    }

    /// The directories of a day that were set aside.
    pub(super) async fn asides(&self, project: u32, day: Day) -> Result<Vec<String>, ArbFailure> {
        let names = self.env.disk().list(&format!("arb/{project}")).await?;
        let of_day = names.into_iter().filter(|name| day_set_aside(&name.name) == Some(day));
        Ok(of_day.map(|name| format!("arb/{project}/{}", name.name)).collect())
    }

    /// The last directory of a day that was set aside is gone.
    pub(super) fn forget_aside(&self, project: u32, day: Day) {
        lock(&self.aside).remove(&(project, day));
    }
}

/// The greatest number of the directories in which a day was set aside, among the names of its project's directory.
fn greatest_aside(names: &[DirEntry], day: Day) -> Option<u64> {
    let of_day = names.iter().filter(|name| day_set_aside(&name.name) == Some(day));
    of_day.filter_map(|name| name.name.rsplit('-').next()?.parse::<u64>().ok()).max()
}

/// The day in the name of a directory that was set aside.
pub(super) fn day_set_aside(name: &str) -> Option<Day> {
    Day::parse(name.split_once(".corrupt-")?.0)
}
