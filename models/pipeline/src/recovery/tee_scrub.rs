//! Scrub of the tee store: reads every object again within a day, and ensures that each record is in two readable
//! objects.
//!
//! The objects of a file are read together. Records in fewer than two intact objects, because one rotted, is missing or
//! was never uploaded, are put into objects of the scrub's own (`by-k1`, and `by-k2` if no other is left). Objects of
//! edges are neither replaced nor removed, so that a repair cannot lose a concurrent upload. A damaged object stays as
//! evidence until it expires. It is *covered* when all objects of its file together hold at least as many bytes. Data
//! that is not covered is lost from the tee, and the operator is alerted at once.
//!
//! The scrub reads the store's files on the shared disk, which needs no calls. An object with wrong bytes is damaged.
//! An object that the disk fails to read is tried at nine checks, ten minutes apart, before it counts as lost: a disk
//! may be out of order for an hour.
//!
//! A check reads at most a third of all files, least recently read first. Not modelled: loss of the whole disk of the
//! tee store, and with it all objects of a file.

use crate::alarms::{Alarm, AlarmSender};
use crate::marks;
use bytes::Bytes;
use latent_edge::tee::merge::{CopyIntegrity, TeeMerge};
use latent_edge::tee::{ObjectWriter, TeeName, TeeObject};
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode, UnixMs, read_full};
use latent_storekit::object_store::{ObjectInfo, ObjectStore};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time after which a file is read again, at the next check: every fourth check.
const RESCRUB_INTERVAL: Duration = Duration::from_secs(20 * 3600);
/// Time after a file's hour when both edges have uploaded if they can: the second uploads after two hours at the
/// latest.
const UPLOADED_AFTER: Duration = Duration::from_secs(3 * 3600);
/// Minimum number of files that a check reads; otherwise a third of all files.
const MIN_FILES_PER_CHECK: usize = 64;
/// Number of checks at which an object may be unreadable before it counts as lost.
const MAX_FAILED_READS: u32 = 9;
/// Maximum number of the scrub's own objects of a file: with two of them each record is in two objects, whatever is
/// left of the edges' objects.
const MAX_SCRUB_OBJECTS: u16 = 2;

/// Directory of the store's objects on the disk.
const OBJECTS_DIR: &str = "objects/";

/// Objects of one file with their lengths, in bytes.
type FileObjects = BTreeMap<TeeObject, u64>;

/// State of the scrub between checks. It does not survive the process: after a boot all files are read again, spread
/// over three checks.
pub(crate) struct TeeScrub<E> {
    env: E,
    store: ObjectStore<E>,
    alarms: AlarmSender<E>,
    read: BTreeMap<TeeName, LastScrub>,
    failed_reads: BTreeMap<TeeName, u32>,
    reported: BTreeSet<TeeName>,
}

struct LastScrub {
    /// Monotonic time.
    at: Duration,
    objects: FileObjects,
    /// Whether each record was in two objects, or no more could be done.
    is_complete: bool,
}

/// Contents of one object.
struct ObjectCopy {
    object: TeeObject,
    len_bytes: u64,
    /// `None` if the disk could not read it.
    bytes: Option<Bytes>,
}

/// Signals that a file must be checked again soon.
struct RetryLater;

impl<E: Env> TeeScrub<E> {
    pub(crate) fn new(env: &E, store: ObjectStore<E>, alarms: AlarmSender<E>) -> Self {
        let (read, failed_reads, reported) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        TeeScrub { env: env.clone(), store, alarms, read, failed_reads, reported }
    }

    /// Reads the files that are due. `missing` are files that had objects at the last check and have none now. Returns
    /// false when another check is needed soon.
    pub(crate) async fn run(&mut self, listed: &[ObjectInfo], missing: &BTreeSet<TeeName>) -> bool {
        let files = by_file(listed);
        self.read.retain(|name, _| files.contains_key(name));
        self.failed_reads.retain(|name, _| files.contains_key(name));
        self.reported.retain(|name| files.contains_key(name) || missing.contains(name));
        let mut lost: Vec<TeeName> = missing.iter().copied().collect();
        let mut is_done = true;
        for name in self.due(&files) {
            match self.file(name, &files[&name]).await {
                Ok(is_lost) => lost.extend(is_lost.then_some(name)),
                Err(RetryLater) => is_done = false,
            }
        }
        self.report(lost);
        is_done
    }

