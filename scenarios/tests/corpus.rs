//! Regression cases, shrunk and replayed: `corpus/*.json`.
//!
//! A case is the output of `latent shrink`, or a scenario with its seed and its faults; its name states the expected
//! behaviour, its `about` the former failure. All of them: `latent corpus run`. One: `latent repro corpus/NAME.json`.

mod common;

use common::{command, text};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    common::folder().join("../corpus")
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
    let files = std::fs::read_dir(folder()).expect("the corpus is a folder beside the scenarios");
    let wrong: Vec<String> =
        files.filter_map(|entry| wrong_with(&entry.expect("it can be listed").path())).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_regression_case_passes() {
    let corpus = folder();
    let output = command(&["corpus", "run", "--folder", corpus.to_str().expect("cargo's paths are UTF-8")])
        .output()
        .expect("cargo built the binary");
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let files = std::fs::read_dir(&corpus).expect("the corpus is a folder").count();
    assert!(files >= 20 && printed.contains(&format!("{files} of {files} passed")), "{printed}");
}
