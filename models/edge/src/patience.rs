//! How often a call to an object store is made again: the one place where it is decided. Pure.

use crate::object_api::{ObjectError, StoreError};
use latent_ports::NetErrorKind;
use std::time::Duration;

/// A failure that may pass.
pub(crate) enum Passing {
    /// The store is there, and said not now.
    Answered { not_before: Duration },
    /// The store gave no answer, or nobody listens there.
    Silent,
}

/// How often a call is made again, and with which pauses.
///
/// A store that answers, be it "not now", is asked again and again, and never before it said; one that does not
/// answer at all is asked once more, for each such call costs a whole time-out and another store may do. Every call
/// may be made twice: a put brings the same bytes, a delete removes what is there. Refusals for good (denied, no
/// such object, no space, malformed) are not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Calls in all, as long as the store answers; at least 1.
    pub tries: u32,
    /// Calls in all without an answer; at least 1.
    pub silent_tries: u32,
    /// The pause after the first failure; it doubles with each.
    pub first_pause: Duration,
    /// The longest pause, unless the store asks for a longer one.
    pub longest_pause: Duration,
}

impl Patience {
    /// Each call is made once.
    pub const NONE: Patience =
        Patience { tries: 1, silent_tries: 1, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };
    /// For a caller that comes back by itself: about 15 s.
    pub const BRIEF: Patience = Patience {
        tries: 5,
        silent_tries: 1,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(8),
    };
    /// For long work that one failed call would throw away: about 6 min. Of calls that fail at random nine in ten,
    /// a third get through; one in two, all but one in 8,000.
    pub const LONG: Patience = Patience {
        tries: 13,
        silent_tries: 2,
        first_pause: Duration::from_millis(500),
        longest_pause: Duration::from_secs(60),
    };

    /// The pause before the next try; `None`: there is none. `failed` and `silent` calls were made so far.
    pub(crate) fn pause(&self, failed: u32, silent: u32, passing: &Passing) -> Option<Duration> {
        let not_before = match passing {
            Passing::Silent if silent >= self.silent_tries => return None,
            Passing::Silent => Duration::ZERO,
            Passing::Answered { not_before } => *not_before,
        };
        if failed >= self.tries {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << (failed - 1).min(20));
        Some(doubled.min(self.longest_pause).max(not_before))
    }
}

/// Whether the same call may succeed a while later, and how it failed.
pub(crate) fn passing(error: &StoreError) -> Option<Passing> {
    match error {
        StoreError::Object { error: ObjectError::Throttled { retry_after_ms }, .. } => {
            Some(Passing::Answered { not_before: Duration::from_millis(u64::from(*retry_after_ms)) })
        }
        StoreError::Object { error: ObjectError::Unavailable(_), .. } => {
            Some(Passing::Answered { not_before: Duration::ZERO })
        }
        StoreError::Net(error) if error.kind == NetErrorKind::Overloaded => {
            Some(Passing::Answered { not_before: Duration::ZERO })
        }
        StoreError::Net(_) => Some(Passing::Silent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_answers_is_asked_again_and_a_silent_one_hardly() {
        let busy = Passing::Answered { not_before: Duration::ZERO };
        let pauses: Vec<u64> = (1..)
            .map_while(|n| Patience::LONG.pause(n, 0, &busy))
            .map(|pause| pause.as_millis() as u64)
            .collect();
        assert_eq!(pauses.len(), 12);
        assert_eq!(pauses[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(pauses.iter().max(), Some(&60_000));
        let later = Passing::Answered { not_before: Duration::from_secs(90) };
        assert_eq!(Patience::LONG.pause(1, 0, &later), Some(Duration::from_secs(90)), "as the store asks");
        assert_eq!(Patience::LONG.pause(1, 1, &Passing::Silent), Some(Duration::from_millis(500)));
        assert_eq!(Patience::LONG.pause(2, 2, &Passing::Silent), None);
        assert_eq!(Patience::NONE.pause(1, 0, &busy), None);
        let denied = StoreError::Object { key: "k".into(), error: ObjectError::Denied };
        assert!(passing(&denied).is_none(), "asking again does not renew credentials");
    }
}