    /// Returns the files to read, least recently read first.
    fn due(&self, files: &BTreeMap<TeeName, FileObjects>) -> Vec<TeeName> {
        let now = self.env.clock().monotonic();
        let mut due: Vec<(Option<Duration>, TeeName)> = Vec::new();
        for (name, objects) in files {
            match self.read.get(name) {
                Some(read) if !is_due(read, objects, now) => {}
                read => due.push((read.map(|read| read.at), *name)),
            }
        }
        due.sort_unstable();
        due.truncate((files.len() / 3 + 1).max(MIN_FILES_PER_CHECK));
        due.into_iter().map(|(_, name)| name).collect()
    }

    /// Reads a file's objects and adds objects for its records if needed. Returns whether data of it is lost.
    async fn file(&mut self, name: TeeName, objects: &FileObjects) -> Result<bool, RetryLater> {
        let copies = self.read_all(objects).await;
        if copies.iter().any(|copy| copy.bytes.is_none()) {
            let failed = self.failed_reads.entry(name).or_default();
            *failed += 1;
            if *failed < MAX_FAILED_READS {
                return Err(RetryLater);
            }
        } else {
            self.failed_reads.remove(&name);
        }
        let is_closed = self.env.clock().wall() > UnixMs(name.hour_end_ms()) + UPLOADED_AFTER;
        let (mut is_complete, mut is_lost) = (copies.len() > 1, false);
        if !are_identical_and_intact(name, &copies) {
            let coverage = RecordCoverage::of(name, &copies);
            is_lost = copies.iter().any(|copy| coverage.is_missing_bytes_of(copy));
            is_complete = coverage.is_replicated();
            if !is_complete && is_closed {
                self.add(name, coverage, &copies).await?;
                is_complete = true;
            }
        }
        let at = self.env.clock().monotonic();
        self.read.insert(name, LastScrub { at, objects: objects.clone(), is_complete });
        Ok(is_lost)
    }

    async fn read_all(&self, objects: &FileObjects) -> Vec<ObjectCopy> {
        let mut copies = Vec::new();
        for (object, len_bytes) in objects {
            let bytes = match read(self.env.disk(), &format!("{OBJECTS_DIR}{}", object.key())).await {
                Ok(bytes) => Some(bytes),
                // The object expired after the listing.
                Err(error) if error.kind == DiskErrorKind::NotFound => continue,
                Err(error) => {
                    self.env.mark(Mark { name: marks::TEE_OBJECT_UNREADABLE, subject: &error.to_string() });
                    None
                }
            };
            copies.push(ObjectCopy { object: *object, len_bytes: *len_bytes, bytes });
        }
        copies
    }

    /// Puts all records of the file into the scrub's own objects until each record is in two.
    async fn add(
        &self,
        name: TeeName,
        mut coverage: RecordCoverage,
        copies: &[ObjectCopy],
    ) -> Result<(), RetryLater> {
        let file = coverage.all.file();
        for n in 1..=MAX_SCRUB_OBJECTS {
            if coverage.is_replicated() {
                break;
            }
            let object = TeeObject { file: name, writer: ObjectWriter::Scrub(n) };
            let before = copies.iter().find(|copy| copy.object == object);
            if before.is_some_and(|copy| copy.bytes.as_ref() == Some(&file)) {
                continue;
            }
            let key = object.key();
            if let Err(error) = self.store.put_verified(&key, file.clone()).await {
                self.env.mark(Mark { name: marks::TEE_REPAIR_FAILED, subject: &error.to_string() });
                return Err(RetryLater);
            }
            coverage.replace(name, before);
            self.env.mark(Mark { name: marks::TEE_OBJECT_ADDED, subject: &key });
        }
        Ok(())
    }

