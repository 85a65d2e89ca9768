//! Fuzzed files: every reader of our own files refuses or accepts them without failing.
//!
//! Valid scenarios, cases, results and profiles are mutated at random: values replaced, removed and duplicated, bytes
//! flipped, files truncated. The program must not panic, hang, or exceed its limits. The mutations are the same in
//! every run; `LATENT_FUZZ_CASES` sets their number, `LATENT_FUZZ_SEED` their seed.

use crate::common::{BUILT_IN, command, folder, latent, scenario_text, text};
use latent_engine::{System, expand, parse};
use latent_world::Latent;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;

/// A mutation of a JSON text.
#[derive(Clone, Debug)]
enum Mutation {
    /// Replaces the n-th value.
    Replace(usize, Value),
    /// Removes the n-th value.
    Remove(usize),
    /// Duplicates the n-th value, if it is in a list.
    Double(usize),
    /// Changes a byte.
    Flip(usize, u8),
    /// Truncates the text.
    Cut(usize),
}

fn odd_values() -> impl Strategy<Value = Value> {
    let edges =
        [0, 1, 2, 255, 65_535, 1_000_000, 1_000_001, i64::from(i32::MAX), i64::from(u32::MAX), i64::MAX];
    prop_oneof![
        4 => proptest::sample::select(edges.to_vec()).prop_map(Value::from),
        2 => (0..100_000_i64).prop_map(Value::from),
        1 => (-10..0_i64).prop_map(Value::from),
        1 => proptest::sample::select(vec![
            json!(null), json!(true), json!(""), json!("x"), json!([]), json!({}), json!(u64::MAX), json!(1e300),
            json!(0.5), json!("0s"), json!("18300d"), json!("1ms"), json!("1990-01-01T00:00:00Z"),
            json!("2098-01-01T00:00:00Z"), json!("9999-12-31T23:59:59Z"), json!("*"), json!("disk-1"),
        ]),
    ]
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let one = prop_oneof![
        12 => (any::<usize>(), odd_values()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        3 => any::<usize>().prop_map(Mutation::Remove),
        3 => any::<usize>().prop_map(Mutation::Double),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        1 => any::<usize>().prop_map(Mutation::Cut),
    ];
    proptest::collection::vec(one, 1..4)
}

/// Pointers to all values, the outermost first.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                pointers(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
}

fn mutate(text: &str, mutations: &[Mutation]) -> Vec<u8> {
    let mut value: Option<Value> = serde_json::from_str(text).ok();
    let mut bytes = text.as_bytes().to_vec();
    for mutation in mutations {
        if let (Some(value), Mutation::Replace(at, _) | Mutation::Remove(at) | Mutation::Double(at)) =
            (&mut value, mutation)
        {
            let mut all = Vec::new();
            pointers(value, "", &mut all);
            mutate_at(value, &all[at % all.len()], mutation);
            bytes = serde_json::to_vec_pretty(value).expect("it was JSON");
        }
        match mutation {
            Mutation::Flip(at, byte) if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] ^= byte;
            }
            Mutation::Cut(at) if !bytes.is_empty() => bytes.truncate(at % bytes.len()),
            _ => {}
        }
    }
    bytes
}

fn mutate_at(value: &mut Value, pointer: &str, mutation: &Mutation) {
    if let Mutation::Replace(_, new) = mutation {
        if let Some(there) = value.pointer_mut(pointer) {
            *there = new.clone();
        }
        return;
    }
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match (value.pointer_mut(parent), mutation) {
        (Some(Value::Object(fields)), Mutation::Remove(_)) => drop(fields.remove(last)),
        (Some(Value::Array(items)), _) => {
            let Some(at) = last.parse::<usize>().ok().filter(|at| *at < items.len()) else { return };
            match mutation {
                Mutation::Remove(_) => drop(items.remove(at)),
                _ => items.insert(at, items[at].clone()),
            }
        }
        _ => {}
    }
}

