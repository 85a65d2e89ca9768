//! Crash model: the fate of un-synced operations.
//!
//! One draw per crash selects the mode: nothing kept, everything kept, everything up to an instant, or each operation
//! on its own. On its own, an operation is kept, lost, torn (a prefix of it, cut where the file offset is a multiple
//! of the tear size) or scattered (each tear-sized block on its own).
//!
//! A file is as long as its last kept byte requires. A lost write below a kept one leaves zeros there (or the older
//! bytes). Names follow the rules of the journal (dir_tree.rs); bytes and names survive independently. Every decision
//! is keyed by the operation's content, not by its position in a sequence.
//!
//! While a fault requests it, garbage replaces zeros where a lost write would have extended the file; and a lost
//! write may extend it by garbage: its length was in the journal, its bytes were not on the disk. A gap that the
//! program itself left stays zeros.
//!
//! Not modelled here: the loss of synced bytes (that is a separate fault).

use super::dir_tree::{DirTree, JournalEntry, TreeEntry};
use super::image::{DiskImage, ImageEntry};
use super::inode::{FileChange, Inode, UnsyncedOp};
use super::rope::Rope;
use super::spec::CrashPolicy;
use crate::prng::{KeyedPrng, hash_key};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Decisions of one crash.
pub(crate) struct CrashModel {
    prng: KeyedPrng,
    /// Key of the crash: node and incarnation.
    key: u64,
    tear_bytes: u32,
    /// Whether lost writes leave garbage.
    garbage: bool,
    mode: CrashMode,
}

/// A file during a crash. With garbage, the rope may be longer than the file: the bytes beyond `len_bytes` become
/// visible if a later write that is kept extends the file over them.
struct CrashedFile {
    rope: Arc<Rope>,
    len_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CrashMode {
    Nothing,
    Everything,
    /// Every operation with a lower sequence number.
    Until(u64),
    PerOperation,
}

impl CrashModel {
    pub(crate) fn new(
        prng: KeyedPrng,
        key: u64,
        (tear_bytes, garbage): (u32, bool),
        keeps: CrashPolicy,
        tree: &DirTree,
    ) -> CrashModel {
        let mut rng = prng.rng("crash.way", u128::from(key));
        let mode = match keeps {
            CrashPolicy::Nothing => CrashMode::Nothing,
            CrashPolicy::Everything => CrashMode::Everything,
            CrashPolicy::Drawn => match rng.next_u64() % 8 {
                0 => CrashMode::Nothing,
                1 => CrashMode::Everything,
                2 | 3 => CrashMode::Until(draw_instant(tree, &mut rng)),
                _ => CrashMode::PerOperation,
            },
        };
        CrashModel { prng, key, tear_bytes: tear_bytes.max(1), garbage, mode }
    }

    fn rng(&self, stream: &str, key: u128) -> ChaCha8Rng {
        self.prng.rng(stream, key ^ u128::from(self.key))
    }

    /// Returns the changes of names that survive; closed under their requirements.
    fn surviving_changes(&self, tree: &DirTree) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        let mut lost_names = BTreeSet::new();
        let mut lost = BTreeSet::new();
        for op in &tree.journal {
            let name_lost = op.changes.iter().any(|change| lost_names.contains(&(change.dir, &change.name)));
            let rests_on_lost = name_lost || op.requires.iter().any(|required| lost.contains(required));
            if !rests_on_lost && self.keeps_change(op) {
                kept.insert(op.sequence);
            } else {
                lost.insert(op.sequence);
                lost_names.extend(op.changes.iter().map(|change| (change.dir, &change.name)));
            }
        }
        kept
    }

    fn keeps_change(&self, op: &JournalEntry) -> bool {
        match self.mode {
            CrashMode::Nothing => false,
            CrashMode::Everything => true,
            CrashMode::Until(sequence) => op.sequence < sequence,
            CrashMode::PerOperation => self.rng("crash.name", op.key).next_u64().is_multiple_of(2),
        }
    }

