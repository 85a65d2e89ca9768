//! Trace hashes of the built-in scenarios and of the corpus: `reports/hashes.txt`, a line each. Each of these runs also
//! ends as its scenario expects.
//!
//! A change that means to leave behaviour alone leaves every line alone. One that changes behaviour blesses the file
//! (`LATENT_BLESS=1`, `just bless`) and its commit says why. Other reviewed texts hold no hash.

use crate::common::{BUILT_IN, failures, folder, report};
use std::path::PathBuf;

/// Built-in scenarios that take too long for each change: .ci/nightly runs them.
const NIGHTLY_ONLY: [&str; 1] = ["year"];

fn file() -> PathBuf {
    folder().join("../reports/hashes.txt")
}

/// Names of the cases in the order of the file.
fn cases() -> Vec<String> {
    let corpus = std::fs::read_dir(folder().join("../corpus")).expect("the corpus is in the tree");
    let names = corpus.map(|entry| entry.expect("it can be listed").file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(format!("corpus/{}", name.to_str()?.strip_suffix(".json")?))).collect();
    names.sort();
    let built_in = BUILT_IN.iter().filter(|name| !NIGHTLY_ONLY.contains(name)).map(|name| (*name).to_owned());
    let generated = ["generated@7", "generated@33"].map(str::to_owned);
    built_in.chain(generated).chain(names).collect()
}

/// The trace hash of one run, and how it ends if not as expected.
fn hash(case: &str) -> (String, Option<String>) {
    let path = folder().join("..").join(format!("{case}.json"));
    let source = if case.starts_with("corpus/") { path.to_str().expect("a UTF-8 path") } else { case };
    let (report, code) = report(&[source]);
    let hash = report["trace_hash"].as_str().expect("a report has the trace hash").to_owned();
    (hash, (code != Some(0)).then(|| format!("{case}: {}, exit code {code:?}", report["outcome"])))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "blessing is asked for in the environment")]
fn every_case_ends_as_expected_with_the_reviewed_trace_hash() {
    let reviewed = std::fs::read_to_string(file()).expect("reports/hashes.txt is in the tree");
    let reviewed: Vec<&str> = reviewed.lines().collect();
    let bless = std::env::var("LATENT_BLESS").is_ok_and(|value| value == "1");
    let cases = cases();
    if bless {
        let lines: Vec<String> = cases.iter().map(|case| format!("{case} {}\n", hash(case).0)).collect();
        std::fs::write(file(), lines.concat()).expect("the tree can be written");
        return;
    }
    let listed: Vec<&str> = reviewed.iter().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
    assert_eq!(listed, cases, "reports/hashes.txt lists other cases: LATENT_BLESS=1 writes it");
    let changed = failures(&reviewed, |line| {
        let (case, expected) = line.split_once(' ')?;
        let (found, unexpected) = hash(case);
        unexpected.or_else(|| (found != expected).then(|| format!("{case}: {found}, reviewed {expected}")))
    });
    assert!(changed.is_empty(), "LATENT_BLESS=1 takes new hashes as reviewed\n{}", changed.join("\n"));
}
