//! The tee store's scrub: every object is read again within a day, and each record is in two objects that read.
//!
//! A file's objects are read together. Records that stand in fewer than two whole objects, because one rotted, vanished
//! or was never uploaded, are put into an object of the keeper's own (`by-k1`, and `by-k2` where no other is left): what
//! edges put is neither replaced nor removed, so that nothing that an edge is just uploading is lost by a repair. A damaged
//! object stays until it expires, as evidence: it is *covered* when all objects of its file together hold at least as
//! many bytes. What is not covered is gone from the tee, and the operator is told at once.
//!
//! The keeper reads the store's files on the disk that they share, which costs no call. An object with wrong bytes is damaged.
//! One that the disk fails to read is tried at nine looks, ten minutes apart, before it counts as lost: a disk may be out of
//! order for an hour.
//!
//! A look reads at most a third of all files, those that were read longest ago first. Not modelled: a disk of the tee store
//! that is lost as a whole, which takes all objects of a file with it.

use crate::alarms::{Alarm, Alarms};
use bytes::Bytes;
use latent_edge::object_api::{ObjectInfo, ObjectStore};
use latent_edge::tee::merge::{Merge, Shape};
use latent_edge::tee::{TeeName, TeeObject, Uploader};
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode, UnixMs, read_full};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A file is read again at the first look that comes so long after it was read: at every fourth.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(20 * 3600);
/// Both edges have uploaded so long after a file's hour, if they can: the second after two hours at the latest.
const UPLOADED_AFTER: Duration = Duration::from_secs(3 * 3600);
/// A look reads a third of the files, but so many in any case.
const LEAST_FILES_A_LOOK: usize = 64;
/// At so many looks an object may fail to be read before it counts as lost.
const FAILED_LOOKS: u32 = 9;
/// The keeper's objects of one file: with two of them each record is in two, whatever is left of the edges'.
const OWN_OBJECTS: u16 = 2;

/// Where the store keeps its objects on the disk.
const STORED: &str = "objects/";

/// The objects of one file with their lengths, in bytes.
type Objects = BTreeMap<TeeObject, u64>;

/// What the scrub remembers between looks. It does not outlive the process: after a boot all files are read again, spread
/// over three looks.
pub(crate) struct Scrub<E> {
    env: E,
    store: ObjectStore<E>,
    alarms: Alarms<E>,
    read: BTreeMap<TeeName, LastRead>,
    failed_looks: BTreeMap<TeeName, u32>,
    reported: BTreeSet<TeeName>,
}

struct LastRead {
    /// Monotonic time.
    at: Duration,
    objects: Objects,
    /// Each record was in two objects, or as many as can be brought there.
    is_settled: bool,
}

/// One object as it was read.
struct Copy {
    object: TeeObject,
    len_bytes: u64,
    /// `None`: the disk could not read it.
    bytes: Option<Bytes>,
}

/// A file that is to be looked at again soon.
struct Later;

impl<E: Env> Scrub<E> {
    pub(crate) fn new(env: &E, store: ObjectStore<E>, alarms: Alarms<E>) -> Self {
        let (read, failed_looks, reported) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Scrub { env: env.clone(), store, alarms, read, failed_looks, reported }
    }

    /// Reads the files that are due. `vanished` are files that had objects at the last look and have none. Returns false
    /// when something is to be looked at again soon.
    pub(crate) async fn look(&mut self, listed: &[ObjectInfo], vanished: &BTreeSet<TeeName>) -> bool {
        let files = by_file(listed);
        self.read.retain(|name, _| files.contains_key(name));
        self.failed_looks.retain(|name, _| files.contains_key(name));
        self.reported.retain(|name| files.contains_key(name) || vanished.contains(name));
        let mut lost: Vec<TeeName> = vanished.iter().copied().collect();
        let mut is_done = true;
        for name in self.due(&files) {
            match self.file(name, &files[&name]).await {
                Ok(is_lost) => lost.extend(is_lost.then_some(name)),
                Err(Later) => is_done = false,
            }
        }
        self.report(lost);
        is_done
    }

    /// The files to read, those that were read longest ago first.
    fn due(&self, files: &BTreeMap<TeeName, Objects>) -> Vec<TeeName> {
        let now = self.env.clock().monotonic();
        let mut due: Vec<(Option<Duration>, TeeName)> = Vec::new();
        for (name, objects) in files {
            match self.read.get(name) {
                Some(read) if !is_due(read, objects, now) => {}
                read => due.push((read.map(|read| read.at), *name)),
            }
        }
        due.sort_unstable();
        due.truncate((files.len() / 3 + 1).max(LEAST_FILES_A_LOOK));
        due.into_iter().map(|(_, name)| name).collect()
    }

