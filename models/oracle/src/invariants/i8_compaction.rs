//! I8: the de-duplicated union of a compaction's inputs is its output.
//!
//! A run is an edit that raises `compactions`: what it removes went in, what it adds came out. Inputs stay in the
//! directory for a grace time, and the snapshot before may have held them as live files. A run whose files are all
//! gone already cannot be judged, and is reported as such: a check that could not run has not passed. Only on a disk
//! of which planned faults took bytes it is passed over: the other disks' runs over the same day stand for it.

use super::aside::Asides;
use super::{Moment, count, violation};
use crate::content::DayContent;
use crate::identity::{Key, ProjectDay};
use crate::memo::Memo;
use crate::reader::manifest::Edit;
use crate::reader::segment::{self, Segment};
use crate::snapshot::{DayOnDisk, Snapshot};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How an output differs from the union of its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that went in and did not come out.
    pub lost: BTreeSet<Key>,
    /// Keys that came out and did not go in.
    pub invented: BTreeSet<Key>,
    /// Keys of which something came out that no input says.
    pub altered: BTreeSet<Key>,
    /// Keys of which another record came out than the first to arrive.
    pub wrong_winner: BTreeSet<Key>,
    /// Keys that came out more than once.
    pub twice: BTreeSet<Key>,
}

