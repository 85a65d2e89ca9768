//! I16: used bytes are at most k times the live bytes plus an allowance for work in flight; no orphan is older than
//! the grace time; tee files are kept no longer than seven days and some slack, counted from when their keeper can
//! first see them, and files under a hold no longer than the hold is active.
//!
//! Files carry no dates: an orphan's age counts from the first check that found it an orphan, and from the last boot
//! of its disk, which restarts the grace time. On a day that does not verify nothing is deleted, so nothing there is
//! too old. A quarantined directory stays until the day is complete again, which faults may delay.
//!
//! Documented in docs/invariants.md#i16.

use super::{CheckContext, violation};
use crate::excused_periods::ExcusedPeriods;
use crate::identity::ProjectDay;
use crate::reader::arb_path;
use crate::reader::frame::FileTail;
use crate::reader::hold;
use crate::reader::tee::parse_name;
use crate::snapshot::{ClusterSnapshot, DayReplica, DiskSnapshot};
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// The hour in a tee file's name is trusted if the file appears within this time after it.
const TEE_NAME_TRUSTED_MS: i64 = 12 * 3_600_000;

/// A file that no hold protects any more is deleted within this time: the keeper runs every six hours, and so do these
/// checks.
const RELEASED_DELETED_WITHIN_MS: i64 = 13 * 3_600_000;
/// The tee's keeper runs every six hours and sees every new file.
const KEEPER_SEES_WITHIN_MS: i64 = 6 * 3_600_000 + 10 * 60_000;

/// Limits on used space and on the age of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceLimits {
    /// Maximal age of a non-live file: the system's grace time plus the time between its clean-ups.
    pub orphan_age_ms: i64,
    /// Maximal age of a quarantined directory while nothing prevents its day from being refilled.
    pub quarantine_age_ms: i64,
    /// Maximal used bytes as a percentage of the live bytes: 300 allows three times as much.
    pub used_per_live_percent: u64,
    /// Additional bytes allowed for manifests, leases, hints and runs in flight.
    pub allowance_bytes: u64,
    /// Maximal age of the newest record of a tee file.
    pub tee_age_ms: i64,
}

/// A non-live file: its disk, its path, and whether it was live before. A crash may leave a file without the edit that
/// names it; if a later edit names it after all, it becomes an orphan when it is replaced.
type NonLiveFile = (String, String, bool);

/// Tracks non-live files and tee files from snapshot to snapshot.
#[derive(Clone, Debug, Default)]
pub struct SpaceChecker {
    first_seen_ms: BTreeMap<NonLiveFile, i64>,
    booted_ms: BTreeMap<String, i64>,
    /// Time at which each tee file was first seen, by disk and path.
    tee_seen_ms: BTreeMap<(String, String), i64>,
    /// Time at which each tee file was last protected by a hold, by disk and path.
    tee_held_ms: BTreeMap<(String, String), i64>,
    disturbed_ms: Option<i64>,
}

impl SpaceChecker {
    /// Drops the state of a disk that was replaced or emptied: a file with an old name is a new file.
    pub fn forget(&mut self, disk: &str) {
        self.first_seen_ms.retain(|(name, _, _), _| name != disk);
        self.tee_seen_ms.retain(|(name, _), _| name != disk);
        self.tee_held_ms.retain(|(name, _), _| name != disk);
    }

    /// Records that the disk's process booted (or is still down): it has lost its list of files to delete.
    pub fn record_boot(&mut self, disk: &str, at_ms: i64) {
        self.booted_ms.insert(disk.to_owned(), at_ms);
    }

    /// Records that a planned fault or operation began or ended: replicas of repaired days may diverge again, and
    /// their quarantined directories stay longer.
    pub fn record_disturbance(&mut self, at_ms: i64) {
        self.disturbed_ms = Some(at_ms);
    }

