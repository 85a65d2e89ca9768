//! `corpus`: regression cases; an unreadable file does not stop the others.

use crate::common::{Test, tests};
use crate::scratch::Scratch;

pub const TESTS: &[Test] = tests![
    a_case_is_added_listed_and_replayed,
    an_empty_corpus_is_vacuous_and_unreadable_cases_are_not_violations,
    an_empty_corpus_is_vacuous_and_unreadable_cases_are_not_violations,
    a_file_that_cannot_be_read_gets_one_clear_error_and_the_rest_still_run,
    a_vacuous_case_does_not_pass_and_can_be_pruned,
    the_name_of_a_case_is_valid_and_unique,
    a_case_must_fail_under_the_patch_that_puts_its_mistake_back,
];

/// Adds the case of the failing seed 12 of the log with the bug.
fn add_case(scratch: &Scratch, name: &str) {
    scratch.wal(&["shrink", "missing-sync@12", "--out", "found.case.json"]).ends(0);
    scratch.wal(&["corpus", "add", "found.case.json", "--name", name]).ends(0);
}

/// Adds the same case without the bug, which holds.
fn add_fixed_case(scratch: &Scratch, name: &str) {
    scratch.wal(&["shrink", "missing-sync@12", "--out", "found.case.json"]).ends(0);
    let text = scratch.read("found.case.json").replace("\"missing_sync\": true", "\"missing_sync\": false");
    scratch.write(&format!("corpus/{name}.json"), &text);
}

