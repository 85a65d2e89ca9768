//! Glossary of the terms in a verdict: outcomes, exit codes and the engine's own terms here, the rest from the system
//! ([`crate::System::glossary`]).
//!
//! A fingerprint (`W1:missing:after-crash:loss`) is explained by its parts: the invariant, the stage, the class.

mod entry;
mod outcomes;
mod terms;

pub use entry::{GlossaryEntry, GlossaryKind};

use crate::scenario::suggest::suggest;
use crate::{Problem, System, exit};
use latent_verdict::Outcome;

/// Every entry: the engine's, then the system's. An entry of the system replaces the engine's of the same category and
/// name.
#[must_use]
pub fn glossary<S: System>() -> Vec<GlossaryEntry> {
    let codes = exit::MEANINGS.iter().map(|(code, _)| outcomes::exit_code(*code));
    let mut all: Vec<GlossaryEntry> =
        Outcome::ALL.iter().map(|outcome| outcomes::outcome(*outcome)).collect();
    all.extend(codes);
    all.extend(terms::entries());
    for entry in S::glossary() {
        match all.iter_mut().find(|known| (known.kind, &known.name) == (entry.kind, &entry.name)) {
            Some(known) => *known = entry,
            None => all.push(entry),
        }
    }
    all
}

/// Names of all marks of the system, sorted; empty if the system does not list them.
#[must_use]
pub fn marks<S: System>() -> Vec<String> {
    let mut names: Vec<String> =
        S::glossary().into_iter().filter(|one| one.kind == GlossaryKind::Mark).map(|one| one.name).collect();
    names.sort();
    names
}

/// Returns the problem of a required mark that the system does not have; `None` if it has the mark, or lists none. A
/// mark of a forked world has the fork's name as a prefix: `fork:log.opened`.
pub(crate) fn unknown_mark<S: System>(mark: &str) -> Option<Problem> {
    let marks = marks::<S>();
    let of_forks = S::FORKS.iter().flat_map(|fork| marks.iter().map(move |mark| format!("{fork}:{mark}")));
    let known: Vec<String> = marks.iter().cloned().chain(of_forks).collect();
    not_among::<S>(mark, &known)
}

/// Returns the problem of a mark that a fault waits for, as [`unknown_mark`] does. Faults are injected in the main world,
/// which reaches no mark of a fork.
pub(crate) fn unknown_trigger<S: System>(mark: &str) -> Option<Problem> {
    let known = marks::<S>();
    match mark.split_once(':') {
        Some((fork, bare)) if S::FORKS.contains(&fork) && known.iter().any(|one| one == bare) => {
            Some(Problem::new(
                format!("a fault cannot wait for '{mark}', a mark of a fork"),
                format!("faults are injected in the main world: wait for {bare}"),
            ))
        }
        _ => not_among::<S>(mark, &known),
    }
}

fn not_among<S: System>(mark: &str, known: &[String]) -> Option<Problem> {
    if known.is_empty() || known.iter().any(|one| one == mark) {
        return None;
    }
    let suggestion = match suggest(mark, known.iter().map(String::as_str)).first() {
        Some(nearest) => format!("did you mean {nearest}? "),
        None => String::new(),
    };
    Some(Problem::new(
        format!("unknown mark '{mark}'"),
        format!("{suggestion}`{} marks` lists all {}", S::NAME, marks::<S>().len()),
    ))
}

/// Returns the entries for a term, or for the parts of a fingerprint. Several may share a name: `recovered` the
/// outcome, `recovered` the term.
///
/// # Errors
/// No entry has this name; the message suggests similar ones.
pub(crate) fn find<S: System>(asked: &str) -> Result<Vec<GlossaryEntry>, String> {
    let all = glossary::<S>();
    let found = of_word(&all, asked);
    if !found.is_empty() {
        return Ok(found);
    }
    // `fork:log.opened` is a mark of a forked world; `W1:missing:after-crash:loss` is a fingerprint.
    let parts: Vec<&str> = asked.split(':').filter(|part| !part.is_empty()).collect();
    let found: Vec<GlossaryEntry> = parts.iter().flat_map(|part| of_word(&all, part)).collect();
    if parts.len() > 1 && !found.is_empty() {
        return Ok(found);
    }
    let similar = suggest(asked, all.iter().map(|one| one.name.as_str()));
    let suggestion = match similar.as_slice() {
        [] => String::new(),
        names => format!("did you mean {}? ", names[..names.len().min(3)].join(" or ")),
    };
    Err(format!("unknown term '{asked}'\n  {suggestion}`{} explain` lists what can be explained", S::NAME))
}

