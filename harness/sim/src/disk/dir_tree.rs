//! Directories, and the journal of un-synced changes to them.
//!
//! An entry of a directory is durable once that directory was synced after the change, independently of the file's
//! bytes. Until then each change is in the journal, with the previous value of the name. Rules:
//!
//! - Within one directory a rename is atomic: both names change, or neither.
//! - A file renamed from one directory to another is a new entry there, then a removed entry here. A sync of either
//!   directory makes its own half durable (the removal includes the new entry), so after a crash the file may have
//!   both names, but never none.
//! - A directory renamed from one directory to another moves atomically; a sync of either parent makes it durable.
//! - Changes of one name keep their order: a later one is durable only if the earlier ones are. So do moves of
//!   directories, and the removal of a directory comes after all changes in it.

use super::image::{DiskImage, ImageEntry};
use super::inode::{DiskUsage, Inode};
use super::rope::Rope;
use crate::prng::hash_key;
use latent_ports::{DirEntry, DiskErrorKind, FileType, OpenMode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Number of a directory. Numbers are not reused before the next crash.
pub(crate) type DirId = u32;
pub(crate) const ROOT: DirId = 0;

#[derive(Clone, Debug)]
pub(crate) enum TreeEntry {
    File(Arc<Inode>),
    Dir(DirId),
}

/// Change of one name.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    pub(crate) dir: DirId,
    pub(crate) name: Arc<str>,
    pub(crate) before: Option<TreeEntry>,
    pub(crate) after: Option<TreeEntry>,
}

/// An un-synced, atomic change of names.
#[derive(Clone, Debug)]
pub(crate) struct JournalEntry {
    pub(crate) sequence: u64,
    pub(crate) changes: Vec<NameChange>,
    /// Sequence numbers of earlier changes without which this one cannot survive a crash (besides those of the same
    /// names).
    pub(crate) requires: Vec<u64>,
    /// Key of the draw that decides whether it survives a crash.
    pub(crate) key: u128,
}

#[derive(Debug)]
pub(crate) struct DirTree {
    pub(crate) dirs: Vec<BTreeMap<Arc<str>, TreeEntry>>,
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) usage: Arc<DiskUsage>,
}

/// Values of names that replace those of the view; `None`: removed.
pub(crate) type NameOverrides = BTreeMap<(DirId, Arc<str>), Option<TreeEntry>>;

type DiskResult<T> = Result<T, DiskErrorKind>;

impl DirTree {
    pub(crate) fn new() -> DirTree {
        DirTree { dirs: vec![BTreeMap::new()], journal: Vec::new(), usage: Arc::default() }
    }

    /// Returns a durable tree with the contents of `image`, which shares its bytes.
    pub(crate) fn from_image(image: &DiskImage) -> DirTree {
        let mut tree = DirTree::new();
        for (path, entry) in image.entries() {
            // Parents precede their children in an image.
            let Ok((dir, name)) = tree.parent(path) else { continue };
            let named = match entry {
                ImageEntry::Directory => tree.new_dir(),
                ImageEntry::File(rope) => {
                    TreeEntry::File(Arc::new(Inode::new(rope.clone(), tree.usage.clone())))
                }
            };
            tree.dirs[dir as usize].insert(name.into(), named);
        }
        tree
    }

    fn new_dir(&mut self) -> TreeEntry {
        let id = u32::try_from(self.dirs.len()).expect("fewer than 2^32 directories");
        self.dirs.push(BTreeMap::new());
        TreeEntry::Dir(id)
    }

    fn get(&self, dir: DirId, name: &str) -> Option<&TreeEntry> {
        self.dirs[dir as usize].get(name)
    }

