//! Clocks of one incarnation: the machine's wall clock, and a monotonic clock.
//!
//! The monotonic clock counts true time since boot: it neither steps nor drifts.

use crate::context::NodeContext;
use latent_ports::{Clock, UnixMs};
use std::sync::Arc;
use std::time::Duration;

/// Clocks of a node, as one incarnation sees them.
#[derive(Clone)]
pub struct SimClock {
    context: Arc<NodeContext>,
}

impl SimClock {
    pub(crate) fn new(context: Arc<NodeContext>) -> SimClock {
        SimClock { context }
    }
}

impl Clock for SimClock {
    fn wall(&self) -> UnixMs {
        let kernel = self.context.kernel();
        self.context.node().machine().wall_clock().read(kernel.start(), kernel.now_ns())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.context.kernel().now_ns().saturating_sub(self.context.node().booted_ns()))
    }

    async fn sleep(&self, duration: Duration) {
        let shortest = duration.max(Duration::from_millis(1));
        self.context.kernel().sleep_ns(u64::try_from(shortest.as_nanos()).unwrap_or(u64::MAX)).await;
        self.context.wait_until_runnable().await;
    }
}