fn of_word(all: &[GlossaryEntry], asked: &str) -> Vec<GlossaryEntry> {
    let same =
        |name: &str| name.eq_ignore_ascii_case(asked) || name.replace(' ', "-").eq_ignore_ascii_case(asked);
    all.iter().filter(|one| same(&one.name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_system::TestSystem;
    use std::collections::BTreeSet;

    #[test]
    fn a_word_a_code_and_a_fingerprint_are_found() {
        let names = |asked: &str| -> Vec<String> {
            find::<TestSystem>(asked)
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
    fn the_fingerprint_of_a_run_without_a_verdict_is_explained() {
        for (asked, name) in [
            ("died", "died"),
            ("internal-error:engine/src/plan.rs:12", "internal-error"),
            ("panicked:edge/src/run.rs:7", "panicked"),
        ] {
            let found = find::<TestSystem>(asked).unwrap();
            assert_eq!(
                (found.len(), found[0].name.as_str(), found[0].kind),
                (1, name, GlossaryKind::Fingerprint)
            );
            assert!(!found[0].means.is_empty() && !found[0].next.is_empty());
        }
    }

    #[test]
    fn the_system_explains_an_engine_term_in_its_own_words() {
        let found = find::<TestSystem>("recoverable-but-missing").unwrap();
        assert_eq!((found.len(), found[0].causes.as_str()), (1, "The postman is on holiday."));
    }

    #[test]
    fn an_unknown_word_gets_a_suggestion() {
        let message = find::<TestSystem>("recoverd").unwrap_err();
        assert!(
            message.contains("unknown term 'recoverd'") && message.contains("did you mean recovered"),
            "{message}"
        );
        find::<TestSystem>("").unwrap_err();
        find::<TestSystem>(":::").unwrap_err();
    }

    #[test]
    fn a_mark_of_a_fork_can_be_required_and_not_waited_for() {
        for known in ["toy.delivered", "fork:toy.rehearsed"] {
            assert_eq!(unknown_mark::<TestSystem>(known), None, "{known}");
        }
        assert_eq!(unknown_trigger::<TestSystem>("toy.delivered"), None);
        for (unknown, nearest) in [
            ("toy.delivred", "toy.delivered"),
            ("frok:toy.rehearsed", "fork:toy.rehearsed"),
            ("toy", "toy.lost"),
        ] {
            let Problem { message, hint } = unknown_mark::<TestSystem>(unknown).unwrap();
            assert_eq!(message, format!("unknown mark '{unknown}'"));
            assert_eq!(hint, format!("did you mean {nearest}? `toy marks` lists all 3"));
        }
        let Problem { message, hint } = unknown_trigger::<TestSystem>("fork:toy.rehearsed").unwrap();
        assert_eq!(message, "a fault cannot wait for 'fork:toy.rehearsed', a mark of a fork");
        assert_eq!(hint, "faults are injected in the main world: wait for toy.rehearsed");
    }

    #[test]
    fn every_outcome_and_every_exit_code_has_a_whole_entry() {
        let all = glossary::<TestSystem>();
        for name in Outcome::ALL.iter().map(|outcome| outcome.name()) {
            assert!(all.iter().any(|one| one.kind == GlossaryKind::Outcome && one.name == name), "{name}");
        }
        for (code, _) in exit::MEANINGS {
            assert!(
                all.iter().any(|one| one.kind == GlossaryKind::ExitCode && one.name == code.to_string()),
                "{code}"
            );
        }
        for one in &all {
            assert!(!one.means.is_empty() && !one.matters.is_empty() && !one.next.is_empty(), "{}", one.name);
        }
    }

    #[test]
    fn entries_are_unique() {
        let all = glossary::<TestSystem>();
        let names: BTreeSet<_> = all.iter().map(|one| (one.kind, one.name.clone())).collect();
        assert_eq!(names.len(), all.len());
    }
}
