//! Which file of a crate uses which other file, read from its source text.
//!
//! Modelled: `mod` declarations, `use` trees, paths in code and in macros that start at `crate`, `super`, `self` or a child
//! module, and re-exports, which count as the file that they name. Not modelled: code under `#[cfg(test)]`, names that a
//! glob import brings in, and methods of types that are passed along without being named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

type ModulePath = Vec<String>;

/// The files of one crate, and what each uses of the others.
#[derive(Debug, Default)]
pub struct Imports {
    /// File of each module, relative to the source folder.
    file_of: BTreeMap<ModulePath, String>,
    /// What each file's module re-exports: name to path in the crate.
    reexports: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
    /// Paths in the crate that each module names.
    named: Vec<(ModulePath, ModulePath)>,
    /// Parent module of each file.
    parent_of: BTreeMap<String, String>,
}

impl Imports {
    /// Reads the crate whose root file is `src/lib.rs`.
    ///
    /// # Panics
    ///
    /// If a file is missing or does not parse: the compiler accepted it a moment ago.
    pub fn read(src: &Path) -> Imports {
        let mut imports = Imports::default();
        imports.read_file(src, Path::new("lib.rs"), &[]);
        imports
    }

    fn read_file(&mut self, src: &Path, file: &Path, module: &[String]) {
        let path = src.join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = file.display().to_string();
        if let Some(parent) = module.split_last().map(|(_, parent)| self.file_of[parent].clone()) {
            self.parent_of.insert(name.clone(), parent);
        }
        self.file_of.insert(module.to_vec(), name);
        let folder = match module.is_empty() || file.ends_with("mod.rs") {
            true => file.parent().map(Path::to_path_buf).unwrap_or_default(),
            false => file.with_extension(""),
        };
        self.read_items(src, &folder, module, &parsed.items);
    }

    fn read_items(&mut self, src: &Path, folder: &Path, module: &[String], items: &[syn::Item]) {
        let mut children = BTreeSet::new();
        for item in items {
            let syn::Item::Mod(declared) = item else { continue };
            if is_test(&declared.attrs) {
                continue;
            }
            let name = declared.ident.to_string();
            let path = [module, std::slice::from_ref(&name)].concat();
            match &declared.content {
                Some((_, items)) => {
                    self.file_of.insert(path.clone(), self.file_of[module].clone());
                    self.read_items(src, &folder.join(&name), &path, items);
                }
                None => self.read_file(src, &child_file(src, folder, &name), &path),
            }
            children.insert(name);
        }
        let mut found = Named { module, children: &children, paths: Vec::new(), reexports: BTreeMap::new() };
        for item in items.iter().filter(|item| !matches!(item, syn::Item::Mod(_))) {
            found.visit_item(item);
        }
        let Named { paths, reexports, .. } = found;
        self.named.extend(paths.into_iter().map(|path| (module.to_vec(), path)));
        self.reexports.insert(module.to_vec(), reexports);
    }

    /// The file that a path in the crate leads to.
    fn resolve(&self, path: &[String], depth: usize) -> Option<&str> {
        let modules = (0..=path.len()).rev().find(|len| self.file_of.contains_key(&path[..*len]))?;
        let (module, rest) = path.split_at(modules);
        let reexported = rest.first().and_then(|name| self.reexports.get(module)?.get(name));
        match reexported {
            Some(target) if depth < 8 => self.resolve(&[target, &rest[1..]].concat(), depth + 1),
            _ => self.file_of.get(module).map(String::as_str),
        }
    }

    /// Each file with the files that it uses, its own parent aside.
    pub fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, path) in &self.named {
            let from = self.file_of[module].as_str();
            let Some(to) = self.resolve(path, 0) else { continue };
            let is_parent = self.parent_of.get(from).is_some_and(|parent| parent == to);
            if from != to && !is_parent {
                edges.entry(from).or_default().insert(to);
            }
        }
        edges
    }

    /// Import circles: sets of files each of which uses every other, directly or through others.
    pub fn circles(&self) -> Vec<BTreeSet<&str>> {
        let edges = self.edges();
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            edges.keys().map(|from| (*from, reachable(&edges, from))).collect();
        let mut circles: Vec<BTreeSet<&str>> = Vec::new();
        for (from, reached) in &reach {
            if !reached.contains(from) || circles.iter().any(|circle| circle.contains(from)) {
                continue;
            }
            let back = |to: &&&str| reach.get(**to).is_some_and(|reached| reached.contains(from));
            circles.push(reached.iter().filter(back).copied().collect());
        }
        circles
    }
}

fn reachable<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = edges.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = left.pop() {
        if reached.insert(file) {
            left.extend(edges.get(file).into_iter().flatten());
        }
    }
    reached
}

fn child_file(src: &Path, folder: &Path, name: &str) -> PathBuf {
    let flat = folder.join(format!("{name}.rs"));
    if src.join(&flat).exists() { flat } else { folder.join(name).join("mod.rs") }
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("test")
            || attr.path().is_ident("cfg")
                && attr.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Collects what the items of one module name.
struct Named<'a> {
    module: &'a [String],
    children: &'a BTreeSet<String>,
    paths: Vec<ModulePath>,
    reexports: BTreeMap<String, ModulePath>,
}

impl Named<'_> {
    /// The path from the crate's root, if `path` starts in this crate.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let first = path.first()?.as_str();
        match first {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([self.module, &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                let kept = self.module.len().checked_sub(up)?;
                Some([&self.module[..kept], &path[up..]].concat())
            }
            _ if self.children.contains(first) => Some([self.module, path].concat()),
            _ => None,
        }
    }

    fn name(&mut self, path: &[String]) {
        self.paths.extend(self.absolute(path));
    }

    fn use_tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>, is_reexport: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before, is_reexport);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, before, is_reexport);
                }
            }
            syn::UseTree::Name(name) => self.used(before, &name.ident, &name.ident, is_reexport),
            syn::UseTree::Rename(name) => self.used(before, &name.ident, &name.rename, is_reexport),
            syn::UseTree::Glob(_) => self.name(&before.clone()),
        }
    }

    fn used(&mut self, before: &[String], name: &syn::Ident, local: &syn::Ident, is_reexport: bool) {
        let mut path = before.to_vec();
        if name != "self" {
            path.push(name.to_string());
        }
        let Some(path) = self.absolute(&path) else { return };
        if is_reexport {
            self.reexports.insert(local.to_string(), path);
        } else {
            self.paths.push(path);
        }
    }

    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree::{Group, Ident, Punct};
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                Ident(ident) if path.is_empty() || colons == 2 => path.push(ident.to_string()),
                Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                other => {
                    self.path_in_tokens(&mut path);
                    match other {
                        Group(group) => self.tokens(group.stream()),
                        Ident(ident) => path.push(ident.to_string()),
                        _ => {}
                    }
                }
            }
            colons = 0;
        }
        self.path_in_tokens(&mut path);
    }

    fn path_in_tokens(&mut self, path: &mut Vec<String>) {
        // A name alone may be a variable that is called like a module.
        if path.len() > 1 {
            self.name(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attrs: &[syn::Attribute] = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attrs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&item.tree, &mut Vec::new(), is_reexport);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.name(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast syn::Macro) {
        self.tokens(found.tokens.clone());
        visit::visit_macro(self, found);
    }
}
