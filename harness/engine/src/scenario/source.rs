//! Where a scenario's text comes from: built into the program by name, or a file.

use super::bad::BadScenario;
use super::near::near;
use crate::output::STANDARD;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

/// A scenario that is built into the program.
#[derive(Clone, Copy, Debug)]
pub struct NamedScenario {
    /// Its name, as in `latent run NAME`; its text must bear the same.
    pub name: &'static str,
    /// Its JSON.
    pub text: &'static str,
}

/// A scenario's text, and how to speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The name or path as it was given: what repeats the run.
    pub given: String,
    /// The file to name in errors.
    pub file: String,
    /// The JSON.
    pub text: String,
}

/// Takes `SCENARIO[@SEED]` apart. Without a seed, the scenario says which.
///
/// # Errors
/// What follows the last `@` is neither a seed nor part of an existing file's name.
pub(crate) fn parse_target(target: &str) -> Result<(String, Option<u64>), BadScenario> {
    match target.rsplit_once('@') {
        None => Ok((target.to_owned(), None)),
        Some((given, seed)) => match seed.parse() {
            Ok(seed) => Ok((given.to_owned(), Some(seed))),
            Err(_) if Path::new(target).exists() => Ok((target.to_owned(), None)),
            Err(_) => {
                let message = format!("'{seed}' is no seed");
                let hint = format!("write a whole number from 0 to {}: {given}@7", u64::MAX);
                Err(unplaced(target, message, hint))
            }
        },
    }
}

/// Finds a scenario: a built-in name first, then `-` for the standard input, then a file.
///
/// # Errors
/// No such name or file, or a file that cannot be read as text.
pub(crate) fn find(given: &str, named: &[NamedScenario]) -> Result<Source, BadScenario> {
    if let Some(one) = named.iter().find(|one| one.name == given) {
        let file = format!("{} (built in)", one.name);
        return Ok(Source { given: given.to_owned(), file, text: one.text.to_owned() });
    }
    let is_input = given == STANDARD;
    let file = if is_input { "standard input" } else { given };
    let path = Path::new(given);
    if !is_input && !path.exists() && !given.contains(['/', '\\']) && path.extension().is_none() {
        return Err(unplaced(
            given,
            "no scenario of this name, and no such file".into(),
            names_near(given, named),
        ));
    }
    let bytes = if is_input { read_input() } else { std::fs::read(path) };
    let bytes = bytes
        .map_err(|error| unplaced(file, format!("cannot read it: {error}"), names_near(given, named)))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { given: given.to_owned(), file: file.to_owned(), text }),
        Err(error) => {
            let message = format!("no text: byte {} is not UTF-8", error.utf8_error().valid_up_to());
            Err(unplaced(given, message, "a scenario is one JSON object in a text file".into()))
        }
    }
}

fn read_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map(|_| bytes)
}

fn names_near(given: &str, named: &[NamedScenario]) -> String {
    let known: Vec<&str> = named.iter().map(|one| one.name).collect();
    let stem = Path::new(given).file_stem().and_then(|stem| stem.to_str()).unwrap_or(given);
    let mut hint = match near(stem, known.iter().copied()).as_slice() {
        [] => String::new(),
        found => format!("did you mean {}? ", found.join(" or ")),
    };
    write!(hint, "built in: {}; or give the path of a JSON file", known.join(", "))
        .expect("a String takes whatever is written to it");
    hint
}

/// An error that stands at no place in particular.
pub(crate) fn unplaced(given: &str, message: String, hint: String) -> BadScenario {
    BadScenario { file: given.to_owned(), place: None, message, hint, more: 0 }
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
        incident-2016@x7: 'x7' is no seed
          write a whole number from 0 to 18446744073709551615: incident-2016@7
        ");
    }

    #[test]
    fn an_unknown_name_lists_near_ones() {
        insta::assert_snapshot!(find("incident", &NAMED).unwrap_err(), @"
        incident: no scenario of this name, and no such file
          did you mean incident-2016? built in: incident-2016, weekly-backup; or give the path of a JSON file
        ");
        insta::assert_snapshot!(find("nothing-like-it", &NAMED).unwrap_err(), @"
        nothing-like-it: no scenario of this name, and no such file
          built in: incident-2016, weekly-backup; or give the path of a JSON file
        ");
        insta::assert_snapshot!(find("scenarios/weekly-bakup.json", &NAMED).unwrap_err(), @"
        scenarios/weekly-bakup.json: cannot read it: No such file or directory (os error 2)
          did you mean weekly-backup? built in: incident-2016, weekly-backup; or give the path of a JSON file
        ");
    }

    #[test]
    fn a_directory_or_a_binary_file_is_refused_clearly() {
        let error = find("./src", &NAMED).unwrap_err().to_string();
        assert!(error.contains("cannot read it"), "{error}");
        let own = std::env::current_exe().unwrap();
        let error = find(own.to_str().unwrap(), &NAMED).unwrap_err().to_string();
        assert!(error.contains("is not UTF-8"), "{error}");
    }
}