fn a_case_is_added_listed_and_replayed() {
    let scratch = Scratch::new("corpus");
    scratch.wal(&["shrink", "missing-sync@12"]).ends(0);
    let added = scratch
        .wal(&[
            "corpus",
            "add",
            "missing-sync-12.case.json",
            "--name",
            "a-record-that-was-told-safe-survives",
        ])
        .ends(0);
    insta::assert_snapshot!(added.screen(), @"
    corpus/a-record-that-was-told-safe-survives.json
      still failing: unrecoverable-loss W1:missing:after-crash:loss
    ");
    add_fixed_case(&scratch, "power-fails-after-the-sixth-record");
    insta::assert_snapshot!(scratch.wal(&["corpus", "list"]).ends(0).screen(), @"
    a-record-that-was-told-safe-survives
      Once W1:missing:after-crash:loss, 5 records
    power-fails-after-the-sixth-record
      Once W1:missing:after-crash:loss, 5 records
      edited since it was recorded: it runs as a new case
    ");
    insta::assert_snapshot!(scratch.wal(&["corpus", "run"]).ends(100).screen(), @"
    corpus/a-record-that-was-told-safe-survives.json: unrecoverable-loss W1:missing:after-crash:loss
      reproduce   wal repro corpus/a-record-that-was-told-safe-survives.json
    corpus: 1 of 2 passed, in …
    ");
    std::fs::remove_file(scratch.path("corpus/a-record-that-was-told-safe-survives.json"))
        .expect("it is there");
    insta::assert_snapshot!(scratch.wal(&["corpus", "run"]).ends(0).screen(), @"corpus: 1 of 1 passed, in …");
}

fn an_empty_corpus_is_vacuous_and_unreadable_cases_are_not_violations() {
    let scratch = Scratch::new("corpus-none");
    std::fs::create_dir(scratch.path("corpus")).expect("it can be made");
    for what in ["run", "prune"] {
        let printed = scratch.wal(&["corpus", what]).ends(4);
        assert_eq!(printed.err, "corpus: no cases found\n");
    }
    scratch.write("corpus/a-cut-off.json", "{ \"case\"");
    scratch.wal(&["corpus", "run"]).ends(2);
}

fn a_file_that_cannot_be_read_gets_one_clear_error_and_the_rest_still_run() {
    let scratch = Scratch::new("corpus-bad");
    add_fixed_case(&scratch, "b-holds");
    let whole = scratch.read("corpus/b-holds.json");
    scratch.write("corpus/a-cut-off.json", &whole[..whole.find("heduler_seed").expect("a plan has one")]);
    scratch.write("corpus/c-newer.json", &whole.replace("\"format\": 3", "\"format\": 4"));
    scratch.write("corpus/d-outdated.json", &whole.replace("\"drawn\"", "\"struck\""));
    scratch.write("corpus/e-no-case.json", "{ \"to\": \"do\" }\n");
    scratch.write("corpus/f-lacking.json", &whole.replace("\"fingerprint\"", "\"finger\""));
    scratch.write("corpus/notes.txt", "no case, and not meant to be one\n");
    std::fs::write(scratch.path("corpus/g-binary.json"), [0xff, 0xfe, 0]).expect("it can be written");
    add_case(&scratch, "z-fails");
    let ran = scratch.wal(&["corpus", "run", "--jobs", "2"]).ends(100);
    insta::assert_snapshot!(ran.screen(), @r#"
    corpus/a-cut-off.json:22:7: not JSON: EOF while parsing a string
       22 |     "sc
          |       ^
      a bracket, a brace or a quote was never closed
    corpus/c-newer.json: a case of format 4; this program reads format 3
      run it with the program that wrote it, or shrink its seed again
    corpus/d-outdated.json: a damaged case: it was edited, and its plan cannot be read: missing field `drawn`
      take it from version control again, or shrink its seed again
    corpus/e-no-case.json:1:3: unknown field `to` in the scenario
        1 | { "to": "do" }
          |   ^^^^
      known here: about, expect, faults, name, required_marks, run_for, seed, start, drawn_faults, missing_sync, records
    corpus/f-lacking.json: a damaged case: 'case': unknown field `finger`, expected one of `format`, `checksum`, `about`, `found`, `outcome`, `fingerprint`, `trace_hash`, `build`
      take it from version control again, or shrink its seed again
    corpus/g-binary.json: not valid UTF-8 at byte 0
      a scenario is a text file with one JSON object
    corpus/z-fails.json: unrecoverable-loss W1:missing:after-crash:loss
      reproduce   wal repro corpus/z-fails.json
    corpus: 1 of 8 passed, in …
    "#);
    insta::assert_snapshot!(scratch.wal(&["corpus", "list"]).ends(0).screen(), @r#"
    a-cut-off
      cannot be read: corpus/a-cut-off.json:22:7: not JSON: EOF while parsing a string
       22 |     "sc
          |       ^
      a bracket, a brace or a quote was never closed
    b-holds
      Once W1:missing:after-crash:loss, 5 records
      edited since it was recorded: it runs as a new case
    c-newer
      cannot be read: corpus/c-newer.json: a case of format 4; this program reads format 3
      run it with the program that wrote it, or shrink its seed again
    d-outdated
      cannot be read: corpus/d-outdated.json: a damaged case: it was edited, and its plan cannot be read: missing field `drawn`
      take it from version control again, or shrink its seed again
    e-no-case
      cannot be read: corpus/e-no-case.json:1:3: unknown field `to` in the scenario
        1 | { "to": "do" }
          |   ^^^^
      known here: about, expect, faults, name, required_marks, run_for, seed, start, drawn_faults, missing_sync, records
    f-lacking
      cannot be read: corpus/f-lacking.json: a damaged case: 'case': unknown field `finger`, expected one of `format`, `checksum`, `about`, `found`, `outcome`, `fingerprint`, `trace_hash`, `build`
      take it from version control again, or shrink its seed again
    g-binary
      cannot be read: corpus/g-binary.json: not valid UTF-8 at byte 0
      a scenario is a text file with one JSON object
    z-fails
      Once W1:missing:after-crash:loss, 5 records
    "#);
    let add = scratch.wal(&["corpus", "add", "corpus/a-cut-off.json", "--name", "again"]).ends(2);
    assert!(add.err.starts_with("error: corpus/a-cut-off.json"), "{}", add.err);

    insta::assert_snapshot!(scratch.wal(&["corpus", "prune"]).ends(0).screen(), @"
    corpus/a-cut-off.json:22:7: not JSON: EOF while parsing a string
    corpus/c-newer.json: a case of format 4; this program reads format 3
    corpus/d-outdated.json: a damaged case: it was edited, and its plan cannot be read: missing field `drawn`
    corpus/e-no-case.json:1:3: unknown field `to` in the scenario
    corpus/f-lacking.json: a damaged case: 'case': unknown field `finger`, expected one of `format`, `checksum`, `about`, `found`, `outcome`, `fingerprint`, `trace_hash`, `build`
    corpus/g-binary.json: not valid UTF-8 at byte 0
    6 cases vacuous or unreadable; --delete removes them
    ");
    let there = || std::fs::read_dir(scratch.path("corpus")).expect("it is there").count();
    assert_eq!(there(), 9, "it only says so");
    scratch.wal(&["corpus", "prune", "--delete"]).ends(0);
    assert_eq!(there(), 3, "the passing case, the failing case, and the text file");
}

fn a_vacuous_case_does_not_pass_and_can_be_pruned() {
    let scratch = Scratch::new("corpus-idle");
    add_fixed_case(&scratch, "strikes");
    let idle = scratch.read("corpus/strikes.json").replace("\"n\": 12", "\"n\": 1200");
    scratch.write("corpus/never-strikes.json", &idle);
    scratch.write(
        "corpus/never-reaches.json",
        &scratch.read("corpus/strikes.json").replace(
            "\"expect\": \"clean\"",
            "\"required_marks\": [\"wal.recovered\", \"wal.complete\"],\n    \"expect\": \"clean\"",
        ),
    );
    insta::assert_snapshot!(scratch.wal(&["corpus", "run"]).ends(103).screen(), @"
    corpus/never-reaches.json: vacuous: wal.complete not reached
      reproduce   wal repro corpus/never-reaches.json
    corpus/never-strikes.json: vacuous: 1 fault not triggered
      reproduce   wal repro corpus/never-strikes.json
    corpus: 1 of 3 passed, in …
    ");
    insta::assert_snapshot!(scratch.wal(&["corpus", "prune", "--delete"]).ends(0).screen(), @"
    corpus/never-reaches.json: wal.complete not reached
    corpus/never-strikes.json: 1 fault not triggered
    2 cases removed
    ");
    scratch.wal(&["corpus", "run"]).ends(0);
}

fn the_name_of_a_case_is_valid_and_unique() {
    let scratch = Scratch::new("corpus-names");
    add_case(&scratch, "told-safe");
    let twice = scratch.wal(&["corpus", "add", "found.case.json", "--name", "told-safe"]).ends(2);
    insta::assert_snapshot!(twice.stderr_text(), @"error: corpus/told-safe.json already exists: choose another --name");
    let odd = scratch.wal(&["corpus", "add", "found.case.json", "--name", "../Told Safe"]).ends(2);
    insta::assert_snapshot!(odd.stderr_text(), @"
    error: '../Told Safe' cannot name a case
      give --name: lower-case letters, digits and hyphens that describe the expected behaviour
    ");
}

/// A program whose `corpus run` passes, and a patch with which it prints `prints`.
fn write_mutant(scratch: &Scratch, case: &str, expect: &str, prints: &str) {
    let patch = format!(
        "Mistake: the program is wrong\nExpect: {expect}\n\n--- a/program.sh\n+++ b/program.sh\n@@ -1,2 +1,2 @@\n \
         #!/bin/sh\n-exit 0\n+{prints}\n"
    );
    scratch.write(&format!("corpus/mutants/{case}.patch"), &patch);
}

fn a_case_must_fail_under_the_patch_that_puts_its_mistake_back() {
    let scratch = Scratch::new("corpus-check");
    scratch.write("program.sh", "#!/bin/sh\nexit 0\n");
    let git =
        std::process::Command::new("git").args(["init", "-q", "."]).current_dir(scratch.path("")).output();
    assert!(git.expect("git is installed").status.success());
    for case in ["a-fails", "b-passes", "c-fails-otherwise", "d-outdated", "e-unproven", "f-impossible"] {
        scratch.write(&format!("corpus/{case}.json"), "{}");
    }
    let fails = "[ \"$5\" = --fingerprints ] && printf '%s/%s: violated W1:missing\\n' \"$4\" \"$(ls \"$4\")\"; exit 100";
    write_mutant(&scratch, "a-fails", "violated W1:missing", fails);
    write_mutant(&scratch, "b-passes", "violated W1:missing", "exit 0 # still");
    write_mutant(&scratch, "c-fails-otherwise", "hung hung:W2", fails);
    write_mutant(&scratch, "d-outdated", "hung hung:W2", fails);
    let outdated = scratch.read("corpus/mutants/d-outdated.patch").replace("-exit 0", "-exit 1");
    scratch.write("corpus/mutants/d-outdated.patch", &outdated);
    scratch.write("corpus/mutants/f-impossible.none", "the code is gone\n");
    scratch.write("corpus/mutants/g-renamed.none", "the code is gone\n");
    let build = "cp program.sh program && chmod +x program";
    let check = |names: &[&str]| {
        let arguments = ["corpus", "check", "--scratch", "target", "--build", build, "--program", "program"];
        scratch.wal(&[&arguments[..], names].concat())
    };
    let good = check(&["a-fails", "f-impossible"]).ends(0).screen();
    assert!(good.contains("[1/2] a-fails: violated W1:missing\n"), "{good}");
    assert!(good.contains("[2/2] f-impossible: no mutant: the code is gone\n"), "{good}");
    assert!(good.contains("2 cases checked, 0 wrong"), "{good}");
    let all = check(&["--json", "checked.jsonl"]).ends(100).screen();
    for expected in [
        "b-passes: passes although the program is wrong\n",
        "c-fails-otherwise: violated W1:missing, where the patch expects hung hung:W2\n",
        "d-outdated: the patch does not apply: ",
        "e-unproven: no mutant\n",
        "g-renamed.none: no case of this name\n",
        "6 cases checked, 5 wrong",
    ] {
        assert!(all.contains(expected), "{expected} in\n{all}");
    }
    let results: Vec<String> = scratch.read("checked.jsonl").lines().map(str::to_owned).collect();
    assert!(results[0].contains(r#""case":"a-fails","result":"fails""#), "{results:?}");
    assert_eq!(results.len(), 6);
    check(&["no-such-case"]).ends(2);
}
