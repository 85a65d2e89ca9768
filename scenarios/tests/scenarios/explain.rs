//! `latent explain`, as a program. That every term has an entry is tested in `repository`.

use crate::common::{latent, text};

/// At most a screen, at 80 columns; run as a program, each kind once. A fingerprint has four parts, each explained.
#[test]
fn an_explanation_is_found_by_word_and_by_fingerprint() {
    for words in [
        &["I10"][..],
        &["L2"],
        &["unrecoverable-loss"],
        &["106"],
        &["tee.expired"],
        &["drill:recovery.ended"],
        &["I1:missing:day-end:loss"],
        &["not-protected"],
        &["as expected"],
        &["bound"],
        &["recovered"],
    ] {
        let output = latent(&[&["explain"], words].concat());
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        let most_lines = if words[0].contains(':') { 40 } else { 30 };
        assert!(shown.contains("next") && shown.lines().count() <= most_lines, "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    let unknown = latent(&["explain", "I99"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean I9"), "{}", text(&unknown.stderr));
}

/// A verdict has a command that explains its worst finding.
#[test]
fn the_verdict_points_to_an_explanation() {
    let output = latent(&["run", "one-day", "--release", "recompaction-overwrites"]);
    assert_eq!(output.status.code(), Some(105), "{}", text(&output.stdout));
    let shown = text(&output.stdout);
    let line =
        shown.lines().find_map(|line| line.trim_start().strip_prefix("explain ")).expect("it points there");
    let word = line.split(' ').next_back().expect("a word to explain");
    assert_eq!(latent(&["explain", word]).status.code(), Some(0), "{line}");
    assert!(!text(&latent(&["run", "one-day"]).stdout).contains("\n  explain "), "a clean one needs none");
}