    /// Reports files with lost data to the operator, each once.
    fn report(&mut self, lost: Vec<TeeName>) {
        let new: Vec<TeeName> = lost.into_iter().filter(|name| self.reported.insert(*name)).collect();
        let Some(first) = new.first() else { return };
        let file = first.to_string();
        self.env.mark(Mark { name: marks::TEE_LOST, subject: &file });
        self.alarms.raise(Alarm::TeeUnreadable { file, files: new.len() as u64 });
    }
}

async fn read<D: Disk>(disk: &D, path: &str) -> Result<Bytes, DiskError> {
    let file = disk.open(path, OpenMode::Read).await?;
    let len_bytes = file.size_bytes().await?;
    read_full(&file, 0, len_bytes).await
}

fn is_due(read: &LastScrub, objects: &FileObjects, now: Duration) -> bool {
    !read.is_complete || read.objects != *objects || now.saturating_sub(read.at) >= RESCRUB_INTERVAL
}

fn by_file(listed: &[ObjectInfo]) -> BTreeMap<TeeName, FileObjects> {
    let mut files: BTreeMap<TeeName, FileObjects> = BTreeMap::new();
    for info in listed {
        // Objects whose keys are not tee object keys are ignored.
        if let Ok(object) = TeeObject::from_key(&info.key) {
            files.entry(object.file).or_default().insert(object, info.bytes);
        }
    }
    files
}

/// Fast path for the usual case: equal bytes in all objects, of which only one is decoded.
fn are_identical_and_intact(name: TeeName, copies: &[ObjectCopy]) -> bool {
    let [first, others @ ..] = copies else { return false };
    let Some(bytes) = &first.bytes else { return false };
    !others.is_empty()
        && others.iter().all(|copy| copy.bytes.as_ref() == Some(bytes))
        && TeeMerge::new(name).add(bytes) == CopyIntegrity::Intact
}

/// Combined contents of a file's objects.
struct RecordCoverage {
    all: TeeMerge,
    all_bytes: u64,
    /// Number of intact objects that hold each record, by sequence number.
    times: BTreeMap<u64, u32>,
}

impl RecordCoverage {
    fn of(name: TeeName, copies: &[ObjectCopy]) -> RecordCoverage {
        let mut all = TeeMerge::new(name);
        let mut times: BTreeMap<u64, u32> = BTreeMap::new();
        for bytes in copies.iter().filter_map(|copy| copy.bytes.as_ref()) {
            all.add(bytes);
            for sequence in records_if_whole(name, bytes) {
                *times.entry(sequence).or_default() += 1;
            }
        }
        for sequence in all.sequences() {
            times.entry(sequence).or_default();
        }
        let all_bytes = all.file().len() as u64;
        RecordCoverage { all, all_bytes, times }
    }

    fn is_replicated(&self) -> bool {
        self.times.values().all(|times| *times >= 2)
    }

    /// Whether a damaged object had more bytes than all objects together hold now.
    fn is_missing_bytes_of(&self, copy: &ObjectCopy) -> bool {
        let is_whole = copy
            .bytes
            .as_ref()
            .is_some_and(|bytes| TeeMerge::new(self.all.name()).add(bytes) == CopyIntegrity::Intact);
        !is_whole && (self.all.records() == 0 || copy.len_bytes > self.all_bytes)
    }

    /// Accounts for an object with all records that replaced `before`.
    fn replace(&mut self, name: TeeName, before: Option<&ObjectCopy>) {
        for bytes in before.iter().filter_map(|copy| copy.bytes.as_ref()) {
            for sequence in records_if_whole(name, bytes) {
                *self.times.entry(sequence).or_default() -= 1;
            }
        }
        self.times.values_mut().for_each(|times| *times += 1);
    }
}

