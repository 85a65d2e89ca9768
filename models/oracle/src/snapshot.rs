//! Decoded disks: the live files of each disk by its own manifests, and the read view over several disks.
//!
//! Only live files count. Every unreadable file is a [`FileProblem`] of its disk, and its events do not count there.
//! Faults may legally destroy a few disks, so the caller decides whether a problem is a violation.

use crate::content::{DayContent, DayContents};
use crate::decode_cache::DecodeCache;
use crate::identity::{DedupKey, ProjectDay};
use crate::invariants::CheckContext;
use crate::read_view::ReadView;
use crate::reader::arb_path::{self, ArbPath};
use crate::reader::lease::{self, LeaseGrant};
use crate::reader::manifest::{Manifest, ManifestEntry};
use crate::reader::segment::{self, Segment};
use crate::reader::{ReadError, ReadErrorKind};
use crate::view::{DiskView, FileView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A file that should be readable and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// Name of the disk.
    pub disk: String,
    /// Project-day of the file.
    pub project_day: ProjectDay,
    /// Error of the reader.
    pub error: ReadError,
}

/// One project-day on one disk.
#[derive(Clone, Debug, Default)]
pub struct DayReplica {
    /// Manifest, if it exists and is readable.
    pub manifest: Option<Arc<Manifest>>,
    /// Readable live segments, by id.
    pub live: BTreeMap<u64, Arc<Segment>>,
    /// Merged contents of the live segments.
    pub content: Arc<DayContent>,
    /// Length of all live files.
    pub live_bytes: u64,
    /// Every other file of the directory, except for the manifest.
    pub non_live_files: Vec<FileView>,
    /// Live segments that planned faults corrupted, by id.
    pub corrupted_files: BTreeMap<u64, FileView>,
    /// Numbers of the quarantined directories of this day. The day starts over with each.
    pub quarantined: BTreeSet<u64>,
}

impl DayReplica {
    /// Returns a non-live segment by id: an old one in its grace time, or an orphan.
    pub(crate) fn non_live_segment(&self, project_day: ProjectDay, id: u64) -> Option<&FileView> {
        let path = arb_path::segment_path(project_day, id);
        self.non_live_files.iter().find(|file| file.path == path)
    }

    /// Returns a segment that a planned fault corrupted, live or not.
    pub(crate) fn corrupted_segment(&self, project_day: ProjectDay, id: u64) -> Option<&FileView> {
        let non_live = || self.non_live_segment(project_day, id).filter(|file| file.corrupted);
        self.corrupted_files.get(&id).or_else(non_live)
    }
}

/// One decoded disk.
#[derive(Clone, Debug, Default)]
pub struct DiskSnapshot {
    /// Name of the disk.
    pub name: String,
    /// Replicas of project-days.
    pub days: BTreeMap<ProjectDay, DayReplica>,
    /// Last lease grant, by project.
    pub leases: BTreeMap<u32, Result<Option<LeaseGrant>, ReadError>>,
    /// Unreadable files of project-days.
    pub problems: Vec<FileProblem>,
    /// Length of all files of any kind.
    pub used_bytes: u64,
    /// Paths of files with bytes corrupted or destroyed by planned faults.
    pub corrupted: BTreeSet<String>,
}

impl DiskSnapshot {
    /// Whether a planned fault corrupted or destroyed bytes of a file of this day.
    pub(crate) fn is_corrupted(&self, project_day: ProjectDay) -> bool {
        self.corrupted.iter().filter_map(|path| arb_path::parse_arb_path(path)).any(|path| match path {
            ArbPath::Manifest(day) | ArbPath::Segment(day, _) | ArbPath::OtherFile(day) => day == project_day,
            ArbPath::Quarantined(..) | ArbPath::Lease(_) => false,
        })
    }

    /// Returns the manifest of a day, if it is readable and no planned fault corrupted it. A corrupted one may be
    /// readable up to the corrupted edit, and then states an older set of live files: the running process holds a
    /// newer one until it restarts.
    pub(crate) fn intact_manifest(&self, project_day: ProjectDay) -> Option<&Manifest> {
        let manifest = self.days.get(&project_day)?.manifest.as_deref()?;
        let path = arb_path::manifest_path(project_day);
        (!self.corrupted.contains(&path)).then_some(manifest)
    }

    /// Whether planned faults explain an unreadable file: they corrupted or destroyed bytes of a file of the day, or
    /// destroyed files of this disk and this file is missing.
    pub(crate) fn excuses(&self, problem: &FileProblem, context: &CheckContext) -> bool {
        let is_gone = problem.error.kind == ReadErrorKind::Missing && context.is_damaged(&self.name);
        is_gone || self.is_corrupted(problem.project_day)
    }

