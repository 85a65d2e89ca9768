//! Compaction leases with fencing tokens, one per project, granted by the disk itself.
//!
//! A token is durable before it is granted, so no two grants ever share one, whatever crashes. The lease's time
//! is only a courtesy between workers; what protects the day is the token, checked when a run commits.

use super::api::{ArbAnswer, ArbFailure};
use super::log::DurableLog;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_ports::{Clock, Disk, Env, NodeId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tokio::sync::Mutex;

const HEADER: &[u8] = b"LARBLSE1";

struct Lease<F> {
    log: DurableLog<F>,
    token: u64,
    holder: u16,
    expires_ms: i64,
}

/// The leases of one disk.
pub struct Leases<E: Env> {
    held: Mutex<BTreeMap<u32, Lease<<E::Disk as Disk>::File>>>,
}

impl<E: Env> Default for Leases<E> {
    fn default() -> Self {
        Leases { held: Mutex::new(BTreeMap::new()) }
    }
}

impl<E: Env> Leases<E> {
    /// Reads a project's lease file, if it has one, after a boot.
    pub async fn recover(&self, env: &E, project: u32) -> Result<(), ArbFailure> {
        let (log, frames) = DurableLog::open(env.disk(), &path(project), HEADER).await?;
        let mut lease = Lease { log, token: 0, holder: u16::MAX, expires_ms: i64::MIN };
        if let Some(last) = frames.last() {
            let mut last = last.clone();
            if last.len() != 26 {
                return Err(ArbFailure::Corrupt(format!(
                    "lease frame of {} bytes in {}",
                    last.len(),
                    lease.log.path()
                )));
            }
            lease.token = last.get_u64_le();
            lease.holder = last.get_u16_le();
            let _granted_ms = last.get_i64_le();
            lease.expires_ms = last.get_i64_le();
        }
        self.held.lock().await.insert(project, lease);
        Ok(())
    }

    /// Grants the lease to `holder`, unless another holds it still.
    pub async fn take(
        &self,
        env: &E,
        project: u32,
        holder: NodeId,
        for_ms: u64,
    ) -> Result<ArbAnswer, ArbFailure> {
        let mut held = self.held.lock().await;
        let lease = match held.entry(project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let (log, _) = DurableLog::open(env.disk(), &path(project), HEADER).await?;
                env.disk().sync_dir(&format!("arb/{project}")).await?;
                new.insert(Lease { log, token: 0, holder: u16::MAX, expires_ms: i64::MIN })
            }
        };
        let now = env.clock().wall().0;
        if lease.holder != holder.0 && now < lease.expires_ms {
            return Ok(ArbAnswer::Held);
        }
        let expires_ms = now.saturating_add_unsigned(for_ms);
        let token = lease.token + 1;
        lease.log.append(&encode(token, holder.0, now, expires_ms)).await?;
        (lease.token, lease.holder, lease.expires_ms) = (token, holder.0, expires_ms);
        Ok(ArbAnswer::Leased { token })
    }

    /// Refuses a token that is not the newest.
    pub async fn check(&self, project: u32, token: u64) -> Result<(), ArbFailure> {
        let current = self.held.lock().await.get(&project).map_or(0, |lease| lease.token);
        if token == current { Ok(()) } else { Err(ArbFailure::StaleToken { given: token, current }) }
    }
}

fn path(project: u32) -> String {
    format!("arb/{project}/lease")
}

fn encode(token: u64, holder: u16, granted_ms: i64, expires_ms: i64) -> Bytes {
    let mut out = BytesMut::with_capacity(26);
    out.put_u64_le(token);
    out.put_u16_le(holder);
    out.put_i64_le(granted_ms);
    out.put_i64_le(expires_ms);
    out.freeze()
}