fn records_if_whole(name: TeeName, bytes: &Bytes) -> Vec<u64> {
    let mut one = TeeMerge::new(name);
    match one.add(bytes) {
        CopyIntegrity::Intact => one.sequences().collect(),
        CopyIntegrity::Torn | CopyIntegrity::Damaged => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_edge::tee::TeeRecord;
    use latent_storekit::http_message::Method;

    const NAME: TeeName = TeeName { hour: 404_497, edge: 1, boot: 7 };

    fn file(counts: &[u64]) -> Vec<u8> {
        let mut file = NAME.header().to_vec();
        for count in counts {
            let record = TeeRecord {
                edge: 1,
                sequence: 7 << 40 | count,
                arrived_ms: 1_456_190_481_123,
                method: Method::Post,
                target: "/track".into(),
                headers: vec![],
                body: Bytes::from(format!("request {count}")),
            };
            file.extend(record.encode_frame().unwrap());
        }
        file
    }

    fn copies(files: &[Option<Vec<u8>>]) -> Vec<ObjectCopy> {
        let whole_bytes = file(&[1, 2, 3]).len() as u64;
        let copy = |(by, bytes): (usize, &Option<Vec<u8>>)| ObjectCopy {
            object: TeeObject { file: NAME, writer: ObjectWriter::Edge(by as u16) },
            len_bytes: bytes.as_ref().map_or(whole_bytes, |bytes| bytes.len() as u64),
            bytes: bytes.clone().map(Bytes::from),
        };
        files.iter().enumerate().map(copy).collect()
    }

    /// Evaluates objects: all identical and intact, each record in two intact objects, data lost.
    fn evaluate(files: &[Option<Vec<u8>>]) -> (bool, bool, bool) {
        let copies = copies(files);
        let coverage = RecordCoverage::of(NAME, &copies);
        let is_lost = copies.iter().any(|copy| coverage.is_missing_bytes_of(copy));
        (are_identical_and_intact(NAME, &copies), coverage.is_replicated(), is_lost)
    }

    #[test]
    fn records_are_counted_in_intact_objects_only() {
        let whole = Some(file(&[1, 2, 3]));
        let mut rotten = file(&[1, 2, 3]);
        rotten[40] ^= 1;
        let rotten = Some(rotten);
        assert_eq!(evaluate(&[whole.clone(), whole.clone()]), (true, true, false));
        assert_eq!(evaluate(std::slice::from_ref(&whole)), (false, false, false), "one is not two");
        assert_eq!(evaluate(&[whole.clone(), Some(file(&[1, 2]))]), (false, false, false));
        assert_eq!(evaluate(&[whole.clone(), Some(file(&[1, 2])), Some(file(&[3]))]), (false, true, false));
        assert_eq!(evaluate(&[whole.clone(), rotten.clone()]), (false, false, false), "covered by the other");
        assert_eq!(evaluate(&[rotten.clone(), rotten.clone()]), (false, false, true));
        assert_eq!(evaluate(&[None, None]), (false, true, true), "nothing is left to be kept twice");
        assert_eq!(evaluate(&[None, whole]), (false, false, false));
    }

    #[test]
    fn damage_at_different_offsets_of_two_objects_is_covered() {
        let (mut first, mut last) = (file(&[1, 2, 3]), file(&[1, 2, 3]));
        first[40] ^= 1;
        *last.last_mut().unwrap() ^= 1;
        assert_eq!(evaluate(&[Some(first), Some(last)]), (false, false, false));
    }

    #[test]
    fn an_added_object_counts_for_all_records_and_the_replaced_one_no_longer() {
        let copies = copies(&[Some(file(&[1, 2, 3])), Some(file(&[1, 2]))]);
        let mut coverage = RecordCoverage::of(NAME, &copies);
        coverage.replace(NAME, Some(&copies[1]));
        assert!(coverage.is_replicated());
    }

    #[test]
    fn a_file_is_due_when_it_is_incomplete_changed_or_a_day_old() {
        let objects: FileObjects = copies(&[None, None]).iter().map(|copy| (copy.object, 9)).collect();
        let at = Duration::from_secs(100);
        let read = |is_complete| LastScrub { at, objects: objects.clone(), is_complete };
        assert!(!is_due(&read(true), &objects, at + Duration::from_secs(19 * 3600)));
        assert!(is_due(&read(true), &objects, at + RESCRUB_INTERVAL));
        assert!(is_due(&read(false), &objects, at));
        let fewer: FileObjects = objects.iter().skip(1).map(|(object, len)| (*object, *len)).collect();
        assert!(is_due(&read(true), &fewer, at));
    }
}
