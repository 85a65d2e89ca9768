//! The words of the tree: docs/glossary.md lists the terms, this test refuses the words that puzzle a reader.
//!
//! Held to: every text file of the tree: sources, scenarios, cases, recipes and documents. Not held to: the lock file,
//! licences, snapshots of files with customers' made-up texts (`models/golden`), and this file.

use crate::root;
use std::path::{Path, PathBuf};

/// Refused, with the plain word.
const REFUSED: [(&str, &str); 11] = [
    ("manieth", "1-based index"),
    ("anew", "again"),
    ("befall", "strike"),
    ("befell", "struck"),
    ("befalls", "strikes"),
    ("whoever", "the node that, the first caller that"),
    ("for ever", "without end"),
    ("nobody", "no node, no detector, no operator"),
    ("by the book", "in the order of the runbook"),
    ("mend", "fix, repair"),
    ("told of", "reported"),
];
/// "is no " before one of these is no riddle.
const AFTER_IS_NO: [&str; 10] =
    ["longer", "more", "less", "later", "earlier", "older", "newer", "larger", "smaller", "different"];
const SKIPPED: [&str; 8] =
    ["target", ".git", ".latent", "golden", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "vocabulary.rs"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the tree is readable") {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Whether `word` stands in `line` as words of its own.
fn contains(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        !is_word(before) && !is_word(after)
    })
}

/// The refused words of a line, each with its remedy.
fn refused(line: &str) -> Vec<String> {
    let line = line.to_lowercase();
    let mut found: Vec<String> = REFUSED
        .iter()
        .filter(|(word, _)| contains(&line, word))
        .map(|(word, plain)| format!("'{word}': write {plain}"))
        .collect();
    // "There is no file" is plain; "this is no file" is a riddle.
    let riddle = line.match_indices("is no ").find(|(at, _)| {
        let next =
            line[at + "is no ".len()..].split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let before = line[..*at].trim_end();
        let is_plain =
            before.ends_with("there") || line[..*at].ends_with(|c: char| c.is_ascii_alphanumeric());
        !is_plain && !next.is_empty() && !AFTER_IS_NO.contains(&next)
    });
    found.extend(riddle.map(|_| "'is no' before a noun: write 'is not a', 'has no'".to_owned()));
    found
}

#[test]
fn words_that_puzzle_a_reader_are_not_in_the_tree() {
    let root = root();
    let mut all = Vec::new();
    files(&root, &mut all);
    assert!(all.len() > 300, "the tree has files");
    let mut found = Vec::new();
    for path in all {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        found.extend(
            refused(&name.replace(['-', '/', '.'], " ")).into_iter().map(|why| format!("{name}: {why}")),
        );
        for (at, line) in text.lines().enumerate() {
            found.extend(refused(line).into_iter().map(|why| format!("{name}:{}: {why}", at + 1)));
        }
    }
    assert!(found.is_empty(), "{} refused words\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_refused_word_is_found_as_a_word() {
    assert_eq!(refused("This is no seed."), ["'is no' before a noun: write 'is not a', 'has no'"]);
    assert_eq!(refused("Nobody knows").len(), 1);
    for fine in [
        "amended, recommended, manewuver",
        "it is no longer there",
        "there is no file",
        "this node is not a disk",
        "anewline",
    ] {
        assert_eq!(refused(fine), [""; 0], "{fine}");
    }
}