    /// Checks the disks of a full snapshot.
    pub fn check(
        &mut self,
        snapshot: &ClusterSnapshot,
        limits: SpaceLimits,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut orphans = BTreeMap::new();
        for disk in &snapshot.disks {
            self.orphans(disk, &mut orphans, limits, context, &mut found);
            found.extend(excess_space(disk, limits, context));
        }
        self.first_seen_ms = orphans;
        found
    }

    /// Records that a tee file appeared on this disk. The first appearance counts.
    pub fn record_tee_file(&mut self, disk: &str, path: &str, at_ms: i64) {
        self.tee_seen_ms.entry((disk.to_owned(), path.to_owned())).or_insert(at_ms);
    }

    /// Checks the age of tee files on edges and in the tee store, by the hour in their names. If a file appeared long
    /// after its hour, or its keeper may first have seen it long after, the age counts from then. The keeper applies
    /// the same rule: such a name comes from an edge's wrong clock, or the file was delayed. A file does not age while
    /// `excused` covers the job that deletes it.
    pub fn check_tee(
        &mut self,
        disks: &[DiskView],
        limits: SpaceLimits,
        excused: impl Fn(&str) -> ExcusedPeriods,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut current = BTreeMap::new();
        let mut found = Vec::new();
        for disk in disks {
            let mut old = Vec::new();
            let excused = excused(&disk.name);
            let holds = hold::active_holds(disk.files.iter().map(|file| file.path.as_str()), context.at_ms);
            let is_held = |hour_ends_ms: i64| {
                let hour = u64::try_from(hour_ends_ms / 3_600_000 - 1).ok();
                hour.is_some_and(|hour| holds.iter().any(|h| (h.first_hour..=h.last_hour).contains(&hour)))
            };
            for path in disk.files.iter().map(|file| file.path.as_str()) {
                let Some(end_ms) = tee_hour_ends_ms(path) else { continue };
                let key = (disk.name.clone(), path.to_owned());
                let came_ms = self.tee_seen_ms.get(&key).copied().unwrap_or(context.at_ms);
                current.insert(key.clone(), came_ms);
                let seen_ms = excused.due_ms(came_ms, KEEPER_SEES_WITHIN_MS);
                let since_ms = if seen_ms - end_ms > TEE_NAME_TRUSTED_MS { seen_ms } else { end_ms };
                if is_held(end_ms) {
                    self.tee_held_ms.insert(key.clone(), context.at_ms);
                }
                let held_ms = self.tee_held_ms.get(&key).copied().unwrap_or(i64::MIN / 2);
                let is_released = excused.available_ms(held_ms, context.at_ms) > RELEASED_DELETED_WITHIN_MS;
                if excused.available_ms(since_ms, context.at_ms) > limits.tee_age_ms && is_released {
                    old.push(path);
                }
            }
            found.extend(old_tee_files(disk, &old, context));
        }
        self.tee_held_ms.retain(|project_day, _| current.contains_key(project_day));
        self.tee_seen_ms = current;
        found
    }

