//! Reads of a day: whole live files, verified. Data that fails verification is never skipped.

use super::api::{ArbFailure, DayFiles};
use super::day_store::DayStore;
use super::manifest::{FileEntry, Tier};
use super::planted::without_bad_frames;
use super::segment::{SEGMENT_HEADER_BYTES, check_segment_header, sealed_entry, segment_header_id};
use super::store::{ArbStore, lock};
use crate::marks;
use crate::record::{Key, Record, SetDigest, content_digest, decode_block, each_record, scan_blocks};
use crate::release::Bug;
use crate::zone::Day;
use bytes::Bytes;
use latent_ports::{Disk, DiskErrorKind, Env, File, Mark, OpenMode, read_full};
use latent_storekit::frame::{FRAME_HEAD_BYTES, ScanEnd};

/// Verified contents of one segment.
pub(super) struct SegmentBytes {
    pub whole: Bytes,
    pub blocks: Vec<Bytes>,
}

impl SegmentBytes {
    /// Returns the end of the last whole frame.
    fn end_bytes(&self) -> usize {
        SEGMENT_HEADER_BYTES + self.blocks.iter().map(|block| block.len() + FRAME_HEAD_BYTES).sum::<usize>()
    }
}

impl<E: Env> ArbStore<E> {
    /// Reads and verifies a live file. If this process wrote the end of the file, everything up to there must verify: a
    /// bad last frame is then damage, although it looks like a write that a crash cut short.
    pub(super) async fn read_segment(
        &self,
        day: &DayStore<E>,
        entry: &FileEntry,
    ) -> Result<SegmentBytes, ArbFailure> {
        let whole = self.read_whole(day, entry).await?;
        let verified = verify_read(day, entry, whole.clone());
        if matches!(verified, Err(ArbFailure::Corrupt(_)))
            && self.boot.release.has(Bug::BadChecksumSkipped)
            && let Some((whole, blocks)) = without_bad_frames(&whole, day.project, day.day)
        {
            // Planted bug: what can be read is better than nothing.
            self.boot.release.reached(&self.env, Bug::BadChecksumSkipped);
            return Ok(SegmentBytes { whole, blocks });
        }
        verified
    }

    async fn read_whole(&self, day: &DayStore<E>, entry: &FileEntry) -> Result<Bytes, ArbFailure> {
        let path = day.path(entry.id);
        let file = self.env.disk().open(&path, OpenMode::Read).await.map_err(|error| match error.kind {
            DiskErrorKind::NotFound => ArbFailure::Corrupt(format!("{path} is live and missing")),
            _ => ArbFailure::from(error),
        })?;
        let size = match day.durable_bytes(entry.id) {
            // Data that was never durable is not returned: a crash could lose it.
            Some(durable_bytes) => durable_bytes,
            None => file.size_bytes().await?,
        };
        Ok(read_full(&file, 0, size).await?)
    }

    /// Reads all records of a day, including duplicates of one key.
    pub(super) async fn read_records(&self, day: &DayStore<E>) -> Result<Vec<Record>, ArbFailure> {
        let mut records = Vec::new();
        for entry in day.manifest.live.values() {
            for block in self.read_segment(day, entry).await?.blocks {
                decode_block(&block, &mut records)?;
            }
        }
        Ok(records)
    }

    /// Returns a day's blocks as frames, for another node.
    pub async fn read_day(&self, project: u32, day: Day) -> Result<Bytes, ArbFailure> {
        let Some(day) = self.day(project, day)? else { return Ok(Bytes::new()) };
        let mut day = day.lock().await;
        let mut out = Vec::new();
        let live: Vec<FileEntry> = day.manifest.live.values().cloned().collect();
        for entry in &live {
            let read = self.read_segment(&day, entry).await;
            if read.is_err() {
                // The next comparison must not use the cached digest.
                day.digest = None;
            }
            let segment = self.note_if_corrupt(project, day.day, read)?;
            out.extend_from_slice(&segment.whole[SEGMENT_HEADER_BYTES..segment.end_bytes()]);
        }
        Ok(Bytes::from(out))
    }

    /// Returns the digest of a day's distinct keys among events that arrived before the cut.
    pub async fn digest(
        &self,
        project: u32,
        day: Day,
        arrived_before_ms: i64,
    ) -> Result<SetDigest, ArbFailure> {
        let Some(day) = self.day(project, day)? else { return Ok(SetDigest::of(&mut Vec::new())) };
        let mut locked = day.lock().await;
        let digest = self.digest_of(&mut locked, arrived_before_ms).await;
        self.note_if_corrupt(project, locked.day, digest)
    }

