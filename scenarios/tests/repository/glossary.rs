//! Every term of a verdict has an explanation: invariants, stages, outcomes, exit codes and marks. Invariants are taken
//! from the source, so that a new one without an explanation fails here.

use crate::root;
use latent_engine::explain::{GlossaryEntry, GlossaryKind, glossary};
use latent_world::Latent;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names that look like a mark's: streams of keyed draws.
const DRAWS: [&str; 4] = ["client.hurry", "client.pause", "client.keep", "compaction.start"];

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("the crate has its source") {
            let path = entry.expect("a folder reads to its end").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let source = std::fs::read_to_string(&path).expect("a listed file can be read");
                // The folder that the tree is in must not decide what is left out.
                let path = path.strip_prefix(root()).expect("it is below the root").to_owned();
                found.push((path, source));
            }
        }
    }
    assert!(!found.is_empty(), "{below}");
    found
}

/// String literals of a file, without its unit tests.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// Whether a text reads as `compaction.second-run`, with the part before the dot in common with a mark.
fn resembles_mark(text: &str, marks: &BTreeSet<String>) -> bool {
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let Some((group, rest)) = text.split_once('.') else { return false };
    let is_file = matches!(rest, "rs" | "json" | "toml" | "seg" | "tmp" | "tee" | "test" | "md" | "case");
    let is_group = || marks.iter().any(|mark| mark.split('.').next() == Some(group));
    is_word(rest) && !rest.is_empty() && !is_file && !DRAWS.contains(&text) && is_group()
}

fn names(kind: GlossaryKind) -> BTreeSet<String> {
    glossary::<Latent>().into_iter().filter(|one| one.kind == kind).map(|one| one.name).collect()
}

/// Sources of the crates that report marks, except declarations and unit tests.
fn sources_with_marks() -> impl Iterator<Item = (PathBuf, String)> {
    let crates = ["models/storekit/src", "models/edge/src", "models/pipeline/src", "models/world/src"];
    crates.into_iter().flat_map(sources).filter(|(path, _)| {
        let is_of_tests =
            path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        !is_of_tests && !path.ends_with("marks.rs")
    })
}

#[test]
fn every_declared_mark_is_reported_by_some_code() {
    // Observers and plans name marks that other code reports.
    let reports = |path: &Path| {
        !path
            .components()
            .any(|part| ["observe", "plan"].contains(&part.as_os_str().to_string_lossy().as_ref()))
    };
    let mut used = BTreeSet::new();
    for (_, source) in sources_with_marks().filter(|(path, _)| reports(path)) {
        let is_constant = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        used.extend(
            source
                .split("marks::")
                .skip(1)
                .map(|rest| rest.split(|c: char| !is_constant(c)).next().unwrap_or_default().to_owned()),
        );
    }
    let declared = names(GlossaryKind::Mark);
    assert!(declared.len() > 100, "{declared:?}");
    let unused: Vec<_> = declared
        .iter()
        .filter(|mark| !used.contains(&mark.to_uppercase().replace(['.', '-'], "_")))
        .collect();
    assert!(unused.is_empty(), "marks that no code reports: {unused:?}");
}

#[test]
fn a_mark_that_code_names_by_a_text_is_declared() {
    let declared = names(GlossaryKind::Mark);
    for (path, source) in sources_with_marks() {
        for text in literals(&source).filter(|text| resembles_mark(text, &declared)) {
            assert!(declared.contains(text), "{}: no mark is called {text}", path.display());
        }
    }
}

#[test]
fn every_invariant_that_can_be_reported_has_an_entry() {
    let is_invariant = |name: &str| {
        let mut chars = name.chars();
        matches!(chars.next(), Some('I' | 'L')) && name.len() > 1 && chars.all(|c| c.is_ascii_digit())
    };
    let mut reported = BTreeSet::new();
    for below in ["models/oracle/src", "models/world/src"] {
        for (path, source) in sources(below) {
            if !path.components().any(|part| part.as_os_str() == "glossary") {
                reported.extend(literals(&source).filter(|name| is_invariant(name)).map(str::to_owned));
            }
        }
    }
    assert!(reported.len() > 15, "{reported:?}");
    let explained = names(GlossaryKind::Invariant);
    let missing: Vec<_> = reported.difference(&explained).collect();
    assert!(missing.is_empty(), "invariants without an entry: {missing:?}");
}

#[test]
fn every_entry_has_a_next_step_and_is_unique() {
    let mut seen = BTreeSet::new();
    for GlossaryEntry { name, kind, means, matters, causes, next } in glossary::<Latent>() {
        assert!(!means.is_empty() && !matters.is_empty() && !next.is_empty(), "{name}");
        let must_say_causes = matches!(kind, GlossaryKind::Invariant | GlossaryKind::Mark);
        assert!(!must_say_causes || !causes.is_empty(), "{name}");
        assert!(seen.insert((kind, name.clone())), "{name} stands twice");
    }
}
