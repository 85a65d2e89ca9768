//! Days that do not verify are set aside as a whole, and begin anew: `<day>.corrupt-<n>` keeps what there was until the
//! day was filled from other copies and found equal to them.

use super::api::ArbFailure;
use super::store::{Store, day_dir, lock, segment_id};
use crate::zone::Day;
use latent_ports::{Disk, DiskErrorKind, Entry, Env, Mark};

impl<E: Env> Store<E> {
    /// Finds the directories that were set aside, among the names of a project's directory.
    pub(super) fn note_asides(&self, project: u32, names: &[Entry]) {
        let days = names.iter().filter_map(|name| Some((project, day_set_aside(&name.name)?)));
        lock(&self.aside).extend(days);
    }

    /// A day that begins anew uses no file name of the directories in which it was set aside.
    pub(super) async fn first_id_after_set_aside(&self, project: u32, day: Day) -> Result<u64, ArbFailure> {
        let disk = self.env.disk();
        let project_dir = format!("arb/{project}");
        let mut first = 1;
        for aside in disk.list(&project_dir).await? {
            if day_set_aside(&aside.name) == Some(day) {
                let files = disk.list(&format!("{project_dir}/{}", aside.name)).await?;
                first =
                    files.iter().filter_map(|file| segment_id(&file.name)).fold(first, |f, id| f.max(id + 1));
            }
        }
        Ok(first)
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

    /// Moves a corrupt day's directory out of the way, to `<day>.corrupt-<n>`, where `n` is the greatest id of a file
    /// in it: ids only rise, so no two are called the same, not even when the first is gone. What is written next
    /// begins the day anew. Refused when the day is not corrupt, and can be read now: a device that fails for a while
    /// has lost nothing.
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
        let mut number = files.iter().filter_map(|file| segment_id(&file.name)).max().unwrap_or(0);
        for earlier in self.names_of(project).await?.iter().filter(|e| day_set_aside(&e.name) == Some(day)) {
            let taken = earlier.name.rsplit('-').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            number = number.max(taken + 1);
        }
        let aside = format!("{dir}.corrupt-{number}");
        match disk.rename(&dir, &aside).await {
            // An earlier try got as far as this, or somebody removed it.
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                if let Some(vanished) = &still {
                    lock(&self.ids_of_vanished).insert((project, day), vanished.next_id);
                }
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

/// The day in the name of a directory that was set aside.
pub(super) fn day_set_aside(name: &str) -> Option<Day> {
    Day::parse(name.split_once(".corrupt-")?.0)
}
