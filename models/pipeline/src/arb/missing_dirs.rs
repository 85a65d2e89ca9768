//! Detects directories that were removed under a running process.
//!
//! Open files outlive their names, so nothing fails: writes are durable in files that no boot will find, and cached
//! digests describe days that are gone. So every comparison first checks which directories exist. A day without its
//! directory counts as corrupt: it is refused, quarantined (with nothing to move), and filled from the other copies.
//! Single missing files are found when they are next read, at the latest by the scrub.

use super::api::ArbFailure;
use super::day_store::day_dir;
use super::store::{ArbStore, create_dir};
use crate::zone::Day;
use latent_ports::{DirEntry, Disk, DiskErrorKind, Env};
use std::collections::BTreeSet;

impl<E: Env> ArbStore<E> {
    /// Marks the days of a project as corrupt whose directories are missing.
    ///
    /// # Errors
    /// The disk cannot list the directory.
    pub(super) async fn note_missing_dirs(&self, project: u32) -> Result<(), ArbFailure> {
        let known = self.intact_days(project);
        if known.is_empty() && self.corrupt_days(project).is_empty() {
            return Ok(());
        }
        let _creation_lock = self.creating.lock().await;
        let names = self.list_project_dir(project).await?;
        let there: BTreeSet<Day> = names.iter().filter_map(|name| Day::parse(&name.name)).collect();
        for day in known.into_iter().filter(|day| !there.contains(day)) {
            self.note_corrupt(project, day, format!("{} is gone", day_dir(project, day)));
        }
        if !names.iter().any(|name| name.name == "lease") {
            self.leases.handle_missing_file(&self.env, project).await?;
        }
        Ok(())
    }

    /// Lists a project's directory; creates it if it is missing.
    pub(super) async fn list_project_dir(&self, project: u32) -> Result<Vec<DirEntry>, ArbFailure> {
        let (disk, dir) = (self.env.disk(), format!("arb/{project}"));
        match disk.list(&dir).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {}
            listed => return Ok(listed?),
        }
        self.create_project_dir(project).await?;
        Ok(Vec::new())
    }

    /// Creates a project's directory durably, and its parent if that is missing.
    pub(super) async fn create_project_dir(&self, project: u32) -> Result<(), ArbFailure> {
        let (disk, dir) = (self.env.disk(), format!("arb/{project}"));
        match disk.create_dir(&dir).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                create_dir(disk, "arb").await?;
                disk.sync_dir("").await?;
                create_dir(disk, &dir).await?;
            }
            // Its name may not be durable yet.
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {}
            created_ids => created_ids?,
        }
        Ok(disk.sync_dir("arb").await?)
    }
}