/// Number of cases: `LATENT_FUZZ_CASES`, by default `usual`.
#[expect(clippy::disallowed_methods, reason = "a person may ask for more cases")]
fn cases(usual: u32) -> u32 {
    let asked = std::env::var("LATENT_FUZZ_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    asked.unwrap_or(usual)
}

/// A runner with a fixed seed.
#[expect(clippy::disallowed_methods, reason = "a person may ask for other cases")]
fn runner(usual_cases: u32) -> TestRunner {
    let asked = std::env::var("LATENT_FUZZ_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&asked.unwrap_or(1).to_le_bytes());
    let config = Config { cases: cases(usual_cases), failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Mutations of each base, without running them.
fn drawn(bases: &[String], count: u32) -> Vec<(usize, Vec<u8>)> {
    let mut runner = runner(count);
    (0..runner.config().cases)
        .map(|_| {
            let strategy = (0..bases.len(), mutations());
            let (base, mutations) = strategy.new_tree(&mut runner).expect("nothing is refused").current();
            (base, mutate(&bases[base], &mutations))
        })
        .collect()
}

/// Checks that neither the program nor a worker panicked.
fn did_not_panic(printed: &str, what: &[u8]) {
    let is_panic = printed.contains("internal error") || printed.contains("panicked");
    assert!(!is_panic, "{printed}\n{}", String::from_utf8_lossy(what));
}

fn temporary_folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo's directory for tests can be written")
}

#[test]
fn every_number_of_a_scenario_has_bounds() {
    fn unbounded(schema: &Value, at: &str, out: &mut Vec<String>) {
        let types = [schema.get("type").cloned().unwrap_or_default()];
        let types = types[0].as_array().map_or(&types[..], Vec::as_slice);
        let is_number = types.iter().any(|name| name == "integer" || name == "number");
        if is_number && (schema.get("minimum").is_none() || schema.get("maximum").is_none()) {
            out.push(at.to_owned());
        }
        match schema {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, inside)| unbounded(inside, &format!("{at}/{name}"), out));
            }
            Value::Array(items) => items.iter().for_each(|inside| unbounded(inside, at, out)),
            _ => {}
        }
    }
    let schema: Value = serde_json::from_slice(&latent(&["schema"]).stdout).expect("a schema is JSON");
    let mut found = Vec::new();
    unbounded(&schema, "", &mut found);
    assert_eq!(found, [""; 0]);
}

