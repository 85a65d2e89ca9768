//! Names: directories, and the journal of changes to them that are not yet durable.
//!
//! An entry of a directory is durable once that directory was synced after the change, whatever became of the
//! file's bytes. Until then each change stands in the journal with what stood there before it. Rules:
//!
//! - Within one directory a rename is atomic: both names change, or neither.
//! - A file renamed from one directory to another is a new entry there, then a removed entry here. A sync of
//!   either directory makes its own half durable (the removal brings the new entry with it), so after a crash
//!   the file may stand under both names, but never under none.
//! - A directory renamed from one directory to another moves atomically; a sync of either parent keeps it.
//! - Changes of one name keep their order: a later one is durable only if the earlier ones are. So do moves of
//!   directories, and the removal of a directory comes after all changes in it.

use super::file::{FileCell, Usage};
use super::image::{DiskImage, ImageEntry};
use super::rope::Rope;
use crate::draw::key_of;
use latent_ports::{DirEntry, DiskErrorKind, FileType, OpenMode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A directory's number. Numbers are not used again before the next crash.
pub(crate) type DirId = u32;
pub(crate) const ROOT: DirId = 0;

#[derive(Clone, Debug)]
pub(crate) enum Named {
    File(Arc<FileCell>),
    Dir(DirId),
}

/// One name that changed.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    pub(crate) dir: DirId,
    pub(crate) name: Arc<str>,
    pub(crate) before: Option<Named>,
    pub(crate) after: Option<Named>,
}

/// An un-synced change of names, atomic.
#[derive(Clone, Debug)]
pub(crate) struct DirOp {
    pub(crate) sequence: u64,
    pub(crate) changes: Vec<NameChange>,
    /// Cannot survive a crash without these earlier ones (besides those of the same names).
    pub(crate) requires: Vec<u64>,
    /// Keys the draw that decides whether it survives a crash.
    pub(crate) key: u128,
}

#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) dirs: Vec<BTreeMap<Arc<str>, Named>>,
    pub(crate) journal: Vec<DirOp>,
    pub(crate) usage: Arc<Usage>,
}

/// What names stand for after some changes.
pub(crate) type Names = BTreeMap<(DirId, Arc<str>), Option<Named>>;