    pub(super) async fn digest_of(
        &self,
        day: &mut DayStore<E>,
        before_ms: i64,
    ) -> Result<SetDigest, ArbFailure> {
        let open_bytes: u64 = day.open.values().map(|segment| segment.bytes).sum();
        if let Some((version, bytes, newest_ms, digest)) = day.digest
            && (version, bytes) == (day.manifest.version, open_bytes)
            && newest_ms < before_ms
        {
            return Ok(digest);
        }
        let (mut keys, mut repairs, mut newest_ms) = (Vec::<Key>::new(), Vec::new(), i64::MIN);
        for entry in day.manifest.live.values() {
            for block in self.read_segment(day, entry).await?.blocks {
                each_record(&block, |head, _| {
                    newest_ms = newest_ms.max(head.arrived_ms);
                    if head.arrived_ms < before_ms {
                        keys.push(head.key);
                        repairs.extend((head.repair > 0).then_some((head.arrival, head.repair)));
                    }
                })?;
            }
        }
        let digest = SetDigest::with_repairs(&mut keys, &mut repairs);
        if newest_ms < before_ms {
            day.digest = Some((day.manifest.version, open_bytes, newest_ms, digest));
        }
        Ok(digest)
    }

    /// Returns the digest of a day's full contents: equal where two disks hold the same records, in whatever files.
    pub async fn content_digest(&self, project: u32, day: Day) -> Result<SetDigest, ArbFailure> {
        // The audit asks for it: a digest in memory must not stand for a day that was removed under this process.
        self.note_missing_dirs(project).await?;
        let Some(day) = self.day(project, day)? else { return Ok(SetDigest::of(&mut Vec::new())) };
        let mut locked = day.lock().await;
        let open_bytes: u64 = locked.open.values().map(|segment| segment.bytes).sum();
        let state = (locked.manifest.version, open_bytes);
        if let Some((version, bytes, digest)) = locked.content_digest
            && (version, bytes) == state
        {
            return Ok(digest);
        }
        let records = self.read_records(&locked).await;
        let records = self.note_if_corrupt(project, locked.day, records)?;
        let digest = SetDigest::of(&mut records.iter().map(content_digest).collect());
        locked.content_digest = Some((state.0, state.1, digest));
        Ok(digest)
    }