    /// Returns the contents of each project-day.
    #[must_use]
    pub fn content(&self) -> DayContents {
        self.days.iter().map(|(project_day, day)| (*project_day, day.content.clone())).collect()
    }
}

/// Several disks at one point in time.
#[derive(Clone, Debug, Default)]
pub struct ClusterSnapshot {
    /// Disks, in the given order.
    pub disks: Vec<DiskSnapshot>,
    /// Project-days that were read; `None`: all.
    pub scope: Option<BTreeSet<ProjectDay>>,
}

impl ClusterSnapshot {
    /// Decodes every project-day of `disks`, and starts a new round of the decode cache.
    #[must_use]
    pub fn of(cache: &mut DecodeCache, disks: &[DiskView]) -> ClusterSnapshot {
        cache.next_round();
        let disks = disks.iter().map(|disk| read_disk(cache, disk, &|_| true)).collect();
        ClusterSnapshot { disks, scope: None }
    }

    /// Decodes only these project-days of `disks`.
    #[must_use]
    pub fn of_days(
        cache: &mut DecodeCache,
        disks: &[DiskView],
        days: BTreeSet<ProjectDay>,
    ) -> ClusterSnapshot {
        let disks = disks
            .iter()
            .map(|disk| read_disk(cache, disk, &|project_day| days.contains(&project_day)))
            .collect();
        ClusterSnapshot { disks, scope: Some(days) }
    }

    /// Returns the number of compaction runs of each project-day: the most that a readable manifest shows.
    #[must_use]
    pub fn runs(&self) -> BTreeMap<ProjectDay, u64> {
        let mut runs: BTreeMap<ProjectDay, u64> = BTreeMap::new();
        for (project_day, day) in self.disks.iter().flat_map(|disk| &disk.days) {
            let Some(edit) = day.manifest.as_ref().and_then(|manifest| manifest.edits.last()) else {
                continue;
            };
            let most = runs.entry(*project_day).or_default();
            *most = edit.compactions.max(*most);
        }
        runs
    }

    /// Returns the problems of all disks.
    pub fn problems(&self) -> impl Iterator<Item = &FileProblem> {
        self.disks.iter().flat_map(|disk| &disk.problems)
    }

    /// Returns the problems that no planned fault explains.
    pub(crate) fn unexcused_problems<'s>(
        &'s self,
        context: &'s CheckContext,
    ) -> impl Iterator<Item = &'s FileProblem> {
        let of_disk = |disk: &'s DiskSnapshot| disk.problems.iter().map(move |problem| (disk, problem));
        let all = self.disks.iter().flat_map(of_disk);
        all.filter(|(disk, problem)| !disk.excuses(problem, context)).map(|(_, problem)| problem)
    }

    /// Whether a disk holds an event with this key in this day.
    pub(crate) fn holds(&self, project_day: ProjectDay, key: DedupKey) -> bool {
        let days = self.disks.iter().filter_map(|disk| disk.days.get(&project_day));
        days.map(|day| &day.content.events)
            .any(|events| events.binary_search_by_key(&key, |event| event.key).is_ok())
    }

    /// Returns the view of a reader that reads any `read` of the disks.
    #[must_use]
    pub fn read_view(&self, read: usize) -> ReadView {
        let replicas: Vec<DayContents> = self.disks.iter().map(DiskSnapshot::content).collect();
        let refs: Vec<&DayContents> = replicas.iter().collect();
        let min_replicas = (self.disks.len() + 1).saturating_sub(read).max(1);
        ReadView { scope: self.scope.clone(), ..ReadView::of(&refs, min_replicas) }
    }
}