#[test]
fn generated_and_built_in_scenarios_are_within_bounds_and_cost() {
    let schema: Value = serde_json::from_slice(&latent(&["schema"]).stdout).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let drawn = (0..200_u64).map(|seed| {
        let bytes: Vec<u8> = (0..1024)
            .flat_map(|at: u64| (seed ^ at.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes())
            .collect();
        (Latent::GENERATORS[0].generate)(&bytes).to_text()
    });
    for scenario in BUILT_IN.iter().map(|name| scenario_text(name)).chain(drawn) {
        let value = serde_json::from_str(&scenario).expect("it is JSON");
        assert!(validator.is_valid(&value), "{:?}: {scenario}", validator.iter_errors(&value).next());
        let parsed = parse::<Latent>("file", &scenario).unwrap_or_else(|bad| panic!("{bad}"));
        let cost = Latent::cost(&parsed);
        assert!(cost.items < 1_000_000, "{cost:?}: {scenario}");
    }
}

#[test]
fn a_changed_scenario_is_refused_or_can_be_expanded() {
    let bases: Vec<String> = BUILT_IN.iter().map(|name| scenario_text(name)).collect();
    let schema: Value = serde_json::from_slice(&latent(&["schema"]).stdout).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let strategy = (0..bases.len(), mutations());
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    runner(600)
        .run(&strategy, |(base, mutations)| {
            let bytes = mutate(&bases[base], &mutations);
            let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
            match parse::<Latent>("file", text) {
                Err(bad) => {
                    refused.set(refused.get() + 1);
                    prop_assert!(!bad.to_string().is_empty());
                }
                Ok(scenario) => {
                    taken.set(taken.get() + 1);
                    let value = serde_json::from_str(text).expect("it was parsed");
                    prop_assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
                    if Latent::cost(&scenario).items <= 1_000_000 {
                        drop(expand::<Latent>(&scenario, 1));
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (taken, refused) = (taken.get(), refused.get());
    assert!(taken > 20 && refused > 20, "{taken} taken, {refused} refused: one of them was hardly tried");
}

/// Replaces numbers and times of a scenario: an accepted scenario is judged without a violation. A value that the
/// system or the judge cannot handle must be refused.
#[test]
fn a_scenario_of_other_numbers_is_refused_or_ends_as_it_must() {
    let base: Value = serde_json::from_str(&scenario_text("one-day")).expect("it is JSON");
    let mut all = Vec::new();
    pointers(&base, "", &mut all);
    let is_time =
        |text: &str| text.ends_with(['d', 'h', 'm', 's']) && text.starts_with(|c: char| c.is_ascii_digit());
    let is_other = |at: &String| match base.pointer(at) {
        Some(Value::Number(_)) => true,
        Some(Value::String(text)) => is_time(text),
        _ => false,
    };
    all.retain(is_other);
    let numbers = [0, 1, 2, 3, 5, 7, 16, 60, 100, 1_000, 86_400, 500_000, 1_000_000];
    let times = ["0s", "1ms", "1m", "1h", "3h", "1d", "26h", "2d", "5d", "30d"];
    let mutation = (0..all.len(), 0..numbers.len(), 0..times.len());
    let strategy = proptest::collection::vec(mutation, 1..4);
    let mut runner = runner(60);
    let folder = temporary_folder();
    let file = folder.path().join("changed.json");
    let results = folder.path().join("changed.jsonl");
    let path = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
    let (mut judged, mut refused) = (0, 0);
    for _ in 0..runner.config().cases {
        let mut value = base.clone();
        for (at, number, time) in strategy.new_tree(&mut runner).expect("nothing is refused").current() {
            let there = value.pointer_mut(&all[at]).expect("numbers and times have nothing inside");
            *there = if there.is_number() { numbers[number].into() } else { times[time].into() };
        }
        let text = value.to_string();
        std::fs::write(&file, &text).expect("it can be written");
        let _ = std::fs::remove_file(&results);
        let (file, results) = (path(&file), path(&results));
        let limits = ["--max-items", "5000", "--case-time", "3m", "--json", &results];
        let output = latent(&[&["sweep", &file, "--seeds", "1..2"], &limits[..]].concat());
        did_not_panic(&text_of(&output), text.as_bytes());
        match output.status.code() {
            // A required mark need not be reached any more, and a run without acknowledged events is vacuous.
            Some(0 | 4 | 103) => judged += 1,
            Some(2) => refused += 1,
            code => panic!("{code:?}: {}\n{text}", text_of(&output)),
        }
    }
    assert!(judged > 5 && refused > 5, "{judged} judged, {refused} refused: one of them was hardly tried");
}

/// Both outputs.
fn text_of(output: &std::process::Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn mutated_cases_do_not_break_the_corpus() {
    let corpus = folder().join("../corpus");
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).expect("there is a corpus").flatten().map(|e| e.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let bases: Vec<String> =
        files.iter().map(|path| std::fs::read_to_string(path).expect("it is text")).collect();
    let folder = temporary_folder();
    for (at, chunk) in drawn(&bases, 300).chunks(100).enumerate() {
        let folder = folder.path().join(at.to_string());
        std::fs::create_dir(&folder).expect("it can be made");
        for (nth, (_, bytes)) in chunk.iter().enumerate() {
            std::fs::write(folder.join(format!("{nth:03}.json")), bytes).expect("it can be written");
        }
        let output = latent(&["corpus", "list", "--folder", folder.to_str().expect("it is UTF-8")]);
        did_not_panic(&text(&output.stderr), folder.to_string_lossy().as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let listed = text(&output.stdout);
        let is_listed = |nth: usize| listed.lines().any(|line| line == format!("{nth:03}"));
        assert!((0..chunk.len()).all(is_listed), "{listed}");
    }
}

#[test]
fn changed_results_never_break_a_merge() {
    let folder = temporary_folder();
    let results = folder.path().join("good.jsonl");
    let path = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
    let good = latent(&["sweep", "one-day", "--seeds", "1..5", "--json", &path(&results)]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let good = std::fs::read_to_string(&results).expect("a sweep writes its results");
    let lines: Vec<String> = good.lines().map(str::to_owned).collect();
    for (base, bytes) in drawn(&lines, 60) {
        let whole: Vec<Vec<u8>> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| {
                let line = if at == base { bytes.clone() } else { line.clone().into_bytes() };
                // A line of results is one line.
                line.into_iter().filter(|byte| *byte != b'\n').collect()
            })
            .collect();
        let whole = whole.join(&b'\n');
        let file = folder.path().join("changed.jsonl");
        std::fs::write(&file, &whole).expect("it can be written");
        let output = latent(&["merge", &path(&file)]);
        did_not_panic(&text(&output.stderr), &whole);
        let code = output.status.code().expect("nothing killed it");
        assert!(
            [0, 2, 4, 100, 101, 102, 103, 104, 105, 106].contains(&code),
            "{code}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_changed_profile_is_refused_with_its_place_or_taken() {
    let good = std::fs::read_to_string(folder().join("../latent.toml")).expect("there are profiles");
    let folder = temporary_folder();
    let mutations = drawn(std::slice::from_ref(&good), 60);
    for (_, bytes) in mutations.into_iter().chain([(0, good.into_bytes())]) {
        std::fs::write(folder.path().join("latent.toml"), &bytes).expect("it can be written");
        // The seeds are invalid, so nothing runs whatever the profile contains.
        let mut command = command(&["sweep", "--profile", "quick", "--seeds", "5..5"]);
        let output = command.current_dir(folder.path()).output().expect("cargo built the binary");
        did_not_panic(&text(&output.stderr), &bytes);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
