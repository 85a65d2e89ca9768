//! What the words of a verdict mean: outcomes, exit codes and the engine's own words here, the rest by the system
//! ([`System::glossary`](crate::System::glossary)).
//!
//! A fingerprint (`I10:missing:after-backup:loss`) is explained by its parts: the invariant, the stage, the class.

mod outcomes;
mod verdict_words;

use crate::scenario::near::near;
use crate::{System, exit};
use latent_verdict::Outcome;

/// The kind of thing that an entry explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// Something that must hold.
    Invariant,
    /// How a run ended.
    Outcome,
    /// What the program exits with.
    ExitCode,
    /// The last part of a fingerprint.
    LossClass,
    /// When a violation was seen: the third part of a fingerprint.
    Stage,
    /// A point that the code under test reports to have passed.
    Mark,
    /// Any other word of a screen.
    Word,
}

impl EntryKind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [EntryKind; 7] = [
        EntryKind::Invariant,
        EntryKind::Outcome,
        EntryKind::ExitCode,
        EntryKind::LossClass,
        EntryKind::Stage,
        EntryKind::Mark,
        EntryKind::Word,
    ];

    /// Its name, in the singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EntryKind::Invariant => "invariant",
            EntryKind::Outcome => "outcome",
            EntryKind::ExitCode => "exit code",
            EntryKind::LossClass => "loss class",
            EntryKind::Stage => "stage",
            EntryKind::Mark => "mark",
            EntryKind::Word => "word",
        }
    }
}

/// What one word means, in four parts. A part that is empty is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The word, as it is printed.
    pub name: String,
    /// The kind of thing it names.
    pub kind: EntryKind,
    /// What must hold, for an invariant; what it says, for all others.
    pub means: String,
    /// Why it matters.
    pub matters: String,
    /// What usually breaks it, or keeps a mark from being reached.
    pub causes: String,
    /// What to do next.
    pub next: String,
}

impl Entry {
    /// An entry with these four parts.
    #[must_use]
    pub fn new(kind: EntryKind, name: impl Into<String>, [means, matters, causes, next]: [&str; 4]) -> Entry {
        let text = str::to_owned;
        let name = name.into();
        Entry {
            name,
            kind,
            means: text(means),
            matters: text(matters),
            causes: text(causes),
            next: text(next),
        }
    }
}

/// Every entry: the engine's, then the system's.
#[must_use]
pub fn glossary<S: System>() -> Vec<Entry> {
    let codes = exit::MEANINGS.iter().map(|(code, _)| outcomes::exit_code(*code));
    let mut all: Vec<Entry> = Outcome::ALL.iter().map(|outcome| outcomes::outcome(*outcome)).collect();
    all.extend(codes);
    all.extend(verdict_words::entries());
    all.extend(S::glossary());
    all
}

/// The names of all marks that the system can reach, sorted; empty if it does not say.
#[must_use]
pub fn marks<S: System>() -> Vec<String> {
    let mut names: Vec<String> =
        S::glossary().into_iter().filter(|one| one.kind == EntryKind::Mark).map(|one| one.name).collect();
    names.sort();
    names
}

/// A mark that the system cannot reach, as message and hint; `None` if it can, or does not say which there are.
/// A drill's marks bear a prefix: `drill:recovery.ended`.
pub(crate) fn unknown_mark<S: System>(mark: &str) -> Option<(String, String)> {
    let known = marks::<S>();
    let bare = mark.rsplit(':').next().unwrap_or(mark);
    if known.is_empty() || known.iter().any(|one| one == bare) {
        return None;
    }
    let meant = match near(bare, known.iter().map(String::as_str)).first() {
        Some(nearest) => format!("did you mean {nearest}? "),
        None => String::new(),
    };
    Some((format!("unknown mark '{mark}'"), format!("{meant}`{} marks` lists all {}", S::NAME, known.len())))
}

/// The entries for a word, or for the parts of a fingerprint. Several may share a name: `recovered` the outcome,
/// `recovered` the word.
///
/// # Errors
/// Nothing of this name, with near ones.
pub(crate) fn find<S: System>(asked: &str) -> Result<Vec<Entry>, String> {
    let all = glossary::<S>();
    let found = of_word(&all, asked);
    if !found.is_empty() {
        return Ok(found);
    }
    // `drill:recovery.ended` is a mark in a world of its own; `I1:missing:day-end:loss` a fingerprint.
    let parts: Vec<&str> = asked.split(':').filter(|part| !part.is_empty()).collect();
    let found: Vec<Entry> = parts.iter().flat_map(|part| of_word(&all, part)).collect();
    if parts.len() > 1 && !found.is_empty() {
        return Ok(found);
    }
    let near = near(asked, all.iter().map(|one| one.name.as_str()));
    let meant = match near.as_slice() {
        [] => String::new(),
        names => format!("did you mean {}? ", names[..names.len().min(3)].join(" or ")),
    };
    Err(format!("nothing is called '{asked}'\n  {meant}`{} explain` lists what can be explained", S::NAME))
}

fn of_word(all: &[Entry], asked: &str) -> Vec<Entry> {
    let same =
        |name: &str| name.eq_ignore_ascii_case(asked) || name.replace(' ', "-").eq_ignore_ascii_case(asked);
    all.iter().filter(|one| same(&one.name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::Toy;
    use std::collections::BTreeSet;

    #[test]
    fn a_word_a_code_and_a_fingerprint_are_found() {
        let names = |asked: &str| -> Vec<String> {
            find::<Toy>(asked)
                .unwrap()
                .into_iter()
                .map(|one| format!("{} {}", one.kind.name(), one.name))
                .collect()
        };
        assert_eq!(names("recovered"), ["outcome recovered"]);
        assert_eq!(names("Hung"), ["outcome hung"]);
        assert_eq!(names("100"), ["exit code 100"]);
        assert_eq!(
            names("I4:missing:after-compaction:loss"),
            ["loss class loss"],
            "toy has no entry for the rest"
        );
        assert_eq!(names("as-expected"), names("as expected"));
    }

    #[test]
    fn an_unknown_word_gets_a_suggestion() {
        let said = find::<Toy>("recoverd").unwrap_err();
        assert!(
            said.contains("nothing is called 'recoverd'") && said.contains("did you mean recovered"),
            "{said}"
        );
        find::<Toy>("").unwrap_err();
        find::<Toy>(":::").unwrap_err();
    }

    #[test]
    fn every_outcome_and_every_exit_code_has_a_whole_entry() {
        let all = glossary::<Toy>();
        for name in Outcome::ALL.map(Outcome::name) {
            assert!(all.iter().any(|one| one.kind == EntryKind::Outcome && one.name == name), "{name}");
        }
        for (code, _) in exit::MEANINGS {
            assert!(
                all.iter().any(|one| one.kind == EntryKind::ExitCode && one.name == code.to_string()),
                "{code}"
            );
        }
        for one in &all {
            assert!(!one.means.is_empty() && !one.matters.is_empty() && !one.next.is_empty(), "{}", one.name);
        }
    }

    #[test]
    fn no_entry_stands_twice() {
        let all = glossary::<Toy>();
        let names: BTreeSet<_> = all.iter().map(|one| (one.kind, one.name.clone())).collect();
        assert_eq!(names.len(), all.len());
    }
}
