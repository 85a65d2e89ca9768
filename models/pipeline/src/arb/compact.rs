//! The disk's part of a compaction run: reads the inputs, merges them, writes the output and commits.
//!
//! The day stays open for writes: inputs are sealed first, and later arrivals go into other segments. Order: the
//! outputs are made durable under a temporary name and renamed, the directory is synced, then the manifest edit is
//! written under a token that is still the newest. The inputs are removed after the grace period.

use super::api::ArbFailure;
use super::day_store::DayStore;
use super::manifest::{FileEntry, Tier};
use super::segment::{sealed_entry, segment_header};
use super::store::ArbStore;
use crate::marks;
use crate::merge::{merge_of_release, split};
use crate::record::{Record, block_bytes, decode_block, encode_framed_block};
use crate::release::Bug;
use crate::zone::Day;
use bytes::{Bytes, BytesMut};
use latent_ports::{Disk, Env, Mark};
use latent_storekit::frame::FRAME_HEAD_BYTES;
use latent_storekit::replace_file::{Leftover, NameSync, replace_file};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Events per block of a compacted segment.
const RECORDS_PER_BLOCK: usize = 256;

impl<E: Env> ArbStore<E> {
    /// Executes one run. Returns the compacted files that are live afterwards.
    pub async fn run(
        &self,
        project: u32,
        day: Day,
        token: u64,
        inputs: &[u64],
        keep: &[u64],
    ) -> Result<Vec<u64>, ArbFailure> {
        let is_fenced_off = self.check_token(project, token).await?;
        let (subject, date) = (format!("p{project}/{day}"), day);
        let day = self
            .day(project, day)?
            .ok_or_else(|| ArbFailure::Refused(format!("{subject} does not exist")))?;
        let mut created_ids = Vec::new();
        let run = CompactionRun { project, date, token, inputs, keep, subject, is_fenced_off };
        let ran = self.merge_and_commit(&day, &run, &mut created_ids).await;
        let mut day = day.lock().await;
        if ran.is_err() {
            // An input may be unreadable: the next comparison must not use the cached digest.
            day.digest = None;
            // Files of a failed run are orphans unless the commit succeeded after all; garbage collection checks the
            // manifest.
            let paths =
                created_ids.iter().map(|id| day.path(*id)).flat_map(|path| [format!("{path}.tmp"), path]);
            self.schedule_removal(project, day.day, paths.collect());
        }
        self.note_if_corrupt(project, day.day, ran)?;
        Ok(day.manifest.live.values().filter(|e| e.tier == Tier::Compacted).map(|e| e.id).collect())
    }

