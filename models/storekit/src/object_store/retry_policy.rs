//! Retry policy for calls to an object store. Pure.

use super::protocol::{ObjectError, StoreError};
use latent_ports::NetErrorKind;
use std::time::Duration;

/// Failure that may succeed when retried.
pub(crate) enum TransientFailure {
    /// The store responded with a transient error.
    Rejected { retry_after: Duration },
    /// The store did not respond, or no process listens on its node.
    NoResponse,
}

/// Number of attempts of a call, and the backoff between them.
///
/// A store that responds with a transient error is retried many times, never earlier than it asks for. A store that
/// does not respond is retried once at most: each such call costs a full timeout, and another store may be available.
/// All calls are idempotent: a put carries the same bytes, a delete removes what exists. Permanent errors (denied, not
/// found, no space, malformed) are not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreRetryPolicy {
    /// Maximum number of attempts while the store responds; at least 1.
    pub max_attempts: u32,
    /// Maximum number of attempts without a response; at least 1.
    pub max_timeouts: u32,
    /// Backoff after the first failure. Doubles with each failure.
    pub initial_backoff: Duration,
    /// Maximum backoff, unless the store asks for a longer one.
    pub max_backoff: Duration,
}

impl StoreRetryPolicy {
    /// One attempt per call.
    pub const NONE: StoreRetryPolicy = StoreRetryPolicy {
        max_attempts: 1,
        max_timeouts: 1,
        initial_backoff: Duration::ZERO,
        max_backoff: Duration::ZERO,
    };
    /// For callers that run again periodically: about 15 s in total.
    pub const SHORT: StoreRetryPolicy = StoreRetryPolicy {
        max_attempts: 5,
        max_timeouts: 1,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(8),
    };
    /// For long jobs that one failed call would abort: about 6 min in total. If 90% of calls fail at random, a third of
    /// the calls get through; at 50%, all but one in 8,000.
    pub const LONG: StoreRetryPolicy = StoreRetryPolicy {
        max_attempts: 13,
        max_timeouts: 2,
        initial_backoff: Duration::from_millis(500),
        max_backoff: Duration::from_secs(60),
    };

    /// Returns the backoff before the next attempt; `None` when no attempts are left. `failed` counts all failed
    /// attempts so far, `timeouts` those without a response.
    pub(crate) fn backoff(&self, failed: u32, timeouts: u32, failure: &TransientFailure) -> Option<Duration> {
        let retry_after = match failure {
            TransientFailure::NoResponse if timeouts >= self.max_timeouts => return None,
            TransientFailure::NoResponse => Duration::ZERO,
            TransientFailure::Rejected { retry_after } => *retry_after,
        };
        if failed >= self.max_attempts {
            return None;
        }
        let doubled = self.initial_backoff.saturating_mul(1 << (failed - 1).min(20));
        Some(doubled.min(self.max_backoff).max(retry_after))
    }
}

/// Classifies an error; `None` when a retry cannot succeed.
pub(crate) fn transient_failure(error: &StoreError) -> Option<TransientFailure> {
    match error {
        StoreError::Object { error: ObjectError::Throttled { retry_after_ms }, .. } => {
            Some(TransientFailure::Rejected {
                retry_after: Duration::from_millis(u64::from(*retry_after_ms)),
            })
        }
        StoreError::Object { error: ObjectError::Unavailable(_), .. } => {
            Some(TransientFailure::Rejected { retry_after: Duration::ZERO })
        }
        StoreError::Net(error) if error.kind == NetErrorKind::Overloaded => {
            Some(TransientFailure::Rejected { retry_after: Duration::ZERO })
        }
        StoreError::Net(_) => Some(TransientFailure::NoResponse),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_errors_are_retried_often_and_timeouts_rarely() {
        let busy = TransientFailure::Rejected { retry_after: Duration::ZERO };
        let pauses: Vec<u64> = (1..)
            .map_while(|n| StoreRetryPolicy::LONG.backoff(n, 0, &busy))
            .map(|pause| pause.as_millis() as u64)
            .collect();
        assert_eq!(pauses.len(), 12);
        assert_eq!(pauses[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(pauses.iter().max(), Some(&60_000));
        let later = TransientFailure::Rejected { retry_after: Duration::from_secs(90) };
        assert_eq!(
            StoreRetryPolicy::LONG.backoff(1, 0, &later),
            Some(Duration::from_secs(90)),
            "as the store asks"
        );
        assert_eq!(
            StoreRetryPolicy::LONG.backoff(1, 1, &TransientFailure::NoResponse),
            Some(Duration::from_millis(500))
        );
        assert_eq!(StoreRetryPolicy::LONG.backoff(2, 2, &TransientFailure::NoResponse), None);
        assert_eq!(StoreRetryPolicy::NONE.backoff(1, 0, &busy), None);
        let denied = StoreError::Object { key: "k".into(), error: ObjectError::Denied };
        assert!(transient_failure(&denied).is_none(), "asking again does not renew credentials");
    }
}