type Found<T> = Result<T, DiskErrorKind>;

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree { dirs: vec![BTreeMap::new()], journal: Vec::new(), usage: Arc::default() }
    }

    /// A durable tree with the contents of `image`, which shares its bytes.
    pub(crate) fn from_image(image: &DiskImage) -> Tree {
        let mut tree = Tree::new();
        for (path, entry) in image.entries() {
            // Parents stand before their children in an image.
            let Ok((dir, name)) = tree.parent(path) else { continue };
            let named = match entry {
                ImageEntry::Directory => tree.new_dir(),
                ImageEntry::File(rope) => {
                    Named::File(Arc::new(FileCell::new(rope.clone(), tree.usage.clone())))
                }
            };
            tree.dirs[dir as usize].insert(name.into(), named);
        }
        tree
    }

    fn new_dir(&mut self) -> Named {
        let id = u32::try_from(self.dirs.len()).expect("fewer than 2^32 directories");
        self.dirs.push(BTreeMap::new());
        Named::Dir(id)
    }

    fn get(&self, dir: DirId, name: &str) -> Option<&Named> {
        self.dirs[dir as usize].get(name)
    }

    pub(crate) fn find_dir(&self, path: &str) -> Found<DirId> {
        let mut dir = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.get(dir, name) {
                None => return Err(DiskErrorKind::NotFound),
                Some(Named::File(_)) => return Err(DiskErrorKind::NotADirectory),
                Some(Named::Dir(id)) => dir = *id,
            }
        }
        Ok(dir)
    }

    /// The directory of that path where `names` overrides what the view says.
    pub(crate) fn find_dir_by(&self, names: &Names, path: &str) -> Option<DirId> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |dir, name| {
            let named = match names.is_empty() {
                true => self.get(dir, name),
                false => match names.get(&(dir, Arc::from(name))) {
                    Some(overridden) => overridden.as_ref(),
                    None => self.get(dir, name),
                },
            };
            match named? {
                Named::Dir(id) => Some(*id),
                Named::File(_) => None,
            }
        })
    }

    fn parent<'p>(&self, path: &'p str) -> Found<(DirId, &'p str)> {
        match path.rsplit_once('/') {
            None => Ok((ROOT, path)),
            Some((parent, name)) => Ok((self.find_dir(parent)?, name)),
        }
    }

    /// Applies changes to the view and notes them in the journal; returns their sequence number.
    fn change(&mut self, names: Vec<(DirId, Arc<str>, Option<Named>)>, requires: Vec<u64>) -> u64 {
        let sequence = self.usage.next_sequence();
        let mut parts = vec![sequence];
        let mut changes = Vec::with_capacity(names.len());
        for (dir, name, after) in names {
            parts.extend([u64::from(dir), xxh3_64(name.as_bytes()), u64::from(after.is_some())]);
            let entries = &mut self.dirs[dir as usize];
            let before = match after.clone() {
                Some(named) => entries.insert(name.clone(), named),
                None => entries.remove(&name),
            };
            changes.push(NameChange { dir, name, before, after });
        }
        // The sequence number stays out of the key: it is a position.
        let key = key_of(&parts[1..]);
        self.journal.push(DirOp { sequence, changes, requires, key });
        sequence
    }

    /// Whether the name is taken.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.parent(path).is_ok_and(|(dir, name)| self.get(dir, name).is_some())
    }

    /// Something that tells successive states of a directory apart, to key draws by.
    pub(crate) fn shape(&self, path: &str) -> u64 {
        let Ok(dir) = self.find_dir(path) else { return 0 };
        let last = self.dirs[dir as usize].last_key_value();
        self.dirs[dir as usize].len() as u64 ^ last.map_or(0, |(name, _)| xxh3_64(name.as_bytes()))
    }

    /// Opens a file, creating it if the mode says so.
    pub(crate) fn open(&mut self, path: &str, mode: OpenMode) -> Found<Arc<FileCell>> {
        let (dir, name) = self.parent(path)?;
        match self.get(dir, name) {
            Some(_) if mode == OpenMode::CreateNew => Err(DiskErrorKind::AlreadyExists),
            Some(Named::Dir(_)) => Err(DiskErrorKind::IsADirectory),
            Some(Named::File(cell)) => Ok(cell.clone()),
            None if matches!(mode, OpenMode::Read | OpenMode::ReadWrite) => Err(DiskErrorKind::NotFound),
            None => {
                let cell = Arc::new(FileCell::new(Arc::new(Rope::default()), self.usage.clone()));
                self.change(vec![(dir, name.into(), Some(Named::File(cell.clone())))], Vec::new());
                Ok(cell)
            }
        }
    }

    pub(crate) fn create_dir(&mut self, path: &str) -> Found<()> {
        let (dir, name) = self.parent(path)?;
        if self.get(dir, name).is_some() {
            return Err(DiskErrorKind::AlreadyExists);
        }
        let named = self.new_dir();
        self.change(vec![(dir, name.into(), Some(named))], Vec::new());
        Ok(())
    }

    pub(crate) fn remove_dir(&mut self, path: &str) -> Found<()> {
        let (dir, name) = self.parent(path)?;
        let removed = match self.get(dir, name) {
            None => return Err(DiskErrorKind::NotFound),
            Some(Named::File(_)) => return Err(DiskErrorKind::NotADirectory),
            Some(Named::Dir(id)) if !self.dirs[*id as usize].is_empty() => {
                return Err(DiskErrorKind::DirectoryNotEmpty);
            }
            Some(Named::Dir(id)) => *id,
        };
        let requires = self.changes_in(removed);
        self.change(vec![(dir, name.into(), None)], requires);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> Found<()> {
        let (dir, name) = self.parent(path)?;
        match self.get(dir, name) {
            None => return Err(DiskErrorKind::NotFound),
            Some(Named::Dir(_)) => return Err(DiskErrorKind::IsADirectory),
            Some(Named::File(_)) => {}
        }
        self.change(vec![(dir, name.into(), None)], Vec::new());
        Ok(())
    }

    /// Removes a directory and all that is in it, and makes every change of names durable. Whoever has a file of it open keeps it, without a name.
    pub(crate) fn remove_all(&mut self, path: &str) {
        let Ok(top) = self.find_dir(path) else { return };
        let (mut files, mut dirs) = (Vec::new(), Vec::new());
        self.walk_from(path.to_owned(), top, &Names::new(), &mut |path, named| match named {
            Named::File(_) => files.push(path.to_owned()),
            Named::Dir(_) => dirs.push(path.to_owned()),
        });
        if !path.is_empty() {
            dirs.insert(0, path.to_owned());
        }
        let removed = files.iter().map(|path| self.remove(path)).collect::<Vec<_>>();
        // What a directory holds comes after it.
        let emptied = dirs.iter().rev().map(|path| self.remove_dir(path)).collect::<Vec<_>>();
        debug_assert!(removed.into_iter().chain(emptied).all(|one| one.is_ok()), "they were found just now");
        self.journal.clear();
    }

    /// The checks stand in the order in which Linux makes them.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Found<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let moved = self.get(from_dir, from_name).ok_or(DiskErrorKind::NotFound)?.clone();
        if is_below(to, from) {
            return Err(DiskErrorKind::InvalidInput);
        }
        if is_below(from, to) {
            return Err(DiskErrorKind::DirectoryNotEmpty);
        }
        if from == to {
            return Ok(());
        }
        let replaced = self.get(to_dir, to_name);
        match (&moved, replaced) {
            (Named::File(one), Some(Named::File(other))) if Arc::ptr_eq(one, other) => return Ok(()),
            (Named::Dir(_), Some(Named::File(_))) => return Err(DiskErrorKind::NotADirectory),
            (Named::File(_), Some(Named::Dir(_))) => return Err(DiskErrorKind::IsADirectory),
            (Named::Dir(_), Some(Named::Dir(id))) if !self.dirs[*id as usize].is_empty() => {
                return Err(DiskErrorKind::DirectoryNotEmpty);
            }
            _ => {}
        }
        let mut requires = match replaced {
            Some(Named::Dir(id)) => self.changes_in(*id),
            _ => Vec::new(),
        };
        let removal = (from_dir, Arc::from(from_name), None);
        let arrival = (to_dir, Arc::from(to_name), Some(moved.clone()));
        if from_dir == to_dir {
            self.change(vec![arrival, removal], requires);
        } else if let Named::Dir(_) = moved {
            requires.extend(self.journal.iter().filter(|op| op.changes.len() > 1).map(|op| op.sequence));
            self.change(vec![arrival, removal], requires);
        } else {
            let arrived = self.change(vec![arrival], requires);
            self.change(vec![removal], vec![arrived]);
        }
        Ok(())
    }

    /// The un-synced changes of names in `dir`.
    fn changes_in(&self, dir: DirId) -> Vec<u64> {
        let touches = |op: &&DirOp| op.changes.iter().any(|change| change.dir == dir);
        self.journal.iter().filter(touches).map(|op| op.sequence).collect()
    }

    pub(crate) fn list(&self, path: &str) -> Found<Vec<DirEntry>> {
        let dir = self.find_dir(path)?;
        let kind = |named: &Named| match named {
            Named::File(_) => FileType::File,
            Named::Dir(_) => FileType::Directory,
        };
        let entry =
            |(name, named): (&Arc<str>, &Named)| DirEntry { name: name.to_string(), kind: kind(named) };
        Ok(self.dirs[dir as usize].iter().map(entry).collect())
    }

    /// What a sync of `dir` that is called now will make durable, once it ends.
    pub(crate) fn sync_point(&self) -> u64 {
        self.journal.last().map_or(0, |last| last.sequence + 1)
    }

    /// Ends a sync of `dir`: its changes from before `point` are durable, with those they rest on.
    pub(crate) fn sync_dir_to(&mut self, dir: DirId, point: u64) {
        let wanted = |op: &DirOp| op.sequence < point && op.changes.iter().any(|change| change.dir == dir);
        if !self.journal.iter().any(wanted) {
            return;
        }
        let kept = self.with_requirements(wanted);
        self.journal.retain(|op| !kept.contains(&op.sequence));
        if self.journal.is_empty() && self.journal.capacity() > 64 {
            self.journal = Vec::new();
        }
    }

    /// The changes that `wanted` names, and every earlier one without which they could not be.
    pub(crate) fn with_requirements(&self, wanted: impl Fn(&DirOp) -> bool) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        let mut names: BTreeSet<(DirId, &str)> = BTreeSet::new();
        for op in self.journal.iter().rev() {
            let mut touched = op.changes.iter().map(|change| (change.dir, &*change.name));
            let needed = kept.contains(&op.sequence) || touched.any(|name| names.contains(&name));
            if needed || wanted(op) {
                kept.insert(op.sequence);
                kept.extend(&op.requires);
                names.extend(op.changes.iter().map(|change| (change.dir, &*change.name)));
            }
        }
        kept.retain(|sequence| self.journal.binary_search_by_key(sequence, |op| op.sequence).is_ok());
        kept
    }

    /// What each name in the journal stands for if only the changes in `kept` (closed under requirements) were.
    pub(crate) fn names_after(&self, kept: &BTreeSet<u64>) -> Names {
        let mut names = Names::new();
        for op in &self.journal {
            for change in &op.changes {
                let name =
                    names.entry((change.dir, change.name.clone())).or_insert_with(|| change.before.clone());
                if kept.contains(&op.sequence) {
                    name.clone_from(&change.after);
                }
            }
        }
        names
    }

    /// Calls `visit` for every file that has a name or may have one again; for some more than once.
    pub(crate) fn each_cell(&self, visit: impl Fn(&FileCell)) {
        let changes = self.journal.iter().flat_map(|op| &op.changes);
        let once_named = changes.flat_map(|change| [&change.before, &change.after]).flatten();
        once_named.chain(self.dirs.iter().flat_map(BTreeMap::values)).for_each(|named| {
            if let Named::File(cell) = named {
                visit(cell);
            }
        });
    }

    /// Calls `visit` for every name below the root, a directory before what it holds. `names` overrides what
    /// the view says.
    pub(crate) fn walk(&self, names: &Names, visit: &mut impl FnMut(&str, &Named)) {
        self.walk_from(String::new(), ROOT, names, visit);
    }

    /// As [`Tree::walk`], below one directory whose path is given.
    pub(crate) fn walk_from(
        &self,
        path: String,
        dir: DirId,
        names: &Names,
        visit: &mut impl FnMut(&str, &Named),
    ) {
        let mut stack = vec![(path, dir)];
        while let Some((mut path, dir)) = stack.pop() {
            if !path.is_empty() {
                path.push('/');
            }
            let prefix = path.len();
            let mut visit_one = |name: &str, named: &Named| {
                path.truncate(prefix);
                path.push_str(name);
                visit(&path, named);
                if let Named::Dir(id) = named {
                    stack.push((path.clone(), *id));
                }
            };
            let entries = &self.dirs[dir as usize];
            if names.is_empty() {
                entries.iter().for_each(|(name, named)| visit_one(name, named));
                continue;
            }
            let mut merged: BTreeMap<&Arc<str>, Option<&Named>> =
                entries.iter().map(|(name, named)| (name, Some(named))).collect();
            let overridden = names.range((dir, Arc::from(""))..).take_while(|((at, _), _)| *at == dir);
            merged.extend(overridden.map(|((_, name), named)| (name, named.as_ref())));
            let there = merged.into_iter().filter_map(|(name, named)| Some((name, named?)));
            there.for_each(|(name, named)| visit_one(name, named));
        }
    }
}

/// Whether `path` lies below the directory `above`.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}
