//! Ledger entry of one event, kept small because a run holds a hundred thousand of them.

/// Everything that clients sent of one event, and the answers: one key, or one content without identity, of one
/// project-day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LedgerEntry {
    /// First content sent; further ones are in [`super::LedgerDay::other_contents`].
    pub content: u128,
    /// Time of the first acknowledgement (without identity: of the last), by the world's clock; [`NEVER`] if there is
    /// none.
    pub acked_at_ms: i64,
    /// Number of sends, retries and re-uploads included.
    pub sends: u16,
    /// Number of acknowledged sends.
    pub acks: u16,
    /// Number of permanently refused sends.
    pub rejections: u16,
    /// Every reader saw it, acknowledged or not: it must not vanish.
    pub observed: bool,
    /// A client sent it for the last time and got no answer.
    pub given_up: bool,
}

/// No acknowledgement yet.
pub(crate) const NEVER: i64 = i64::MAX;

impl LedgerEntry {
    pub(crate) fn new(content: u128) -> LedgerEntry {
        LedgerEntry {
            content,
            acked_at_ms: NEVER,
            sends: 0,
            acks: 0,
            rejections: 0,
            observed: false,
            given_up: false,
        }
    }

    /// Whether it was acknowledged before `before_ms`.
    pub(crate) fn is_acked_before(&self, before_ms: i64) -> bool {
        self.acked_at_ms < before_ms
    }

    /// Whether every send was refused: it must not be stored.
    pub(crate) fn is_rejected(&self) -> bool {
        self.rejections == self.sends
    }

    /// Whether it may be stored or not.
    pub(crate) fn is_open(&self) -> bool {
        self.acks == 0 && !self.is_rejected()
    }

    /// Returns the number of copies that may be stored.
    pub(crate) fn max_copies(&self) -> u32 {
        u32::from(self.sends - self.rejections)
    }
}
