//! Walks over a directory tree, and the removal of a whole subtree.

use super::dir_tree::{DirId, DirTree, NameOverrides, ROOT, TreeEntry};
use super::inode::Inode;
use std::collections::BTreeMap;
use std::sync::Arc;

impl DirTree {
    /// Calls `visit` for every file that has or may regain a name; for some files more than once.
    pub(crate) fn for_each_inode(&self, visit: impl Fn(&Inode)) {
        let changes = self.journal.iter().flat_map(|op| &op.changes);
        let once_named = changes.flat_map(|change| [&change.before, &change.after]).flatten();
        once_named.chain(self.dirs.iter().flat_map(BTreeMap::values)).for_each(|named| {
            if let TreeEntry::File(inode) = named {
                visit(inode);
            }
        });
    }

    /// Calls `visit` for every name under the root, a directory before its contents. `names` overrides the view.
    pub(crate) fn walk(&self, names: &NameOverrides, visit: &mut impl FnMut(&str, &TreeEntry)) {
        self.walk_from(String::new(), ROOT, names, visit);
    }

    /// As [`DirTree::walk`], under one directory with the given path.
    pub(crate) fn walk_from(
        &self,
        path: String,
        dir: DirId,
        names: &NameOverrides,
        visit: &mut impl FnMut(&str, &TreeEntry),
    ) {
        let mut stack = vec![(path, dir)];
        while let Some((mut path, dir)) = stack.pop() {
            if !path.is_empty() {
                path.push('/');
            }
            let prefix = path.len();
            let mut visit_one = |name: &str, named: &TreeEntry| {
                path.truncate(prefix);
                path.push_str(name);
                visit(&path, named);
                if let TreeEntry::Dir(id) = named {
                    stack.push((path.clone(), *id));
                }
            };
            let entries = &self.dirs[dir as usize];
            if names.is_empty() {
                entries.iter().for_each(|(name, named)| visit_one(name, named));
                continue;
            }
            let mut merged: BTreeMap<&Arc<str>, Option<&TreeEntry>> =
                entries.iter().map(|(name, named)| (name, Some(named))).collect();
            let overridden = names.range((dir, Arc::from(""))..).take_while(|((at, _), _)| *at == dir);
            merged.extend(overridden.map(|((_, name), named)| (name, named.as_ref())));
            let there = merged.into_iter().filter_map(|(name, named)| Some((name, named?)));
            there.for_each(|(name, named)| visit_one(name, named));
        }
    }

    /// Removes a directory and its contents, and makes every change of names durable. Open handles keep their files,
    /// without names.
    pub(crate) fn remove_all(&mut self, path: &str) {
        let Ok(top) = self.find_dir(path) else { return };
        let (mut files, mut dirs) = (Vec::new(), Vec::new());
        self.walk_from(path.to_owned(), top, &NameOverrides::new(), &mut |path, named| match named {
            TreeEntry::File(_) => files.push(path.to_owned()),
            TreeEntry::Dir(_) => dirs.push(path.to_owned()),
        });
        if !path.is_empty() {
            dirs.insert(0, path.to_owned());
        }
        let removed = files.iter().map(|path| self.remove(path)).collect::<Vec<_>>();
        // Children are removed before their directory.
        let emptied = dirs.iter().rev().map(|path| self.remove_dir(path)).collect::<Vec<_>>();
        debug_assert!(removed.into_iter().chain(emptied).all(|one| one.is_ok()), "the walk above found them");
        self.journal.clear();
    }
}
