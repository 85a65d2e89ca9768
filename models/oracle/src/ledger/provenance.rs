//! Provenance of a stored event: whether it was sent, for this project-day, and not refused.

use super::{EventIdentity, Ledger};
use crate::identity::{DedupKey, EventDigest, ProjectDay};

/// Provenance of an event stored on some project-day, by the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Sent for this day, and not refused.
    Valid,
    /// Sent for this day, and refused each time.
    Rejected,
    /// Sent for another day of the project.
    OtherDay(i32),
    /// Sent for another project.
    OtherProject(u32),
    /// Sent by no client.
    NeverSent,
}

impl Ledger {
    /// Returns the provenance of an event stored on `project_day`.
    #[must_use]
    pub fn provenance(
        &self,
        project_day: ProjectDay,
        key: DedupKey,
        content: EventDigest,
        anonymous: bool,
    ) -> Provenance {
        let identity = if anonymous { EventIdentity::Anonymous(content) } else { EventIdentity::Keyed(key) };
        if let Some(entry) = self.entry(project_day, identity).filter(|entry| !entry.is_rejected()) {
            debug_assert!(entry.sends > 0);
            return Provenance::Valid;
        }
        if self.floating_on(project_day, identity).next().is_some() {
            return Provenance::Valid;
        }
        if self.entry(project_day, identity).is_some() {
            return Provenance::Rejected;
        }
        self.provenance_elsewhere(project_day, identity)
    }

    fn provenance_elsewhere(&self, project_day: ProjectDay, identity: EventIdentity) -> Provenance {
        let project = project_day.project;
        let (first, last) = (ProjectDay { project, day: i32::MIN }, ProjectDay { project, day: i32::MAX });
        let is_there = |project_day: &ProjectDay| self.entry(*project_day, identity).is_some();
        if let Some((project_day, _)) =
            self.days.range(first..=last).find(|(project_day, _)| is_there(project_day))
        {
            return Provenance::OtherDay(project_day.day);
        }
        if let Some(sends) = self.floating.get(&(project, identity)) {
            return sends.first().map_or(Provenance::NeverSent, |send| {
                if send.rejected { Provenance::Rejected } else { Provenance::OtherDay(send.days.0) }
            });
        }
        match self.days.keys().find(|project_day| is_there(project_day)) {
            Some(project_day) => Provenance::OtherProject(project_day.project),
            None => Provenance::NeverSent,
        }
    }

    pub(crate) fn entry(
        &self,
        project_day: ProjectDay,
        identity: EventIdentity,
    ) -> Option<&super::LedgerEntry> {
        let day = self.days.get(&project_day)?;
        match identity {
            EventIdentity::Keyed(key) => day.keyed.get(&key.0),
            EventIdentity::Anonymous(content) => day.anonymous.get(&content.0),
        }
    }

    /// Whether any event was sent under this key for this day.
    pub(crate) fn has_sent_key(&self, project_day: ProjectDay, key: DedupKey) -> bool {
        let identity = EventIdentity::Keyed(key);
        self.entry(project_day, identity).is_some()
            || self.floating_on(project_day, identity).next().is_some()
    }

    /// Whether `content` was ever sent under this key for this day.
    pub(crate) fn has_sent_content(
        &self,
        project_day: ProjectDay,
        key: DedupKey,
        content: EventDigest,
    ) -> bool {
        let known = self.days.get(&project_day).is_some_and(|day| {
            day.keyed.get(&key.0).is_some_and(|entry| entry.content == content.0)
                || day.other_contents.get(&key.0).is_some_and(|others| others.contains(&content.0))
        });
        known || self.floating_on(project_day, EventIdentity::Keyed(key)).any(|send| send.content == content)
    }
}
