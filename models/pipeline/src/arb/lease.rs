//! Compaction leases with fencing tokens, one per project, granted by the disk itself.
//!
//! A token is durable before it is granted, so no two grants share one, whatever crashes. The lease's duration only
//! coordinates workers; the token protects the day and is checked when a run commits.
//!
//! A token must not be granted again even if the file that records it is lost. So a lease file that fails verification
//! is quarantined as `lease.corrupt-<n>`, and the tokens of the next file start above everything that earlier files
//! could hold: tokens of the n-th file (from 0) are greater than n << 40, and each file has fewer than 1 << 40 tokens,
//! whatever its bytes. If only the end of the file does not verify, the tokens that may have been there are skipped: the
//! file is replaced by one that starts above them, since a file that was cut off would not show at the next boot that
//! tokens are missing. No token is granted that is not above those in the manifests of the project.
//!
//! The next file records its own first token: it receives its name only after its first frame, an expired grant to no
//! node, is durable. So a quarantine may fail between any two of its steps, and the next attempt continues: either the
//! old file still has its name, or no file has it, or the new file has it and starts at the right token. A running
//! process remembers the files that it decided to quarantine: an attempt that failed is repeated by the next grant, not
//! by the next boot.
//!
//! Not covered: a project directory that was removed while no process held it in memory.

use super::api::{ArbFailure, ArbResponse};
use super::log::{DurableLog, HeaderTime, OpenedLog, UntrustedLogs};
use crate::marks;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_ports::{Clock, DirEntry, Disk, DiskErrorKind, Env, Mark, NodeId, OpenMode};
use latent_storekit::frame::{self, FRAME_HEAD_BYTES};
use latent_storekit::replace_file::{Leftover, NameSync, replace_file};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Mutex;

const HEADER: &[u8] = b"LARBLSE1";
/// Tokens per lease file: far more than a disk could make durable.
const TOKENS_PER_FILE: u64 = 1 << 40;
/// Payload size of a grant.
const GRANT_BYTES: usize = 26;
/// Name prefix of quarantined lease files.
const QUARANTINE_PREFIX: &str = "lease.corrupt-";
/// Holder of a lease without a holder.
const NO_HOLDER: u16 = u16::MAX;

/// Returns the number of the project's earlier lease files, from the names in its directory.
pub(super) fn files_before(names: &[DirEntry]) -> u64 {
    let numbers =
        names.iter().filter_map(|name| name.name.strip_prefix(QUARANTINE_PREFIX)?.parse::<u64>().ok());
    numbers.map(|number| number.saturating_add(1)).max().unwrap_or(0)
}

struct Lease<F> {
    log: DurableLog<F>,
    token: u64,
    holder: u16,
    expires_ms: i64,
}

/// A lease as its file was found.
struct OpenedLease<F> {
    lease: Lease<F>,
    /// Number of bytes at the end of the file that are no grant.
    torn_bytes: u64,
}

/// The leases of one disk.
pub struct Leases<E: Env> {
    leases: Mutex<BTreeMap<u32, Lease<<E::Disk as Disk>::File>>>,
    /// Token floor of projects that have no lease file although their manifests hold tokens.
    missing_floors: Mutex<BTreeMap<u32, u64>>,
    /// Projects whose lease file takes no further grant and still has its name.
    condemned: Mutex<BTreeSet<u32>>,
    untrusted: UntrustedLogs,
}

impl<E: Env> Leases<E> {
    /// Creates an empty set of leases.
    #[must_use]
    pub fn new(untrusted: &UntrustedLogs) -> Self {
        Leases {
            leases: Mutex::default(),
            missing_floors: Mutex::default(),
            condemned: Mutex::default(),
            untrusted: untrusted.clone(),
        }
    }

    /// Reads a project's lease file after a boot; `quarantined` earlier files were quarantined. A file that fails
    /// verification is quarantined too, and so is one that the device cannot read unless `retry_device` is set.
    pub async fn recover(
        &self,
        env: &E,
        project: u32,
        quarantined: u64,
        retry_device: bool,
    ) -> Result<(), ArbFailure> {
        let lease = match self.open(env, project, quarantined).await {
            Err(ArbFailure::Corrupt(what)) => self.quarantine(env, project, quarantined, &what).await?,
            Err(ArbFailure::Disk(what)) if !retry_device => {
                self.quarantine(env, project, quarantined, &what).await?
            }
            opened => opened?,
        };
        self.leases.lock().await.insert(project, lease);
        self.condemned.lock().await.remove(&project);
        Ok(())
    }

    /// Opens a project's lease file, with tokens above those of the `quarantined` earlier files. Creates it if it does
    /// not exist.
    async fn open(&self, env: &E, project: u32, quarantined: u64) -> Result<LeaseOf<E>, ArbFailure> {
        self.open_above(env, project, quarantined.saturating_mul(TOKENS_PER_FILE)).await
    }

