//! Putting records in the place of those that a recovery found to be wrong.
//!
//! A record is known by its arrival id, and the one of the higher repair is right. Every segment that holds an older
//! one is written again, in its tier, with the right one in its place: the copies durable first, then one edit that
//! removes the old segments and adds the copies. A crash leaves all of it or nothing; done twice it changes nothing. A
//! compaction run that read the old segments is refused when it commits, since its inputs are no longer live, and is
//! tried again.

use super::api::ArbFailure;
use super::manifest::{FileEntry, Tier};
use super::store::{DayStore, Store};
use crate::compaction::merge::merge;
use crate::record::{ArrivalId, Record, decode_block};
use latent_ports::{Disk, Env, Mark};
use std::collections::BTreeMap;

impl<E: Env> Store<E> {
    /// Replaces the records of these arrivals. The caller holds the day, and knows that they are there.
    pub(super) async fn replace(
        &self,
        day: &mut DayStore<E>,
        later: &BTreeMap<ArrivalId, Record>,
    ) -> Result<(), ArbFailure> {
        self.seal(day, None).await?;
        let mut made = Vec::new();
        let replaced = self.write_copies(day, later, &mut made).await;
        if replaced.is_err() {
            // Perhaps the edit is in after all: retiring asks the manifest.
            let paths = made.iter().map(|id| day.path(*id)).flat_map(|path| [format!("{path}.tmp"), path]);
            self.retire(day.project, day.day, paths.collect());
        }
        replaced
    }

    async fn write_copies(
        &self,
        day: &mut DayStore<E>,
        later: &BTreeMap<ArrivalId, Record>,
        made: &mut Vec<u64>,
    ) -> Result<(), ArbFailure> {
        let (mut copies, mut removed) = (Vec::new(), Vec::new());
        let live: Vec<FileEntry> = day.manifest.live.values().cloned().collect();
        for entry in live {
            let mut records = Vec::new();
            for block in self.read_segment(day, &entry).await?.blocks {
                decode_block(&block, &mut records)?;
            }
            if !put_in_place(&mut records, later) {
                continue;
            }
            if entry.tier == Tier::Compacted {
                // Another time or key may be right, and with it another place in the order.
                records = merge(records);
            }
            let place = day.next_place(entry.tier, made);
            copies.push(self.write_output(&place, &records).await?);
            removed.push(entry.id);
        }
        self.env.disk().sync_dir(&day.dir()).await?;
        let mut edit = day.manifest.next_edit(0);
        edit.next_id = copies.iter().fold(edit.next_id, |next, copy| next.max(copy.id + 1));
        (edit.add, edit.remove) = (copies, removed);
        day.commit(&edit).await?;
        let gone = edit.remove.iter().map(|id| day.path(*id)).collect();
        self.retire(day.project, day.day, gone);
        self.env.mark(Mark { name: "arb.replaced", subject: &day.dir() });
        Ok(())
    }
}

/// Puts the later record of an arrival in the place of each earlier one. Returns whether there was any.
fn put_in_place(records: &mut [Record], later: &BTreeMap<ArrivalId, Record>) -> bool {
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
