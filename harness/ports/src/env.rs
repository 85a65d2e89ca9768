//! The environment of one node: its ports, tasks and draws, and where it reports marks.

use crate::{Clock, Disk, Mark, Net, NodeId};
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// The ports of one node.
pub trait Env: Clone + Send + Sync + 'static {
    /// Its disk.
    type Disk: Disk;
    /// Its network.
    type Net: Net;
    /// Its clocks.
    type Clock: Clock;

    /// This node.
    fn node(&self) -> NodeId;

    /// Its disk.
    fn disk(&self) -> &Self::Disk;

    /// Its network.
    fn net(&self) -> &Self::Net;

    /// Its clocks.
    fn clock(&self) -> &Self::Clock;

    /// Returns a random number for `key` (a request, an operation, never a position in a sequence) in the stream
    /// `stream`. In a simulated world a pure function of (seed, stream, key).
    fn draw(&self, stream: &'static str, key: u128) -> u64;

    /// Runs a task on this node, until it ends or the node dies.
    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static;

    /// Reports that a mark was reached.
    fn mark(&self, mark: Mark<'_>);
}

/// Waits for `work` at most `limit` of monotonic time; `None` on a timeout. The work is polled first.
///
/// Not for limits of hours on a hot path: a simulated timer that is dropped stays in its heap until it is due.
pub async fn race_timeout<C: Clock, F: Future>(clock: &C, limit: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