fn read_disk(cache: &mut DecodeCache, disk: &DiskView, wanted: &dyn Fn(ProjectDay) -> bool) -> DiskSnapshot {
    #[derive(Default)]
    struct DayDirectory<'a> {
        manifest: Option<&'a FileView>,
        segments: BTreeMap<u64, &'a FileView>,
        other_files: Vec<&'a FileView>,
        quarantined: BTreeSet<u64>,
    }
    let mut dirs: BTreeMap<ProjectDay, DayDirectory<'_>> = BTreeMap::new();
    let mut snapshot = DiskSnapshot { name: disk.name.clone(), ..DiskSnapshot::default() };
    for file in &disk.files {
        snapshot.used_bytes += file.len_bytes();
        if file.corrupted {
            snapshot.corrupted.insert(file.path.clone());
        }
        match arb_path::parse_arb_path(&file.path) {
            Some(ArbPath::Manifest(project_day)) if wanted(project_day) => {
                dirs.entry(project_day).or_default().manifest = Some(file);
            }
            Some(ArbPath::Segment(project_day, id)) if wanted(project_day) => {
                dirs.entry(project_day).or_default().segments.insert(id, file);
            }
            Some(ArbPath::OtherFile(project_day)) if wanted(project_day) => {
                dirs.entry(project_day).or_default().other_files.push(file)
            }
            Some(ArbPath::Quarantined(project_day, number)) if wanted(project_day) => {
                dirs.entry(project_day).or_default().quarantined.insert(number);
            }
            Some(ArbPath::Lease(project)) => {
                let read =
                    file.read().and_then(lease::read).map_err(|wrong| ReadError::new(&file.path, wrong));
                snapshot.leases.insert(project, read.map(|(grants, _)| grants.last().copied()));
            }
            _ => {}
        }
    }
    for (project_day, dir) in dirs {
        let mut problem =
            |error| snapshot.problems.push(FileProblem { disk: disk.name.clone(), project_day, error });
        let manifest = dir.manifest.and_then(|file| {
            let read = file.read().and_then(|chunks| cache.manifest(chunks));
            read.map_err(|wrong| problem(ReadError::new(&file.path, wrong))).ok()
        });
        let mut day = DayReplica { manifest, quarantined: dir.quarantined, ..DayReplica::default() };
        if let Some(manifest) = day.manifest.clone() {
            for (id, entry) in &manifest.live {
                match read_live(cache, project_day, entry, dir.segments.get(id).copied()) {
                    Ok(segment) => {
                        day.live_bytes += segment.len_bytes;
                        day.live.insert(*id, segment);
                    }
                    Err(error) => problem(error),
                }
                if let Some(file) = dir.segments.get(id).filter(|file| file.corrupted) {
                    day.corrupted_files.insert(*id, (*file).clone());
                }
            }
        }
        day.content = cache.day(day.live.values());
        let is_live = |id: &u64| day.manifest.as_ref().is_some_and(|manifest| manifest.live.contains_key(id));
        let dead = dir.segments.iter().filter(|(id, _)| !is_live(id)).map(|(_, file)| *file);
        day.non_live_files = dead.chain(dir.other_files).cloned().collect();
        snapshot.days.insert(project_day, day);
    }
    snapshot
}