    fn orphans(
        &self,
        disk: &DiskSnapshot,
        observed: &mut BTreeMap<NonLiveFile, i64>,
        limits: SpaceLimits,
        context: &CheckContext,
        found: &mut Vec<Violation>,
    ) {
        let booted_ms = self.booted_ms.get(&disk.name).copied().unwrap_or(i64::MIN);
        let mut age_ms = |path: &str, was_live: bool| {
            let name = (disk.name.clone(), path.to_owned(), was_live);
            let first_ms = self.first_seen_ms.get(&name).copied().unwrap_or(context.at_ms);
            observed.insert(name, first_ms);
            context.at_ms - first_ms.max(booted_ms)
        };
        for (project_day, day) in &disk.days {
            let verifies = !disk.problems.iter().any(|problem| problem.project_day == *project_day)
                && !may_be_damaged(disk, day, context);
            let added = |path: &str| {
                day.manifest.as_ref().is_some_and(|manifest| manifest.has_added(*project_day, path))
            };
            // A file that no edit of a damaged disk names may have been named by an edit that was lost.
            let is_orphan = |path: &&str| added(path) || !context.is_damaged(&disk.name);
            let others = day.non_live_files.iter().filter(|_| verifies).map(|file| file.path.as_str());
            let others = others.filter(is_orphan);
            let old: Vec<&str> =
                others.filter(|path| age_ms(path, added(path)) > limits.orphan_age_ms).collect();
            found.extend(old_orphans(disk, *project_day, &old, context));
            let quarantined = day.quarantined.iter().map(|n| arb_path::quarantine_path(*project_day, *n));
            let calm_ms = context.at_ms - self.disturbed_ms.unwrap_or(i64::MIN / 2);
            let is_old = |path: &String| age_ms(path, true).min(calm_ms) > limits.quarantine_age_ms;
            let old: Vec<String> = quarantined.filter(is_old).collect();
            found.extend(
                old_quarantines(disk, *project_day, &old, context)
                    .filter(|_| verifies && !context.faults_active),
            );
        }
    }
}

/// On a disk damaged by a planned fault, a manifest with a torn tail may have lost an edit, and the files that it
/// named look like orphans. The process knows the lengths of the segments that it writes: for it, a segment that ends
/// within a frame does not verify, and on such a day nothing is deleted.
fn may_be_damaged(disk: &DiskSnapshot, day: &DayReplica, context: &CheckContext) -> bool {
    let is_torn = || day.live.values().any(|segment| segment.tail != FileTail::Clean);
    let may_lack_edits = || day.manifest.as_ref().is_none_or(|manifest| manifest.tail != FileTail::Clean);
    context.is_damaged(&disk.name) && (may_lack_edits() || is_torn())
}

fn old_orphans(
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    old: &[&str],
    context: &CheckContext,
) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!(
        "{}: {} files such as {first} are not live and older than the grace time",
        disk.name,
        old.len()
    );
    Some(
        violation("I16", "orphan", context, project_day, old.len() as u64)
            .keys(old.iter().copied())
            .because(detail),
    )
}

/// Returns the end of the hour in a tee file's name, in milliseconds since 1970.
fn tee_hour_ends_ms(path: &str) -> Option<i64> {
    let (hour, _, _) = path.rsplit('/').next().and_then(parse_name)?;
    i64::try_from(hour).ok()?.checked_add(1)?.checked_mul(3_600_000)
}

fn old_tee_files(disk: &DiskView, old: &[&str], context: &CheckContext) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!("{}: {} tee files such as {first} are past their retention", disk.name, old.len());
    let one =
        Violation::new("I16", "tee-overdue", context.stage.as_str()).of(disk.name.as_str(), old.len() as u64);
    Some(one.at(context.at_ms).keys(old.iter().copied()).because(detail))
}

fn old_quarantines(
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    old: &[String],
    context: &CheckContext,
) -> Option<Violation> {
    let first = old.first()?;
    let detail = format!("{}: {first} is still quarantined although the day is complete", disk.name);
    Some(
        violation("I16", "quarantine-overdue", context, project_day, old.len() as u64)
            .keys(old.iter().cloned())
            .because(detail),
    )
}

fn excess_space(disk: &DiskSnapshot, limits: SpaceLimits, context: &CheckContext) -> Option<Violation> {
    let live_bytes: u64 = disk.days.values().map(|day| day.live_bytes).sum();
    let most_bytes = live_bytes / 100 * limits.used_per_live_percent + limits.allowance_bytes;
    if disk.used_bytes <= most_bytes {
        return None;
    }
    let detail = format!(
        "{} holds {} bytes for {live_bytes} live ones; {most_bytes} are allowed",
        disk.name, disk.used_bytes
    );
    Some(
        Violation::new("I16", "amplification", context.stage.as_str())
            .of(disk.name.as_str(), 0)
            .at(context.at_ms)
            .because(detail),
    )
}

#[cfg(test)]
mod tests;
