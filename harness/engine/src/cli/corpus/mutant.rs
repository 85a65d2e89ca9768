//! Mutants of regression cases: `corpus/mutants/NAME.patch` puts back the mistake that the case NAME once found.
//!
//! A patch begins with two lines, and the rest is a unified diff against the tree:
//!
//! ```text
//! Mistake: what the patched code does wrong, in one sentence
//! Expect: what `corpus run --fingerprints` prints of the case then, such as `violated I10:stale:after-backup:breach`
//! ```
//!
//! A case whose mistake cannot be put back has `NAME.none` instead, with the reason as its text.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Folder of the mutants in a corpus.
pub(super) const MUTANTS: &str = "mutants";

/// Record of what proves that a case can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    Patch {
        path: PathBuf,
        mistake: String,
        /// Finding of the case under the patch, as `corpus run --fingerprints` prints it.
        expect: String,
    },
    /// The mistake cannot be put back, for this reason.
    None(String),
    /// The record is missing or malformed; with a message that says what to do.
    Invalid(String),
}

impl Mutant {
    /// Reads the record of a case.
    pub fn of(folder: &Path, case: &str) -> Mutant {
        let patch = folder.join(MUTANTS).join(format!("{case}.patch"));
        let none = folder.join(MUTANTS).join(format!("{case}.none"));
        match (read(&patch), read(&none)) {
            (Ok(Some(_)), Ok(Some(_))) => Mutant::Invalid(format!(
                "both {} and {} exist\n  remove one",
                patch.display(),
                none.display()
            )),
            (Ok(Some(text)), Ok(None)) => parse(&patch, &text),
            (Ok(None), Ok(Some(reason))) if reason.trim().is_empty() => Mutant::Invalid(format!(
                "{}: no reason\n  write why the mistake cannot be put back",
                none.display()
            )),
            (Ok(None), Ok(Some(reason))) => {
                Mutant::None(reason.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            (Ok(None), Ok(None)) => Mutant::Invalid(format!(
                "no mutant\n  write the patch that puts the mistake back, {}, or the reason why none can, {}",
                patch.display(),
                none.display()
            )),
            (Err(error), _) => Mutant::Invalid(format!("{}: {error}", patch.display())),
            (_, Err(error)) => Mutant::Invalid(format!("{}: {error}", none.display())),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(path: &Path, text: &str) -> Mutant {
    let header = |name: &str| {
        let lines = text.lines().take_while(|line| !line.starts_with("--- "));
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    match (header("Mistake"), header("Expect")) {
        (Some(mistake), Some(expect)) => Mutant::Patch { path: path.to_owned(), mistake, expect },
        (mistake, _) => {
            let lacks = if mistake.is_none() { "Mistake" } else { "Expect" };
            Mutant::Invalid(format!(
                "{}: no line '{lacks}: ...' before the diff\n  a patch begins with a line 'Mistake: ...' and a line 'Expect: ...'",
                path.display()
            ))
        }
    }
}

/// Returns the mutants of a corpus that belong to none of its cases.
///
/// # Errors
/// The folder cannot be listed. A folder that does not exist has no mutants.
pub(super) fn strays(folder: &Path, cases: &BTreeMap<String, PathBuf>) -> io::Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(folder.join(MUTANTS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut strays = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let is_record = path.extension().is_some_and(|ending| ending == "patch" || ending == "none");
        let has_case = path.file_stem().is_some_and(|stem| cases.contains_key(&*stem.to_string_lossy()));
        if is_record && !has_case {
            strays.push(path);
        }
    }
    strays.sort();
    Ok(strays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_begins_with_its_mistake_and_what_it_makes_of_the_case() {
        let path = Path::new("corpus/mutants/a.patch");
        let text = "Mistake: nothing is synced\nExpect: violated W1:missing\n\n--- a/x\n+++ b/x\n";
        let expected = Mutant::Patch {
            path: path.to_owned(),
            mistake: "nothing is synced".into(),
            expect: "violated W1:missing".into(),
        };
        assert_eq!(parse(path, text), expected);
        let Mutant::Invalid(why) = parse(path, "Mistake: a\n--- a/x\n+Expect: b\n") else {
            panic!("a line of the diff is not a header")
        };
        assert!(why.contains("no line 'Expect: ...'"), "{why}");
    }
}
