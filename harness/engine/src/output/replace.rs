//! Atomic replacement of files: a temporary file next to the target, synced, renamed; then the folder synced.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes a complete file, replacing an existing one.
///
/// # Errors
/// It cannot be written; an existing file stays intact.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    replacement(path, text).map(drop)
}

/// As [`replace`], and returns the file, positioned after `text`.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replacement(path: &Path, text: &str) -> io::Result<File> {
    let path = behind_links(path);
    let mut file = beside(&path)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    let file = file.persist(&path).map_err(|error| error.error)?;
    sync_folder_of(&path)?;
    Ok(file)
}

/// Disk space that is allocated before the work, so that its result fits on a disk that fills up meanwhile: a synced
/// temporary file next to the target. It removes itself unless it becomes the target.
#[derive(Debug)]
pub(crate) struct ReservedSpace {
    file: NamedTempFile,
}

impl ReservedSpace {
    /// Allocates `bytes` next to `path`.
    ///
    /// # Errors
    /// There is not so much space.
    pub fn allocate(path: &Path, bytes: usize) -> io::Result<ReservedSpace> {
        let mut file = beside(&behind_links(path))?;
        // Not zeros, which some file systems do not store.
        file.write_all(&vec![b'\n'; bytes])?;
        file.as_file().sync_all()?;
        Ok(ReservedSpace { file })
    }

    /// Writes `text` over the reserved space and renames the file to `path`. A longer text needs the space of what it
    /// exceeds.
    ///
    /// # Errors
    /// As [`replace`].
    pub fn replace(mut self, path: &Path, text: &str) -> io::Result<()> {
        let path = behind_links(path);
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.as_file().set_len(text.len() as u64)?;
        self.file.as_file().sync_all()?;
        self.file.persist(&path).map_err(|error| error.error)?;
        sync_folder_of(&path)
    }
}

/// Checks that [`replace`] can write here, without changing an existing file.
///
/// # Errors
/// It cannot.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    let path = behind_links(path);
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // The temporary file removes itself.
    beside(&path).map(drop)
}

/// Resolves a symbolic link: its target is written, the link stays.
fn behind_links(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        // Permissions of a new file, subject to the umask.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder_of(path))
}

/// A rename is durable once its folder is synced.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns the first unused name of `FILE.unfinished`, `FILE.unfinished.2`, `FILE.unfinished.3`, …, to which an
/// unfinished file is moved.
pub(crate) fn unused_backup_path(path: &Path) -> PathBuf {
    let numbers = (1_u64..).map(|number| match number {
        1 => format!("{}.unfinished", path.display()),
        number => format!("{}.unfinished.{number}", path.display()),
    });
    let mut names = numbers.map(PathBuf::from);
    names.find(|name| !name.exists()).expect("a folder holds fewer files than there are numbers")
}
