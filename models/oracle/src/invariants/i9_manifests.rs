//! I9: manifests only move forward; no dangling reference; no live file deleted; inputs go only after the new
//! manifest is durable; file names are never reused. With them go the leases: fencing tokens only rise.
//!
//! Given a disk as it is, a live file that is not there is dangling. Given a disk as a power cut would leave it (its
//! durable image), the same check says that inputs did not go before the manifest that drops them.
//!
//! What a planned fault took or changed on a disk is not the system's doing: there nothing is held against it that
//! lost or rotten bytes explain (a file that does not read or is gone, a manifest or lease that moved back); what the
//! edits that are there do to each other is. A day that was set aside begins anew, with names that were never used.

use super::aside::Asides;
use super::{Moment, violation};
use crate::identity::ProjectDay;
use crate::reader::Flaw;
use crate::reader::manifest::{Edit, Manifest};
use crate::snapshot::{DiskSnapshot, Problem, Snapshot};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Watches manifests from snapshot to snapshot.
#[derive(Clone, Debug, Default)]
pub struct ManifestWatch {
    /// By disk and day: version, and digest of the history up to it, as met last.
    last: BTreeMap<String, BTreeMap<ProjectDay, (u64, [u8; 32])>>,
    /// The token of each project's lease, as met last.
    tokens: BTreeMap<(String, u32), u64>,
    asides: Asides,
}

impl ManifestWatch {
    /// The disk was replaced or emptied: what it held before binds it no more.
    pub fn forget(&mut self, disk: &str) {
        self.last.remove(disk);
        self.tokens.retain(|(name, _), _| name != disk);
        self.asides.forget(disk);
    }

    /// Somebody outside of the system took this day from the disk: what it held of it binds it no more.
    pub fn forget_day(&mut self, disk: &str, of: ProjectDay) {
        if let Some(days) = self.last.get_mut(disk) {
            days.remove(&of);
        }
    }

    /// Checks every manifest of the snapshot, and remembers it.
    pub fn check(&mut self, snapshot: &Snapshot, now: &Moment) -> Vec<Violation> {
        let mut found = problems(snapshot, now);
        for disk in &snapshot.disks {
            for (of, day) in &disk.days {
                if self.asides.is_new(&disk.name, *of, &day.aside) {
                    self.forget_day(&disk.name, *of);
                }
            }
            self.moved(disk, snapshot, now, &mut found);
            self.leases(disk, now, &mut found);
            let last = self.last.entry(disk.name.clone()).or_default();
            for (of, day) in &disk.days {
                let Some(manifest) = &day.manifest else { continue };
                let met = manifest.history.last().map(|history| (manifest.version(), *history));
                if last.get(of).copied() != met {
                    found.extend(edits(disk, *of, manifest, now));
                }
                if let Some(met) = met {
                    last.insert(*of, met);
                }
            }
        }
        found
    }

    fn leases(&mut self, disk: &DiskSnapshot, now: &Moment, found: &mut Vec<Violation>) {
        for (project, lease) in &disk.leases {
            let mut breach = |kind: &str, detail: String| {
                let one = Violation::new("I9", kind, now.stage.as_str()).of(format!("p{project}"), 1);
                found.push(one.at(now.at_ms).because(format!("{}: {detail}", disk.name)));
            };
            let token = match lease {
                Ok(grant) => grant.map_or(0, |grant| grant.token),
                Err(error) if matches!(error.flaw, Flaw::Rule(_)) => {
                    breach("lease-fell", error.to_string());
                    continue;
                }
                // One that was being created when the process died holds no grant; if it once did, the token fell.
                Err(error) if matches!(error.flaw, Flaw::ShortHeader { .. }) => 0,
                Err(error) if disk.harmed.contains(&error.path) => continue,
                Err(error) => {
                    breach("unreadable", error.to_string());
                    continue;
                }
            };
            let last = self.tokens.entry((disk.name.clone(), *project)).or_insert(token);
            if token < *last && !now.is_damaged(&disk.name) {
                breach(
                    "lease-fell",
                    format!("the lease of p{project} was at token {last} and is at {token}"),
                );
            }
            *last = token;
        }
    }

    fn moved(&self, disk: &DiskSnapshot, snapshot: &Snapshot, now: &Moment, found: &mut Vec<Violation>) {
        let Some(last) = self.last.get(&disk.name).filter(|_| !now.is_damaged(&disk.name)) else { return };
        // A look at a few days costs what they cost, however many there are by then.
        let of_scope = snapshot.scope.iter().flatten().filter_map(|of| last.get_key_value(of));
        let all = snapshot.scope.is_none().then_some(last).into_iter().flatten();
        for (of, (version, history)) in of_scope.chain(all) {
            // A manifest that does not read is a problem of its own, and not known to have moved.
            let unread = |problem: &Problem| problem.of == *of && problem.error.path.ends_with("/manifest");
            if disk.problems.iter().any(unread) {
                continue;
            }
            let name = &disk.name;
            let manifest = disk.days.get(of).and_then(|day| day.manifest.as_ref());
            let now_at = manifest.map_or(0, |manifest| manifest.version());
            let same = manifest.and_then(|m| m.history.get(usize::try_from(*version).ok()?.checked_sub(1)?));
            if same != Some(history) {
                let detail = format!(
                    "{name}: the manifest of {of} was at version {version} and is at {now_at} without it"
                );
                found.push(violation("I9", "moved-back", now, *of, 1).because(detail));
            }
        }
    }
}