    /// `created_ids` receives the ids of the files that were started.
    async fn merge_and_commit(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        run: &CompactionRun<'_>,
        created_ids: &mut Vec<u64>,
    ) -> Result<(), ArbFailure> {
        let records = self.read_inputs(day, run).await?;
        self.env.mark(Mark { name: marks::COMPACTION_MERGING, subject: &run.subject });
        let mut merged = merge_of_release(&self.env, &self.boot.release, records);
        if self.boot.release.has(Bug::CompactionAltersEvent) {
            // Planted bug: events take less space as re-serialized JSON than as sent.
            for record in &mut merged {
                let Ok(event) = serde_json::from_slice::<serde_json::Value>(&record.json) else { continue };
                let shorter = event.to_string();
                if shorter.as_bytes() != record.json.as_ref() {
                    self.boot.release.reached(&self.env, Bug::CompactionAltersEvent);
                    record.json = shorter.into();
                }
            }
        }
        self.dedupe_without_name(&mut merged);
        if self.boot.release.has(Bug::ZoneEditMovesDays) {
            self.move_to_days_of_present_zone(run.project, run.date, &mut merged).await?;
        }
        let parts = || split(&merged, self.boot.cluster.compaction.output_max_bytes);
        let mut outputs = Vec::new();
        for part in parts() {
            let output_file = day.lock().await.allocate_output(Tier::Compacted, created_ids);
            outputs.push(self.write_output(&output_file, part).await?);
        }
        let mut day = day.lock().await;
        // The request may have arrived twice, and its other execution may have finished first. A second output for the
        // same inputs would be a compacted file that the worker does not know about.
        let is_live = ensure_live(&day, run.inputs);
        if is_live.is_err() && self.boot.release.has(Bug::ReplanAfterCrash) {
            // Planted bug: the inputs were live when the merge began.
            self.boot.release.reached(&self.env, Bug::ReplanAfterCrash);
        } else if !run.is_fenced_off {
            is_live?;
        }
        if outputs.iter().any(|output| output.id < day.manifest.next_id) {
            // Segments were opened in the meantime, and ids only increase. The outputs are written again under the
            // lock, with new ids.
            let earlier = created_ids.iter().map(|id| day.path(*id)).collect();
            self.schedule_removal(day.project, day.day, earlier);
            outputs.clear();
            for part in parts() {
                let output_file = day.allocate_output(Tier::Compacted, created_ids);
                outputs.push(self.write_output(&output_file, part).await?);
            }
        }
        if !outputs.is_empty() && self.boot.release.has(Bug::RenameWithoutDirsync) {
            // Planted bug: the bytes are durable. The commit names files that a power loss takes.
            self.boot.release.reached(&self.env, Bug::RenameWithoutDirsync);
        } else {
            self.env.disk().sync_dir(&day.dir()).await?;
        }
        self.env.mark(Mark { name: marks::COMPACTION_OUTPUT_DURABLE, subject: &run.subject });
        self.check_token(day.project, run.token).await?;
        self.commit_run(&mut day, run, outputs).await
    }

    /// Refuses a token that is not the newest. Returns whether a planted bug lets it pass all the same.
    async fn check_token(&self, project: u32, token: u64) -> Result<bool, ArbFailure> {
        match self.leases.check(project, token).await {
            Err(ArbFailure::StaleToken { .. }) if self.boot.release.has(Bug::TwoCompactors) => {
                // Planted bug: the worker held the lease when it planned the run.
                self.boot.release.reached(&self.env, Bug::TwoCompactors);
                Ok(true)
            }
            checked => checked.map(|()| false),
        }
    }

    async fn read_inputs(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        run: &CompactionRun<'_>,
    ) -> Result<Vec<Record>, ArbFailure> {
        let mut day = day.lock().await;
        if !run.is_fenced_off {
            ensure_live(&day, run.inputs)?;
        }
        self.seal(&mut day, Some(run.inputs)).await?;
        let (mut records, mut blocks) = (Vec::new(), Vec::new());
        for id in run.inputs {
            let Some(entry) = day.manifest.live.get(id) else { continue };
            let segment = match self.read_segment(&day, entry).await {
                Err(ArbFailure::Disk(_)) if self.boot.release.has(Bug::ErrorIsEof) => {
                    // Planted bug: where no more can be read, the input ends.
                    self.boot.release.reached(&self.env, Bug::ErrorIsEof);
                    continue;
                }
                read => read?,
            };
            if segment.blocks.is_empty() {
                blocks.push((entry.tier, records.len()));
            }
            for block in segment.blocks {
                decode_block(&block, &mut records)?;
                blocks.push((entry.tier, records.len()));
            }
        }
        self.drop_from_inputs(&mut records, &blocks);
        Ok(records)
    }

    /// Writes a whole segment durably, except for its name.
    pub(super) async fn write_output(
        &self,
        output_file: &OutputFile,
        records: &[Record],
    ) -> Result<FileEntry, ArbFailure> {
        let OutputFile { id, tier, path, .. } = output_file;
        let (id, bytes) = (*id, encode_segment(output_file, records)?);
        let entry = sealed_entry(id, *tier, &bytes, records.len() as u64);
        // Ids are never used twice, so no temporary file of this name exists.
        replace_file(self.env.disk(), path, bytes, Leftover::Refuse, NameSync::ByCaller).await?;
        Ok(entry)
    }

