//! Planted bugs of the store that need more than a line at their site; see `release`.

use super::api::{ArbFailure, WriteBlock};
use super::manifest::Tier;
use super::segment::SEGMENT_HEADER_BYTES;
use super::store::{ArbStore, lock};
use crate::record::{Record, decode_block, encode_framed_block, scan_blocks};
use crate::release::Bug;
use crate::zone::Day;
use bytes::{Bytes, BytesMut};
use latent_ports::{Clock, DirEntry, Disk, Env, FileType, UnixMs};
use latent_storekit::frame::ScanEnd;
use std::collections::{BTreeMap, BTreeSet};

/// Block of a run's inputs: the tier of its segment, and the end of its records among all of them.
pub(super) type BlockEnd = (Tier, usize);

const HOUR_MS: i64 = 3_600_000;

impl<E: Env> ArbStore<E> {
    /// Drops records between the reading of a run's inputs and their merge.
    pub(super) fn drop_from_inputs(&self, records: &mut Vec<Record>, blocks: &[BlockEnd]) {
        let release = &self.boot.release;
        if release.has(Bug::EmptyKeyEndsMerge) && end_at_empty_block(records, blocks) {
            release.reached(&self.env, Bug::EmptyKeyEndsMerge);
        }
        if release.has(Bug::BaseShardSkipped) && keep_hours_of_late_data(records, blocks) {
            release.reached(&self.env, Bug::BaseShardSkipped);
        }
    }

    /// Drops merged records that differ from another one only in the event's name.
    pub(super) fn dedupe_without_name(&self, merged: &mut Vec<Record>) {
        if !self.boot.release.has(Bug::CoarseDedupeKey) {
            return;
        }
        let (before, mut seen) = (merged.len(), BTreeSet::new());
        merged.retain(|record| identity_without_name(record).is_none_or(|identity| seen.insert(identity)));
        if merged.len() < before {
            self.boot.release.reached(&self.env, Bug::CoarseDedupeKey);
        }
    }

    /// Moves merged records of `day` to the days that they have in the project's present zone.
    pub(super) async fn move_to_days_of_present_zone(
        &self,
        project: u32,
        day: Day,
        merged: &mut Vec<Record>,
    ) -> Result<(), ArbFailure> {
        let Some(project_config) = self.boot.cluster.projects.get(&project) else { return Ok(()) };
        let now = self.env.clock().wall();
        let mut by_day: BTreeMap<Day, Vec<Record>> = BTreeMap::new();
        for record in std::mem::take(merged) {
            let of = project_config.zones.day(UnixMs(record.time_ms), now);
            by_day.entry(of).or_default().push(record);
        }
        *merged = by_day.remove(&day).unwrap_or_default();
        for (other, records) in by_day {
            self.boot.release.reached(&self.env, Bug::ZoneEditMovesDays);
            let framed = encode_framed_block(project, other, &records)?;
            let part = WriteBlock { day: other, tier: Tier::OnTime, frame_bytes: framed.len() as u32 };
            self.write(project, &[part], true, &framed).await?;
        }
        Ok(())
    }

    /// Drops events of an on-time block that are late by the newest event that this process has stored. Returns the
    /// rest with its number of records; `None` when none is dropped.
    pub(super) fn drop_too_old(
        &self,
        project: u32,
        day: Day,
        block: &Bytes,
    ) -> Result<Option<(Bytes, usize)>, ArbFailure> {
        let mut records: Vec<Record> = Vec::new();
        decode_block(block, &mut records)?;
        let newest_of_block = records.iter().map(|record| record.time_ms).max().unwrap_or(i64::MIN);
        let late_after_ms = self.boot.cluster.replication.late_after.as_millis() as i64;
        let limit_ms = {
            let mut newest_ms = lock(&self.newest_event_ms);
            let newest = newest_ms.entry(project).or_insert(i64::MIN);
            let limit_ms = newest.saturating_sub(late_after_ms);
            *newest = newest_of_block.max(*newest);
            limit_ms
        };
        let before = records.len();
        records.retain(|record| record.time_ms >= limit_ms);
        if records.len() == before {
            return Ok(None);
        }
        self.boot.release.reached(&self.env, Bug::FutureTimePoisons);
        Ok(Some((encode_framed_block(project, day, &records)?, records.len())))
    }

