//! The glossary and the oracle's list of kinds agree: `latent explain` names each kind that a check can report.

use latent_engine::System;
use latent_oracle::violation_kinds::{VIOLATION_KINDS, ViolationKind};
use latent_world::Latent;
use std::collections::BTreeSet;
use std::path::Path;

/// String literals in the source files below a folder, the list itself and comments aside.
fn add_literals(folder: &Path, literals: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a crate has its source") {
        let path = entry.expect("a folder reads to its end").path();
        if path.is_dir() {
            add_literals(&path, literals);
        } else if !path.ends_with("violation_kinds.rs") {
            let source = std::fs::read_to_string(&path).expect("a listed file can be read");
            let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            literals.extend(lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned));
        }
    }
}

#[test]
fn every_kind_of_violation_is_named_by_the_entry_of_its_invariant() {
    let entries = Latent::glossary();
    for ViolationKind { invariant, kind, .. } in VIOLATION_KINDS {
        let entry = entries.iter().find(|entry| entry.name == invariant);
        let means = &entry.unwrap_or_else(|| panic!("{invariant} has no entry")).means;
        let (_, named) =
            means.split_once("Kind").unwrap_or_else(|| panic!("{invariant} names no kind: {means}"));
        let named: BTreeSet<&str> = named.split(|c: char| !c.is_ascii_lowercase() && c != '-').collect();
        assert!(named.contains(kind), "the entry of {invariant} does not name {kind}: {means}");
    }
}

#[test]
fn every_listed_kind_is_reported_by_a_check() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut literals = BTreeSet::new();
    add_literals(&crate_folder.join("../oracle/src"), &mut literals);
    add_literals(&crate_folder.join("src/judge"), &mut literals);
    for ViolationKind { invariant, kind, .. } in VIOLATION_KINDS {
        assert!(literals.contains(kind), "no check reports the kind {kind} of {invariant}");
    }
}
