//! What the ledger keeps of one event: as little as it can, since a run holds a hundred thousand of them.

/// All that clients sent and heard of one event: one key, or one content without identity, of one project's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LedgerEntry {
    /// The first content that was sent; others stand in the day's own list.
    pub content: u128,
    /// When it was acknowledged first (without identity: last), by the world's clock; [`NEVER`] if it was not.
    pub acked_at_ms: i64,
    /// How often it was sent, retries and re-uploads included.
    pub sends: u16,
    /// How many of these were acknowledged.
    pub acks: u16,
    /// How many of these were refused for good.
    pub rejections: u16,
    /// A reader surely saw it, acknowledged or not: it may not vanish.
    pub observed: bool,
    /// A client sent it for the last time, and had no answer.
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

    /// It was acknowledged before `before_ms`.
    pub(crate) fn is_acked_before(&self, before_ms: i64) -> bool {
        self.acked_at_ms < before_ms
    }

    /// Everyone who sent it was told that it was refused: it may not be stored.
    pub(crate) fn is_rejected(&self) -> bool {
        self.rejections == self.sends
    }

    /// It may be stored or not.
    pub(crate) fn is_open(&self) -> bool {
        self.acks == 0 && !self.is_rejected()
    }

    /// How many of it may be stored.
    pub(crate) fn max_copies(&self) -> u32 {
        u32::from(self.sends - self.rejections)
    }
}