    /// Opens a lease file with tokens above `floor`; see [`Leases::open`].
    async fn open_above(&self, env: &E, project: u32, floor: u64) -> Result<LeaseOf<E>, ArbFailure> {
        if floor > 0 {
            create_if_missing(env, project, floor).await?;
        }
        let lease = self.open_with_tail(env, project, floor).await?;
        if lease.torn_bytes == 0 {
            return Ok(lease.lease);
        }
        // A grant torn by a crash was never answered; one that rotted was. The bytes do not tell which it is.
        let skipped = lease.torn_bytes.div_ceil((FRAME_HEAD_BYTES + GRANT_BYTES) as u64);
        write_first(env, &path(project), lease.lease.token + skipped).await?;
        Ok(self.open_with_tail(env, project, floor).await?.lease)
    }

    async fn open_with_tail(
        &self,
        env: &E,
        project: u32,
        floor: u64,
    ) -> Result<OpenedLease<<E::Disk as Disk>::File>, ArbFailure> {
        let path = path(project);
        let mut opened =
            DurableLog::open_with_tail(env.disk(), &path, HEADER, HeaderTime::AfterName, &self.untrusted)
                .await?;
        if opened.torn_bytes == 0 {
            opened.repair(&self.untrusted).await?;
        }
        let OpenedLog { log, payloads, torn_bytes } = opened;
        let mut lease = Lease { log, token: floor, holder: NO_HOLDER, expires_ms: i64::MIN };
        if let Some(last) = payloads.last() {
            let mut last = last.clone();
            if last.len() != GRANT_BYTES {
                return Err(ArbFailure::Corrupt(format!("lease frame of {} bytes in {path}", last.len())));
            }
            lease.token = last.get_u64_le().max(floor);
            lease.holder = last.get_u16_le();
            let _granted_ms = last.get_i64_le();
            lease.expires_ms = last.get_i64_le();
        }
        Ok(OpenedLease { lease, torn_bytes })
    }

    /// Quarantines a lease file that fails verification, and creates the next one.
    async fn quarantine(
        &self,
        env: &E,
        project: u32,
        quarantined: u64,
        what: &str,
    ) -> Result<LeaseOf<E>, ArbFailure> {
        let files_before = self.move_to_quarantine(env, project, quarantined, what).await?;
        self.open(env, project, files_before).await
    }

    /// Moves a lease file away from its name, durably. Returns the number of quarantined files.
    async fn move_to_quarantine(
        &self,
        env: &E,
        project: u32,
        quarantined: u64,
        what: &str,
    ) -> Result<u64, ArbFailure> {
        self.condemned.lock().await.insert(project);
        let (from, to) = (path(project), format!("arb/{project}/{QUARANTINE_PREFIX}{quarantined}"));
        let files_before = match env.disk().rename(&from, &to).await {
            Ok(()) => quarantined + 1,
            // An earlier attempt got as far as the rename; the creation of the next file failed.
            Err(error) if error.kind == DiskErrorKind::NotFound => quarantined,
            Err(error) => return Err(error.into()),
        };
        // Must be durable before the next file grants a token: without this name, its tokens would start too low.
        env.disk().sync_dir(&format!("arb/{project}")).await?;
        self.condemned.lock().await.remove(&project);
        env.mark(Mark { name: marks::ARB_LEASE_QUARANTINED, subject: what });
        Ok(files_before)
    }

    /// Raises the next token above `token`, which a manifest of the project contains.
    pub async fn raise_floor(&self, project: u32, token: u64) {
        match self.leases.lock().await.get_mut(&project) {
            Some(lease) => lease.token = lease.token.max(token),
            None => self.raise_missing_floor(project, token).await,
        }
    }

    /// Handles a lease file that was removed under this process: the next file's tokens start above all granted ones.
    /// The file is created at once, so that this survives a crash.
    pub async fn handle_missing_file(&self, env: &E, project: u32) -> Result<(), ArbFailure> {
        let mut leases = self.leases.lock().await;
        if let Some(gone) = leases.remove(&project) {
            self.raise_missing_floor(project, gone.token).await;
        }
        if !self.missing_floors.lock().await.contains_key(&project) {
            return Ok(());
        }
        let next = self.open_next(env, project).await?;
        leases.insert(project, next);
        Ok(())
    }

    async fn raise_missing_floor(&self, project: u32, token: u64) {
        let mut missing_floors = self.missing_floors.lock().await;
        let least = missing_floors.entry(project).or_default();
        *least = token.max(*least);
    }

