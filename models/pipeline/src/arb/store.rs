//! The days on one disk: what is open, what is live, and how they come back after a crash.
//!
//! A day has one lock: appends, seals and commits of a day wait for each other, merges do not hold it. Nothing
//! is written to a segment that another incarnation of this process left open; it is cut at its torn tail and
//! read as it is.

use super::api::ArbFailure;
use super::lease::{self, Leases};
use super::log::{Distrusted, DurableLog, create_if_absent};
use super::manifest::{Edit, FileEntry, Manifest, Tier};
use super::retire::Retired;
use crate::config::Boot;
use crate::record::{SetDigest, scan_blocks};
use crate::zone::Day;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_edge::frame::{self, End};
use latent_ports::{DirEntry, Disk, DiskErrorKind, Env, File, FileType, Mark, OpenMode, read_full};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Mutex;

pub(super) const MANIFEST_HEADER: &[u8] = b"LARBMAN1";
const SEGMENT_MAGIC: &[u8; 8] = b"LARBSEG1";
/// Length of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = 32;

pub(super) type FileOf<E> = <<E as Env>::Disk as Disk>::File;

/// A segment that this incarnation appends to.
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
    /// By tier; only those that this incarnation created and whose end it knows.
    pub open: BTreeMap<Tier, OpenSegment<FileOf<E>>>,
    /// Segments whose last append failed, and how long they were durable before it: what stands behind that is
    /// not read, and is cut off before the segment is sealed.
    pub cut_off: BTreeMap<u64, u64>,
    /// Greater than every id that a file in the directory ever had, live or not.
    pub next_id: u64,
    /// Digest of all keys, and the state it was taken of: version and bytes of open segments.
    pub digest: Option<(u64, u64, i64, SetDigest)>,
    /// Digest of all that its records say, and the state it was taken of: version and bytes of open segments.
    pub content_digest: Option<(u64, u64, SetDigest)>,
    /// When all of it was last read and verified (monotonic, at first this boot); `None` when it must be at the next
    /// comparison.
    pub verified: Option<Duration>,
}

impl<E: Env> DayStore<E> {
    pub fn dir(&self) -> String {
        day_dir(self.project, self.day)
    }

    pub fn path(&self, id: u64) -> String {
        format!("{}/{id}.seg", self.dir())
    }

    /// How much of a segment that this incarnation wrote is durable; `None` where another wrote its end.
    pub fn durable_bytes(&self, id: u64) -> Option<u64> {
        let open = || self.open.values().find(|segment| segment.id == id).map(|segment| segment.bytes);
        self.cut_off.get(&id).copied().or_else(open)
    }

    /// Makes an edit durable, then lets it count.
    pub async fn commit(&mut self, edit: &Edit) -> Result<(), ArbFailure> {
        // Not `Corrupt`: what is on the disk is sound, this edit does not fit it.
        let misfit = |error| ArbFailure::Refused(format!("{}: {error}", self.dir()));
        self.manifest.check(edit).map_err(misfit)?;
        let text = serde_json::to_vec(edit).map_err(|e| ArbFailure::Refused(format!("edit: {e}")))?;
        if let Err(error) = self.log.append(&text).await {
            // Perhaps the device can no longer read the block that the end lies in: then no edit will ever fit in.
            self.verified = None;
            return Err(error);
        }
        self.manifest.apply(edit)?;
        self.next_id = self.next_id.max(self.manifest.next_id);
        Ok(())
    }

    /// Makes durable which ids are used, where so far only the name of a directory that was set aside says it.
    pub async fn remember_ids(&mut self) -> Result<(), ArbFailure> {
        if self.manifest.version > 0 {
            return Ok(());
        }
        let mut edit = self.manifest.next_edit(0);
        edit.next_id = self.next_id;
        self.commit(&edit).await
    }

    /// Whether a file of this day has not been through a compaction.
    pub fn is_dirty(&self) -> bool {
        self.manifest.is_dirty()
    }
}

/// A day, and its lock.
pub(super) type SharedDay<E> = Arc<Mutex<DayStore<E>>>;
type Days<E> = BTreeMap<(u32, Day), SharedDay<E>>;

/// The Arb part of one node.
pub struct Store<E: Env> {
    pub(super) env: E,
    pub(super) boot: Boot,
    pub(super) leases: Leases<E>,
    pub(super) retired: Retired,
    /// A hostile release has struck: see [`crate::hostile`].
    pub(super) lies: AtomicBool,
    days: StdMutex<Days<E>>,
    /// Every dirty day, and days that were dirty when they were asked for last: a nightly job looks at these alone. Changed
    /// only by the holder of the day's lock.
    pub(super) dirty: StdMutex<BTreeSet<(u32, Day)>>,
    /// Days whose manifest does not verify: refused until they are repaired.
    pub(super) corrupt: StdMutex<BTreeMap<(u32, Day), String>>,
    /// Days of which a directory was set aside and is still there.
    pub(super) aside: StdMutex<BTreeSet<(u32, Day)>>,
    pub(super) creating: Mutex<()>,
    distrusted: Distrusted,
}

