//! Disks read as a whole: what each holds by its own manifests, and what readers of several are sure to see.
//!
//! Only live files count. Whatever does not read is a [`Problem`] of that disk, and its events do not count there:
//! faults may legally ruin a few disks, so it is for the caller to say whether a problem is one of the system's.

use crate::content::{DayContent, Days};
use crate::identity::ProjectDay;
use crate::invariants::Moment;
use crate::memo::Memo;
use crate::reader::lease::{self, Grant};
use crate::reader::manifest::{Entry, Manifest};
use crate::reader::segment::{self, ArbPath, Segment};
use crate::reader::{Flaw, ReadError, Tail};
use crate::sight::Sight;
use crate::view::{DiskView, FileView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A file that should have read and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The disk's name.
    pub disk: String,
    /// Whose day it belongs to.
    pub of: ProjectDay,
    /// What is wrong.
    pub error: ReadError,
}

/// One project's day on one disk.
#[derive(Clone, Debug, Default)]
pub struct DayOnDisk {
    /// The manifest; absent if there is none, or none that reads.
    pub manifest: Option<Arc<Manifest>>,
    /// Live segments that read, by id.
    pub live: BTreeMap<u64, Arc<Segment>>,
    /// What they hold together.
    pub content: Arc<DayContent>,
    /// Length of all live files.
    pub live_bytes: u64,
    /// Every other file of the directory, the manifest aside.
    pub others: Vec<FileView>,
    /// Directories of this day that were set aside, by their numbers. The day begins anew with each.
    pub aside: BTreeSet<u64>,
}

impl DayOnDisk {
    /// The files of `others` that are segments, by id: old ones in their grace time, and orphans.
    pub(crate) fn other(&self, of: ProjectDay, id: u64) -> Option<&FileView> {
        let path = segment::path_of(of, id);
        self.others.iter().find(|file| file.path == path)
    }
}

/// One disk, decoded.
#[derive(Clone, Debug, Default)]
pub struct DiskSnapshot {
    /// The disk's name.
    pub name: String,
    /// Its project-days.
    pub days: BTreeMap<ProjectDay, DayOnDisk>,
    /// Each project's lease, as granted last.
    pub leases: BTreeMap<u32, Result<Option<Grant>, ReadError>>,
    /// What did not read of project-days.
    pub problems: Vec<Problem>,
    /// Length of all its files, of whatever kind.
    pub held_bytes: u64,
    /// Paths of files of which planned faults changed or took bytes.
    pub harmed: BTreeSet<String>,
}

impl DiskSnapshot {
    /// Whether a planned fault changed or took bytes of a file of this day.
    pub(crate) fn is_harmed(&self, of: ProjectDay) -> bool {
        self.harmed.iter().filter_map(|path| segment::arb_path(path)).any(|path| match path {
            ArbPath::Manifest(day) | ArbPath::Segment(day, _) | ArbPath::Stray(day) => day == of,
            ArbPath::Aside(..) | ArbPath::Lease(_) => false,
        })
    }

    /// The manifest of a day, if it reads and no planned fault changed it. A changed one may read up to where it was
    /// struck, and then says what was live before: its disk knows better until it starts again.
    pub(crate) fn sound_manifest(&self, of: ProjectDay) -> Option<&Manifest> {
        let manifest = self.days.get(&of)?.manifest.as_deref()?;
        let path = segment::manifest_path(of);
        (!self.harmed.contains(&path)).then_some(manifest)
    }

    /// Whether planned faults explain that something of a day does not read: they changed or took bytes of a file of the
    /// day, or took away files of this disk and this one is not there.
    pub(crate) fn excuses(&self, problem: &Problem, now: &Moment) -> bool {
        let is_gone = problem.error.flaw == Flaw::Missing && now.is_damaged(&self.name);
        is_gone || self.is_harmed(problem.of)
    }

    /// What it holds of each project's day.
    #[must_use]
    pub fn content(&self) -> Days {
        self.days.iter().map(|(of, day)| (*of, day.content.clone())).collect()
    }
}

/// Some disks, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The disks, in the order given.
    pub disks: Vec<DiskSnapshot>,
    /// The project-days that were read; `None`: all.
    pub scope: Option<BTreeSet<ProjectDay>>,
}

impl Snapshot {
    /// Decodes every project-day of `disks`, and counts as a round of the memo.
    #[must_use]
    pub fn of(memo: &mut Memo, disks: &[DiskView]) -> Snapshot {
        memo.next_round();
        let disks = disks.iter().map(|disk| read_disk(memo, disk, &|_| true)).collect();
        Snapshot { disks, scope: None }
    }

    /// Decodes only these project-days of `disks`.
    #[must_use]
    pub fn of_days(memo: &mut Memo, disks: &[DiskView], days: BTreeSet<ProjectDay>) -> Snapshot {
        let disks = disks.iter().map(|disk| read_disk(memo, disk, &|of| days.contains(&of))).collect();
        Snapshot { disks, scope: Some(days) }
    }

