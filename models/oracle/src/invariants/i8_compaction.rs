//! I8: the de-duplicated union of a compaction's inputs is its output.
//!
//! A run is an edit that raises `compactions`: it removes the inputs and adds the output. Inputs stay in the directory
//! for a grace time, and the previous snapshot may have held them as live files. A run whose files are all gone cannot
//! be checked, and is reported as such: a check that could not run has not passed.
//!
//! On a disk that lost bytes to planned faults, inputs and output are the bytes that the manifest sealed, with what
//! faults changed since then undone. A run over an input that cannot be read has to fail: one that succeeds without
//! the unreadable events is reported. Such a run is skipped only if sealed bytes are gone altogether.
//!
//! Documented in docs/invariants.md#i8.

use super::quarantine::QuarantineTracker;
use super::{CheckContext, pluralize, violation};
use crate::content::DayContent;
use crate::decode_cache::DecodeCache;
use crate::identity::{DedupKey, ProjectDay};
use crate::reader::arb_path;
use crate::reader::manifest::ManifestEdit;
use crate::reader::segment::Segment;
use crate::snapshot::{ClusterSnapshot, DayReplica};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Difference between an output and the union of its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionDiff {
    /// Keys in the inputs and not in the output.
    pub lost: BTreeSet<DedupKey>,
    /// Keys in the output and not in any input.
    pub invented: BTreeSet<DedupKey>,
    /// Keys whose output content is in no input.
    pub altered: BTreeSet<DedupKey>,
    /// Keys whose output record is not the first to arrive.
    pub wrong_winner: BTreeSet<DedupKey>,
    /// Keys that are in the output more than once.
    pub twice: BTreeSet<DedupKey>,
}

/// Compares the inputs of one run with its output.
#[must_use]
pub fn compare(inputs: &DayContent, output: &DayContent) -> CompactionDiff {
    let mut difference = CompactionDiff::default();
    let mut came_out = output.events.iter().peekable();
    for went_in in &inputs.events {
        while let Some(one) = came_out.next_if(|one| one.key < went_in.key) {
            difference.invented.insert(one.key);
        }
        match came_out.next_if(|one| one.key == went_in.key) {
            None => drop(difference.lost.insert(went_in.key)),
            Some(one) => {
                let variants = inputs.variants.get(&one.key).into_iter().flatten();
                let mut input_contents = variants.chain([&went_in.content]);
                if !input_contents.any(|content| *content == one.content) {
                    difference.altered.insert(one.key);
                } else if (one.content, one.arrived_ms) != (went_in.content, went_in.arrived_ms) {
                    difference.wrong_winner.insert(one.key);
                }
                if one.copies > 1 {
                    difference.twice.insert(one.key);
                }
            }
        }
    }
    difference.invented.extend(came_out.map(|one| one.key));
    difference
}

/// Result of checking the runs since the last snapshot.
#[derive(Debug, Default)]
pub struct CompactionCheck {
    /// Violations, one per project, day and kind, over all disks.
    pub violations: Vec<Violation>,
    /// Number of runs compared.
    pub compared: u64,
    /// Runs with a missing input or output: `disk: path`.
    pub uncomparable: Vec<String>,
    /// Number of runs not compared because planned faults destroyed bytes of their disk.
    pub skipped: u64,
}

/// Checks compaction runs from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct CompactionChecker {
    last: BTreeMap<(String, ProjectDay), ObservedReplica>,
    quarantines: QuarantineTracker,
}

#[derive(Debug, Default)]
struct ObservedReplica {
    version: u64,
    live: BTreeMap<u64, Arc<Segment>>,
}

