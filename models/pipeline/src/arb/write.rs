//! Durable appends to a day.
//!
//! Order for a new segment: its bytes are made durable, then its name, then the manifest edit, so a manifest never
//! names a file that a crash could lose. After a failed append or sync a segment's end is unknown: the segment is not
//! appended to again, is read up to its earlier durable length, and the next write opens another segment.

use super::api::{ArbFailure, WriteBlock};
use super::day_store::{DayStore, FailedEdits, FileOf, OpenSegment};
use super::manifest::{FileEntry, Tier};
use super::segment::{SEGMENT_HEADER_BYTES, segment_header};
use super::store::{ArbStore, lock};
use crate::marks;
use crate::record::{ArrivalId, Record, decode_block, encode_framed_block, scan_blocks};
use crate::release::Bug;
use crate::zone::Day;
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskError, Env, File, Mark, OpenMode};
use latent_storekit::frame::ScanEnd;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

impl<E: Env> ArbStore<E> {
    /// Appends the frames of `body`, each to its day and tier. Returns how many events a replay skipped.
    pub async fn write(
        &self,
        project: u32,
        parts: &[WriteBlock],
        skip_present: bool,
        body: &Bytes,
    ) -> Result<u64, ArbFailure> {
        let mut at = 0usize;
        let mut skipped = 0;
        for part in parts {
            let end = at + part.frame_bytes as usize;
            if end > body.len() || part.tier == Tier::Compacted {
                return Err(ArbFailure::Refused(format!(
                    "write: block of {} bytes at {at} of {}",
                    part.frame_bytes,
                    body.len()
                )));
            }
            let framed = body.slice(at..end);
            at = end;
            let block = only_frame(&framed, project, part.day)
                .ok_or_else(|| ArbFailure::Refused("write: block fails its checksum".to_owned()))?;
            let day = self.open_or_create_day(project, part.day).await?;
            skipped += self.write_part(&day, part, skip_present, &block, framed).await?;
        }
        Ok(skipped)
    }

    async fn write_part(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        part: &WriteBlock,
        skip_present: bool,
        block: &Bytes,
        framed: Bytes,
    ) -> Result<u64, ArbFailure> {
        let mut locked = day.lock().await;
        let project = locked.project;
        // The day may have been quarantined while this call waited for the lock; a write to it would be lost.
        if !self.day(project, part.day)?.is_some_and(|present| Arc::ptr_eq(&present, day)) {
            return Err(ArbFailure::Refused(format!("{} was set aside", locked.dir())));
        }
        lock(&self.dirty).insert((project, part.day));
        if skip_present {
            let skipped = self.append_absent(&mut locked, part.tier, block, framed).await;
            return self.note_if_corrupt(project, part.day, skipped);
        }
        let release = &self.boot.release;
        if release.has(Bug::LateRefused) && part.tier == Tier::Late && locked.manifest.compactions > 0 {
            // Planted bug: the day is over.
            release.reached(&self.env, Bug::LateRefused);
            return Ok(0);
        }
        if release.has(Bug::FutureTimePoisons)
            && part.tier == Tier::OnTime
            && let Some((framed, records)) = self.drop_too_old(project, part.day, block)?
        {
            if records > 0 {
                self.append(&mut locked, part.tier, framed, records as u64).await?;
            }
            return Ok(0);
        }
        self.append(&mut locked, part.tier, framed, block_records(block)).await?;
        Ok(0)
    }

    async fn append_absent(
        &self,
        day: &mut DayStore<E>,
        tier: Tier,
        block: &Bytes,
        framed: Bytes,
    ) -> Result<u64, ArbFailure> {
        let mut present: BTreeMap<ArrivalId, u16> = BTreeMap::new();
        for record in self.read_records(day).await? {
            let repair = present.entry(record.arrival).or_default();
            *repair = record.repair.max(*repair);
        }
        let mut records: Vec<Record> = Vec::new();
        decode_block(block, &mut records)?;
        let is_later = |r: &&Record| present.get(&r.arrival).is_some_and(|repair| r.repair > *repair);
        let later: BTreeMap<ArrivalId, Record> =
            records.iter().filter(is_later).map(|record| (record.arrival, record.clone())).collect();
        if !later.is_empty() {
            self.replace_records(day, &later).await?;
        }
        let before = records.len();
        records.retain(|record| !present.contains_key(&record.arrival));
        let left_out = before - records.len();
        if !records.is_empty() {
            // Unchanged if nothing was skipped, so that all disks share the bytes.
            let framed =
                if left_out == 0 { framed } else { encode_framed_block(day.project, day.day, &records)? };
            self.append(day, tier, framed, records.len() as u64).await?;
        }
        Ok((left_out - later.len()) as u64)
    }

