//! Every case that once failed, shrunk to what it takes and replayed for ever: `corpus/*.json`.
//!
//! A case is a scenario with its seed and its faults written out; its name says what must hold, its `about` what was
//! seen when it did not. One alone: `latent run corpus/NAME.json`.

mod common;

use common::{failures, report_of};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let folder = common::folder().join("../corpus");
    let entries = std::fs::read_dir(&folder).expect("the corpus is a folder beside the scenarios");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    cases.sort();
    cases
}

/// What is wrong with a case, if anything is.
fn wrong_with(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let text = std::fs::read_to_string(path).expect("a case is a text file");
    let written: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{stem}: {error}"));
    if written["name"] != stem || !written["about"].as_str().is_some_and(|about| about.starts_with("Once ")) {
        return Some(format!("{stem}: a case bears its file's name, and tells what was seen once"));
    }
    if written["seed"].as_u64().is_none() {
        return Some(format!("{stem}: a case names its seed"));
    }
    let given = path.to_str().expect("names in the corpus are plain");
    let (report, code) = report_of(common::command(&["run", "--json", given]));
    if code != Some(0) {
        return Some(format!(
            "{stem}: {} {:?}, {}",
            report["outcome"], report["violations"], report["repeat"]
        ));
    }
    let faults = report["faults"].as_array().expect("a report lists the faults");
    let idle = faults.iter().filter(|fault| fault["struck_ms"].is_null()).count();
    (idle > 0).then(|| format!("{stem}: {idle} of {} faults never struck: it shows nothing", faults.len()))
}

#[test]
fn what_once_failed_holds() {
    let cases = cases();
    assert!(cases.len() >= 10, "{} cases: where is the corpus?", cases.len());
    let failures = failures(&cases, |path| wrong_with(path));
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
