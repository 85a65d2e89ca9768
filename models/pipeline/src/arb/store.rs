//! Days on one disk: open segments, live files, and recovery after a crash.
//!
//! A day has one lock: appends, seals and commits of a day are serialized; merges do not hold the lock. Segments that
//! an earlier process left open are not written again: their torn tail is truncated, and they are only read.

use super::api::ArbFailure;
use super::gc_queue::GcQueue;
use super::lease::{self, Leases};
use super::log::{DurableLog, UntrustedLogs, create_if_absent};
use super::manifest::{FileEntry, Manifest, ManifestEdit, Tier};
use crate::config::BootConfig;
use crate::marks;
use crate::record::{SetDigest, scan_blocks};
use crate::zone::Day;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_ports::{DirEntry, Disk, DiskErrorKind, Env, File, FileType, Mark, OpenMode, read_full};
use latent_storekit::frame::{self, ScanEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::time::Duration;
use tokio::sync::Mutex;

pub(super) const MANIFEST_HEADER: &[u8] = b"LARBMAN1";
const SEGMENT_MAGIC: &[u8; 8] = b"LARBSEG1";
/// Length of a segment's header, in bytes.
pub const SEGMENT_HEADER_BYTES: usize = 32;

pub(super) type FileOf<E> = <<E as Env>::Disk as Disk>::File;

/// Segment that this process appends to.
pub(super) struct OpenSegment<F> {
    pub id: u64,
    pub file: F,
    pub bytes: u64,
    pub records: u64,
}

/// One project's day.
pub(super) struct DayStore<E: Env> {
    pub project: u32,
    pub day: Day,
    pub manifest: Manifest,
    pub log: DurableLog<FileOf<E>>,
    /// By tier. Only segments that this process created and whose end is known.
    pub open: BTreeMap<Tier, OpenSegment<FileOf<E>>>,
    /// Segments whose last append failed, with their durable length before it. Data after that length is not read, and
    /// is truncated before the segment is sealed.
    pub failed_appends: BTreeMap<u64, u64>,
    /// Greater than every id that a file in the directory ever had, live or not.
    pub next_id: u64,
    /// Cached digest of all keys, with the state that it describes: manifest version, bytes of open segments, newest
    /// arrival.
    pub digest: Option<(u64, u64, i64, SetDigest)>,
    /// Cached digest of the full contents, with the state that it describes: manifest version and bytes of open
    /// segments.
    pub content_digest: Option<(u64, u64, SetDigest)>,
    /// Monotonic time of the last complete verification, initially this boot; `None` when the next comparison must
    /// verify.
    pub verified: Option<Duration>,
}

impl<E: Env> DayStore<E> {
    pub fn dir(&self) -> String {
        day_dir(self.project, self.day)
    }

    pub fn path(&self, id: u64) -> String {
        format!("{}/{id}.seg", self.dir())
    }

    /// Returns the durable length of a segment whose end this process wrote; `None` for other segments.
    pub fn durable_bytes(&self, id: u64) -> Option<u64> {
        let open = || self.open.values().find(|segment| segment.id == id).map(|segment| segment.bytes);
        self.failed_appends.get(&id).copied().or_else(open)
    }

    /// Makes an edit durable, then applies it.
    pub async fn commit(&mut self, edit: &ManifestEdit) -> Result<(), ArbFailure> {
        // Not `Corrupt`: the data on the disk is intact, but this edit does not fit it.
        let refused = |error| ArbFailure::Refused(format!("{}: {error}", self.dir()));
        self.manifest.check(edit).map_err(refused)?;
        let text = serde_json::to_vec(edit).map_err(|e| ArbFailure::Refused(format!("edit: {e}")))?;
        if let Err(error) = self.log.append(&text).await {
            // The device may be unable to read the block at the end of the log; then no edit will ever succeed.
            self.verified = None;
            return Err(error);
        }
        self.manifest.apply(edit)?;
        self.next_id = self.next_id.max(self.manifest.next_id);
        Ok(())
    }

    /// Persists the used ids, which so far only the name of a quarantine directory records.
    pub async fn persist_next_id(&mut self) -> Result<(), ArbFailure> {
        if self.manifest.version > 0 {
            return Ok(());
        }
        let mut edit = self.manifest.next_edit(0);
        edit.next_id = self.next_id;
        self.commit(&edit).await
    }

    /// Whether a file of this day has not been compacted.
    pub fn is_dirty(&self) -> bool {
        self.manifest.is_dirty()
    }
}

/// A day with its lock.
pub(super) type SharedDay<E> = Arc<Mutex<DayStore<E>>>;
type DayMap<E> = BTreeMap<(u32, Day), SharedDay<E>>;

/// Arb store of one node.
pub struct ArbStore<E: Env> {
    pub(super) env: E,
    pub(super) boot: BootConfig,
    pub(super) leases: Leases<E>,
    pub(super) gc_queue: GcQueue,
    days: StdMutex<DayMap<E>>,
    /// Superset of the dirty days, so that a nightly job checks only these. Changed only under the day's lock.
    pub(super) dirty: StdMutex<BTreeSet<(u32, Day)>>,
    /// Days that fail verification, with the reason: refused until they are repaired.
    pub(super) corrupt: StdMutex<BTreeMap<(u32, Day), String>>,
    /// Days with a quarantine directory.
    pub(super) quarantined: StdMutex<BTreeSet<(u32, Day)>>,
    pub(super) creating: Mutex<()>,
    untrusted: UntrustedLogs,
}

impl<E: Env> ArbStore<E> {
    /// Opens the disk, truncates torn tails, and schedules orphans for removal. Unless `retry_device` is set, a file
    /// that the device cannot read counts as corrupt: its day is refused until it is filled from other copies, and the
    /// other days are served.
    pub async fn recover(
        env: E,
        boot: BootConfig,
        retry_device: bool,
        untrusted: &UntrustedLogs,
    ) -> Result<Arc<Self>, ArbFailure> {
        let store = ArbStore {
            env,
            boot,
            leases: Leases::new(untrusted),
            gc_queue: GcQueue::default(),
            days: StdMutex::default(),
            dirty: StdMutex::default(),
            corrupt: StdMutex::default(),
            quarantined: StdMutex::default(),
            creating: Mutex::new(()),
            untrusted: untrusted.clone(),
        };
        let disk = store.env.disk();
        match disk.create_dir("arb").await {
            Ok(()) => {}
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {
                store.recover_projects(retry_device).await?
            }
            Err(error) => return Err(error.into()),
        }
        disk.sync_dir("").await?;
        Ok(Arc::new(store))
    }

    async fn recover_projects(&self, retry_device: bool) -> Result<(), ArbFailure> {
        let disk = self.env.disk();
        // Names that an earlier process created and never synced are visible and may still be lost.
        disk.sync_dir("arb").await?;
        for entry in disk.list("arb").await? {
            let Ok(project) = entry.name.parse::<u32>() else { continue };
            disk.sync_dir(&format!("arb/{project}")).await?;
            let names = disk.list(&format!("arb/{project}")).await?;
            let aside = lease::files_before(&names);
            if aside > 0 || names.iter().any(|name| name.name == "lease") {
                self.leases.recover(&self.env, project, aside, retry_device).await?;
            }
            remove_unfinished_lease(disk, project, &names).await?;
            self.note_quarantined(project, &names);
            for name in names.iter().filter(|name| name.kind == FileType::Directory) {
                let Some(day) = Day::parse(&name.name) else { continue };
                match self.recover_day(project, day).await {
                    Ok(store) => {
                        self.leases.raise_floor(project, store.manifest.token).await;
                        self.days().insert((project, day), Arc::new(Mutex::new(store)));
                    }
                    Err(ArbFailure::Corrupt(what)) => {
                        self.note_corrupt(project, day, what);
                    }
                    Err(ArbFailure::Disk(what)) if !retry_device => {
                        self.note_corrupt(project, day, what);
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }

    async fn recover_day(&self, project: u32, day: Day) -> Result<DayStore<E>, ArbFailure> {
        let disk = self.env.disk();
        let dir = day_dir(project, day);
        let path = format!("{dir}/manifest");
        create_if_absent(disk, &path, MANIFEST_HEADER).await?;
        let (log, edits) = DurableLog::open(disk, &path, MANIFEST_HEADER, &self.untrusted).await?;
        let mut manifest = Manifest::default();
        for edit in edits {
            let edit: ManifestEdit = serde_json::from_slice(&edit)
                .map_err(|e| ArbFailure::Corrupt(format!("edit in {dir}/manifest: {e}")))?;
            manifest.apply(&edit)?;
        }
        let mut next_id = manifest.next_id;
        // After its first edit the manifest itself records the used ids.
        if manifest.version == 0 {
            next_id = next_id.max(self.first_id_after_quarantine(project, day).await?);
        }
        for entry in disk.list(&dir).await? {
            if entry.name == "manifest.tmp" {
                self.schedule_removal(project, day, vec![format!("{dir}/manifest.tmp")]);
            }
            let Some(id) = segment_id(&entry.name) else { continue };
            next_id = next_id.max(id + 1);
            if !manifest.live.contains_key(&id) || entry.name.ends_with(".tmp") {
                self.schedule_removal(project, day, vec![format!("{dir}/{}", entry.name)]);
            }
        }
        for entry in manifest.live.values().filter(|entry| !entry.sealed) {
            truncate_torn_tail(disk, (project, day), &format!("{dir}/{}.seg", entry.id)).await?;
        }
        disk.sync_dir(&dir).await?;
        if manifest.is_dirty() {
            lock(&self.dirty).insert((project, day));
        }
        let (open, failed_appends) = (BTreeMap::new(), BTreeMap::new());
        Ok(DayStore {
            project,
            day,
            manifest,
            log,
            open,
            failed_appends,
            next_id,
            digest: None,
            content_digest: None,
            verified: Some(Duration::ZERO),
        })
    }

    pub(super) fn days(&self) -> std::sync::MutexGuard<'_, DayMap<E>> {
        lock(&self.days)
    }

    /// Returns a day if it exists.
    ///
    /// # Errors
    /// The day is corrupt.
    pub(super) fn day(&self, project: u32, day: Day) -> Result<Option<SharedDay<E>>, ArbFailure> {
        if let Some(what) = lock(&self.corrupt).get(&(project, day)) {
            return Err(ArbFailure::Corrupt(what.clone()));
        }
        Ok(self.days().get(&(project, day)).cloned())
    }

    /// Refuses a day until it is quarantined and filled again.
    pub(super) fn note_corrupt(&self, project: u32, day: Day, what: String) {
        if lock(&self.corrupt).insert((project, day), what.clone()).is_none() {
            self.env.mark(Mark { name: marks::ARB_DAY_CORRUPT, subject: &what });
        }
    }

    /// Passes a result on, and marks the day as corrupt if it failed verification.
    pub(super) fn note_if_corrupt<T>(
        &self,
        project: u32,
        day: Day,
        read: Result<T, ArbFailure>,
    ) -> Result<T, ArbFailure> {
        if let Err(ArbFailure::Corrupt(what)) = &read {
            self.note_corrupt(project, day, what.clone());
        }
        read
    }

    /// Returns the corrupt days of a project.
    pub(super) fn corrupt_days(&self, project: u32) -> Vec<Day> {
        lock(&self.corrupt).keys().filter(|(p, _)| *p == project).map(|(_, day)| *day).collect()
    }

    /// Returns the days of a project that exist and are not known to be corrupt, in order.
    pub(super) fn intact_days_of(&self, project: u32) -> Vec<SharedDay<E>> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let corrupt = lock(&self.corrupt);
        let is_intact = |(of, _): &(&(u32, Day), _)| !corrupt.contains_key(*of);
        self.days().range(first..=last).filter(is_intact).map(|(_, day)| day.clone()).collect()
    }

    /// Returns the days of [`ArbStore::intact_days_of`] that are not known to be clean.
    pub(super) fn dirty_candidates(&self, project: u32) -> Vec<SharedDay<E>> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let (corrupt, dirty, days) = (lock(&self.corrupt), lock(&self.dirty), self.days());
        let is_intact = dirty.range(first..=last).filter(|of| !corrupt.contains_key(*of));
        is_intact.filter_map(|of| days.get(of).cloned()).collect()
    }

    /// Returns the names of the days of [`ArbStore::intact_days_of`].
    pub(super) fn intact_days(&self, project: u32) -> Vec<Day> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let corrupt = lock(&self.corrupt);
        self.days()
            .range(first..=last)
            .map(|(of, _)| *of)
            .filter(|of| !corrupt.contains_key(of))
            .map(|(_, day)| day)
            .collect()
    }

    /// Returns a day, created if it does not exist. Its names are durable on return; its manifest is still empty.
    pub(super) async fn open_or_create_day(
        &self,
        project: u32,
        day: Day,
    ) -> Result<SharedDay<E>, ArbFailure> {
        if let Some(found) = self.day(project, day)? {
            return Ok(found);
        }
        let _creation_lock = self.creating.lock().await;
        if let Some(found) = self.day(project, day)? {
            return Ok(found);
        }
        let disk = self.env.disk();
        let project_dir = format!("arb/{project}");
        self.create_project_dir(project).await?;
        create_dir(disk, &day_dir(project, day)).await?;
        // The directory of an earlier attempt may hold a manifest or files, so it is recovered as after a boot. One that
        // fails verification must be known as corrupt, or no node would ever quarantine it.
        let recovered = self.recover_day(project, day).await;
        let store = self.note_if_corrupt(project, day, recovered)?;
        disk.sync_dir(&project_dir).await?;
        let store = Arc::new(Mutex::new(store));
        self.days().insert((project, day), store.clone());
        Ok(store)
    }
}

pub(super) async fn create_dir<D: Disk>(disk: &D, path: &str) -> Result<(), ArbFailure> {
    match disk.create_dir(path).await {
        Ok(()) => Ok(()),
        // The name may not be durable yet: the caller syncs the parent as for a new directory.
        Err(error) if error.kind == DiskErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes an unfinished lease file. `lease.tmp` may already be gone: it received its name, or the next file was
/// created.
async fn remove_unfinished_lease<D: Disk>(
    disk: &D,
    project: u32,
    names: &[DirEntry],
) -> Result<(), ArbFailure> {
    if !names.iter().any(|name| name.name == "lease.tmp") {
        return Ok(());
    }
    match disk.remove(&format!("arb/{project}/lease.tmp")).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(disk.sync_dir(&format!("arb/{project}")).await?)
}

/// Truncates what a crash left after the last whole frame of an open segment.
async fn truncate_torn_tail<D: Disk>(
    disk: &D,
    (project, day): (u32, Day),
    path: &str,
) -> Result<(), ArbFailure> {
    let file = disk.open(path, OpenMode::ReadWrite).await.map_err(|error| match error.kind {
        DiskErrorKind::NotFound => ArbFailure::Corrupt(format!("{path} is live and missing")),
        _ => ArbFailure::from(error),
    })?;
    let size = file.size_bytes().await?;
    let bytes = read_full(&file, 0, size).await?;
    let scan = scan_blocks(&bytes, SEGMENT_HEADER_BYTES.min(bytes.len()), project, day);
    match scan.end {
        // Data that an earlier process wrote and never synced is readable and may still be lost.
        ScanEnd::Clean => Ok(file.sync().await?),
        ScanEnd::CorruptMiddle { .. } => {
            Err(ArbFailure::Corrupt(format!("{path} at byte {}", scan.valid_bytes)))
        }
        ScanEnd::TornTail { .. } => {
            file.truncate(scan.valid_bytes as u64).await?;
            Ok(file.sync().await?)
        }
    }
}

/// Parses the id from the name of a segment, finished or not.
pub(super) fn segment_id(name: &str) -> Option<u64> {
    name.split_once(".seg")?.0.parse().ok()
}

/// Returns the directory of a day.
#[must_use]
pub fn day_dir(project: u32, day: Day) -> String {
    format!("arb/{project}/{day}")
}

/// Encodes the header of a segment file.
#[must_use]
pub fn segment_header(tier: Tier, project: u32, day: Day, id: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(SEGMENT_HEADER_BYTES);
    out.put_slice(SEGMENT_MAGIC);
    out.put_u16_le(tier as u16);
    out.put_u16_le(0);
    out.put_u32_le(project);
    out.put_i32_le(day.0);
    out.put_u64_le(id);
    let crc = frame::crc32c(&out);
    out.put_u32_le(crc);
    out.freeze()
}

/// Checks a segment's header against the expected project and day. `path` is used in errors.
pub fn check_segment_header(bytes: &Bytes, project: u32, day: Day, path: &str) -> Result<Tier, ArbFailure> {
    let bad = |what: &str| ArbFailure::Corrupt(format!("{path}: {what}"));
    if bytes.len() < SEGMENT_HEADER_BYTES || !bytes.starts_with(SEGMENT_MAGIC) {
        return Err(bad("no segment header"));
    }
    let mut rest = bytes.slice(8..SEGMENT_HEADER_BYTES);
    let (tier, _zero) = (rest.get_u16_le(), rest.get_u16_le());
    let (found_project, found_day, _id) = (rest.get_u32_le(), rest.get_i32_le(), rest.get_u64_le());
    if rest.get_u32_le() != frame::crc32c(&bytes[..28]) {
        return Err(bad("checksum of the segment header"));
    }
    if (found_project, found_day) != (project, day.0) {
        return Err(bad("segment of another day"));
    }
    Tier::from_number(tier).ok_or_else(|| bad("unknown tier"))
}

/// Returns the id in a segment's header, which must have been checked.
pub(super) fn segment_header_id(bytes: &Bytes) -> u64 {
    bytes.get(20..28).map_or(0, |mut id| id.get_u64_le())
}

/// Returns the manifest entry of a sealed file with these bytes.
pub(super) fn sealed_entry(id: u64, tier: Tier, bytes: &[u8], records: u64) -> FileEntry {
    let hash = blake3::hash(bytes).to_hex().to_string();
    FileEntry { id, tier, sealed: true, bytes: bytes.len() as u64, records, hash }
}

pub(super) fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