    async fn append(
        &self,
        day: &mut DayStore<E>,
        tier: Tier,
        framed: Bytes,
        records: u64,
    ) -> Result<(), ArbFailure> {
        let full = self.boot.cluster.compaction.output_max_bytes;
        match day.open.remove(&tier) {
            Some(mut segment) if segment.bytes < full => {
                let len = framed.len() as u64;
                // During the append the segment is not in `open`, so an error leaves it closed permanently.
                if let Err(error) = self.append_durably(&segment.file, framed).await {
                    day.failed_appends.insert(segment.id, segment.bytes);
                    day.digest = None;
                    return Err(error.into());
                }
                segment.bytes += len;
                segment.records += records;
                day.open.insert(tier, segment);
                Ok(())
            }
            _ => self.append_to_new(day, tier, framed, records).await,
        }
    }

    async fn append_to_new(
        &self,
        day: &mut DayStore<E>,
        tier: Tier,
        framed: Bytes,
        records: u64,
    ) -> Result<(), ArbFailure> {
        let now = self.env.clock().monotonic();
        if day.unnamed.is_backing_off(now) {
            // Each attempt would leave a file until its grace time ends, for as long as the manifest takes no edit.
            return Err(ArbFailure::Disk(format!("{}/manifest failed a moment ago", day.dir())));
        }
        let id = day.next_id;
        day.next_id += 1;
        let opened = self.open_segment(day, id, tier, framed, records).await;
        if opened.is_err() {
            day.unnamed.failed(now);
            self.schedule_removal(day.project, day.day, vec![day.path(id)]);
        } else {
            day.unnamed = FailedEdits::default();
        }
        opened
    }

    async fn open_segment(
        &self,
        day: &mut DayStore<E>,
        id: u64,
        tier: Tier,
        framed: Bytes,
        records: u64,
    ) -> Result<(), ArbFailure> {
        let file = self.env.disk().open(&day.path(id), OpenMode::CreateNew).await?;
        let bytes = (SEGMENT_HEADER_BYTES + framed.len()) as u64;
        file.append(segment_header(tier, day.project, day.day, id)).await?;
        self.append_durably(&file, framed).await?;
        self.env.disk().sync_dir(&day.dir()).await?;
        let mut edit = day.manifest.next_edit(0);
        edit.add.push(FileEntry { id, tier, sealed: false, bytes: 0, records: 0, hash: String::new() });
        edit.next_id = edit.next_id.max(id + 1);
        day.commit(&edit).await?;
        day.open.insert(tier, OpenSegment { id, file, bytes, records });
        self.env.mark(Mark { name: marks::ARB_SEGMENT_OPENED, subject: "" });
        Ok(())
    }

    async fn append_durably(&self, file: &FileOf<E>, bytes: Bytes) -> Result<(), DiskError> {
        file.append(bytes).await?;
        let synced = file.sync().await;
        if synced.is_err() && self.boot.release.has(Bug::RetryFailedFsync) {
            // Planted bug: a sync that succeeds has written everything.
            file.sync().await?;
            self.boot.release.reached(&self.env, Bug::RetryFailedFsync);
            return Ok(());
        }
        synced
    }
}

/// Returns the record count in a block's header.
fn block_records(block: &Bytes) -> u64 {
    block.first_chunk::<4>().map_or(0, |count| u64::from(u32::from_le_bytes(*count)))
}

/// Returns the payload of the only frame in `framed`.
fn only_frame(framed: &Bytes, project: u32, day: Day) -> Option<Bytes> {
    let mut scan = scan_blocks(framed, 0, project, day);
    (scan.end == ScanEnd::Clean && scan.payloads.len() == 1).then(|| scan.payloads.remove(0))
}