    /// Returns the bytes of a file that survive.
    fn surviving_bytes(&self, inode: &Inode) -> Arc<Rope> {
        match self.mode {
            CrashMode::Nothing => return inode.durable(),
            CrashMode::Everything => return inode.synced_view(),
            CrashMode::Until(_) | CrashMode::PerOperation => {}
        }
        let rope = inode.durable();
        let mut file = CrashedFile { len_bytes: rope.len_bytes(), rope };
        for op in inode.pending() {
            self.apply(&op, &mut file);
        }
        if file.rope.len_bytes() > file.len_bytes {
            Arc::make_mut(&mut file.rope).truncate(file.len_bytes);
        }
        file.rope
    }

    fn apply(&self, op: &UnsyncedOp, file: &mut CrashedFile) {
        if let CrashMode::Until(sequence) = self.mode {
            match &op.change {
                change if op.sequence < sequence => file.keep(change),
                FileChange::Write { offset, data } => self.lose(op, (*offset, data.len()), file),
                FileChange::Truncate { .. } | FileChange::Extend { .. } => {}
            }
            return;
        }
        let mut rng = self.rng("crash.write", op.key);
        match (rng.next_u64() % 8, &op.change) {
            (0..=2, change) => file.keep(change),
            (_, FileChange::Truncate { .. } | FileChange::Extend { .. }) => {}
            (3..=5, FileChange::Write { offset, data }) => self.lose(op, (*offset, data.len()), file),
            (6, FileChange::Write { offset, data }) => {
                let cuts = self.tear_blocks(*offset, data.len());
                let pick = usize::try_from(rng.next_u64() % cuts.len() as u64).unwrap_or(0);
                let kept = cuts[pick].0;
                file.write(*offset, data.slice(..kept));
                self.lose(op, (*offset + kept as u64, data.len() - kept), file);
            }
            (_, FileChange::Write { offset, data }) => {
                for (from, to) in self.tear_blocks(*offset, data.len()) {
                    let at = *offset + from as u64;
                    if rng.next_u64().is_multiple_of(2) {
                        file.write(at, data.slice(from..to));
                    } else {
                        self.lose(op, (at, to - from), file);
                    }
                }
            }
        }
    }

    /// Loses some bytes of a write: leaves nothing, or garbage where they would have extended the file.
    fn lose(&self, op: &UnsyncedOp, (offset, len): (u64, usize), file: &mut CrashedFile) {
        let from = offset.max(file.len_bytes);
        let end = offset + len as u64;
        if !self.garbage || from >= end {
            return;
        }
        let mut rng = self.rng("crash.garbage", op.key ^ u128::from(offset));
        let extends = rng.next_u64().is_multiple_of(2);
        let mut garbage = vec![0; usize::try_from(end - from).unwrap_or(len)];
        rng.fill_bytes(&mut garbage);
        Arc::make_mut(&mut file.rope).write(from, garbage.into());
        if extends {
            file.len_bytes = end;
        }
    }

    /// Cuts a write into pieces that end where the file offset is a multiple of the tear size.
    fn tear_blocks(&self, offset: u64, len: usize) -> Vec<(usize, usize)> {
        let tear = u64::from(self.tear_bytes);
        let first = usize::try_from(tear - offset % tear).unwrap_or(len).min(len);
        let mut tear_blocks = vec![(0, first)];
        while let Some(&(_, from)) = tear_blocks.last()
            && from < len
        {
            tear_blocks.push((from, len.min(from + self.tear_bytes as usize)));
        }
        tear_blocks
    }
}

impl CrashedFile {
    fn write(&mut self, offset: u64, data: Bytes) {
        if !data.is_empty() {
            self.keep(&FileChange::Write { offset, data });
        }
    }

    fn keep(&mut self, change: &FileChange) {
        let rope = Arc::make_mut(&mut self.rope);
        if !matches!(change, FileChange::Write { .. }) {
            // Lengths that the program requested are filled with zeros.
            rope.truncate(self.len_bytes);
        }
        change.apply(rope);
        self.len_bytes = match change {
            FileChange::Write { offset, data } => self.len_bytes.max(offset + data.len() as u64),
            FileChange::Truncate { .. } | FileChange::Extend { .. } => rope.len_bytes(),
        };
    }
}