    /// Removes what has an unknown name in a project's directory: lease files and days in quarantine.
    pub(super) async fn remove_unknown(&self, project: u32, names: &mut Vec<DirEntry>) {
        let is_known = |name: &DirEntry| name.name.starts_with("lease") && !name.name.contains(".corrupt-");
        let unknown: Vec<DirEntry> = names
            .iter()
            .filter(|name| !is_known(name) && Day::parse(&name.name).is_none())
            .cloned()
            .collect();
        for name in unknown {
            let path = format!("arb/{project}/{}", name.name);
            let removed = match name.kind {
                FileType::File => self.env.disk().remove(&path).await,
                FileType::Directory => self.remove_quarantine_dir(&path).await,
            };
            if removed.is_ok() {
                self.boot.release.reached(&self.env, Bug::UnknownFormatIsGarbage);
                names.retain(|kept| *kept != name);
            }
        }
    }
}

/// Drops all records after the first block that has no key which an earlier block does not have. Returns whether the
/// merge loses something by that.
fn end_at_empty_block(records: &mut Vec<Record>, blocks: &[BlockEnd]) -> bool {
    let (mut seen, mut start) = (BTreeSet::new(), 0);
    for (_, end) in blocks {
        let new_keys = records[start..*end].iter().filter(|record| seen.insert(record.key)).count();
        if new_keys == 0 {
            let is_lost = |record: &Record| record.repair > 0 || !seen.contains(&record.key);
            let loses = records[*end..].iter().any(is_lost);
            records.truncate(*end);
            return loses;
        }
        start = *end;
    }
    false
}

/// Keeps the records of hours in which some record is not of a compacted segment. Returns whether others were dropped.
fn keep_hours_of_late_data(records: &mut Vec<Record>, blocks: &[BlockEnd]) -> bool {
    let hour = |record: &Record| record.time_ms.div_euclid(HOUR_MS);
    let (mut hours, mut start) = (BTreeSet::new(), 0);
    for (tier, end) in blocks {
        if *tier != Tier::Compacted {
            hours.extend(records[start..*end].iter().map(hour));
        }
        start = *end;
    }
    let before = records.len();
    records.retain(|record| hours.contains(&hour(record)));
    records.len() < before
}

/// Returns the parts of an event's identity without its name; `None` for an event without `$insert_id`.
fn identity_without_name(record: &Record) -> Option<(String, String)> {
    let event = serde_json::from_slice::<serde_json::Value>(&record.json).ok()?;
    let insert_id = event.pointer("/properties/$insert_id")?.to_string();
    let distinct_id = event.pointer("/properties/distinct_id").map(ToString::to_string);
    Some((distinct_id.unwrap_or_default(), insert_id))
}

/// Returns a segment without its bad frames, and the payloads of the others; `None` when it has no bad frame.
pub(super) fn without_bad_frames(whole: &Bytes, project: u32, day: Day) -> Option<(Bytes, Vec<Bytes>)> {
    let mut kept = whole.clone();
    loop {
        let scan = scan_blocks(&kept, SEGMENT_HEADER_BYTES.min(kept.len()), project, day);
        kept = match scan.end {
            ScanEnd::Clean if kept.len() == whole.len() => return None,
            ScanEnd::Clean => return Some((kept, scan.payloads)),
            ScanEnd::TornTail { at } => kept.slice(..at),
            ScanEnd::CorruptMiddle { at, next } => {
                let mut spliced = BytesMut::from(&kept[..at]);
                spliced.extend_from_slice(&kept[next..]);
                spliced.freeze()
            }
        };
    }
}
