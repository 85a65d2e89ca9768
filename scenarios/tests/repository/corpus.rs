//! Format of the regression cases, `corpus/*.json`, and of their mutants. `scenarios/tests/scenarios/corpus.rs` replays
//! them.
//!
//! A case is the output of `latent shrink`, or a scenario with its seed and its faults; its name states the expected
//! behaviour, its `about` the former failure. All of them: `latent corpus run`. One: `latent repro corpus/NAME.json`.
//!
//! A case that cannot fail is worthless, so each has a mutant: `corpus/mutants/NAME.patch` puts its mistake back. Here
//! the patches are only compared with the tree; `latent corpus check` builds each and runs its case.

use crate::root;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cases that pass although their mistake is put back: they have drifted, and their `.none` file says what was seen.
/// The list only shrinks: a new case fails under its mutant.
const DRIFTED: [&str; 11] = [
    "a-backup-reads-every-disk-where-some-disagree",
    "a-doubled-order-runs-over-its-inputs-once",
    "a-project-that-is-in-no-backup-yet-is-behind",
    "a-refused-hint-holds-no-other-up",
    "a-rotten-late-segment-is-found-by-the-scrub-and-compacted",
    "a-run-committed-by-a-crash-is-looked-at-while-its-inputs-are-there",
    "copies-are-compared-at-cuts-of-their-own",
    "pins-of-a-backup-that-failed-are-let-go",
    "what-a-newer-backup-holds-is-kept-when-an-older-one-is-needed",
    "what-an-edge-with-a-slow-clock-took-after-a-backup-is-recovered",
    "what-was-set-aside-may-stay-while-copies-differ-again",
];

fn folder() -> PathBuf {
    root().join("corpus")
}

/// The names of the files in `folder` that end in `ending`, without it.
fn names(folder: &Path, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder of the corpus is readable");
    let named = |path: PathBuf| {
        let is_wanted = path.extension().is_some_and(|found| found == ending);
        is_wanted.then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).flatten()
    };
    entries.filter_map(|entry| named(entry.expect("it can be listed").path())).collect()
}

/// Returns what is wrong with the format of a case, if anything.
fn wrong_with(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let written = std::fs::read_to_string(path).expect("a case is a text file");
    let written: Value = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{stem}: {error}"));
    let tells = |about: &Value| about.as_str().is_some_and(|about| about.starts_with("Once "));
    let is_named = match &written["case"] {
        Value::Null => written["name"] == stem && tells(&written["about"]) && written["seed"].is_u64(),
        case => tells(&case["about"]),
    };
    (!is_named).then(|| format!("{stem}: a case bears its file's name, and tells what was seen once"))
}

#[test]
fn every_case_describes_the_former_failure() {
    let files = names(&folder(), "json");
    let wrong: Vec<String> =
        files.iter().filter_map(|name| wrong_with(&folder().join(format!("{name}.json")))).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_case_has_a_mutant_or_a_reason_why_it_has_none() {
    let mutants = folder().join("mutants");
    let (cases, patches, reasons) =
        (names(&folder(), "json"), names(&mutants, "patch"), names(&mutants, "none"));
    let lacking: Vec<_> =
        cases.iter().filter(|case| !patches.contains(*case) && !reasons.contains(*case)).collect();
    assert!(lacking.is_empty(), "write corpus/mutants/NAME.patch for {lacking:?}");
    assert!(patches.is_disjoint(&reasons), "both: {:?}", patches.intersection(&reasons).collect::<Vec<_>>());
    let strays: Vec<_> = patches.iter().chain(&reasons).filter(|name| !cases.contains(*name)).collect();
    assert!(strays.is_empty(), "mutants of no case: {strays:?}");
    let reason =
        |name: &String| std::fs::read_to_string(mutants.join(format!("{name}.none"))).expect("a text file");
    let drifted: Vec<&String> = reasons.iter().filter(|name| reason(name).starts_with("Drifted: ")).collect();
    assert_eq!(drifted, DRIFTED, "a drifted case is listed here as long as it is one");
}

#[test]
fn every_mutant_states_its_mistake_and_applies_to_the_tree() {
    let mutants = folder().join("mutants");
    let mut wrong = Vec::new();
    for name in names(&mutants, "patch") {
        let patch = mutants.join(format!("{name}.patch"));
        let written = std::fs::read_to_string(&patch).expect("a patch is a text file");
        let mut lines = written.lines();
        for header in ["Mistake: ", "Expect: "] {
            if !lines.next().is_some_and(|line| line.len() > header.len() && line.starts_with(header)) {
                wrong.push(format!("{name}: its first lines are 'Mistake: ...' and 'Expect: ...'"));
            }
        }
        let applied = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(root()).output();
        let applied = applied.expect("git is installed");
        if !applied.status.success() {
            wrong.push(format!("{name}: {}", String::from_utf8_lossy(&applied.stderr).trim_end()));
        }
    }
    assert!(wrong.is_empty(), "write these patches again, against today's code:\n{}", wrong.join("\n"));
}