type KeysByKind = BTreeMap<(ProjectDay, &'static str), (BTreeSet<DedupKey>, BTreeSet<String>)>;

impl CompactionChecker {
    /// Drops the state of a disk that was replaced or emptied.
    pub fn forget(&mut self, disk: &str) {
        self.last.retain(|(name, _), _| name != disk);
        self.quarantines.forget(disk);
    }

    /// Drops the state of a day that someone outside the system removed from the disk.
    pub fn forget_day(&mut self, disk: &str, project_day: ProjectDay) {
        self.last.remove(&(disk.to_owned(), project_day));
    }

    /// Compares every run that was committed since the last call.
    pub fn check(
        &mut self,
        cache: &mut DecodeCache,
        snapshot: &ClusterSnapshot,
        context: &CheckContext,
    ) -> CompactionCheck {
        let mut runs = CompactionCheck::default();
        let mut found = KeysByKind::new();
        for disk in &snapshot.disks {
            for (project_day, day) in &disk.days {
                if self.quarantines.has_new(&disk.name, *project_day, &day.quarantined) {
                    self.forget_day(&disk.name, *project_day);
                }
                let Some(manifest) = &day.manifest else { continue };
                let previous = self.last.entry((disk.name.clone(), *project_day)).or_default();
                let since = usize::try_from(previous.version).unwrap_or(usize::MAX).min(manifest.edits.len());
                let mut compactions = since.checked_sub(1).map_or(0, |last| manifest.edits[last].compactions);
                for edit in &manifest.edits[since..] {
                    if edit.compactions > compactions {
                        let run = match context.is_damaged(&disk.name) {
                            true => sealed_run(cache, *project_day, &manifest.edits, edit, (day, previous)),
                            false => run(cache, *project_day, edit, day, previous),
                        };
                        match run {
                            Ok((inputs, output)) => {
                                runs.compared += 1;
                                note(&mut found, *project_day, &disk.name, compare(&inputs, &output));
                            }
                            Err(_) if context.is_damaged(&disk.name) => runs.skipped += 1,
                            Err(path) => runs.uncomparable.push(format!("{}: {path}", disk.name)),
                        }
                    }
                    compactions = edit.compactions;
                }
                *previous = ObservedReplica { version: manifest.version(), live: day.live.clone() };
            }
        }
        runs.violations = violations(found, snapshot, context);
        runs
    }
}

/// Returns the inputs and the output of a run, or the path of a missing file.
fn run(
    cache: &mut DecodeCache,
    project_day: ProjectDay,
    edit: &ManifestEdit,
    day: &DayReplica,
    previous: &ObservedReplica,
) -> Result<(Arc<DayContent>, Arc<DayContent>), String> {
    let mut all = |ids: &mut dyn Iterator<Item = u64>| -> Result<Arc<DayContent>, String> {
        let segments: Result<Vec<_>, _> =
            ids.map(|id| find_segment(cache, project_day, id, day, previous)).collect();
        Ok(cache.day(segments?.iter()))
    };
    let inputs = all(&mut edit.remove.iter().copied())?;
    let output = all(&mut edit.add.iter().map(|entry| entry.id))?;
    Ok((inputs, output))
}

/// Finds a segment by its id: live now, in its grace time, or live and sealed in the last snapshot. An open one may
/// have grown since then, and the run read the growth too.
fn find_segment(
    cache: &mut DecodeCache,
    project_day: ProjectDay,
    id: u64,
    day: &DayReplica,
    previous: &ObservedReplica,
) -> Result<Arc<Segment>, String> {
    if let Some(live) = day.live.get(&id) {
        return Ok(live.clone());
    }
    let other =
        day.non_live_segment(project_day, id).and_then(|file| cache.segment(file.read().ok()?, false).ok());
    other
        .or_else(|| previous.live.get(&id).filter(|segment| segment.hash.is_some()).cloned())
        .ok_or_else(|| arb_path::segment_path(project_day, id))
}

/// Returns the inputs and the output of a run as the manifest sealed them, also where planned faults changed bytes
/// since then; or the path of a file that does not hold the sealed bytes.
fn sealed_run(
    cache: &mut DecodeCache,
    project_day: ProjectDay,
    edits: &[ManifestEdit],
    run: &ManifestEdit,
    (day, previous): (&DayReplica, &ObservedReplica),
) -> Result<(Arc<DayContent>, Arc<DayContent>), String> {
    let mut all = |ids: &mut dyn Iterator<Item = u64>| -> Result<Arc<DayContent>, String> {
        let mut segments = Vec::new();
        for id in ids {
            let entry = edits.iter().flat_map(|edit| &edit.add).rfind(|entry| entry.id == id && entry.sealed);
            let segment = entry
                .and_then(|entry| sealed_segment(cache, (project_day, id), (day, previous), &entry.hash));
            segments.push(segment.ok_or_else(|| arb_path::segment_path(project_day, id))?);
        }
        Ok(cache.day(segments.iter()))
    };
    let inputs = all(&mut run.remove.iter().copied())?;
    let output = all(&mut run.add.iter().map(|entry| entry.id))?;
    Ok((inputs, output))
}

/// Returns the segment with this id and hash: as it is, or as it was written.
fn sealed_segment(
    cache: &mut DecodeCache,
    (project_day, id): (ProjectDay, u64),
    (day, previous): (&DayReplica, &ObservedReplica),
    hash: &str,
) -> Option<Arc<Segment>> {
    let is_sealed = |segment: &Arc<Segment>| segment.hash.as_deref() == Some(hash);
    let mut decoded = day.live.get(&id).into_iter().chain(previous.live.get(&id));
    if let Some(segment) = decoded.find(|segment| is_sealed(segment)) {
        return Some(segment.clone());
    }
    let non_live = day.non_live_segment(project_day, id).and_then(|file| file.read().ok());
    let as_written = day.corrupted_segment(project_day, id).map(|file| file.as_written.as_slice());
    let mut versions = non_live.into_iter().chain(as_written);
    versions.find_map(|chunks| cache.segment(chunks, true).ok().filter(is_sealed))
}

fn note(found: &mut KeysByKind, project_day: ProjectDay, disk: &str, difference: CompactionDiff) {
    let CompactionDiff { lost, invented, altered, wrong_winner, twice } = difference;
    for (kind, keys) in [
        ("lost", lost),
        ("invented", invented),
        ("altered", altered),
        ("wrong-winner", wrong_winner),
        ("duplicate-key", twice),
    ] {
        if !keys.is_empty() {
            let (all, disks) = found.entry((project_day, kind)).or_default();
            all.extend(keys);
            disks.insert(disk.to_owned());
        }
    }
}

/// Builds the violations. Lost keys that some disk still holds (sent again, or on another disk) have a kind of their
/// own. If a day lost events permanently, everything else that its runs did wrong is part of the same violation.
fn violations(found: KeysByKind, snapshot: &ClusterSnapshot, context: &CheckContext) -> Vec<Violation> {
    let mut days: BTreeMap<ProjectDay, BTreeMap<&'static str, (BTreeSet<DedupKey>, String)>> =
        BTreeMap::new();
    for ((project_day, kind), (keys, disks)) in found {
        let disks = disks.into_iter().collect::<Vec<_>>().join(", ");
        let (held, gone): (BTreeSet<DedupKey>, BTreeSet<DedupKey>) =
            keys.into_iter().partition(|key| kind != "lost" || snapshot.holds(project_day, *key));
        let kinds = days.entry(project_day).or_default();
        for (kind, keys) in [("lost", gone), (if kind == "lost" { "dropped" } else { kind }, held)] {
            if !keys.is_empty() {
                kinds.insert(kind, (keys, disks.clone()));
            }
        }
    }
    days.into_iter().flat_map(|(project_day, kinds)| of_day(project_day, kinds, context)).collect()
}

fn of_day(
    project_day: ProjectDay,
    mut kinds: BTreeMap<&'static str, (BTreeSet<DedupKey>, String)>,
    context: &CheckContext,
) -> Vec<Violation> {
    let build = |kind: &str, keys: &BTreeSet<DedupKey>, disks: &str, besides: &str| {
        let items = keys.len() as u64;
        let detail = format!(
            "a compaction of {project_day} on {disks}: {} {}{besides}",
            pluralize(items, "event", "events"),
            describe_kind(kind)
        );
        Violation {
            loses_items: matches!(kind, "lost" | "altered"),
            ..violation("I8", kind, context, project_day, items)
        }
        .keys(keys.iter().map(DedupKey::to_string))
        .because(detail)
    };
    if let Some((lost, disks)) = kinds.remove("lost") {
        let besides: String = kinds
            .iter()
            .map(|(kind, (keys, _))| format!("; {} {}", keys.len(), describe_kind(kind)))
            .collect();
        return vec![build("lost", &lost, &disks, &besides)];
    }
    kinds.iter().map(|(kind, (keys, disks))| build(kind, keys, disks, "")).collect()
}

fn describe_kind(kind: &str) -> &'static str {
    match kind {
        "lost" => "went in and did not come out, now on no disk",
        "dropped" => "went in and did not come out, still on other disks",
        "invented" => "in the output and in no input",
        "altered" => "with content in the output that no input has",
        "wrong-winner" => "with a record in the output that was not the first to arrive",
        _ => "more than once in the output",
    }
}

#[cfg(test)]
mod tests;
