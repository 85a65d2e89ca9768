//! I9: manifests only move forward; no dangling reference; no live file deleted; inputs are deleted only after the new
//! manifest is durable; file names are never reused. Leases are checked too: fencing tokens only rise.
//!
//! On a disk's current state, a live file that is missing is dangling. On a disk's durable image (what a power cut
//! would leave), the same check verifies that inputs were not deleted before the manifest that drops them.
//!
//! On a disk damaged by planned faults, anything that lost or corrupted bytes explain is excused (an unreadable or
//! missing file, a manifest or lease that moved back); contradictions between existing edits are not. A quarantined
//! day starts over with names that were never used.

use super::quarantine::QuarantineTracker;
use super::{CheckContext, violation};
use crate::identity::ProjectDay;
use crate::reader::ReadErrorKind;
use crate::reader::manifest::{Manifest, ManifestEdit};
use crate::snapshot::{ClusterSnapshot, DiskSnapshot, FileProblem};
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
            let mut breach = |kind: &str, detail: String| {
                let one = Violation::new("I9", kind, context.stage.as_str()).of(format!("p{project}"), 1);
                found.push(one.at(context.at_ms).because(format!("{}: {detail}", disk.name)));
            };
            let token = match lease {
                Ok(grant) => grant.map_or(0, |grant| grant.token),
                Err(error) if matches!(error.kind, ReadErrorKind::RuleViolated(_)) => {
                    breach("lease-fell", error.to_string());
                    continue;
                }
                // A lease that was being created when the process crashed holds no grant; if it held one before, the
                // token fell.
                Err(error) if matches!(error.kind, ReadErrorKind::ShortHeader { .. }) => 0,
                Err(error) if disk.corrupted.contains(&error.path) => continue,
                Err(error) => {
                    breach("unreadable", error.to_string());
                    continue;
                }
            };
            let last = self.tokens.entry((disk.name.clone(), *project)).or_insert(token);
            if token < *last && !context.is_damaged(&disk.name) {
                breach(
                    "lease-fell",
                    format!("the lease of p{project} was at token {last} and is at {token}"),
                );
            }
            *last = token;
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
                found.push(violation("I9", "moved-back", context, *project_day, 1).because(detail));
            }
        }
    }
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
                wrong.push(("removes-dead", format!("removes segment {id}, which is not live")));
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
            wrong.push(("next-id", format!("states next_id {}, which was used", edit.next_id)));
        }
        if edit.token != 0 && edit.token < self.token {
            wrong.push((
                "stale-token",
                format!("is made under token {} after token {}", edit.token, self.token),
            ));
        }
        if edit.compactions < self.compactions {
            wrong.push((
                "compactions-fell",
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
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{
        self, DAY, NOON_MS, TestDisk, TestRecord, edit, manifest, open_entry, sealed_entry, snapshot,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn disk(edits: &[String], files: &[u64]) -> TestDisk {
        let mut disk = TestDisk::default();
        disk.put(PROJECT_DAY, "manifest", manifest(edits));
        for id in files {
            disk.put(PROJECT_DAY, &format!("{id}.seg"), file(*id));
        }
        disk
    }

    fn file(id: u64) -> bytes::Bytes {
        test_support::segment(1, PROJECT_DAY, id, &[vec![TestRecord::new("a", "i1", NOON_MS)]])
    }

    fn open(id: u64) -> String {
        open_entry(id, "on-time")
    }

    fn kinds(checker: &mut ManifestChecker, disk: &TestDisk) -> Vec<String> {
        checker
            .check(&snapshot(std::slice::from_ref(disk)), &noon_context())
            .into_iter()
            .map(|v| v.kind)
            .collect()
    }

    fn kinds_of(edits: &[String], files: &[u64]) -> Vec<String> {
        kinds(&mut ManifestChecker::default(), &disk(edits, files))
    }

    #[test]
    fn a_day_that_is_opened_sealed_and_merged_passes() {
        let edits = [
            edit(1, &[open(1)], &[], 2, 0),
            edit(2, &[sealed_entry(1, "on-time", &file(1), 1), open(2)], &[], 3, 0),
            edit(3, &[sealed_entry(3, "on-time", &file(3), 1)], &[1], 4, 1),
        ];
        let mut checker = ManifestChecker::default();
        assert_eq!(kinds(&mut checker, &disk(&edits[..1], &[1])), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk(&edits[..2], &[1, 2])), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk(&edits, &[1, 2, 3])), [""; 0]);
        assert_eq!(kinds(&mut checker, &disk(&edits, &[2, 3])), [""; 0]);
    }

    #[test]
    fn a_missing_live_file_is_reported() {
        assert_eq!(kinds_of(&[edit(1, &[open(1), open(2)], &[], 3, 0)], &[2]), ["dangling"]);
    }

    #[test]
    fn an_unreadable_live_file_is_reported_unless_a_planned_fault_corrupted_its_day() {
        let mut disk = disk(&[edit(1, &[open(1)], &[], 2, 0)], &[]);
        disk.put(PROJECT_DAY, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        assert_eq!(kinds(&mut ManifestChecker::default(), &disk), ["unreadable"]);
        let elsewhere = ProjectDay { day: DAY + 1, ..PROJECT_DAY };
        disk.mark_corrupted(elsewhere, "1.seg");
        let context = CheckContext {
            faults_active: true,
            damaged_disks: ["disk-0".to_owned()].into(),
            ..noon_context()
        };
        assert_eq!(ManifestChecker::default().check(&snapshot(&[disk.clone()]), &context).len(), 1);
        disk.mark_corrupted(PROJECT_DAY, "1.seg");
        assert_eq!(kinds(&mut ManifestChecker::default(), &disk), [""; 0]);
    }

    #[test]
    fn versions_never_move_back_or_change() {
        let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
        let mut checker = ManifestChecker::default();
        kinds(&mut checker, &disk(&edits, &[1, 2]));
        assert_eq!(kinds(&mut checker.clone(), &disk(&edits[..1], &[1])), ["moved-back"]);
        let other = [edits[0].clone(), edit(2, &[open(3)], &[], 4, 0)];
        assert_eq!(kinds(&mut checker.clone(), &disk(&other, &[1, 3])), ["moved-back"]);
        assert_eq!(kinds(&mut checker.clone(), &TestDisk::default()), ["moved-back"]);
        checker.forget("disk-0");
        assert_eq!(kinds(&mut checker, &disk(&edits[..1], &[1])), [""; 0]);
    }

    #[test]
    fn only_a_quarantined_day_may_start_over() {
        let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
        let restarted = [edit(1, &[open(3)], &[], 4, 0)];
        let mut checker = ManifestChecker::default();
        kinds(&mut checker, &disk(&edits, &[1, 2]));
        let mut after = disk(&restarted, &[3]);
        assert_eq!(kinds(&mut checker.clone(), &after), ["moved-back"]);
        let mut taken = checker.clone();
        taken.forget_day("disk-0", PROJECT_DAY);
        assert_eq!(kinds(&mut taken, &after), [""; 0], "it was removed from outside");
        after.files.insert("arb/17/2016-02-22.corrupt-2/manifest".into(), manifest(&edits));
        assert_eq!(kinds(&mut checker, &after), [""; 0]);
        // The new state is binding until another directory is quarantined.
        after.put(PROJECT_DAY, "manifest", manifest(&[edit(1, &[open(4)], &[], 5, 0)]));
        after.put(PROJECT_DAY, "4.seg", file(4));
        assert_eq!(kinds(&mut checker, &after), ["moved-back"]);
    }

    #[test]
    fn on_a_damaged_disk_lost_bytes_are_excused_and_contradicting_edits_are_not() {
        let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
        let context =
            |disk: &str| CheckContext { damaged_disks: BTreeSet::from([disk.to_owned()]), ..noon_context() };
        let mut checker = ManifestChecker::default();
        kinds(&mut checker, &disk(&edits, &[1, 2]));
        let mut cut = disk(&edits[..1], &[]);
        cut.put(PROJECT_DAY, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        let mut corrupt = cut.clone();
        corrupt.mark_corrupted(PROJECT_DAY, "1.seg");
        assert_eq!(checker.clone().check(&snapshot(&[corrupt]), &context("disk-0")), []);
        let found = checker.check(&snapshot(&[cut]), &context("disk-1"));
        assert_eq!(found.iter().map(|v| v.kind.as_str()).collect::<Vec<_>>(), ["unreadable", "moved-back"]);
        let reused = disk(&[edits[0].clone(), edit(2, &[open(1)], &[1], 2, 0)], &[1]);
        let found = ManifestChecker::default().check(&test_support::snapshot(&[reused]), &context("disk-0"));
        assert_eq!(found.iter().map(|v| v.kind.as_str()).collect::<Vec<_>>(), ["id-reused"]);
    }

    #[test]
    fn ids_are_never_reused_and_edits_remove_only_live_files() {
        let first = edit(1, &[open(1)], &[], 2, 0);
        let after = |add: &[String], remove: &[u64], next| {
            kinds_of(&[first.clone(), edit(2, add, remove, next, 0)], &[1, 2])
        };
        assert_eq!(after(&[open(1)], &[1], 2), ["id-reused"]);
        assert_eq!(after(&[], &[5], 2), ["removes-dead"]);
        assert_eq!(after(&[open(2)], &[], 2), ["next-id"]);
        assert_eq!(after(&[open(2)], &[], 3), [""; 0]);
        let skipped = [edit(1, &[open(2)], &[], 5, 0), edit(2, &[open(1)], &[], 5, 0)];
        assert_eq!(kinds_of(&skipped, &[1, 2]), ["id-reused"]);
    }

    #[test]
    fn a_stale_token_is_reported() {
        let with = |version, token: u64| {
            edit(version, &[], &[], 2, version).replace("\"token\":0", &format!("\"token\":{token}"))
        };
        assert_eq!(kinds_of(&[with(1, 4), with(2, 0), with(3, 3)], &[]), ["stale-token"]);
        assert_eq!(kinds_of(&[with(1, 4), with(2, 0), with(3, 4)], &[]), [""; 0]);
    }

    #[test]
    fn a_lease_with_a_lower_token_is_reported() {
        let with = |token: u64| {
            let mut disk = TestDisk::default();
            let grant = [&token.to_le_bytes()[..], &[1, 0], &[0; 16]].concat();
            let file = [&b"LARBLSE1"[..], &test_support::frame(&grant)].concat();
            disk.files.insert("arb/17/lease".into(), file.into());
            disk
        };
        let mut checker = ManifestChecker::default();
        assert_eq!(kinds(&mut checker, &with(4)), [""; 0]);
        assert_eq!(kinds(&mut checker, &with(5)), [""; 0]);
        assert_eq!(kinds(&mut checker, &with(4)), ["lease-fell"]);
        let mut torn = with(4);
        torn.files.insert("arb/17/lease".into(), bytes::Bytes::from_static(b"LARB"));
        assert_eq!(kinds(&mut ManifestChecker::default(), &torn), [""; 0], "it was being created");
        assert_eq!(kinds(&mut checker, &torn), ["lease-fell"]);
        torn.files.insert("arb/17/lease".into(), bytes::Bytes::from_static(b"LARBLSE2"));
        assert_eq!(kinds(&mut checker, &torn), ["unreadable"]);
    }
}