/// Returns an instant between two un-synced operations of the disk, drawn uniformly.
fn draw_instant(tree: &DirTree, rng: &mut ChaCha8Rng) -> u64 {
    let mut sequences: Vec<u64> = tree.journal.iter().map(|op| op.sequence).collect();
    tree.walk(&BTreeMap::new(), &mut |_, named| {
        if let TreeEntry::File(inode) = named {
            sequences.extend(inode.pending().iter().map(|op| op.sequence));
        }
    });
    sequences.sort_unstable();
    if sequences.is_empty() {
        return 0;
    }
    let pick = usize::try_from(rng.next_u64() % sequences.len() as u64).unwrap_or(0);
    sequences[pick]
}

impl DirTree {
    /// Returns the tree after a crash; everything in it is durable.
    pub(crate) fn after_crash(self, crash: &CrashModel) -> DirTree {
        let names = self.names_after(&crash.surviving_changes(&self));
        let mut entries = BTreeMap::new();
        let mut seen: BTreeMap<*const Inode, Arc<Rope>> = BTreeMap::new();
        self.walk(&names, &mut |path, named| {
            let entry = match named {
                TreeEntry::Dir(_) => ImageEntry::Directory,
                // A file with two names must have the same contents under both. The map is only looked up, never
                // iterated.
                TreeEntry::File(inode) => ImageEntry::File(
                    seen.entry(Arc::as_ptr(inode)).or_insert_with(|| crash.surviving_bytes(inode)).clone(),
                ),
            };
            entries.insert(Arc::from(path), entry);
        });
        DirTree::from_image(&DiskImage::from_entries(entries))
    }

    /// Returns the contents that reads see.
    pub(crate) fn image(&self) -> DiskImage {
        self.image_of(&BTreeMap::new(), |inode| inode.view())
    }

    /// Returns the contents under these directories that reads see. Directories that do not exist are empty.
    pub(crate) fn image_under<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        let mut entries = BTreeMap::new();
        for path in dirs {
            let Ok(dir) = self.find_dir(path) else { continue };
            self.walk_from(path.to_owned(), dir, &BTreeMap::new(), &mut |path, named| {
                if let TreeEntry::File(inode) = named {
                    entries.insert(Arc::from(path), ImageEntry::File(inode.view()));
                }
            });
        }
        DiskImage::from_entries(entries)
    }

    /// Returns the contents that survive any power loss now.
    pub(crate) fn durable_image(&self) -> DiskImage {
        self.image_of(&self.names_after(&BTreeSet::new()), |inode| inode.durable())
    }

    /// As [`DirTree::durable_image`], under these directories only. Directories that would not survive are empty.
    pub(crate) fn durable_image_under<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        let names = self.names_after(&BTreeSet::new());
        let mut entries = BTreeMap::new();
        for path in dirs {
            let Some(dir) = self.find_dir_by(&names, path) else { continue };
            self.walk_from(path.to_owned(), dir, &names, &mut |path, named| {
                if let TreeEntry::File(inode) = named {
                    entries.insert(Arc::from(path), ImageEntry::File(inode.durable()));
                }
            });
        }
        DiskImage::from_entries(entries)
    }

    fn image_of(
        &self,
        names: &super::dir_tree::NameOverrides,
        bytes: impl Fn(&Inode) -> Arc<Rope>,
    ) -> DiskImage {
        // Collected first: building a map from a list is cheaper than inserting entry by entry.
        let mut entries: Vec<(Arc<str>, ImageEntry)> = Vec::new();
        self.walk(names, &mut |path, named| {
            let entry = match named {
                TreeEntry::Dir(_) => ImageEntry::Directory,
                TreeEntry::File(inode) => ImageEntry::File(bytes(inode)),
            };
            entries.push((Arc::from(path), entry));
        });
        DiskImage::from_entries(entries.into_iter().collect())
    }
}

/// Returns the key of a crash: node, and number of earlier deaths.
pub(crate) fn crash_draw_key(node: u16, incarnation: u32) -> u64 {
    u64::try_from(hash_key(&[u64::from(node), u64::from(incarnation)]) >> 64).unwrap_or(0)
}
