//! What a crash leaves of the operations that were not synced.
//!
//! One draw per crash picks how it went: nothing kept, everything kept, all up to an instant, or each operation
//! on its own. On its own, an operation is kept, lost, torn (a prefix of it, cut where the file offset is a
//! multiple of the tear size) or scattered (each tear-sized block on its own).
//!
//! A file is as long as its last kept byte demands. A lost write below a kept one leaves zeros there (or what
//! was there before). Names follow the rules of the journal (tree.rs); bytes and names survive independently.
//! Every decision is keyed by what the operation did, not by its place in a sequence.
//!
//! While a fault asks for it, there is garbage instead of zeros where a lost write was to extend the file; and a
//! lost write may extend it all the same, by garbage: its length was in the journal, its bytes were not on the disk.
//! A gap that the program itself left stays zeros.
//!
//! Not modelled here: bytes that were synced and are lost all the same (that is a fault of its own).

use super::CrashKeeps;
use super::file::{Change, FileCell, Pending};
use super::image::{DiskImage, ImageEntry};
use super::rope::Rope;
use super::tree::{DirOp, Named, Tree};
use crate::draw::{Draws, key_of};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How one crash treats what was not synced.
pub(crate) struct Crash {
    draws: Draws,
    /// Names the crash: node and incarnation.
    key: u64,
    tear_bytes: u32,
    /// Whether lost writes leave garbage.
    garbage: bool,
    way: Way,
}

/// A file on its way through a crash. With garbage, the rope may be longer than the file will be: what lies beyond
/// comes to light if a later write that is kept extends the file over it.
struct Leftover {
    rope: Arc<Rope>,
    len_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Nothing,
    Everything,
    /// Everything whose sequence number is lower.
    Until(u64),
    Each,
}

impl Crash {
    pub(crate) fn new(
        draws: Draws,
        key: u64,
        (tear_bytes, garbage): (u32, bool),
        keeps: CrashKeeps,
        tree: &Tree,
    ) -> Crash {
        let mut rng = draws.rng("crash.way", u128::from(key));
        let way = match keeps {
            CrashKeeps::Nothing => Way::Nothing,
            CrashKeeps::Everything => Way::Everything,
            CrashKeeps::Drawn => match rng.next_u64() % 8 {
                0 => Way::Nothing,
                1 => Way::Everything,
                2 | 3 => Way::Until(instant(tree, &mut rng)),
                _ => Way::Each,
            },
        };
        Crash { draws, key, tear_bytes: tear_bytes.max(1), garbage, way }
    }

    fn rng(&self, stream: &str, key: u128) -> ChaCha8Rng {
        self.draws.rng(stream, key ^ u128::from(self.key))
    }

    /// Which changes of names survive; closed under what they require.
    fn names(&self, tree: &Tree) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        let mut lost_names = BTreeSet::new();
        let mut lost = BTreeSet::new();
        for op in &tree.journal {
            let name_lost = op.changes.iter().any(|change| lost_names.contains(&(change.dir, &change.name)));
            let rests_on_lost = name_lost || op.requires.iter().any(|required| lost.contains(required));
            if !rests_on_lost && self.keeps_name(op) {
                kept.insert(op.sequence);
            } else {
                lost.insert(op.sequence);
                lost_names.extend(op.changes.iter().map(|change| (change.dir, &change.name)));
            }
        }
        kept
    }

    fn keeps_name(&self, op: &DirOp) -> bool {
        match self.way {
            Way::Nothing => false,
            Way::Everything => true,
            Way::Until(sequence) => op.sequence < sequence,
            Way::Each => self.rng("crash.name", op.key).next_u64().is_multiple_of(2),
        }
    }

    /// What is left of a file.
    fn file(&self, cell: &FileCell) -> Arc<Rope> {
        match self.way {
            Way::Nothing => return cell.durable(),
            Way::Everything => return cell.kept(),
            Way::Until(_) | Way::Each => {}
        }
        let rope = cell.durable();
        let mut left = Leftover { len_bytes: rope.len_bytes(), rope };
        for op in cell.pending() {
            self.apply(&op, &mut left);
        }
        if left.rope.len_bytes() > left.len_bytes {
            Arc::make_mut(&mut left.rope).truncate(left.len_bytes);
        }
        left.rope
    }

    fn apply(&self, op: &Pending, left: &mut Leftover) {
        if let Way::Until(sequence) = self.way {
            match &op.change {
                change if op.sequence < sequence => left.keep(change),
                Change::Write { offset, data } => self.lose(op, (*offset, data.len()), left),
                Change::Truncate { .. } | Change::Extend { .. } => {}
            }
            return;
        }
        let mut rng = self.rng("crash.write", op.key);
        match (rng.next_u64() % 8, &op.change) {
            (0..=2, change) => left.keep(change),
            (_, Change::Truncate { .. } | Change::Extend { .. }) => {}
            (3..=5, Change::Write { offset, data }) => self.lose(op, (*offset, data.len()), left),
            (6, Change::Write { offset, data }) => {
                let cuts = self.blocks(*offset, data.len());
                let pick = usize::try_from(rng.next_u64() % cuts.len() as u64).unwrap_or(0);
                let kept = cuts[pick].0;
                left.write(*offset, data.slice(..kept));
                self.lose(op, (*offset + kept as u64, data.len() - kept), left);
            }
            (_, Change::Write { offset, data }) => {
                for (from, to) in self.blocks(*offset, data.len()) {
                    let at = *offset + from as u64;
                    if rng.next_u64().is_multiple_of(2) {
                        left.write(at, data.slice(from..to));
                    } else {
                        self.lose(op, (at, to - from), left);
                    }
                }
            }
        }
    }

    /// Some bytes of a write were lost: nothing, or garbage where they were to extend the file.
    fn lose(&self, op: &Pending, (offset, len): (u64, usize), left: &mut Leftover) {
        let from = offset.max(left.len_bytes);
        let end = offset + len as u64;
        if !self.garbage || from >= end {
            return;
        }
        let mut rng = self.rng("crash.garbage", op.key ^ u128::from(offset));
        let extends = rng.next_u64().is_multiple_of(2);
        let mut garbage = vec![0; usize::try_from(end - from).unwrap_or(len)];
        rng.fill_bytes(&mut garbage);
        Arc::make_mut(&mut left.rope).write(from, garbage.into());
        if extends {
            left.len_bytes = end;
        }
    }

    /// Cuts a write into pieces that end where the file offset is a multiple of the tear size.
    fn blocks(&self, offset: u64, len: usize) -> Vec<(usize, usize)> {
        let tear = u64::from(self.tear_bytes);
        let first = usize::try_from(tear - offset % tear).unwrap_or(len).min(len);
        let mut blocks = vec![(0, first)];
        while let Some(&(_, from)) = blocks.last()
            && from < len
        {
            blocks.push((from, len.min(from + self.tear_bytes as usize)));
        }
        blocks
    }
}

