//! Events that belong to one of several days, and the client cannot know which.

use super::{Identity, Ledger};
use crate::identity::{Content, ProjectDay};

/// One send of such an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floating {
    pub request: u64,
    pub days: (i32, i32),
    pub content: Content,
    /// [`super::entry::NEVER`] if it was not acknowledged.
    pub acked_at_ms: i64,
    pub rejected: bool,
    /// The client sent it for the last time, and had no answer.
    pub given_up: bool,
}

impl Floating {
    pub(crate) fn new(request: u64, days: (i32, i32), content: Content) -> Floating {
        Floating {
            request,
            days,
            content,
            acked_at_ms: super::entry::NEVER,
            rejected: false,
            given_up: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.acked_at_ms == super::entry::NEVER && !self.rejected
    }

    pub(crate) fn is_acked(&self) -> bool {
        self.acked_at_ms != super::entry::NEVER
    }

    fn may_be_on(&self, day: i32) -> bool {
        (self.days.0..=self.days.1).contains(&day) && !self.rejected
    }
}

impl Ledger {
    /// Sends of a floating event that may be stored on this day.
    pub(crate) fn floating_on(&self, of: ProjectDay, identity: Identity) -> impl Iterator<Item = &Floating> {
        let sends = self.floating.get(&(of.project, identity));
        sends.into_iter().flatten().filter(move |send| send.may_be_on(of.day))
    }
}
