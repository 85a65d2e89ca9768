//! Time as a node sees it: a wall clock that may be wrong, and a monotonic clock that only moves forward.

use std::future::Future;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, as shown by a clock. Negative before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl Add<Duration> for UnixMs {
    type Output = UnixMs;
    fn add(self, by: Duration) -> UnixMs {
        UnixMs(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for UnixMs {
    type Output = UnixMs;
    fn sub(self, by: Duration) -> UnixMs {
        UnixMs(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl UnixMs {
    /// Time from `earlier` to `self`; zero when `earlier` is the later of the two.
    #[must_use]
    pub fn since(self, earlier: UnixMs) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The two clocks of one node.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The wall clock: offset, drift and steps included. Two nodes may disagree; it may jump both ways.
    fn wall(&self) -> UnixMs;

    /// Time since this node booted; never runs backwards, never steps.
    fn monotonic(&self) -> Duration;

    /// Sleeps for `duration` of monotonic time. Shorter than 1 ms counts as 1 ms.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}
