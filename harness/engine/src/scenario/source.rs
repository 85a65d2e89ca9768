//! Loads a scenario's text: built-in by name, or from a file.

use super::diagnostic::ScenarioError;
use super::suggest::suggest;
use crate::output::STANDARD;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

/// A built-in scenario.
#[derive(Clone, Copy, Debug)]
pub struct NamedScenario {
    /// Its name, as in `latent run NAME`, which must equal the `name` in its text.
    pub name: &'static str,
    /// Its JSON.
    pub text: &'static str,
}

/// A scenario's text with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScenarioText {
    /// The name or path as given on the command line.
    pub given: String,
    /// The file to name in errors.
    pub file: String,
    /// The JSON.
    pub text: String,
}

/// Combines `SCENARIO` with the seed of `--seed`, equivalent to `SCENARIO@SEED`.
///
/// # Errors
/// Two seeds.
pub(crate) fn with_seed(target: &str, seed: Option<u64>) -> Result<String, ScenarioError> {
    let Some(seed) = seed else { return Ok(target.to_owned()) };
    match parse_target(target)? {
        (given, None) => Ok(format!("{given}@{seed}")),
        (given, Some(other)) => {
            let message = format!("{given}@{other} has a seed already");
            Err(error_without_position(
                &format!("--seed {seed}"),
                message,
                format!("give one of the two: {given}@{seed}"),
            ))
        }
    }
}

/// Parses `SCENARIO[@SEED]`. Without a seed, the scenario's own is used.
///
/// # Errors
/// The text after the last `@` is neither a seed nor part of an existing file's name.
pub(crate) fn parse_target(target: &str) -> Result<(String, Option<u64>), ScenarioError> {
    match target.rsplit_once('@') {
        None => Ok((target.to_owned(), None)),
        Some((given, seed)) => match seed.parse() {
            Ok(seed) => Ok((given.to_owned(), Some(seed))),
            Err(_) if Path::new(target).exists() => Ok((target.to_owned(), None)),
            Err(_) => {
                let message = format!("invalid seed '{seed}'");
                let hint = format!("write a whole number from 0 to {}: {given}@7", u64::MAX);
                Err(error_without_position(target, message, hint))
            }
        },
    }
}

/// Folder of regression cases: their names are valid wherever a scenario's name is.
const CORPUS: &str = "corpus";

/// Finds a scenario: a built-in name first, then `-` for the standard input, then a case of the corpus, then a file.
/// `generators` are the names of the system's generators.
///
/// # Errors
/// No such name or file, or a file that cannot be read as text.
pub(crate) fn find(
    given: &str,
    named: &[NamedScenario],
    generators: &[&str],
) -> Result<ScenarioText, ScenarioError> {
    if let Some(one) = named.iter().find(|one| one.name == given) {
        let file = format!("{} (built in)", one.name);
        return Ok(ScenarioText { given: given.to_owned(), file, text: one.text.to_owned() });
    }
    let hint = || similar_names(given, named, generators);
    let is_input = given == STANDARD;
    let is_name = !given.is_empty() && !given.contains(['/', '\\', '.']);
    let of_corpus = Path::new(CORPUS).join(format!("{given}.json"));
    let path = Path::new(given);
    let path = if is_name && !path.is_file() && of_corpus.is_file() { of_corpus.as_path() } else { path };
    let file = if is_input { "standard input".to_owned() } else { path.display().to_string() };
    if !is_input && !path.exists() && !given.contains(['/', '\\']) && path.extension().is_none() {
        return Err(error_without_position(
            given,
            "no scenario of this name, and no such file".into(),
            hint(),
        ));
    }
    let bytes = if is_input { read_input() } else { std::fs::read(path) };
    let bytes =
        bytes.map_err(|error| error_without_position(&file, format!("cannot read it: {error}"), hint()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(ScenarioText { given: given.to_owned(), file, text }),
        Err(error) => {
            let message = format!("not valid UTF-8 at byte {}", error.utf8_error().valid_up_to());
            Err(error_without_position(
                given,
                message,
                "a scenario is a text file with one JSON object".into(),
            ))
        }
    }
}

fn read_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map(|_| bytes)
}

/// Limit of the number of suggestions.
const MAX_SUGGESTIONS: usize = 3;