impl<E: Env> Store<E> {
    /// Opens the disk, cuts torn tails, and notes what is to be cleaned up. With `patient` unset a file that the device
    /// cannot read counts as corrupt: its day is refused until it is filled from other copies, and the rest serves.
    pub async fn recover(
        env: E,
        boot: Boot,
        patient: bool,
        distrusted: &Distrusted,
    ) -> Result<Arc<Self>, ArbFailure> {
        let store = Store {
            env,
            boot,
            leases: Leases::new(distrusted),
            retired: Retired::default(),
            lies: AtomicBool::new(false),
            days: StdMutex::default(),
            dirty: StdMutex::default(),
            corrupt: StdMutex::default(),
            aside: StdMutex::default(),
            creating: Mutex::new(()),
            distrusted: distrusted.clone(),
        };
        let disk = store.env.disk();
        match disk.create_dir("arb").await {
            Ok(()) => {}
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {
                store.recover_projects(patient).await?
            }
            Err(error) => return Err(error.into()),
        }
        disk.sync_dir("").await?;
        Ok(Arc::new(store))
    }

    async fn recover_projects(&self, patient: bool) -> Result<(), ArbFailure> {
        let disk = self.env.disk();
        // Names that an earlier process made and never synced are there and may still be lost.
        disk.sync_dir("arb").await?;
        for entry in disk.list("arb").await? {
            let Ok(project) = entry.name.parse::<u32>() else { continue };
            disk.sync_dir(&format!("arb/{project}")).await?;
            let names = disk.list(&format!("arb/{project}")).await?;
            let aside = lease::files_before(&names);
            if aside > 0 || names.iter().any(|name| name.name == "lease") {
                self.leases.recover(&self.env, project, aside, patient).await?;
            }
            remove_unfinished_lease(disk, project, &names).await?;
            self.note_asides(project, &names);
            for name in names.iter().filter(|name| name.kind == FileType::Directory) {
                let Some(day) = Day::parse(&name.name) else { continue };
                match self.recover_day(project, day).await {
                    Ok(store) => {
                        self.leases.pass_over(project, store.manifest.token).await;
                        self.days().insert((project, day), Arc::new(Mutex::new(store)));
                    }
                    Err(ArbFailure::Corrupt(what)) => {
                        self.note_corrupt(project, day, what);
                    }
                    Err(ArbFailure::Disk(what)) if !patient => {
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
        let (log, edits) = DurableLog::open(disk, &path, MANIFEST_HEADER, &self.distrusted).await?;
        let mut manifest = Manifest::default();
        for edit in edits {
            let edit: Edit = serde_json::from_slice(&edit)
                .map_err(|e| ArbFailure::Corrupt(format!("edit in {dir}/manifest: {e}")))?;
            manifest.apply(&edit)?;
        }
        let mut next_id = manifest.next_id;
        // From its first edit on the manifest itself says which ids are used.
        if manifest.version == 0 {
            next_id = next_id.max(self.first_id_after_set_aside(project, day).await?);
        }
        for entry in disk.list(&dir).await? {
            if entry.name == "manifest.tmp" {
                self.retire(project, day, vec![format!("{dir}/manifest.tmp")]);
            }
            let Some(id) = segment_id(&entry.name) else { continue };
            next_id = next_id.max(id + 1);
            if !manifest.live.contains_key(&id) || entry.name.ends_with(".tmp") {
                self.retire(project, day, vec![format!("{dir}/{}", entry.name)]);
            }
        }
        for entry in manifest.live.values().filter(|entry| !entry.sealed) {
            cut_torn_tail(disk, (project, day), &format!("{dir}/{}.seg", entry.id)).await?;
        }
        disk.sync_dir(&dir).await?;
        if manifest.is_dirty() {
            lock(&self.dirty).insert((project, day));
        }
        let (open, cut_off) = (BTreeMap::new(), BTreeMap::new());
        Ok(DayStore {
            project,
            day,
            manifest,
            log,
            open,
            cut_off,
            next_id,
            digest: None,
            content_digest: None,
            verified: Some(Duration::ZERO),
        })
    }

    pub(super) fn days(&self) -> std::sync::MutexGuard<'_, Days<E>> {
        lock(&self.days)
    }

    /// A day that exists.
    pub(super) fn day(&self, project: u32, day: Day) -> Result<Option<SharedDay<E>>, ArbFailure> {
        if let Some(what) = lock(&self.corrupt).get(&(project, day)) {
            return Err(ArbFailure::Corrupt(what.clone()));
        }
        Ok(self.days().get(&(project, day)).cloned())
    }

    /// Refuses a day from now on, until it is set aside and filled again.
    pub(super) fn note_corrupt(&self, project: u32, day: Day, what: String) {
        if lock(&self.corrupt).insert((project, day), what.clone()).is_none() {
            self.env.mark(Mark { name: "arb.corrupt-day", subject: &what });
        }
    }

    /// Passes on what was read of a day, and refuses the day from now on if it does not verify.
    pub(super) fn noting<T>(
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

    /// Days of a project that do not verify.
    pub(super) fn corrupt_days(&self, project: u32) -> Vec<Day> {
        lock(&self.corrupt).keys().filter(|(p, _)| *p == project).map(|(_, day)| *day).collect()
    }

    /// The days of a project that exist and are not known to be corrupt, in order.
    pub(super) fn days_of(&self, project: u32) -> Vec<SharedDay<E>> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let corrupt = lock(&self.corrupt);
        let sound = |(of, _): &(&(u32, Day), _)| !corrupt.contains_key(*of);
        self.days().range(first..=last).filter(sound).map(|(_, day)| day.clone()).collect()
    }

    /// As [`Store::days_of`], without days that are known to be clean.
    pub(super) fn maybe_dirty_days_of(&self, project: u32) -> Vec<SharedDay<E>> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let (corrupt, dirty, days) = (lock(&self.corrupt), lock(&self.dirty), self.days());
        let sound = dirty.range(first..=last).filter(|of| !corrupt.contains_key(*of));
        sound.filter_map(|of| days.get(of).cloned()).collect()
    }

    /// As [`Store::days_of`], by name.
    pub(super) fn sound_days(&self, project: u32) -> Vec<Day> {
        let (first, last) = ((project, Day(i32::MIN)), (project, Day(i32::MAX)));
        let corrupt = lock(&self.corrupt);
        self.days()
            .range(first..=last)
            .map(|(of, _)| *of)
            .filter(|of| !corrupt.contains_key(of))
            .map(|(_, day)| day)
            .collect()
    }

    /// A day, created if need be. Its names are durable when this returns, its manifest is still empty.
    pub(super) async fn day_or_new(&self, project: u32, day: Day) -> Result<SharedDay<E>, ArbFailure> {
        if let Some(found) = self.day(project, day)? {
            return Ok(found);
        }
        let _one_at_a_time = self.creating.lock().await;
        if let Some(found) = self.day(project, day)? {
            return Ok(found);
        }
        let disk = self.env.disk();
        let project_dir = format!("arb/{project}");
        self.make_project_dir(project).await?;
        create_dir(disk, &day_dir(project, day)).await?;
        // A directory of an earlier attempt may hold a manifest or files: read it as after a boot.
        let store = self.recover_day(project, day).await?;
        disk.sync_dir(&project_dir).await?;
        let store = Arc::new(Mutex::new(store));
        self.days().insert((project, day), store.clone());
        Ok(store)
    }
}

pub(super) async fn create_dir<D: Disk>(disk: &D, path: &str) -> Result<(), ArbFailure> {
    match disk.create_dir(path).await {
        Ok(()) => Ok(()),
        // Its name may not be durable yet: the caller syncs the parent as if it were new.
        Err(error) if error.kind == DiskErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes a lease file that was not finished. `lease.tmp` may be gone already: it got its name, or the next one was begun.
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

/// Cuts what a crash left behind the last whole frame of an open segment.
async fn cut_torn_tail<D: Disk>(disk: &D, (project, day): (u32, Day), path: &str) -> Result<(), ArbFailure> {
    let file = disk.open(path, OpenMode::ReadWrite).await.map_err(|error| match error.kind {
        DiskErrorKind::NotFound => ArbFailure::Corrupt(format!("{path} is live and missing")),
        _ => ArbFailure::from(error),
    })?;
    let size = file.size_bytes().await?;
    let bytes = read_full(&file, 0, size).await?;
    let scan = scan_blocks(&bytes, SEGMENT_HEADER_BYTES.min(bytes.len()), project, day);
    match scan.end {
        // What an earlier process wrote and never synced reads well and may still be lost.
        End::Clean => Ok(file.sync().await?),
        End::CorruptMiddle { .. } => Err(ArbFailure::Corrupt(format!("{path} at byte {}", scan.valid_bytes))),
        End::TornTail { .. } => {
            file.truncate(scan.valid_bytes as u64).await?;
            Ok(file.sync().await?)
        }
    }
}

/// The id in the name of a segment or of one that is being written.
pub(super) fn segment_id(name: &str) -> Option<u64> {
    name.split_once(".seg")?.0.parse().ok()
}

/// Directory of a day.
#[must_use]
pub fn day_dir(project: u32, day: Day) -> String {
    format!("arb/{project}/{day}")
}

/// Header of a segment file.
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

/// Checks a segment's header against what its name says; `path` is for the error.
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

/// The id in a segment's header, which was checked.
pub(super) fn segment_header_id(bytes: &Bytes) -> u64 {
    bytes.get(20..28).map_or(0, |mut id| id.get_u64_le())
}

/// Entry of a file whose bytes are known.
pub(super) fn sealed_entry(id: u64, tier: Tier, bytes: &[u8], records: u64) -> FileEntry {
    let hash = blake3::hash(bytes).to_hex().to_string();
    FileEntry { id, tier, sealed: true, bytes: bytes.len() as u64, records, hash }
}

pub(super) fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