/// Files that manifests name and that are not there, or do not read.
fn problems(snapshot: &Snapshot, now: &Moment) -> Vec<Violation> {
    let mut found: BTreeMap<(ProjectDay, &str), Vec<String>> = BTreeMap::new();
    for problem in snapshot.unexcused(now) {
        let kind = match problem.error.flaw {
            Flaw::Missing => "dangling",
            _ => "unreadable",
        };
        found.entry((problem.of, kind)).or_default().push(format!("{}: {}", problem.disk, problem.error));
    }
    let violation = |((of, kind), files): ((ProjectDay, &str), Vec<String>)| {
        let detail = files.first().cloned().unwrap_or_default();
        violation("I9", kind, now, of, files.len() as u64).keys(files).because(detail)
    };
    found.into_iter().map(violation).collect()
}

/// What edits may not do to each other.
fn edits(disk: &DiskSnapshot, of: ProjectDay, manifest: &Manifest, now: &Moment) -> Vec<Violation> {
    let mut history = History::default();
    let mut found = Vec::new();
    for edit in &manifest.edits {
        for (kind, what) in history.apply(edit) {
            let detail = format!("{}: version {} of the manifest of {of} {what}", disk.name, edit.version);
            found.push(violation("I9", kind, now, of, 1).because(detail));
        }
    }
    found
}

#[derive(Default)]
struct History {
    live: BTreeMap<u64, bool>,
    used: BTreeSet<u64>,
    next_id: u64,
    token: u64,
    compactions: u64,
}

