//! Profiles: settings of sweeps under a name, in `latent.toml`.
//!
//! A flag counts over the environment, the environment over the profile, the profile over the default.

use crate::scenario::Span;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's name: looked for in the current folder, then in those above it.
const FILE: &str = "latent.toml";

/// What a profile may say. All of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Profile {
    /// Names and files of scenarios, `generated` among them.
    pub scenarios: Option<Vec<String>>,
    /// Seeds: `1..101`.
    pub seeds: Option<String>,
    /// A text that seeds are drawn from.
    pub seeds_from: Option<String>,
    /// How many of them.
    pub count: Option<u64>,
    /// For how long cases are begun.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// How many cases run side by side.
    pub jobs: Option<usize>,
    /// The longest that a case may take, real time.
    pub case_time: Option<Span>,
    /// The most that a case may hold, in megabytes.
    pub case_memory_mb: Option<u64>,
    /// Marks that some case must reach.
    pub required_marks: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: BTreeMap<String, Profile>,
}

/// The profile of this name; of `quick` if none is asked for and the file has it; else one that says nothing.
///
/// # Errors
/// A profile that is asked for and not there, or a file that is wrong, with its place.
pub(crate) fn find(asked: Option<&str>) -> Result<Profile, String> {
    let folder = std::env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
    let Some(path) = folder.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file()) else {
        return match asked {
            None => Ok(Profile::default()),
            Some(name) => Err(format!("no profile '{name}': there is no {FILE} here or in a folder above")),
        };
    };
    read(&path, asked)
}

fn read(path: &PathBuf, asked: Option<&str>) -> Result<Profile, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    of_text(path, &text, asked)
}

fn of_text(path: &Path, text: &str, asked: Option<&str>) -> Result<Profile, String> {
    let mut file: File = toml::from_str(text)
        .map_err(|error| format!("{}: {}", path.display(), error.to_string().trim_end()))?;
    let known: Vec<String> = file.profile.keys().cloned().collect();
    match (file.profile.remove(asked.unwrap_or("quick")), asked) {
        (Some(profile), _) => Ok(profile),
        (None, None) => Ok(Profile::default()),
        (None, Some(name)) => {
            Err(format!("{}: no profile '{name}'; there are: {}", path.display(), known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[profile.quick]\nscenarios = [\"a\"]\nseeds = \"1..5\"\nfor = \"50s\"\n\n[profile.nightly]\njobs = 3\n";

    fn read(text: &str, asked: Option<&str>) -> Result<Profile, String> {
        of_text(Path::new("latent.toml"), text, asked)
    }

    #[test]
    fn a_profile_is_found_by_name_and_quick_without_one() {
        assert_eq!(read(TEXT, Some("nightly")).unwrap().jobs, Some(3));
        let quick = read(TEXT, None).unwrap();
        assert_eq!((quick.seeds.as_deref(), quick.lasts.unwrap().0.as_secs()), (Some("1..5"), 50));
        assert_eq!(read("[profile.other]\n", None).unwrap(), Profile::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        insta::assert_snapshot!(read(TEXT, Some("weekly")).unwrap_err(), @"latent.toml: no profile 'weekly'; there are: nightly, quick");
        let misspelt = read(&TEXT.replace("seeds", "sedes"), None).unwrap_err();
        assert!(
            misspelt.contains("line 3, column 1") && misspelt.contains("unknown field `sedes`"),
            "{misspelt}"
        );
        let wrong = read(&TEXT.replace("50s", "50 seconds"), None).unwrap_err();
        assert!(wrong.contains("line 4") && wrong.contains("'50 seconds' is no length of time"), "{wrong}");
    }
}