    /// Reads a file's objects, and adds what records lack; true when something of it is lost.
    async fn file(&mut self, name: TeeName, objects: &Objects) -> Result<bool, Later> {
        let copies = self.read_all(objects).await;
        if copies.iter().any(|copy| copy.bytes.is_none()) {
            let failed = self.failed_looks.entry(name).or_default();
            *failed += 1;
            if *failed < FAILED_LOOKS {
                return Err(Later);
            }
        } else {
            self.failed_looks.remove(&name);
        }
        let is_closed = self.env.clock().wall() > UnixMs(name.ends_ms()) + UPLOADED_AFTER;
        let (mut is_settled, mut is_lost) = (copies.len() > 1, false);
        if !are_equal_and_whole(name, &copies) {
            let held = Held::of(name, &copies);
            is_lost = copies.iter().any(|copy| held.lacks_bytes_of(copy));
            is_settled = held.is_twice();
            if !is_settled && is_closed {
                self.add(name, held, &copies).await?;
                is_settled = true;
            }
        }
        let at = self.env.clock().monotonic();
        self.read.insert(name, LastRead { at, objects: objects.clone(), is_settled });
        Ok(is_lost)
    }

    async fn read_all(&self, objects: &Objects) -> Vec<Copy> {
        let mut copies = Vec::new();
        for (object, len_bytes) in objects {
            let bytes = match read(self.env.disk(), &format!("{STORED}{}", object.key())).await {
                Ok(bytes) => Some(bytes),
                // It expired since it was listed.
                Err(error) if error.kind == DiskErrorKind::NotFound => continue,
                Err(error) => {
                    self.env.mark(Mark { name: "tee.object-unreadable", subject: &error.to_string() });
                    None
                }
            };
            copies.push(Copy { object: *object, len_bytes: *len_bytes, bytes });
        }
        copies
    }

    /// Puts all records of the file into objects of the keeper's own until each is in two.
    async fn add(&self, name: TeeName, mut held: Held, copies: &[Copy]) -> Result<(), Later> {
        let file = held.all.file();
        for n in 1..=OWN_OBJECTS {
            if held.is_twice() {
                break;
            }
            let object = TeeObject { file: name, by: Uploader::Keeper(n) };
            let before = copies.iter().find(|copy| copy.object == object);
            if before.is_some_and(|copy| copy.bytes.as_ref() == Some(&file)) {
                continue;
            }
            let key = object.key();
            if let Err(error) = self.store.put_verified(&key, file.clone()).await {
                self.env.mark(Mark { name: "tee.repair-failed", subject: &error.to_string() });
                return Err(Later);
            }
            held.replace(name, before);
            self.env.mark(Mark { name: "tee.object-added", subject: &key });
        }
        Ok(())
    }

    /// Tells the operator of files of which something is lost, of each once.
    fn report(&mut self, lost: Vec<TeeName>) {
        let new: Vec<TeeName> = lost.into_iter().filter(|name| self.reported.insert(*name)).collect();
        let Some(first) = new.first() else { return };
        let file = first.to_string();
        self.env.mark(Mark { name: "tee.lost", subject: &file });
        self.alarms.raise(Alarm::TeeUnreadable { file, files: new.len() as u64 });
    }
}

async fn read<D: Disk>(disk: &D, path: &str) -> Result<Bytes, DiskError> {
    let file = disk.open(path, OpenMode::Read).await?;
    let len_bytes = file.size_bytes().await?;
    read_full(&file, 0, len_bytes).await
}

fn is_due(read: &LastRead, objects: &Objects, now: Duration) -> bool {
    !read.is_settled || read.objects != *objects || now.saturating_sub(read.at) >= READ_AGAIN_AFTER
}

fn by_file(listed: &[ObjectInfo]) -> BTreeMap<TeeName, Objects> {
    let mut files: BTreeMap<TeeName, Objects> = BTreeMap::new();
    for info in listed {
        // An object whose key is not a tee file's is not the keeper's to judge.
        if let Ok(object) = TeeObject::from_key(&info.key) {
            files.entry(object.file).or_default().insert(object, info.bytes);
        }
    }
    files
}

/// The usual case, and the cheap one: the same bytes twice, of which only one copy is decoded.
fn are_equal_and_whole(name: TeeName, copies: &[Copy]) -> bool {
    let [first, others @ ..] = copies else { return false };
    let Some(bytes) = &first.bytes else { return false };
    !others.is_empty()
        && others.iter().all(|copy| copy.bytes.as_ref() == Some(bytes))
        && Merge::new(name).add(bytes) == Shape::Whole
}

/// What a file's objects hold together.
struct Held {
    all: Merge,
    all_bytes: u64,
    /// In how many whole objects each record stands, by sequence.
    times: BTreeMap<u64, u32>,
}

impl Held {
    fn of(name: TeeName, copies: &[Copy]) -> Held {
        let mut all = Merge::new(name);
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
        Held { all, all_bytes, times }
    }