impl Leftover {
    fn write(&mut self, offset: u64, data: Bytes) {
        if !data.is_empty() {
            self.keep(&Change::Write { offset, data });
        }
    }

    fn keep(&mut self, change: &Change) {
        let rope = Arc::make_mut(&mut self.rope);
        if !matches!(change, Change::Write { .. }) {
            // Lengths that the program asked for are zeros.
            rope.truncate(self.len_bytes);
        }
        change.apply(rope);
        self.len_bytes = match change {
            Change::Write { offset, data } => self.len_bytes.max(offset + data.len() as u64),
            Change::Truncate { .. } | Change::Extend { .. } => rope.len_bytes(),
        };
    }
}

/// An instant between two un-synced operations of the disk, drawn evenly.
fn instant(tree: &Tree, rng: &mut ChaCha8Rng) -> u64 {
    let mut sequences: Vec<u64> = tree.journal.iter().map(|op| op.sequence).collect();
    tree.walk(&BTreeMap::new(), &mut |_, named| {
        if let Named::File(cell) = named {
            sequences.extend(cell.pending().iter().map(|op| op.sequence));
        }
    });
    sequences.sort_unstable();
    if sequences.is_empty() {
        return 0;
    }
    let pick = usize::try_from(rng.next_u64() % sequences.len() as u64).unwrap_or(0);
    sequences[pick]
}

impl Tree {
    /// The tree as a crash leaves it; everything in it is durable.
    pub(crate) fn crashed(self, crash: &Crash) -> Tree {
        let names = self.names_after(&crash.names(&self));
        let mut entries = BTreeMap::new();
        let mut seen: BTreeMap<*const FileCell, Arc<Rope>> = BTreeMap::new();
        self.walk(&names, &mut |path, named| {
            let entry = match named {
                Named::Dir(_) => ImageEntry::Directory,
                // A file under two names must look the same under both. Looked up, never iterated.
                Named::File(cell) => ImageEntry::File(
                    seen.entry(Arc::as_ptr(cell)).or_insert_with(|| crash.file(cell)).clone(),
                ),
            };
            entries.insert(Arc::from(path), entry);
        });
        Tree::from_image(&DiskImage::from_entries(entries))
    }

    /// What reads see.
    pub(crate) fn image(&self) -> DiskImage {
        self.image_of(&BTreeMap::new(), |cell| cell.view())
    }

    /// What reads see below these directories; those that do not exist have nothing below them.
    pub(crate) fn image_below<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        let mut entries = BTreeMap::new();
        for path in dirs {
            let Ok(dir) = self.find_dir(path) else { continue };
            self.walk_from(path.to_owned(), dir, &BTreeMap::new(), &mut |path, named| {
                if let Named::File(cell) = named {
                    entries.insert(Arc::from(path), ImageEntry::File(cell.view()));
                }
            });
        }
        DiskImage::from_entries(entries)
    }

    /// What is there for sure after a power loss now.
    pub(crate) fn durable_image(&self) -> DiskImage {
        self.image_of(&self.names_after(&BTreeSet::new()), |cell| cell.durable())
    }

    /// As [`Tree::durable_image`], below these directories only; those that would be gone have nothing below them.
    pub(crate) fn durable_image_below<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        let names = self.names_after(&BTreeSet::new());
        let mut entries = BTreeMap::new();
        for path in dirs {
            let Some(dir) = self.find_dir_by(&names, path) else { continue };
            self.walk_from(path.to_owned(), dir, &names, &mut |path, named| {
                if let Named::File(cell) = named {
                    entries.insert(Arc::from(path), ImageEntry::File(cell.durable()));
                }
            });
        }
        DiskImage::from_entries(entries)
    }

    fn image_of(&self, names: &super::tree::Names, bytes: impl Fn(&FileCell) -> Arc<Rope>) -> DiskImage {
        // Gathered first: a map that is built of a list is cheaper than one that grows entry by entry.
        let mut entries: Vec<(Arc<str>, ImageEntry)> = Vec::new();
        self.walk(names, &mut |path, named| {
            let entry = match named {
                Named::Dir(_) => ImageEntry::Directory,
                Named::File(cell) => ImageEntry::File(bytes(cell)),
            };
            entries.push((Arc::from(path), entry));
        });
        DiskImage::from_entries(entries.into_iter().collect())
    }
}

/// Names a crash: which node, and how many times it has booted.
pub(crate) fn crash_key(node: u16, incarnation: u32) -> u64 {
    u64::try_from(key_of(&[u64::from(node), u64::from(incarnation)]) >> 64).unwrap_or(0)
}
