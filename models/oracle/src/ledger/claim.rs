//! What a stored event can claim: that it was sent, here, and not refused.

use super::{Identity, Ledger};
use crate::identity::{Content, Key, ProjectDay};

/// What the ledger says of an event stored in some project's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It was sent, for this day, and not refused.
    Good,
    /// It was sent for this day, and every sender was told that it was refused.
    Rejected,
    /// It was sent, for another of the project's days.
    OtherDay(i32),
    /// It was sent, for another project.
    OtherProject(u32),
    /// Nobody sent it.
    NeverSent,
}

impl Ledger {
    /// What an event stored on `of` can claim.
    #[must_use]
    pub fn claim(&self, of: ProjectDay, key: Key, content: Content, anonymous: bool) -> Claim {
        let identity = if anonymous { Identity::Anonymous(content) } else { Identity::Keyed(key) };
        if let Some(entry) = self.entry(of, identity).filter(|entry| !entry.is_rejected()) {
            debug_assert!(entry.sends > 0);
            return Claim::Good;
        }
        if self.floating_on(of, identity).next().is_some() {
            return Claim::Good;
        }
        if self.entry(of, identity).is_some() {
            return Claim::Rejected;
        }
        self.elsewhere(of, identity)
    }

    fn elsewhere(&self, of: ProjectDay, identity: Identity) -> Claim {
        let project = of.project;
        let (first, last) = (ProjectDay { project, day: i32::MIN }, ProjectDay { project, day: i32::MAX });
        let is_there = |of: &ProjectDay| self.entry(*of, identity).is_some();
        if let Some((of, _)) = self.days.range(first..=last).find(|(of, _)| is_there(of)) {
            return Claim::OtherDay(of.day);
        }
        if let Some(sends) = self.floating.get(&(project, identity)) {
            return sends.first().map_or(Claim::NeverSent, |send| {
                if send.rejected { Claim::Rejected } else { Claim::OtherDay(send.days.0) }
            });
        }
        match self.days.keys().find(|of| is_there(of)) {
            Some(of) => Claim::OtherProject(of.project),
            None => Claim::NeverSent,
        }
    }

    pub(crate) fn entry(&self, of: ProjectDay, identity: Identity) -> Option<&super::Entry> {
        let day = self.days.get(&of)?;
        match identity {
            Identity::Keyed(key) => day.keyed.get(&key.0),
            Identity::Anonymous(content) => day.anonymous.get(&content.0),
        }
    }

    /// Whether anything was sent under this key for this day.
    pub(crate) fn knows(&self, of: ProjectDay, key: Key) -> bool {
        let identity = Identity::Keyed(key);
        self.entry(of, identity).is_some() || self.floating_on(of, identity).next().is_some()
    }

    /// Whether `content` was ever sent under this key for this day.
    pub(crate) fn allows(&self, of: ProjectDay, key: Key, content: Content) -> bool {
        let known = self.days.get(&of).is_some_and(|day| {
            day.keyed.get(&key.0).is_some_and(|entry| entry.content == content.0)
                || day.other_contents.get(&key.0).is_some_and(|others| others.contains(&content.0))
        });
        known || self.floating_on(of, Identity::Keyed(key)).any(|send| send.content == content)
    }
}
