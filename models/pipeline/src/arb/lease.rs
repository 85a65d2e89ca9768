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
//! The next file says itself where its tokens begin: it gets its name only when its first frame, an expired grant to
//! no node, is durable. So setting aside may fail between any two of its steps, and the next try goes on from there:
//! either the old file still has its name, or no file has it, or the new one has it and begins where it must.
//!
//! Not guarded against: a whole project directory that somebody removed while no process held it in memory.

use super::api::{ArbAnswer, ArbFailure};
use super::log::{Distrusted, DurableLog, put_whole};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_edge::frame::{self, FRAME_HEAD_BYTES};
use latent_ports::{Clock, DirEntry, Disk, DiskErrorKind, Env, Mark, NodeId, OpenMode};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tokio::sync::Mutex;

const HEADER: &[u8] = b"LARBLSE1";
/// How many tokens one lease file has: far more than a disk could ever make durable.
const TOKENS_PER_FILE: u64 = 1 << 40;
/// Payload of a grant.
const GRANT_BYTES: usize = 26;
/// Prefix of the names of files that were set aside.
const ASIDE: &str = "lease.corrupt-";
/// Holder of a lease that no node holds.
const NO_HOLDER: u16 = u16::MAX;

/// Number of the project's lease files that came before the one in use, among the names of its directory.
pub(super) fn files_before(names: &[DirEntry]) -> u64 {
    let numbers = names.iter().filter_map(|name| name.name.strip_prefix(ASIDE)?.parse::<u64>().ok());
    numbers.map(|number| number.saturating_add(1)).max().unwrap_or(0)
}

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
        self.held.lock().await.insert(project, lease);
        Ok(())
    }

    /// Opens a project's lease file, whose tokens are above those of the `aside` that were set aside. Begins it if it is
    /// not there.
    async fn open(&self, env: &E, project: u32, aside: u64) -> Result<LeaseOf<E>, ArbFailure> {
        self.open_above(env, project, aside.saturating_mul(TOKENS_PER_FILE)).await
    }

    /// As [`Leases::open`], with tokens above `floor`.
    async fn open_above(&self, env: &E, project: u32, floor: u64) -> Result<LeaseOf<E>, ArbFailure> {
        if floor > 0 {
            begin_if_missing(env, project, floor).await?;
        }
        let (log, frames) = DurableLog::open(env.disk(), &path(project), HEADER, &self.distrusted).await?;
        let mut lease = Lease { log, token: floor, holder: NO_HOLDER, expires_ms: i64::MIN };
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
        // A grant that a crash tore was never answered; one that rotted was. The bytes do not say which it is.
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
    ) -> Result<LeaseOf<E>, ArbFailure> {
        let (from, to) = (path(project), format!("arb/{project}/{ASIDE}{aside}"));
        let files_before = match env.disk().rename(&from, &to).await {
            Ok(()) => aside + 1,
            // An earlier try got as far as the rename, and what failed now is the beginning of the next file.
            Err(error) if error.kind == DiskErrorKind::NotFound => aside,
            Err(error) => return Err(error.into()),
        };
        // Before the next one grants anything: were this name lost, its tokens would count from below.
        env.disk().sync_dir(&format!("arb/{project}")).await?;
        env.mark(Mark { name: "arb.lease-set-aside", subject: what });
        self.open(env, project, files_before).await
    }

    /// A manifest of the project has an edit that was made under `token`: what is granted next is above it.
    pub async fn pass_over(&self, project: u32, token: u64) {
        match self.held.lock().await.get_mut(&project) {
            Some(lease) => lease.token = lease.token.max(token),
            None => self.remember_without_file(project, token).await,
        }
    }

    /// The lease file is gone from under this process: the next one's tokens are above all that it granted. It is
    /// begun at once, so that this is known after a crash too.
    pub async fn file_is_gone(&self, env: &E, project: u32) -> Result<(), ArbFailure> {
        let mut held = self.held.lock().await;
        if let Some(gone) = held.remove(&project) {
            self.remember_without_file(project, gone.token).await;
        }
        if !self.without_file.lock().await.contains_key(&project) {
            return Ok(());
        }
        let next = self.begin_next(env, project).await?;
        held.insert(project, next);
        Ok(())
    }

    async fn remember_without_file(&self, project: u32, token: u64) {
        let mut without_file = self.without_file.lock().await;
        let least = without_file.entry(project).or_default();
        *least = token.max(*least);
    }

    /// Opens the lease file of a project that is not held: the project's first, or the one after a file that is gone,
    /// or after one that was set aside by a try that failed half-way.
    async fn begin_next(&self, env: &E, project: u32) -> Result<LeaseOf<E>, ArbFailure> {
        let aside = self.files_before(env, project).await?;
        let least = self.without_file.lock().await.get(&project).copied().unwrap_or(0);
        let floor = aside.saturating_mul(TOKENS_PER_FILE).max(least);
        let lease = self.open_above(env, project, floor).await?;
        // The directory may be one that was made again a moment ago.
        for dir in [format!("arb/{project}"), "arb".to_owned()] {
            env.disk().sync_dir(&dir).await?;
        }
        Ok(lease)
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
                let next = self.begin_next(env, project).await?;
                new.insert(next)
            }
        };
        let now = env.clock().wall().0;
        // One that runs for longer than a lease was granted while this disk's clock was ahead: its token fences it off.
        let is_held = now < lease.expires_ms && lease.expires_ms <= now.saturating_add_unsigned(for_ms);
        if lease.holder != holder.0 && is_held {
            return Ok(ArbAnswer::Held);
        }
        let expires_ms = now.saturating_add_unsigned(for_ms);
        let token = lease.token + 1;
        if let Err(failed) = lease.log.append(&encode(token, holder.0, now, expires_ms)).await {
            // A device that fails for a while is asked again by the job. A file that it can no longer read takes no
            // further grant: it goes aside, and the next one's tokens are above all of its.
            if lease.log.verify().await.is_ok() {
                return Err(failed);
            }
            let aside = self.files_before(env, project).await?;
            self.remember_without_file(project, lease.token).await;
            // Not held while it moves: should this fail half-way, nothing may be appended to what was moved.
            held.remove(&project);
            let next = self.set_aside(env, project, aside, &failed.to_string()).await?;
            let lease = held.entry(project).or_insert(next);
            let token = lease.token + 1;
            lease.log.append(&encode(token, holder.0, now, expires_ms)).await?;
            (lease.token, lease.holder, lease.expires_ms) = (token, holder.0, expires_ms);
            return Ok(ArbAnswer::Leased { token });
        }
        (lease.token, lease.holder, lease.expires_ms) = (token, holder.0, expires_ms);
        Ok(ArbAnswer::Leased { token })
    }

    async fn files_before(&self, env: &E, project: u32) -> Result<u64, ArbFailure> {
        Ok(files_before(&env.disk().list(&format!("arb/{project}")).await?))
    }

    /// Refuses a token that is not the newest.
    pub async fn check(&self, project: u32, token: u64) -> Result<(), ArbFailure> {
        let current = self.held.lock().await.get(&project).map_or(0, |lease| lease.token);
        if token == current { Ok(()) } else { Err(ArbFailure::StaleToken { given: token, current }) }
    }
}

type LeaseOf<E> = Lease<<<E as Env>::Disk as Disk>::File>;

/// Begins a lease file whose tokens are above `floor`, unless there is one. Its first frame is durable before its name is.
async fn begin_if_missing<E: Env>(env: &E, project: u32, floor: u64) -> Result<(), ArbFailure> {
    let (disk, path) = (env.disk(), path(project));
    match disk.open(&path, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Ok(()),
    }
    let now_ms = env.clock().wall().0;
    let first = frame::encode_frame(&encode(floor, NO_HOLDER, now_ms, now_ms))
        .map_err(|error| ArbFailure::Refused(format!("{path}: {error}")))?;
    put_whole(disk, &path, [HEADER, first.as_ref()].concat().into()).await?;
    Ok(disk.sync_dir(&format!("arb/{project}")).await?)
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