    /// All disks' problems.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.disks.iter().flat_map(|disk| &disk.problems)
    }

    /// The problems that no planned fault explains.
    pub(crate) fn unexcused<'s>(&'s self, now: &'s Moment) -> impl Iterator<Item = &'s Problem> {
        let of_disk = |disk: &'s DiskSnapshot| disk.problems.iter().map(move |problem| (disk, problem));
        let all = self.disks.iter().flat_map(of_disk);
        all.filter(|(disk, problem)| !disk.excuses(problem, now)).map(|(_, problem)| problem)
    }

    /// What a reader of any `read` of the disks sees.
    #[must_use]
    pub fn seen_by(&self, read: usize) -> Sight {
        let places: Vec<Days> = self.disks.iter().map(DiskSnapshot::content).collect();
        let refs: Vec<&Days> = places.iter().collect();
        let sure = (self.disks.len() + 1).saturating_sub(read).max(1);
        Sight { scope: self.scope.clone(), ..Sight::of(&refs, sure) }
    }
}

fn read_disk(memo: &mut Memo, disk: &DiskView, wanted: &dyn Fn(ProjectDay) -> bool) -> DiskSnapshot {
    #[derive(Default)]
    struct Dir<'a> {
        manifest: Option<&'a FileView>,
        segments: BTreeMap<u64, &'a FileView>,
        strays: Vec<&'a FileView>,
        aside: BTreeSet<u64>,
    }
    let mut dirs: BTreeMap<ProjectDay, Dir<'_>> = BTreeMap::new();
    let mut snapshot = DiskSnapshot { name: disk.name.clone(), ..DiskSnapshot::default() };
    for file in &disk.files {
        snapshot.held_bytes += file.len_bytes();
        if file.harmed {
            snapshot.harmed.insert(file.path.clone());
        }
        match segment::arb_path(&file.path) {
            Some(ArbPath::Manifest(of)) if wanted(of) => {
                dirs.entry(of).or_default().manifest = Some(file);
            }
            Some(ArbPath::Segment(of, id)) if wanted(of) => {
                dirs.entry(of).or_default().segments.insert(id, file);
            }
            Some(ArbPath::Stray(of)) if wanted(of) => dirs.entry(of).or_default().strays.push(file),
            Some(ArbPath::Aside(of, number)) if wanted(of) => {
                dirs.entry(of).or_default().aside.insert(number);
            }
            Some(ArbPath::Lease(project)) => {
                let read =
                    file.read().and_then(lease::read).map_err(|wrong| ReadError::new(&file.path, wrong));
                snapshot.leases.insert(project, read.map(|(grants, _)| grants.last().copied()));
            }
            _ => {}
        }
    }
    for (of, dir) in dirs {
        let mut problem = |error| snapshot.problems.push(Problem { disk: disk.name.clone(), of, error });
        let manifest = dir.manifest.and_then(|file| {
            let read = file.read().and_then(|chunks| memo.manifest(chunks));
            read.map_err(|wrong| problem(ReadError::new(&file.path, wrong))).ok()
        });
        let mut day = DayOnDisk { manifest, aside: dir.aside, ..DayOnDisk::default() };
        if let Some(manifest) = day.manifest.clone() {
            for (id, entry) in &manifest.live {
                match read_live(memo, of, entry, dir.segments.get(id).copied()) {
                    Ok(segment) => {
                        day.live_bytes += segment.len_bytes;
                        day.live.insert(*id, segment);
                    }
                    Err(error) => problem(error),
                }
            }
        }
        day.content = memo.day(day.live.values());
        let is_live = |id: &u64| day.manifest.as_ref().is_some_and(|manifest| manifest.live.contains_key(id));
        let dead = dir.segments.iter().filter(|(id, _)| !is_live(id)).map(|(_, file)| *file);
        day.others = dead.chain(dir.strays).cloned().collect();
        snapshot.days.insert(of, day);
    }
    snapshot
}