    /// Opens the lease file of a project that is not in memory: the project's first, or the one after a file that is
    /// missing or that an attempt quarantined. Completes a quarantine that failed.
    async fn open_next(&self, env: &E, project: u32) -> Result<LeaseOf<E>, ArbFailure> {
        let mut quarantined = self.files_before(env, project).await?;
        if self.condemned.lock().await.contains(&project) {
            quarantined =
                self.move_to_quarantine(env, project, quarantined, "an earlier attempt failed").await?;
        }
        let lease = match self.open_above(env, project, self.floor(project, quarantined).await).await {
            Err(ArbFailure::Corrupt(what)) => {
                let quarantined = self.move_to_quarantine(env, project, quarantined, &what).await?;
                self.open_above(env, project, self.floor(project, quarantined).await).await?
            }
            opened => opened?,
        };
        // The directory may have been recreated recently.
        for dir in [format!("arb/{project}"), "arb".to_owned()] {
            env.disk().sync_dir(&dir).await?;
        }
        Ok(lease)
    }

    /// Returns the token above which the tokens of the next file start.
    async fn floor(&self, project: u32, quarantined: u64) -> u64 {
        let least = self.missing_floors.lock().await.get(&project).copied().unwrap_or(0);
        quarantined.saturating_mul(TOKENS_PER_FILE).max(least)
    }

    /// Grants the lease to `holder`, unless another node still holds it.
    pub async fn take(
        &self,
        env: &E,
        project: u32,
        holder: NodeId,
        for_ms: u64,
    ) -> Result<ArbResponse, ArbFailure> {
        let mut leases = self.leases.lock().await;
        let lease = match leases.entry(project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let next = self.open_next(env, project).await?;
                new.insert(next)
            }
        };
        let now = env.clock().wall().0;
        // A lease that exceeds the requested duration was granted while this disk's clock was ahead. Its holder is
        // fenced off by the token.
        let is_held = now < lease.expires_ms && lease.expires_ms <= now.saturating_add_unsigned(for_ms);
        if lease.holder != holder.0 && is_held {
            return Ok(ArbResponse::LeaseHeld);
        }
        let expires_ms = now.saturating_add_unsigned(for_ms);
        let token = lease.token + 1;
        if let Err(failed) = lease.log.append(&encode(token, holder.0, now, expires_ms)).await {
            // A transient device failure is retried by the job. A file that can no longer be read takes no further
            // grant: it is quarantined, and the next file's tokens start above all of its tokens.
            if lease.log.verify().await.is_ok() {
                return Err(failed);
            }
            let quarantined = self.files_before(env, project).await?;
            self.raise_missing_floor(project, lease.token).await;
            // Removed from memory during the move: if this fails half-way, nothing may be appended to the moved file.
            leases.remove(&project);
            let next = self.quarantine(env, project, quarantined, &failed.to_string()).await?;
            let lease = leases.entry(project).or_insert(next);
            let token = lease.token + 1;
            lease.log.append(&encode(token, holder.0, now, expires_ms)).await?;
            (lease.token, lease.holder, lease.expires_ms) = (token, holder.0, expires_ms);
            return Ok(ArbResponse::Leased { token });
        }
        (lease.token, lease.holder, lease.expires_ms) = (token, holder.0, expires_ms);
        Ok(ArbResponse::Leased { token })
    }

    async fn files_before(&self, env: &E, project: u32) -> Result<u64, ArbFailure> {
        Ok(files_before(&env.disk().list(&format!("arb/{project}")).await?))
    }

    /// Rejects a token that is not the newest.
    pub async fn check(&self, project: u32, token: u64) -> Result<(), ArbFailure> {
        let current = self.leases.lock().await.get(&project).map_or(0, |lease| lease.token);
        if token == current { Ok(()) } else { Err(ArbFailure::StaleToken { given: token, current }) }
    }
}

type LeaseOf<E> = Lease<<<E as Env>::Disk as Disk>::File>;

/// Creates a lease file with tokens above `floor` unless one exists. Its first frame is durable before its name.
async fn create_if_missing<E: Env>(env: &E, project: u32, floor: u64) -> Result<(), ArbFailure> {
    let (disk, path) = (env.disk(), path(project));
    match disk.open(&path, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Ok(()),
    }
    write_first(env, &path, floor).await
}

/// Writes a lease file with tokens above `floor`, in place of the present one.
async fn write_first<E: Env>(env: &E, path: &str, floor: u64) -> Result<(), ArbFailure> {
    let now_ms = env.clock().wall().0;
    let first = frame::encode_frame(&encode(floor, NO_HOLDER, now_ms, now_ms))
        .map_err(|error| ArbFailure::Refused(format!("{path}: {error}")))?;
    let bytes = [HEADER, first.as_ref()].concat().into();
    replace_file(env.disk(), path, bytes, Leftover::Remove, NameSync::Now).await?;
    Ok(())
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
