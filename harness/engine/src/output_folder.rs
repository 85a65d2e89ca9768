//! Folders that the program creates: only its own output folder and those below it. A missing folder elsewhere is more
//! likely a typing error in the path.

use std::io;
use std::path::{Component, Path};

/// The project's output folder, below the current folder.
const OUTPUT: &str = ".latent";

/// Creates the parent folder of `file` if it is missing and below the output folder.
///
/// # Errors
/// It is missing elsewhere, or cannot be created.
pub(crate) fn for_file(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    if is_own(folder) {
        return std::fs::create_dir_all(folder);
    }
    let message = format!(
        "no folder {0}: only {OUTPUT} is created automatically\n  create it with mkdir -p {0}, or correct the path",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn is_own(folder: &Path) -> bool {
    let mut parts = folder.components().filter(|part| *part != Component::CurDir);
    let is_first = parts.next() == Some(Component::Normal(OUTPUT.as_ref()));
    is_first && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_output_folder_is_made() {
        for own in [".latent", "./.latent", ".latent/a/b"] {
            assert!(is_own(Path::new(own)), "{own}");
        }
        for other in ["results", "/tmp/.latent", ".latent/../results", "../.latent", "a/.latent"] {
            assert!(!is_own(Path::new(other)), "{other}");
        }
        let missing = Path::new("no-such-folder/results.jsonl");
        let error = for_file(missing).unwrap_err().to_string();
        assert!(error.contains("no folder no-such-folder") && !missing.parent().unwrap().exists(), "{error}");
        for_file(Path::new("in-this-folder.jsonl")).unwrap();
    }
}