    fn is_twice(&self) -> bool {
        self.times.values().all(|times| *times >= 2)
    }

    /// Whether an object that does not read had more bytes than all objects together hold now.
    fn lacks_bytes_of(&self, copy: &Copy) -> bool {
        let is_whole =
            copy.bytes.as_ref().is_some_and(|bytes| Merge::new(self.all.name()).add(bytes) == Shape::Whole);
        !is_whole && (self.all.records() == 0 || copy.len_bytes > self.all_bytes)
    }

    /// An object that holds all records came in the place of `before`.
    fn replace(&mut self, name: TeeName, before: Option<&Copy>) {
        for bytes in before.iter().filter_map(|copy| copy.bytes.as_ref()) {
            for sequence in records_if_whole(name, bytes) {
                *self.times.entry(sequence).or_default() -= 1;
            }
        }
        self.times.values_mut().for_each(|times| *times += 1);
    }
}

fn records_if_whole(name: TeeName, bytes: &Bytes) -> Vec<u64> {
    let mut one = Merge::new(name);
    match one.add(bytes) {
        Shape::Whole => one.sequences().collect(),
        Shape::Torn | Shape::Damaged => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_edge::message::Method;
    use latent_edge::tee::TeeRecord;

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

    fn copies(files: &[Option<Vec<u8>>]) -> Vec<Copy> {
        let whole_bytes = file(&[1, 2, 3]).len() as u64;
        let copy = |(by, bytes): (usize, &Option<Vec<u8>>)| Copy {
            object: TeeObject { file: NAME, by: Uploader::Edge(by as u16) },
            len_bytes: bytes.as_ref().map_or(whole_bytes, |bytes| bytes.len() as u64),
            bytes: bytes.clone().map(Bytes::from),
        };
        files.iter().enumerate().map(copy).collect()
    }

    /// Whether all is well, each record is in two whole objects, and something is lost.
    fn judged(files: &[Option<Vec<u8>>]) -> (bool, bool, bool) {
        let copies = copies(files);
        let held = Held::of(NAME, &copies);
        let is_lost = copies.iter().any(|copy| held.lacks_bytes_of(copy));
        (are_equal_and_whole(NAME, &copies), held.is_twice(), is_lost)
    }

    #[test]
    fn records_count_by_the_whole_objects_that_hold_them() {
        let whole = Some(file(&[1, 2, 3]));
        let mut rotten = file(&[1, 2, 3]);
        rotten[40] ^= 1;
        let rotten = Some(rotten);
        assert_eq!(judged(&[whole.clone(), whole.clone()]), (true, true, false));
        assert_eq!(judged(std::slice::from_ref(&whole)), (false, false, false), "one is not two");
        assert_eq!(judged(&[whole.clone(), Some(file(&[1, 2]))]), (false, false, false));
        assert_eq!(judged(&[whole.clone(), Some(file(&[1, 2])), Some(file(&[3]))]), (false, true, false));
        assert_eq!(judged(&[whole.clone(), rotten.clone()]), (false, false, false), "covered by the other");
        assert_eq!(judged(&[rotten.clone(), rotten.clone()]), (false, false, true));
        assert_eq!(judged(&[None, None]), (false, true, true), "nothing is left to be kept twice");
        assert_eq!(judged(&[None, whole]), (false, false, false));
    }

    #[test]
    fn damage_at_different_places_of_two_objects_is_covered_by_the_two_together() {
        let (mut first, mut last) = (file(&[1, 2, 3]), file(&[1, 2, 3]));
        first[40] ^= 1;
        *last.last_mut().unwrap() ^= 1;
        assert_eq!(judged(&[Some(first), Some(last)]), (false, false, false));
    }

    #[test]
    fn an_added_object_counts_for_all_records_and_what_it_replaces_no_more() {
        let copies = copies(&[Some(file(&[1, 2, 3])), Some(file(&[1, 2]))]);
        let mut held = Held::of(NAME, &copies);
        held.replace(NAME, Some(&copies[1]));
        assert!(held.is_twice());
    }

    #[test]
    fn a_file_is_due_when_it_is_unsettled_or_changed_or_a_day_has_passed() {
        let objects: Objects = copies(&[None, None]).iter().map(|copy| (copy.object, 9)).collect();
        let at = Duration::from_secs(100);
        let read = |is_settled| LastRead { at, objects: objects.clone(), is_settled };
        assert!(!is_due(&read(true), &objects, at + Duration::from_secs(19 * 3600)));
        assert!(is_due(&read(true), &objects, at + READ_AGAIN_AFTER));
        assert!(is_due(&read(false), &objects, at));
        let fewer: Objects = objects.iter().skip(1).map(|(object, len)| (*object, *len)).collect();
        assert!(is_due(&read(true), &fewer, at));
    }
}