fn similar_names(given: &str, named: &[NamedScenario], generators: &[&str]) -> String {
    let known: Vec<&str> = named.iter().map(|one| one.name).collect();
    let cases = names_of_corpus();
    let stem = Path::new(given).file_stem().and_then(|stem| stem.to_str()).unwrap_or(given);
    let all = known.iter().copied().chain(generators.iter().copied()).chain(cases.iter().map(String::as_str));
    let mut hint = match suggest(stem, all).as_slice() {
        [] => String::new(),
        found => format!("did you mean {}? ", found[..found.len().min(MAX_SUGGESTIONS)].join(" or ")),
    };
    if !known.is_empty() {
        write!(hint, "built in: {}; ", known.join(", ")).expect(WRITES);
    }
    if !generators.is_empty() {
        let targets: Vec<String> = generators.iter().map(|name| format!("{name}@7")).collect();
        write!(hint, "generated: {}; ", targets.join(", ")).expect(WRITES);
    }
    if !cases.is_empty() {
        write!(hint, "{} cases: `corpus list`; ", cases.len()).expect(WRITES);
    }
    hint.push_str("or give the path of a JSON file");
    hint
}

const WRITES: &str = "a String takes whatever is written to it";

/// Names of the cases in the folder `corpus`, sorted; empty if there is no such folder.
fn names_of_corpus() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(CORPUS) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let cases = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let mut names: Vec<String> =
        cases.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// Creates an error without a position.
pub(crate) fn error_without_position(given: &str, message: String, hint: String) -> ScenarioError {
    ScenarioError { file: given.to_owned(), place: None, message, hint, more: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: [NamedScenario; 2] = [
        NamedScenario { name: "incident-2016", text: "{}" },
        NamedScenario { name: "weekly-backup", text: "{}" },
    ];

    #[test]
    fn a_target_is_a_scenario_and_a_seed() {
        assert_eq!(parse_target("incident-2016@7").unwrap(), ("incident-2016".into(), Some(7)));
        assert_eq!(parse_target("incident-2016").unwrap(), ("incident-2016".into(), None));
        assert_eq!(
            parse_target("a@b/c.json@18446744073709551615").unwrap(),
            ("a@b/c.json".into(), Some(u64::MAX))
        );
        insta::assert_snapshot!(parse_target("incident-2016@x7").unwrap_err(), @"
        incident-2016@x7: invalid seed 'x7'
          write a whole number from 0 to 18446744073709551615: incident-2016@7
        ");
    }

    #[test]
    fn a_seed_is_given_once() {
        assert_eq!(with_seed("a", Some(3)).unwrap(), "a@3");
        assert_eq!(with_seed("a@3", None).unwrap(), "a@3");
        insta::assert_snapshot!(with_seed("a@7", Some(3)).unwrap_err(), @"
        --seed 3: a@7 has a seed already
          give one of the two: a@3
        ");
    }

    #[test]
    fn an_unknown_name_lists_similar_ones() {
        insta::assert_snapshot!(find("incident", &NAMED, &[]).unwrap_err(), @"
        incident: no scenario of this name, and no such file
          did you mean incident-2016? built in: incident-2016, weekly-backup; or give the path of a JSON file
        ");
        insta::assert_snapshot!(find("genrated", &NAMED, &["generated"]).unwrap_err(), @"
        genrated: no scenario of this name, and no such file
          did you mean generated? built in: incident-2016, weekly-backup; generated: generated@7; or give the path of a JSON file
        ");
        insta::assert_snapshot!(find("nothing-like-it", &NAMED, &[]).unwrap_err(), @"
        nothing-like-it: no scenario of this name, and no such file
          built in: incident-2016, weekly-backup; or give the path of a JSON file
        ");
        insta::assert_snapshot!(find("scenarios/weekly-bakup.json", &NAMED, &[]).unwrap_err(), @"
        scenarios/weekly-bakup.json: cannot read it: No such file or directory (os error 2)
          did you mean weekly-backup? built in: incident-2016, weekly-backup; or give the path of a JSON file
        ");
    }

    #[test]
    fn a_directory_or_a_binary_file_is_refused_clearly() {
        let error = find("./src", &NAMED, &[]).unwrap_err().to_string();
        assert!(error.contains("cannot read it"), "{error}");
        let own = std::env::current_exe().unwrap();
        let error = find(own.to_str().unwrap(), &NAMED, &[]).unwrap_err().to_string();
        assert!(error.contains("not valid UTF-8"), "{error}");
    }
}
