//! What most disks say the time is.
//!
//! One node's clock may be ahead by an hour or a day. Whoever decides by it how far a backup reaches, or what is old
//! enough to be let go, would be believed; so those ask the disks, of which most are right, and take the middle.

use crate::arb::api::{ArbAnswer, ArbCall, call};
use crate::config::Cluster;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Env, UnixMs};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Too few disks answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{answered} disks say what time it is, {needed} are needed")]
pub struct NoCommonTime {
    /// How many did.
    pub answered: usize,
    /// How many must.
    pub needed: usize,
}

/// The middle one of all disks' clocks; of two in the middle the earlier.
///
/// # Errors
/// When fewer disks answer than a read needs.
pub async fn common_time<E: Env>(env: &E, cluster: &Cluster) -> Result<UnixMs, NoCommonTime> {
    let ask = |disk| call(env, disk, &ArbCall::Clock, Bytes::new(), CALL_TIMEOUT);
    let answers = join_all(cluster.disks.iter().map(|disk| ask(*disk))).await;
    let mut clocks: Vec<i64> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Ok((ArbAnswer::Clock { now_ms }, _)) => Some(now_ms),
            _ => None,
        })
        .collect();
    clocks.sort_unstable();
    let (answered, needed) = (clocks.len(), cluster.copies.read_disks);
    match clocks.get(answered.saturating_sub(1) / 2) {
        Some(middle) if answered >= needed => Ok(UnixMs(*middle)),
        _ => Err(NoCommonTime { answered, needed }),
    }
}