    pub(crate) fn find_dir(&self, path: &str) -> DiskResult<DirId> {
        let mut dir = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.get(dir, name) {
                None => return Err(DiskErrorKind::NotFound),
                Some(TreeEntry::File(_)) => return Err(DiskErrorKind::NotADirectory),
                Some(TreeEntry::Dir(id)) => dir = *id,
            }
        }
        Ok(dir)
    }

    /// Returns the directory at a path, where `names` overrides the view.
    pub(crate) fn find_dir_by(&self, names: &NameOverrides, path: &str) -> Option<DirId> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |dir, name| {
            let named = match names.is_empty() {
                true => self.get(dir, name),
                false => match names.get(&(dir, Arc::from(name))) {
                    Some(overridden) => overridden.as_ref(),
                    None => self.get(dir, name),
                },
            };
            match named? {
                TreeEntry::Dir(id) => Some(*id),
                TreeEntry::File(_) => None,
            }
        })
    }

    fn parent<'p>(&self, path: &'p str) -> DiskResult<(DirId, &'p str)> {
        match path.rsplit_once('/') {
            None => Ok((ROOT, path)),
            Some((parent, name)) => Ok((self.find_dir(parent)?, name)),
        }
    }

    /// Applies changes to the view and adds them to the journal. Returns their sequence number.
    fn change(&mut self, names: Vec<(DirId, Arc<str>, Option<TreeEntry>)>, requires: Vec<u64>) -> u64 {
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
        // The key excludes the sequence number, which is a position.
        let key = hash_key(&parts[1..]);
        self.journal.push(JournalEntry { sequence, changes, requires, key });
        sequence
    }

    /// Whether the name exists.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.parent(path).is_ok_and(|(dir, name)| self.get(dir, name).is_some())
    }

    /// Returns the file at a path.
    pub(crate) fn find_file(&self, path: &str) -> Option<&Arc<Inode>> {
        let (dir, name) = self.parent(path).ok()?;
        match self.get(dir, name)? {
            TreeEntry::File(inode) => Some(inode),
            TreeEntry::Dir(_) => None,
        }
    }

    /// Returns a value that distinguishes successive states of a directory, as a key for draws.
    pub(crate) fn state_key(&self, path: &str) -> u64 {
        let Ok(dir) = self.find_dir(path) else { return 0 };
        let last = self.dirs[dir as usize].last_key_value();
        self.dirs[dir as usize].len() as u64 ^ last.map_or(0, |(name, _)| xxh3_64(name.as_bytes()))
    }

    /// Opens a file, and creates it if the mode requests it.
    pub(crate) fn open(&mut self, path: &str, mode: OpenMode) -> DiskResult<Arc<Inode>> {
        let (dir, name) = self.parent(path)?;
        match self.get(dir, name) {
            Some(_) if mode == OpenMode::CreateNew => Err(DiskErrorKind::AlreadyExists),
            Some(TreeEntry::Dir(_)) => Err(DiskErrorKind::IsADirectory),
            Some(TreeEntry::File(inode)) => Ok(inode.clone()),
            None if matches!(mode, OpenMode::Read | OpenMode::ReadWrite) => Err(DiskErrorKind::NotFound),
            None => {
                let inode = Arc::new(Inode::new(Arc::new(Rope::default()), self.usage.clone()));
                self.change(vec![(dir, name.into(), Some(TreeEntry::File(inode.clone())))], Vec::new());
                Ok(inode)
            }
        }
    }

    pub(crate) fn create_dir(&mut self, path: &str) -> DiskResult<()> {
        let (dir, name) = self.parent(path)?;
        if self.get(dir, name).is_some() {
            return Err(DiskErrorKind::AlreadyExists);
        }
        let named = self.new_dir();
        self.change(vec![(dir, name.into(), Some(named))], Vec::new());
        Ok(())
    }

    pub(crate) fn remove_dir(&mut self, path: &str) -> DiskResult<()> {
        let (dir, name) = self.parent(path)?;
        let removed = match self.get(dir, name) {
            None => return Err(DiskErrorKind::NotFound),
            Some(TreeEntry::File(_)) => return Err(DiskErrorKind::NotADirectory),
            Some(TreeEntry::Dir(id)) if !self.dirs[*id as usize].is_empty() => {
                return Err(DiskErrorKind::DirectoryNotEmpty);
            }
            Some(TreeEntry::Dir(id)) => *id,
        };
        let requires = self.changes_in(removed);
        self.change(vec![(dir, name.into(), None)], requires);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> DiskResult<()> {
        let (dir, name) = self.parent(path)?;
        match self.get(dir, name) {
            None => return Err(DiskErrorKind::NotFound),
            Some(TreeEntry::Dir(_)) => return Err(DiskErrorKind::IsADirectory),
            Some(TreeEntry::File(_)) => {}
        }
        self.change(vec![(dir, name.into(), None)], Vec::new());
        Ok(())
    }

    /// Checks in the order of Linux.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> DiskResult<()> {
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
            (TreeEntry::File(one), Some(TreeEntry::File(other))) if Arc::ptr_eq(one, other) => return Ok(()),
            (TreeEntry::Dir(_), Some(TreeEntry::File(_))) => return Err(DiskErrorKind::NotADirectory),
            (TreeEntry::File(_), Some(TreeEntry::Dir(_))) => return Err(DiskErrorKind::IsADirectory),
            (TreeEntry::Dir(_), Some(TreeEntry::Dir(id))) if !self.dirs[*id as usize].is_empty() => {
                return Err(DiskErrorKind::DirectoryNotEmpty);
            }
            _ => {}
        }
        let mut requires = match replaced {
            Some(TreeEntry::Dir(id)) => self.changes_in(*id),
            _ => Vec::new(),
        };
        let removal = (from_dir, Arc::from(from_name), None);
        let arrival = (to_dir, Arc::from(to_name), Some(moved.clone()));
        if from_dir == to_dir {
            self.change(vec![arrival, removal], requires);
        } else if let TreeEntry::Dir(_) = moved {
            requires.extend(self.journal.iter().filter(|op| op.changes.len() > 1).map(|op| op.sequence));
            self.change(vec![arrival, removal], requires);
        } else {
            let arrived = self.change(vec![arrival], requires);
            self.change(vec![removal], vec![arrived]);
        }
        Ok(())
    }

    /// Returns the un-synced changes of names in `dir`.
    fn changes_in(&self, dir: DirId) -> Vec<u64> {
        let touches = |op: &&JournalEntry| op.changes.iter().any(|change| change.dir == dir);
        self.journal.iter().filter(touches).map(|op| op.sequence).collect()
    }

    pub(crate) fn list(&self, path: &str) -> DiskResult<Vec<DirEntry>> {
        let dir = self.find_dir(path)?;
        let kind = |named: &TreeEntry| match named {
            TreeEntry::File(_) => FileType::File,
            TreeEntry::Dir(_) => FileType::Directory,
        };
        let entry =
            |(name, named): (&Arc<str>, &TreeEntry)| DirEntry { name: name.to_string(), kind: kind(named) };
        Ok(self.dirs[dir as usize].iter().map(entry).collect())
    }

    /// Returns the position in the journal up to which a sync that starts now makes changes durable when it ends.
    pub(crate) fn sync_point(&self) -> u64 {
        self.journal.last().map_or(0, |last| last.sequence + 1)
    }

    /// Ends a sync of `dir`: its changes from before `point` become durable, with those that they require.
    pub(crate) fn sync_dir_to(&mut self, dir: DirId, point: u64) {
        let select =
            |op: &JournalEntry| op.sequence < point && op.changes.iter().any(|change| change.dir == dir);
        if !self.journal.iter().any(select) {
            return;
        }
        let kept = self.with_requirements(select);
        self.journal.retain(|op| !kept.contains(&op.sequence));
        if self.journal.is_empty() && self.journal.capacity() > 64 {
            self.journal = Vec::new();
        }
    }

    /// Returns the changes that `select` selects, and every earlier one that they require.
    pub(crate) fn with_requirements(&self, select: impl Fn(&JournalEntry) -> bool) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        let mut names: BTreeSet<(DirId, &str)> = BTreeSet::new();
        for op in self.journal.iter().rev() {
            let mut touched = op.changes.iter().map(|change| (change.dir, &*change.name));
            let needed = kept.contains(&op.sequence) || touched.any(|name| names.contains(&name));
            if needed || select(op) {
                kept.insert(op.sequence);
                kept.extend(&op.requires);
                names.extend(op.changes.iter().map(|change| (change.dir, &*change.name)));
            }
        }
        kept.retain(|sequence| self.journal.binary_search_by_key(sequence, |op| op.sequence).is_ok());
        kept
    }

    /// Returns the value of each name in the journal if only the changes in `kept` (closed under requirements)
    /// survive.
    pub(crate) fn names_after(&self, kept: &BTreeSet<u64>) -> NameOverrides {
        let mut names = NameOverrides::new();
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
}

/// Whether `path` is inside the directory `above`.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}