/// Reads a live file, which must exist, match its manifest entry, and be readable.
fn read_live(
    cache: &mut DecodeCache,
    project_day: ProjectDay,
    entry: &ManifestEntry,
    file: Option<&FileView>,
) -> Result<Arc<Segment>, ReadError> {
    let Some(file) = file else {
        return Err(ReadError {
            path: arb_path::segment_path(project_day, entry.id),
            offset: 0,
            kind: ReadErrorKind::Missing,
        });
    };
    let at_start = |flaw| ReadError::new(&file.path, (0, flaw));
    let segment = file.read().and_then(|chunks| cache.segment(chunks, entry.sealed));
    let segment = segment.map_err(|wrong| ReadError::new(&file.path, wrong))?;
    segment::check_location(&segment, project_day, entry.id).map_err(at_start)?;
    let differs =
        |what, found: String, stated: String| Err(at_start(ReadErrorKind::Mismatch { what, found, stated }));
    if segment.tier != entry.tier {
        return differs("tier", format!("{:?}", segment.tier), format!("{:?}", entry.tier));
    }
    if !entry.sealed {
        return Ok(segment);
    }
    if segment.len_bytes != entry.bytes {
        return differs("length in bytes", segment.len_bytes.to_string(), entry.bytes.to_string());
    }
    if segment.hash.as_deref() != Some(entry.hash.as_str()) {
        return differs("hash", segment.hash.clone().unwrap_or_default(), entry.hash.clone());
    }
    if segment.records != entry.records {
        return differs("count of records", segment.records.to_string(), entry.records.to_string());
    }
    Ok(segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{
        self, DAY, NOON_MS, TestDisk, TestRecord, edit, manifest, open_entry, sealed_entry,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<TestRecord> {
        ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
    }

    fn snapshot(disks: &[TestDisk]) -> ClusterSnapshot {
        let views: Vec<DiskView> =
            disks.iter().enumerate().map(|(at, disk)| disk.view(&format!("disk-{at}"))).collect();
        ClusterSnapshot::of(&mut DecodeCache::default(), &views)
    }

    #[test]
    fn only_live_files_count() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &recs(&["i1"]));
        let merged = test_support::compacted(PROJECT_DAY, 2, recs(&["i1", "i2"]));
        disk.put(PROJECT_DAY, "2.seg", merged.clone());
        disk.put(PROJECT_DAY, "3.seg.tmp", merged.clone());
        let open = edit(1, &[open_entry(1, "on-time")], &[], 2, 0);
        disk.put(PROJECT_DAY, "manifest", manifest(std::slice::from_ref(&open)));
        let before = snapshot(&[disk.clone()]);
        let paths = |snapshot: &ClusterSnapshot| {
            let mut paths: Vec<String> = snapshot.disks[0].days[&PROJECT_DAY]
                .non_live_files
                .iter()
                .map(|file| file.path.clone())
                .collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(&before), ["arb/17/2016-02-22/2.seg", "arb/17/2016-02-22/3.seg.tmp"]);
        assert_eq!(before.disks[0].days[&PROJECT_DAY].content.digest.count, 1);
        let merge = edit(2, &[sealed_entry(2, "compacted", &merged, 2)], &[1], 3, 1);
        disk.put(PROJECT_DAY, "manifest", manifest(&[open, merge]));
        let after = snapshot(&[disk]);
        assert_eq!(after.problems().count(), 0);
        assert_eq!(after.disks[0].days[&PROJECT_DAY].content.digest.count, 2);
        assert_eq!(paths(&after)[0], "arb/17/2016-02-22/1.seg");
    }

    #[test]
    fn unreadable_files_do_not_count_and_quarantined_directories_are_recorded() {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &recs(&["i1"]));
        let quarantined = "arb/17/2016-02-22.corrupt-6/6.seg";
        disk.files.insert(quarantined.into(), bytes::Bytes::from_static(b"x"));
        let read =
            |view: &DiskView| ClusterSnapshot::of(&mut DecodeCache::default(), std::slice::from_ref(view));
        let sound = read(&disk.view("disk-0"));
        let day = &sound.disks[0].days[&PROJECT_DAY];
        assert_eq!(
            (day.content.digest.count, &day.quarantined, day.non_live_files.len()),
            (1, &BTreeSet::from([6]), 0)
        );
        for name in ["22/1.seg", "22/manifest"] {
            let mut view = disk.view("disk-0");
            let file = view.files.iter_mut().find(|file| file.path.ends_with(name)).unwrap();
            file.unreadable = true;
            let bad = read(&view);
            let problem = bad.problems().next().unwrap();
            assert_eq!(problem.error.kind, ReadErrorKind::Unreadable, "{name}");
            assert_eq!(bad.disks[0].days[&PROJECT_DAY].content.digest.count, 0, "{name}");
        }
    }

    #[test]
    fn live_files_must_match_their_manifest_entries() {
        let file = test_support::compacted(PROJECT_DAY, 1, recs(&["i1", "i2"]));
        let entry = sealed_entry(1, "compacted", &file, 2);
        let flaw = |file: Option<Bytes>, entry: &str| {
            let mut disk = TestDisk::default();
            disk.put(PROJECT_DAY, "manifest", manifest(&[edit(1, &[entry.to_owned()], &[], 2, 0)]));
            if let Some(file) = file {
                disk.put(PROJECT_DAY, "1.seg", file);
            }
            let snapshot = snapshot(&[disk]);
            snapshot.problems().next().map(|problem| problem.error.kind.to_string())
        };
        use bytes::Bytes;
        assert_eq!(flaw(Some(file.clone()), &entry), None);
        assert_eq!(flaw(None, &entry).unwrap(), "file is missing");
        assert!(
            flaw(Some(file.clone()), &entry.replace("\"records\":2", "\"records\":3"))
                .unwrap()
                .contains("count")
        );
        assert!(flaw(Some(file.clone()), &entry.replace("compacted", "late")).unwrap().contains("tier"));
        let other = test_support::compacted(PROJECT_DAY, 1, recs(&["i1", "i3"]));
        assert!(flaw(Some(other), &entry).unwrap().contains("hash"));
        let elsewhere =
            test_support::compacted(ProjectDay { project: 18, ..PROJECT_DAY }, 1, recs(&["i1", "i2"]));
        assert!(flaw(Some(elsewhere), &entry).unwrap().contains("project and day"));
        let mut unsorted = recs(&["i1", "i2"]);
        unsorted.sort_by_key(|rec| std::cmp::Reverse(rec.key()));
        let unsorted = test_support::segment(2, PROJECT_DAY, 1, &[unsorted]);
        let entry = sealed_entry(1, "compacted", &unsorted, 2);
        assert!(flaw(Some(unsorted), &entry).unwrap().contains("out of order"));
    }
}
