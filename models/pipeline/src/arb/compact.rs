//! The disk's part of a compaction run: read the inputs, merge them, write the output, commit.
//!
//! The day stays open for writes all the while: inputs are sealed first, and what arrives later goes into
//! other segments. Order: outputs durable under a temporary name, renamed, the directory synced, then the
//! manifest's edit under a token that is still the newest; the inputs go after the grace time.

use super::api::ArbFailure;
use super::manifest::{FileEntry, Tier};
use super::store::{DayStore, Store, sealed_entry, segment_header};
use crate::compaction::merge::{merge, split};
use crate::record::{Record, decode_block, encode_framed_block};
use crate::zone::Day;
use bytes::{Bytes, BytesMut};
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
        let records = self.read_inputs(&day, inputs).await?;
        self.env.mark(Mark { name: "compaction.merging", subject: &subject });
        let merged = merge(records);
        let mut outputs = Vec::new();
        for part in split(&merged, self.boot.cluster.compaction.output_max_bytes) {
            outputs.push(self.write_output(&day, part).await?);
        }
        let mut day = day.lock().await;
        self.env.disk().sync_dir(&day.dir()).await?;
        self.env.mark(Mark { name: "compaction.output-durable", subject: &subject });
        self.leases.check(project, token).await?;
        self.commit_run(&mut day, token, inputs, keep, outputs, &subject).await?;
        Ok(day.manifest.live.values().filter(|e| e.tier == Tier::Compacted).map(|e| e.id).collect())
    }

    async fn read_inputs(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        inputs: &[u64],
    ) -> Result<Vec<Record>, ArbFailure> {
        let mut day = day.lock().await;
        if let Some(gone) = inputs.iter().find(|id| !day.manifest.live.contains_key(id)) {
            return Err(ArbFailure::Refused(format!("run: file {gone} of {} is not live", day.dir())));
        }
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

    async fn write_output(
        &self,
        day: &Arc<Mutex<DayStore<E>>>,
        records: &[Record],
    ) -> Result<FileEntry, ArbFailure> {
        let (id, path, header) = {
            let mut day = day.lock().await;
            let id = day.next_id;
            day.next_id += 1;
            (id, day.path(id), segment_header(Tier::Compacted, day.project, day.day, id))
        };
        let bytes = encode_segment(&header, records)?;
        let entry = sealed_entry(id, Tier::Compacted, &bytes, records.len() as u64);
        let disk = self.env.disk();
        let temporary = format!("{path}.tmp");
        let file = disk.open(&temporary, OpenMode::CreateNew).await?;
        file.append(bytes).await?;
        file.sync().await?;
        disk.rename(&temporary, &path).await?;
        Ok(entry)
    }

    async fn commit_run(
        &self,
        day: &mut DayStore<E>,
        token: u64,
        inputs: &[u64],
        keep: &[u64],
        outputs: Vec<FileEntry>,
        subject: &str,
    ) -> Result<(), ArbFailure> {
        let edit = day.manifest.commit_run(token, inputs, keep, outputs);
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

fn encode_segment(header: &Bytes, records: &[Record]) -> Result<Bytes, ArbFailure> {
    let mut out = BytesMut::from(header.as_ref());
    for block in records.chunks(RECORDS_PER_BLOCK) {
        out.extend_from_slice(&encode_framed_block(block)?);
    }
    Ok(out.freeze())
}
