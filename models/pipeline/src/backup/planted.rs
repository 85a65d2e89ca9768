//! Planted bugs of backups that need more than a few lines.

use super::catalog::{Catalog, CatalogDay, FORMAT};
use super::data_center::DataCenter;
use super::error::BackupError;
use super::missing_keys::missing_keys;
use super::restore::BackupReader;
use super::shrink_guard::{ChangedDay, MissingKeys, ProductionDays};
use super::take::BackupAttempt;
use crate::release::Bug;
use bytes::Bytes;
use latent_ports::{Clock, Env};

impl<E: Env> BackupAttempt<'_, E> {
    /// `position-before-data`: writes a catalog with the new position and the contents of the last one.
    pub(super) async fn write_position(
        &self,
        position_ms: i64,
        data_centers: &[DataCenter<E>],
    ) -> Result<(), BackupError> {
        let baseline = &self.state.baseline;
        let plan = baseline.plan(position_ms, &ProductionDays::new(), &MissingKeys::new(), |_| true);
        let taken_ms = self.env.clock().wall().0;
        let catalog = Catalog { format: FORMAT, position_ms, taken_ms, behind: Vec::new(), days: plan.days };
        let (key, text) = catalog.to_object().map_err(|e| BackupError::Text(e.to_string()))?;
        for data_center in data_centers {
            // A data center that does not accept it gets no catalog with the data either.
            if data_center.store.put_verified(&key, Bytes::from(text.clone())).await.is_ok() {
                self.boot.release.reached(self.env, Bug::PositionBeforeData);
            }
        }
        Ok(())
    }

    /// `cursor-on-event-time`: returns the days of a project that begin with the newest one in the last backup as found,
    /// and the days before as they were backed up.
    pub(super) async fn since_last_event(&self, project: u32, found: Vec<CatalogDay>) -> Vec<CatalogDay> {
        let mut days = self.state.baseline.days_of(project);
        let Some(cursor) = days.pop().map(|newest| newest.day) else { return found };
        let backups = BackupReader::new(self.env, &self.config.data_centers);
        for day in found {
            if day.day >= cursor {
                days.push(day);
                continue;
            }
            let held = days.iter().find(|held| held.day == day.day).cloned();
            let held = held.unwrap_or_else(|| CatalogDay::empty((project, day.day)));
            let changed = ChangedDay { before: day, now: held };
            if missing_keys(&backups, &changed).await.is_ok_and(|keys| keys > 0) {
                self.boot.release.reached(self.env, Bug::CursorOnEventTime);
            }
        }
        days
    }
}
