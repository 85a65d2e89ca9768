//! Usability of the command line: names, seeds, tips, releases, and the text of a verdict.

use crate::common::{command, latent, report, scenario_text, scratch, text};
use std::path::Path;

fn refused(arguments: &[&str]) -> String {
    let output = latent(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn a_seed_is_given_either_way() {
    let hash = |arguments: &[&str]| report(arguments).0["trace_hash"].clone();
    assert_eq!(hash(&["one-day", "--seed", "3"]), hash(&["one-day@3"]));
    assert_ne!(hash(&["one-day", "--seed", "3"]), hash(&["one-day"]));
    assert!(refused(&["run", "one-day@3", "--seed", "4"]).contains("has a seed already"));
}

#[test]
fn wrong_usage_is_answered_by_what_was_meant() {
    for (arguments, says, never) in [
        (&["list"][..], "`scenarios`", "similar subcommand"),
        (&["run", "one-day", "-j", "1"], "`run` runs one case", "as a value"),
        (&["run", "one-day", "--seeds", "1..3"], "`sweep` takes many", "as a value"),
        (&["sweep", "one-day", "--seed", "3"], "--seeds 3..4", "similar argument"),
        (&["sweep", "one-day", "--seeds", "-5..5"], "-5..5", "unexpected argument"),
        (&["run", "one-day", "--bogus"], "unexpected argument '--bogus'", "as a value"),
        (&["run", "genrated"], "did you mean generated?", "tip:"),
        (&["run", "one-dya"], "did you mean one-day?", "tip:"),
        (&["run", "one-day", "--release", "god"], "--release god: no release is called 'god'", "built in"),
        (&["run", "one-day", "--release", "god"], "did you mean good?", "built in"),
        (&["enumerate", "one-day", "--fault", "crash-drwan"], "did you mean crash-drawn?", "tip: "),
        (
            &["run", "one-day", "--inject", "error@disk-99:1"],
            "--inject: a fault at node 'disk-99'",
            "built in",
        ),
        (
            &["run", "one-day", "--log", "--node", "dsik-1"],
            "--node dsik-1: no node is called 'dsik-1'",
            "built in",
        ),
        (&["explain", "recoverd"], "did you mean recovered", "tip:"),
        (&["marks", "compation"], "did you mean compaction?", "tip:"),
    ] {
        let printed = refused(arguments);
        assert!(printed.contains(says), "{arguments:?}: {printed}");
        assert!(!printed.contains(never), "{arguments:?}: {printed}");
    }
}

#[test]
fn an_unknown_mark_is_refused_with_the_nearest() {
    let day = scenario_text("one-day");
    let file = scratch("unknown-mark.json", &day.replace("compaction.two-runs", "compaction.two-rnus"));
    let printed = refused(&["run", file.to_str().expect("cargo's paths are UTF-8")]);
    assert!(printed.contains("unknown mark 'compaction.two-rnus'"), "{printed}");
    assert!(printed.contains("did you mean compaction.two-runs? `latent marks` lists all"), "{printed}");
    let listed = text(&latent(&["marks", "compaction"]).stdout);
    assert!(
        listed.lines().count() > 5 && listed.lines().all(|line| line.starts_with("compaction.")),
        "{listed}"
    );
}

/// In a folder with a corpus, its cases are found by name.
#[test]
fn a_case_of_the_corpus_is_called_by_its_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let in_root =
        |arguments: &[&str]| command(arguments).current_dir(&root).output().expect("cargo built it");
    let listed = text(&in_root(&["corpus", "list"]).stdout);
    let name = listed.lines().next().expect("the corpus has cases");
    let output = in_root(&["print", name]);
    assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
    let wrong = format!("{}x", &name[..name.len() - 1]);
    let printed = text(&in_root(&["print", &wrong]).stderr);
    assert!(printed.contains(&format!("did you mean {name}")), "{printed}");
}

#[test]
fn a_release_that_changes_the_expectation_is_shown() {
    let day = scenario_text("one-day").replace(r#""expect": "clean""#, r#""expect": "unrecoverable-loss""#);
    let file = scratch("expects-loss.json", &day);
    let file = file.to_str().expect("cargo's paths are UTF-8");
    let output = latent(&["run", file, "--release", "good"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.starts_with("one-day@1: clean, as expected with --release good\n"), "{shown}");
    assert!(shown.contains("clean, by --release good; the scenario expects unrecoverable-loss"), "{shown}");
    // Without the release it ends better than expected: with its own code and text.
    let output = latent(&["run", file]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(106), "{shown}");
    assert!(shown.starts_with("one-day@1: clean, better than expected (unrecoverable-loss)\n"), "{shown}");
    assert!(shown.contains("explain 106"), "{shown}");
}

/// Clean without protection is not the same as clean.
#[test]
fn the_verdict_line_of_a_clean_run_warns_about_an_incomplete_drill() {
    let day = scenario_text("one-day");
    let tee = r#""tee": { "retention": "7d" },"#;
    let audit = "\"backup\": { \"interval\": \"1d\", \"first_after\": \"18h\", \"retention\": \"14d\" },\n    \
                 \"audit\": { \"after_midnight\": \"3h\" }";
    let backup = r#""backup": { "interval": "7d", "first_after": "1h", "retention": "14d" }"#;
    assert!(day.contains(tee) && day.contains(audit), "one-day is protected as it was");
    let day = day.replace(tee, "").replace(audit, backup);
    let start = day.find("\"operations\"").expect("one-day orders a recovery");
    let end = start + day[start..].find("],").expect("a list ends") + 2;
    let day = format!("{}{}", &day[..start], &day[end..]);
    let start = day.find("\"required_marks\": [").expect("one-day has this list");
    let end = start + day[start..].find("],").expect("a list ends") + 2;
    let day = format!("{}\"drills\": 1,{}", &day[..start], &day[end..]);
    let file = scratch("unprotected.json", &day);
    let output = latent(&["run", file.to_str().expect("cargo's paths are UTF-8")]);
    let shown = text(&output.stdout);
    let first = shown.lines().next().unwrap_or_default();
    assert!(
        first.contains("clean, as expected, not protected: a drill lacked "),
        "{shown}{}",
        text(&output.stderr)
    );
    assert!(!shown.contains("recoverable"), "no protection is not recoverable: {shown}");
}

#[test]
fn too_many_jobs_are_capped_and_said() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jobs.jsonl");
    let file = file.to_str().expect("cargo's paths are UTF-8");
    let output = latent(&["sweep", "one-day", "--seeds", "1..2", "-j", "10000", "--json", file]);
    let printed = text(&output.stderr);
    assert!(printed.contains("--jobs 10000: capped at "), "{printed}");
}

#[test]
fn folders_are_made_in_the_output_folder_alone() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("folders");
    let _ = std::fs::remove_dir_all(&empty);
    std::fs::create_dir_all(&empty).expect("cargo's directory for tests can be written");
    let sweep = |json: &str| {
        let arguments = ["sweep", "generated", "--seeds", "1..2", "--json", json];
        command(&arguments).current_dir(&empty).output().expect("cargo built it")
    };
    let output = sweep("resluts/a.jsonl");
    assert!(!empty.join("resluts").exists());
    assert!(text(&output.stderr).contains("no folder resluts"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(sweep(".latent/a.jsonl").status.code(), Some(0));
}

/// Escape sequences in a name, a path or a file never reach the terminal raw, even with colours on.
#[test]
fn control_characters_never_reach_the_terminal_raw() {
    let red = "\u{1b}[31m\u{9b}2J\u{202e}";
    let day = scenario_text("one-day");
    let named = scratch("escape-name.json", &day.replace("\"one-day\"", &format!("\"one{red}day\"")));
    let node = day.replace(
        "\"expect\"",
        "\"faults\": [{ \"trigger\": { \"at\": \"2016-02-20T01:00:00Z\" }, \
        \"action\": { \"isolate\": { \"node\": \"a\\u001b[31mb\" } } }], \"expect\"",
    );
    let node = scratch("escape-node.json", &node);
    let path = |path: &Path| path.to_str().expect("cargo's paths are UTF-8").to_owned();
    for arguments in [
        vec!["run".to_owned(), path(&named)],
        vec!["run".to_owned(), path(&node)],
        vec!["run".to_owned(), format!("no-such{red}.json")],
        vec!["run".to_owned(), format!("no-such{red}")],
        vec!["run".to_owned(), "one-day".to_owned(), format!("--{red}")],
        vec![format!("ru{red}")],
        vec!["run".to_owned(), "one-day".to_owned(), "--release".to_owned(), red.to_owned()],
        vec!["explain".to_owned(), red.to_owned()],
        vec!["run".to_owned(), "one-day".to_owned(), "--inject".to_owned(), format!("error@{red}:1")],
        vec!["sweep".to_owned(), format!("x{red}")],
        vec!["corpus".to_owned(), "list".to_owned(), "--folder".to_owned(), red.to_owned()],
    ] {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = command(&words).env("NO_COLOR", "1").output().expect("cargo built it");
        let printed = text(&output.stdout) + &text(&output.stderr);
        let raw: Vec<char> = printed
            .chars()
            .filter(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c))
            .collect();
        assert!(raw.is_empty() && output.status.code() == Some(2), "{arguments:?}: {raw:?} {printed:?}");
        // clap omits the value in its errors; this program escapes it.
        let is_of_clap = printed.contains("try '--help'");
        assert!(is_of_clap || printed.contains("u001b") || printed.contains('␛'), "{arguments:?}: {printed}");
    }
}

#[test]
fn a_line_of_one_log_can_be_given_to_the_other() {
    let log = |command: &str, more: &[&str]| {
        let output = latent(&[&[command, "one-day", "--log", "--node", "disk-1"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let shown = text(&output.stdout);
        shown.lines().filter(|line| line.starts_with("2016-")).map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = log("run", &[]);
    assert_eq!(whole, log("repro", &[]), "one format, one stream");
    let line = &whole[whole.len() / 2];
    let time = line.split(' ').next().expect("a line begins with its time");
    let rest = log("repro", &["--from", time]);
    assert!(rest.contains(line) && rest.len() < whole.len());
    assert_eq!(rest, log("run", &["--from", time]));
}

#[test]
fn doctor_completions_and_manual_pages() {
    let output = latent(&["doctor"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    for label in ["build", "system", "cpu", "memory", "disk", "terminal", "addresses", "determinism yes"] {
        assert!(shown.contains(&format!("\n  {label}")), "{label}: {shown}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = latent(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("enumerate"), "{shell}");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let _ = std::fs::remove_dir_all(&folder);
    let shown = folder.to_str().expect("cargo's paths are UTF-8");
    assert!(refused(&["man", shown]).contains("no such folder"));
    std::fs::create_dir_all(&folder).expect("cargo's directory for tests can be written");
    assert!(latent(&["man", shown]).status.success());
    for page in ["latent.1", "latent-run.1", "latent-explain.1", "latent-corpus-add.1"] {
        let page =
            std::fs::read_to_string(folder.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(page.contains(".TH"), "{page}");
    }
}