impl History {
    fn apply(&mut self, edit: &Edit) -> Vec<(&'static str, String)> {
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
    use crate::invariants::noon_after;
    use crate::testing::{self, DAY, Disk, NOON_MS, Rec, edit, manifest, open_entry, sealed_entry, snapshot};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn disk(edits: &[String], files: &[u64]) -> Disk {
        let mut disk = Disk::default();
        disk.put(OF, "manifest", manifest(edits));
        for id in files {
            disk.put(OF, &format!("{id}.seg"), file(*id));
        }
        disk
    }

    fn file(id: u64) -> bytes::Bytes {
        testing::segment(1, OF, id, &[vec![Rec::new("a", "i1", NOON_MS)]])
    }

    fn open(id: u64) -> String {
        open_entry(id, "on-time")
    }

    fn kinds(watch: &mut ManifestWatch, disk: &Disk) -> Vec<String> {
        watch
            .check(&snapshot(std::slice::from_ref(disk)), &noon_after())
            .into_iter()
            .map(|v| v.kind)
            .collect()
    }

    fn kinds_of(edits: &[String], files: &[u64]) -> Vec<String> {
        kinds(&mut ManifestWatch::default(), &disk(edits, files))
    }

    #[test]
    fn a_day_that_is_opened_sealed_and_merged_passes() {
        let edits = [
            edit(1, &[open(1)], &[], 2, 0),
            edit(2, &[sealed_entry(1, "on-time", &file(1), 1), open(2)], &[], 3, 0),
            edit(3, &[sealed_entry(3, "on-time", &file(3), 1)], &[1], 4, 1),
        ];
        let mut watch = ManifestWatch::default();
        assert_eq!(kinds(&mut watch, &disk(&edits[..1], &[1])), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk(&edits[..2], &[1, 2])), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk(&edits, &[1, 2, 3])), [""; 0]);
        assert_eq!(kinds(&mut watch, &disk(&edits, &[2, 3])), [""; 0]);
    }

    #[test]
    fn a_live_file_that_is_gone_is_found() {
        assert_eq!(kinds_of(&[edit(1, &[open(1), open(2)], &[], 3, 0)], &[2]), ["dangling"]);
    }

    #[test]
    fn a_live_file_that_does_not_read_is_found_unless_a_planned_fault_struck_its_day() {
        let mut disk = disk(&[edit(1, &[open(1)], &[], 2, 0)], &[]);
        disk.put(OF, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        assert_eq!(kinds(&mut ManifestWatch::default(), &disk), ["unreadable"]);
        let elsewhere = ProjectDay { day: DAY + 1, ..OF };
        disk.harm(elsewhere, "1.seg");
        let now = Moment { faults_active: true, damaged: ["disk-0".to_owned()].into(), ..noon_after() };
        assert_eq!(ManifestWatch::default().check(&snapshot(&[disk.clone()]), &now).len(), 1);
        disk.harm(OF, "1.seg");
        assert_eq!(kinds(&mut ManifestWatch::default(), &disk), [""; 0]);
    }

    #[test]
    fn versions_never_go_back_or_change() {
        let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
        let mut watch = ManifestWatch::default();
        kinds(&mut watch, &disk(&edits, &[1, 2]));
        assert_eq!(kinds(&mut watch.clone(), &disk(&edits[..1], &[1])), ["moved-back"]);
        let other = [edits[0].clone(), edit(2, &[open(3)], &[], 4, 0)];
        assert_eq!(kinds(&mut watch.clone(), &disk(&other, &[1, 3])), ["moved-back"]);
        assert_eq!(kinds(&mut watch.clone(), &Disk::default()), ["moved-back"]);
        watch.forget("disk-0");
        assert_eq!(kinds(&mut watch, &disk(&edits[..1], &[1])), [""; 0]);
    }

    #[test]
    fn a_day_that_was_set_aside_begins_anew_and_one_that_was_not_does_not() {
        let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
        let anew = [edit(1, &[open(3)], &[], 4, 0)];
        let mut watch = ManifestWatch::default();
        kinds(&mut watch, &disk(&edits, &[1, 2]));
        let mut after = disk(&anew, &[3]);
        assert_eq!(kinds(&mut watch.clone(), &after), ["moved-back"]);
        let mut taken = watch.clone();
        taken.forget_day("disk-0", OF);
        assert_eq!(kinds(&mut taken, &after), [""; 0], "somebody took it");
        after.files.insert("arb/17/2016-02-22.corrupt-2/manifest".into(), manifest(&edits));
        assert_eq!(kinds(&mut watch, &after), [""; 0]);
        // It is bound by what it holds from now on, as long as nothing more is set aside.
        after.put(OF, "manifest", manifest(&[edit(1, &[open(4)], &[], 5, 0)]));
        after.put(OF, "4.seg", file(4));
        assert_eq!(kinds(&mut watch, &after), ["moved-back"]);
    }

    #[test]
    fn on_a_damaged_disk_lost_bytes_are_not_held_against_the_system_but_edits_are() {
        let edits = [edit(1, &[open(1)], &[], 2, 0), edit(2, &[open(2)], &[], 3, 0)];
        let now = |disk: &str| Moment { damaged: BTreeSet::from([disk.to_owned()]), ..noon_after() };
        let mut watch = ManifestWatch::default();
        kinds(&mut watch, &disk(&edits, &[1, 2]));
        let mut cut = disk(&edits[..1], &[]);
        cut.put(OF, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        let mut struck = cut.clone();
        struck.harm(OF, "1.seg");
        assert_eq!(watch.clone().check(&snapshot(&[struck]), &now("disk-0")), []);
        let found = watch.check(&snapshot(&[cut]), &now("disk-1"));
        assert_eq!(found.iter().map(|v| v.kind.as_str()).collect::<Vec<_>>(), ["unreadable", "moved-back"]);
        let reused = disk(&[edits[0].clone(), edit(2, &[open(1)], &[1], 2, 0)], &[1]);
        let found = ManifestWatch::default().check(&testing::snapshot(&[reused]), &now("disk-0"));
        assert_eq!(found.iter().map(|v| v.kind.as_str()).collect::<Vec<_>>(), ["id-reused"]);
    }

    #[test]
    fn names_are_used_once_and_edits_touch_what_is_live() {
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
    fn a_stale_token_is_found() {
        let with = |version, token: u64| {
            edit(version, &[], &[], 2, version).replace("\"token\":0", &format!("\"token\":{token}"))
        };
        assert_eq!(kinds_of(&[with(1, 4), with(2, 0), with(3, 3)], &[]), ["stale-token"]);
        assert_eq!(kinds_of(&[with(1, 4), with(2, 0), with(3, 4)], &[]), [""; 0]);
    }

    #[test]
    fn a_lease_that_falls_back_is_found() {
        let with = |token: u64| {
            let mut disk = Disk::default();
            let grant = [&token.to_le_bytes()[..], &[1, 0], &[0; 16]].concat();
            let file = [&b"LARBLSE1"[..], &testing::frame(&grant)].concat();
            disk.files.insert("arb/17/lease".into(), file.into());
            disk
        };
        let mut watch = ManifestWatch::default();
        assert_eq!(kinds(&mut watch, &with(4)), [""; 0]);
        assert_eq!(kinds(&mut watch, &with(5)), [""; 0]);
        assert_eq!(kinds(&mut watch, &with(4)), ["lease-fell"]);
        let mut torn = with(4);
        torn.files.insert("arb/17/lease".into(), bytes::Bytes::from_static(b"LARB"));
        assert_eq!(kinds(&mut ManifestWatch::default(), &torn), [""; 0], "it was being created");
        assert_eq!(kinds(&mut watch, &torn), ["lease-fell"]);
        torn.files.insert("arb/17/lease".into(), bytes::Bytes::from_static(b"LARBLSE2"));
        assert_eq!(kinds(&mut watch, &torn), ["unreadable"]);
    }
}