/// A live file must be there, be what its entry says, and read.
fn read_live(
    memo: &mut Memo,
    of: ProjectDay,
    entry: &Entry,
    file: Option<&FileView>,
) -> Result<Arc<Segment>, ReadError> {
    let Some(file) = file else {
        return Err(ReadError { path: segment::path_of(of, entry.id), at: 0, flaw: Flaw::Missing });
    };
    let at_start = |flaw| ReadError::new(&file.path, (0, flaw));
    let segment = file.read().and_then(|chunks| memo.segment(chunks, entry.sealed));
    let segment = segment.map_err(|wrong| ReadError::new(&file.path, wrong))?;
    segment::check_place(&segment, of, entry.id).map_err(at_start)?;
    let differs = |what, found: String, stated: String| Err(at_start(Flaw::Differs { what, found, stated }));
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

/// How many live segments of a snapshot end torn: writes that a crash cut and recovery has not yet cut away.
#[must_use]
pub fn torn_segments(snapshot: &Snapshot) -> usize {
    let live = snapshot.disks.iter().flat_map(|disk| disk.days.values()).flat_map(|day| day.live.values());
    live.filter(|segment| segment.tail != Tail::Clean).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, DAY, Disk, NOON_MS, Rec, edit, manifest, open_entry, sealed_entry};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<Rec> {
        ids.iter().map(|id| Rec::new("a", id, NOON_MS)).collect()
    }

    fn snapshot(disks: &[Disk]) -> Snapshot {
        let views: Vec<DiskView> =
            disks.iter().enumerate().map(|(at, disk)| disk.view(&format!("disk-{at}"))).collect();
        Snapshot::of(&mut Memo::default(), &views)
    }

    #[test]
    fn only_live_files_count() {
        let mut disk = Disk::default().with_day(OF, &recs(&["i1"]));
        let merged = testing::compacted(OF, 2, recs(&["i1", "i2"]));
        disk.put(OF, "2.seg", merged.clone());
        disk.put(OF, "3.seg.tmp", merged.clone());
        let open = edit(1, &[open_entry(1, "on-time")], &[], 2, 0);
        disk.put(OF, "manifest", manifest(std::slice::from_ref(&open)));
        let before = snapshot(&[disk.clone()]);
        let paths = |snapshot: &Snapshot| {
            let mut paths: Vec<String> =
                snapshot.disks[0].days[&OF].others.iter().map(|file| file.path.clone()).collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(&before), ["arb/17/2016-02-22/2.seg", "arb/17/2016-02-22/3.seg.tmp"]);
        assert_eq!(before.disks[0].days[&OF].content.digest.count, 1);
        let merge = edit(2, &[sealed_entry(2, "compacted", &merged, 2)], &[1], 3, 1);
        disk.put(OF, "manifest", manifest(&[open, merge]));
        let after = snapshot(&[disk]);
        assert_eq!(after.problems().count(), 0);
        assert_eq!(after.disks[0].days[&OF].content.digest.count, 2);
        assert_eq!(paths(&after)[0], "arb/17/2016-02-22/1.seg");
    }

    #[test]
    fn what_the_device_cannot_read_is_no_copy_and_what_was_set_aside_is_noted() {
        let mut disk = Disk::default().with_day(OF, &recs(&["i1"]));
        let aside = "arb/17/2016-02-22.corrupt-6/6.seg";
        disk.files.insert(aside.into(), bytes::Bytes::from_static(b"x"));
        let read = |view: &DiskView| Snapshot::of(&mut Memo::default(), std::slice::from_ref(view));
        let sound = read(&disk.view("disk-0"));
        let day = &sound.disks[0].days[&OF];
        assert_eq!((day.content.digest.count, &day.aside, day.others.len()), (1, &BTreeSet::from([6]), 0));
        for name in ["22/1.seg", "22/manifest"] {
            let mut view = disk.view("disk-0");
            let file = view.files.iter_mut().find(|file| file.path.ends_with(name)).unwrap();
            file.unreadable = true;
            let bad = read(&view);
            let problem = bad.problems().next().unwrap();
            assert_eq!(problem.error.flaw, Flaw::Unreadable, "{name}");
            assert_eq!(bad.disks[0].days[&OF].content.digest.count, 0, "{name}");
        }
    }

    #[test]
    fn live_files_are_held_to_their_entries() {
        let file = testing::compacted(OF, 1, recs(&["i1", "i2"]));
        let entry = sealed_entry(1, "compacted", &file, 2);
        let flaw = |file: Option<Bytes>, entry: &str| {
            let mut disk = Disk::default();
            disk.put(OF, "manifest", manifest(&[edit(1, &[entry.to_owned()], &[], 2, 0)]));
            if let Some(file) = file {
                disk.put(OF, "1.seg", file);
            }
            let snapshot = snapshot(&[disk]);
            snapshot.problems().next().map(|problem| problem.error.flaw.to_string())
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
        let other = testing::compacted(OF, 1, recs(&["i1", "i3"]));
        assert!(flaw(Some(other), &entry).unwrap().contains("hash"));
        let elsewhere = testing::compacted(ProjectDay { project: 18, ..OF }, 1, recs(&["i1", "i2"]));
        assert!(flaw(Some(elsewhere), &entry).unwrap().contains("project and day"));
        let mut unsorted = recs(&["i1", "i2"]);
        unsorted.sort_by_key(|rec| std::cmp::Reverse(rec.key()));
        let unsorted = testing::segment(2, OF, 1, &[unsorted]);
        let entry = sealed_entry(1, "compacted", &unsorted, 2);
        assert!(flaw(Some(unsorted), &entry).unwrap().contains("out of order"));
    }
}