    async fn commit_run(
        &self,
        day: &mut DayStore<E>,
        run: &CompactionRun<'_>,
        outputs: Vec<FileEntry>,
    ) -> Result<(), ArbFailure> {
        let (subject, release) = (run.subject.as_str(), &self.boot.release);
        let mut edit = day.manifest.commit_run(run.token, run.inputs, run.keep, outputs);
        if release.has(Bug::ArrivalsDuringCompaction) {
            // Planted bug: a run has merged all segments of its inputs' tiers.
            let live = &day.manifest.live;
            let tiers: BTreeSet<Tier> =
                run.inputs.iter().filter_map(|id| live.get(id)).map(|entry| entry.tier).collect();
            let arrived = |e: &&FileEntry| {
                e.tier != Tier::Compacted && tiers.contains(&e.tier) && !run.inputs.contains(&e.id)
            };
            let arrived: Vec<u64> = live.values().filter(arrived).map(|entry| entry.id).collect();
            if !arrived.is_empty() {
                release.reached(&self.env, Bug::ArrivalsDuringCompaction);
                day.open.retain(|_, segment| !arrived.contains(&segment.id));
                edit.remove.extend(arrived);
            }
        }
        if release.has(Bug::ReplanAfterCrash) {
            // Planted bug: what another execution has removed needs no removal.
            edit.remove.retain(|id| day.manifest.live.contains_key(id));
        }
        let gone = edit.remove.iter().map(|id| day.path(*id)).collect();
        if release.has(Bug::DeleteNotAtomic) && !edit.remove.is_empty() {
            // Planted bug: the removal is an edit of its own.
            let mut removal = day.manifest.next_edit(run.token);
            removal.remove = std::mem::take(&mut edit.remove);
            day.commit(&removal).await?;
            release.reached(&self.env, Bug::DeleteNotAtomic);
            edit.version += 1;
        }
        day.commit(&edit).await?;
        self.schedule_removal(day.project, day.day, gone);
        self.env.mark(Mark { name: marks::COMPACTION_COMMITTED, subject });
        if edit.compactions > 1 {
            self.env.mark(Mark { name: marks::COMPACTION_SECOND_RUN, subject });
        }
        if edit.compactions > 2 {
            self.env.mark(Mark { name: marks::COMPACTION_THIRD_RUN, subject });
        }
        Ok(())
    }
}

fn ensure_live<E: Env>(day: &DayStore<E>, inputs: &[u64]) -> Result<(), ArbFailure> {
    match inputs.iter().find(|id| !day.manifest.live.contains_key(id)) {
        Some(gone) => Err(ArbFailure::Refused(format!("run: file {gone} of {} is not live", day.dir()))),
        None => Ok(()),
    }
}

/// Parameters of one run.
struct CompactionRun<'a> {
    project: u32,
    date: Day,
    token: u64,
    inputs: &'a [u64],
    keep: &'a [u64],
    subject: String,
    /// Whether the token was stale when the run began, and a planted bug let it pass.
    is_fenced_off: bool,
}

/// Destination of an output.
pub(super) struct OutputFile {
    project: u32,
    day: Day,
    id: u64,
    tier: Tier,
    path: String,
    header: Bytes,
}

impl<E: Env> DayStore<E> {
    pub(super) fn allocate_output(&mut self, tier: Tier, created_ids: &mut Vec<u64>) -> OutputFile {
        let id = self.next_id;
        self.next_id += 1;
        created_ids.push(id);
        let (project, day) = (self.project, self.day);
        OutputFile {
            project,
            day,
            id,
            tier,
            path: self.path(id),
            header: segment_header(tier, project, day, id),
        }
    }
}

fn encode_segment(output_file: &OutputFile, records: &[Record]) -> Result<Bytes, ArbFailure> {
    // Exact length: a buffer that grows by doubling would be kept with its slack as long as the file.
    let blocks = records.chunks(RECORDS_PER_BLOCK).map(|block| FRAME_HEAD_BYTES + block_bytes(block));
    let mut out = BytesMut::with_capacity(output_file.header.len() + blocks.sum::<usize>());
    out.extend_from_slice(&output_file.header);
    for block in records.chunks(RECORDS_PER_BLOCK) {
        out.extend_from_slice(&encode_framed_block(output_file.project, output_file.day, block)?);
    }
    Ok(out.freeze())
}
