//! `completions SHELL` and `man FOLDER`: generated from the same definition of the command line as the help.

use super::CliError;
use crate::exit;
use crate::print::terminal;
use clap::Command;
use clap_complete::Shell;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write the pages to this folder; it must exist
    folder: PathBuf,
}

pub(super) fn run(arguments: &Args, mut command: Command) -> Result<u8, CliError> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    terminal::bytes(&script)?;
    Ok(exit::CLEAN)
}

pub(super) fn man(arguments: &ManArgs, command: Command) -> Result<u8, CliError> {
    let folder = &arguments.folder;
    if !folder.is_dir() {
        let shown = folder.display();
        return Err(CliError::Usage(format!("{shown}: no such folder\n  make it with mkdir -p {shown}")));
    }
    let name = command.get_name().to_owned();
    clap_mangen::generate_to(command, folder)
        .map_err(|error| CliError::Internal(format!("{}: {error}", folder.display())))?;
    let first = folder.join(format!("{name}.1"));
    terminal::print(&format!("read them with: man {}\n", man_path(&first)))?;
    Ok(exit::CLEAN)
}

/// `man` treats an argument with a slash as a file.
fn man_path(page: &Path) -> String {
    let shown = page.display().to_string();
    if shown.contains('/') { shown } else { format!("./{shown}") }
}