/// Compares the inputs of one run with its output.
#[must_use]
pub fn compare(inputs: &DayContent, output: &DayContent) -> Difference {
    let mut difference = Difference::default();
    let mut came_out = output.kept.iter().peekable();
    for went_in in &inputs.kept {
        while let Some(one) = came_out.next_if(|one| one.key < went_in.key) {
            difference.invented.insert(one.key);
        }
        match came_out.next_if(|one| one.key == went_in.key) {
            None => drop(difference.lost.insert(went_in.key)),
            Some(one) => {
                let variants = inputs.variants.get(&one.key).into_iter().flatten();
                let mut said = variants.chain([&went_in.content]);
                if !said.any(|content| *content == one.content) {
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

/// What a look at the runs since the last snapshot gave.
#[derive(Debug, Default)]
pub struct Runs {
    /// What was found, one per project, day and kind, over all disks.
    pub violations: Vec<Violation>,
    /// Runs that were compared.
    pub compared: u64,
    /// Runs of which an input or output was gone already: `disk: path`.
    pub not_compared: Vec<String>,
    /// Runs that cannot be compared because planned faults took bytes from their disk.
    pub passed_over: u64,
}

/// Watches compaction runs from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct CompactionWatch {
    last: BTreeMap<(String, ProjectDay), Met>,
    asides: Asides,
}

#[derive(Debug, Default)]
struct Met {
    version: u64,
    live: BTreeMap<u64, Arc<Segment>>,
}

type Found = BTreeMap<(ProjectDay, &'static str), (BTreeSet<Key>, BTreeSet<String>)>;

impl CompactionWatch {
    /// The disk was replaced or emptied.
    pub fn forget(&mut self, disk: &str) {
        self.last.retain(|(name, _), _| name != disk);
        self.asides.forget(disk);
    }

    /// Somebody outside of the system took this day from the disk.
    pub fn forget_day(&mut self, disk: &str, of: ProjectDay) {
        self.last.remove(&(disk.to_owned(), of));
    }

    /// Compares every run that was committed since the last call.
    pub fn check(&mut self, memo: &mut Memo, snapshot: &Snapshot, now: &Moment) -> Runs {
        let mut runs = Runs::default();
        let mut found = Found::new();
        for disk in &snapshot.disks {
            for (of, day) in &disk.days {
                if self.asides.is_new(&disk.name, *of, &day.aside) {
                    self.forget_day(&disk.name, *of);
                }
                let Some(manifest) = &day.manifest else { continue };
                let met = self.last.entry((disk.name.clone(), *of)).or_default();
                let since = usize::try_from(met.version).unwrap_or(usize::MAX).min(manifest.edits.len());
                let mut compactions = since.checked_sub(1).map_or(0, |last| manifest.edits[last].compactions);
                for edit in &manifest.edits[since..] {
                    if edit.compactions > compactions {
                        match run(memo, *of, edit, day, met) {
                            // Bytes that a planned fault took since say nothing of what the run read.
                            Ok(_)
                                if now.is_damaged(&disk.name)
                                    && !is_as_sealed(memo, *of, &manifest.edits, edit, day) =>
                            {
                                runs.passed_over += 1;
                            }
                            Ok((inputs, output)) => {
                                runs.compared += 1;
                                note(&mut found, *of, &disk.name, compare(&inputs, &output));
                            }
                            Err(_) if now.is_damaged(&disk.name) => runs.passed_over += 1,
                            Err(path) => runs.not_compared.push(format!("{}: {path}", disk.name)),
                        }
                    }
                    compactions = edit.compactions;
                }
                *met = Met { version: manifest.version(), live: day.live.clone() };
            }
        }
        runs.violations = violations(found, snapshot, now);
        runs
    }
}

/// What went into a run and what came out of it, or the path of a file that is gone.
fn run(
    memo: &mut Memo,
    of: ProjectDay,
    edit: &Edit,
    day: &DayOnDisk,
    met: &Met,
) -> Result<(Arc<DayContent>, Arc<DayContent>), String> {
    let mut all = |ids: &mut dyn Iterator<Item = u64>| -> Result<Arc<DayContent>, String> {
        let segments: Result<Vec<_>, _> = ids.map(|id| find(memo, of, id, day, met)).collect();
        Ok(memo.day(segments?.iter()))
    };
    let inputs = all(&mut edit.remove.iter().copied())?;
    let output = all(&mut edit.add.iter().map(|entry| entry.id))?;
    Ok((inputs, output))
}

/// A segment by its id: live now, in its grace time, or live and sealed when last met. An open one may have grown
/// since then, and what it grew by went in too.
fn find(
    memo: &mut Memo,
    of: ProjectDay,
    id: u64,
    day: &DayOnDisk,
    met: &Met,
) -> Result<Arc<Segment>, String> {
    if let Some(live) = day.live.get(&id) {
        return Ok(live.clone());
    }
    let other = day.other(of, id).and_then(|file| memo.segment(file.read().ok()?, false).ok());
    other
        .or_else(|| met.live.get(&id).filter(|segment| segment.hash.is_some()).cloned())
        .ok_or_else(|| segment::path_of(of, id))
}

/// Whether every file of a run that is still there is the one that the manifest sealed, byte for byte.
fn is_as_sealed(memo: &mut Memo, of: ProjectDay, edits: &[Edit], run: &Edit, day: &DayOnDisk) -> bool {
    let ids = run.remove.iter().copied().chain(run.add.iter().map(|entry| entry.id));
    ids.into_iter().all(|id| {
        let sealed = edits.iter().flat_map(|edit| &edit.add).rfind(|entry| entry.id == id && entry.sealed);
        let found = match day.live.get(&id) {
            Some(live) => live.hash.clone(),
            None => day
                .other(of, id)
                .and_then(|file| memo.segment(file.read().ok()?, true).ok())
                .and_then(|segment| segment.hash.clone()),
        };
        sealed.is_some_and(|entry| Some(&entry.hash) == found.as_ref())
    })
}

fn note(found: &mut Found, of: ProjectDay, disk: &str, difference: Difference) {
    let Difference { lost, invented, altered, wrong_winner, twice } = difference;
    for (kind, keys) in [
        ("lost", lost),
        ("invented", invented),
        ("altered", altered),
        ("wrong-winner", wrong_winner),
        ("key-twice", twice),
    ] {
        if !keys.is_empty() {
            let (all, disks) = found.entry((of, kind)).or_default();
            all.extend(keys);
            disks.insert(disk.to_owned());
        }
    }
}

/// Lost keys that some disk still holds (they were sent again, or another disk has them) are not gone: they make a
/// violation of their own kind. But where the same day lost events for good, everything else that its runs did
/// wrong is the same mistake, and is told in that one violation.
fn violations(found: Found, snapshot: &Snapshot, now: &Moment) -> Vec<Violation> {
    let mut days: BTreeMap<ProjectDay, BTreeMap<&'static str, (BTreeSet<Key>, String)>> = BTreeMap::new();
    for ((of, kind), (keys, disks)) in found {
        let disks = disks.into_iter().collect::<Vec<_>>().join(", ");
        let (held, gone): (BTreeSet<Key>, BTreeSet<Key>) =
            keys.into_iter().partition(|key| kind != "lost" || is_held(snapshot, of, *key));
        let kinds = days.entry(of).or_default();
        for (kind, keys) in [("lost", gone), (if kind == "lost" { "dropped" } else { kind }, held)] {
            if !keys.is_empty() {
                kinds.insert(kind, (keys, disks.clone()));
            }
        }
    }
    days.into_iter().flat_map(|(of, kinds)| of_day(of, kinds, now)).collect()
}

fn of_day(
    of: ProjectDay,
    mut kinds: BTreeMap<&'static str, (BTreeSet<Key>, String)>,
    now: &Moment,
) -> Vec<Violation> {
    let tell = |kind: &str, keys: &BTreeSet<Key>, disks: &str, besides: &str| {
        let items = keys.len() as u64;
        let detail = format!(
            "a compaction of {of} on {disks}: {} {}{besides}",
            count(items, "event", "events"),
            in_words(kind)
        );
        Violation { loses_items: matches!(kind, "lost" | "altered"), ..violation("I8", kind, now, of, items) }
            .keys(keys.iter().map(Key::to_string))
            .because(detail)
    };
    if let Some((lost, disks)) = kinds.remove("lost") {
        let besides: String =
            kinds.iter().map(|(kind, (keys, _))| format!("; {} {}", keys.len(), in_words(kind))).collect();
        return vec![tell("lost", &lost, &disks, &besides)];
    }
    kinds.iter().map(|(kind, (keys, disks))| tell(kind, keys, disks, "")).collect()
}

fn is_held(snapshot: &Snapshot, of: ProjectDay, key: Key) -> bool {
    let days = snapshot.disks.iter().filter_map(|disk| disk.days.get(&of));
    days.map(|day| &day.content.kept).any(|kept| kept.binary_search_by_key(&key, |kept| kept.key).is_ok())
}

fn in_words(kind: &str) -> &'static str {
    match kind {
        "lost" => "went in, did not come out, on no disk now",
        "dropped" => "went in and did not come out, but on other disks",
        "invented" => "came out that did not go in",
        "altered" => "came out saying something that no input says",
        "wrong-winner" => "came out with another record than the first to arrive",
        _ => "came out more than once",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{self, DAY, Disk, NOON_MS, Rec, edit, manifest, open_entry, sealed_entry};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<Rec> {
        ids.iter().map(|id| Rec::new("a", id, NOON_MS)).collect()
    }

    #[test]
    fn what_a_losing_run_did_besides_is_told_with_the_loss() {
        let key = |n: u128| BTreeSet::from([Key(n)]);
        let disks = || "disk-1".to_owned();
        let kinds = BTreeMap::from([
            ("lost", (key(1), disks())),
            ("dropped", (key(2), disks())),
            ("wrong-winner", (key(3), disks())),
        ]);
        let found = of_day(OF, kinds, &noon_after());
        assert_eq!(found.len(), 1);
        assert!(found[0].loses_items && found[0].detail.contains("; 1 went in and did not come out"));
        let alone = of_day(OF, BTreeMap::from([("dropped", (key(2), disks()))]), &noon_after());
        assert!(!alone[0].loses_items && alone[0].kind == "dropped");
    }

    /// Segments 1 (`i1`, `i2`) and 2 (`i2` again, later) merged into 3.
    fn merged(output: Vec<Rec>) -> Disk {
        let again = Rec { sequence: 2, arrived_ms: NOON_MS + 9_000, ..recs(&["i2"])[0].clone() };
        let mut disk = Disk::default().with_day(OF, &recs(&["i1", "i2"]));
        disk.put(OF, "2.seg", testing::segment(0, OF, 2, &[vec![again]]));
        let count = output.len();
        let output = testing::compacted(OF, 3, output);
        disk.put(OF, "3.seg", output.clone());
        let edits = [
            edit(1, &[open_entry(1, "on-time"), open_entry(2, "late")], &[], 3, 0),
            edit(2, &[sealed_entry(3, "compacted", &output, count)], &[1, 2], 4, 1),
        ];
        disk.put(OF, "manifest", manifest(&edits));
        disk
    }

    fn check(disks: &[Disk]) -> Runs {
        let mut memo = Memo::default();
        let views: Vec<_> =
            disks.iter().enumerate().map(|(at, disk)| disk.view(&format!("disk-{at}"))).collect();
        let snapshot = Snapshot::of(&mut memo, &views);
        assert_eq!(snapshot.problems().count(), 0);
        CompactionWatch::default().check(&mut memo, &snapshot, &noon_after())
    }

    fn kinds(runs: &Runs) -> Vec<(&str, u64, bool)> {
        runs.violations.iter().map(|v| (v.kind.as_str(), v.items, v.loses_items)).collect()
    }

    #[test]
    fn the_union_of_the_inputs_passes() {
        let runs = check(&vec![merged(recs(&["i1", "i2"])); 2]);
        assert_eq!((kinds(&runs), runs.compared, runs.not_compared.len()), (vec![], 2, 0));
    }

    #[test]
    fn an_event_that_does_not_come_out_is_lost_unless_another_disk_holds_it() {
        let (good, bad) = (merged(recs(&["i1", "i2"])), merged(recs(&["i2"])));
        assert_eq!(kinds(&check(&vec![bad.clone(); 2])), [("lost", 1, true)]);
        let runs = check(&[good, bad]);
        assert_eq!(kinds(&runs), [("dropped", 1, false)]);
        assert!(runs.violations[0].detail.contains("disk-1"), "{}", runs.violations[0].detail);
    }

    #[test]
    fn events_from_nowhere_and_wrong_winners_are_found() {
        let invented = ["i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8"]; // keys before, between and behind the inputs'
        assert_eq!(kinds(&check(&[merged(recs(&invented))])), [("invented", 6, false)]);
        let mut output = recs(&["i1", "i2"]);
        (output[1].sequence, output[1].arrived_ms) = (2, NOON_MS + 9_000);
        assert_eq!(kinds(&check(&[merged(output)])), [("wrong-winner", 1, false)]);
    }

    #[test]
    fn an_event_that_comes_out_otherwise_than_it_went_in_is_lost() {
        let mut output = recs(&["i1", "i2"]);
        output[1].note = "altered".into();
        assert_eq!(kinds(&check(&[merged(output)])), [("altered", 1, true)]);
    }

    #[test]
    fn a_run_whose_inputs_are_gone_is_not_passed_over() {
        let mut disk = merged(recs(&["i1", "i2"]));
        disk.files.remove("arb/17/2016-02-22/2.seg");
        let runs = check(&[disk]);
        assert_eq!((runs.compared, runs.not_compared), (0, vec!["disk-0: arb/17/2016-02-22/2.seg".into()]));
    }

    #[test]
    fn an_open_input_that_is_gone_may_have_grown_since_it_was_met() {
        let mut disk = merged(recs(&["i1", "i2"]));
        let after = disk.files["arb/17/2016-02-22/manifest"].clone();
        let first = edit(1, &[open_entry(1, "on-time"), open_entry(2, "late")], &[], 3, 0);
        disk.put(OF, "manifest", manifest(&[first]));
        let (mut memo, mut watch) = (Memo::default(), CompactionWatch::default());
        let mut look = |disk: &Disk| {
            let snapshot = Snapshot::of(&mut memo, &[disk.view("disk-0")]);
            watch.check(&mut memo, &snapshot, &noon_after())
        };
        assert_eq!(look(&disk).compared, 0);
        disk.put(OF, "manifest", after);
        disk.files.remove("arb/17/2016-02-22/1.seg");
        let runs = look(&disk);
        assert_eq!((runs.compared, runs.not_compared.len()), (0, 1));
    }

    #[test]
    fn inputs_met_live_before_need_not_be_there_still() {
        let after = merged(recs(&["i1", "i2"]));
        let mut before = after.clone();
        let sealed = [("1.seg", 1, "on-time", 2), ("2.seg", 2, "late", 1)].map(|(name, id, tier, count)| {
            sealed_entry(id, tier, &after.files[&format!("arb/17/2016-02-22/{name}")], count)
        });
        let first = edit(1, &sealed, &[], 3, 0);
        before.put(OF, "manifest", manifest(&[first]));
        let (mut memo, mut watch) = (Memo::default(), CompactionWatch::default());
        let mut look = |disk: &Disk| {
            let snapshot = Snapshot::of(&mut memo, &[disk.view("disk-0")]);
            watch.check(&mut memo, &snapshot, &noon_after())
        };
        assert_eq!(look(&before).compared, 0);
        let mut gone = after;
        gone.files.remove("arb/17/2016-02-22/1.seg");
        gone.files.remove("arb/17/2016-02-22/2.seg");
        let runs = look(&gone);
        assert_eq!((runs.compared, runs.not_compared.len(), runs.violations.len()), (1, 0, 0));
        assert_eq!(look(&gone).compared, 0, "each run is compared once");
    }
}
