//! Median of the disks' clocks.
//!
//! The clock of one node may be ahead by an hour or a day. Decisions about the position of a backup or the expiry of
//! data use the median of the disks' clocks instead, since most of them are right.

use crate::arb::api::{ArbRequest, ArbResponse, call};
use crate::config::Cluster;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Env, UnixMs};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Error: too few disks responded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{answered} disks say what time it is, {needed} are needed")]
pub struct TooFewClocks {
    /// Number of disks that responded.
    pub answered: usize,
    /// Number of disks needed.
    pub needed: usize,
}

/// Returns the median of all disks' clocks; of two middle values the earlier.
///
/// # Errors
/// Fewer disks respond than a read needs.
pub async fn median_time<E: Env>(env: &E, cluster: &Cluster) -> Result<UnixMs, TooFewClocks> {
    let request = |disk| call(env, disk, &ArbRequest::Clock, Bytes::new(), CALL_TIMEOUT);
    let answers = join_all(cluster.disks.iter().map(|disk| request(*disk))).await;
    let mut clocks: Vec<i64> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Ok((ArbResponse::Clock { now_ms }, _)) => Some(now_ms),
            _ => None,
        })
        .collect();
    clocks.sort_unstable();
    let (answered, needed) = (clocks.len(), cluster.replication.read_disks);
    match clocks.get(answered.saturating_sub(1) / 2) {
        Some(middle) if answered >= needed => Ok(UnixMs(*middle)),
        _ => Err(TooFewClocks { answered, needed }),
    }
}
