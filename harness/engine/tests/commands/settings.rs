//! Precedence of settings: flags, environment, profile, default.

use crate::common::{Test, tests};
use crate::scratch::{ProgramOutput, Scratch};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    flags_count_over_the_environment_over_the_profile_over_the_default,
    seeds_drawn_from_a_text_obey_the_same_order,
    an_error_in_a_profile_has_its_position,
    an_unknown_mark_is_refused_before_the_sweep,
];

const PROFILES: &str = "\
# Before review.
[profile.quick]
scenarios = [\"correct\"]
seeds = \"1..4\"
jobs = 3

[profile.nightly]
scenarios = [\"correct\", \"missing-sync\"]
seeds-from = \"monday\"
count = 2
";

/// Returns the specification of a sweep with these arguments and this environment, and its number of jobs.
fn ordered(scratch: &Scratch, arguments: &str, environment: &[(&str, &str)]) -> (Value, String) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut command = scratch.command("wal", &arguments);
    let ran = ProgramOutput::of(
        command.envs(environment.iter().copied()).output().expect("this program can be started"),
    );
    assert!(matches!(ran.code, Some(0 | 100)), "{}{}", ran.out, ran.err);
    let results = scratch.read(".latent/sweep.jsonl");
    let header: Value =
        serde_json::from_str(results.lines().next().expect("there is a header")).expect("it is JSON");
    let jobs = ran
        .out
        .lines()
        .find_map(|line| line.split(", ").find(|part| part.ends_with(" jobs") || part.ends_with(" job")));
    (header["sweep"].clone(), jobs.expect("it prints the number of jobs").to_owned())
}

fn flags_count_over_the_environment_over_the_profile_over_the_default() {
    let scratch = Scratch::new("settings");
    let env = [("LATENT_SEEDS", "5..7"), ("LATENT_JOBS", "2")];
    let cores = std::thread::available_parallelism().expect("Linux tells").get();

    let (order, jobs) = ordered(&scratch, "sweep correct", &[]);
    assert_eq!(
        (&order["seeds"]["range"], jobs),
        (&[1, 101].into(), format!("{cores} {}", if cores == 1 { "job" } else { "jobs" })),
        "the default"
    );

    scratch.write("latent.toml", PROFILES);
    let (order, jobs) = ordered(&scratch, "sweep", &[]);
    assert_eq!((&order["seeds"]["range"], &*jobs), (&[1, 4].into(), "3 jobs"), "the profile");
    assert_eq!(order["scenarios"][0]["given"], "correct");

    let (order, jobs) = ordered(&scratch, "sweep", &env);
    assert_eq!(order["scenarios"][0]["given"], "correct", "still of the profile");
    assert_eq!((&order["seeds"]["range"], &*jobs), (&[5, 7].into(), "2 jobs"), "the environment");
    let by_env = [&env[..], &[("LATENT_PROFILE", "nightly")]].concat();
    let (order, _) = ordered(&scratch, "sweep", &by_env);
    assert_eq!(
        order["scenarios"].as_array().map(Vec::len),
        Some(2),
        "the profile that the environment names"
    );
    assert_eq!(order["seeds"]["range"], Value::from([5, 7]));

    let (order, jobs) = ordered(&scratch, "sweep missing-sync --profile quick --seeds 8..9 --jobs 1", &env);
    assert_eq!((&order["seeds"]["range"], &*jobs), (&[8, 9].into(), "1 job"), "the flags");
    assert_eq!(order["scenarios"].as_array().map(Vec::len), Some(1));
    assert_eq!(order["scenarios"][0]["given"], "missing-sync");
}

fn seeds_drawn_from_a_text_obey_the_same_order() {
    let scratch = Scratch::new("settings-drawn");
    scratch.write("latent.toml", PROFILES);
    let from = |text: &str, count: u64| serde_json::json!({ "from": { "text": text, "count": count } });
    let seeds = |arguments: &str, environment: &[(&str, &str)]| {
        ordered(&scratch, arguments, environment).0["seeds"].clone()
    };
    assert_eq!(seeds("sweep --profile nightly", &[]), from("monday", 2));
    assert_eq!(seeds("sweep --profile nightly --count 1", &[]), from("monday", 1), "a flag over the profile");
    assert_eq!(seeds("sweep --profile nightly --seeds-from friday", &[]), from("friday", 2));
    let env = [("LATENT_SEEDS", "5..7")];
    assert_eq!(
        seeds("sweep correct --seeds-from friday --count 1", &env),
        from("friday", 1),
        "a flag over the environment"
    );
    let both = scratch.wal(&["sweep", "correct", "--seeds", "1..3", "--seeds-from", "friday"]).ends(2);
    insta::assert_snapshot!(both.stderr_text(), @"
    error: the argument '--seeds <A..B>' cannot be used with '--seeds-from <TEXT>'

    Usage: wal sweep --seeds <A..B> <SCENARIO>...

    For more information, try '--help'.
    ");
    let lonely = scratch.wal(&["sweep", "correct", "--count", "3"]).ends(2);
    insta::assert_snapshot!(lonely.stderr_text(), @"
    error: --count is the number of seeds derived from a text, but no text is given
      give --seeds-from TEXT, or --seeds A..B alone
    ");
}

fn an_error_in_a_profile_has_its_position() {
    let scratch = Scratch::new("settings-wrong");
    scratch.write("latent.toml", &PROFILES.replace("seeds = \"1..4\"", "seeds = \"1..4\"\njob = 3"));
    let printed = scratch.wal(&["sweep"]).ends(2).stderr_text();
    insta::assert_snapshot!(printed.replace(scratch.path("").to_str().expect("it is UTF-8"), ""), @"
    error: latent.toml: TOML parse error at line 5, column 1
      |
    5 | job = 3
      | ^^^
    unknown field `job`, expected one of `scenarios`, `seeds`, `seeds-from`, `count`, `for`, `jobs`, `case-time`, `case-memory-mb`, `required-marks`
    ");
    let unknown = scratch.wal(&["sweep", "correct"]);
    assert_eq!(unknown.code, Some(0), "an unused profile file has no effect: {}", unknown.err);
}

fn an_unknown_mark_is_refused_before_the_sweep() {
    let scratch = Scratch::new("settings-marks");
    let printed = scratch.wal(&["sweep", "correct", "--require", "wal.recoverd"]).ends(2).stderr_text();
    insta::assert_snapshot!(printed, @"
    error: --require: unknown mark 'wal.recoverd'
      did you mean wal.recovered? `wal marks` lists all 2
    ");
    let marks = "jobs = 3\nrequired-marks = [\"wal.recovered\", \"wal.recoverd\"]";
    scratch.write("latent.toml", &PROFILES.replace("jobs = 3", marks));
    let printed = scratch.wal(&["sweep"]).ends(2).stderr_text();
    insta::assert_snapshot!(printed.replace(scratch.path("").to_str().expect("it is UTF-8"), ""), @r#"
    error: latent.toml:6:36: unknown mark 'wal.recoverd'
        6 | required-marks = ["wal.recovered", "wal.recoverd"]
          |                                    ^^^^^^^^^^^^^^
      did you mean wal.recovered? `wal marks` lists all 2
    "#);
    let other = scratch.wal(&["sweep", "--profile", "nightly"]);
    assert!(matches!(other.code, Some(0 | 100)), "a profile that is not used: {}", other.err);
}
