//! I9: manifests only move forward; no dangling reference; no live file deleted; inputs are deleted only after the new
//! manifest is durable; file names are never reused. Leases are checked too: fencing tokens only rise.
//!
//! On a disk's current state, a live file that is missing is dangling. On a disk's durable image (what a power cut
//! would leave), the same check verifies that inputs were not deleted before the manifest that drops them.
//!
//! On a disk damaged by planned faults, anything that lost or corrupted bytes explain is excused (an unreadable or
//! missing file, a manifest that moved back, a lease without a grant); contradictions between existing edits are not,
//! nor is a fencing token that was granted before. A lease file that such a fault corrupted is excused. A quarantined
//! day starts over with names that were never used.
//!
//! Documented in docs/invariants.md#i9.

use super::quarantine::QuarantineTracker;
use super::{CheckContext, violation};
use crate::identity::ProjectDay;
use crate::reader::ReadErrorKind;
use crate::reader::arb_path::lease_path;
use crate::reader::manifest::{Manifest, ManifestEdit};
use crate::snapshot::{ClusterSnapshot, DayReplica, DiskSnapshot, FileProblem};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Checks manifests from snapshot to snapshot.
#[derive(Clone, Debug, Default)]
pub struct ManifestChecker {
    /// By disk and day: version, and digest of the history up to it, in the last snapshot.
    last: BTreeMap<String, BTreeMap<ProjectDay, (u64, [u8; 32])>>,
    /// Token of each project's lease in the last snapshot.
    tokens: BTreeMap<(String, u32), u64>,
    quarantines: QuarantineTracker,
}

impl ManifestChecker {
    /// Drops the state of a disk that was replaced or emptied.
    pub fn forget(&mut self, disk: &str) {
        self.last.remove(disk);
        self.tokens.retain(|(name, _), _| name != disk);
        self.quarantines.forget(disk);
    }

    /// Drops the state of a day that someone outside the system removed from the disk.
    pub fn forget_day(&mut self, disk: &str, project_day: ProjectDay) {
        if let Some(days) = self.last.get_mut(disk) {
            days.remove(&project_day);
        }
    }

    /// Checks every manifest of the snapshot, and records its state.
    pub fn check(&mut self, snapshot: &ClusterSnapshot, context: &CheckContext) -> Vec<Violation> {
        let mut found = problems(snapshot, context);
        for disk in &snapshot.disks {
            for (project_day, day) in &disk.days {
                if self.quarantines.has_new(&disk.name, *project_day, &day.quarantined) {
                    self.forget_day(&disk.name, *project_day);
                }
            }
            self.moved(disk, snapshot, context, &mut found);
            self.leases(disk, context, &mut found);
            let last = self.last.entry(disk.name.clone()).or_default();
            for (project_day, day) in &disk.days {
                let Some(manifest) = &day.manifest else { continue };
                let current = manifest.history.last().map(|history| (manifest.version(), *history));
                if last.get(project_day).copied() != current {
                    found.extend(edits(disk, *project_day, manifest, context));
                    let since = last.get(project_day).map_or(0, |(version, _)| *version);
                    found.extend(sealed_files(disk, *project_day, day, since, context));
                }
                if let Some(current) = current {
                    last.insert(*project_day, current);
                }
            }
        }
        found
    }

    fn leases(&mut self, disk: &DiskSnapshot, context: &CheckContext, found: &mut Vec<Violation>) {
        for (project, lease) in &disk.leases {
            // Also where each grant reads: a misdirected write may put a later grant in the place of an earlier one of
            // the same length, and the last grant may have rotted.
            if disk.corrupted.contains(&lease_path(*project)) {
                continue;
            }
            let mut breach = |kind: &str, detail: String| {
                let one = Violation::new("I9", kind, context.stage.as_str()).of(format!("p{project}"), 1);
                found.push(one.at(context.at_ms).because(format!("{}: {detail}", disk.name)));
            };
            let token = match lease {
                Ok(grant) => grant.map_or(0, |grant| grant.token),
                Err(error) if matches!(error.kind, ReadErrorKind::RuleViolated(_)) => {
                    breach("token-regressed", error.to_string());
                    continue;
                }
                // A lease that was being created when the process crashed holds no grant; if it held one before, the
                // token fell.
                Err(error) if matches!(error.kind, ReadErrorKind::ShortHeader { .. }) => 0,
                Err(error) => {
                    breach("unreadable", error.to_string());
                    continue;
                }
            };
            let last = self.tokens.entry((disk.name.clone(), *project)).or_insert(token);
            // A file that replaces a corrupted one holds no grant yet; its first one is above all earlier tokens.
            if token < *last && (token > 0 || !context.is_damaged(&disk.name)) {
                breach(
                    "token-regressed",
                    format!("the lease of p{project} was at token {last} and is at {token}"),
                );
            }
            *last = token.max(*last);
        }
    }

    fn moved(
        &self,
        disk: &DiskSnapshot,
        snapshot: &ClusterSnapshot,
        context: &CheckContext,
        found: &mut Vec<Violation>,
    ) {
        let Some(last) = self.last.get(&disk.name).filter(|_| !context.is_damaged(&disk.name)) else {
            return;
        };
        // Iterate over the scope only, so that the cost does not depend on the number of known days.
        let of_scope =
            snapshot.scope.iter().flatten().filter_map(|project_day| last.get_key_value(project_day));
        let all = snapshot.scope.is_none().then_some(last).into_iter().flatten();
        for (project_day, (version, history)) in of_scope.chain(all) {
            // An unreadable manifest is reported separately, and is not known to have moved.
            let unread = |problem: &FileProblem| {
                problem.project_day == *project_day && problem.error.path.ends_with("/manifest")
            };
            if disk.problems.iter().any(unread) {
                continue;
            }
            let name = &disk.name;
            let manifest = disk.days.get(project_day).and_then(|day| day.manifest.as_ref());
            let current_version = manifest.map_or(0, |manifest| manifest.version());
            let same = manifest.and_then(|m| m.history.get(usize::try_from(*version).ok()?.checked_sub(1)?));
            if same != Some(history) {
                let detail = format!(
                    "{name}: the manifest of {project_day} was at version {version} and is at {current_version} without it"
                );
                found.push(violation("I9", "regressed", context, *project_day, 1).because(detail));
            }
        }
    }
}

