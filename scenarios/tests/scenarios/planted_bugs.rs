//! `latent bugs`: the scoreboard of planted bugs.

use crate::common::{latent, scratch, text};

/// Runs `bugs` with few seeds. Returns exit code, output and errors.
fn bugs(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = latent(&[&["bugs"], arguments].concat());
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn two_bugs_are_searched_one_after_the_other_and_a_resumed_run_repeats_neither() {
    let file = scratch("bugs.jsonl", "");
    let file = file.display().to_string();
    // The second search must not suffer from the end of the first: its seed 1 does not fail without the bug.
    let few = ["recompaction-overwrites", "late-refused", "--searches", "1", "--seeds", "3", "--json", &file];
    let (code, shown, progress) = bugs(&few);
    assert_eq!(code, Some(0), "{shown}{progress}");
    assert!(
        shown.starts_with("2 of 2 planted bugs caught within 3 seeds at the median of 1 search"),
        "{shown}"
    );
    assert!(!shown.contains("false alarm"), "{shown}");
    assert!(progress.contains("late-refused: caught in generated"), "{progress}");
    let (code, again, progress) = bugs(&[&few[..], &["--resume"]].concat());
    assert_eq!((code, again, progress.as_str()), (Some(0), shown, ""));
    let (code, _, refused) = bugs(&[&few[..4], &["--seeds", "4", "--json", &file, "--resume"]].concat());
    assert_eq!(code, Some(2));
    assert!(refused.contains("of other cases"), "{refused}");
}

#[test]
fn a_bug_that_no_seed_reaches_is_not_reached_and_not_unseen() {
    let file = scratch("not-reached.jsonl", "").display().to_string();
    let (code, shown, _) =
        bugs(&["audit-compares-counts", "--searches", "1", "--seeds", "2", "--json", &file]);
    assert_eq!(code, Some(100), "{shown}");
    assert!(shown.contains("not-reached  audit-compares-counts"), "{shown}");
}

#[test]
fn planted_bugs_are_listed_with_mistake_and_source_and_an_unknown_one_is_refused() {
    let (code, list, _) = bugs(&["--list"]);
    assert_eq!(code, Some(0));
    let row = list.lines().find(|row| row.starts_with("late-refused ")).expect("it is listed");
    assert!(row.contains("(druid#11906)"), "{row}");
    assert!(list.lines().all(|row| row.ends_with(')')), "{list}");
    let (code, _, refused) = bugs(&["late-refusd"]);
    assert_eq!(code, Some(2));
    assert!(refused.contains("unknown bug 'late-refusd'\n  did you mean late-refused?"), "{refused}");
}
