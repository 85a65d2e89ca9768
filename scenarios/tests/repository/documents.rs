//! Documents name files that exist.
//!
//! Held to: paths from the root of the tree in back-quotes and relative links of README.md and docs/. Not held to: paths
//! relative to a crate, patterns, and names of Rust items.

use crate::root;
use std::path::{Path, PathBuf};

/// First parts of a path from the root.
const ROOTS: [&str; 10] = [
    "harness/",
    "models/",
    "scenarios/",
    "docs/",
    "corpus/",
    "contrib/",
    "reports/",
    ".ci/",
    "README.md",
    "latent.toml",
];

/// The texts between back-quotes of a line, and the targets of its relative links.
fn named(line: &str) -> (Vec<&str>, Vec<&str>) {
    let quoted = line.split('`').skip(1).step_by(2).collect();
    let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|target| !target.is_empty() && !target.contains("://"));
    (quoted, links.collect())
}

/// Paths that a page names and that do not exist.
fn missing(page: &Path, text: &str) -> Vec<String> {
    let folder = page.parent().expect("a page is in a folder");
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (quoted, links) = named(line);
        let is_path = |name: &&str| {
            ROOTS.iter().any(|root| name.starts_with(root)) && !name.contains(['*', ' ', '{', '<', '…', '('])
        };
        // NAME and such stand for any name.
        let is_placeholder =
            |name: &&str| name.split(['/', '.']).any(|part| ["NAME", "FILE"].contains(&part));
        let of_root = quoted.into_iter().filter(is_path).filter(|name| !is_placeholder(name));
        let of_root = of_root.map(|name| (name, root().join(name)));
        for (name, path) in of_root.chain(links.into_iter().map(|name| (name, folder.join(name)))) {
            if !path.exists() {
                found.push(format!("{}:{}: {name}", page.display(), at + 1));
            }
        }
    }
    found
}

#[test]
fn every_named_file_exists() {
    let pages = std::fs::read_dir(root().join("docs")).expect("docs/ is in the tree");
    let mut pages: Vec<PathBuf> = pages.map(|entry| entry.expect("an entry of a folder").path()).collect();
    pages.push(root().join("README.md"));
    assert!(pages.len() > 10, "{pages:?}");
    let read = |page: &PathBuf| std::fs::read_to_string(page).expect("a page is text");
    let found: Vec<String> = pages.iter().flat_map(|page| missing(page, &read(page))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let page = root().join("docs/page.md");
    let of = |text: &str| missing(&page, text).len();
    assert_eq!(of("see `models/world/src/lib.rs` and [this](design.md#x)"), 0);
    assert_eq!(of("see `models/world/src/no.rs` and [that](no.md)"), 2);
    assert_eq!(of("`harness/*/src`, `corpus/NAME.json`, `src/no.rs`, [far](https://example.org/no)"), 0);
}
