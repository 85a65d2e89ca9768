//! Profiles: named settings of sweeps, in `latent.toml`.
//!
//! Precedence: flag, environment, profile, default.

use crate::Problem;
use crate::scenario::{ScenarioError, SourceSpan, Span};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;

/// Name of the file, searched for in the current folder, then in its parents.
const FILE: &str = "latent.toml";

/// Settings of a profile. All are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Profile {
    /// Names and files of scenarios, possibly `generated`.
    pub scenarios: Option<Vec<String>>,
    /// Range of seeds: `1..101`.
    pub seeds: Option<String>,
    /// Text that seeds are derived from.
    pub seeds_from: Option<String>,
    /// Number of seeds derived from the text.
    pub count: Option<u64>,
    /// Time after which no case starts.
    #[serde(rename = "for")]
    pub duration: Option<Span>,
    /// Number of cases that run in parallel.
    pub jobs: Option<usize>,
    /// Limit of a case's real time.
    pub case_time: Option<Span>,
    /// Limit of a case's memory, in megabytes.
    pub case_memory_mb: Option<u64>,
    /// Marks that some case must reach.
    pub required_marks: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    profile: BTreeMap<String, Profile>,
}

/// Finds the profile `asked`; without a name `quick` if the file has it, else the empty profile.
///
/// # Errors
/// The requested profile does not exist, or the file is invalid, or `unknown_mark` refuses a mark of the profile, with
/// the position.
pub(crate) fn find(
    asked: Option<&str>,
    unknown_mark: impl Fn(&str) -> Option<Problem>,
) -> Result<Profile, String> {
    let folder = std::env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
    let Some(path) = folder.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file()) else {
        return match asked {
            None => Ok(Profile::default()),
            Some(name) => Err(format!("no profile '{name}': no {FILE} in this folder or its parents")),
        };
    };
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let profile = of_text(&path, &text, asked)?;
    check_marks(&path, &text, &profile, unknown_mark)?;
    Ok(profile)
}

/// Refuses the first unknown mark: a sweep that requires it could only fail, after all its cases.
fn check_marks(
    path: &Path,
    text: &str,
    profile: &Profile,
    unknown_mark: impl Fn(&str) -> Option<Problem>,
) -> Result<(), String> {
    for mark in profile.required_marks.iter().flatten() {
        if let Some(Problem { message, hint }) = unknown_mark(mark.get_ref()) {
            let place = Some(SourceSpan::of(text, mark.span().start, mark.span().end));
            let error = ScenarioError { file: path.display().to_string(), place, message, hint, more: 0 };
            return Err(error.to_string().trim_end().to_owned());
        }
    }
    Ok(())
}

fn of_text(path: &Path, text: &str, asked: Option<&str>) -> Result<Profile, String> {
    let mut file: ProfileFile = toml::from_str(text)
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
        assert_eq!((quick.seeds.as_deref(), quick.duration.unwrap().0.as_secs()), (Some("1..5"), 50));
        assert_eq!(read("[profile.other]\n", None).unwrap(), Profile::default());
    }

    #[test]
    fn an_unknown_mark_has_its_position() {
        let text = TEXT.replace("jobs = 3", "required-marks = [\n    \"a.known\",\n    \"a.knwon\",\n]");
        let profile = read(&text, Some("nightly")).unwrap();
        let unknown =
            |mark: &str| (mark != "a.known").then(|| Problem::new("unknown mark", "did you mean it?"));
        let error = check_marks(Path::new("latent.toml"), &text, &profile, unknown).unwrap_err();
        insta::assert_snapshot!(error, @r#"
        latent.toml:9:5: unknown mark
            9 |     "a.knwon",
              |     ^^^^^^^^^
          did you mean it?
        "#);
    }

    #[test]
    fn errors_have_their_position() {
        insta::assert_snapshot!(read(TEXT, Some("weekly")).unwrap_err(), @"latent.toml: no profile 'weekly'; there are: nightly, quick");
        let misspelt = read(&TEXT.replace("seeds", "sedes"), None).unwrap_err();
        assert!(
            misspelt.contains("line 3, column 1") && misspelt.contains("unknown field `sedes`"),
            "{misspelt}"
        );
        let wrong = read(&TEXT.replace("50s", "50 seconds"), None).unwrap_err();
        assert!(wrong.contains("line 4") && wrong.contains("invalid duration '50 seconds'"), "{wrong}");
    }
}
