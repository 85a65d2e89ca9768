//! The disk's part of a compaction run: read the inputs, merge them, write the output, commit.
//!
//! The day stays open for writes all the while: inputs are sealed first, and what arrives later goes into
//! other segments. Order: outputs durable under a temporary name, renamed, the directory synced, then the
//! manifest's edit under a token that is still the newest; the inputs go after the grace time.

use super::api::ArbFailure;
use super::manifest::{FileEntry, Tier};
use super::store::{DayStore, Store, sealed_entry, segment_header};
use crate::compaction::merge::{merge, split};
use crate::record::{Record, block_bytes, decode_block, encode_framed_block};
use crate::release::Bug;
use crate::zone::Day;
use bytes::{Bytes, BytesMut};
use latent_edge::frame::FRAME_HEAD_BYTES;
use latent_ports::{Disk, Env, File, Mark, OpenMode};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Events per block of a compacted segment.
const RECORDS_PER_BLOCK: usize = 256;

impl<E: Env> Store<E> {
    /// Carries out one run. Returns the compacted files that are live afterwards.
    pub async fn run(
        &self,
        project: u32,
        day: Day,
        token: u64,
        inputs: &[u64],
        keep: &[u64],
    ) -> Result<Vec<u64>, ArbFailure> {
        self.leases.check(project, token).await?;
        let subject = format!("p{project}/{day}");
        let day = self
            .day(project, day)?
            .ok_or_else(|| ArbFailure::Refused(format!("{subject} does not exist")))?;
        let mut made = Vec::new();
        let run = Run { token, inputs, keep, subject };
        let ran = self.merge_and_commit(&day, &run, &mut made).await;
        let mut day = day.lock().await;
        if ran.is_err() {
            // Perhaps an input cannot be read: whoever compares copies next must not be told what it once held.
            day.digest = None;
            // Whatever it made is an orphan, unless it went in after all: retiring asks the manifest.
            let paths = made.iter().map(|id| day.path(*id)).flat_map(|path| [format!("{path}.tmp"), path]);
            self.retire(project, day.day, paths.collect());
        }
        self.noting(project, day.day, ran)?;
        Ok(day.manifest.live.values().filter(|e| e.tier == Tier::Compacted).map(|e| e.id).collect())
    }

    /// `made` takes the ids of the files that were begun.
    async fn merge_and_commit(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        run: &Run<'_>,
        made: &mut Vec<u64>,
    ) -> Result<(), ArbFailure> {
        let records = self.read_inputs(day, run.inputs).await?;
        self.env.mark(Mark { name: "compaction.merging", subject: &run.subject });
        let mut merged = merge(records);
        if self.boot.release.has(Bug::CompactionAltersEvent) {
            // Events take less space as they are printed than as clients wrote them.
            for record in &mut merged {
                if let Ok(event) = serde_json::from_slice::<serde_json::Value>(&record.json) {
                    record.json = event.to_string().into();
                }
            }
        }
        let parts = || split(&merged, self.boot.cluster.compaction.output_max_bytes);
        let mut outputs = Vec::new();
        for part in parts() {
            let place = day.lock().await.next_place(Tier::Compacted, made);
            outputs.push(self.write_output(&place, part).await?);
        }
        let mut day = day.lock().await;
        // The same order may have come twice, and its other run been quicker: a second output for the same inputs
        // would be a compacted file that the worker, who was answered by the first, knows nothing of.
        still_live(&day, run.inputs)?;
        if outputs.iter().any(|output| output.id < day.manifest.next_id) {
            // Segments were opened meanwhile, and ids only rise: written again, now that none can come between.
            let earlier = made.iter().map(|id| day.path(*id)).collect();
            self.retire(day.project, day.day, earlier);
            outputs.clear();
            for part in parts() {
                let place = day.next_place(Tier::Compacted, made);
                outputs.push(self.write_output(&place, part).await?);
            }
        }
        self.env.disk().sync_dir(&day.dir()).await?;
        self.env.mark(Mark { name: "compaction.output-durable", subject: &run.subject });
        self.leases.check(day.project, run.token).await?;
        self.commit_run(&mut day, run, outputs).await
    }