/// Reports live files that are missing, and looks at nothing else: whether the right files exist.
#[must_use]
pub fn missing_files(snapshot: &ClusterSnapshot, context: &CheckContext) -> Vec<Violation> {
    let mut found = problems(snapshot, context);
    found.retain(|violation| violation.kind == "dangling");
    found
}

/// Reports live files that are missing or unreadable.
fn problems(snapshot: &ClusterSnapshot, context: &CheckContext) -> Vec<Violation> {
    let mut found: BTreeMap<(ProjectDay, &str), Vec<String>> = BTreeMap::new();
    for problem in snapshot.unexcused_problems(context) {
        let kind = match problem.error.kind {
            ReadErrorKind::Missing => "dangling",
            _ => "unreadable",
        };
        found
            .entry((problem.project_day, kind))
            .or_default()
            .push(format!("{}: {}", problem.disk, problem.error));
    }
    let violation = |((project_day, kind), files): ((ProjectDay, &str), Vec<String>)| {
        let detail = files.first().cloned().unwrap_or_default();
        violation("I9", kind, context, project_day, files.len() as u64).keys(files).because(detail)
    };
    found.into_iter().map(violation).collect()
}

/// Reports contradictions between the edits of a manifest.
fn edits(
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    manifest: &Manifest,
    context: &CheckContext,
) -> Vec<Violation> {
    let mut history = ManifestReplay::default();
    let mut found = Vec::new();
    for edit in &manifest.edits {
        for (kind, what) in history.apply(edit) {
            let detail =
                format!("{}: version {} of the manifest of {project_day} {what}", disk.name, edit.version);
            found.push(violation("I9", kind, context, project_day, 1).because(detail));
        }
    }
    found
}

/// Reports segments that an edit since version `since` sealed, that are not live any more, and that hold other bytes than
/// it stated. Live ones are read in any case. A copy that was wrong for a moment only is a mistake as well: a node that
/// fetched it then would have had other bytes.
fn sealed_files(
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    day: &DayReplica,
    since: u64,
    context: &CheckContext,
) -> Vec<Violation> {
    let Some(manifest) = day.manifest.as_ref().filter(|_| !context.is_damaged(&disk.name)) else {
        return Vec::new();
    };
    let recent = manifest.edits.iter().filter(|edit| edit.version > since).flat_map(|edit| &edit.add);
    let replaced = recent.filter(|entry| entry.sealed && !manifest.live.contains_key(&entry.id));
    let differs = replaced.filter_map(|entry| {
        let file = day.non_live_segment(project_day, entry.id)?;
        let chunks = file.read().ok().filter(|_| !file.corrupted)?;
        let mut hash = blake3::Hasher::new();
        chunks.iter().for_each(|chunk| {
            hash.update(chunk);
        });
        let is_same = hash.finalize().to_hex().as_str() == entry.hash && file.len_bytes() == entry.bytes;
        (!is_same).then(|| (file.path.clone(), file.len_bytes(), entry.bytes))
    });
    let violation = |(path, found, stated): (String, u64, u64)| {
        let detail = format!("{}: {path} has {found} bytes, its manifest sealed {stated} others", disk.name);
        violation("I9", "sealed-differs", context, project_day, 1).keys([path]).because(detail)
    };
    differs.map(violation).collect()
}

#[derive(Default)]
struct ManifestReplay {
    live: BTreeMap<u64, bool>,
    used: BTreeSet<u64>,
    next_id: u64,
    token: u64,
    compactions: u64,
}

impl ManifestReplay {
    fn apply(&mut self, edit: &ManifestEdit) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        for id in &edit.remove {
            if self.live.remove(id).is_none() {
                wrong.push(("removes-unlisted", format!("removes segment {id}, which is not live")));
            }
        }
        for entry in &edit.add {
            let id = entry.id;
            match self.live.insert(id, entry.sealed) {
                Some(true) => wrong.push(("id-reused", format!("replaces segment {id}, which is sealed"))),
                None if self.used.contains(&id) => {
                    wrong.push(("id-reused", format!("adds segment {id} again, which was removed")));
                }
                None if id < self.next_id => {
                    wrong.push(("id-reused", format!("adds segment {id} below next_id {}", self.next_id)));
                }
                Some(false) | None => {}
            }
            self.used.insert(id);
        }
        if edit.next_id < self.next_id || self.used.last().is_some_and(|last| *last >= edit.next_id) {
            wrong.push(("next-id-regressed", format!("states next_id {}, which was used", edit.next_id)));
        }
        if edit.token != 0 && edit.token < self.token {
            wrong.push((
                "stale-token",
                format!("is made under token {} after token {}", edit.token, self.token),
            ));
        }
        if edit.compactions < self.compactions {
            wrong.push((
                "compaction-count-regressed",
                format!("counts {} compactions after {}", edit.compactions, self.compactions),
            ));
        }
        self.next_id = self.next_id.max(edit.next_id);
        self.token = self.token.max(edit.token);
        self.compactions = self.compactions.max(edit.compactions);
        wrong
    }
}

#[cfg(test)]
mod tests;
