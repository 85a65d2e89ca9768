//! Compaction leases with fencing tokens, one per project, granted by the disk itself.
//!
//! A token is durable before it is granted, so no two grants ever share one, whatever crashes. The lease's time
//! is only a courtesy between workers; what protects the day is the token, checked when a run commits.
//!
//! A token that was granted must not be granted again, even if the file that says so is lost. So a lease file that
//! does not verify is set aside as `lease.corrupt-<n>`, and the tokens of the next one begin above everything that
//! the files before it could hold: tokens of the n-th file (from 0) are greater than n << 40 and are fewer than
//! 1 << 40, whatever its bytes. Where only the end of the file was cut off, the tokens that may have stood there are
//! passed over. And no token is granted that is not above those in the manifests of the project.
//!
//! Not guarded against: a whole project directory that somebody removed while no process held it in memory.

use super::api::{ArbAnswer, ArbFailure};
use super::log::{Distrusted, DurableLog};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_edge::frame::FRAME_HEAD_BYTES;
use latent_ports::{Clock, Disk, Env, Mark, NodeId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tokio::sync::Mutex;

const HEADER: &[u8] = b"LARBLSE1";
/// How many tokens one lease file has: far more than a disk could ever make durable.
const TOKENS_PER_FILE: u64 = 1 << 40;
/// Payload of a grant.
const GRANT_BYTES: usize = 26;
/// Prefix of the names of files that were set aside.
pub(super) const ASIDE: &str = "lease.corrupt-";

struct Lease<F> {
    log: DurableLog<F>,
    token: u64,
    holder: u16,
    expires_ms: i64,
}

/// The leases of one disk.
pub struct Leases<E: Env> {
    held: Mutex<BTreeMap<u32, Lease<<E::Disk as Disk>::File>>>,
    /// Tokens to pass over of projects that have no lease file, though their manifests say that they had one.
    without_file: Mutex<BTreeMap<u32, u64>>,
    distrusted: Distrusted,
}

impl<E: Env> Leases<E> {
    /// None known yet.
    #[must_use]
    pub fn new(distrusted: &Distrusted) -> Self {
        Leases { held: Mutex::default(), without_file: Mutex::default(), distrusted: distrusted.clone() }
    }

    /// Reads a project's lease file after a boot; `aside` of them were set aside before. One that does not verify is
    /// set aside too, and so is one that the device cannot read unless `patient`.
    pub async fn recover(&self, env: &E, project: u32, aside: u64, patient: bool) -> Result<(), ArbFailure> {
        let lease = match self.open(env, project, aside).await {
            Err(ArbFailure::Corrupt(what)) => self.set_aside(env, project, aside, &what).await?,
            Err(ArbFailure::Disk(what)) if !patient => self.set_aside(env, project, aside, &what).await?,
            opened => opened?,
        };
        if lease.token >= TOKENS_PER_FILE {
            // The file may be new, and its name not durable yet.
            env.disk().sync_dir(&format!("arb/{project}")).await?;
        }
        self.held.lock().await.insert(project, lease);
        Ok(())
    }

    /// Opens a project's lease file, or begins the first after `aside` that were set aside.
    async fn open(
        &self,
        env: &E,
        project: u32,
        aside: u64,
    ) -> Result<Lease<<E::Disk as Disk>::File>, ArbFailure> {
        let (log, frames) = DurableLog::open(env.disk(), &path(project), HEADER, &self.distrusted).await?;
        let floor = aside.saturating_mul(TOKENS_PER_FILE);
        let mut lease = Lease { log, token: floor, holder: u16::MAX, expires_ms: i64::MIN };
        if let Some(last) = frames.last() {
            let mut last = last.clone();
            if last.len() != GRANT_BYTES {
                let what = format!("lease frame of {} bytes in {}", last.len(), lease.log.path());
                return Err(ArbFailure::Corrupt(what));
            }
            lease.token = last.get_u64_le().max(floor);
            lease.holder = last.get_u16_le();
            let _granted_ms = last.get_i64_le();
            lease.expires_ms = last.get_i64_le();
        }
        // A grant that a crash tore was never told to anybody; one that rotted was. Nobody can say which it is.
        lease.token += lease.log.cut_bytes().div_ceil((FRAME_HEAD_BYTES + GRANT_BYTES) as u64);
        Ok(lease)
    }

    /// Moves a lease file that does not verify out of the way, and begins the next.
    async fn set_aside(
        &self,
        env: &E,
        project: u32,
        aside: u64,
        what: &str,
    ) -> Result<Lease<<E::Disk as Disk>::File>, ArbFailure> {
        let (from, to) = (path(project), format!("arb/{project}/{ASIDE}{aside}"));
        env.disk().rename(&from, &to).await?;
        // Before the next one grants anything: were this name lost, its tokens would count from below.
        env.disk().sync_dir(&format!("arb/{project}")).await?;
        env.mark(Mark { name: "arb.lease-set-aside", subject: what });
        self.open(env, project, aside + 1).await
    }

    /// A manifest of the project has an edit that was made under `token`: what is granted next is above it.
    pub async fn pass_over(&self, project: u32, token: u64) {
        match self.held.lock().await.get_mut(&project) {
            Some(lease) => lease.token = lease.token.max(token),
            None => {
                let mut without_file = self.without_file.lock().await;
                let least = without_file.entry(project).or_default();
                *least = token.max(*least);
            }
        }
    }

    /// The lease file is gone from under this process: the next one's tokens are above all that it granted.
    pub async fn file_is_gone(&self, project: u32) {
        let gone = self.held.lock().await.remove(&project);
        if let Some(lease) = gone {
            self.pass_over(project, lease.token).await;
        }
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
                let mut lease = self.open(env, project, 0).await?;
                env.disk().sync_dir(&format!("arb/{project}")).await?;
                let least = self.without_file.lock().await.get(&project).copied().unwrap_or(0);
                lease.token = lease.token.max(least);
                new.insert(lease)
            }
        };
        let now = env.clock().wall().0;
        if lease.holder != holder.0 && now < lease.expires_ms {
            return Ok(ArbAnswer::Held);
        }
        let expires_ms = now.saturating_add_unsigned(for_ms);
        let mut token = lease.token + 1;
        if let Err(failed) = lease.log.append(&encode(token, holder.0, now, expires_ms)).await {
            // A device that fails for a while is asked again by the job. A file that it can no longer read takes no
            // grant for ever: it goes aside, and the next one's tokens are above all of its.
            if lease.log.verify().await.is_ok() {
                return Err(failed);
            }
            let least = lease.token;
            let aside = self.asides(env, project).await?;
            *lease = self.set_aside(env, project, aside, &failed.to_string()).await?;
            token = lease.token.max(least) + 1;
            lease.log.append(&encode(token, holder.0, now, expires_ms)).await?;
            env.disk().sync_dir(&format!("arb/{project}")).await?;
        }
        (lease.token, lease.holder, lease.expires_ms) = (token, holder.0, expires_ms);
        Ok(ArbAnswer::Leased { token })
    }

    /// How many lease files of the project were set aside.
    async fn asides(&self, env: &E, project: u32) -> Result<u64, ArbFailure> {
        let names = env.disk().list(&format!("arb/{project}")).await?;
        Ok(names.iter().filter(|name| name.name.starts_with(ASIDE)).count() as u64)
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
    let mut out = BytesMut::with_capacity(GRANT_BYTES);
    out.put_u64_le(token);
    out.put_u16_le(holder);
    out.put_i64_le(granted_ms);
    out.put_i64_le(expires_ms);
    out.freeze()
}