    async fn read_inputs(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        inputs: &[u64],
    ) -> Result<Vec<Record>, ArbFailure> {
        let mut day = day.lock().await;
        still_live(&day, inputs)?;
        self.seal(&mut day, Some(inputs)).await?;
        let mut records = Vec::new();
        for id in inputs {
            let Some(entry) = day.manifest.live.get(id) else { continue };
            for block in self.read_segment(&day, entry).await?.blocks {
                decode_block(&block, &mut records)?;
            }
        }
        Ok(records)
    }

    /// Writes a whole segment, durably but for its name.
    pub(super) async fn write_output(
        &self,
        place: &Place,
        records: &[Record],
    ) -> Result<FileEntry, ArbFailure> {
        let Place { id, tier, path, .. } = place;
        let (id, bytes) = (*id, encode_segment(place, records)?);
        let entry = sealed_entry(id, *tier, &bytes, records.len() as u64);
        let disk = self.env.disk();
        let temporary = format!("{path}.tmp");
        let file = disk.open(&temporary, OpenMode::CreateNew).await?;
        file.append(bytes).await?;
        file.sync().await?;
        disk.rename(&temporary, path).await?;
        Ok(entry)
    }

    async fn commit_run(
        &self,
        day: &mut DayStore<E>,
        run: &Run<'_>,
        outputs: Vec<FileEntry>,
    ) -> Result<(), ArbFailure> {
        let subject = run.subject.as_str();
        let edit = day.manifest.commit_run(run.token, run.inputs, run.keep, outputs);
        day.commit(&edit).await?;
        let gone = edit.remove.iter().map(|id| day.path(*id)).collect();
        self.retire(day.project, day.day, gone);
        self.env.mark(Mark { name: "compaction.committed", subject });
        if edit.compactions > 1 {
            self.env.mark(Mark { name: "compaction.second-run", subject });
        }
        if edit.compactions > 2 {
            self.env.mark(Mark { name: "compaction.third-run", subject });
        }
        Ok(())
    }
}

fn still_live<E: Env>(day: &DayStore<E>, inputs: &[u64]) -> Result<(), ArbFailure> {
    match inputs.iter().find(|id| !day.manifest.live.contains_key(id)) {
        Some(gone) => Err(ArbFailure::Refused(format!("run: file {gone} of {} is not live", day.dir()))),
        None => Ok(()),
    }
}

/// One run as it was ordered.
struct Run<'a> {
    token: u64,
    inputs: &'a [u64],
    keep: &'a [u64],
    subject: String,
}

/// Where an output goes.
pub(super) struct Place {
    project: u32,
    day: Day,
    id: u64,
    tier: Tier,
    path: String,
    header: Bytes,
}

impl<E: Env> DayStore<E> {
    pub(super) fn next_place(&mut self, tier: Tier, made: &mut Vec<u64>) -> Place {
        let id = self.next_id;
        self.next_id += 1;
        made.push(id);
        let (project, day) = (self.project, self.day);
        Place { project, day, id, tier, path: self.path(id), header: segment_header(tier, project, day, id) }
    }
}

fn encode_segment(place: &Place, records: &[Record]) -> Result<Bytes, ArbFailure> {
    // The exact length: a buffer that grows by doubling would be kept with its slack as long as the file.
    let blocks = records.chunks(RECORDS_PER_BLOCK).map(|block| FRAME_HEAD_BYTES + block_bytes(block));
    let mut out = BytesMut::with_capacity(place.header.len() + blocks.sum::<usize>());
    out.extend_from_slice(&place.header);
    for block in records.chunks(RECORDS_PER_BLOCK) {
        out.extend_from_slice(&encode_framed_block(place.project, place.day, block)?);
    }
    Ok(out.freeze())
}
