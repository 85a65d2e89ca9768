//! Replaces records that a recovery found to be wrong.
//!
//! Records are identified by arrival id; the one with the higher repair number is right. Every segment that holds an
//! older record is rewritten in its tier with the right record: the new segments are made durable first, then one edit
//! removes the old segments and adds the new ones. The operation is atomic and idempotent. A compaction run that read
//! the old segments is refused at commit, since its inputs are no longer live, and is retried.

use super::api::ArbFailure;
use super::day_store::DayStore;
use super::manifest::{FileEntry, Tier};
use super::store::ArbStore;
use crate::marks;
use crate::merge::merge_of_release;
use crate::record::{ArrivalId, Record, decode_block};
use latent_ports::{Disk, Env, Mark};
use std::collections::BTreeMap;

impl<E: Env> ArbStore<E> {
    /// Replaces the records of these arrivals. The caller holds the day's lock, and the records are present.
    pub(super) async fn replace_records(
        &self,
        day: &mut DayStore<E>,
        later: &BTreeMap<ArrivalId, Record>,
    ) -> Result<(), ArbFailure> {
        self.seal(day, None).await?;
        let mut created_ids = Vec::new();
        let replaced = self.write_copies(day, later, &mut created_ids).await;
        if replaced.is_err() {
            // The edit may have succeeded after all; garbage collection checks the manifest.
            let paths =
                created_ids.iter().map(|id| day.path(*id)).flat_map(|path| [format!("{path}.tmp"), path]);
            self.schedule_removal(day.project, day.day, paths.collect());
        }
        replaced
    }

    async fn write_copies(
        &self,
        day: &mut DayStore<E>,
        later: &BTreeMap<ArrivalId, Record>,
        created_ids: &mut Vec<u64>,
    ) -> Result<(), ArbFailure> {
        let (mut copies, mut removed) = (Vec::new(), Vec::new());
        let live: Vec<FileEntry> = day.manifest.live.values().cloned().collect();
        for entry in live {
            let mut records = Vec::new();
            for block in self.read_segment(day, &entry).await?.blocks {
                decode_block(&block, &mut records)?;
            }
            if !substitute(&mut records, later) {
                continue;
            }
            if entry.tier == Tier::Compacted {
                // The right record may have another time or key, and so another position.
                records = merge_of_release(&self.env, &self.boot.release, records);
            }
            let output_file = day.allocate_output(entry.tier, created_ids);
            copies.push(self.write_output(&output_file, &records).await?);
            removed.push(entry.id);
        }
        self.env.disk().sync_dir(&day.dir()).await?;
        let mut edit = day.manifest.next_edit(0);
        edit.next_id = copies.iter().fold(edit.next_id, |next, copy| next.max(copy.id + 1));
        (edit.add, edit.remove) = (copies, removed);
        day.commit(&edit).await?;
        let gone = edit.remove.iter().map(|id| day.path(*id)).collect();
        self.schedule_removal(day.project, day.day, gone);
        self.env.mark(Mark { name: marks::ARB_EVENTS_REPLACED, subject: &day.dir() });
        Ok(())
    }
}

/// Substitutes the later record of an arrival for each earlier one. Returns whether any was substituted.
fn substitute(records: &mut [Record], later: &BTreeMap<ArrivalId, Record>) -> bool {
    let mut any = false;
    for record in records {
        if let Some(right) = later.get(&record.arrival)
            && right.repair > record.repair
        {
            *record = right.clone();
            any = true;
        }
    }
    any
}
