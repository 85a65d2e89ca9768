//! Property of the pure core: whatever files a day consists of, the runs of a job keep every key. The planted bug of
//! the 2016 incident loses keys exactly when a job has two runs.
//!
//! Modelled without a disk: a file is the set of its keys. A worker plans the day, and commits run after run as
//! `compaction::worker` does; events may arrive between the plan and a commit.

use bytes::Bytes;
use latent_pipeline::arb::manifest::{FileEntry, Manifest, Tier};
use latent_pipeline::compaction::plan::plan_day;
use latent_pipeline::config::CompactionConfig;
use latent_pipeline::merge::merge;
use latent_pipeline::record::{ArrivalId, Record};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A day: its manifest, and the contents of each file.
#[derive(Clone, Debug, Default)]
struct DayModel {
    manifest: Manifest,
    files: BTreeMap<u64, Vec<Record>>,
}

fn record(key: u8, sequence: u64) -> Record {
    let arrival = ArrivalId { edge: 0, sequence, item: 0 };
    Record {
        arrival,
        repair: 0,
        arrived_ms: sequence as i64,
        time_ms: i64::from(key),
        key: [key; 16],
        json: Bytes::new(),
    }
}

impl DayModel {
    fn add(&mut self, tier: Tier, keys: &[u8]) {
        let id = self.manifest.next_id;
        let mut edit = self.manifest.next_edit(0);
        edit.add.push(entry(id, tier, keys.len()));
        edit.next_id = id + 1;
        self.manifest.apply(&edit).unwrap();
        let first = id * 1_000;
        self.files.insert(id, (first..).zip(keys).map(|(sequence, key)| record(*key, sequence)).collect());
    }

    fn live(&self) -> impl Iterator<Item = &Record> {
        self.manifest.live.keys().flat_map(|id| &self.files[id])
    }

    fn keys(&self) -> BTreeSet<u8> {
        self.live().map(|record| record.key[0]).collect()
    }

    fn compacted(&self) -> Vec<u64> {
        let entries = self.manifest.live.values();
        entries.filter(|entry| entry.tier == Tier::Compacted).map(|entry| entry.id).collect()
    }

    fn run(&mut self, inputs: &[u64], keep: &[u64]) {
        let records = inputs.iter().flat_map(|id| self.files[id].clone()).collect();
        let merged = merge(records);
        let id = self.manifest.next_id;
        let outputs = if merged.is_empty() { vec![] } else { vec![entry(id, Tier::Compacted, merged.len())] };
        let edit = self.manifest.commit_run(1, inputs, keep, outputs);
        self.manifest.apply(&edit).unwrap();
        self.files.insert(id, merged);
    }

    /// A job; `arrivals` come one before each commit. Returns the number of planned runs.
    fn job(&mut self, overwrites: bool, arrivals: &[(bool, Vec<u8>)]) -> usize {
        let config = CompactionConfig { two_runs_from_events: 6, ..CompactionConfig::default() };
        let files: Vec<FileEntry> = self.manifest.live.values().cloned().collect();
        let plan = plan_day(&files, &config);
        let mut live = self.compacted();
        for (at, run) in plan.iter().enumerate() {
            if let Some((late, keys)) = arrivals.get(at) {
                self.add(if *late { Tier::Late } else { Tier::OnTime }, keys);
            }
            let keep: Vec<u64> = live.iter().copied().filter(|id| !run.inputs.contains(id)).collect();
            self.run(&run.inputs, &keep);
            if !overwrites {
                live = self.compacted();
            }
        }
        plan.len()
    }
}

fn entry(id: u64, tier: Tier, records: usize) -> FileEntry {
    FileEntry { id, tier, sealed: true, bytes: 1, records: records as u64, hash: String::new() }
}

/// Files as they arrive: whether late, and their keys.
fn files(most: usize) -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    proptest::collection::vec((any::<bool>(), proptest::collection::vec(0u8..40, 1..6)), 0..most)
}

fn day_of(files: &[(bool, Vec<u8>)]) -> DayModel {
    let mut day = DayModel::default();
    for (late, keys) in files {
        day.add(if *late { Tier::Late } else { Tier::OnTime }, keys);
    }
    day
}

proptest! {
    #[test]
    fn jobs_keep_every_key_whatever_arrives_during_them(nights in proptest::collection::vec((files(6), files(3)), 1..5)) {
        let mut day = DayModel::default();
        let mut sent: BTreeSet<u8> = BTreeSet::new();
        for (before, meanwhile) in nights {
            for (late, keys) in &before {
                day.add(if *late { Tier::Late } else { Tier::OnTime }, keys);
            }
            let runs = day.job(false, &meanwhile);
            sent.extend(before.iter().chain(&meanwhile[..runs.min(meanwhile.len())]).flat_map(|(_, keys)| keys));
            prop_assert_eq!(day.keys(), sent.clone());
        }
        // Later arrivals are merged by the next night's job; then nothing is left to do, and no key occurs twice in one
        // file (it may in the outputs of two runs: an export shows it once).
        day.job(false, &[]);
        prop_assert_eq!(day.keys(), sent);
        prop_assert_eq!(day.job(false, &[]), 0);
        for id in day.manifest.live.keys() {
            let keys: BTreeSet<u8> = day.files[id].iter().map(|record| record.key[0]).collect();
            prop_assert_eq!(keys.len(), day.files[id].len());
        }
    }

    #[test]
    fn the_planted_bug_loses_the_first_runs_keys_exactly_when_there_are_two_runs(first in files(8)) {
        let mut day = day_of(&first);
        let sent = day.keys();
        let on_time = |late: bool| first.iter().filter(move |(l, _)| *l == late).flat_map(|(_, keys)| keys.clone());
        let runs = day.job(true, &[]);
        let left = if runs == 2 { on_time(false).collect() } else { sent };
        prop_assert_eq!(day.keys(), left);
    }

    #[test]
    fn a_worker_interrupted_between_its_runs_leaves_a_day_that_the_next_job_completes(first in files(8)) {
        let mut day = day_of(&first);
        let sent = day.keys();
        let files: Vec<FileEntry> = day.manifest.live.values().cloned().collect();
        let config = CompactionConfig { two_runs_from_events: 6, ..CompactionConfig::default() };
        if let Some(run) = plan_day(&files, &config).first() {
            day.run(&run.inputs, &[]);
        }
        prop_assert_eq!(day.keys(), sent.clone());
        day.job(false, &[]);
        prop_assert_eq!(day.keys(), sent);
        prop_assert!(day.manifest.live.values().all(|file| file.tier == Tier::Compacted));
    }
}