    /// Lists the files of a project's days; open files with their present size.
    pub async fn day_files(&self, project: u32, dirty_only: bool) -> Result<Vec<DayFiles>, ArbFailure> {
        let mut out = Vec::new();
        let days = if dirty_only { self.dirty_candidates(project) } else { self.intact_days_of(project) };
        if dirty_only && self.boot.release.has(Bug::PoisonSegmentStopsCompaction) {
            self.stop_at_a_corrupt_day(project, &days).await?;
        }
        for day in days {
            let day = day.lock().await;
            if dirty_only && !day.is_dirty() {
                lock(&self.dirty).remove(&(project, day.day));
            } else {
                let described = match self.describe(&day).await {
                    // The device is asked again once before the day is left out.
                    Err(ArbFailure::Disk(_)) => self.describe(&day).await,
                    described => described,
                };
                match self.note_if_corrupt(project, day.day, described) {
                    Ok(described) => out.push(described),
                    // Anti-entropy handles the day; the other days are compacted in the meantime.
                    Err(ArbFailure::Corrupt(_) | ArbFailure::Disk(_)) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(out)
    }

    async fn describe(&self, day: &DayStore<E>) -> Result<DayFiles, ArbFailure> {
        let mut files = Vec::with_capacity(day.manifest.live.len());
        for entry in day.manifest.live.values() {
            let mut entry = entry.clone();
            if let Some(open) = day.open.values().find(|open| open.id == entry.id) {
                (entry.bytes, entry.records) = (open.bytes, open.records);
            } else if !entry.sealed {
                let segment = self.read_segment(day, &entry).await?;
                entry.bytes = segment.whole.len() as u64;
                entry.records = count_records(&segment.blocks)?;
            }
            files.push(entry);
        }
        Ok(DayFiles { day: day.day, version: day.manifest.version, files, digest: None })
    }

    /// Seals open files of a day: those in `only`, or all. Their bytes never change afterwards.
    pub(super) async fn seal(&self, day: &mut DayStore<E>, only: Option<&[u64]>) -> Result<(), ArbFailure> {
        let wanted = |id: &u64| only.is_none_or(|only| only.contains(id));
        let open: Vec<FileEntry> =
            day.manifest.live.values().filter(|e| !e.sealed && wanted(&e.id)).cloned().collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut edit = day.manifest.next_edit(0);
        for entry in open {
            let segment = self.read_segment(day, &entry).await?;
            day.open.retain(|_, segment| segment.id != entry.id);
            let valid = segment.end_bytes();
            if valid < segment.whole.len() || day.failed_appends.contains_key(&entry.id) {
                self.truncate_tail(day, entry.id, valid as u64).await?;
                day.failed_appends.remove(&entry.id);
            }
            let records = count_records(&segment.blocks)?;
            edit.add.push(sealed_entry(entry.id, entry.tier, &segment.whole[..valid], records));
        }
        day.commit(&edit).await
    }

    /// Truncates what a failed append left after the last whole frame, before the file is sealed.
    async fn truncate_tail(&self, day: &DayStore<E>, id: u64, valid: u64) -> Result<(), ArbFailure> {
        let file = self.env.disk().open(&day.path(id), OpenMode::ReadWrite).await?;
        file.truncate(valid).await?;
        file.sync().await?;
        self.env.mark(Mark { name: marks::ARB_TAIL_TRUNCATED, subject: "" });
        Ok(())
    }

    /// Reads the bytes of one live file.
    pub async fn fetch(&self, project: u32, day: Day, id: u64) -> Result<Bytes, ArbFailure> {
        let gone = || ArbFailure::Refused(format!("p{project}/{day}: file {id} does not exist"));
        let store = self.day(project, day)?.ok_or_else(gone)?;
        let (path, entry) = {
            let store = store.lock().await;
            (store.path(id), store.manifest.live.get(&id).cloned())
        };
        let file = match self.env.disk().open(&path, OpenMode::Read).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                if entry.is_none() && self.boot.release.has(Bug::BackupUnpinned) && self.is_pinned(project) {
                    self.boot.release.reached(&self.env, Bug::BackupUnpinned);
                }
                return Err(gone());
            }
            other => other?,
        };
        let size = file.size_bytes().await?;
        let bytes = read_full(&file, 0, size).await?;
        match entry {
            Some(entry) if entry.sealed && blake3::hash(&bytes).to_hex().as_str() != entry.hash => {
                let what = format!("{path} does not match the hash in its manifest");
                self.note_if_corrupt(project, day, Err(ArbFailure::Corrupt(what)))
            }
            _ => Ok(bytes),
        }
    }
}

/// Verifies the bytes of a live file, up to the end that this process wrote.
fn verify_read<E: Env>(
    day: &DayStore<E>,
    entry: &FileEntry,
    whole: Bytes,
) -> Result<SegmentBytes, ArbFailure> {
    let path = day.path(entry.id);
    let segment = verify_segment(whole, day.project, day.day, &path, entry)?;
    match day.durable_bytes(entry.id) {
        Some(bytes) if segment.end_bytes() as u64 != bytes => {
            let what = format!("{path}: {} of {bytes} durable bytes verify", segment.end_bytes());
            Err(ArbFailure::Corrupt(what))
        }
        _ => Ok(segment),
    }
}

pub(super) fn count_records(blocks: &[Bytes]) -> Result<u64, ArbFailure> {
    let mut count = 0;
    for block in blocks {
        each_record(block, |_, _| count += 1)?;
    }
    Ok(count)
}

/// Verifies a whole segment against its header, its frames and its manifest entry.
pub(super) fn verify_segment(
    whole: Bytes,
    project: u32,
    day: Day,
    path: &str,
    entry: &FileEntry,
) -> Result<SegmentBytes, ArbFailure> {
    let tier: Tier = check_segment_header(&whole, project, day, path)?;
    let scan = scan_blocks(&whole, SEGMENT_HEADER_BYTES, project, day);
    let complete =
        scan.end == ScanEnd::Clean || (!entry.sealed && matches!(scan.end, ScanEnd::TornTail { .. }));
    if !complete {
        return Err(ArbFailure::Corrupt(format!("{path} at byte {}", scan.valid_bytes)));
    }
    if segment_header_id(&whole) != entry.id {
        return Err(ArbFailure::Corrupt(format!("{path}: segment of another name")));
    }
    if tier != entry.tier || (entry.sealed && whole.len() as u64 != entry.bytes) {
        return Err(ArbFailure::Corrupt(format!(
            "{path}: {} bytes, {} in its manifest",
            whole.len(),
            entry.bytes
        )));
    }
    Ok(SegmentBytes { whole, blocks: scan.payloads })
}
