//! Regression cases, replayed: `corpus/*.json`. Their format is tested in `repository`.

use crate::common::{command, folder, text};

#[test]
fn every_regression_case_passes() {
    let corpus = folder().join("../corpus");
    let output = command(&["corpus", "run", "--folder", corpus.to_str().expect("cargo's paths are UTF-8")])
        .output()
        .expect("cargo built the binary");
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let cases = std::fs::read_dir(&corpus).expect("the corpus is in the tree");
    let cases = cases.map(|entry| entry.expect("it can be listed").path());
    let cases = cases.filter(|path| path.extension().is_some_and(|ending| ending == "json")).count();
    assert!(cases >= 20 && printed.contains(&format!("{cases} of {cases} passed")), "{printed}");
}
