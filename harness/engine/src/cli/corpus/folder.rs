//! The folder of a corpus.

use crate::cli::context::CliError;
use crate::exit;
use crate::print::terminal;
use std::path::{Path, PathBuf};

/// The files of the corpus, by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let cannot = |error| {
        CliError::Usage(format!(
            "{}: cannot read the corpus: {error}\n  name its folder with --folder",
            folder.display()
        ))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reports a folder without cases, for every subcommand.
pub(super) fn no_case(folder: &Path) -> u8 {
    terminal::eprint(&format!("{}: no cases found\n", folder.display()));
    exit::NOTHING_RAN
}
