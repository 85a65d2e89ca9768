//! Directories that are gone from under a running process: somebody removed them.
//!
//! Files that are open outlive their names, so nothing fails: writes are durable in files that no boot will find, and
//! digests are remembered of days that are not there. So every comparison first looks which directories there are. A
//! day whose directory is gone counts as corrupt: it is refused from then on, set aside (there is nothing to be
//! moved), and filled from the other copies. Single files that are gone are found by whoever reads them next, at the
//! latest by the scrub.

use super::api::ArbFailure;
use super::store::{Store, create_dir, day_dir};
use crate::zone::Day;
use latent_ports::{DirEntry, Disk, DiskErrorKind, Env};
use std::collections::BTreeSet;

impl<E: Env> Store<E> {
    /// Refuses the days of a project whose directories are gone.
    ///
    /// # Errors
    /// When the disk cannot say which there are.
    pub(super) async fn note_vanished(&self, project: u32) -> Result<(), ArbFailure> {
        let known = self.sound_days(project);
        if known.is_empty() && self.corrupt_days(project).is_empty() {
            return Ok(());
        }
        let _nobody_makes_one = self.creating.lock().await;
        let names = self.names_of(project).await?;
        let there: BTreeSet<Day> = names.iter().filter_map(|name| Day::parse(&name.name)).collect();
        for day in known.into_iter().filter(|day| !there.contains(day)) {
            self.note_corrupt(project, day, format!("{} is gone", day_dir(project, day)));
        }
        if !names.iter().any(|name| name.name == "lease") {
            self.leases.file_is_gone(&self.env, project).await?;
        }
        Ok(())
    }

    /// What a project's directory holds; made again if it is gone.
    pub(super) async fn names_of(&self, project: u32) -> Result<Vec<DirEntry>, ArbFailure> {
        let (disk, dir) = (self.env.disk(), format!("arb/{project}"));
        match disk.list(&dir).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {}
            listed => return Ok(listed?),
        }
        self.make_project_dir(project).await?;
        Ok(Vec::new())
    }

    /// Makes a project's directory durably, and the one above it should that be gone.
    pub(super) async fn make_project_dir(&self, project: u32) -> Result<(), ArbFailure> {
        let (disk, dir) = (self.env.disk(), format!("arb/{project}"));
        match disk.create_dir(&dir).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                create_dir(disk, "arb").await?;
                disk.sync_dir("").await?;
                create_dir(disk, &dir).await?;
            }
            // Its name may not be durable yet.
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {}
            made => made?,
        }
        Ok(disk.sync_dir("arb").await?)
    }
}
